//! Packages that paths belong to, as dpkg and Python's installers have written it down [pure].

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::index::FileIndex;
use super::inode::InodeKind;
use super::package_files::{DPKG_DIVERSIONS, DPKG_LISTS, DPKG_STATUS, LIST, RECORD};

/// Directories at the root that distributions have moved into /usr, with a link in their place.
const MOVED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What a path belongs to. They come in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "name")]
pub enum OwnerName {
    /// A package of dpkg's.
    Deb(String),
    /// A distribution of Python's.
    Python(String),
    /// None that is known; the directory it is in.
    Directory(String),
}

/// The packages of an image, with those of its paths that were asked for.
pub struct ImagePackages {
    versions: HashMap<OwnerName, String>,
    owners: HashMap<Vec<u8>, OwnerName>,
}

impl ImagePackages {
    /// Reads what an image tells of its packages, for these paths.
    pub fn of(index: &FileIndex, paths: &BTreeSet<&[u8]>) -> ImagePackages {
        let mut found = ImagePackages { versions: HashMap::new(), owners: HashMap::new() };
        let moved = moved(index);
        let sources: Vec<Vec<u8>> = paths.iter().filter_map(|path| source_of(path)).collect();
        let with_sources: BTreeSet<&[u8]> =
            paths.iter().copied().chain(sources.iter().map(Vec::as_slice)).collect();
        let paths = &with_sources;
        // dpkg's word counts more: its packages may bring a RECORD, too.
        found.read_dpkg(index, paths, &moved);
        for (path, content) in &index.kept {
            let path = String::from_utf8_lossy(path);
            if let Some(distribution) = path.strip_suffix(RECORD) {
                found.read_record(distribution, &String::from_utf8_lossy(content), paths);
            }
        }
        found.add_byte_code(paths);
        found
    }

    /// The package that a path belongs to.
    pub fn owner(&self, path: &[u8]) -> Option<&OwnerName> {
        self.owners.get(path)
    }

    /// Version of a package, if the image has it.
    pub fn version(&self, owner: &OwnerName) -> Option<&str> {
        self.versions.get(owner).map(String::as_str)
    }

    fn read_dpkg(&mut self, index: &FileIndex, paths: &BTreeSet<&[u8]>, moved: &[&str]) {
        let text = |path: &str| index.kept.get(path.as_bytes()).map(|text| String::from_utf8_lossy(text));
        self.read_status(&text(DPKG_STATUS).unwrap_or_default());
        let diversions = text(DPKG_DIVERSIONS).unwrap_or_default();
        let diversions = diversions_of(&diversions);
        // Directories belong to many, and so to none.
        let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
        for (path, content) in &index.kept {
            let path = String::from_utf8_lossy(path);
            let name = path.strip_prefix(DPKG_LISTS).and_then(|name| name.strip_suffix(LIST));
            let Some(name) = name else { continue };
            let package = name.split(':').next().unwrap_or(name);
            for line in content.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"/")) {
                let diverted = diversions.get(line).filter(|diversion| diversion.by != package);
                let own = diverted.map_or(line, |diversion| diversion.to);
                let path = with_moved(own, moved);
                if paths.contains(&path[..]) {
                    *counts.entry(path.clone()).or_default() += 1;
                    self.owners.entry(path).or_insert_with(|| OwnerName::Deb(package.to_string()));
                }
            }
        }
        let is_directory =
            |path: &[u8]| index.inodes.get(path).is_some_and(|inode| inode.kind == InodeKind::Directory);
        self.owners.retain(|path, _| counts[path] == 1 || !is_directory(path));
    }

    fn read_status(&mut self, status: &str) {
        for paragraph in status.split("\n\n") {
            let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(package), Some(version)) = (field("Package: "), field("Version: ")) {
                self.versions.insert(OwnerName::Deb(package.to_string()), version.to_string());
            }
        }
    }

    /// Reads the files of a distribution; `distribution` is the path of its directory without the ending.
    fn read_record(&mut self, distribution: &str, record: &str, paths: &BTreeSet<&[u8]>) {
        let (site, name) = distribution.rsplit_once('/').unwrap_or(("", distribution));
        let (name, version) = name.split_once('-').unwrap_or((name, ""));
        let owner = OwnerName::Python(name.to_string());
        self.versions.insert(owner.clone(), version.to_string());
        // It does not name the directory that it is in.
        let directory = format!("/{distribution}.dist-info");
        for line in record.lines().chain([directory.as_str()]) {
            let Some(path) = joined(site, first_field(line)) else { continue };
            if paths.contains(path.as_bytes()) {
                self.owners.entry(path.into_bytes()).or_insert_with(|| owner.clone());
            }
        }
    }

    /// Byte code that nobody has written down belongs to who has its source.
    fn add_byte_code(&mut self, paths: &BTreeSet<&[u8]>) {
        for path in paths.iter().filter(|path| path.ends_with(b".pyc")) {
            let owner = source_of(path).and_then(|source| self.owners.get(&source)).cloned();
            if let Some(owner) = owner {
                self.owners.entry(path.to_vec()).or_insert(owner);
            }
        }
    }
}

