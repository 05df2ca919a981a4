//! The commands in a line for a POSIX shell [pure].

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;

/// Words after which another command begins.
const RESERVED: [&str; 10] = ["!", "{", "do", "elif", "else", "if", "then", "time", "until", "while"];

/// A command: where the words of it are, its program's name first. Assignments in front of it are left out.
pub type Command = Vec<Range<usize>>;

/// The commands of a line in their order, as far as they are not in quotes or substitutions; none in one with a
/// here-document or an open quote.
pub fn commands(line: &str) -> Vec<Command> {
    let reader =
        CommandReader { line, rest: line.char_indices().peekable(), words: Vec::new(), all: Vec::new() };
    reader.commands().unwrap_or_default()
}

struct CommandReader<'t> {
    line: &'t str,
    rest: Peekable<CharIndices<'t>>,
    words: Command,
    all: Vec<Command>,
}

impl CommandReader<'_> {
    fn commands(mut self) -> Option<Vec<Command>> {
        let mut start = None;
        let mut before = ' ';
        while let Some((at, char)) = self.rest.next() {
            // `2>&1` and `>|file` end no command.
            let redirects = matches!((before, char), ('>' | '<', '&') | ('>', '|'));
            match char {
                '#' if start.is_none() => break,
                '<' if before == '<' => return None,
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' if !redirects => {
                    self.end_word(start.take(), at);
                    if !matches!(char, ' ' | '\t') {
                        self.end_command();
                    }
                }
                _ => {
                    start.get_or_insert(at);
                    self.part(char)?;
                }
            }
            before = char;
        }
        self.end_word(start, self.line.len());
        self.end_command();
        Some(self.all)
    }

    /// Reads to the end of what a character opens.
    fn part(&mut self, char: char) -> Option<()> {
        match char {
            '\'' => self.skip_to('\''),
            '"' => self.quoted(),
            '`' => self.skip_to('`'),
            '\\' => {
                self.rest.next();
                Some(())
            }
            '$' if self.rest.next_if(|(_, next)| *next == '(').is_some() => self.nested('(', ')'),
            '$' if self.rest.next_if(|(_, next)| *next == '{').is_some() => self.nested('{', '}'),
            _ => Some(()),
        }
    }

    fn skip_to(&mut self, end: char) -> Option<()> {
        self.rest.find(|(_, char)| *char == end).map(drop)
    }

    fn quoted(&mut self) -> Option<()> {
        loop {
            match self.rest.next()?.1 {
                '"' => return Some(()),
                '\'' => {}
                char => self.part(char)?,
            }
        }
    }

    fn nested(&mut self, open: char, close: char) -> Option<()> {
        let mut depth = 1;
        while depth > 0 {
            match self.rest.next()?.1 {
                char if char == open => depth += 1,
                char if char == close => depth -= 1,
                char => self.part(char)?,
            }
        }
        Some(())
    }

    fn end_word(&mut self, start: Option<usize>, end: usize) {
        let Some(start) = start else { return };
        let word = &self.line[start..end];
        if !self.words.is_empty() || !(RESERVED.contains(&word) || is_assignment(word)) {
            self.words.push(start..end);
        }
    }

    fn end_command(&mut self) {
        if !self.words.is_empty() {
            self.all.push(std::mem::take(&mut self.words));
        }
    }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !name.is_empty()
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    fn told(line: &str) -> Vec<Vec<&str>> {
        let words = |command: Command| command.into_iter().map(|word| &line[word]).collect();
        commands(line).into_iter().map(words).collect()
    }

    #[test]
    fn commands_end_where_the_shell_ends_them() {
        for (line, expected) in [
            (
                "a b && c||d;e&f | g",
                vec![vec!["a", "b"], vec!["c"], vec!["d"], vec!["e"], vec!["f"], vec!["g"]],
            ),
            ("A=1 B=\"x y\" make CC=gcc", vec![vec!["make", "CC=gcc"]]),
            ("if ! a; then (b c); fi", vec![vec!["a"], vec!["b", "c"], vec!["fi"]]),
            ("a >/dev/null 2>&1 && b >|c", vec![vec!["a", ">/dev/null", "2>&1"], vec!["b", ">|c"]]),
            ("case x in a) b;; esac", vec![vec!["case", "x", "in", "a"], vec!["b"], vec!["esac"]]),
            ("a # b && c", vec![vec!["a"]]),
            ("a x#y", vec![vec!["a", "x#y"]]),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_quoted_or_substituted_is_part_of_a_word() {
        for (line, expected) in [
            ("bash -c 'a && b'", vec![vec!["bash", "-c", "'a && b'"]]),
            ("a \"$(b \")\" && c)'\" d", vec![vec!["a", "\"$(b \")\" && c)'\"", "d"]]),
            (
                "a $(b; c $((1 + 2))) `d; e` ${f:-g;h}",
                vec![vec!["a", "$(b; c $((1 + 2)))", "`d; e`", "${f:-g;h}"]],
            ),
            ("a\\ b\\;c; d", vec![vec!["a\\ b\\;c"], vec!["d"]]),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_goes_on_elsewhere() {
        for line in ["cat <<EOF && a", "a 'b", "a \"b", "a $(b", "a `b"] {
            assert_eq!(told(line), [[""; 0]; 0], "{line}");
        }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn words_stand_in_their_order_and_are_not_empty(
            line in text_of(&["a", "B=1", " ", "&&", ";", "|", ">", "&", "(", ")", "$(", "${", "}", "'", "\"", "`", "\\", "#", "if", "<<", "\n", "é"])
        ) {
            let mut before = 0;
            for word in commands(&line).into_iter().flatten() {
                prop_assert!(before <= word.start && word.start < word.end && word.end <= line.len());
                prop_assert!(line.get(word.clone()).is_some());
                before = word.end;
            }
        }
    }
}
