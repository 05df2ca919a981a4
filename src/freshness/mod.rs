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

/// The label that carries an image's content key.
pub const KEY_LABEL: &str = "kolla-build.key";
/// The label that carries the engine's id of the image it was built on. The key alone would not tell that a parent was
/// built anew from the same inputs, with newer packages in it.
pub const PARENT_LABEL: &str = "kolla-build.parent";
/// The label that carries the ids of the other images that its Dockerfile names, in their order.
pub const NAMED_LABEL: &str = "kolla-build.named";
