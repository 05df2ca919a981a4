//! Reads expressions as Jinja2 does, and notes what is to be changed in them for MiniJinja (see [`crate::template::prelex`]).

use std::borrow::Cow;

use super::edits::Edits;
use super::tokens::{Kind, Token, tokens};
use crate::template::literals::rewrite_string;
use crate::template::rewrites::{COMPARE, DICT, ITERABLE, LIST, MADE, NUMBER, ORDERED, PASSED};

/// How deep an expression may be: what reads, compiles and drops it goes as deep.
pub const MAX_DEPTH: usize = 200;
/// Brackets within brackets.
const MAX_BRACKETS: usize = 40;

/// So many operands may be joined before any is counted.
const FEW: usize = 4;

/// Functions of ours and of MiniJinja, which take an undefined argument as it is.
const FUNCTIONS: [&str; 10] = [
    "cleanup_repos",
    "cycler",
    "debian_package_install",
    "dict",
    "handle_repos",
    "joiner",
    "loop",
    "raise_error",
    "range",
    "super",
];
/// Words that no operand starts with.
const KEYWORDS: [&str; 7] = ["and", "else", "if", "in", "is", "not", "or"];

/// Something that is no expression or statement of Jinja2, or too much of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The offset in the text that was read.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

pub type Read<T> = Result<T, Refusal>;

/// A filter or test by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is a test.
    pub is_test: bool,
    /// Where it stands.
    pub at: usize,
}

/// What an expression is, as far as it matters around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// It has a value.
    Value,
    /// A name.
    Name,
    /// It may be undefined.
    Open,
}

/// An expression that was read.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// The offset of its first byte.
    pub start: usize,
    /// The offset after its last byte.
    pub end: usize,
    depth: usize,
    shape: Shape,
}

