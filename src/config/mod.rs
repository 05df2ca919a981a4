//! Configuration: where values come from, and what they mean.
//!
//! Every value is text in a layer until [`resolve`] gives it its type. Layers, the least important first: the
//! build.toml inside the program, shipped profiles, facts of the image tree that is used, values derived from others, a user's build.toml files,
//! kolla-build.conf files in order, variables of the environment, the command line.

pub mod build_toml;
pub mod command_line;
mod environment;
pub mod ini;
pub mod inputs;
mod interpolate;
pub mod keys;
pub mod kolla_package;
pub mod layer;
pub mod load;
mod meaning;
pub mod names;
mod option_spec;
pub mod options;
pub mod pbr;
pub mod profiles;
pub mod python;
pub mod resolve;
pub mod resolved;
pub mod sections;
pub mod settings;
pub mod shipped;
pub mod source;
mod source_section;
pub mod task_kind;
pub mod tasks;
pub mod value;
