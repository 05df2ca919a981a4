//! Finds the tags in a template's text: where each one starts and ends, and what kind it is.

use std::borrow::Cow;

/// Tags that open a scope of their own, in which a `set` is not at the top level.
pub const SCOPES: [&str; 7] = ["block", "for", "macro", "call", "filter", "with", "autoescape"];

/// Kind of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    /// A comment, `{# ... #}`.
    Comment,
    /// An expression that is printed, `{{ ... }}`.
    Output,
    /// A statement, `{% ... %}`.
    Statement,
    /// `{% raw %}` and everything up to `{% endraw %}`.
    Raw,
}

/// One tag, its delimiters included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Kind of the tag.
    pub kind: TagKind,
    /// The offset of its first byte.
    pub start: usize,
    /// Text of the tag with its delimiters.
    pub text: &'a str,
}

impl<'a> Tag<'a> {
    /// Text of the tag, with plain spaces where it is read as one.
    pub fn plain(&self) -> Cow<'a, str> {
        match self.kind {
            TagKind::Comment | TagKind::Raw => Cow::Borrowed(self.text),
            TagKind::Output | TagKind::Statement => plain_spaces(self.text),
        }
    }
}

/// The tags of a template in order. It ends at a tag that is not closed.
pub fn tags(source: &str) -> impl Iterator<Item = Tag<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = next_tag(source, source[at..].find('{').map(|found| at + found)?)?;
        let rest = &source[start..];
        let mut kind = match &rest[..2] {
            "{#" => TagKind::Comment,
            "{{" => TagKind::Output,
            _ => TagKind::Statement,
        };
        let mut end = match kind {
            TagKind::Comment => rest[2..].find("#}")? + 4,
            _ => tag_end(rest)?,
        };
        if kind == TagKind::Statement && tag_word(&rest[..end]) == "raw" {
            kind = TagKind::Raw;
            end += endraw(&rest[end..]).unwrap_or(rest.len() - end);
        }
        at = start + end;
        Some(Tag { kind, start, text: &rest[..end] })
    })
}

/// The position of the first tag at or after `at`.
fn next_tag(text: &str, mut at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at + 1)? {
            b'{' | b'%' | b'#' => return Some(at),
            _ => at += 1 + text[at + 1..].find('{')?,
        }
    }
}

/// The end of the `{{` or `{%` tag that the text starts with. Strings and brackets inside are passed over.
fn tag_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let close: &[u8] = if bytes[1] == b'{' { b"}}" } else { b"%}" };
    let mut open_brackets = 0usize;
    let mut at = 2;
    while at < bytes.len() {
        if open_brackets == 0 && bytes[at..].starts_with(close) {
            return Some(at + 2);
        }
        match bytes[at] {
            b'\'' | b'"' => at = string_end(text, at)?,
            b'(' | b'[' | b'{' => {
                open_brackets += 1;
                at += 1;
            }
            b')' | b']' | b'}' => {
                open_brackets = open_brackets.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
    }
    None
}

/// The end of the string literal that starts at `at`.
pub fn string_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = bytes[at];
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// The tag with a plain space for every other character that Python takes for one, strings left as they are.
fn plain_spaces(tag: &str) -> Cow<'_, str> {
    let is_other = |c: char| !c.is_ascii() && c.is_whitespace() || matches!(c, '\x0b' | '\x1c'..='\x1f');
    // Nearly every tag: its bytes tell it sooner than its characters.
    let is_plain = |byte: u8| byte.is_ascii() && !matches!(byte, b'\x0b' | b'\x1c'..=b'\x1f');
    if tag.bytes().all(is_plain) || !tag.contains(is_other) {
        return Cow::Borrowed(tag);
    }
    let mut plain = String::with_capacity(tag.len());
    let mut at = 0;
    while let Some(c) = tag[at..].chars().next() {
        let string = if matches!(c, '\'' | '"') { string_end(tag, at) } else { None };
        let end = string.unwrap_or(at + c.len_utf8());
        plain.push_str(if is_other(c) { " " } else { &tag[at..end] });
        at = end;
    }
    Cow::Owned(plain)
}

/// Text between a tag's delimiters, without whitespace control.
pub fn tag_body(tag: &str) -> &str {
    tag[2..tag.len() - 2].trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim()
}

/// The first word of a tag.
pub fn tag_word(tag: &str) -> &str {
    let body = tag_body(tag);
    let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
    &body[..end]
}

/// Where `{% endraw %}` starts.
fn endraw(text: &str) -> Option<usize> {
    text.match_indices("{%").map(|(at, _)| at).find(|at| {
        let rest = &text[at + 2..];
        let word = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start().strip_prefix("endraw");
        word.is_some_and(|rest| rest.trim_start().trim_start_matches(['-', '+']).starts_with("%}"))
    })
}

/// Where a tag starts, at or after a place, that is not closed.
pub fn unclosed(source: &str, from: usize) -> Option<usize> {
    next_tag(source, from + source[from..].find('{')?)
}

/// Where a tag's text stands between its delimiters and what they say about blanks.
pub fn inner(tag: &str) -> std::ops::Range<usize> {
    let start = if tag[2..].starts_with(['-', '+']) { 3 } else { 2 };
    let end = tag.len() - 2;
    let closes = if tag.ends_with("}}") { "-" } else { "-+" };
    let end = end - usize::from(end > start && tag[..end].ends_with(|c| closes.contains(c)));
    start.min(end)..end
}

/// The name and the place of the value in `{% set name = value %}`; none for other forms of `set`.
pub fn assignment(tag: &str) -> Option<(String, std::ops::Range<usize>)> {
    let word = tag.find("set")?;
    let equals = word + tag[word..].find('=')?;
    let name = tag[word + 3..equals].trim();
    if tag.as_bytes().get(equals + 1) == Some(&b'=') || !is_identifier(name) {
        return None;
    }
    let end = tag.len() - 2;
    let end = end - usize::from(tag[..end].ends_with(['-', '+']));
    (equals < end && !tag[equals + 1..end].trim().is_empty()).then(|| (name.to_string(), equals + 1..end))
}

/// The name in `{% set name %}`.
pub fn set_block_name(tag: &str) -> Option<&str> {
    let name = tag_body(tag).strip_prefix("set")?.trim();
    let name = name.split('|').next()?.trim();
    is_identifier(name).then_some(name)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_word)
}

/// Jinja2 reads any of the three line ends as `\n`.
pub fn normalize_newlines(source: &str) -> Cow<'_, str> {
    if source.contains('\r') {
        Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(source)
    }
}
