//! Names of the files that an export of a ramdisk writes.

use crate::model::platform::Platform;

/// Names of an image's files for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamdiskFiles {
    /// Kernel that the machine boots.
    pub kernel: String,
    /// File system that the kernel unpacks.
    pub initramfs: String,
    /// Checksums of both, as `sha256sum --check` reads them.
    pub checksums: String,
    /// Description of both.
    pub manifest: String,
}

impl RamdiskFiles {
    /// The names for an image.
    pub fn of(image: &str, platform: Platform) -> RamdiskFiles {
        let name = |ending: &str| format!("{image}-{}.{ending}", platform.arch.kolla());
        RamdiskFiles {
            kernel: name("kernel"),
            initramfs: name("initramfs"),
            checksums: name("sha256"),
            manifest: name("json"),
        }
    }

    /// All of them.
    pub fn names(&self) -> [&str; 4] {
        [&self.kernel, &self.initramfs, &self.checksums, &self.manifest]
    }
}
