//! What differs between two images, in words for people [pure].

use std::fmt;

use super::difference::{DifferingPath, ImageComparison, OwnedDifferences, PathDifference};
use super::inode::{Inode, InodeKind};
use super::packages::OwnerName;
use crate::report::counted;
use crate::util::plain;

/// A comparison for people: a paragraph for each package, and a line about all of it at the end.
pub struct ShownComparison<'a>(pub &'a ImageComparison<'a>);

impl fmt::Display for ShownComparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = self.0;
        for owned in &comparison.owners {
            writeln!(f, "{}", heading(owned))?;
            for path in &owned.paths {
                let words: Vec<&str> = path.differs.iter().map(|it| it.word()).collect();
                let (words, shown) = (words.join(", "), plain::line(&path.path));
                writeln!(f, "  {words:16}  {shown}{}", detail(path))?;
            }
        }
        let ImageComparison { paths, differing, explained, counts, times, .. } = comparison;
        match comparison.same {
            true => write!(f, "All {paths} paths are the same")?,
            false => write!(f, "{differing} of {paths} paths differ")?,
        }
        let counts: Vec<String> =
            counts.iter().map(|(what, count)| format!("{count} {}", what.word())).collect();
        if !counts.is_empty() {
            write!(f, ": {}", counts.join(", "))?;
        }
        if *explained > 0 {
            write!(f, "; of {explained} the cause is known")?;
        }
        match times {
            0 => writeln!(f),
            _ if comparison.counts.contains_key(&PathDifference::Time) => writeln!(f),
            times => {
                writeln!(f, "; {} with another time (--compare-times lists them)", counted(*times, "path"))
            }
        }
    }
}

fn heading(owned: &OwnedDifferences) -> String {
    let (name, kind) = match &owned.owner {
        OwnerName::Deb(name) => (name, " (deb)"),
        OwnerName::Python(name) => (name, " (Python)"),
        OwnerName::Directory(name) => (name, ""),
    };
    let versions = match (&owned.version_a, &owned.version_b) {
        (Some(a), Some(b)) if a == b => format!(" {a}"),
        (Some(a), Some(b)) => format!(" {a} -> {b}"),
        (Some(a), None) => format!(" {a}, only in A"),
        (None, Some(b)) => format!(" {b}, only in B"),
        (None, None) => String::new(),
    };
    plain::line(&format!("{name}{kind}{versions}"))
}

/// What a line says behind the path.
fn detail(path: &DifferingPath) -> String {
    let mut said = Vec::new();
    if let (Some(a), Some(b)) = (path.a, path.b) {
        said.extend(path.differs.iter().filter_map(|it| values(*it, a, b)));
    }
    said.extend((path.below > 0).then(|| format!("and {} below it", path.below)));
    said.extend(path.cause.map(str::to_string));
    if said.is_empty() { String::new() } else { format!("  ({})", said.join("; ")) }
}

/// Both values of what differs, where they are short.
fn values(what: PathDifference, a: &Inode, b: &Inode) -> Option<String> {
    let shown = |path: &[u8]| plain::line(&String::from_utf8_lossy(path));
    Some(match (what, &a.kind, &b.kind) {
        (PathDifference::Content, InodeKind::File { size: one, .. }, InodeKind::File { size: other, .. }) => {
            if one == other {
                format!("{one} bytes each")
            } else {
                format!("{one} -> {other} bytes")
            }
        }
        (PathDifference::Target, InodeKind::Link(one), InodeKind::Link(other)) => {
            format!("{} -> {}", shown(one), shown(other))
        }
        (PathDifference::Type, one, other) => format!("{} -> {}", one.word(), other.word()),
        (PathDifference::Mode, ..) => format!("{:04o} -> {:04o}", a.mode, b.mode),
        (PathDifference::Owner, ..) => format!("{}:{} -> {}:{}", a.uid, a.gid, b.uid, b.gid),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::difference::compare;
    use super::super::index::testing::index;
    use super::*;

    #[test]
    fn packages_have_paragraphs_and_all_has_a_line() {
        let list: (&str, &[u8]) = ("var/lib/dpkg/info/less.list", b"/usr/bin/less\n/usr/bin/more\n");
        let status = |version: &str| format!("Package: less\nVersion: {version}\n");
        let (old, new) = (status("1"), status("2"));
        let a = index(&[
            list,
            ("var/lib/dpkg/status", old.as_bytes()),
            ("usr/bin/less", b"1"),
            ("var/log/x", b"1"),
        ]);
        let mut b = index(&[
            list,
            ("var/lib/dpkg/status", new.as_bytes()),
            ("usr/bin/less", b"12"),
            ("usr/bin/more", b""),
        ]);
        b.inodes.get_mut(&b"usr/bin/less"[..]).expect("it is there").mode = 0o755;
        let comparison = compare(&a, &b, false);
        insta::assert_snapshot!(ShownComparison(&comparison), @"
        less (deb) 1 -> 2
          content, mode     /usr/bin/less  (1 -> 2 bytes; 0644 -> 0755)
          only in B         /usr/bin/more
        /var/lib/dpkg
          content           /var/lib/dpkg/status  (25 bytes each)
        /var/log
          only in A         /var/log/x  (a log)
        4 of 5 paths differ: 1 only in A, 1 only in B, 2 content, 1 mode; of 1 the cause is known
        ");
        b.inodes.values_mut().for_each(|inode| inode.mtime = 5);
        let same = compare(&b, &b, false);
        assert_eq!(ShownComparison(&same).to_string(), "All 4 paths are the same\n");
    }
}
