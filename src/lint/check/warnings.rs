//! Warnings about overrides without effect, in order of place [pure].

use std::fmt;

use crate::template::overrides::MergedOverride;

/// Something in an override that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideWarning {
    /// Path of the override.
    pub file: String,
    /// Line in it, from 1.
    pub line: usize,
    /// The reason, and what may have been meant.
    pub message: String,
    /// True when it is of use on another distro or architecture, and so no mistake.
    pub elsewhere: bool,
}

impl fmt::Display for OverrideWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Warnings about one merged override, as they are found.
pub struct Warnings<'a> {
    merged: &'a MergedOverride,
    /// Each with its line in the merged text.
    found: Vec<(usize, OverrideWarning)>,
}

impl<'a> Warnings<'a> {
    /// A collection without warnings as yet.
    pub fn about(merged: &'a MergedOverride) -> Warnings<'a> {
        Warnings { merged, found: Vec::new() }
    }

    /// Adds a mistake at a line of the merged text.
    pub fn add(&mut self, line: usize, message: impl fmt::Display) {
        self.put(line, message.to_string(), false);
    }

    /// Adds what is of use on another distro or architecture.
    pub fn add_elsewhere(&mut self, line: usize, message: impl fmt::Display) {
        self.put(line, message.to_string(), true);
    }

    fn put(&mut self, line: usize, message: String, elsewhere: bool) {
        if let Some((file, number)) = self.merged.locate(line) {
            let file = file.display().to_string();
            self.found.push((line, OverrideWarning { file, line: number, message, elsewhere }));
        }
    }

    /// All of them, in order of place.
    pub fn in_order(mut self) -> Vec<OverrideWarning> {
        self.found.sort_by_key(|(line, _)| *line);
        self.found.into_iter().map(|(_, warning)| warning).collect()
    }
}
