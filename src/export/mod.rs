//! What others need to build a plan in our place [pure].

pub mod bake;
mod github;
mod gitlab;
pub mod jobs;
pub mod pipeline;
pub mod tiers;
mod zuul;
