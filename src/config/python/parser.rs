//! Values of the literals in a Python module, which names may stand for too [pure].

use std::collections::BTreeMap;

use super::constant::{Constant, Extent};
use super::tokens::Token;

/// Values within values: those of Kolla are 4 deep.
pub(super) const MAX_DEPTH: usize = 50;

/// Reader of the tokens of one value.
pub(super) struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    known: &'a BTreeMap<String, (Constant, Extent)>,
    depth: usize,
    /// Cost of what may still be copied.
    copies_left: usize,
}

impl<'a> Parser<'a> {
    /// A reader that may copy values of names that are bound already, up to a cost in sum.
    pub fn new(
        tokens: &'a [Token],
        known: &'a BTreeMap<String, (Constant, Extent)>,
        copies_left: usize,
    ) -> Parser<'a> {
        Parser { tokens, at: 0, known, depth: 0, copies_left }
    }

    /// The value that all tokens make, and the cost of what may still be copied.
    pub fn read(mut self) -> (Constant, usize) {
        (self.value(), self.copies_left)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next_is(&self, sign: char) -> bool {
        self.peek() == Some(&Token::Sign(sign))
    }

    fn take(&mut self, sign: char) -> bool {
        let is = self.next_is(sign);
        self.at += usize::from(is);
        is
    }

    /// A value, and everything up to what ends it: an expression around it makes it unknown.
    fn value(&mut self) -> Constant {
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH { Constant::Unknown } else { self.primary() };
        self.depth -= 1;
        let ends =
            |token: Option<&Token>| matches!(token, None | Some(Token::Sign(',' | ':' | ')' | ']' | '}')));
        if ends(self.peek()) {
            return value;
        }
        let mut open = 0;
        while open > 0 || !ends(self.peek()) {
            match self.peek() {
                None => break,
                Some(Token::Sign('(' | '[' | '{')) => open += 1,
                Some(Token::Sign(')' | ']' | '}')) => open -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Constant::Unknown
    }

    fn primary(&mut self) -> Constant {
        let Some(token) = self.peek().cloned() else { return Constant::Unknown };
        match token {
            Token::Text(_) => self.texts(),
            Token::Number(digits) => {
                self.at += 1;
                digits.parse().map_or(Constant::Unknown, Constant::Integer)
            }
            Token::Name(name) => self.named(&name),
            Token::Sign('(') => {
                let (mut items, is_tuple) = self.items(')');
                match items.pop() {
                    Some(only) if items.is_empty() && !is_tuple => only,
                    last => Constant::List(items.into_iter().chain(last).collect()),
                }
            }
            Token::Sign('[') => Constant::List(self.items(']').0),
            Token::Sign('{') => self.braces(),
            Token::Sign(_) => Constant::Unknown,
        }
    }

    /// Strings beside each other are one.
    fn texts(&mut self) -> Constant {
        let mut whole = Some(String::new());
        while let Some(Token::Text(text)) = self.peek() {
            whole = whole.zip(text.as_ref()).map(|(whole, text)| whole + text);
            self.at += 1;
        }
        whole.map_or(Constant::Unknown, Constant::Text)
    }

    fn named(&mut self, name: &str) -> Constant {
        self.at += 1;
        if name == "lambda" {
            while !self.take(':') && self.peek().is_some() {
                self.at += 1;
            }
            self.value();
            return Constant::Unknown;
        }
        let mut value = match name {
            "None" => Constant::None,
            "True" => Constant::Bool(true),
            "False" => Constant::Bool(false),
            _ => self.bound_to(name),
        };
        while self.take('.') {
            self.at += 1;
            value = Constant::Unknown;
        }
        if self.next_is('(') { self.call() } else { value }
    }

    /// A copy of what a name stands for, unless that would be too deep or too much.
    fn bound_to(&mut self, name: &str) -> Constant {
        let Some((value, extent)) = self.known.get(name) else { return Constant::Unknown };
        let left = self.copies_left.checked_sub(extent.cost);
        match left.filter(|_| self.depth + extent.depth <= MAX_DEPTH) {
            Some(left) => {
                self.copies_left = left;
                value.clone()
            }
            None => Constant::Unknown,
        }
    }

    fn call(&mut self) -> Constant {
        self.at += 1;
        let (mut arguments, mut named) = (Vec::new(), Vec::new());
        while !self.take(')') && self.peek().is_some() {
            let before = self.at;
            match &self.tokens[self.at..] {
                [Token::Name(key), Token::Sign('='), ..] => {
                    let key = key.clone();
                    self.at += 2;
                    named.push((key, self.value()));
                }
                _ => arguments.push(self.value()),
            }
            self.separator(before);
        }
        Constant::Call(arguments, named)
    }

    /// Values up to the bracket that closes them, and whether a comma came after one.
    fn items(&mut self, close: char) -> (Vec<Constant>, bool) {
        self.at += 1;
        let mut items = Vec::new();
        let mut commas = false;
        while !self.take(close) && self.peek().is_some() {
            let before = self.at;
            items.push(self.value());
            commas |= self.next_is(',');
            self.separator(before);
        }
        (items, commas)
    }

    /// A dict, or a set.
    fn braces(&mut self) -> Constant {
        self.at += 1;
        let (mut entries, mut items) = (Vec::new(), Vec::new());
        while !self.take('}') && self.peek().is_some() {
            let before = self.at;
            let value = self.value();
            if self.take(':') {
                entries.push((value, self.value()));
            } else {
                items.push(value);
            }
            self.separator(before);
        }
        if items.is_empty() { Constant::Dict(entries) } else { Constant::List(items) }
    }

    /// Goes past a comma; and past what is no value when nothing was taken since `before`, so that loops end.
    fn separator(&mut self, before: usize) {
        if !self.take(',') && self.at == before {
            self.at += 1;
        }
    }
}
