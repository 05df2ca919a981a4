//! Where two images differ, and by which packages [pure].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::causes;
use super::index::FileIndex;
use super::inode::{Inode, InodeKind};
use super::packages::{ImagePackages, OwnerName};

/// Something in which two images differ under a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathDifference {
    /// Only the first image has something there.
    OnlyInA,
    /// Only the second one has.
    OnlyInB,
    /// One is a file, say, the other a directory.
    Type,
    /// The content of a file.
    Content,
    /// What a symbolic link leads to.
    Target,
    /// The numbers of a device.
    Device,
    /// Permission bits.
    Mode,
    /// User or group.
    Owner,
    /// Capabilities of a file.
    Capabilities,
    /// Time of the last change.
    Time,
}

impl PathDifference {
    /// Every one, in the order in which they are told.
    pub const ALL: [PathDifference; 10] = [
        PathDifference::OnlyInA,
        PathDifference::OnlyInB,
        PathDifference::Type,
        PathDifference::Content,
        PathDifference::Target,
        PathDifference::Device,
        PathDifference::Mode,
        PathDifference::Owner,
        PathDifference::Capabilities,
        PathDifference::Time,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            PathDifference::OnlyInA => "only in A",
            PathDifference::OnlyInB => "only in B",
            PathDifference::Type => "type",
            PathDifference::Content => "content",
            PathDifference::Target => "target",
            PathDifference::Device => "device",
            PathDifference::Mode => "mode",
            PathDifference::Owner => "owner",
            PathDifference::Capabilities => "capabilities",
            PathDifference::Time => "time",
        }
    }
}

impl Serialize for PathDifference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// A path under which two images differ.
#[derive(Debug, Clone, Serialize)]
pub struct DifferingPath<'a> {
    /// The path, from the root on.
    pub path: String,
    /// In what they differ there; never empty.
    pub differs: Vec<PathDifference>,
    /// What the first image has there.
    pub a: Option<&'a Inode>,
    /// What the second one has there.
    pub b: Option<&'a Inode>,
    /// Cause of it, when it is known for certain.
    pub cause: Option<&'static str>,
    /// Of a directory that only one image has: paths below it that no package has, and that are not listed.
    pub below: usize,
}

/// Differences within what belongs together.
#[derive(Debug, Clone, Serialize)]
pub struct OwnedDifferences<'a> {
    /// What it belongs to.
    #[serde(flatten)]
    pub owner: OwnerName,
    /// The version that the first image has of it, if that is known.
    pub version_a: Option<String>,
    /// The one that the second image has.
    pub version_b: Option<String>,
    /// The paths, in their order.
    pub paths: Vec<DifferingPath<'a>>,
}

/// All in which two images differ.
#[derive(Debug, Clone, Serialize)]
pub struct ImageComparison<'a> {
    /// True when nothing differs that was looked at.
    pub same: bool,
    /// Paths in both images together.
    pub paths: usize,
    /// Paths under which they differ.
    pub differing: usize,
    /// Those of which the cause is known.
    pub explained: usize,
    /// Paths by what differs there.
    pub counts: BTreeMap<PathDifference, usize>,
    /// Paths with another time in each; they make no difference unless that was asked for.
    pub times: usize,
    /// The differences, by what they belong to.
    pub owners: Vec<OwnedDifferences<'a>>,
}

/// Compares two images; with `times`, those of last changes too.
pub fn compare<'a>(a: &'a FileIndex, b: &'a FileIndex, times: bool) -> ImageComparison<'a> {
    let all: BTreeSet<&[u8]> = a.inodes.keys().chain(b.inodes.keys()).map(Vec::as_slice).collect();
    let (mut found, mut other_times) = (Vec::new(), 0);
    let mut counts: BTreeMap<PathDifference, usize> = BTreeMap::new();
    for path in &all {
        let (one, other) = (a.inodes.get(*path), b.inodes.get(*path));
        let mut differs = differences(one, other);
        if differs.contains(&PathDifference::Time) {
            other_times += 1;
            differs.retain(|it| times || *it != PathDifference::Time);
        }
        if !differs.is_empty() {
            differs.iter().for_each(|it| *counts.entry(*it).or_default() += 1);
            found.push((*path, differs, one, other));
        }
    }
    let differing = found.len();
    let mut owners = by_owner(a, b, found);
    owners.sort_by(|one, other| one.owner.cmp(&other.owner));
    let listed = owners.iter().flat_map(|owned| &owned.paths);
    let explained = listed.filter(|path| path.cause.is_some()).map(|path| 1 + path.below).sum();
    let same = differing == 0;
    ImageComparison { same, paths: all.len(), differing, explained, counts, times: other_times, owners }
}

