//! Reads what stands between `{%` and `%}`.

use std::ops::Range;

use super::expression::{ExpressionParser, Read, SyntaxRefusal};
use super::tokens::{TagToken, TokenKind};

/// Form of a statement, as far as rewriting has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form<'a> {
    /// `set name = value`
    Assign {
        /// Name that gets a value.
        name: &'a str,
        /// Where the value stands.
        value: Range<usize>,
    },
    /// `set name`, whose value comes before `endset`.
    Capture {
        /// The name; none for an attribute.
        name: Option<&'a str>,
    },
    Other,
}

/// A name that a statement gives to a value, other than by `set name = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound<'a> {
    /// Name that gets a value.
    pub name: &'a str,
    /// Where the value stands that a macro's argument has when none is given.
    pub default: Option<Range<usize>>,
}

/// A statement that was read.
pub struct Statement<'a> {
    /// First word of the statement.
    pub word: &'a str,
    /// Form of the statement.
    pub form: Form<'a>,
    /// Names that it gives to values, which are to be bound after it.
    pub bound: Vec<Bound<'a>>,
    /// Names that it gives to what needs no binding: macros and what is imported.
    pub named: Vec<&'a str>,
    /// The parser, with what it has found.
    pub parser: ExpressionParser<'a>,
}

impl<'a> Statement<'a> {
    /// Every name that it gives to something.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        let own = match self.form {
            Form::Assign { name, .. } => Some(name),
            Form::Capture { name } => name,
            Form::Other => None,
        };
        own.into_iter().chain(self.bound.iter().map(|bound| bound.name)).chain(self.named.iter().copied())
    }
}

/// Brackets within brackets around names.
const MAX_TARGETS: usize = 20;
/// Words that stand alone.
const ALONE: [&str; 10] = [
    "else",
    "endautoescape",
    "endcall",
    "endfilter",
    "endfor",
    "endif",
    "endmacro",
    "endraw",
    "endset",
    "endwith",
];

/// The statement in a tag's text.
pub fn statement(text: &str) -> Read<Statement<'_>> {
    let mut parser = ExpressionParser::new(text)?;
    let word = parser.name()?;
    let mut reader = StatementReader { text, form: Form::Other, bound: Vec::new(), named: Vec::new() };
    reader.read(word, &mut parser)?;
    parser.end()?;
    Ok(Statement { word: word.text, form: reader.form, bound: reader.bound, named: reader.named, parser })
}

struct StatementReader<'a> {
    text: &'a str,
    form: Form<'a>,
    bound: Vec<Bound<'a>>,
    named: Vec<&'a str>,
}

impl<'a> StatementReader<'a> {
    fn read(&mut self, word: TagToken<'a>, parser: &mut ExpressionParser<'a>) -> Read<()> {
        match word.text {
            "if" | "elif" => parser.without_condition().map(drop),
            "autoescape" | "extends" => parser.expression().map(drop),
            "for" => self.for_loop(parser),
            "set" => self.set(parser),
            "with" => self.with(word, parser),
            "macro" => {
                self.named.push(parser.name()?.text);
                self.signature(parser)
            }
            "call" => {
                if parser.token().is_some_and(|token| token.text == "(") {
                    self.signature(parser)?;
                }
                parser.expression().map(drop)
            }
            "filter" => self.filter_chain(parser),
            "block" => {
                parser.name()?;
                parser.skip("scoped");
                parser.skip("required");
                Ok(())
            }
            "endblock" => {
                if parser.token().is_some() {
                    parser.name()?;
                }
                Ok(())
            }
            "include" => {
                parser.expression()?;
                if parser.skip("ignore") {
                    parser.expect("missing")?;
                }
                context(parser)
            }
            "import" => {
                parser.expression()?;
                parser.expect("as")?;
                self.named.push(parser.name()?.text);
                context(parser)
            }
            "from" => self.names_of_import(parser),
            alone if ALONE.contains(&alone) => Ok(()),
            other => Err(SyntaxRefusal { at: word.start, message: format!("unknown statement {other}") }),
        }
    }

    /// Names with commas between them, some in brackets. Whether there are several.
    fn targets(&mut self, parser: &mut ExpressionParser<'a>, depth: usize) -> Read<bool> {
        let mut several = false;
        loop {
            if parser.skip("(") {
                if depth > MAX_TARGETS {
                    return parser.unexpected("fewer brackets");
                }
                self.targets(parser, depth + 1)?;
                parser.expect(")")?;
            } else {
                let name = parser.name()?;
                if parser.skip(".") {
                    parser.name()?;
                } else {
                    self.bound.push(Bound { name: name.text, default: None });
                }
            }
            if !parser.skip(",") {
                return Ok(several);
            }
            several = true;
            if parser.token().is_none_or(|token| matches!(token.text, ")" | "=" | "in")) {
                return Ok(true);
            }
        }
    }

