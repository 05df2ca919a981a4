//! Reads expressions as Jinja2 does, and notes what is to be changed in them for MiniJinja (see [`crate::template::prelex`]).

use super::edits::Edits;
use super::tokens::{TagToken, TokenKind, tokens};
use crate::template::names::{COMPARE, ITERABLE, MADE, NUMBER, ORDERED};

/// How deep an expression may be: what reads, compiles and drops it goes as deep.
pub const MAX_DEPTH: usize = 200;
/// Depth of brackets within brackets.
const MAX_BRACKETS: usize = 40;

/// So many operands may be joined before any is counted.
const FEW: usize = 4;

/// Something that is no expression or statement of Jinja2, or too much of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxRefusal {
    /// The offset in the text that was read.
    pub at: usize,
    /// Reason of the refusal, for people.
    pub message: String,
}

pub type Read<T> = Result<T, SyntaxRefusal>;

/// A filter or test by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use<'a> {
    /// Name of the filter or test.
    pub name: &'a str,
    /// True for a test.
    pub is_test: bool,
    /// Offset in the text.
    pub at: usize,
}

/// Shape of an expression, as far as it matters around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Something that has a value.
    Value,
    Name,
    /// Anything else, which may be undefined.
    Open,
}

/// An expression that was read.
#[derive(Debug, Clone, Copy)]
pub struct Expression {
    /// The offset of its first byte.
    pub start: usize,
    /// The offset after its last byte.
    pub end: usize,
    pub(super) depth: usize,
    pub(super) shape: Shape,
}

/// Reads what stands between a tag's delimiters.
pub struct ExpressionParser<'a> {
    pub(super) text: &'a str,
    tokens: Vec<TagToken<'a>>,
    pub(super) at: usize,
    brackets: usize,
    pub(super) conditional: usize,
    /// Changes to make in the text.
    pub edits: Edits,
    /// Filters and tests that must be known.
    pub uses: Vec<Use<'a>>,
    /// True when a block is printed from here: by `super()` or through `self`.
    pub prints_block: bool,
}

impl<'a> ExpressionParser<'a> {
    pub fn new(text: &'a str) -> Read<ExpressionParser<'a>> {
        let tokens = tokens(text).map_err(|at| {
            let c = text[at..].chars().next().unwrap_or(' ');
            SyntaxRefusal { at, message: format!("unexpected {c:?}") }
        })?;
        Ok(ExpressionParser {
            text,
            tokens,
            at: 0,
            brackets: 0,
            conditional: 0,
            edits: Edits::default(),
            uses: Vec::new(),
            prints_block: false,
        })
    }

    /// The token at hand.
    pub fn token(&self) -> Option<TagToken<'a>> {
        self.tokens.get(self.at).copied()
    }

    pub(super) fn peek(&self, text: &str) -> bool {
        self.token().is_some_and(|token| token.kind != TokenKind::Text && token.text == text)
    }

