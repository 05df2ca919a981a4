//! What tests of engines share.

use std::path::Path;

use super::BuildRequest;
use crate::model::platform::Platform;

/// A request for an image that is built on nothing, with BuildKit.
pub fn request(tag: &str, platform: Platform) -> BuildRequest {
    BuildRequest::new(Path::new("/nowhere"), tag.parse().expect("a reference"), platform)
}
