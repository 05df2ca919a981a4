//! What others need to build a plan in our place [pure].

pub mod bake;
