//! The dialect of INI that oslo.config reads.
//!
//! Sections in brackets; `key = value` or `key : value`, whichever sign comes first; lines that start with white space
//! continue the value above; a blank line ends it; `#` and `;` start comments at the start of a line only; one pair of
//! quotes around a value's first line is removed; a key may be repeated; names of sections other than `[DEFAULT]` are
//! read in lower case.

use super::keys::DEFAULT;

/// One `key = value` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The section it stands in.
    pub section: String,
    /// The key, as it is written.
    pub key: String,
    /// The value; continuation lines are joined by newlines.
    pub value: String,
    /// Line of the key, from 1.
    pub line: usize,
}

/// A line that is no INI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}: {text:?}")]
pub struct IniError {
    /// The line, from 1.
    pub line: usize,
    /// Reason why it is no INI.
    pub reason: &'static str,
    /// The whole line, as it is written.
    pub text: String,
}

/// Reads a file's text. Assignments come in the order of the file.
pub fn parse(text: &str) -> Result<Vec<Assignment>, IniError> {
    let mut assignments: Vec<Assignment> = Vec::new();
    let mut section: Option<String> = None;
    // Whether the last assignment can still be continued.
    let mut open = false;
    let text = text.replace("\r\n", "\n");
    for (index, line) in text.split(['\n', '\r']).enumerate() {
        let line = line.trim_end();
        let error = |reason| IniError { line: index + 1, reason, text: line.to_string() };
        if line.is_empty() {
            open = false;
        } else if line.starts_with([' ', '\t']) {
            match assignments.last_mut() {
                Some(last) if open => {
                    last.value.push('\n');
                    last.value.push_str(line.trim_start());
                }
                _ => return Err(error("continuation of nothing: a key may not be indented")),
            }
        } else if line.starts_with('[') {
            open = false;
            let name = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
            match name {
                Some("") => return Err(error("empty section name")),
                Some(DEFAULT) => section = Some(DEFAULT.to_string()),
                Some(name) => section = Some(name.to_lowercase()),
                None => return Err(error("a section must end with ]")),
            }
        } else if line.starts_with(['#', ';']) {
            open = false;
        } else {
            let sign = line.find([':', '=']).ok_or_else(|| error("no '=' or ':' in assignment"))?;
            let key = line[..sign].trim();
            if key.is_empty() {
                return Err(error("empty key"));
            }
            let section = section
                .clone()
                .ok_or_else(|| error("assignment before the first section, such as [DEFAULT]"))?;
            assignments.push(Assignment {
                section,
                key: key.to_string(),
                value: unquote(line[sign + 1..].trim()).to_string(),
                line: index + 1,
            });
            open = true;
        }
    }
    Ok(assignments)
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if value == quote.to_string() {
            return "";
        }
        if let Some(inner) = value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_text_is_read_or_refused_with_its_line(
            text in text_of(&["[", "]", "DEFAULT", "key", " ", "\t", "=", ":", "#", ";", "'", "\"", "\n", "\n ", "\r\n", "\r", "é"])
        ) {
            let unix = text.replace("\r\n", "\n");
            let lines: Vec<&str> = unix.split(['\n', '\r']).collect();
            match parse(&text) {
                Ok(found) => {
                    for assignment in found {
                        prop_assert!(lines[assignment.line - 1].starts_with(&assignment.key));
                    }
                }
                Err(error) => prop_assert_eq!(&error.text, lines[error.line - 1].trim_end()),
            }
        }

        #[test]
        fn what_is_printed_is_read_again(
            written in prop::collection::vec(
                ("[a-z\\[]([a-z0-9é ._\\]-]{0,6}[a-z\\]])?", "[^\\s\\[#;:=]([^:=\\pC]{0,6}[^\\s:=])?",
                 prop::collection::vec("([^\\s\\pC](\\PC{0,8}[^\\s\\pC])?)", 0..4)),
                0..6,
            )
        ) {
            let mut text = String::new();
            let mut expected = Vec::new();
            for (section, key, lines) in written {
                let value = lines.join("\n");
                // The quotes around a first line are taken off.
                let first = lines.first().map_or("", String::as_str);
                let rest = lines.iter().skip(1).map(|line| format!("\n  {line}")).collect::<String>();
                text.push_str(&format!("[{section}]\n# comment\n\n{key} = \"{first}\"{rest}\n"));
                expected.push((section, key, value));
            }
            prop_assert_eq!(values(&text), expected);
        }
    }

    fn values(text: &str) -> Vec<(String, String, String)> {
        parse(text).expect("valid").into_iter().map(|a| (a.section, a.key, a.value)).collect()
    }

    fn one(text: &str) -> String {
        values(&format!("[DEFAULT]\n{text}")).remove(0).2
    }

    #[test]
    fn sections_keys_and_signs() {
        let owned = |a: &str, b: &str, c: &str| (a.to_string(), b.to_string(), c.to_string());
        assert_eq!(
            values("# c\n[DEFAULT]\na = 1 # not a comment\nb: x=y\n;c\n[s-1]\nc=p:q\n"),
            [
                owned("DEFAULT", "a", "1 # not a comment"),
                owned("DEFAULT", "b", "x=y"),
                owned("s-1", "c", "p:q")
            ]
        );
    }

    #[test]
    fn sections_are_in_lower_case_and_any_line_end_will_do() {
        let owned = |a: &str, b: &str, c: &str| (a.to_string(), b.to_string(), c.to_string());
        assert_eq!(
            values("[DEFAULT]\r\na = 1\rb = 2\n[Etcd]\nKey = V\n[default]\nc = 3"),
            [
                owned("DEFAULT", "a", "1"),
                owned("DEFAULT", "b", "2"),
                owned("etcd", "Key", "V"),
                owned("default", "c", "3")
            ]
        );
    }

    #[test]
    fn values_continue_until_a_blank_line() {
        assert_eq!(one("a = 1\n  2\n\t3\n\n"), "1\n2\n3");
        assert!(parse("[DEFAULT]\na = 1\n\n  2").is_err());
    }

    #[test]
    fn one_pair_of_quotes_is_removed() {
        assert_eq!(one("a = ' x '"), " x ");
        assert_eq!(one("a = \"'x'\""), "'x'");
        assert_eq!(one("a = 'x\""), "'x\"");
        assert_eq!(one("a = '"), "");
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line) in [
            ("a = 1", 1),
            ("[DEFAULT]\nnothing here", 2),
            ("[DEFAULT]\n= 1", 2),
            ("[]", 1),
            ("\n[x", 2),
            ("[DEFAULT]\n  a = 1", 2),
        ] {
            assert_eq!(parse(text).expect_err(text).line, line, "{text}");
        }
    }
}
