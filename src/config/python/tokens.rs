//! Tokens of a Python module, by statements [pure].

/// A word, a value or a sign of a module's text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Number(String),
    /// None when it is no plain string: `b''`, `f''`, or one that never ends.
    Text(Option<String>),
    Sign(char),
}

/// The tokens of every statement that starts in the first column; with `inner` those of all others too.
pub(super) fn statements(source: &str, inner: bool) -> Vec<Vec<Token>> {
    let mut statements = Vec::new();
    let mut current = Vec::new();
    let mut open = 0_usize;
    let mut rest = source;
    let mut at_line_start = true;
    let mut indented = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        if at_line_start && open == 0 {
            indented = c.is_whitespace() && c != '\n';
        }
        at_line_start = c == '\n';
        match c {
            '\n' if open == 0 => statements.push(std::mem::take(&mut current)),
            '\\' if rest[1..].starts_with('\n') => taken = 2,
            '#' => taken = rest.find('\n').unwrap_or(rest.len()),
            _ if c.is_whitespace() => {}
            _ => {
                let (token, length) = token(rest);
                taken = length;
                match token {
                    Token::Sign('(' | '[' | '{') => open += 1,
                    Token::Sign(')' | ']' | '}') => open = open.saturating_sub(1),
                    _ => {}
                }
                if inner || !indented {
                    current.push(token);
                }
            }
        }
        rest = &rest[taken..];
    }
    statements.push(current);
    statements.retain(|statement| !statement.is_empty());
    statements
}

/// The token that a text starts with, and its length.
fn token(rest: &str) -> (Token, usize) {
    let length = |is: fn(char) -> bool| rest.find(|c: char| !is(c)).unwrap_or(rest.len());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let first = rest.chars().next().unwrap_or('\0');
    let word = length(is_word);
    let prefix = &rest[..word];
    if rest[word..].starts_with(['"', '\'']) && prefix.len() <= 2 && prefix.chars().all(|c| c.is_alphabetic())
    {
        let (text, taken) = string(&rest[word..], prefix.to_lowercase().contains('r'));
        let plain = ["", "r", "u"].contains(&prefix.to_lowercase().as_str());
        return (Token::Text(text.filter(|_| plain)), word + taken);
    }
    if first.is_ascii_digit() {
        (Token::Number(prefix.to_string()), word)
    } else if word > 0 {
        (Token::Name(prefix.to_string()), word)
    } else {
        (Token::Sign(first), first.len_utf8())
    }
}

/// A quoted string's value and its length with quotes; no value when it never ends.
fn string(rest: &str, raw: bool) -> (Option<String>, usize) {
    let single = &rest[..1];
    let triple = single.repeat(3);
    let quote = if rest.starts_with(&triple) { triple.as_str() } else { single };
    let mut text = String::new();
    let mut at = quote.len();
    while let Some(c) = rest[at..].chars().next() {
        if rest[at..].starts_with(quote) {
            return (Some(text), at + quote.len());
        }
        at += c.len_utf8();
        if c != '\\' {
            text.push(c);
            continue;
        }
        let Some(escaped) = rest[at..].chars().next() else { break };
        at += escaped.len_utf8();
        match escaped {
            _ if raw => text.extend([c, escaped]),
            '\n' => {}
            'n' => text.push('\n'),
            't' => text.push('\t'),
            '\\' | '\'' | '"' => text.push(escaped),
            _ => text.extend([c, escaped]),
        }
    }
    (None, rest.len())
}
