//! Patterns of paths, as a shell has them [pure].

use regex::Regex;

/// One name in a pattern of paths.
#[derive(Debug, Clone)]
pub enum NamePattern {
    /// This name.
    Name(String),
    /// Every name that this matches.
    Like(Regex),
}

impl NamePattern {
    /// Reads a name with `*`, `?` and `[...]` in it.
    ///
    /// # Errors
    /// A bracket holds what can't be in one.
    fn read(name: &str) -> Result<NamePattern, String> {
        if !name.contains(['*', '?', '[']) {
            return Ok(NamePattern::Name(name.to_string()));
        }
        let mut regex = String::from("^");
        let mut rest = name;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                '[' if rest.char_indices().skip(1).any(|(_, c)| c == ']') => {
                    // The first one may be a member.
                    let end = rest.char_indices().skip(1).find(|(_, c)| *c == ']').map_or(0, |(at, _)| at);
                    let (negation, members) = match rest[..end].strip_prefix(['!', '^']) {
                        Some(members) => ("^", members),
                        None => ("", &rest[..end]),
                    };
                    let members = members.replace('\\', r"\\").replace('[', r"\[").replace(']', r"\]");
                    let members = members.replace('&', r"\&").replace('~', r"\~").replace('^', r"\^");
                    regex.push_str(&format!("[{negation}{members}]"));
                    rest = &rest[end + 1..];
                }
                c => regex.push_str(&regex::escape(&c.to_string())),
            }
        }
        regex.push('$');
        let regex = Regex::new(&regex).map_err(|_| format!("'{name}' is no pattern of names"))?;
        Ok(NamePattern::Like(regex))
    }

    /// True for a name that it matches. A name that begins with a dot is hidden from every pattern.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            NamePattern::Name(own) => own == name,
            NamePattern::Like(regex) => !name.starts_with('.') && regex.is_match(name),
        }
    }
}

/// The names that a pattern of paths is made of.
///
/// # Errors
/// One of them can't be read.
pub fn names(pattern: &str) -> Result<Vec<NamePattern>, String> {
    pattern.split('/').filter(|name| !name.is_empty() && *name != ".").map(NamePattern::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, matched, others) in [
            ("*.json", &["a.json", "hashed-a.json"][..], &["a.jso", ".a.json", "a.json~"][..]),
            ("step_?", &["step_1"], &["step_", "step_10"]),
            ("step_[1-3]", &["step_1", "step_3"], &["step_4", "step_["]),
            ("[!a]x", &["bx"], &["ax"]),
            ("[]]x", &["]x"], &["x"]),
            ("a[", &["a["], &["a"]),
            ("a.json", &["a.json"], &["aXjson"]),
            ("a.*", &["a.json"], &["aXjson"]),
        ] {
            let pattern = NamePattern::read(pattern).expect("a pattern");
            for name in matched {
                assert!(pattern.matches(name), "{pattern:?} {name}");
            }
            for name in others {
                assert!(!pattern.matches(name), "{pattern:?} {name}");
            }
        }
        assert!(NamePattern::read("[z-a]*").is_err());
        assert_eq!(names("/a//b*/./c").expect("names").len(), 3);
    }
}
