//! String literals as Python reads them, in MiniJinja's escapes.

use std::borrow::Cow;

/// A string literal, its quotes included, in MiniJinja's escapes.
pub fn rewrite_string(literal: &str) -> Cow<'_, str> {
    let inner = &literal[1..literal.len() - 1];
    if !inner.contains('\\') {
        return Cow::Borrowed(literal);
    }
    Cow::Owned(encode_literal(&decode_python_escapes(inner), inner.matches('\n').count()))
}

/// A literal in MiniJinja's escapes that spans as many source lines as the original did.
fn encode_literal(text: &str, source_lines: usize) -> String {
    let mut out = String::from("\"");
    let mut raw_newlines = source_lines;
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' if raw_newlines > 0 => {
                raw_newlines -= 1;
                out.push('\n');
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out.extend(std::iter::repeat_n('\n', raw_newlines));
    out
}

/// Python's `unicode_escape`: unknown escapes keep their backslash, a backslash before a newline joins the lines.
fn decode_python_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let (decoded, used) = match c {
            '\n' => (None, 1),
            '\\' | '\'' | '"' => (Some(c), 1),
            'a' => (Some('\x07'), 1),
            'b' => (Some('\x08'), 1),
            'f' => (Some('\x0c'), 1),
            'n' => (Some('\n'), 1),
            'r' => (Some('\r'), 1),
            't' => (Some('\t'), 1),
            'v' => (Some('\x0b'), 1),
            'x' => numeric(rest, 1, 2, 16),
            'u' => numeric(rest, 1, 4, 16),
            'U' => numeric(rest, 1, 8, 16),
            '0'..='7' => {
                let len = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                numeric(rest, 0, len, 8)
            }
            _ => (Some('\\'), 0),
        };
        out.extend(decoded);
        rest = &rest[used..];
    }
    out.push_str(rest);
    out
}

/// A character given by a number of exactly `len` digits after `skip` bytes; else the backslash stays.
fn numeric(text: &str, skip: usize, len: usize, radix: u32) -> (Option<char>, usize) {
    text.get(skip..skip + len)
        .filter(|digits| digits.chars().all(|c| c.is_digit(radix)))
        .and_then(|digits| u32::from_str_radix(digits, radix).ok())
        .and_then(char::from_u32)
        .map_or((Some('\\'), 0), |c| (Some(c), skip + len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_decoded_as_python_does() {
        assert_eq!(rewrite_string(r#"'a\/b'"#), r#""a\\/b""#);
        assert_eq!(rewrite_string(r#"'it\'s "x"\x41\101\u00e4'"#), "\"it's \\\"x\\\"AA\u{e4}\"");
        assert_eq!(rewrite_string("'a\\\nb'"), "\"ab\"\n");
        assert_eq!(rewrite_string("'a\\n\nb'"), "\"a\n\\nb\"");
        assert_eq!(rewrite_string("'plain'"), "'plain'");
    }
}
