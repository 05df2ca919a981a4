//! Which files a run is made from, and when they change [I/O].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::EventKind;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use crate::util::location;
use crate::util::places::Writing;
use crate::util::write::UNFINISHED_PREFIX;

/// How long nothing may change before a change counts as complete: an editor, a checkout or a copy writes many files.
const QUIET: Duration = Duration::from_millis(300);

/// Files and directories to look at, and what of them is not there yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchedPaths {
    /// Directories with all that is in them.
    trees: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    /// Paths that would have to come first for an input to come into being: the input, or the outermost directory that it
    /// lacks.
    awaited: BTreeSet<PathBuf>,
    /// Places that a run writes itself, by their full names: no change of these counts.
    outputs: BTreeSet<(Writing, PathBuf)>,
}

impl WatchedPaths {
    /// From what a run reads, and what it writes.
    pub fn new(
        inputs: impl IntoIterator<Item = PathBuf>,
        outputs: impl IntoIterator<Item = (Writing, PathBuf)>,
    ) -> WatchedPaths {
        let mut watched = WatchedPaths::default();
        for input in inputs {
            // Events have full names.
            match std::fs::canonicalize(&input) {
                Ok(found) if found.is_dir() => watched.trees.insert(found),
                Ok(found) => watched.files.insert(found),
                Err(_) => missing(&input).is_some_and(|first| watched.awaited.insert(first)),
            };
        }
        let outputs = outputs.into_iter();
        watched.outputs =
            outputs.filter_map(|(writing, path)| Some((writing, location::full_name(&path).ok()?))).collect();
        watched
    }

    /// True when there is nothing yet that could change.
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.files.is_empty()
    }

    /// The directories that these are in, without those that are looked at anyway.
    fn around<'a>(&'a self, paths: &'a BTreeSet<PathBuf>) -> BTreeSet<&'a Path> {
        let is_watched = |dir: &Path| self.trees.iter().any(|tree| dir.starts_with(tree));
        paths.iter().filter_map(|path| path.parent()).filter(|dir| !is_watched(dir)).collect()
    }

    /// True when a change of this path matters.
    fn concerns(&self, path: &Path) -> bool {
        if self.files.contains(path) || self.awaited.contains(path) {
            return true;
        }
        let is_ours = self.outputs.iter().any(|(writing, output)| is_output(path, *writing, output));
        let tree = self.trees.iter().find(|tree| path.starts_with(tree));
        let inside = tree.and_then(|tree| path.strip_prefix(tree).ok());
        !is_ours
            && inside.is_some_and(|inside| !inside.iter().any(|part| is_passing(&part.to_string_lossy())))
    }
}

/// True when a path is something that is written to this place, or made on the way to it.
fn is_output(path: &Path, writing: Writing, output: &Path) -> bool {
    match writing {
        Writing::Ours => path.starts_with(output),
        Writing::File | Writing::Stream => path == output,
        // Logs, and the directory itself when it is made.
        Writing::Beside => {
            path == output
                || (path.parent() == Some(output)
                    && path.extension().is_some_and(|extension| extension == "log"))
        }
    }
}

/// The full name of the outermost part of a path that is not there; none when it has come into being meanwhile.
fn missing(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let first = absolute.ancestors().take_while(|part| !part.exists()).last()?;
    full_name(first)
}

/// The full name of what may not be there yet.
fn full_name(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let parent = std::fs::canonicalize(absolute.parent()?).ok();
    Some(
        parent
            .unwrap_or_else(|| absolute.parent().unwrap_or(Path::new("/")).to_path_buf())
            .join(absolute.file_name()?),
    )
}

/// Files that editors make for themselves (vim's swap, backup and probe files, Emacs's locks and autosaves, others' `~`),
/// what git keeps, and what we have not finished.
fn is_passing(name: &str) -> bool {
    let is_swap = || {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        name.starts_with('.') && extension.len() == 3 && extension.starts_with("sw")
    };
    name == ".git"
        || name == "4913"
        || name.ends_with('~')
        || name.starts_with(".#")
        || name.starts_with(UNFINISHED_PREFIX)
        || (name.starts_with('#') && name.ends_with('#'))
        || is_swap()
}

/// Looks at files until it is dropped.
pub struct FileChanges {
    watched: WatchedPaths,
    events: UnboundedReceiver<notify::Result<Event>>,
    _watcher: RecommendedWatcher,
}

impl FileChanges {
    /// Begins to look.
    ///
    /// # Errors
    /// The system can't look at so many files, or at one of these.
    pub fn of(watched: WatchedPaths) -> notify::Result<FileChanges> {
        let (sender, events): (UnboundedSender<notify::Result<Event>>, _) = unbounded_channel();
        // Nobody listens any more when the program ends.
        let mut watcher = notify::recommended_watcher(move |event| drop(sender.send(event)))?;
        for tree in &watched.trees {
            watcher.watch(tree, RecursiveMode::Recursive)?;
        }
        // Editors put a new file in place of the old one, of which only the directory tells.
        for dir in watched.around(&watched.files) {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
        }
        for dir in watched.around(&watched.awaited) {
            // Of a directory that may not be read nothing can be awaited.
            let _ = watcher.watch(dir, RecursiveMode::NonRecursive);
        }
        Ok(FileChanges { watched, events, _watcher: watcher })
    }

