//! Integration tests, through the binary.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
#![allow(clippy::disallowed_methods, reason = "tests read and write what they have made themselves")]

mod affected;
mod agree;
mod ahead;
mod bad_input;
mod bake;
mod build;
mod checkouts;
mod containerd_store;
mod context;
mod disk;
mod docker_config;
mod docker_real;
mod endpoints;
mod ends;
mod engine;
mod engines;
mod faults;
mod fleet;
mod interrupts;
mod lint;
mod lock;
mod makespan;
mod many_images;
mod merge;
mod options;
mod outputs;
mod overrides;
mod package;
mod parents;
mod pipeline;
mod plain_text;
mod plan;
mod platforms;
mod prune;
mod push_real;
mod real_build;
mod real_faults;
mod real_tree;
mod registry;
mod registry_client;
mod rendered;
mod reports;
mod reproducible;
mod retag;
mod reuse;
mod secrets;
mod sources;
mod support;
mod threads;
mod unchanged;
mod user_files;
mod verify;
mod watch;
