//! The file system of an initramfs: what of an image belongs into it, and in which order.

use std::collections::{BTreeMap, HashMap};

use super::cpio::CpioHeader;

const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;
const FIFO: u32 = 0o010_000;

/// Directories that stay, without what an image has in them: file systems of the kernel, and what boots a machine
/// from its disk.
const EMPTIED: [&[u8]; 4] = [b"boot/", b"dev/", b"proc/", b"sys/"];

/// Files by which engines tell programs that they run in a container: systemd would take the machine for one.
const OF_CONTAINERS: [&[u8]; 2] = [b".dockerenv", b"run/.containerenv"];

/// Directories that an init mounts file systems on.
const MOUNT_POINTS: [&[u8]; 4] = [b"dev", b"proc", b"run", b"sys"];

/// Nodes that programs need before there is a udev: name, permissions, numbers.
const DEVICES: [(&[u8], u32, (u32, u32)); 7] = [
    // The kernel opens it for init.
    (b"dev/console", 0o600, (5, 1)),
    (b"dev/full", 0o666, (1, 7)),
    (b"dev/null", 0o666, (1, 3)),
    (b"dev/random", 0o666, (1, 8)),
    (b"dev/tty", 0o666, (5, 0)),
    (b"dev/urandom", 0o666, (1, 9)),
    (b"dev/zero", 0o666, (1, 5)),
];

/// Where images have what is to run first.
const INITS: [&str; 4] = ["sbin/init", "usr/sbin/init", "usr/lib/systemd/systemd", "lib/systemd/systemd"];

/// Content of a file, by where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeContent {
    /// None: no regular file, or an empty one.
    Empty,
    /// The target of a symbolic link.
    Text(Vec<u8>),
    /// So many bytes of the spooled file system, from an offset on.
    Spooled {
        /// Offset of the first byte.
        offset: u64,
        /// How many there are.
        size: u32,
    },
    /// So many bytes of a file on disk, by its number in the list of an overlay's files.
    OnDisk {
        /// Number of the file.
        file: usize,
        /// How many bytes it had.
        size: u32,
    },
}

impl NodeContent {
    fn size(&self) -> u32 {
        match self {
            NodeContent::Empty => 0,
            NodeContent::Text(text) => u32::try_from(text.len()).unwrap_or(u32::MAX),
            NodeContent::Spooled { size, .. } | NodeContent::OnDisk { size, .. } => *size,
        }
    }
}

/// A file, directory, link or node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNode {
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Time of its last change.
    pub mtime: u32,
    /// Numbers of a device node.
    pub device: (u32, u32),
    /// Content of it.
    pub content: NodeContent,
}

impl TreeNode {
    fn new(mode: u32, content: NodeContent) -> TreeNode {
        TreeNode { mode, uid: 0, gid: 0, mtime: 0, device: (0, 0), content }
    }

    /// A directory of root's.
    pub fn directory(permissions: u32) -> TreeNode {
        TreeNode::new(DIRECTORY | permissions, NodeContent::Empty)
    }

    /// A regular file of root's.
    pub fn file(permissions: u32, content: NodeContent) -> TreeNode {
        TreeNode::new(REGULAR | permissions, content)
    }

    /// A symbolic link.
    pub fn link(target: Vec<u8>) -> TreeNode {
        TreeNode::new(SYMLINK | 0o777, NodeContent::Text(target))
    }

    fn is(&self, kind: u32) -> bool {
        self.mode & TYPE == kind
    }
}

/// Type bits of a tar member that is none of the links; none for kinds that no file system has.
pub fn type_bits(kind: tar::EntryType) -> Option<u32> {
    Some(match kind {
        tar::EntryType::Directory => DIRECTORY,
        tar::EntryType::Regular | tar::EntryType::Continuous => REGULAR,
        tar::EntryType::Symlink => SYMLINK,
        tar::EntryType::Char => CHARACTER,
        tar::EntryType::Block => BLOCK,
        tar::EntryType::Fifo => FIFO,
        _ => return None,
    })
}

/// Why an image is none that a machine can boot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    /// Nothing for a machine to boot.
    #[error("it has no kernel: nothing is at /boot/vmlinuz-* or /usr/lib/modules/*/vmlinuz")]
    NoKernel,
    /// Nothing for the kernel to start.
    #[error("it has no init: none of /init, /{} is there", INITS.join(", /"))]
    NoInit,
    /// A hard link to nothing.
    #[error("/{link} is a hard link to /{target}, which is not there")]
    LostLink {
        /// Name of the link.
        link: String,
        /// Name that it leads to.
        target: String,
    },
    /// An overlay that would put a directory in the place of a link.
    #[error(
        "/{name} is a directory in the overlay and a link to {target} in the image: put its content there"
    )]
    OverLink {
        /// Name of both.
        name: String,
        /// Target of the image's link.
        target: String,
    },
}

