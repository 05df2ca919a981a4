//! Rewrites template text so that MiniJinja does with it what Jinja2 does.
//!
//! None of the rewrites adds or removes a line, so that errors keep their line numbers:
//!
//! - spaces that only Python takes for such become plain ones inside tags;
//! - newlines: `\r\n` and `\r` become `\n`, as Jinja2's lexer reads them;
//! - names are bound by `__bind`, as in `{% set name = __bind("name", (expr)) %}`: it makes lists shared and records what is
//!   set at the top level of a template, which `customizable` looks at (see [`super::rewrites`]);
//! - list and dict literals make objects that can change, strings with backslashes are decoded as Python does, and what
//!   operations and filters make is counted (see [`super::syntax`]);
//! - defaults of macros' arguments are read when all arguments have their names;
//! - after a top-level `{% extends %}`, `{{ }}` outside of blocks and macros are dropped: Jinja2 never evaluates them;
//! - around `super()`, names that a block has set have the values that they had before it: Jinja2's blocks share nothing.
//!
//! What is no statement or expression of Jinja2, or nested deeper than can be parsed, is refused on the way.

mod parsed;

use std::borrow::Cow;
use std::collections::HashMap;

pub use self::parsed::SyntaxError;
use self::parsed::{ParsedTag, TagContent, outer_names, parse};
use super::limits::{MAX_OPEN, MAX_SOURCE, too_much};
use super::names::{BIND, BIND_TOP_LEVEL, IMPORTED};
use super::syntax::{ExpressionParser, Form, Statement, Use};
use super::tags::{SCOPES, Tag, normalize_newlines, tags, unclosed};

/// Circumstances that a template is rewritten for.
#[derive(Clone, Copy)]
pub struct Rewriting<'k> {
    /// True to record top-level sets; the names of templates that are imported are their own.
    pub record: bool,
    /// Tells whether there is such a filter or test.
    pub knows: &'k dyn Fn(&Use<'_>) -> bool,
}

/// Rewrites a template's source.
pub fn rewrite(source: &str, rewriting: Rewriting<'_>) -> Result<String, SyntaxError> {
    let source = normalize_newlines(source);
    if source.len() > MAX_SOURCE {
        let message = too_much(format_args!("a template of {} bytes", source.len())).to_string();
        return Err(SyntaxError::at(&source, 0, message));
    }
    let tags: Vec<Tag<'_>> = tags(&source).collect();
    let end = tags.last().map_or(0, |tag| tag.start + tag.text.len());
    if let Some(at) = unclosed(&source, end) {
        return Err(SyntaxError::at(&source, at, "this tag is not closed"));
    }
    let plain: Vec<Cow<'_, str>> = tags.iter().map(|tag| tag.plain()).collect();
    let mut parts: Vec<ParsedTag<'_>> = Vec::with_capacity(tags.len());
    for (text, tag) in plain.iter().zip(&tags) {
        parts.push(parse(&source, tag, text)?);
    }
    let mut out = String::with_capacity(source.len() + source.len() / 4);
    if !rewriting.record && source.contains("customizable") {
        out.extend(["{{ ", IMPORTED, "() }}"]);
    }
    let outer = outer_names(&parts);
    let mut state =
        Rewriter { source: &source, rewriting, outer, open: Vec::new(), extended: Extended::No, number: 0 };
    let mut done = 0;
    for (tag, part) in tags.iter().zip(&parts) {
        out.push_str(&source[done..tag.start]);
        state.part(tag, part, &mut out)?;
        state.number += 1;
        done = tag.start + tag.text.len();
    }
    out.push_str(&source[done..]);
    Ok(out)
}

/// A tag that is open.
struct Open<'a> {
    word: &'a str,
    /// The name of a `{% set name %}`.
    captured: Option<&'a str>,
    /// How many more conditions follow the first.
    elifs: usize,
}

/// Answer to whether a template extends another from here on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extended {
    No,
    /// Only if a condition holds.
    Perhaps,
    Yes,
}

