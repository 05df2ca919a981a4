//! The instructions of a Dockerfile, and where each stands in its text [pure].
//!
//! Lines are taken together as BuildKit's parser does it: continuation lines with the escape character that a directive
//! may set, comments and empty lines between them, and the here-documents of RUN, COPY and ADD. What makes no sense is
//! an instruction too: the engine tells what is wrong with it.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// `# escape=X`, which counts only above everything but other directives.
static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$").expect("the pattern is valid")
});

/// `<<EOF`, `<<-EOF` or `<<"EOF"`, with a file descriptor in front, as a word of its own.
static HERE_DOCUMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:^|\s)[0-9]*<<(-?)(?:"([^"<\s]+)"|'([^'<\s]+)'|([^\s<"';|&()]+))"#)
        .expect("the pattern is valid")
});

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A Dockerfile taken apart.
#[derive(Debug)]
pub struct Instructions {
    /// Character that takes the meaning from the one behind it.
    pub escape: char,
    /// Instructions in the order of the file.
    pub all: Vec<Instruction>,
}

/// Instruction with its arguments.
#[derive(Debug)]
pub struct Instruction {
    /// In capitals; of an ONBUILD that of what it sets off.
    pub keyword: String,
    /// True after ONBUILD: the instruction runs only in builds of what is built on the image.
    pub is_trigger: bool,
    /// Number of the first line, from 1.
    pub line: usize,
    /// Text behind the keyword, continuation lines joined.
    pub arguments: String,
    /// Where it ends, here-documents included.
    pub end: usize,
    /// Where pieces of the arguments come from: their place in the arguments, and in the text.
    pieces: Vec<(usize, usize)>,
    keyword_end: usize,
}

impl Instruction {
    /// Where its keyword ends in the text.
    pub fn keyword_end(&self) -> usize {
        self.keyword_end
    }

    /// Where a part of the arguments stands in the text.
    pub fn place(&self, part: &Range<usize>) -> Range<usize> {
        let place = |at: usize| {
            let piece = self.pieces.iter().rev().find(|(start, _)| *start <= at);
            piece.map_or(self.keyword_end, |(start, place)| place + (at - start))
        };
        match part.end.checked_sub(1) {
            Some(last) if last >= part.start => place(part.start)..place(last) + 1,
            _ => place(part.start)..place(part.start),
        }
    }

    /// Takes away what stands before the arguments.
    fn cut(&mut self, keyword_end: usize) {
        self.arguments.drain(..keyword_end);
        let first = self.pieces.iter().rposition(|(start, _)| *start <= keyword_end).unwrap_or(0);
        self.pieces.drain(..first);
        for (start, place) in &mut self.pieces {
            *place += keyword_end.saturating_sub(*start);
            *start = start.saturating_sub(keyword_end);
        }
    }
}

impl Instructions {
    /// Takes a text apart.
    pub fn of(text: &str) -> Instructions {
        let lines = Lines::of(text);
        let escape = escape_character(&lines);
        let mut all = Vec::new();
        let mut at = 0;
        while at < lines.0.len() {
            let (_, first) = lines.0[at];
            if is_comment(first) || first.trim().is_empty() {
                at += 1;
                continue;
            }
            let (instruction, next) = lines.instruction(at, escape);
            all.push(instruction);
            at = next;
        }
        Instructions { escape, all }
    }
}

/// Lines with their ends, and where each begins.
struct Lines<'t>(Vec<(usize, &'t str)>);

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Lines<'t> {
        let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let mut start = text.len() - body.len();
        let place = |line: &'t str| {
            let begins = start;
            start += line.len();
            (begins, line)
        };
        Lines(body.split_inclusive('\n').map(place).collect())
    }

    /// The instruction that begins in the line `at`, and the line behind it.
    fn instruction(&self, at: usize, escape: char) -> (Instruction, usize) {
        let (mut logical, mut pieces) = (String::new(), Vec::new());
        let mut next = at;
        while let Some((start, line)) = self.0.get(next) {
            next += 1;
            if next - 1 > at && (is_comment(line) || line.trim().is_empty()) {
                continue;
            }
            pieces.push((logical.len(), *start));
            match continued(line, escape) {
                Some(part) => logical.push_str(part),
                None => {
                    logical.push_str(line.trim_end_matches(['\r', '\n']));
                    break;
                }
            }
        }
        let words: Vec<Range<usize>> = words(&logical).take(2).collect();
        let is_trigger = words.len() == 2 && logical[words[0].clone()].eq_ignore_ascii_case("onbuild");
        let keyword = words.get(usize::from(is_trigger)).cloned().unwrap_or(0..0);
        let mut instruction = Instruction {
            keyword: logical[keyword.clone()].to_ascii_uppercase(),
            is_trigger,
            line: at + 1,
            end: 0,
            arguments: logical,
            pieces,
            keyword_end: 0,
        };
        instruction.keyword_end = instruction.place(&keyword).end;
        instruction.cut(keyword.end);
        next = self.here_documents_end(&instruction, next);
        instruction.end = self.0[next - 1].0 + self.0[next - 1].1.len();
        (instruction, next)
    }

    /// The line behind the here-documents of an instruction, which begin at `next`.
    fn here_documents_end(&self, instruction: &Instruction, mut next: usize) -> usize {
        let may_have = ["RUN", "COPY", "ADD"].contains(&instruction.keyword.as_str());
        if !may_have || !instruction.arguments.contains("<<") {
            return next;
        }
        for found in HERE_DOCUMENT.captures_iter(&instruction.arguments) {
            let strips_tabs = !found[1].is_empty();
            let Some(name) = found.get(2).or(found.get(3)).or(found.get(4)) else { continue };
            let is_end = |(_, line): &(usize, &str)| {
                let line = line.trim_end_matches(['\r', '\n']);
                (if strips_tabs { line.trim_start_matches('\t') } else { line }) == name.as_str()
            };
            // Without an end it is none: `$((1 <<2))`.
            if let Some(length) = self.0[next..].iter().position(is_end) {
                next += length + 1;
            }
        }
        next
    }
}

