//! Plans in the form of other programs that build them, and images in the form that machines boot [pure].

pub mod bake;
mod github;
mod gitlab;
pub mod jobs;
pub mod pipeline;
pub mod ramdisk;
pub mod tiers;
mod zuul;