/// The variable that says whether a template that may extend another does.
const EXTENDED: &str = "__extended";

struct Rewriter<'a> {
    source: &'a str,
    rewriting: Rewriting<'a>,
    outer: HashMap<usize, Vec<&'a str>>,
    open: Vec<Open<'a>>,
    /// State of the top-level `extends` so far.
    extended: Extended,
    /// The number of the tag at hand.
    number: usize,
}

impl<'a> Rewriter<'a> {
    fn part(&mut self, tag: &Tag<'_>, part: &ParsedTag<'a>, out: &mut String) -> Result<(), SyntaxError> {
        match &part.content {
            TagContent::Nothing => out.push_str(tag.text),
            TagContent::Output(_) if self.extended == Extended::Yes && self.is_own_output() => {
                // Its newlines stay so that later lines keep their numbers; its whitespace control no longer
                // matters, because nothing around it is printed either.
                out.push_str("{#");
                out.extend(tag.text.matches('\n'));
                out.push_str("#}");
            }
            TagContent::Output(parser) => {
                self.check_uses(tag, parser)?;
                let text = parser.edits.apply(part.body, 0, part.body.len());
                let text = [part.head, &text, part.tail].concat();
                if self.extended == Extended::Perhaps && self.is_own_output() {
                    let (left, right) = dashes(&text);
                    out.extend(["{%", left, " if not ", EXTENDED, " %}", &text, "{% endif ", right, "%}"]);
                } else {
                    self.around_block(&text, out);
                }
            }
            TagContent::Statement(statement) => {
                self.check_uses(tag, &statement.parser)?;
                let text = self.statement(part, statement);
                match statement.word {
                    "extends" if self.open.iter().any(|open| open.word == "if") => {
                        out.extend([&text, "{% set ", EXTENDED, " = true %}"]);
                    }
                    "block" => self.block(&text, out),
                    _ => self.around_block(&text, out),
                }
                self.nest(tag, statement)?;
            }
        }
        Ok(())
    }

    /// Jinja2 looks for filters and tests when it compiles, except where a condition may keep them from being used.
    fn check_uses(&self, tag: &Tag<'_>, parser: &ExpressionParser<'_>) -> Result<(), SyntaxError> {
        if self.open.last().is_some_and(|open| open.word == "if") {
            return Ok(());
        }
        match parser.uses.iter().find(|used| !(self.rewriting.knows)(used)) {
            Some(used) => {
                let what = if used.is_test { "test" } else { "filter" };
                let message = format!("there is no {what} {}", used.name);
                Err(SyntaxError::at(self.source, tag.start, message))
            }
            None => Ok(()),
        }
    }

    fn statement(&self, part: &ParsedTag<'a>, statement: &Statement<'a>) -> String {
        let edits = &statement.parser.edits;
        let all = edits.apply(part.body, 0, part.body.len());
        let function = self.bind_function();
        match &statement.form {
            Form::Assign { name, value } => {
                let head = &part.body[..value.start];
                let expression = edits.apply(part.body, value.start, value.end);
                let rest = &part.body[value.end..];
                [part.head, head, function, &format!("({name:?}, ({expression}))"), rest, part.tail].concat()
            }
            _ if statement.word == "endset" => match self.open.last().and_then(|open| open.captured) {
                Some(name) => {
                    let space = &part.body[part.body.trim_end().len()..];
                    format!(
                        "{}{} %}}{{% set {name} = {function}({name:?}, {name}){space}{}",
                        part.head,
                        all.trim_end(),
                        part.tail
                    )
                }
                None => [part.head, &all, part.tail].concat(),
            },
            _ if statement.bound.is_empty() => [part.head, &all, part.tail].concat(),
            _ => bind_after(part, statement, &all, if statement.word == "set" { function } else { BIND }),
        }
    }

    /// True where what is printed goes to the template's own output.
    fn is_own_output(&self) -> bool {
        !self.open.iter().any(|open| matches!(open.word, "block" | "macro" | "call" | "set"))
    }

