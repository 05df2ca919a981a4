//! `.dockerignore`: which files of a context directory are left out, by Docker's rules.

use std::io;
use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

use regex::Regex;

use crate::util::input;
use crate::util::input::with_path;

/// The file that holds the rules.
const IGNORE_FILE: &str = ".dockerignore";

/// Rules of one context, the last one that matches a name decides.
#[derive(Debug, Default)]
pub(super) struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: Regex,
    keep: bool,
}

impl IgnoreRules {
    /// Reads the rules of the context in `dir`; none when it has no `.dockerignore`.
    pub(super) fn of(dir: &Path) -> io::Result<IgnoreRules> {
        let path = dir.join(IGNORE_FILE);
        match input::read_to_string(&path) {
            Ok(text) => IgnoreRules::parse(&text).map_err(|error| with_path(&path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(IgnoreRules::default()),
            Err(error) => Err(with_path(&path, error)),
        }
    }

    fn parse(text: &str) -> io::Result<IgnoreRules> {
        let mut rules = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines().filter(|line| !line.starts_with('#')) {
            let (keep, pattern) = match line.trim().strip_prefix('!') {
                Some(kept) => (true, kept.trim()),
                None => (false, line.trim()),
            };
            let cleaned = clean(pattern);
            if cleaned.is_empty() {
                continue;
            }
            let pattern = Regex::new(&to_regex(&cleaned)).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidInput, format!("the pattern '{line}' is not valid"))
            })?;
            rules.push(Rule { pattern, keep });
        }
        Ok(IgnoreRules { rules })
    }

    /// True when `name` is left out. The Dockerfile and the rules themselves never are: the builder needs the one
    /// and applies the other to both.
    pub(super) fn leaves_out(&self, name: &Path) -> bool {
        if self.rules.is_empty() || name == Path::new("Dockerfile") || name == Path::new(IGNORE_FILE) {
            return false;
        }
        let names: Vec<_> = name.ancestors().map(|part| part.to_string_lossy()).collect();
        let last = self.rules.iter().rev().find(|rule| names.iter().any(|name| rule.pattern.is_match(name)));
        last.is_some_and(|rule| !rule.keep)
    }

    /// True when something below a directory that is left out may still be kept.
    pub(super) fn may_keep_below(&self) -> bool {
        self.rules.iter().any(|rule| rule.keep)
    }
}

/// A pattern without `.`, `..` and slashes that change nothing.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A pattern as a regular expression over whole names: `**` spans directories, `*` and `?` do not.
fn to_regex(pattern: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let slash = rest.next_if_eq(&'/').is_some();
                regex.push_str(if slash { "(.*/)?" } else { ".*" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => regex.push_str(&class(&mut rest)),
            other => regex.push_str(&literal(other, &mut rest)),
        }
    }
    regex.push('$');
    regex
}

/// The rest of a class as a regular expression, in which nothing but `^` and ranges keeps a meaning: the crate's nested
/// classes and set operations are its own. As in Go's, a `]` right at the start is one of the characters.
fn class(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut class = String::from("[");
    if rest.next_if_eq(&'^').is_some() {
        class.push('^');
    }
    let mut first = true;
    while let Some(low) = rest.next() {
        if low == ']' && !first {
            class.push(']');
            break;
        }
        first = false;
        class.push_str(&literal(low, rest));
        let mut ahead = rest.clone();
        if ahead.next() == Some('-') && ahead.next().is_some_and(|high| high != ']') {
            class.extend(rest.next());
            class.extend(rest.next().map(|high| literal(high, rest)));
        }
    }
    class
}