type UnownedPath<'a> = (&'a [u8], Vec<PathDifference>, Option<&'a Inode>, Option<&'a Inode>);

fn by_owner<'a>(a: &FileIndex, b: &FileIndex, found: Vec<UnownedPath<'a>>) -> Vec<OwnedDifferences<'a>> {
    let paths = found.iter().map(|(path, ..)| *path).collect();
    let images = [a, b].map(|index| ImagePackages::of(index, &paths));
    let mut owned: BTreeMap<OwnerName, Vec<DifferingPath>> = BTreeMap::new();
    // Directories that only one image has and no package: where each, or the one that it is below, is listed.
    let mut alone: HashMap<&[u8], (OwnerName, usize)> = HashMap::new();
    for (path, differs, one, other) in found {
        // What only one image has belongs to that one's package, and the rest to whoever had it first.
        let owner = images.iter().find_map(|image| image.owner(path)).cloned();
        let is_unowned = owner.is_none();
        let owner = owner.unwrap_or_else(|| OwnerName::Directory(directory(path)));
        if is_unowned && let Some((top, at)) = alone.get(parent(path)).cloned() {
            if let Some(listed) = owned.get_mut(&top).and_then(|listed| listed.get_mut(at)) {
                listed.below += 1;
            }
            alone.insert(path, (top, at));
            continue;
        }
        let listed = owned.entry(owner.clone()).or_default();
        let is_directory = |inode: &Inode| inode.kind == InodeKind::Directory;
        if is_unowned && one.xor(other).is_some_and(is_directory) {
            alone.insert(path, (owner, listed.len()));
        }
        let cause = causes::cause(path, one, other);
        let path = format!("/{}", String::from_utf8_lossy(path));
        listed.push(DifferingPath { path, differs, a: one, b: other, cause, below: 0 });
    }
    let [of_a, of_b] = images;
    let version = |image: &ImagePackages, owner: &OwnerName| image.version(owner).map(str::to_string);
    let differences = |(owner, paths)| OwnedDifferences {
        version_a: version(&of_a, &owner),
        version_b: version(&of_b, &owner),
        owner,
        paths,
    };
    owned.into_iter().map(differences).collect()
}

fn directory(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(parent(path)))
}

fn parent(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    slash.map_or(b"", |slash| &path[..slash])
}

fn differences(one: Option<&Inode>, other: Option<&Inode>) -> Vec<PathDifference> {
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (Some(_), None) => return vec![PathDifference::OnlyInA],
        (None, _) => return vec![PathDifference::OnlyInB],
    };
    let mut found: Vec<PathDifference> = of_kind(&one.kind, &other.kind).into_iter().collect();
    let mut look = |differs: bool, what| found.extend(differs.then_some(what));
    // Of a link only its target counts: Linux knows no other mode of one.
    let is_link = matches!(one.kind, InodeKind::Link(_));
    look(one.mode != other.mode && !is_link, PathDifference::Mode);
    look((one.uid, one.gid) != (other.uid, other.gid), PathDifference::Owner);
    look(one.capabilities != other.capabilities, PathDifference::Capabilities);
    look(one.mtime != other.mtime, PathDifference::Time);
    found
}

fn of_kind(one: &InodeKind, other: &InodeKind) -> Option<PathDifference> {
    match (one, other) {
        (InodeKind::File { sha256: one, .. }, InodeKind::File { sha256: other, .. }) => {
            (one != other).then_some(PathDifference::Content)
        }
        (InodeKind::Link(one), InodeKind::Link(other)) => (one != other).then_some(PathDifference::Target),
        _ if one == other => None,
        _ if one.word() == other.word() => Some(PathDifference::Device),
        _ => Some(PathDifference::Type),
    }
}

