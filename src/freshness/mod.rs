//! Whether an image is up to date, and if not, why: asked and decided in one place.
//!
//! A [`recipe`] says what an image is made from, an [`inquiry`] asks what that is today, and [`decide`] tells what it
//! means. A build, `--plan` and `--verify-registry` differ only in whom they may ask and in what they do with the answer.

pub mod bases;
pub mod decide;
pub mod inquiry;
pub mod key;
pub mod lock;
pub mod lookup;
pub mod recipe;
pub mod record;
pub mod records;
pub mod survey;
