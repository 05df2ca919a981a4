//! How oslo.config reads typed values from text, and what they look like when another value refers to them.

use super::keys::DEFAULT;
use super::options::{OptionTable, ValueKind};
use crate::util::secrets::masked;

/// A value that is on or off, by oslo.config's words.
pub fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err(format!("'{text}' is neither true nor false (true/false, yes/no, on/off, 1/0)")),
    }
}

/// A whole number of oslo.config's kind.
pub fn integer(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("'{text}' is not a whole number"))
}

/// A list, written with commas; those at the end don't count.
pub fn list(text: &str) -> Vec<String> {
    let text = text.trim().trim_end_matches(',');
    let items = text.split(',').filter(|_| !text.is_empty());
    items.map(|item| item.trim().to_string()).collect()
}

/// Pairs, written `key:value,key:value`. A part without a colon belongs to the key after it.
pub fn dict(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut open = String::new();
    let mut parts = text.trim().split(',').filter(|_| !text.trim().is_empty()).peekable();
    while let Some(part) = parts.next() {
        open.push_str(part);
        let Some((key, value)) = open.split_once(':') else {
            if parts.peek().is_none() {
                let is_not = "is not written key:value";
                return Err(match open.split_once('=').map(|(key, value)| (key, masked(key, value))) {
                    Some((key, value)) => format!("'{key}={value}' {is_not}: write {key}:{value}"),
                    None if pairs.is_empty() => format!("'{open}' {is_not}"),
                    None => format!("'{open}' {is_not}, and a value can't hold a comma"),
                });
            }
            open.push(',');
            continue;
        };
        let key = key.trim();
        if key.is_empty() {
            return Err(format!("'{open}' has no key"));
        }
        if pairs.iter().any(|(known, _)| known == key) {
            return Err(format!("the key '{key}' is there twice"));
        }
        pairs.push((key.to_string(), value.trim().to_string()));
        open.clear();
    }
    Ok(pairs)
}

/// A value as another one gets it that refers to it: Python's text for a value of its type.
pub fn referred(options: OptionTable, section: &str, key: &str, text: String) -> Result<String, String> {
    let kind = match (section, key) {
        (DEFAULT, _) => options.find(key).map(|option| option.kind),
        (_, "enabled") => Some(ValueKind::Flag),
        (_, "sha256") if text.contains(':') => Some(ValueKind::Dict),
        _ => None,
    };
    Ok(match kind {
        Some(ValueKind::Flag) => if flag(&text)? { "True" } else { "False" }.to_string(),
        Some(ValueKind::Integer { .. }) => integer(&text)?.to_string(),
        Some(ValueKind::List) => python_list(&list(&text)),
        Some(ValueKind::Dict) => {
            let pair =
                |(key, value): &(String, String)| format!("{}: {}", python_text(key), python_text(value));
            format!("{{{}}}", dict(&text)?.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Some(ValueKind::Many | ValueKind::Text | ValueKind::OptionalText { .. } | ValueKind::Choice(_))
        | None => text,
    })
}

/// A list as Python prints it.
pub fn python_list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| python_text(item)).collect::<Vec<_>>().join(", "))
}

/// A text as Python prints it inside a list.
pub fn python_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    let escaped = if quote == '\'' { escaped.replace('\'', "\\'") } else { escaped };
    format!("{quote}{escaped}{quote}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::OPTIONS;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
        dict(text)
    }

    #[test]
    fn commas_at_the_end_of_a_list_do_not_count() {
        assert_eq!(list("a,,b,,"), ["a", "", "b"]);
        assert_eq!(list("\na,\nb"), ["a", "b"]);
        assert_eq!(list(" , "), [""; 0]);
        assert_eq!(list(",a"), ["", "a"]);
    }

    #[test]
    fn pairs_are_those_of_oslo_config() {
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        assert_eq!(pairs("A:1,B,C:2"), Ok(vec![pair("A", "1"), pair("B,C", "2")]));
        assert_eq!(pairs(" A: \"x y\" , B: "), Ok(vec![pair("A", "\"x y\""), pair("B", "")]));
        assert_eq!(pairs(""), Ok(Vec::new()));
        let comma = "is not written key:value, and a value can't hold a comma";
        assert_eq!(pairs("A:1,B"), Err(format!("'B' {comma}")));
        assert_eq!(pairs("A:1,"), Err(format!("'' {comma}")));
        assert_eq!(pairs("A"), Err("'A' is not written key:value".to_string()));
        assert_eq!(pairs("A:1,B=2"), Err("'B=2' is not written key:value: write B:2".to_string()));
        assert_eq!(pairs("PWD=2"), Err("'PWD=***' is not written key:value: write PWD:***".to_string()));
        assert_eq!(pairs("A:1,A:2"), Err("the key 'A' is there twice".to_string()));
        assert_eq!(pairs(":1"), Err("':1' has no key".to_string()));
    }

    #[test]
    fn what_is_referred_to_is_as_python_prints_it() {
        let referred = |key: &str, text: &str| referred(OPTIONS, "DEFAULT", key, text.to_string());
        assert_eq!(referred("push", "no"), Ok("False".to_string()));
        assert_eq!(referred("threads", " 08"), Ok("8".to_string()));
        assert_eq!(referred("rpm_setup_config", "a,it's"), Ok("['a', \"it's\"]".to_string()));
        assert_eq!(referred("build_args", "A:1"), Ok("{'A': '1'}".to_string()));
        assert_eq!(referred("tag", "True"), Ok("True".to_string()));
    }
}
