//! `.dockerignore`: which files of a context directory are left out, by Docker's rules.

use std::fs;
use std::io;
use std::path::Path;

use regex::Regex;

use super::entries::at;

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
        match fs::read_to_string(&path) {
            Ok(text) => IgnoreRules::parse(&text).map_err(|error| at(&path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(IgnoreRules::default()),
            Err(error) => Err(at(&path, error)),
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
            '[' => {
                regex.push('[');
                while let Some(inside) = rest.next() {
                    match inside {
                        ']' => {
                            regex.push(']');
                            break;
                        }
                        '\\' => regex.push_str(&regex::escape(&rest.next().unwrap_or('\\').to_string())),
                        '^' | '-' => regex.push(inside),
                        // Nested classes and set operations are the regex crate's own.
                        other => regex.push_str(&regex::escape(&other.to_string())),
                    }
                }
            }
            '\\' => regex.push_str(&regex::escape(&rest.next().unwrap_or('\\').to_string())),
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push('$');
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

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
