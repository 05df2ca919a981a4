//! Constants of a Python module, read without running it [pure].
//!
//! Kolla keeps facts of a release (users, sources, defaults) as literals in its Python package. What is more than a
//! literal is [`Constant::Unknown`]; calls keep their arguments, because options are declared by them. A name stands for a
//! copy of its value, so what copies make of a few lines is bounded: in depth, and in sum over the module.

use std::collections::BTreeMap;

/// Value that a name is bound to at the top level of a module.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// The constant `None`: nothing, as a default or an argument.
    None,
    /// One of `True` and `False`.
    Bool(bool),
    /// A decimal number with an optional sign.
    Integer(i64),
    /// A string, its escapes decoded and its parts joined.
    Text(String),
    /// A list, tuple or set.
    List(Vec<Constant>),
    /// A dict, in the order written.
    Dict(Vec<(Constant, Constant)>),
    /// `name(..., key=...)`: its arguments in order, then the named ones.
    Call(Vec<Constant>, Vec<(String, Constant)>),
    /// An expression that is no literal.
    Unknown,
}

impl Constant {
    /// The text of a string; none for anything else.
    pub fn text(&self) -> Option<&str> {
        match self {
            Constant::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list, tuple or set; none of anything else.
    pub fn items(&self) -> &[Constant] {
        match self {
            Constant::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of a dict whose keys are strings.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Constant)> {
        let entries = match self {
            Constant::Dict(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().filter_map(|(key, value)| Some((key.text()?, value)))
    }

    /// A value of a dict.
    pub fn get(&self, key: &str) -> Option<&Constant> {
        self.entries().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The values in it, one level down.
    fn parts(&self) -> Box<dyn Iterator<Item = &Constant> + '_> {
        match self {
            Constant::List(items) => Box::new(items.iter()),
            Constant::Dict(entries) => Box::new(entries.iter().flat_map(|(key, value)| [key, value])),
            Constant::Call(arguments, named) => {
                Box::new(arguments.iter().chain(named.iter().map(|(_, value)| value)))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Cost of a copy, in values and bytes of text, and how deep values lie in it.
    fn extent(&self) -> Extent {
        let own = match self {
            Constant::Text(text) => 1 + text.len(),
            Constant::Call(_, named) => 1 + named.iter().map(|(name, _)| name.len()).sum::<usize>(),
            _ => 1,
        };
        self.parts().map(Constant::extent).fold(Extent { cost: own, depth: 1 }, |whole, part| Extent {
            cost: whole.cost + part.cost,
            depth: whole.depth.max(part.depth + 1),
        })
    }
}

/// How large a value is.
#[derive(Debug, Clone, Copy)]
struct Extent {
    cost: usize,
    depth: usize,
}

/// The top-level constants of a module's text.
pub fn constants(source: &str) -> BTreeMap<String, Constant> {
    let mut known: BTreeMap<String, (Constant, Extent)> = BTreeMap::new();
    let mut copies_left = MAX_COPIED;
    for statement in statements(source, false) {
        if let [Token::Name(name), Token::Sign('='), value @ ..] = statement.as_slice()
            && value.first() != Some(&Token::Sign('='))
        {
            let mut parser = Parser { tokens: value, at: 0, known: &known, depth: 0, copies_left };
            let value = parser.value();
            copies_left = parser.copies_left;
            let extent = value.extent();
            known.insert(name.clone(), (value, extent));
        }
    }
    known.into_iter().map(|(name, (value, _))| (name, value)).collect()
}

/// The plain string that the last statement ends with that binds this name, inside functions too: what is taken
/// otherwise in `name = '' if condition else 'otherwise'`.
pub fn last_text(source: &str, name: &str) -> Option<String> {
    statements(source, true).into_iter().rev().find_map(|mut statement| match statement.as_slice() {
        [Token::Name(bound), Token::Sign('='), _, ..] if bound == name => match statement.pop() {
            Some(Token::Text(text)) => text,
            _ => None,
        },
        _ => None,
    })
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Number(String),
    /// None when it is no plain string: `b''`, `f''`, or one that never ends.
    Text(Option<String>),
    Sign(char),
}

/// The tokens of every statement that starts in the first column; with `inner` those of all others too.
fn statements(source: &str, inner: bool) -> Vec<Vec<Token>> {
    let mut statements = Vec::new();
    let mut current = Vec::new();
    let mut open = 0_usize;
    let mut rest = source;
    let mut at_line_start = true;
    let mut indented = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        if at_line_start && open == 0 {
            indented = c.is_whitespace() && c != '\n';
        }
        at_line_start = c == '\n';
        match c {
            '\n' if open == 0 => statements.push(std::mem::take(&mut current)),
            '\\' if rest[1..].starts_with('\n') => taken = 2,
            '#' => taken = rest.find('\n').unwrap_or(rest.len()),
            _ if c.is_whitespace() => {}
            _ => {
                let (token, length) = token(rest);
                taken = length;
                match token {
                    Token::Sign('(' | '[' | '{') => open += 1,
                    Token::Sign(')' | ']' | '}') => open = open.saturating_sub(1),
                    _ => {}
                }
                if inner || !indented {
                    current.push(token);
                }
            }
        }
        rest = &rest[taken..];
    }
    statements.push(current);
    statements.retain(|statement| !statement.is_empty());
    statements
}

/// The token that a text starts with, and its length.
fn token(rest: &str) -> (Token, usize) {
    let length = |is: fn(char) -> bool| rest.find(|c: char| !is(c)).unwrap_or(rest.len());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let first = rest.chars().next().unwrap_or('\0');
    let word = length(is_word);
    let prefix = &rest[..word];
    if rest[word..].starts_with(['"', '\'']) && prefix.len() <= 2 && prefix.chars().all(|c| c.is_alphabetic())
    {
        let (text, taken) = string(&rest[word..], prefix.to_lowercase().contains('r'));
        let plain = ["", "r", "u"].contains(&prefix.to_lowercase().as_str());
        return (Token::Text(text.filter(|_| plain)), word + taken);
    }
    if first.is_ascii_digit() {
        (Token::Number(prefix.to_string()), word)
    } else if word > 0 {
        (Token::Name(prefix.to_string()), word)
    } else {
        (Token::Sign(first), first.len_utf8())
    }
}

/// A quoted string's value and its length with quotes; no value when it never ends.
fn string(rest: &str, raw: bool) -> (Option<String>, usize) {
    let single = &rest[..1];
    let triple = single.repeat(3);
    let quote = if rest.starts_with(&triple) { triple.as_str() } else { single };
    let mut text = String::new();
    let mut at = quote.len();
    while let Some(c) = rest[at..].chars().next() {
        if rest[at..].starts_with(quote) {
            return (Some(text), at + quote.len());
        }
        at += c.len_utf8();
        if c != '\\' {
            text.push(c);
            continue;
        }
        let Some(escaped) = rest[at..].chars().next() else { break };
        at += escaped.len_utf8();
        match escaped {
            _ if raw => text.extend([c, escaped]),
            '\n' => {}
            'n' => text.push('\n'),
            't' => text.push('\t'),
            '\\' | '\'' | '"' => text.push(escaped),
            _ => text.extend([c, escaped]),
        }
    }
    (None, rest.len())
}

/// Values within values: those of Kolla are 4 deep.
const MAX_DEPTH: usize = 50;

/// Most that all uses of names in a module may stand for together: Kolla's have some kilobytes.
const MAX_COPIED: usize = 256 << 10;

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    known: &'a BTreeMap<String, (Constant, Extent)>,
    depth: usize,
    /// So much may still be copied.
    copies_left: usize,
}

impl Parser<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Constant {
        Constant::Text(text.to_string())
    }

    fn constant(source: &str) -> Constant {
        constants(&format!("x = {source}\n")).remove("x").expect("bound")
    }

    #[test]
    fn literals() {
        assert_eq!(constant("'a' \"b\" # c\n"), text("ab"));
        assert_eq!(constant("('a'\n  'b\\'\\n')"), text("ab'\n"));
        assert_eq!(constant("r'\\d' '''e\"\n'''"), text("\\de\"\n"));
        assert_eq!(constant("(1, None,)"), Constant::List(vec![Constant::Integer(1), Constant::None]));
        assert_eq!(constant("('a',)"), Constant::List(vec![text("a")]));
        assert_eq!(constant("{'a', # why\n 'b'}"), Constant::List(vec![text("a"), text("b")]));
        assert_eq!(constant("{}"), Constant::Dict(Vec::new()));
        let dict = constant("{'a': {'b': True}, 'c': [],\n}");
        assert_eq!(dict.get("a").and_then(|inner| inner.get("b")), Some(&Constant::Bool(true)));
        assert_eq!(dict.get("c").map(Constant::items), Some([].as_slice()));
    }

    #[test]
    fn calls_keep_their_arguments_and_names_stand_for_what_they_are_bound_to() {
        let source = "import os\nWORDS = ['a',\n'b']\ndef f():\n    WORDS = 1\n    return {'x': (2,\n3)}\n\
                      OPTS = [\n    cfg.StrOpt('base', short='b', default=WORDS, help=('x'\n 'y')),\n]\n";
        let known = constants(source);
        assert_eq!(known.keys().collect::<Vec<_>>(), ["OPTS", "WORDS"]);
        let Constant::Call(arguments, named) = &known["OPTS"].items()[0] else { panic!("no call") };
        assert_eq!(arguments, &[text("base")]);
        assert_eq!(named[1], ("default".to_string(), Constant::List(vec![text("a"), text("b")])));
        assert_eq!(named[2], ("help".to_string(), text("xy")));
    }

    #[test]
    fn what_a_function_takes_otherwise() {
        let source = "prefix = 'x-'\ndef parse(conf):\n    if conf.a == 'b':\n        c()\n    prefix = '' if conf.release \\\n\
                      == 'master' else 'unmaintained-'\n    prefixed = 'no' + prefix\n    other = f(\n        'a')\n";
        assert_eq!(last_text(source, "prefix").as_deref(), Some("unmaintained-"));
        assert_eq!(last_text(source, "other"), None);
        assert_eq!(last_text(source, "conf"), None);
    }

    #[test]
    fn what_is_no_literal_is_unknown_and_ends_where_it_ends() {
        let list = constant(
            "[f'a', b'b', 1.5, -1, 'a'.join(x for x in [1, 2]), y.z, w if v else u, lambda: 0, 'end']",
        );
        let (last, others) = list.items().split_last().expect("items");
        assert_eq!(last, &text("end"));
        assert!(others.iter().all(|item| *item == Constant::Unknown), "{others:?}");
        assert_eq!(constant("os.uname()[4]"), Constant::Unknown);
        assert_eq!(constants("x == 1\nx['a'] = 2\n"), BTreeMap::new());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(source in "x = [\\[\\](){}:,='\"a1.\n\\\\ #]{0,60}") {
            constants(&source);
            last_text(&source, "x");
        }
    }

    /// Values and bytes of text in all that names are bound to, and the deepest.
    fn extent_of(source: &str) -> (usize, usize) {
        let known = constants(source);
        let extents = known.values().map(Constant::extent);
        extents.fold((0, 0), |(cost, depth), value| (cost + value.cost, depth.max(value.depth)))
    }

    #[test]
    fn names_of_names_do_not_grow_without_bound() {
        let doubled = |name: usize| format!("a{} = [a{name}, a{name}]\n", name + 1);
        let lists: String = (0..40).map(doubled).collect();
        let (cost, _) = extent_of(&format!("a0 = 'text'\n{lists}"));
        assert!((1000..MAX_COPIED + lists.len()).contains(&cost), "{cost}");
        let dicts: String =
            (0..40).map(|n| format!("a{} = {{'x': a{n}, 'y': f(a{n}, k=a{n})}}\n", n + 1)).collect();
        assert!(extent_of(&format!("a0 = 1\n{dicts}")).0 < MAX_COPIED + 40 * 10);
        let deeper: String = (0..100_000).map(|n| format!("a{} = [a{n}]\n", n + 1)).collect();
        let (cost, depth) = extent_of(&format!("a0 = 1\n{deeper}"));
        assert!(depth <= MAX_DEPTH + 1 && cost < MAX_COPIED + 200_000, "{cost} {depth}");
        // What Kolla does with names stays: a few of them, each used in a few places.
        let known = constants("A = ['x']\nB = {'one': A, 'two': A}\n");
        assert_eq!(known["B"].get("two"), Some(&Constant::List(vec![text("x")])));
    }

    #[test]
    fn products_are_no_literals() {
        for source in ["'x' * 9999999999", "[0] * 9999999999", "9 ** 9 ** 9", "('x' * 10, 1)[0]"] {
            assert_eq!(constant(source), Constant::Unknown, "{source}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

        #[test]
        fn bindings_stay_within_bounds(
            lines in proptest::collection::vec("[abc] = [\\[{(]([abc], ?){1,4}[\\]})]", 0..60),
        ) {
            let (cost, depth) = extent_of(&(lines.join("\n") + "\n"));
            proptest::prop_assert!(cost <= MAX_COPIED + 60 * 10 && depth <= MAX_DEPTH + 1);
        }
    }

    #[test]
    fn brackets_without_end_do_not_overflow() {
        constants(&format!("x = {}", "[".repeat(100_000)));
        constants(&format!("x = {}", "(".repeat(100_000)));
    }
}
