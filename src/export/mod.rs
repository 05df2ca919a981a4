//! Plans in the form of other programs that build them [pure].

pub mod bake;
mod github;
mod gitlab;
pub mod jobs;
pub mod pipeline;
pub mod tiers;
mod zuul;