/// Where the words of a text are, as far as white space tells.
pub fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let start = move |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
    text.split_whitespace().map(move |word| start(word)..start(word) + word.len())
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn escape_character(lines: &Lines) -> char {
    let comments = lines.0.iter().map(|(_, line)| line.trim_end()).take_while(|line| line.starts_with('#'));
    let directives = comments.map_while(|line| DIRECTIVE.captures(line));
    let mut escapes = directives.filter(|found| found[1].eq_ignore_ascii_case("escape"));
    match escapes.next() {
        Some(found) if &found[2] == "`" => '`',
        _ => '\\',
    }
}

/// The text before the escape character at a line's end; none when the line does not go on. An escape character that is
/// itself escaped does not count.
fn continued(line: &str, escape: char) -> Option<&str> {
    let part = line.trim_end_matches(['\r', '\n']).trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!part.ends_with(escape)).then_some(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    fn told(text: &str) -> Vec<(String, String)> {
        let instructions = Instructions::of(text).all.into_iter();
        instructions.map(|found| (found.keyword, found.arguments.trim().to_string())).collect()
    }

    #[test]
    fn lines_are_taken_together() {
        let pair = |keyword: &str, arguments: &str| (keyword.to_string(), arguments.to_string());
        for (text, expected) in [
            ("\u{feff}from x\n", vec![pair("FROM", "x")]),
            ("RUN a \\\n# RUN c\n\n  && b\nRUN d", vec![pair("RUN", "a   && b"), pair("RUN", "d")]),
            ("FROM deb\\\nian", vec![pair("FROM", "debian")]),
            ("FR\\\nOM x", vec![pair("FROM", "x")]),
            (
                "RUN cat <<EOF | \\\n tee\nRUN y\nEOF\nRUN z",
                vec![pair("RUN", "cat <<EOF |  tee"), pair("RUN", "z")],
            ),
            ("ONBUILD COPY <<E /x\nRUN a\nE\nCMD b", vec![pair("COPY", "<<E /x"), pair("CMD", "b")]),
            (
                "# escape=`\nRUN a `\nb\nRUN c\\\nRUN d",
                vec![pair("RUN", "a b"), pair("RUN", "c\\"), pair("RUN", "d")],
            ),
            ("ONBUILD", vec![pair("ONBUILD", "")]),
        ] {
            assert_eq!(told(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_and_triggers_known() {
        let found = Instructions::of("# a\nFROM x\n\nONBUILD RUN \\\n b\nRUN c\n").all;
        let told: Vec<_> = found.iter().map(|one| (one.line, one.is_trigger)).collect();
        assert_eq!(told, [(2, false), (4, true), (6, false)]);
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn every_word_is_where_it_is_said_to_be(
            text in text_of(&["RUN", "FROM x", " ", "\t", "\n", "\r\n", "\\\n", "`\n", "# escape=`\n", "<<EOF", "\nEOF\n", "COPY", "ONBUILD ", "x", "#", "é", "\u{feff}"])
        ) {
            let instructions = Instructions::of(&text);
            let mut before = 0;
            for found in &instructions.all {
                let keyword_end = found.keyword_end();
                prop_assert!(before <= keyword_end && keyword_end <= found.end && found.end <= text.len());
                for word in words(&found.arguments) {
                    let place = found.place(&word);
                    prop_assert!(keyword_end <= place.start && place.end <= found.end);
                    // A word over several lines has their ends in it.
                    let raw = &text[place];
                    if !raw.contains('\n') {
                        prop_assert_eq!(raw, &found.arguments[word]);
                    }
                }
                before = found.end;
            }
        }
    }
}
