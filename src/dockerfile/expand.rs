//! Variables and quotes in a word of a Dockerfile, as BuildKit's shell lexer reads them [pure].

use std::iter::Peekable;
use std::str::Chars;

/// Words in words beyond which nobody writes any.
const DEEPEST: usize = 32;

/// A word with its variables' values and without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// The text. A variable without a value is empty.
    pub text: String,
    /// Every variable in it has a value, or says what stands for it.
    pub is_whole: bool,
}

/// Look-up of a variable's value.
pub type VariableLookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Puts values in and takes quotes away.
pub fn expand(word: &str, escape: char, values: VariableLookup) -> Expanded {
    let mut lexer = Lexer { rest: word.chars().peekable(), escape, values, depth: 0, is_whole: true };
    let text = lexer.word(None);
    Expanded { text, is_whole: lexer.is_whole }
}

/// Parts between white space that is in no quotes.
pub fn split_quoted(text: &str, escape: char) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut chars = text.char_indices();
    std::iter::from_fn(move || {
        let (mut start, mut quote) = (None, None);
        while let Some((at, char)) = chars.next() {
            if quote.is_none() && char.is_whitespace() {
                match start {
                    Some(start) => return Some(start..at),
                    None => continue,
                }
            }
            start.get_or_insert(at);
            match (quote, char) {
                (None, '"' | '\'') => quote = Some(char),
                (Some(open), _) if open == char => quote = None,
                (Some('\''), _) => {}
                _ if char == escape => drop(chars.next()),
                _ => {}
            }
        }
        start.map(|start| start..text.len())
    })
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    escape: char,
    values: VariableLookup<'a>,
    depth: usize,
    is_whole: bool,
}

impl Lexer<'_> {
    /// Reads on to the end, or past the character that ends the word.
    fn word(&mut self, end: Option<char>) -> String {
        let mut text = String::new();
        while let Some(char) = self.rest.next() {
            match char {
                _ if Some(char) == end => break,
                '\'' => text.extend(self.rest.by_ref().take_while(|char| *char != '\'')),
                '"' => self.quoted(&mut text),
                '$' => text.push_str(&self.variable()),
                _ if char == self.escape => text.extend(self.rest.next()),
                _ => text.push(char),
            }
        }
        text
    }

    fn quoted(&mut self, text: &mut String) {
        while let Some(char) = self.rest.next() {
            match char {
                '"' => return,
                '$' => text.push_str(&self.variable()),
                _ if char == self.escape => match self.rest.next() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => text.push(next),
                    next => text.extend([char].into_iter().chain(next)),
                },
                _ => text.push(char),
            }
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(char) = self.rest.next_if(|char| char.is_ascii_alphanumeric() || *char == '_') {
            name.push(char);
        }
        name
    }

    /// Text in place of a variable whose `$` was read.
    fn variable(&mut self) -> String {
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            return if name.is_empty() { "$".to_string() } else { self.or_empty(&name) };
        }
        let name = self.name();
        let colon = self.rest.next_if_eq(&':').is_some();
        let operator = self.rest.next();
        if operator == Some('}') && !colon {
            return self.or_empty(&name);
        }
        let (outer, was_whole) = (self.depth, self.is_whole);
        self.depth += 1;
        if self.depth > DEEPEST {
            self.rest = "".chars().peekable();
        }
        let other = self.word(Some('}'));
        let other_is_whole = std::mem::replace(&mut self.is_whole, was_whole && outer < DEEPEST);
        self.depth = outer;
        let value = (self.values)(&name).filter(|value| !colon || !value.is_empty());
        match (operator, value) {
            (Some('-' | '?'), Some(value)) => value,
            (Some('+'), None) => String::new(),
            (Some('-'), None) | (Some('+'), Some(_)) => {
                self.is_whole &= other_is_whole;
                other
            }
            // An error of the engine's to tell, or what only newer ones know: `${x#pattern}`.
            _ => {
                self.is_whole = false;
                String::new()
            }
        }
    }

    fn or_empty(&mut self, name: &str) -> String {
        (self.values)(name).unwrap_or_else(|| {
            self.is_whole = false;
            String::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    fn values(name: &str) -> Option<String> {
        match name {
            "a" => Some("A".to_string()),
            "empty" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn words_are_read_as_a_shell_reads_them() {
        for (word, text, is_whole) in [
            ("x$a", "xA", true),
            ("${a}b${empty}", "Ab", true),
            ("$none", "", false),
            ("${none:-d}${none-$a}${empty:-e}${empty-e}", "dAe", true),
            ("${a:-$none}", "A", true),
            ("${none:-$none}", "", false),
            ("${a:+x}${none:+$none}", "x", true),
            ("${a:?no}${a?no}", "AA", true),
            ("${none:?no}", "", false),
            ("${a#x}", "", false),
            (r"\$a'$a'", "$a$a", true),
            (r#""$a \"\$\\ \n""#, r#"A "$\ \n"#, true),
            ("a$", "a$", true),
            ("${none:-${empty:-x}y}z", "xyz", true),
        ] {
            assert_eq!(expand(word, '\\', &values), Expanded { text: text.to_string(), is_whole }, "{word}");
        }
        assert_eq!(expand("`$a\\b", '`', &values).text, "$a\\b");
    }

    #[test]
    fn quotes_keep_a_part_together() {
        let parts =
            |text: &'static str| -> Vec<&str> { split_quoted(text, '\\').map(|part| &text[part]).collect() };
        assert_eq!(parts("  a=\"b c\" d\\ e 'f \\' g"), ["a=\"b c\"", "d\\ e", "'f \\'", "g"]);
        assert_eq!(parts("\"open x"), ["\"open x"]);
        assert_eq!(parts(""), [""; 0]);
    }

    #[test]
    fn words_in_words_have_an_end() {
        assert!(!expand(&"${x:-".repeat(100_000), '\\', &values).is_whole);
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn what_has_no_meaning_stays(text in "[a-z/:.@é -]{0,20}") {
            prop_assert_eq!(expand(&text, '\\', &values), Expanded { text: text.clone(), is_whole: true });
        }

        #[test]
        fn every_word_ends(text in text_of(&["$", "{", "}", ":", "-", "+", "?", "a", "none", "\\", "'", "\"", "é", " "])) {
            let all: usize = split_quoted(&text, '\\').map(|part| part.len()).sum();
            prop_assert!(all <= text.len());
            expand(&text, '\\', &values);
        }
    }
}
