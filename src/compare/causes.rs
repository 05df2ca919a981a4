//! Causes of differences that are known for certain, by path or content [pure].

use super::inode::{Inode, InodeKind};

/// Paths of which it is known why no two builds have them equal: a path, or the beginning of one with a slash at its end.
const KNOWN: [(&str, &str); 17] = [
    ("var/log/", "a log"),
    ("var/cache/ldconfig/aux-cache", "ldconfig's cache, which holds inodes and times"),
    ("var/cache/debconf/", "debconf's database, which is written anew"),
    ("var/cache/", "a cache"),
    ("root/.cache/", "a cache"),
    ("var/lib/apt/lists/", "package lists"),
    ("var/lib/apt/extended_states", "apt's record of what it has installed"),
    ("var/lib/dpkg/status-old", "a copy of what dpkg had before"),
    ("var/lib/dpkg/diversions-old", "a copy of what dpkg had before"),
    ("var/lib/dpkg/statoverride-old", "a copy of what dpkg had before"),
    ("etc/machine-id", "a machine's identity, made at random"),
    ("var/lib/dbus/machine-id", "a machine's identity, made at random"),
    ("var/lib/systemd/random-seed", "random bytes"),
    ("var/lib/systemd/credential.secret", "random bytes"),
    ("run/", "temporary"),
    ("tmp/", "temporary"),
    ("var/tmp/", "temporary"),
];

/// Databases of accounts, whose older copies differ by how often they were written.
const ACCOUNTS: [&str; 6] = ["passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-"];

/// Why what is under a path differs, if that is known.
pub fn cause(path: &[u8], a: Option<&Inode>, b: Option<&Inode>) -> Option<&'static str> {
    if let (Some(one), Some(other)) = (a, b)
        && let Some(cause) = of_content(path, one, other)
    {
        return Some(cause);
    }
    let is_it = |known: &str| match known.ends_with('/') {
        true => path.starts_with(known.as_bytes()),
        false => path == known.as_bytes(),
    };
    let known = KNOWN.iter().find(|(known, _)| is_it(known)).map(|(_, cause)| *cause);
    let account =
        || path.strip_prefix(b"etc/").is_some_and(|name| ACCOUNTS.iter().any(|it| it.as_bytes() == name));
    known.or_else(|| account().then_some("a copy of what accounts were before"))
}

fn of_content(path: &[u8], one: &Inode, other: &Inode) -> Option<&'static str> {
    let InodeKind::File { sha256: digest, timeless: Some(timeless), .. } = &one.kind else { return None };
    let InodeKind::File { sha256: others, timeless: Some(its), .. } = &other.kind else { return None };
    (digest != others && timeless == its).then_some(match path.ends_with(b".pyc") {
        true => "byte code that holds the time of its source",
        false => "a packed file that holds the time of its content",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: u8, timeless: Option<u8>) -> Inode {
        let digest = |byte| [byte; 32];
        let kind = InodeKind::File { size: 1, sha256: digest(content), timeless: timeless.map(digest) };
        Inode { kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, capabilities: Vec::new() }
    }

    #[test]
    fn what_is_certain_is_named_and_nothing_else() {
        let plain = file(1, None);
        let of = |path: &str| cause(path.as_bytes(), Some(&plain), None);
        assert_eq!(of("var/log/apt/term.log"), Some("a log"));
        assert_eq!(of("var/cache/debconf/config.dat"), Some("debconf's database, which is written anew"));
        assert_eq!(of("etc/shadow-"), Some("a copy of what accounts were before"));
        assert_eq!([of("var/logs"), of("etc/shadow"), of("etc/machine-id.d")], [None; 3]);
        let byte_code = |one: &Inode, other: &Inode| cause(b"a/b.pyc", Some(one), Some(other));
        assert!(byte_code(&file(1, Some(3)), &file(2, Some(3))).is_some());
        assert_eq!(byte_code(&file(1, Some(3)), &file(2, Some(4))), None);
        assert_eq!(byte_code(&file(1, None), &file(2, None)), None);
        // Another owner has nothing to do with times.
        assert_eq!(byte_code(&file(1, Some(3)), &file(1, Some(3))), None);
    }
}
