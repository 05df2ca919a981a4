//! Template overrides, merged the way Kolla merges several files into one template.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::tags::normalize_newlines;
use crate::util::input;

/// Lines that are dropped from the second file on: any that hold an `extends` tag.
static EXTENDS_LINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r".*\{%.*extends.*\n").expect("the pattern is valid"));

/// One or more override files as one template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedOverride {
    name: String,
    source: String,
    /// For each line of the source: which file it came from and its number there, from 1.
    lines: Vec<(usize, usize)>,
    files: Vec<PathBuf>,
}

/// An override file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the template override {path}: {source}")]
pub struct OverrideError {
    /// Path of the file.
    pub path: PathBuf,
    /// Error that the system gave.
    pub source: std::io::Error,
}

impl MergedOverride {
    /// Reads and merges files; none when there are none.
    pub fn load(paths: &[PathBuf]) -> Result<Option<MergedOverride>, OverrideError> {
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let text =
                input::read_to_string(path).map_err(|source| OverrideError { path: path.clone(), source })?;
            files.push((path.clone(), text));
        }
        Ok(MergedOverride::merge(files))
    }

    /// Merges files, given with their texts, in order. The first gives the template its name.
    pub fn merge(files: Vec<(PathBuf, String)>) -> Option<MergedOverride> {
        let name = files.first()?.0.file_name()?.to_string_lossy().into_owned();
        let mut source = String::new();
        let mut lines: Vec<(usize, usize)> = Vec::new();
        for (index, (_, text)) in files.iter().enumerate() {
            let text = normalize_newlines(text);
            for (number, line) in text.split_inclusive('\n').enumerate() {
                if index > 0 && EXTENDS_LINE.is_match(line) {
                    continue;
                }
                // A file without a newline at its end goes on in the first line of the next.
                if !source.is_empty() && !source.ends_with('\n') {
                    lines.pop();
                }
                source.push_str(line);
                lines.push((index, number + 1));
            }
        }
        Some(MergedOverride { name, source, lines, files: files.into_iter().map(|(path, _)| path).collect() })
    }

    /// The template's name: the first file's base name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Text of all files together.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The file and the line in it that a line of the merged text came from; all lines count from 1.
    pub fn locate(&self, line: usize) -> Option<(&Path, usize)> {
        let (file, number) = self.lines.get(line.checked_sub(1)?).or(self.lines.last())?;
        Some((&self.files[*file], *number))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn every_line_is_found_again_where_it_came_from(
            texts in prop::collection::vec(
                text_of(&["{% extends parent_template %}", "{%", "extends", "x", " ", "\n", "\n", "\r\n", "é"]),
                1..4,
            )
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let merged = merge(&texts);
            for (index, line) in merged.source().split_inclusive('\n').enumerate() {
                let (path, number) = merged.locate(index + 1).expect("a place");
                let file = path.file_stem().and_then(|stem| stem.to_str()?.parse::<usize>().ok()).expect("a number");
                let text = normalize_newlines(texts[file]);
                let original = text.split_inclusive('\n').nth(number - 1).expect("a line");
                // Only a line that goes on from an earlier file has more before it.
                prop_assert!(line.ends_with(original), "{:?} from {:?}", line, original);
            }
        }
    }

    fn merge(texts: &[&str]) -> MergedOverride {
        let files = texts.iter().enumerate().map(|(i, text)| (format!("/o/{i}.j2").into(), text.to_string()));
        MergedOverride::merge(files.collect()).expect("not empty")
    }

    #[test]
    fn later_files_lose_their_extends_lines_and_keep_their_places() {
        let merged = merge(&[
            "{% extends parent_template %}\n{% set a = 1 %}\n",
            "# two\n{% extends parent_template %}\n{% set b = 2 %}\n",
        ]);
        assert_eq!(merged.name(), "0.j2");
        assert_eq!(
            merged.source(),
            "{% extends parent_template %}\n{% set a = 1 %}\n# two\n{% set b = 2 %}\n"
        );
        assert_eq!(merged.locate(2), Some((Path::new("/o/0.j2"), 2)));
        assert_eq!(merged.locate(4), Some((Path::new("/o/1.j2"), 3)));
    }

    #[test]
    fn files_are_joined_without_a_separator() {
        let merged = merge(&["{% extends parent_template %}\nx", "y\nz"]);
        assert_eq!(merged.source(), "{% extends parent_template %}\nxy\nz");
        assert_eq!(merged.locate(3), Some((Path::new("/o/1.j2"), 2)));
        assert_eq!(merge(&["x", ""]).locate(1), Some((Path::new("/o/0.j2"), 1)));
    }

    #[test]
    fn an_extends_without_a_line_end_stays() {
        let merged = merge(&["{% extends p %}\n", "{% extends p %}"]);
        assert_eq!(merged.source(), "{% extends p %}\n{% extends p %}");
    }
}