/// Times that files of an initramfs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryTimes {
    /// Time of all that has no content: engines make some of it anew for every export.
    pub made: u32,
    /// No file's time is after it. Python loads what it has compiled only beside a file of the same time, so times stay.
    pub latest: u32,
}

/// Paths and what they lead to, in order: directories before what is in them.
#[derive(Debug, Clone, Default)]
pub struct FileTree {
    nodes: BTreeMap<Vec<u8>, TreeNode>,
    /// Names of files whose first name is another, by that name.
    hard_links: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpioMember {
    /// Header of it.
    pub header: CpioHeader,
    /// Content that follows it.
    pub content: NodeContent,
}

/// The kernel of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKernel {
    /// Path of it in the image.
    pub path: String,
    /// Release of it, as in the names of its modules' directory.
    pub release: String,
    /// Place of it.
    pub content: NodeContent,
}

impl FileTree {
    /// Adds a file, in place of what had its name.
    pub fn add(&mut self, name: &[u8], node: TreeNode) {
        let name = normal(name);
        if !name.is_empty() {
            self.hard_links.remove(&name);
            self.nodes.insert(name, node);
        }
    }

    /// Adds another name of a file.
    pub fn add_hard_link(&mut self, name: &[u8], target: &[u8]) {
        let name = normal(name);
        self.nodes.remove(&name);
        self.hard_links.insert(name, normal(target));
    }

    /// The kernel with the highest release.
    ///
    /// # Errors
    /// There is none.
    pub fn kernel(&self) -> Result<FoundKernel, TreeFault> {
        let kernels = self.nodes.iter().filter(|(_, node)| node.is(REGULAR)).filter_map(|(name, node)| {
            let path = String::from_utf8(name.clone()).ok()?;
            let release = release_of(&path)?.to_string();
            Some(FoundKernel { path, release, content: node.content.clone() })
        });
        kernels.max_by_key(|kernel| sort_key(&kernel.release)).ok_or(TreeFault::NoKernel)
    }

    /// Makes of an image's file system that of an initramfs.
    ///
    /// # Errors
    /// There is nothing that the kernel could start.
    pub fn into_initramfs(mut self, times: EntryTimes) -> Result<FileTree, TreeFault> {
        self.check_links()?;
        self.resolve_lost_first_names();
        self.nodes.retain(|name, _| stays(name));
        self.hard_links.retain(|name, _| stays(name));
        for name in MOUNT_POINTS {
            self.nodes.entry(name.to_vec()).or_insert_with(|| TreeNode::directory(0o755));
        }
        for (name, permissions, device) in DEVICES {
            let node = TreeNode::new(CHARACTER | permissions, NodeContent::Empty);
            self.add(name, TreeNode { device, ..node });
        }
        if !self.has("init") {
            let init = INITS.into_iter().find(|init| self.has(init)).ok_or(TreeFault::NoInit)?;
            self.add(b"init", TreeNode::link(init.as_bytes().to_vec()));
        }
        for node in self.nodes.values_mut() {
            let has_content = matches!(node.content, NodeContent::Spooled { .. });
            node.mtime = if has_content { node.mtime.min(times.latest) } else { times.made };
        }
        Ok(self)
    }

    /// Makes this tree one that is unpacked over another, whose directories stay as they are. Every time is `time`.
    ///
    /// # Errors
    /// A directory would take the place of a link, and with it all that is found through the link.
    pub fn into_overlay_of(mut self, below: &FileTree, time: u32) -> Result<FileTree, TreeFault> {
        for (name, node) in &mut self.nodes {
            node.mtime = time;
            match below.nodes.get(name) {
                Some(under) if node.is(DIRECTORY) && under.is(DIRECTORY) => *node = under.clone(),
                Some(TreeNode { content: NodeContent::Text(target), .. }) if node.is(DIRECTORY) => {
                    return Err(TreeFault::OverLink { name: text(name), target: text(target) });
                }
                _ => {}
            }
        }
        Ok(self)
    }