#[cfg(test)]
mod tests {
    use tar::EntryType::{Char, Directory, Regular, Symlink};

    use super::super::index::testing::{archive, index};
    use super::*;

    #[test]
    fn each_kind_of_difference_is_told_once() {
        let read = |entries: &[(&str, tar::EntryType, &[u8], u32)]| {
            FileIndex::read(&archive(entries)[..]).expect("an archive")
        };
        let a = read(&[
            ("a", Regular, b"1", 0o644),
            ("gone", Regular, b"", 0o644),
            ("link", Symlink, b"x", 0o777),
            ("mode", Directory, b"", 0o755),
            ("same", Regular, b"1", 0o600),
            ("type", Directory, b"", 0o755),
        ]);
        let b = read(&[
            ("a", Regular, b"2", 0o600),
            ("link", Symlink, b"y", 0o644),
            ("mode", Directory, b"", 0o700),
            ("new", Char, b"", 0o600),
            ("same", Regular, b"1", 0o600),
            ("type", Regular, b"", 0o755),
        ]);
        let found = compare(&a, &b, false);
        let paths = found.owners.iter().flat_map(|owned| &owned.paths);
        let told: Vec<String> = paths
            .map(|it| {
                format!("{} {}", it.path, it.differs.iter().map(|it| it.word()).collect::<Vec<_>>().join("+"))
            })
            .collect();
        let expected = [
            "/a content+mode",
            "/gone only in A",
            "/link target",
            "/mode mode",
            "/new only in B",
            "/type type",
        ];
        assert_eq!(told, expected);
        assert_eq!((found.same, found.paths, found.differing, found.times), (false, 7, 6, 0));
        assert!(compare(&a, &a, true).same);
    }

    #[test]
    fn times_count_only_when_they_are_asked_for() {
        let a = index(&[("var/log/x", b"1"), ("y", b"1")]);
        let mut b = index(&[("var/log/x", b"1"), ("y", b"1")]);
        for inode in b.inodes.values_mut() {
            (inode.mtime, inode.uid) = (7, inode.uid);
        }
        let found = compare(&a, &b, false);
        assert_eq!((found.same, found.differing, found.times), (true, 0, 2));
        let found = compare(&a, &b, true);
        assert_eq!((found.same, found.differing, found.explained), (false, 2, 1));
        for inode in b.inodes.values_mut() {
            inode.gid = 5;
        }
        assert_eq!(compare(&a, &b, false).counts, [(PathDifference::Owner, 2)].into());
    }

    #[test]
    fn a_directory_of_one_image_alone_stands_for_what_is_in_it() {
        let list: (&str, tar::EntryType, &[u8], u32) =
            ("var/lib/dpkg/info/p.list", Regular, b"/new/of/p\n", 0o644);
        let entries = [
            ("new", Directory),
            ("new-too", Regular),
            ("new/a", Regular),
            ("new/of", Directory),
            ("new/of/p", Regular),
            ("new/of/q", Regular),
        ];
        let entries = entries.map(|(path, kind)| (path, kind, &b""[..], 0o755));
        let a = FileIndex::read(&archive(&[&entries[..], &[list]].concat())[..]).expect("an archive");
        let b = FileIndex::read(&archive(&[list])[..]).expect("an archive");
        let found = compare(&a, &b, false);
        let told: Vec<_> =
            found.owners.iter().flat_map(|owned| &owned.paths).map(|it| (&*it.path, it.below)).collect();
        assert_eq!(told, [("/new/of/p", 0), ("/new", 3), ("/new-too", 0)]);
        assert_eq!(found.differing, 6);
    }

    #[test]
    fn devices_and_capabilities_differ() {
        let a = index(&[("x", b"1")]);
        let mut b = index(&[("x", b"1")]);
        b.inodes.values_mut().for_each(|inode| inode.capabilities = vec![1]);
        assert_eq!(compare(&a, &b, false).counts, [(PathDifference::Capabilities, 1)].into());
        let device = |minor| InodeKind::CharacterDevice(1, minor);
        assert_eq!(of_kind(&device(3), &device(5)), Some(PathDifference::Device));
        assert_eq!(of_kind(&device(3), &InodeKind::BlockDevice(1, 3)), Some(PathDifference::Type));
    }
}
