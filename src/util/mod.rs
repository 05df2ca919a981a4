//! What the modules share and none of them is about.

pub mod input;
pub mod location;
pub mod names;
pub mod scratch;
pub mod write;
