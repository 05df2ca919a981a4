//! Bringing one image up to date: its sources, the build, the push, and what a failure was.

pub mod assemble;
pub mod contexts;
pub mod image_worker;
pub mod manifest_lists;
pub mod prefetch;
pub mod publish;
pub mod up_to_date;
