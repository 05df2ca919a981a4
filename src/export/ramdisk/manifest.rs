//! What is told of a ramdisk: its manifest and checksums.

use serde::Serialize;

/// A file of a ramdisk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RamdiskFile {
    /// Name of it, beside the manifest.
    pub file: String,
    /// Bytes of it.
    pub size: u64,
    /// SHA-256 of it, in hexadecimal digits.
    pub sha256: String,
}

/// The kernel of a ramdisk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RamdiskKernel {
    /// File that it was written to.
    #[serde(flatten)]
    pub written: RamdiskFile,
    /// Release of it, as `uname -r` tells it.
    pub release: String,
    /// Path of it in the image.
    pub path: String,
}

/// The initramfs of a ramdisk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RamdiskArchive {
    /// File that it was written to.
    #[serde(flatten)]
    pub written: RamdiskFile,
    /// Compression of its archives: `zstd`.
    pub compression: String,
    /// Bytes of its archives before compression: the memory that the unpacked files take.
    pub unpacked: u64,
    /// Files, directories and links in the image's archive.
    pub members: usize,
    /// Files, directories and links of each overlay, in the order in which they are unpacked.
    pub overlays: Vec<usize>,
}

/// Everything that is told of a ramdisk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RamdiskManifest {
    /// Name of the image that it was exported from.
    pub image: String,
    /// The engine's id of that image.
    pub image_id: String,
    /// Platform that it boots on.
    pub platform: String,
    /// No time in the archive is after this one, in seconds since 1970; none for the image's own times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_date_epoch: Option<u32>,
    /// Kernel that the machine boots.
    pub kernel: RamdiskKernel,
    /// File system that the kernel unpacks.
    pub initramfs: RamdiskArchive,
}

impl RamdiskManifest {
    /// As JSON, for programs.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// As `sha256sum --check` reads it.
    pub fn checksums(&self) -> String {
        let files = [&self.kernel.written, &self.initramfs.written];
        files.map(|file| format!("{}  {}\n", file.sha256, file.file)).concat()
    }
}
