//! What there is under a path of an image [pure].

use serde::{Serialize, Serializer};

use crate::util::hex::hex;

/// Kind of what is under a path, with what only this kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InodeKind {
    /// A regular file.
    File {
        /// Bytes of its content.
        size: u64,
        /// SHA-256 of its content.
        sha256: [u8; 32],
        /// SHA-256 of its content but for a time that it holds; none of a format that is not known to hold one.
        timeless: Option<[u8; 32]>,
    },
    /// A directory.
    Directory,
    /// A symbolic link, with its target.
    Link(Vec<u8>),
    /// A character device, with its numbers.
    CharacterDevice(u32, u32),
    /// A block device, with its numbers.
    BlockDevice(u32, u32),
    /// A named pipe.
    Pipe,
}

impl InodeKind {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            InodeKind::File { .. } => "file",
            InodeKind::Directory => "directory",
            InodeKind::Link(_) => "link",
            InodeKind::CharacterDevice(..) => "character device",
            InodeKind::BlockDevice(..) => "block device",
            InodeKind::Pipe => "pipe",
        }
    }
}

/// What is under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Kind, with the content.
    pub kind: InodeKind,
    /// Permission bits.
    pub mode: u32,
    /// Number of its user.
    pub uid: u64,
    /// Number of its group.
    pub gid: u64,
    /// Time of its last change, in seconds since 1970.
    pub mtime: u64,
    /// File capabilities, as the kernel keeps them; empty without any.
    pub capabilities: Vec<u8>,
}

/// The same, as it is shown.
#[derive(Serialize)]
struct ShownInode<'a> {
    kind: &'a str,
    mode: String,
    uid: u64,
    gid: u64,
    mtime: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<String>,
}

impl Serialize for Inode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut size, mut sha256, mut target, mut device) = Default::default();
        match &self.kind {
            InodeKind::File { size: bytes, sha256: digest, .. } => {
                (size, sha256) = (Some(*bytes), Some(hex(digest)));
            }
            InodeKind::Link(to) => target = Some(String::from_utf8_lossy(to).into_owned()),
            InodeKind::CharacterDevice(major, minor) | InodeKind::BlockDevice(major, minor) => {
                device = Some((*major, *minor));
            }
            InodeKind::Directory | InodeKind::Pipe => {}
        }
        ShownInode {
            kind: self.kind.word(),
            mode: format!("{:04o}", self.mode),
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            size,
            sha256,
            target,
            device,
            capabilities: (!self.capabilities.is_empty()).then(|| hex(&self.capabilities)),
        }
        .serialize(serializer)
    }
}