    fn for_loop(&mut self, parser: &mut ExpressionParser<'a>) -> Read<()> {
        self.targets(parser, 0)?;
        parser.expect("in")?;
        parser.iterable()?;
        if parser.skip("if") {
            parser.expression()?;
        }
        parser.skip("recursive");
        Ok(())
    }

    fn set(&mut self, parser: &mut ExpressionParser<'a>) -> Read<()> {
        let several = self.targets(parser, 0)?;
        if parser.skip("=") {
            let value = parser.tuple(true)?;
            if let ([bound], false) = (self.bound.as_slice(), several) {
                self.form = Form::Assign { name: bound.name, value: value.start..value.end };
                self.bound.clear();
            }
            return Ok(());
        }
        self.form = Form::Capture { name: self.bound.pop().map(|bound| bound.name) };
        if parser.token().is_some() {
            parser.expect("|")?;
            return self.filter_chain(parser);
        }
        Ok(())
    }

    /// Jinja2 reads all values before any of them has its name: several are assigned as a tuple.
    fn with(&mut self, word: TagToken<'a>, parser: &mut ExpressionParser<'a>) -> Read<()> {
        let mut from = word.end();
        let mut parts: Vec<(Range<usize>, usize)> = Vec::new();
        let mut targets: Vec<&str> = Vec::new();
        while let Some(first) = parser.token() {
            if !parts.is_empty() {
                parser.expect(",")?;
            }
            let target = parser.token().map_or(first.start, |token| token.start);
            self.targets_of_one(parser)?;
            let equals = parser.token().map_or(target, |token| token.start);
            targets.push(self.text[target..equals].trim());
            parser.expect("=")?;
            let value = parser.expression()?;
            parts.push((from..value.start, value.end));
            from = value.end;
        }
        if parts.len() < 2 {
            return Ok(());
        }
        let opening = format!(" ({}) = (", targets.join(", "));
        for (number, (before, _)) in parts.iter().enumerate() {
            let text = if number == 0 { opening.as_str() } else { ", " };
            parser.edits.replace(&self.text[before.clone()], before.start, text);
        }
        parser.edits.after(from, ")");
        Ok(())
    }

    fn targets_of_one(&mut self, parser: &mut ExpressionParser<'a>) -> Read<()> {
        if parser.skip("(") {
            self.targets(parser, 1)?;
            return parser.expect(")");
        }
        self.bound.push(Bound { name: parser.name()?.text, default: None });
        Ok(())
    }

    /// The arguments of a macro. Their defaults are taken out, because they may name other arguments: they are read
    /// when these are bound.
    fn signature(&mut self, parser: &mut ExpressionParser<'a>) -> Read<()> {
        parser.expect("(")?;
        let first = self.bound.len();
        while !parser.skip(")") {
            if self.bound.len() > first {
                parser.expect(",")?;
                if parser.skip(")") {
                    break;
                }
            }
            let name = parser.name()?;
            let default = match parser.skip("=") {
                true => {
                    let value = parser.expression()?;
                    parser.edits.remove(name.end(), value.end);
                    Some(value.start..value.end)
                }
                false if self.bound[first..].iter().any(|bound| bound.default.is_some()) => {
                    return parser.unexpected("a default, as an argument before has one");
                }
                false => None,
            };
            self.bound.push(Bound { name: name.text, default });
        }
        Ok(())
    }

    fn filter_chain(&mut self, parser: &mut ExpressionParser<'a>) -> Read<()> {
        let mut depth = 1;
        loop {
            parser.filter(0, depth)?;
            depth += 1;
            if !parser.skip("|") {
                return Ok(());
            }
        }
    }

    fn names_of_import(&mut self, parser: &mut ExpressionParser<'a>) -> Read<()> {
        parser.expression()?;
        parser.expect("import")?;
        loop {
            let name = parser.name()?;
            let named = if parser.skip("as") { parser.name()? } else { name };
            self.named.push(named.text);
            let more = parser.skip(",");
            let ends = parser.token().is_none_or(|token| matches!(token.text, "with" | "without"));
            if !more || ends {
                return context(parser);
            }
        }
    }
}

/// `with context` and `without context`.
fn context(parser: &mut ExpressionParser<'_>) -> Read<()> {
    let word = parser
        .token()
        .filter(|token| token.kind == TokenKind::Name && matches!(token.text, "with" | "without"));
    match word {
        Some(word) => {
            parser.skip(word.text);
            parser.expect("context")
        }
        None => Ok(()),
    }
}

/// Reads what stands between `{{` and `}}`.
pub fn output(text: &str) -> Read<ExpressionParser<'_>> {
    let mut parser = ExpressionParser::new(text)?;
    parser.tuple(true)?;
    parser.end()?;
    Ok(parser)
}
