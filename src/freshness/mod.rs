//! The one place that tells if an image is up to date, and if not, why.
//!
//! A [`recipe`] says what an image is made from; [`evaluate`] asks what that is today and what exists already, and
//! [`decide`] tells what it means.

pub mod answer;
pub mod bases;
pub mod decide;
pub mod evaluate;
pub mod evaluator;
pub mod evidence;
pub mod forecast;
pub mod images;
pub mod inputs;
pub mod key;
pub mod lock;
pub mod parents;
pub mod recipe;
pub mod record;
pub mod records;