    /// The members of an archive of it, in order, with the same numbers for the same tree.
    pub fn members(&self) -> Vec<CpioMember> {
        let mut names: HashMap<&[u8], u32> = HashMap::new();
        for target in self.hard_links.values() {
            *names.entry(target).or_insert(1) += 1;
        }
        let mut all: Vec<(&[u8], &[u8])> = self.nodes.keys().map(|name| (&name[..], &name[..])).collect();
        all.extend(self.hard_links.iter().map(|(name, first)| (&name[..], &first[..])));
        all.sort_unstable();
        let mut inodes: HashMap<&[u8], (u32, u32)> = HashMap::new();
        let mut next = 0;
        let member = |(name, first)| {
            let node = self.nodes.get::<[u8]>(first)?;
            let links = names.get(first).copied().unwrap_or(1);
            let (inode, seen) = inodes.entry(first).or_insert_with(|| {
                next += 1;
                (next, 0)
            });
            *seen += 1;
            // Of several names the last one has the content, as cpio writes it.
            let content = if *seen == links { node.content.clone() } else { NodeContent::Empty };
            let header = CpioHeader {
                name: <[u8]>::to_vec(name),
                inode: *inode,
                mode: node.mode,
                uid: node.uid,
                gid: node.gid,
                links,
                mtime: node.mtime,
                size: content.size(),
                device: node.device,
            };
            Some(CpioMember { header, content })
        };
        all.into_iter().filter_map(member).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.nodes.contains_key(name.as_bytes()) || self.hard_links.contains_key(name.as_bytes())
    }

    fn check_links(&self) -> Result<(), TreeFault> {
        match self.hard_links.iter().find(|(_, target)| !self.nodes.contains_key(*target)) {
            Some((link, target)) => Err(TreeFault::LostLink { link: text(link), target: text(target) }),
            None => Ok(()),
        }
    }

    /// Gives files whose first name does not stay another of their names as the first.
    fn resolve_lost_first_names(&mut self) {
        let mut renamed: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for (name, first) in &mut self.hard_links {
            if stays(first) || !stays(name) {
                continue;
            }
            match renamed.get(first) {
                Some(new) => *first = new.clone(),
                None => {
                    renamed.insert(first.clone(), name.clone());
                }
            }
        }
        for (first, new) in renamed {
            self.hard_links.remove(&new);
            if let Some(node) = self.nodes.remove(&first) {
                self.nodes.insert(new, node);
            }
        }
    }
}

fn stays(name: &[u8]) -> bool {
    !OF_CONTAINERS.contains(&name) && !EMPTIED.iter().any(|directory| name.starts_with(directory))
}

