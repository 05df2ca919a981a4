//! Small file systems in memory, for disks that fill up.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system; it goes with this value.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts one; this user must be allowed to.
    pub fn new(at: PathBuf, options: &str) -> Mount {
        std::fs::create_dir(&at).expect("a directory");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&at).output();
        let mounted = mounted.expect("mount");
        assert!(mounted.status.success(), "this needs a user that may mount: {mounted:?}");
        Mount(at)
    }

    /// Directory where it is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Changes its options.
    pub fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.expect("mount").success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
