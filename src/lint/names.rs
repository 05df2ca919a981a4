//! Names that a template uses, and what it does first with one [pure].

use std::collections::BTreeSet;

use crate::template::tags::{TagKind, assignment, set_block_name, string_end, tag_word, tags};

/// First use of a name in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUse {
    /// The name is set, without being read; the line, from 1.
    Sets(usize),
    /// The name is read, or given to something else.
    Reads,
}

/// First use of a name in a template; none when the template does not have the name.
pub fn first_use(source: &str, name: &str) -> Option<FirstUse> {
    if !source.contains(name) {
        return None;
    }
    let tags = tags(source).filter(|tag| matches!(tag.kind, TagKind::Output | TagKind::Statement));
    tags.into_iter().find_map(|tag| {
        let sets = FirstUse::Sets(source[..tag.start].matches('\n').count() + 1);
        match assignment(tag.text) {
            Some((own, value)) if tag_word(tag.text) == "set" => {
                let reads = names_in(&tag.text[value]).contains(name);
                if reads { Some(FirstUse::Reads) } else { (own == name).then_some(sets) }
            }
            _ if tag_word(tag.text) == "set" && set_block_name(tag.text) == Some(name) => Some(sets),
            _ => names_in(tag.text).contains(name).then_some(FirstUse::Reads),
        }
    })
}

/// The names that a template uses, other than by setting them.
pub fn names(source: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for tag in tags(source).filter(|tag| matches!(tag.kind, TagKind::Output | TagKind::Statement)) {
        match assignment(tag.text) {
            Some((own, value)) if tag_word(tag.text) == "set" => {
                names.extend(names_in(&tag.text[value]).into_iter().filter(|name| *name != own));
            }
            _ if set_block_name(tag.text).is_some() => {}
            _ => names.extend(names_in(tag.text)),
        }
    }
    names
}

/// The names in an expression, not in its strings.
pub fn names_in(expression: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut at = 0;
    while let Some(c) = expression[at..].chars().next() {
        if c == '\'' || c == '"' {
            match string_end(expression, at) {
                Some(end) => at = end,
                None => break,
            }
        } else if c.is_alphabetic() || c == '_' {
            let rest = &expression[at..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            names.insert(&rest[..end]);
            at += end;
        } else {
            at += c.len_utf8();
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_first_with_a_name_is_known() {
        for (source, expected) in [
            ("{% set x = 1 %}{{ x }}", Some(FirstUse::Sets(1))),
            ("\n{% set xy = 1 %}{% set x %}{% endset %}", Some(FirstUse::Sets(2))),
            ("{% set x = x + 1 %}", Some(FirstUse::Reads)),
            ("{% if x %}{% set x = 1 %}{% endif %}", Some(FirstUse::Reads)),
            ("{% set y = [x] %}{% set x = 1 %}", Some(FirstUse::Reads)),
            ("x {# x #}{{ 'x' }}", None),
        ] {
            assert_eq!(first_use(source, "x"), expected, "{source}");
        }
    }

    #[test]
    fn setting_a_name_is_not_using_it() {
        let source =
            "{% set a = ['x'] %}{% if b %}{% set c = a + c %}{% endif %}{% set d %}{{ 'e' }}{% endset %}";
        let names = names(source);
        assert!(names.contains("a") && ["c", "d", "e"].iter().all(|name| !names.contains(name)), "{names:?}");
    }
}
