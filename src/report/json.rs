//! The summary as JSON, byte for byte as Kolla writes it: scripts compare and cut it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

use super::kolla_summary::KollaSummary;
use super::summary::Summary;
use super::{ReportError, Reporter};
use crate::model::event::Event;
use crate::util::write::Destination;

/// Where the summary goes, which decides on its layout too.
#[derive(Debug)]
pub enum JsonTarget {
    /// One line, without an end.
    Stdout,
    /// Several lines, indented by four.
    File(Destination),
}

/// Writes the summary at the end of a run.
pub struct JsonSummary {
    target: JsonTarget,
}

impl JsonSummary {
    /// A summary for this target.
    pub fn new(target: JsonTarget) -> JsonSummary {
        JsonSummary { target }
    }
}

impl Reporter for JsonSummary {
    fn event(&mut self, _: &Event, _: &Summary) {}

    fn finish(&mut self, summary: &Summary) -> Vec<ReportError> {
        let summary = KollaSummary::of(summary);
        let (path, written) = match &self.target {
            JsonTarget::Stdout => {
                ("standard output".to_string(), put(io::stdout().lock(), &one_line(&summary)))
            }
            JsonTarget::File(destination) => {
                let written = destination.write(indented(&summary).as_bytes());
                (destination.path().display().to_string(), written)
            }
        };
        let what = "the JSON summary".to_string();
        written.err().map(|source| ReportError { what, path, source }).into_iter().collect()
    }
}

fn put(mut out: impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn one_line(summary: &KollaSummary) -> String {
    python_json(summary, OneLine)
}

fn indented(summary: &KollaSummary) -> String {
    python_json(summary, PrettyFormatter::with_indent(b"    "))
}

fn python_json(summary: &KollaSummary, layout: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let written = summary.serialize(&mut Serializer::with_formatter(&mut bytes, layout));
    written.expect("lists of strings always serialize into memory");
    escaped(&String::from_utf8_lossy(&bytes))
}

/// Python escapes all but printable ASCII. Such characters are only inside strings, so the whole text will do.
fn escaped(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for char in json.chars() {
        if matches!(char, ' '..='~' | '\n') {
            ascii.push(char);
        } else {
            char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}")));
        }
    }
    ascii
}

/// Python's separators for one line: a blank after each comma and colon.
struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::*;

    fn summary() -> Summary {
        summary_of(
            &plan(&["b\u{e9}\u{1f980}\u{7f}", "a", "-nova", "k"]),
            &[],
            &[
                finished("b\u{e9}\u{1f980}\u{7f}", built()),
                finished("a", built()),
                finished("k", failed("x")),
            ],
        )
    }

    #[test]
    fn one_line_has_the_bytes_of_python() {
        assert_eq!(
            one_line(&KollaSummary::of(&summary())),
            r#"{"built": [{"name": "a"}, {"name": "b\u00e9\ud83e\udd80\u007f"}], "failed": [{"name": "k", "status": "error"}], "not_matched": [{"name": "nova"}], "skipped": [], "unbuildable": []}"#
        );
    }

    #[test]
    fn the_file_has_the_bytes_of_python() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("summary.json");
        let errors = JsonSummary::new(JsonTarget::File(Destination::open(&path).expect("writable")))
            .finish(&summary());
        assert!(errors.is_empty());
        let expected = r#"{
    "built": [
        {
            "name": "a"
        },
        {
            "name": "b\u00e9\ud83e\udd80\u007f"
        }
    ],
    "failed": [
        {
            "name": "k",
            "status": "error"
        }
    ],
    "not_matched": [
        {
            "name": "nova"
        }
    ],
    "skipped": [],
    "unbuildable": []
}"#;
        assert_eq!(std::fs::read_to_string(path).expect("the summary"), expected);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_by_name() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("gone/summary.json");
        std::fs::create_dir(directory.path().join("gone")).expect("a directory");
        let mut json = JsonSummary::new(JsonTarget::File(Destination::open(&path).expect("writable")));
        std::fs::remove_dir(directory.path().join("gone")).expect("removed");
        let told: Vec<_> = json.finish(&summary()).iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1);
        let expected = format!("failed to write the JSON summary to {}: No such file", path.display());
        assert!(told[0].starts_with(&expected), "{}", told[0]);
    }
}
