//! References from one value to another, as oslo.config reads them.

use super::keys::{DEFAULT, SOURCE_KEYS};
use super::layer::{Entry, Layers, ValueError, value_error};
use super::options::{Meaning, OptionSpec, ValueKind};
use super::value;

/// How deep a value may refer to values that refer to values.
const MAX_DEPTH: usize = 16;

impl Layers {
    /// Replaces `$name`, `${name}` and `${section.name}` by those values, looked for in the entry's own section, then
    /// among the options; `$$` and `\$` are dollar signs. An option without a value gives nothing. A `$` that starts
    /// no name stays.
    pub(super) fn interpolate(&self, entry: &Entry) -> Result<String, ValueError> {
        let is_command = |option: &OptionSpec| option.meaning == Meaning::Command;
        if entry.section == DEFAULT && self.options().find(&entry.key).is_some_and(is_command) {
            // The shell has a meaning of its own for `$`.
            return Ok(entry.text.clone());
        }
        self.interpolate_at(entry, 0)
    }

    fn interpolate_at(&self, entry: &Entry, depth: usize) -> Result<String, ValueError> {
        if !entry.text.contains('$') {
            return Ok(entry.text.clone());
        }
        if depth == MAX_DEPTH {
            return Err(value_error(entry, "its references go in a circle"));
        }
        let text = entry.text.replace("\\$", "$$");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                out.push_str(&self.referred(entry, name, depth)?);
                rest = after;
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn referred(&self, entry: &Entry, name: &str, depth: usize) -> Result<String, ValueError> {
        let (section, key) = name.split_once('.').unwrap_or((&entry.section, name));
        if let Some(found) = self.entry(section, key).or_else(|| self.entry(DEFAULT, name)) {
            if found.section == DEFAULT
                && self.options().find(&found.key).is_some_and(|o| o.kind == ValueKind::Many)
            {
                let all = self.entries().iter().filter(|e| e.section == DEFAULT && e.key == found.key);
                let all: Vec<String> =
                    all.map(|entry| self.interpolate_at(entry, depth + 1)).collect::<Result<_, _>>()?;
                return Ok(value::python_list(&all));
            }
            let text = self.interpolate_at(found, depth + 1)?;
            return value::referred(self.options(), &found.section, &found.key, text)
                .map_err(|reason| value_error(found, reason));
        }
        if self.options().find(name).is_some() || SOURCE_KEYS.contains(&key) {
            return Ok(String::new());
        }
        let mut reason = format!("${name} refers to an option that does not exist");
        if let Some((first, _)) =
            name.split_once('.').filter(|(first, _)| self.options().find(first).is_some())
        {
            reason.push_str(&format!("; for the option '{first}' with a dot after it write ${{{first}}}"));
        }
        Err(value_error(entry, reason))
    }
}

/// The name that a reference starts with, its `$` already taken, and what follows.
fn reference(text: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let (name, after) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}').filter(|(name, _)| name.chars().all(is_name))?,
        None => text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len())),
    };
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some((name, after))
}
