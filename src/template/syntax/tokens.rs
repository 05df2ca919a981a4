//! The tokens of a tag: what Jinja2's lexer sees between its delimiters.

use crate::template::tags::string_end;

/// Kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A name or keyword.
    Name,
    /// A string, its quotes included.
    Text,
    Integer,
    /// A number with a fraction or an exponent.
    Float,
    Sign,
}

/// One token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagToken<'a> {
    /// Kind of the token.
    pub kind: TokenKind,
    /// Text of the token, as it is written.
    pub text: &'a str,
    /// The offset of its first byte.
    pub start: usize,
}

impl TagToken<'_> {
    /// The offset after its last byte.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Signs of two characters, before those of one that they begin with.
const PAIRS: [&str; 6] = ["**", "//", "==", "!=", "<=", ">="];
const SINGLES: &str = "+-*/%~<>=.:|,;()[]{}";

/// The tokens of a text; an error is the offset of what is none.
pub fn tokens(text: &str) -> Result<Vec<TagToken<'_>>, usize> {
    let mut found: Vec<TagToken<'_>> = Vec::with_capacity(text.len() / 4 + 1);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_ascii_whitespace() || c == '\x0b' {
            at += 1;
            continue;
        }
        let after_dot = found.last().is_some_and(|last| last.text == "." && last.end() == at);
        let (kind, length) = match c {
            '\'' | '"' => (TokenKind::Text, string_end(text, at).ok_or(at)? - at),
            '0'..='9' => number(&text[at..], after_dot),
            _ if c.is_alphabetic() || c == '_' => (TokenKind::Name, word_length(&text[at..])),
            _ => (TokenKind::Sign, sign_length(&text[at..]).ok_or(at)?),
        };
        found.push(TagToken { kind, text: &text[at..at + length], start: at });
        at += length;
    }
    Ok(found)
}

fn word_length(text: &str) -> usize {
    let is_simple = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let simple = text.bytes().take_while(is_simple).count();
    let rest = &text[simple..];
    simple + rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
}

fn sign_length(text: &str) -> Option<usize> {
    if PAIRS.iter().any(|pair| text.starts_with(pair)) {
        return Some(2);
    }
    text.starts_with(|c| SINGLES.contains(c)).then_some(1)
}

/// A number at the start of a text; after a dot it is an index, which has no fraction.
fn number(text: &str, after_dot: bool) -> (TokenKind, usize) {
    let whole = word_length(text);
    let is_prefixed = text.starts_with('0') && text[1..].starts_with(|c: char| c.is_ascii_alphabetic());
    if after_dot || is_prefixed {
        return (TokenKind::Integer, whole);
    }
    let mut end = whole;
    let digit_at = |at: usize| text[at..].starts_with(|c: char| c.is_ascii_digit());
    if text[end..].starts_with('.') && digit_at(end + 1) {
        end += 1 + word_length(&text[end + 1..]);
    }
    if text[..end].ends_with(['e', 'E']) && text[end..].starts_with(['+', '-']) && digit_at(end + 1) {
        end += 1 + word_length(&text[end + 1..]);
    }
    let is_float = text[..end].contains(['.', 'e', 'E']);
    (if is_float { TokenKind::Float } else { TokenKind::Integer }, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_apart() {
        let texts = |text| -> Vec<String> {
            tokens(text)
                .expect("tokens")
                .iter()
                .map(|token| format!("{:?} {}", token.kind, token.text))
                .collect()
        };
        assert_eq!(
            texts("a.0.1 1.5e-3**0x1F//'it\\'s'<=é|b"),
            [
                "Name a",
                "Sign .",
                "Integer 0",
                "Sign .",
                "Integer 1",
                "Float 1.5e-3",
                "Sign **",
                "Integer 0x1F",
                "Sign //",
                "Text 'it\\'s'",
                "Sign <=",
                "Name é",
                "Sign |",
                "Name b"
            ]
        );
        assert_eq!((tokens("a ! b"), tokens("'a"), tokens("a\u{a0}b")), (Err(2), Err(0), Err(1)));
    }
}
