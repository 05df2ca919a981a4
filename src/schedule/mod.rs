//! The scheduler: what runs when, with how many at once, how often again, and when to stop.

pub mod ahead;
pub mod contexts;
pub mod failures;
pub mod history;
pub mod image;
pub mod lists;
pub mod memory;
pub mod places;
pub mod pushes;
pub mod queue;
pub mod remote;
pub mod run;
pub mod tries;
pub mod worker;