    /// Paths that are looked at.
    pub fn watched(&self) -> &WatchedPaths {
        &self.watched
    }

    /// Waits for a change, and then until no more come; gives the paths. Those since the last call count too.
    pub async fn next(&mut self) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        while changed.is_empty() {
            match self.events.recv().await {
                Some(event) => changed.extend(self.relevant(event)),
                // The watcher is ours: it ends with us.
                None => std::future::pending().await,
            }
        }
        let mut end = Instant::now() + QUIET;
        while let Ok(Some(event)) = timeout_at(end, self.events.recv()).await {
            let more = self.relevant(event);
            // What goes on beside does not put it off.
            if !more.is_empty() {
                changed.extend(more);
                end = Instant::now() + QUIET;
            }
        }
        changed
    }

    fn relevant(&self, event: notify::Result<Event>) -> Vec<PathBuf> {
        match event {
            // Reading is no change.
            Ok(Event { kind: EventKind::Access(_), .. }) => Vec::new(),
            // Events were lost, so anything may have changed.
            Ok(event) if event.need_rescan() => self.watched.trees.iter().cloned().collect(),
            Ok(event) => event.paths.into_iter().filter(|path| self.watched.concerns(path)).collect(),
            Err(error) => error.paths.into_iter().filter(|path| self.watched.concerns(path)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_files_and_own_outputs_do_not_count() {
        let dir = tempfile::tempdir().expect("tmp");
        let root = std::fs::canonicalize(dir.path()).expect("there");
        std::fs::create_dir(root.join("images")).expect("mkdir");
        std::fs::write(root.join("mine.j2"), "").expect("write");
        // Outputs that are links into what is watched.
        std::os::unix::fs::symlink("images/report.json", root.join("report")).expect("a link");
        std::os::unix::fs::symlink("images/ours", root.join("w")).expect("a link");
        let watched = WatchedPaths::new(
            [root.join("images"), root.join("mine.j2"), root.join("absent")],
            [
                (Writing::Beside, root.join("images/logs")),
                (Writing::Beside, root.join("images")),
                (Writing::File, root.join("report")),
                (Writing::Ours, root.join("w/docker")),
            ],
        );
        let counts = |name: &str| watched.concerns(&root.join(name));
        for name in [
            "images/nova/Dockerfile.j2",
            "images/new",
            "mine.j2",
            "images/x/.config",
            "images/a.swift",
            "images/nova/nova.log",
            "images/ours/file",
        ] {
            assert!(counts(name), "{name}");
        }
        let passing = [
            ".nova.swp",
            "nova~",
            "4913",
            ".#nova",
            "#nova#",
            ".git/index",
            "logs",
            "logs/nova.log",
            "nova.log",
            "report.json",
            ".kolla-build-x",
            "ours/docker/nova/Dockerfile",
        ];
        for name in passing.map(|name| format!("images/{name}")) {
            assert!(!counts(&name), "{name}");
        }
        assert!(!counts("other.j2"));
    }

    #[tokio::test]
    async fn what_comes_into_being_is_awaited_one_directory_after_the_other() {
        let dir = tempfile::tempdir().expect("tmp");
        let root = std::fs::canonicalize(dir.path()).expect("there");
        let (first, input) = (root.join("a"), root.join("a/b/mine.j2"));
        let mut changes = FileChanges::of(WatchedPaths::new([input.clone()], [])).expect("watching");
        assert!(changes.watched().is_empty());
        std::fs::write(root.join("other"), "").expect("write");
        std::fs::create_dir(&first).expect("mkdir");
        assert_eq!(changes.next().await, BTreeSet::from([first]));

        let mut changes = FileChanges::of(WatchedPaths::new([input.clone()], [])).expect("watching");
        std::fs::create_dir(root.join("a/b")).expect("mkdir");
        assert_eq!(changes.next().await, BTreeSet::from([root.join("a/b")]));
        std::fs::write(&input, "").expect("write");
        assert_eq!(WatchedPaths::new([input.clone()], []).files, BTreeSet::from([input]));
    }

    #[tokio::test]
    async fn a_file_that_is_put_in_place_of_another_counts() {
        let dir = tempfile::tempdir().expect("tmp");
        let root = std::fs::canonicalize(dir.path()).expect("there");
        let (file, new) = (root.join("mine.j2"), root.join("other"));
        std::fs::write(&file, "old").expect("write");
        let mut changes = FileChanges::of(WatchedPaths::new([file.clone()], [])).expect("watching");
        std::fs::write(&new, "new").expect("write");
        std::fs::rename(&new, &file).expect("rename");
        assert_eq!(changes.next().await, BTreeSet::from([file]));
    }
}
