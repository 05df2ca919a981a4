//! Overlaps between the places that a run writes and those that it reads [pure].

use std::path::PathBuf;

/// Mark that tells a place from all others, whatever path led there: the deepest part that exists, and what is still
/// missing below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Number of the file system.
    pub device: u64,
    /// The file or directory in it.
    pub inode: u64,
    /// Parts of the path that are not there yet; empty for what is.
    pub missing: PathBuf,
}

/// A place by its own identity, which is the first, and those of the directories that it lies in, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location(Vec<Identity>);

impl Location {
    /// A location by the identities of its directory and all above it.
    pub fn new(lineage: Vec<Identity>) -> Location {
        Location(lineage)
    }

    /// True for the same place.
    pub fn is(&self, other: &Location) -> bool {
        self.0.first().is_some_and(|own| other.0.first() == Some(own))
    }

    /// True when it is the other place or lies in it.
    pub fn is_in(&self, other: &Location) -> bool {
        other.0.first().is_some_and(|outer| self.0.contains(outer))
    }
}

/// A place that a run uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedPlace {
    /// Name of the place when it is in the way: the option that names it.
    pub name: String,
    /// The path, as it is shown.
    pub path: PathBuf,
    /// Location that the path leads to.
    pub location: Location,
}

/// Part of a place that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The place is a file.
    File,
    /// A directory with everything in it: a new file there would be read too.
    Whole,
    /// Something in the directory; other files in it do no harm.
    Part,
}

/// Part of a place that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writing {
    /// The place is a file.
    File,
    /// A device or FIFO, which any number may write to.
    Stream,
    /// A directory that gets new files beside what is in it.
    Beside,
    /// A directory that is ours: what is in it is replaced and removed.
    Ours,
}

/// Two places that are in each other's way.
#[derive(Debug, PartialEq, Eq)]
pub struct Overlap<'a> {
    /// Place that would be written.
    pub written: &'a UsedPlace,
    /// Place that would be lost or changed by it.
    pub other: &'a UsedPlace,
    /// True for what is read, false for what is written too.
    pub is_read: bool,
}

/// The first place that must not be written; none when all may be.
pub fn overlap<'a>(
    read: &'a [(Reading, UsedPlace)],
    written: &'a [(Writing, UsedPlace)],
) -> Option<Overlap<'a>> {
    written.iter().enumerate().find_map(|(at, (writing, place))| {
        let is_in_the_way = |(reading, other): &&(Reading, UsedPlace)| {
            spoils(*writing, &place.location, *reading, &other.location)
        };
        if let Some((_, other)) = read.iter().find(is_in_the_way) {
            return Some(Overlap { written: place, other, is_read: true });
        }
        let is_shared = |(other_writing, other): &&(Writing, UsedPlace)| {
            collide(*writing, &place.location, *other_writing, &other.location)
        };
        let (_, other) = written[at + 1..].iter().find(is_shared)?;
        Some(Overlap { written: place, other, is_read: false })
    })
}

/// True when writing to one place changes what is read at another.
fn spoils(writing: Writing, written: &Location, reading: Reading, read: &Location) -> bool {
    match (writing, reading) {
        (Writing::Ours, Reading::File) => read.is_in(written),
        (Writing::Ours, _) => read.is_in(written) || written.is_in(read),
        (Writing::File, Reading::File) => written.is(read),
        (Writing::File | Writing::Beside, Reading::Whole) => written.is_in(read),
        (Writing::File, Reading::Part) | (Writing::Beside, _) | (Writing::Stream, _) => false,
    }
}