    pub(super) fn next_is(&self, text: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.kind != TokenKind::Text && token.text == text)
    }

    /// Passes over a sign or word when it comes next.
    pub fn skip(&mut self, text: &str) -> bool {
        let found = self.peek(text);
        self.at += usize::from(found);
        found
    }

    /// Passes over a sign or word that must come next.
    pub fn expect(&mut self, text: &str) -> Read<()> {
        if self.skip(text) { Ok(()) } else { self.unexpected(&format!("'{text}'")) }
    }

    /// A name that must come next.
    pub fn name(&mut self) -> Read<TagToken<'a>> {
        match self.token() {
            Some(token) if token.kind == TokenKind::Name => {
                self.at += 1;
                Ok(token)
            }
            _ => self.unexpected("a name"),
        }
    }

    /// An error about the token at hand.
    pub fn unexpected<T>(&self, expected: &str) -> Read<T> {
        let (at, found) = match self.token() {
            Some(token) => (token.start, format!("'{}'", token.text)),
            None => (self.text.len(), "end of the tag".to_string()),
        };
        Err(SyntaxRefusal { at, message: format!("unexpected {found}, expected {expected}") })
    }

    /// Nothing may come after.
    pub fn end(&self) -> Read<()> {
        if self.at == self.tokens.len() { Ok(()) } else { self.unexpected("the end of the tag") }
    }

    fn too_deep<T>(&self, at: usize) -> Read<T> {
        let message = "an expression this long or deep is more than a template may have";
        Err(SyntaxRefusal { at, message: message.to_string() })
    }

    pub(super) fn node(&self, start: usize, depth: usize, shape: Shape) -> Read<Expression> {
        let end = self.tokens[..self.at].last().map_or(start, TagToken::end);
        if depth > MAX_DEPTH { self.too_deep(start) } else { Ok(Expression { start, end, depth, shape }) }
    }

    pub(super) fn around(&mut self, node: Expression, before: impl Into<String>, after: impl Into<String>) {
        self.edits.wrap(node.start, before, node.end, after);
    }

    /// Passes what a part of the text makes to a function of ours.
    pub(super) fn pass_to(&mut self, function: &str, node: Expression) {
        self.around(node, [function, "("].concat(), ")");
    }

    /// Has what a part of the text makes counted so many times, before it is made.
    pub(super) fn count_made(&mut self, node: Expression, times: usize) {
        self.around(node, [MADE, "("].concat(), format!(", {times})"));
    }

    /// One expression, or several with commas between them, which make a tuple.
    pub fn tuple(&mut self, with_condition: bool) -> Read<Expression> {
        let one = |parser: &mut ExpressionParser<'a>| {
            if with_condition { parser.expression() } else { parser.without_condition() }
        };
        let first = one(self)?;
        if !self.peek(",") {
            return Ok(first);
        }
        let mut depth = first.depth;
        while self.skip(",") {
            let ends = self.token().is_none_or(|token| matches!(token.text, "recursive" | ")"));
            if ends && self.token().is_none_or(|token| token.kind != TokenKind::Text) {
                break;
            }
            depth = depth.max(one(self)?.depth);
        }
        let node = self.node(first.start, depth + 1, Shape::Value)?;
        self.around(node, "(", ")");
        Ok(node)
    }

    /// An expression in which `if` may stand.
    pub fn expression(&mut self) -> Read<Expression> {
        let mut left = self.without_condition()?;
        while self.skip("if") {
            // What stands in either branch is only known to be there once it is needed.
            self.uses.retain(|used| used.at < left.start);
            self.conditional += 1;
            let test = self.without_condition()?;
            let mut depth = left.depth.max(test.depth);
            if self.skip("else") {
                depth = depth.max(self.deeper(left.start, ExpressionParser::expression)?.depth);
            }
            self.conditional -= 1;
            left = self.node(left.start, depth + 1, Shape::Open)?;
        }
        Ok(left)
    }

    pub(super) fn deeper(
        &mut self,
        start: usize,
        read: fn(&mut ExpressionParser<'a>) -> Read<Expression>,
    ) -> Read<Expression> {
        self.brackets += 1;
        if self.brackets > MAX_BRACKETS {
            return self.too_deep(start);
        }
        let node = read(self)?;
        self.brackets -= 1;
        Ok(node)
    }

    /// An expression in which `if` ends it.
    pub fn without_condition(&mut self) -> Read<Expression> {
        self.chain(
            &["or"],
            |parser| parser.chain(&["and"], ExpressionParser::negation, Shape::Open),
            Shape::Open,
        )
    }

    /// Operands with signs between them that are read from left to right.
    fn chain(
        &mut self,
        signs: &[&str],
        operand: impl Fn(&mut ExpressionParser<'a>) -> Read<Expression>,
        shape: Shape,
    ) -> Read<Expression> {
        let mut left = operand(self)?;
        while signs.iter().any(|sign| self.peek(sign)) {
            self.at += 1;
            let right = operand(self)?;
            left = self.node(left.start, left.depth.max(right.depth) + 1, shape)?;
        }
        Ok(left)
    }

    fn negation(&mut self) -> Read<Expression> {
        let Some(first) = self.token().filter(|_| self.peek("not")) else { return self.comparison() };
        let mut count = 0;
        while self.skip("not") {
            count += 1;
        }
        let node = self.comparison()?;
        self.node(first.start, node.depth + count, Shape::Value)
    }

    fn comparison(&mut self) -> Read<Expression> {
        let left = self.sum()?;
        let mut others: Vec<(TagToken<'a>, Expression)> = Vec::new();
        while let Some(sign) = self.token().filter(|token| token.kind != TokenKind::Text) {
            match sign.text {
                "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" => self.at += 1,
                "not" if self.next_is("in") => self.at += 2,
                _ => break,
            }
            others.push((sign, self.sum()?));
        }
        let is_order = |sign: &TagToken<'_>| matches!(sign.text, "<" | "<=" | ">" | ">=");
        match others.as_slice() {
            [] => return Ok(left),
            [(sign, right)] if is_order(sign) => {
                self.edits.wrap(left.start, format!("{COMPARE}({:?}, ", sign.text), right.end, ")");
                self.edits.replace(sign.text, sign.start, ",");
            }
            _ if others.iter().any(|(sign, _)| is_order(sign)) => {
                for node in std::iter::once(left).chain(others.iter().map(|(_, node)| *node)) {
                    self.pass_to(ORDERED, node);
                }
            }
            _ => {}
        }
        let depth = others.iter().map(|(_, node)| node.depth).chain([left.depth]).max().unwrap_or(0);
        self.node(left.start, depth + others.len(), Shape::Value)
    }

    fn sum(&mut self) -> Read<Expression> {
        self.counted(&["+", "-"], |parser| parser.counted(&["~"], ExpressionParser::product))
    }

    fn product(&mut self) -> Read<Expression> {
        self.counted(&["*", "/", "//", "%"], |parser| {
            parser.chain(&["**"], ExpressionParser::operand, Shape::Value)
        })
    }

    /// Operands joined by signs, and what comes of them is counted: as often as they are joined, it may be copied. Of
    /// many, each is counted before they are joined.
    fn counted(
        &mut self,
        signs: &[&str],
        operand: impl Fn(&mut ExpressionParser<'a>) -> Read<Expression>,
    ) -> Read<Expression> {
        let first = operand(self)?;
        let (mut left, mut others) = (first, Vec::new());
        while let Some(sign) =
            self.token().filter(|sign| sign.kind == TokenKind::Sign && signs.contains(&sign.text))
        {
            self.at += 1;
            match sign.text {
                "%" => self.pass_to(NUMBER, left),
                // MiniJinja multiplies constants when it compiles, where nothing counts.
                "*" => self.count_made(left, 1),
                _ => {}
            }
            let right = operand(self)?;
            left = self.node(left.start, left.depth.max(right.depth) + 1, Shape::Value)?;
            others.push(right);
        }
        let times = others.len();
        if times > FEW {
            std::iter::once(first).chain(others).for_each(|operand| self.count_made(operand, times));
        }
        if times > 0 {
            self.count_made(left, times);
        }
        Ok(left)
    }

    /// Reads what a `for` goes over.
    pub fn iterable(&mut self) -> Read<()> {
        let node = self.tuple(false)?;
        self.pass_to(ITERABLE, node);
        Ok(())
    }
}
