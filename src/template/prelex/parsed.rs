//! The tags of a template, read by Jinja2's grammar.

use std::collections::HashMap;

use crate::template::syntax::{ExpressionParser, Form, Statement, SyntaxRefusal, output, statement};
use crate::template::tags::{Tag, TagKind, inner};

/// Why a template is refused before it is parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// Reason, without the place.
    pub message: String,
}

impl SyntaxError {
    /// The place of what stands at an offset.
    pub fn at(source: &str, offset: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError { line: source[..offset].matches('\n').count() + 1, message: message.into() }
    }
}

/// A tag as it was read.
pub struct ParsedTag<'a> {
    /// Delimiter at the start, with what says how to treat blanks.
    pub head: &'a str,
    /// Text between the delimiters.
    pub body: &'a str,
    /// Delimiter at the end, in the same way.
    pub tail: &'a str,
    pub content: TagContent<'a>,
}

pub enum TagContent<'a> {
    Nothing,
    Output(ExpressionParser<'a>),
    Statement(Statement<'a>),
}

/// Reads a tag: `plain` is its text with plain spaces.
pub fn parse<'a>(source: &str, tag: &Tag<'_>, plain: &'a str) -> Result<ParsedTag<'a>, SyntaxError> {
    if matches!(tag.kind, TagKind::Comment | TagKind::Raw) {
        return Ok(ParsedTag { head: plain, body: "", tail: "", content: TagContent::Nothing });
    }
    let inner = inner(plain);
    let (head, body, tail) = (&plain[..inner.start], &plain[inner.clone()], &plain[inner.end..]);
    let refused = |refusal: SyntaxRefusal| {
        // Spaces may have become shorter on the way here; lines have not.
        let line = body[..refusal.at].matches('\n').count() + source[..tag.start].matches('\n').count() + 1;
        SyntaxError { line, message: refusal.message }
    };
    let content = match tag.kind {
        TagKind::Output => TagContent::Output(output(body).map_err(refused)?),
        _ => TagContent::Statement(statement(body).map_err(refused)?),
    };
    Ok(ParsedTag { head, body, tail, content })
}

/// For each block by the number of its tag, and each tag in it that prints a block: the names that the block has given
/// to values before.
pub fn outer_names<'a>(parts: &[ParsedTag<'a>]) -> HashMap<usize, Vec<&'a str>> {
    let mut found: HashMap<usize, Vec<&'a str>> = HashMap::new();
    let mut blocks: Vec<(usize, Vec<&'a str>)> = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let (parser, statement) = match &part.content {
            TagContent::Nothing => continue,
            TagContent::Output(parser) => (parser, None),
            TagContent::Statement(statement) => (&statement.parser, Some(statement)),
        };
        let is_simple = statement.is_none_or(|statement| matches!(statement.form, Form::Assign { .. }));
        if let Some((block, names)) = blocks.last()
            && parser.prints_block
            && is_simple
            && !names.is_empty()
        {
            let own: Vec<&str> = statement.iter().flat_map(|statement| statement.names()).collect();
            found.insert(number, names.iter().copied().filter(|name| !own.contains(name)).collect());
            found.insert(*block, names.clone());
        }
        let Some(statement) = statement else { continue };
        match statement.word {
            "block" => blocks.push((number, Vec::new())),
            "endblock" => drop(blocks.pop()),
            _ => {
                if let Some((_, names)) = blocks.last_mut() {
                    names.extend(statement.names().filter(|name| !names.contains(name)).collect::<Vec<_>>());
                }
            }
        }
    }
    found
}
