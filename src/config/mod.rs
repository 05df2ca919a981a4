//! Configuration: where values come from, and what they mean.

pub mod source;
