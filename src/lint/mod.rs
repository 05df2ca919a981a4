//! What overrides do, and what they were meant to do and don't.
//!
//! [`outline`] reads the tags of one template, [`tree`] those of every image; [`check`] finds what in an override has
//! no effect; [`explain`] and [`blocks`] tell what an image offers to overrides and what became of it.

pub mod blocks;
pub mod check;
pub mod configuration;
pub mod explain;
pub mod outline;
pub mod selection;
pub mod tree;