/// True when what is written to two places gets in each other's way.
fn collide(one: Writing, a: &Location, other: Writing, b: &Location) -> bool {
    match (one, other) {
        (Writing::Stream, _) | (_, Writing::Stream) => false,
        (Writing::Ours, Writing::Ours) => a.is_in(b) || b.is_in(a),
        (Writing::Ours, _) => b.is_in(a),
        (_, Writing::Ours) => a.is_in(b),
        (Writing::File, Writing::File) => a.is(b),
        (Writing::Beside, _) | (_, Writing::Beside) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A place by the inodes on its way, its own last.
    fn at(way: &[u64]) -> Location {
        let identity = |inode: &u64| Identity { device: 1, inode: *inode, missing: PathBuf::new() };
        Location::new(way.iter().rev().map(identity).collect())
    }

    fn place(name: &str, way: &[u64]) -> UsedPlace {
        UsedPlace { name: name.to_string(), path: PathBuf::from(name), location: at(way) }
    }

    #[test]
    fn a_directory_of_ours_shares_nothing_with_what_is_read() {
        let ours = (Writing::Ours, place("--work-dir", &[1, 2, 3]));
        for (reading, way, refused) in [
            (Reading::Part, &[1, 2, 3][..], true),
            (Reading::Part, &[1, 2], true),
            (Reading::Whole, &[1, 2, 3, 4], true),
            (Reading::File, &[1, 2, 3, 4], true),
            (Reading::File, &[1, 2, 4], false),
            (Reading::Part, &[1, 4], false),
        ] {
            let read = [(reading, place("read", way))];
            let written = [ours.clone()];
            let found = overlap(&read, &written);
            assert_eq!(found.is_some(), refused, "{reading:?} {way:?}");
            assert!(found.is_none_or(|found| found.is_read && found.other.name == "read"));
        }
    }

    #[test]
    fn files_are_welcome_beside_what_is_read_and_not_over_or_among_it() {
        for (writing, reading, way, refused) in [
            (Writing::File, Reading::File, &[1, 2, 3][..], true),
            (Writing::File, Reading::File, &[1, 2, 4], false),
            (Writing::File, Reading::Whole, &[1, 2], true),
            (Writing::File, Reading::Part, &[1, 2], false),
            (Writing::Beside, Reading::Whole, &[1, 2], true),
            (Writing::Beside, Reading::Part, &[1, 2, 3], false),
            (Writing::Beside, Reading::File, &[1, 2, 3, 4], false),
            (Writing::Stream, Reading::File, &[1, 2, 3], false),
        ] {
            let read = [(reading, place("read", way))];
            let written = [(writing, place("written", &[1, 2, 3]))];
            assert_eq!(overlap(&read, &written).is_some(), refused, "{writing:?} {reading:?} {way:?}");
        }
    }

    #[test]
    fn what_is_written_twice_or_into_what_is_ours_is_refused() {
        for (one, first, other, second, refused) in [
            (Writing::File, &[1, 2][..], Writing::File, &[1, 2][..], true),
            (Writing::File, &[1, 2], Writing::File, &[1, 3], false),
            (Writing::Stream, &[1, 2], Writing::Stream, &[1, 2], false),
            (Writing::Ours, &[1, 2], Writing::File, &[1, 2, 3], true),
            (Writing::Beside, &[1, 2, 3], Writing::Ours, &[1, 2], true),
            (Writing::Ours, &[1, 2, 3], Writing::Beside, &[1, 2], false),
            (Writing::Ours, &[1, 2, 3], Writing::Ours, &[1, 2], true),
            (Writing::Beside, &[1], Writing::Beside, &[1], false),
        ] {
            let written = [(one, place("one", first)), (other, place("other", second))];
            let found = overlap(&[], &written);
            assert_eq!(found.is_some(), refused, "{one:?} {first:?} {other:?} {second:?}");
            assert!(found.is_none_or(|found| !found.is_read));
        }
    }

    proptest! {
        /// Nothing that is ours may ever hold, or lie in, anything that is read.
        #[test]
        fn ours_and_read_never_share_a_way(
            ours in prop::collection::vec(1_u64..4, 1..5),
            read in prop::collection::vec(1_u64..4, 1..5),
            reading in prop::sample::select(vec![Reading::File, Reading::Whole, Reading::Part]),
        ) {
            // Inodes by their whole way, as in a tree.
            let inodes = |way: &[u64]| -> Vec<u64> {
                way.iter().scan(0, |so_far, step| { *so_far = *so_far * 10 + step; Some(*so_far) }).collect()
            };
            let shared = read.starts_with(&ours) || (reading != Reading::File && ours.starts_with(&read));
            let (written, read) = ([(Writing::Ours, place("w", &inodes(&ours)))], [(reading, place("r", &inodes(&read)))]);
            prop_assert_eq!(overlap(&read, &written).is_some(), shared);
        }
    }
}