/// Reads what stands between a tag's delimiters.
pub struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    brackets: usize,
    conditional: usize,
    /// What is to be changed.
    pub edits: Edits,
    /// Filters and tests that must be known.
    pub uses: Vec<Use<'a>>,
    /// Whether a block is printed from here: by `super()` or through `self`.
    pub prints_block: bool,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Read<Parser<'a>> {
        let tokens = tokens(text).map_err(|at| {
            let c = text[at..].chars().next().unwrap_or(' ');
            Refusal { at, message: format!("unexpected {c:?}") }
        })?;
        Ok(Parser {
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
    pub fn token(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn peek(&self, text: &str) -> bool {
        self.token().is_some_and(|token| token.kind != Kind::Text && token.text == text)
    }

    fn next_is(&self, text: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.kind != Kind::Text && token.text == text)
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
    pub fn name(&mut self) -> Read<Token<'a>> {
        match self.token() {
            Some(token) if token.kind == Kind::Name => {
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
        Err(Refusal { at, message: format!("unexpected {found}, expected {expected}") })
    }

    /// Nothing may come after.
    pub fn end(&self) -> Read<()> {
        if self.at == self.tokens.len() { Ok(()) } else { self.unexpected("the end of the tag") }
    }

    fn too_deep<T>(&self, at: usize) -> Read<T> {
        let message = "an expression this long or deep is more than a template may have";
        Err(Refusal { at, message: message.to_string() })
    }

    fn node(&self, start: usize, depth: usize, shape: Shape) -> Read<Node> {
        let end = self.tokens[..self.at].last().map_or(start, Token::end);
        if depth > MAX_DEPTH { self.too_deep(start) } else { Ok(Node { start, end, depth, shape }) }
    }

    fn around(&mut self, node: Node, before: impl Into<String>, after: impl Into<String>) {
        self.edits.wrap(node.start, before, node.end, after);
    }

    /// One expression, or several with commas between them, which make a tuple.
    pub fn tuple(&mut self, with_condition: bool) -> Read<Node> {
        let one = |parser: &mut Parser<'a>| {
            if with_condition { parser.expression() } else { parser.without_condition() }
        };
        let first = one(self)?;
        if !self.peek(",") {
            return Ok(first);
        }
        let mut depth = first.depth;
        while self.skip(",") {
            let ends = self.token().is_none_or(|token| matches!(token.text, "recursive" | ")"));
            if ends && self.token().is_none_or(|token| token.kind != Kind::Text) {
                break;
            }
            depth = depth.max(one(self)?.depth);
        }
        let node = self.node(first.start, depth + 1, Shape::Value)?;
        self.around(node, "(", ")");
        Ok(node)
    }

    /// An expression in which `if` may stand.
    pub fn expression(&mut self) -> Read<Node> {
        let mut left = self.without_condition()?;
        while self.skip("if") {
            // What stands in either branch is only known to be there once it is needed.
            self.uses.retain(|used| used.at < left.start);
            self.conditional += 1;
            let test = self.without_condition()?;
            let mut depth = left.depth.max(test.depth);
            if self.skip("else") {
                depth = depth.max(self.deeper(left.start, Parser::expression)?.depth);
            }
            self.conditional -= 1;
            left = self.node(left.start, depth + 1, Shape::Open)?;
        }
        Ok(left)
    }

    fn deeper(&mut self, start: usize, read: fn(&mut Parser<'a>) -> Read<Node>) -> Read<Node> {
        self.brackets += 1;
        if self.brackets > MAX_BRACKETS {
            return self.too_deep(start);
        }
        let node = read(self)?;
        self.brackets -= 1;
        Ok(node)
    }

    /// An expression in which `if` ends it.
    pub fn without_condition(&mut self) -> Read<Node> {
        self.chain(&["or"], |parser| parser.chain(&["and"], Parser::negation, Shape::Open), Shape::Open)
    }

    /// Operands with signs between them that are read from left to right.
    fn chain(
        &mut self,
        signs: &[&str],
        operand: impl Fn(&mut Parser<'a>) -> Read<Node>,
        shape: Shape,
    ) -> Read<Node> {
        let mut left = operand(self)?;
        while signs.iter().any(|sign| self.peek(sign)) {
            self.at += 1;
            let right = operand(self)?;
            left = self.node(left.start, left.depth.max(right.depth) + 1, shape)?;
        }
        Ok(left)
    }

    fn negation(&mut self) -> Read<Node> {
        let Some(first) = self.token().filter(|_| self.peek("not")) else { return self.comparison() };
        let mut count = 0;
        while self.skip("not") {
            count += 1;
        }
        let node = self.comparison()?;
        self.node(first.start, node.depth + count, Shape::Value)
    }

    fn comparison(&mut self) -> Read<Node> {
        let left = self.sum()?;
        let mut others: Vec<(Token<'a>, Node)> = Vec::new();
        while let Some(sign) = self.token().filter(|token| token.kind != Kind::Text) {
            match sign.text {
                "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" => self.at += 1,
                "not" if self.next_is("in") => self.at += 2,
                _ => break,
            }
            others.push((sign, self.sum()?));
        }
        let is_order = |sign: &Token<'_>| matches!(sign.text, "<" | "<=" | ">" | ">=");
        match others.as_slice() {
            [] => return Ok(left),
            [(sign, right)] if is_order(sign) => {
                self.edits.wrap(left.start, format!("{COMPARE}({:?}, ", sign.text), right.end, ")");
                self.edits.replace(sign.text, sign.start, ",");
            }
            _ if others.iter().any(|(sign, _)| is_order(sign)) => {
                for node in std::iter::once(left).chain(others.iter().map(|(_, node)| *node)) {
                    self.around(node, format!("{ORDERED}("), ")");
                }
            }
            _ => {}
        }
        let depth = others.iter().map(|(_, node)| node.depth).chain([left.depth]).max().unwrap_or(0);
        self.node(left.start, depth + others.len(), Shape::Value)
    }

    fn sum(&mut self) -> Read<Node> {
        self.counted(&["+", "-"], |parser| parser.counted(&["~"], Parser::product))
    }

    fn product(&mut self) -> Read<Node> {
        self.counted(&["*", "/", "//", "%"], |parser| parser.chain(&["**"], Parser::operand, Shape::Value))
    }

    /// Operands joined by signs, and what comes of them is counted: as often as they are joined, it may be copied. Of
    /// many, each is counted before they are joined.
    fn counted(&mut self, signs: &[&str], operand: impl Fn(&mut Parser<'a>) -> Read<Node>) -> Read<Node> {
        let mut left = operand(self)?;
        let mut operands = vec![left];
        while let Some(sign) =
            self.token().filter(|sign| sign.kind == Kind::Sign && signs.contains(&sign.text))
        {
            self.at += 1;
            match sign.text {
                "%" => self.around(left, format!("{NUMBER}("), ")"),
                // MiniJinja multiplies constants when it compiles, where nothing counts.
                "*" => self.around(left, format!("{MADE}("), ", 1)"),
                _ => {}
            }
            let right = operand(self)?;
            left = self.node(left.start, left.depth.max(right.depth) + 1, Shape::Value)?;
            operands.push(right);
        }
        let times = operands.len() - 1;
        if times > FEW {
            operands
                .into_iter()
                .for_each(|operand| self.around(operand, format!("{MADE}("), format!(", {times})")));
        }
        if times > 0 {
            self.around(left, format!("{MADE}("), format!(", {times})"));
        }
        Ok(left)
    }

    /// An operand with its signs, and the filters and tests that it goes through.
    fn operand(&mut self) -> Read<Node> {
        let node = self.signed()?;
        self.filters(node)
    }

    fn signed(&mut self) -> Read<Node> {
        let start = self.token().map_or(self.text.len(), |token| token.start);
        let mut count = 0;
        while self.peek("-") || self.peek("+") {
            self.at += 1;
            count += 1;
        }
        let node = self.primary()?;
        let node = self.postfix(node)?;
        if count == 0 { Ok(node) } else { self.node(start, node.depth + count, Shape::Value) }
    }

    fn primary(&mut self) -> Read<Node> {
        let Some(token) = self.token() else { return self.unexpected("an expression") };
        match (token.kind, token.text) {
            (Kind::Name, "true" | "True" | "false" | "False" | "none" | "None") => {
                self.at += 1;
                self.node(token.start, 1, Shape::Value)
            }
            (Kind::Name, name) if !KEYWORDS.contains(&name) => {
                self.at += 1;
                self.prints_block |= name == "self";
                self.node(token.start, 1, Shape::Name)
            }
            (Kind::Text, _) => {
                while let Some(part) = self.token().filter(|part| part.kind == Kind::Text) {
                    if let Cow::Owned(text) = rewrite_string(part.text) {
                        self.edits.replace(part.text, part.start, &text);
                    }
                    self.at += 1;
                }
                self.node(token.start, 1, Shape::Value)
            }
            (Kind::Integer | Kind::Float, _) => {
                self.at += 1;
                self.node(token.start, 1, Shape::Value)
            }
            (Kind::Sign, "(" | "[" | "{") => self.deeper(token.start, Parser::bracketed),
            _ => self.unexpected("an expression"),
        }
    }

    fn bracketed(&mut self) -> Read<Node> {
        let Some(open) = self.token() else { return self.unexpected("a bracket") };
        self.at += 1;
        let close = match open.text {
            "(" => ")",
            "[" => "]",
            _ => "}",
        };
        let (mut depth, mut count, mut commas, mut shape) = (0, 0, 0, Shape::Value);
        while !self.skip(close) {
            if count > 0 {
                self.expect(",")?;
                commas += 1;
                if self.skip(close) {
                    break;
                }
            }
            let item = self.expression()?;
            (depth, count, shape) = (depth.max(item.depth), count + 1, item.shape);
            if close == "}" {
                self.expect(":")?;
                depth = depth.max(self.expression()?.depth);
            }
        }
        let is_grouped = close == ")" && count == 1 && commas == 0;
        let node = self.node(open.start, depth + 1, if is_grouped { shape } else { Shape::Value })?;
        match close {
            "]" => self.around(node, format!("{LIST}("), ")"),
            "}" => self.around(node, format!("{DICT}("), ")"),
            _ => {}
        }
        Ok(if is_grouped && shape == Shape::Name { Node { shape: Shape::Open, ..node } } else { node })
    }

    fn postfix(&mut self, mut node: Node) -> Read<Node> {
        while let Some(sign) = self.token().filter(|token| token.kind == Kind::Sign) {
            node = match sign.text {
                "." => {
                    self.at += 1;
                    match self.token() {
                        Some(token) if matches!(token.kind, Kind::Name | Kind::Integer) => self.at += 1,
                        _ => return self.unexpected("a name or number"),
                    }
                    self.node(node.start, node.depth + 1, Shape::Open)?
                }
                "[" => self.subscript(node)?,
                "(" => self.call(node)?,
                _ => break,
            };
        }
        Ok(node)
    }

    fn subscript(&mut self, of: Node) -> Read<Node> {
        self.at += 1;
        let (mut depth, mut is_slice) = (of.depth, false);
        for _ in 0..3 {
            if !self.peek(":") && !self.peek("]") {
                depth = depth.max(self.deeper(of.start, Parser::expression)?.depth);
            }
            if !self.skip(":") {
                break;
            }
            is_slice = true;
        }
        self.expect("]")?;
        let node = self.node(of.start, depth + 1, if is_slice { Shape::Value } else { Shape::Open })?;
        if is_slice {
            self.around(node, format!("{MADE}("), ", 1)");
        }
        Ok(node)
    }

    fn call(&mut self, of: Node) -> Read<Node> {
        let name = &self.text[of.start..of.end];
        self.prints_block |= name == "super";
        // A macro can be told that an argument is there and undefined: with none, it takes its default.
        let is_known = match of.shape {
            Shape::Name => FUNCTIONS.contains(&name),
            _ => name.starts_with("loop."),
        };
        let depth = self.arguments(of.start, !is_known)?.max(of.depth);
        self.node(of.start, depth + 1, Shape::Open)
    }

    /// The arguments of a call; how deep they are.
    fn arguments(&mut self, start: usize, to_macro: bool) -> Read<usize> {
        self.expect("(")?;
        let (mut depth, mut is_first, mut named) = (0, true, false);
        while !self.skip(")") {
            if !is_first {
                self.expect(",")?;
                if self.skip(")") {
                    break;
                }
            }
            is_first = false;
            let spread = self.skip("*") || self.skip("**");
            let is_named = self.token().is_some_and(|token| token.kind == Kind::Name) && self.next_is("=");
            if is_named {
                self.at += 2;
            } else if named && !spread {
                return self.unexpected("an argument with a name");
            }
            named |= is_named;
            let value = self.deeper(start, Parser::expression)?;
            if to_macro && !spread && value.shape != Shape::Value {
                self.around(value, format!("{PASSED}("), ")");
            }
            depth = depth.max(value.depth);
        }
        Ok(depth)
    }

    fn filters(&mut self, mut node: Node) -> Read<Node> {
        loop {
            if self.peek("|") {
                self.at += 1;
                node = self.filter(node.start, node.depth)?;
            } else if self.peek("is") {
                self.at += 1;
                node = self.test(node)?;
            } else if self.peek("(") {
                node = self.call(node)?;
            } else {
                return Ok(node);
            }
        }
    }

    /// A filter after its sign, on what starts at a place and is so deep.
    pub fn filter(&mut self, start: usize, depth: usize) -> Read<Node> {
        let name = self.dotted(false)?;
        let arguments = if self.peek("(") { self.arguments(start, false)? } else { 0 };
        let node = self.node(start, depth.max(arguments) + 1, Shape::Open)?;
        if name != "customizable" {
            self.edits.after(node.end, format!("|{MADE}(1)"));
        }
        Ok(node)
    }

    fn test(&mut self, of: Node) -> Read<Node> {
        self.skip("not");
        self.dotted(true)?;
        let starts_operand = self.token().is_some_and(|token| match token.kind {
            Kind::Name => !matches!(token.text, "and" | "else" | "is" | "or"),
            Kind::Sign => matches!(token.text, "[" | "{"),
            _ => true,
        });
        let argument = if self.peek("(") {
            self.arguments(of.start, false)?
        } else if starts_operand {
            let argument = self.primary()?;
            self.postfix(argument)?.depth
        } else {
            0
        };
        self.node(of.start, of.depth.max(argument) + 2, Shape::Value)
    }

    /// The name of a filter or test.
    fn dotted(&mut self, is_test: bool) -> Read<&'a str> {
        let first = self.name()?;
        let mut end = first.end();
        while self.skip(".") {
            end = self.name()?.end();
        }
        let name = &self.text[first.start..end];
        if self.conditional == 0 {
            self.uses.push(Use { name, is_test, at: first.start });
        }
        Ok(name)
    }

    /// What a `for` goes over.
    pub fn iterable(&mut self) -> Read<()> {
        let node = self.tuple(false)?;
        self.around(node, format!("{ITERABLE}("), ")");
        Ok(())
    }
}
