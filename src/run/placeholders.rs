//! `${NAME}` in the texts of a stack: parameters, passwords, the directory of its files [pure].

use std::collections::BTreeSet;

use serde_json::Value;

/// Beginning of a placeholder.
const BEGIN: &str = "${";

/// Beginning of one that is meant as it stands there: `$${HOME}` is `${HOME}`.
const ESCAPED: &str = "$${";

/// PlaceholderMeaning of a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceholderMeaning {
    /// Text that stays as it is.
    Text(String),
    /// A text that is put in later.
    Later,
    /// Nothing, for this reason.
    Nothing(String),
}

/// When placeholders are filled in: what has no meaning yet is kept until the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Escaped ones stay so.
    First,
    /// Escaped ones lose their second `$`.
    Last,
}

/// Fills in the placeholders of a text.
///
/// # Errors
/// One of them has no meaning, or does not end.
pub fn fill_text(
    text: &str,
    round: Round,
    meaning: &dyn Fn(&str) -> PlaceholderMeaning,
) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(ESCAPED) {
            filled.push_str(if round == Round::Last { BEGIN } else { ESCAPED });
            rest = after;
        } else if let Some(inside) = rest.strip_prefix(BEGIN) {
            let end = inside.find('}').ok_or_else(|| {
                let shown: String = inside.chars().take(20).collect();
                format!(
                    "'{BEGIN}{shown}' does not end; a text that is no placeholder begins with '{ESCAPED}'"
                )
            })?;
            match meaning(&inside[..end]) {
                PlaceholderMeaning::Text(text) => filled.push_str(&text),
                PlaceholderMeaning::Later => filled.push_str(&rest[..end + BEGIN.len() + 1]),
                PlaceholderMeaning::Nothing(reason) => return Err(reason),
            }
            rest = &inside[end + 1..];
        } else {
            filled.push('$');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Fills in the placeholders of every text in a value; keys are left.
///
/// # Errors
/// As [`fill_text`].
pub fn fill(
    value: &Value,
    round: Round,
    meaning: &dyn Fn(&str) -> PlaceholderMeaning,
) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fill_text(text, round, meaning)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| fill(item, round, meaning)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| Ok((key.clone(), fill(value, round, meaning)?)));
            Value::Object(entries.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// The names of passwords in a text that was filled in once.
pub fn passwords_in(text: &str, found: &mut BTreeSet<String>) {
    let names = std::cell::RefCell::new(found);
    let collect = |placeholder: &str| {
        if let Some(name) = placeholder.strip_prefix(PASSWORD) {
            names.borrow_mut().insert(name.to_string());
        }
        PlaceholderMeaning::Later
    };
    // What does not end was told before.
    let _ = fill_text(text, Round::First, &collect);
}

/// Beginning of the name of a password.
pub const PASSWORD: &str = "password:";

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(name: &str) -> PlaceholderMeaning {
        match name {
            "tag" => PlaceholderMeaning::Text("demo".to_string()),
            name if name.starts_with(PASSWORD) => PlaceholderMeaning::Later,
            other => PlaceholderMeaning::Nothing(format!("no {other}")),
        }
    }

    #[test]
    fn placeholders_are_filled_in_and_others_left() {
        for (text, first) in [
            ("kolla/base:${tag}", "kolla/base:demo"),
            ("$HOME $$ $", "$HOME $$ $"),
            ("$${tag} ${tag}", "$${tag} demo"),
            ("p=${password:db}", "p=${password:db}"),
            ("", ""),
        ] {
            assert_eq!(fill_text(text, Round::First, &meaning).as_deref(), Ok(first), "{text}");
        }
        let last = |name: &str| PlaceholderMeaning::Text(name.to_uppercase());
        assert_eq!(fill_text("$${tag} ${tag}", Round::Last, &last).as_deref(), Ok("${tag} TAG"));
    }

    #[test]
    fn what_means_nothing_is_told() {
        assert_eq!(fill_text("${x}", Round::First, &meaning), Err("no x".to_string()));
        let endless = fill_text("a ${tag", Round::First, &meaning).expect_err("no end");
        assert!(endless.starts_with("'${tag' does not end"), "{endless}");
    }

    #[test]
    fn texts_anywhere_in_a_value_are_filled_in() {
        let value = serde_json::json!({"${tag}": ["${tag}", 1, {"a": "x${tag}"}]});
        let filled = fill(&value, Round::First, &meaning).expect("filled in");
        assert_eq!(filled, serde_json::json!({"${tag}": ["demo", 1, {"a": "xdemo"}]}));
        let mut found = BTreeSet::new();
        passwords_in("${password:a} $${password:b} ${password:c}${tag}", &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "c"]);
    }
}
