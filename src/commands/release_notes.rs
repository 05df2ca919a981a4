//! `--release-notes`: what has changed from one release to another.

use crate::config::resolved::ReleaseNotes;
use crate::error::Fatal;
use crate::session::Session;

/// Tells what has changed; gives the exit code.
pub fn tell(_session: &Session, _releases: &ReleaseNotes) -> Result<u8, Fatal> {
    Ok(0)
}
