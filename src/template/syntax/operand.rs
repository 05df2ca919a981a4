//! Operands: names, literals and what is in brackets, with the subscripts, calls, filters and tests that follow.

use std::borrow::Cow;

use super::expression::{Expression, ExpressionParser, Read, Shape, Use};
use super::tokens::TokenKind;
use crate::template::literals::rewrite_string;
use crate::template::names::{DICT, LIST, MADE, PASSED, SLICED};

/// Functions of ours and of MiniJinja, which take an undefined argument as it is.
const FUNCTIONS: [&str; 9] =
    ["cleanup_repos", "cycler", "dict", "handle_repos", "joiner", "loop", "raise_error", "range", "super"];

impl<'a> ExpressionParser<'a> {
    /// An operand with its signs, and the filters and tests that it goes through.
    pub(super) fn operand(&mut self) -> Read<Expression> {
        let node = self.signed()?;
        self.filters(node)
    }

    fn signed(&mut self) -> Read<Expression> {
        let start = self.token().map_or(self.text.len(), |token| token.start);
        let mut count = 0;
        while self.peek("-") || self.peek("+") {
            // MiniJinja has no sign that changes nothing.
            if let Some(sign) = self.token().filter(|sign| sign.text == "+") {
                self.edits.replace(sign.text, sign.start, " ");
            }
            self.at += 1;
            count += 1;
        }
        let node = self.primary()?;
        let node = self.postfix(node)?;
        if count == 0 { Ok(node) } else { self.node(start, node.depth + count, Shape::Value) }
    }

    fn primary(&mut self) -> Read<Expression> {
        let Some(token) = self.token() else { return self.unexpected("an expression") };
        match (token.kind, token.text) {
            (TokenKind::Name, "true" | "True" | "false" | "False" | "none" | "None") => {
                self.at += 1;
                self.node(token.start, 1, Shape::Value)
            }
            (TokenKind::Name, name) => {
                self.at += 1;
                self.prints_block |= name == "self";
                self.node(token.start, 1, Shape::Name)
            }
            (TokenKind::Text, _) => {
                while let Some(part) = self.token().filter(|part| part.kind == TokenKind::Text) {
                    if let Cow::Owned(text) = rewrite_string(part.text) {
                        self.edits.replace(part.text, part.start, &text);
                    }
                    self.at += 1;
                }
                self.node(token.start, 1, Shape::Value)
            }
            (TokenKind::Integer | TokenKind::Float, _) => {
                self.at += 1;
                self.node(token.start, 1, Shape::Value)
            }
            (TokenKind::Sign, "(" | "[" | "{") => self.deeper(token.start, ExpressionParser::bracketed),
            _ => self.unexpected("an expression"),
        }
    }

    fn bracketed(&mut self) -> Read<Expression> {
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
            "]" => self.pass_to(LIST, node),
            "}" => self.pass_to(DICT, node),
            _ => {}
        }
        Ok(if is_grouped && shape == Shape::Name { Expression { shape: Shape::Open, ..node } } else { node })
    }

    fn postfix(&mut self, mut node: Expression) -> Read<Expression> {
        while let Some(sign) = self.token().filter(|token| token.kind == TokenKind::Sign) {
            node = match sign.text {
                "." => {
                    self.at += 1;
                    match self.token() {
                        Some(token) if matches!(token.kind, TokenKind::Name | TokenKind::Integer) => {
                            self.at += 1
                        }
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

    fn subscript(&mut self, of: Expression) -> Read<Expression> {
        self.at += 1;
        let (mut depth, mut is_slice) = (of.depth, false);
        for _ in 0..3 {
            if !self.peek(":") && !self.peek("]") {
                depth = depth.max(self.deeper(of.start, ExpressionParser::expression)?.depth);
            }
            if !self.skip(":") {
                break;
            }
            is_slice = true;
        }
        self.expect("]")?;
        let node = self.node(of.start, depth + 1, if is_slice { Shape::Value } else { Shape::Open })?;
        if is_slice {
            self.pass_to(SLICED, of);
            self.count_made(node, 1);
        }
        Ok(node)
    }

    fn call(&mut self, of: Expression) -> Read<Expression> {
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
            let is_named =
                self.token().is_some_and(|token| token.kind == TokenKind::Name) && self.next_is("=");
            if is_named {
                self.at += 2;
            } else if named && !spread {
                return self.unexpected("an argument with a name");
            }
            named |= is_named;
            let value = self.deeper(start, ExpressionParser::expression)?;
            if to_macro && !spread && value.shape != Shape::Value {
                self.pass_to(PASSED, value);
            }
            depth = depth.max(value.depth);
        }
        Ok(depth)
    }

    fn filters(&mut self, mut node: Expression) -> Read<Expression> {
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
    pub fn filter(&mut self, start: usize, depth: usize) -> Read<Expression> {
        let name = self.dotted(false)?;
        let arguments = if self.peek("(") { self.arguments(start, false)? } else { 0 };
        let node = self.node(start, depth.max(arguments) + 1, Shape::Open)?;
        if name != "customizable" {
            self.edits.after(node.end, format!("|{MADE}(1)"));
        }
        Ok(node)
    }

    fn test(&mut self, of: Expression) -> Read<Expression> {
        self.skip("not");
        self.dotted(true)?;
        let starts_operand = self.token().is_some_and(|token| match token.kind {
            TokenKind::Name => !matches!(token.text, "and" | "else" | "is" | "or"),
            TokenKind::Sign => matches!(token.text, "[" | "{"),
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
}
