//! The scheduler: what runs when, with how many at once, how often again, and when to stop. It knows no image.

pub mod gate;
pub mod history;
pub mod pushes;
pub mod queue;
pub mod run;
pub mod slots;
pub mod tries;
pub mod worker;
