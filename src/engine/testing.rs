//! What tests of engines share.

use std::path::PathBuf;

use super::BuildRequest;
use crate::platform::Platform;

/// A request for an image that is built on nothing, with BuildKit.
pub fn request(tag: &str, platform: Platform) -> BuildRequest {
    BuildRequest {
        context: PathBuf::from("/nowhere"),
        mtime: 0,
        tag: tag.to_string(),
        parent: None,
        platform,
        pull: false,
        no_cache: false,
        keep: false,
        buildkit: true,
        network_mode: String::new(),
        build_args: Default::default(),
        labels: Default::default(),
        secrets: Default::default(),
        squash: false,
        cache_from: Vec::new(),
        inline_cache: false,
    }
}
