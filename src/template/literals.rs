//! Rewrites expressions: strings as Python reads them, lists and dicts as objects that can change, what is joined as
//! something that is counted.
//!
//! `[a]` becomes `__list([a])` and `{a: b}` becomes `__dict({a: b})`, because MiniJinja's own never change, while Kolla's
//! templates append to lists. `a ~ b` becomes `a |__joined(1)~ b`, a filter that gives its value back: texts that are
//! joined have no other place where their length could be checked.

use std::borrow::Cow;

use super::limits::JOINED;
use super::tags::{joins, string_end};

/// The function that makes a list that can change.
pub const LIST: &str = "__list";
/// The function that makes a dict that can change.
pub const DICT: &str = "__dict";

/// Words after which an operand comes; after any other word a bracket is a subscript and a sign joins.
const BEFORE_OPERAND: [&str; 11] =
    ["in", "and", "or", "not", "if", "elif", "else", "is", "include", "with", "extends"];

/// Rewrites what stands between a tag's delimiters.
pub fn rewrite_tag(tag: &str) -> Cow<'_, str> {
    match rewrite_expression(&tag[2..tag.len() - 2]) {
        Cow::Borrowed(_) => Cow::Borrowed(tag),
        Cow::Owned(inner) => Cow::Owned(format!("{}{inner}{}", &tag[..2], &tag[tag.len() - 2..])),
    }
}

/// Rewrites every literal in an expression or statement. What is not closed is left for the parser to complain about.
pub fn rewrite_expression(text: &str) -> Cow<'_, str> {
    if !text.contains(['[', '{', '\\', '~', '+']) {
        return Cow::Borrowed(text);
    }
    let joins = joins(text);
    let mut out = String::with_capacity(text.len() + 16);
    // For each open bracket, whether a function call was put around it.
    let mut open: Vec<bool> = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(['\'', '"', '[', ']', '{', '}', '~', '+']).map(|found| at + found)
    {
        out.push_str(&text[at..found]);
        let byte = text.as_bytes()[found];
        at = found + 1;
        match byte {
            b'\'' | b'"' => {
                let Some(end) = string_end(text, found) else { return Cow::Borrowed(text) };
                out.push_str(&rewrite_string(&text[found..end]));
                at = end;
            }
            b'~' | b'+' => {
                // A sign before a number, or one that says what to do with blanks, joins nothing.
                if !opens_operand(&text[..found]) && !text[at..].trim().is_empty() {
                    out.push_str(&format!("|{JOINED}({joins})"));
                }
                out.push(char::from(byte));
            }
            b'[' | b'{' => {
                let literal = opens_operand(&text[..found]);
                if literal {
                    out.push_str(if byte == b'[' { LIST } else { DICT });
                    out.push('(');
                }
                out.push(char::from(byte));
                open.push(literal);
            }
            _ => {
                out.push(char::from(byte));
                if open.pop() == Some(true) {
                    out.push(')');
                }
            }
        }
    }
    out.push_str(&text[at..]);
    if open.is_empty() { Cow::Owned(out) } else { Cow::Borrowed(text) }
}

/// Whether a bracket after this text starts a literal, not a subscript, and a sign belongs to what comes after it.
fn opens_operand(before: &str) -> bool {
    let before = before.trim_end();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    match before.chars().next_back() {
        None => true,
        Some(')' | ']' | '}' | '\'' | '"') => false,
        Some(c) if word(c) => BEFORE_OPERAND.contains(&before.rsplit(|c| !word(c)).next().unwrap_or("")),
        Some(_) => true,
    }
}

/// A string literal, its quotes included, in MiniJinja's escapes.
fn rewrite_string(literal: &str) -> Cow<'_, str> {
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
        assert_eq!(rewrite_tag(r#"{{ 'a\/b' }}"#), r#"{{ "a\\/b" }}"#);
        assert_eq!(rewrite_tag(r#"{{ 'it\'s "x"\x41\101\u00e4' }}"#), "{{ \"it's \\\"x\\\"AA\u{e4}\" }}");
        assert_eq!(rewrite_tag("{{ 'a\\\nb' }}"), "{{ \"ab\"\n }}");
        assert_eq!(rewrite_tag("{{ 'a\\n\nb' }}"), "{{ \"a\n\\nb\" }}");
    }

    #[test]
    fn lists_and_dicts_are_made_by_functions_and_subscripts_are_not() {
        for (source, expected) in [
            ("['a', ['b'][0]]", "__list(['a', __list(['b'])[0]])"),
            ("{'a': [1]}['a'][x]", "__dict({'a': __list([1])})['a'][x]"),
            ("users[name] + f()[0] ~ 't~+'[1:]", "users[name] |__joined(2)+ f()[0] |__joined(2)~ 't~+'[1:]"),
            ("+ a if +1 in b else ('x', +2) +", "+ a if +1 in b else ('x', +2) +"),
            (" for x in ['a'] if not ['b'] ", " for x in __list(['a']) if not __list(['b']) "),
            ("m(a=[], b = {}, '[')", "m(a=__list([]), b = __dict({}), '[')"),
            ("- set in_[0] -", "- set in_[0] -"),
            ("unclosed ['", "unclosed ['"),
            ("unclosed [1", "unclosed [1"),
        ] {
            assert_eq!(rewrite_expression(source), expected);
        }
    }
}
