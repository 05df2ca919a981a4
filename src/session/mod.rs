//! What a command works with: everything that was decided before it begins.

pub mod changes;
pub mod contexts;
pub mod disk;
pub mod engines;
pub mod kept;
pub mod outputs;
pub mod patches;
pub mod places;
pub mod prepare;
pub mod recipes;
pub mod registries;
pub mod reporters;
pub mod stdio;
pub mod threads;
pub mod tree;