    fn bind_function(&self) -> &'static str {
        let is_top_level = !self.open.iter().any(|open| SCOPES.contains(&open.word));
        if self.rewriting.record && is_top_level { BIND_TOP_LEVEL } else { BIND }
    }

    /// A tag that prints a block, with the names that are its own block's put away meanwhile.
    fn around_block(&self, tag: &str, out: &mut String) {
        let Some(names) = self.outer.get(&self.number).filter(|names| !names.is_empty()) else {
            return out.push_str(tag);
        };
        let (left, right) = dashes(tag);
        for (number, name) in names.iter().enumerate() {
            let left = if number == 0 { left } else { "" };
            out.extend(["{%", left, " set __own_", name, " = ", name, " %}"]);
            out.extend(["{% set ", name, " = __outer_", name, " %}"]);
        }
        out.push_str(tag);
        for (number, name) in names.iter().enumerate() {
            let right = if number + 1 == names.len() { right } else { "" };
            out.extend(["{% set ", name, " = __own_", name, " ", right, "%}"]);
        }
    }

    /// A block's tag, and after it what keeps the values that its names had before.
    fn block(&self, tag: &str, out: &mut String) {
        out.push_str(tag);
        let names = self.outer.get(&self.number).into_iter().flatten();
        let (_, right) = dashes(tag);
        for name in names {
            out.extend(["{% set __outer_", name, " = ", name, " ", right, "%}"]);
        }
    }

    /// Opens and closes what the statement opens and closes.
    fn nest(&mut self, tag: &Tag<'_>, statement: &Statement<'a>) -> Result<(), SyntaxError> {
        let word = statement.word;
        match (word, &statement.form) {
            ("elif", _) => {
                if let Some(open) = self.open.last_mut() {
                    open.elifs += 1;
                }
            }
            ("extends", _) if self.open.is_empty() => self.extended = Extended::Yes,
            ("extends", _) if self.extended == Extended::No => self.extended = Extended::Perhaps,
            ("endraw", _) => {}
            ("set", Form::Capture { name }) => self.open.push(Open { word, captured: *name, elifs: 0 }),
            ("if", _) => self.open.push(Open { word, captured: None, elifs: 0 }),
            _ if SCOPES.contains(&word) => self.open.push(Open { word, captured: None, elifs: 0 }),
            _ if word.starts_with("end") => drop(self.open.pop()),
            _ => {}
        }
        let depth: usize = self.open.iter().map(|open| 1 + open.elifs).sum();
        if depth > MAX_OPEN {
            let message =
                too_much(format_args!("{MAX_OPEN} tags and branches within each other")).to_string();
            return Err(SyntaxError::at(self.source, tag.start, message));
        }
        Ok(())
    }
}

/// Dashes by which a tag takes the blanks before and after it.
fn dashes(tag: &str) -> (&'static str, &'static str) {
    let dash = |is_there| if is_there { "-" } else { "" };
    (dash(tag[2..].starts_with('-')), dash(tag[..tag.len() - 2].ends_with('-')))
}

/// The tag, and after it what binds every name that it has given to a value; whitespace control stays at the end.
fn bind_after(part: &ParsedTag<'_>, statement: &Statement<'_>, all: &str, function: &str) -> String {
    let body = all.trim_end();
    let space = &all[body.len()..];
    let mut out = format!("{}{body} %}}", part.head);
    for (number, bound) in statement.bound.iter().enumerate() {
        let name = bound.name;
        let value = match &bound.default {
            Some(default) => {
                let default = statement.parser.edits.apply(part.body, default.start, default.end);
                format!("{name} if {name} is defined else ({default})")
            }
            None => name.to_string(),
        };
        out.push_str(&format!("{{% set {name} = {function}({name:?}, {value})"));
        out.push_str(if number + 1 < statement.bound.len() { " %}" } else { "" });
    }
    out + space + part.tail
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests;