/// A regular expression for one character, or for the one after a backslash.
fn literal(c: char, rest: &mut Peekable<Chars<'_>>) -> String {
    let c = if c == '\\' { rest.next().unwrap_or(c) } else { c };
    regex::escape(&c.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_rules_are_read_or_refused(
            text in text_of(&["*", "**", "?", "[", "]", "^", "-", "!", "\\", "/", "..", "#", "a", "&&", "~~", "--", "\n", "é"])
        ) {
            if let Ok(rules) = IgnoreRules::parse(&text) {
                rules.leaves_out(Path::new("a/b"));
            }
        }

        #[test]
        fn patterns_match_what_their_parts_match(
            parts in prop::collection::vec(part(), 1..6), name in "[a-e&~^/*-]{1,6}"
        ) {
            let pattern: String = parts.iter().map(Part::to_string).collect();
            // Neither a comment, an exception nor something that is cleaned away.
            if pattern.split('/').any(|part| ["", ".", ".."].contains(&part)) {
                return Ok(());
            }
            let rules = IgnoreRules::parse(&pattern).expect("a valid pattern");
            let name = Path::new(&name);
            let expected = name.ancestors().any(|part| matches(&parts, &part.to_string_lossy()));
            prop_assert_eq!(rules.leaves_out(name), expected, "{} on {}", pattern, name.display());
        }
    }

    /// Part of a pattern.
    #[derive(Debug, Clone)]
    enum Part {
        Char(char),
        Escaped(char),
        Any,
        Star,
        Class { not: bool, ranges: Vec<(char, char)> },
    }

    impl std::fmt::Display for Part {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            match self {
                Part::Char(c) => write!(f, "{c}"),
                Part::Escaped(c) => write!(f, "\\{c}"),
                Part::Any => f.write_str("?"),
                Part::Star => f.write_str("*"),
                Part::Class { not, ranges } => {
                    f.write_str(if *not { "[^" } else { "[" })?;
                    for (low, high) in ranges {
                        if low == high { write!(f, "\\{low}")? } else { write!(f, "{low}-{high}")? }
                    }
                    f.write_str("]")
                }
            }
        }
    }

    fn part() -> impl Strategy<Value = Part> {
        let range = prop_oneof![
            prop::sample::select(&['a', 'c', '&', '~', '^', '-', ']', '['][..]).prop_map(|c| (c, c)),
            prop::sample::select(&[('a', 'b'), ('b', 'd'), ('+', '-'), ('&', '-')][..]),
        ];
        prop_oneof![
            prop::sample::select(&['a', 'b', 'c', '/', '&', '~', '.', '+', '^', ']', '-'][..])
                .prop_map(Part::Char),
            prop::sample::select(&['*', '?', '[', 'a'][..]).prop_map(Part::Escaped),
            Just(Part::Any),
            Just(Part::Star),
            (any::<bool>(), prop::collection::vec(range, 1..4))
                .prop_map(|(not, ranges)| Part::Class { not, ranges }),
        ]
    }

    /// Tries every way; `**` is what two stars in a row are.
    fn matches(parts: &[Part], name: &str) -> bool {
        let mut chars = name.chars();
        match parts {
            [] => name.is_empty(),
            [Part::Star, Part::Star, Part::Char('/'), rest @ ..] => {
                matches(rest, name) || name.match_indices('/').any(|(at, _)| matches(rest, &name[at + 1..]))
            }
            [Part::Star, Part::Star, rest @ ..] => suffixes(name).any(|suffix| matches(rest, suffix)),
            [Part::Star, rest @ ..] => {
                let end = name.find('/').unwrap_or(name.len());
                suffixes(name)
                    .take_while(|suffix| name.len() - suffix.len() <= end)
                    .any(|suffix| matches(rest, suffix))
            }
            [first, rest @ ..] => chars.next().is_some_and(|c| {
                let fits = match first {
                    Part::Char(own) | Part::Escaped(own) => c == *own,
                    Part::Any => c != '/',
                    Part::Class { not, ranges } => {
                        ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *not
                    }
                    Part::Star => false,
                };
                fits && matches(rest, chars.as_str())
            }),
        }
    }

    fn suffixes(text: &str) -> impl Iterator<Item = &str> {
        text.char_indices().map(|(at, _)| &text[at..]).chain([""])
    }

    fn left_out(rules: &str, name: &str) -> bool {
        IgnoreRules::parse(rules).unwrap().leaves_out(Path::new(name))
    }

    #[test]
    fn patterns_match_as_dockers_do() {
        for (rules, name, expected) in [
            ("*.log", "a.log", true),
            ("*.log", "dir/a.log", false),
            ("**/*.log", "dir/sub/a.log", true),
            ("**/*.log", "a.log", true),
            ("dir", "dir/sub/a.log", true),
            ("/dir/", "dir/x", true),
            ("dir/**", "dir/sub/x", true),
            ("di?", "dir/x", true),
            ("di?", "di", false),
            ("a[0-9].txt", "a7.txt", true),
            ("a[^0-9].txt", "a7.txt", false),
            ("[a&&b]", "a", true),
            ("[+--]", ",", true),
            ("[]a]", "]", true),
            ("[^]a]", "b", true),
            ("[a-]", "-", true),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("a.c", "abc", false),
            ("# dir", "dir", false),
            ("dir\n!dir/keep", "dir/keep", false),
            ("dir\n!dir/keep", "dir/other", true),
            ("!dir/keep\ndir", "dir/keep", true),
            ("*", "anything/at/all", true),
            ("*", "Dockerfile", false),
            ("*", ".dockerignore", false),
            (".", "x", false),
            ("", "x", false),
        ] {
            assert_eq!(left_out(rules, name), expected, "{rules:?} on {name}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = IgnoreRules::parse("fine\na[\n").unwrap_err();
        assert_eq!(error.to_string(), "the pattern 'a[' is not valid");
    }
}