/// A path without what leads nowhere: `./`, `/`.
fn normal(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Release of a kernel, by the name of its file.
fn release_of(path: &str) -> Option<&str> {
    if let Some(release) = path.strip_prefix("boot/vmlinuz-").filter(|release| !release.contains('/')) {
        return Some(release);
    }
    let modules = path.strip_prefix("usr/").unwrap_or(path).strip_prefix("lib/modules/")?;
    modules.strip_suffix("/vmlinuz").filter(|release| !release.contains('/'))
}

/// Parts of a version, with numbers as numbers.
fn sort_key(version: &str) -> Vec<(u64, String)> {
    let mut key = Vec::new();
    let mut rest = version;
    while !rest.is_empty() {
        let words = rest.find(|sign: char| sign.is_ascii_digit()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(words);
        let digits = after.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(after.len());
        let (number, after) = after.split_at(digits);
        key.push((0, word.to_string()));
        key.push((number.parse().unwrap_or(0), String::new()));
        rest = after;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: EntryTimes = EntryTimes { made: 0, latest: 0 };

    fn spooled(offset: u64, size: u32) -> TreeNode {
        TreeNode { mtime: 50, ..TreeNode::file(0o644, NodeContent::Spooled { offset, size }) }
    }

    fn image(names: &[&str]) -> FileTree {
        let mut tree = FileTree::default();
        for name in names {
            match name.strip_suffix('/') {
                Some(directory) => tree.add(directory.as_bytes(), TreeNode::directory(0o755)),
                None => tree.add(name.as_bytes(), spooled(0, 1)),
            }
        }
        tree
    }

    fn names(tree: &FileTree) -> Vec<String> {
        tree.members().iter().map(|member| text(&member.header.name)).collect()
    }

    #[test]
    fn what_is_no_part_of_a_booted_system_is_left_out() {
        let tree = image(&[
            ".dockerenv",
            "./etc/",
            "/etc/hosts",
            "boot/",
            "boot/vmlinuz-1",
            "dev/",
            "dev/console",
            "dev/pts/",
            "usr/sbin/init",
            "var/boot/x",
        ]);
        let tree = tree.into_initramfs(EntryTimes { made: 30, latest: 40 }).expect("an init");
        insta::assert_snapshot!(names(&tree).join(" "), @"boot dev dev/console dev/full dev/null dev/random dev/tty dev/urandom dev/zero etc etc/hosts init proc run sys usr/sbin/init var/boot/x");
        let members = tree.members();
        let console = members.iter().find(|it| it.header.name == b"dev/console").expect("a console");
        assert_eq!((console.header.mode, console.header.device), (0o020_600, (5, 1)));
        let init = members.iter().find(|it| it.header.name == b"init").expect("an init");
        assert_eq!(init.content, NodeContent::Text(b"usr/sbin/init".to_vec()));
        let times: Vec<u32> =
            [1, 10].map(|at| members[members.len() - at].header.mtime).into_iter().collect();
        assert_eq!(times, [40, 30], "of a file, and of a node");
    }

    #[test]
    fn an_init_of_the_image_stays_and_none_is_an_error() {
        let own = image(&["init", "sbin/init"]).into_initramfs(TIMES).expect("an init");
        let init = own.members().into_iter().find(|it| it.header.name == b"init").expect("an init");
        assert_eq!(init.header.mode, 0o100_644);
        assert_eq!(image(&["etc/hosts"]).into_initramfs(TIMES).map(|_| ()), Err(TreeFault::NoInit));
    }

    #[test]
    fn the_order_in_which_an_engine_sends_does_not_matter() {
        let sent = ["b/", "a/", "a/c", "a-b", "init"];
        let mut other = sent;
        other.reverse();
        let [first, second] = [sent, other].map(|sent| image(&sent).into_initramfs(TIMES).expect("an init"));
        assert_eq!(first.members(), second.members());
        let found = names(&first);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
        let numbers: Vec<u32> = first.members().iter().map(|it| it.header.inode).collect();
        assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn files_with_several_names_have_their_content_once() {
        let mut tree = image(&["init"]);
        tree.add(b"b", spooled(512, 7));
        tree.add_hard_link(b"a", b"./b");
        tree.add_hard_link(b"c", b"/b");
        let members = tree.members();
        let told: Vec<_> =
            members.iter().map(|it| (text(&it.header.name), it.header.links, it.header.size)).collect();
        let expected = [("a", 3, 0), ("b", 3, 0), ("c", 3, 7), ("init", 1, 1)];
        assert_eq!(told, expected.map(|(name, links, size)| (name.to_string(), links, size)));
        let inodes: Vec<u32> = members.iter().map(|it| it.header.inode).collect();
        assert_eq!(inodes, [1, 1, 1, 2]);
    }

    #[test]
    fn a_file_whose_first_name_goes_keeps_the_others() {
        let mut tree = image(&["init"]);
        tree.add(b"boot/grub", spooled(512, 7));
        tree.add_hard_link(b"usr/a", b"boot/grub");
        tree.add_hard_link(b"usr/b", b"boot/grub");
        let members = tree.into_initramfs(TIMES).expect("an init").members();
        let told: Vec<_> = members
            .iter()
            .filter(|it| it.header.name.starts_with(b"usr/"))
            .map(|it| (text(&it.header.name), it.header.links, it.header.size))
            .collect();
        assert_eq!(told, [("usr/a".to_string(), 2, 0), ("usr/b".to_string(), 2, 7)]);
        let mut lost = image(&["init"]);
        lost.add_hard_link(b"a", b"nowhere");
        let error = lost.into_initramfs(TIMES).map(|_| ()).expect_err("a link to nothing");
        assert_eq!(error.to_string(), "/a is a hard link to /nowhere, which is not there");
    }

    #[test]
    fn of_several_kernels_the_newest_is_booted() {
        let tree =
            image(&["boot/vmlinuz-6.9.1-a", "boot/vmlinuz-6.12.4-a", "boot/config-7", "boot/vmlinuz-5/x"]);
        let kernel = tree.kernel().expect("a kernel");
        assert_eq!((kernel.path.as_str(), kernel.release.as_str()), ("boot/vmlinuz-6.12.4-a", "6.12.4-a"));
        let rocky = image(&["usr/lib/modules/6.12.0-1.el10/vmlinuz"]).kernel().expect("a kernel");
        assert_eq!(rocky.release, "6.12.0-1.el10");
        assert_eq!(image(&["boot/"]).kernel(), Err(TreeFault::NoKernel));
    }

    #[test]
    fn an_overlay_leaves_the_image_s_directories_as_they_are() {
        let mut below = image(&["etc/", "init"]);
        below.add(b"lib", TreeNode::link(b"usr/lib".to_vec()));
        let mut over = FileTree::default();
        over.add(b"etc", TreeNode::directory(0o700));
        over.add(b"etc/new", TreeNode::directory(0o750));
        let told = over.clone().into_overlay_of(&below, 5).expect("fits").members();
        assert_eq!(told.iter().map(|it| it.header.mode).collect::<Vec<_>>(), [0o040_755, 0o040_750]);
        over.add(b"lib", TreeNode::directory(0o755));
        let error = over.into_overlay_of(&below, 5).map(|_| ()).expect_err("would replace the link");
        assert!(error.to_string().starts_with("/lib is a directory in the overlay and a link to usr/lib"));
    }
}
