//! Overrides and configuration without effect, and what there is to override [pure].
//!
//! [`outline`] and [`names`] read the tags of one template, [`tree`] those of every image; [`check`] finds what in an
//! override has no effect; [`explain`] and [`blocks`] tell what an image offers to overrides and what became of it.
//! [`configuration`] and [`selection`] find what in the configuration means nothing.

pub mod blocks;
pub mod check;
pub mod configuration;
pub mod explain;
mod names;
pub mod outline;
pub mod selection;
pub mod tree;