/// A path that one package has moved another's file to.
struct Diversion<'a> {
    to: &'a [u8],
    by: &'a str,
}

/// The diverted paths, each with where its file is: three lines each.
fn diversions_of(text: &str) -> HashMap<&[u8], Diversion<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut diversions = HashMap::new();
    for [from, to, by] in lines.as_chunks::<3>().0 {
        if let (Some(from), Some(to)) = (from.strip_prefix('/'), to.strip_prefix('/')) {
            diversions.insert(from.as_bytes(), Diversion { to: to.as_bytes(), by });
        }
    }
    diversions
}

/// The source that byte code is of: `a/__pycache__/b.cpython-313.pyc` of `a/b.py`.
fn source_of(path: &[u8]) -> Option<Vec<u8>> {
    let path = std::str::from_utf8(path).ok()?;
    let (dir, name) = path.rsplit_once('/')?;
    let dir = dir.strip_suffix("__pycache__")?;
    let name = name.strip_suffix(".pyc")?.split('.').next()?;
    Some(format!("{dir}{name}.py").into_bytes())
}

/// Those of the moved directories that are links in this image.
fn moved(index: &FileIndex) -> Vec<&'static str> {
    let is_link = |dir: &&str| {
        let inode = index.inodes.get(dir.as_bytes());
        inode.is_some_and(|inode| matches!(&inode.kind, InodeKind::Link(to) if to.ends_with(dir.as_bytes())))
    };
    MOVED.into_iter().filter(|dir| is_link(dir)).collect()
}

/// A path of a package's list as it is in the image.
fn with_moved(path: &[u8], moved: &[&str]) -> Vec<u8> {
    let is_in = |dir: &&str| path.strip_prefix(dir.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
    let prefix: &[u8] = if moved.iter().any(is_in) { b"usr/" } else { b"" };
    [prefix, path].concat()
}

/// The first field of a line of CSV.
fn first_field(line: &str) -> &str {
    match line.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or(rest),
        None => line.split(',').next().unwrap_or(line),
    }
}

/// A path as a RECORD has it, from the root on; none of one that leads out of it.
fn joined(site: &str, path: &str) -> Option<String> {
    if let Some(absolute) = path.strip_prefix('/') {
        return Some(absolute.to_string());
    }
    let mut parts: Vec<&str> = site.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use tar::EntryType::{Directory, Regular, Symlink};

    use super::super::index::testing::archive;
    use super::*;

    const PATHS: [&str; 10] = [
        "usr/bin/bash",
        "usr/bin/pager",
        "usr/bin/pager.real",
        "usr/share",
        "usr/share/bash",
        "opt/site/nova/api.py",
        "opt/site/nova/__pycache__/api.cpython-313.pyc",
        "opt/bin/nova-api",
        "opt/site/a,b.py",
        "etc/nobody",
    ];

    #[test]
    fn paths_belong_to_who_has_written_them_down() {
        let record = "nova/api.py,sha256=x,1\n../bin/nova-api,,\n\"a,b.py\",,\n../../../../x,,\n";
        let entries = [
            ("bin", Symlink, "usr/bin"),
            ("usr/share", Directory, ""),
            (
                "var/lib/dpkg/info/bash.list",
                Regular,
                "/.\n/bin\n/bin/bash\n/usr\n/usr/share\n/usr/share/bash\n",
            ),
            ("var/lib/dpkg/info/less:amd64.list", Regular, "/usr/bin/pager\n/usr/share\n"),
            ("var/lib/dpkg/info/most.list", Regular, "/usr/bin/pager\n"),
            ("var/lib/dpkg/diversions", Regular, "/usr/bin/pager\n/usr/bin/pager.real\nmost\n"),
            ("var/lib/dpkg/status", Regular, "Package: bash\nVersion: 5.2-1\n\nPackage: less\nVersion: 6\n"),
            ("opt/site/nova-31.0.dist-info/RECORD", Regular, record),
        ];
        let entries = entries.map(|(path, kind, content)| (path, kind, content.as_bytes(), 0o644));
        let index = FileIndex::read(&archive(&entries)[..]).expect("an archive");
        let paths = PATHS.iter().map(|path| path.as_bytes()).collect();
        let packages = ImagePackages::of(&index, &paths);
        let deb = |name: &str| Some(OwnerName::Deb(name.to_string()));
        let nova = || Some(OwnerName::Python("nova".to_string()));
        let found = PATHS.map(|path| packages.owner(path.as_bytes()).cloned());
        let expected =
            [deb("bash"), deb("most"), deb("less"), None, deb("bash"), nova(), nova(), nova(), nova(), None];
        assert_eq!(found, expected);
        assert_eq!(packages.version(&deb("bash").expect("bash")), Some("5.2-1"));
        assert_eq!(packages.version(&nova().expect("nova")), Some("31.0"));
    }
}
