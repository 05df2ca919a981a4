//! `build.toml`: the product's own configuration format, turned into entries of a layer.
//!
//! `[options]` holds what `[DEFAULT]` of a kolla-build.conf does, `[release]` the release's facts, `[sources.x]` and
//! `[users.x]` what sections `[x]` and `[x-user]` do, `[profiles]` named lists of regexes, `[unbuildable]` lists of
//! images by `distro`, `arch` or `distro+arch`, `[distros.x]` what is known about a distro.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{DEFAULT, DISTRO_KEYS, PROFILES, SOURCE_KEYS, UNBUILDABLE, USER_KEYS, distro_section};
use super::layer::{Entry, SetAt};
use super::options::{OptionTable, ValueKind};
use crate::util::nearest;

const TABLES: &[&str] = &["options", "release", "distros", "sources", "users", UNBUILDABLE, PROFILES];

/// A build.toml that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BuildTomlError {
    /// The line, from 1.
    pub line: usize,
    /// Reason why it can't be used.
    pub reason: String,
}

/// Reads a build.toml's text. `path` is none for the one inside the program.
pub fn parse(text: &str, path: Option<&Path>, options: OptionTable) -> Result<Vec<Entry>, BuildTomlError> {
    let document = DeTable::parse(text).map_err(|error| BuildTomlError {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        reason: error.message().to_string(),
    })?;
    let mut reader = Reader { text, path, options, entries: Vec::new() };
    for (name, value) in document.get_ref() {
        let table = reader.table(value)?;
        match name.get_ref().as_ref() {
            "options" => {
                reader.values(DEFAULT, table, &options.names())?;
            }
            "release" => {
                let of_release =
                    || options.iter().filter_map(|option| Some((option.release_key?, option.name)));
                for (key, value) in table {
                    let Some((_, option)) = of_release().find(|(name, _)| name == key.get_ref()) else {
                        let known: Vec<&str> = of_release().map(|(name, _)| name).collect();
                        return Err(reader.unknown(key, &known));
                    };
                    reader.value(DEFAULT, option, value)?;
                }
            }
            "distros" => reader.sections(table, distro_section, DISTRO_KEYS)?,
            "sources" => reader.sections(table, str::to_string, SOURCE_KEYS)?,
            "users" => reader.sections(table, |name| format!("{name}-user"), USER_KEYS)?,
            section @ (UNBUILDABLE | PROFILES) => {
                for (key, value) in table {
                    reader.value(section, key.get_ref(), value)?;
                }
            }
            _ => return Err(reader.unknown(name, TABLES)),
        }
    }
    Ok(reader.entries)
}

struct Reader<'a> {
    text: &'a str,
    path: Option<&'a Path>,
    options: OptionTable,
    entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    fn sections(
        &mut self,
        table: &DeTable<'_>,
        section: impl Fn(&str) -> String,
        known: &[&str],
    ) -> Result<(), BuildTomlError> {
        for (name, value) in table {
            let inner = self.table(value)?;
            self.values(&section(name.get_ref()), inner, known)?;
        }
        Ok(())
    }

    fn values(&mut self, section: &str, table: &DeTable<'_>, known: &[&str]) -> Result<(), BuildTomlError> {
        for (key, value) in table {
            if !known.contains(&key.get_ref().as_ref()) {
                return Err(self.unknown(key, known));
            }
            self.value(section, key.get_ref(), value)?;
        }
        Ok(())
    }

    fn value(
        &mut self,
        section: &str,
        key: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), BuildTomlError> {
        let place = match self.path {
            Some(path) => SetAt::File(path.to_path_buf(), Some(line_of(self.text, value.span().start))),
            None => SetAt::BuiltIn,
        };
        let many = section == DEFAULT && self.options.find(key).is_some_and(|o| o.kind == ValueKind::Many);
        let texts = match value.get_ref() {
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.scalar(item)).collect::<Result<Vec<_>, _>>()?;
                if many { items } else { vec![items.join(",")] }
            }
            DeValue::Table(pairs) => {
                let pair = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                    let text = self.scalar(value)?;
                    if text.contains(',') {
                        let reason = "a value in a table may not contain a comma".to_string();
                        return Err(self.error(value.span().start, reason));
                    }
                    Ok(format!("{}:{text}", key.get_ref() as &std::borrow::Cow<'_, str>))
                };
                vec![pairs.iter().map(pair).collect::<Result<Vec<_>, BuildTomlError>>()?.join(",")]
            }
            _ => vec![self.scalar(value)?],
        };
        self.entries.extend(texts.into_iter().map(|text| Entry {
            section: section.to_string(),
            key: key.to_string(),
            text,
            place: place.clone(),
        }));
        Ok(())
    }

    fn scalar(&self, value: &Spanned<DeValue<'_>>) -> Result<String, BuildTomlError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(number.to_string()),
            DeValue::Boolean(flag) => Ok(flag.to_string()),
            _ => {
                Err(self
                    .error(value.span().start, "expected a string, a whole number or true/false".to_string()))
            }
        }
    }

    fn table<'t, 'de>(&self, value: &'t Spanned<DeValue<'de>>) -> Result<&'t DeTable<'de>, BuildTomlError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.error(value.span().start, "expected a table".to_string())),
        }
    }

    fn unknown(&self, key: &Spanned<std::borrow::Cow<'_, str>>, known: &[&str]) -> BuildTomlError {
        let hint = nearest::hint(key.get_ref(), known.iter().copied());
        self.error(key.span().start, format!("unknown key '{}'{hint}", key.get_ref()))
    }

    fn error(&self, offset: usize, reason: String) -> BuildTomlError {
        BuildTomlError { line: line_of(self.text, offset), reason }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::OPTIONS;

    #[test]
    fn tables_become_sections() {
        let text = r#"
[options]
push = true
profile = ["a", "b"]
[release]
release = "2026.2"
[sources.etcd]
type = "url"
sha256 = { amd64 = "1", arm64 = "2" }
[users.nova]
uid = 42436
[unbuildable]
rocky = ["x", "y"]
"#;
        let entries = parse(text, None, OPTIONS).expect("valid");
        let flat: Vec<_> =
            entries.iter().map(|e| (e.section.as_str(), e.key.as_str(), e.text.as_str())).collect();
        for expected in [
            ("DEFAULT", "push", "true"),
            ("DEFAULT", "profile", "a"),
            ("DEFAULT", "profile", "b"),
            ("DEFAULT", "openstack_release", "2026.2"),
            ("etcd", "sha256", "amd64:1,arm64:2"),
            ("nova-user", "uid", "42436"),
            ("unbuildable", "rocky", "x,y"),
        ] {
            assert!(flat.contains(&expected), "{expected:?} is not among {flat:?}");
        }
    }

    #[test]
    fn errors_name_the_line_and_the_nearest_key() {
        for (text, message) in [
            ("[options]\n\nthread = 1", "line 3: unknown key 'thread': did you mean 'threads'?"),
            ("[sourcs.x]\n", "line 1: unknown key 'sourcs': did you mean 'sources'?"),
            ("options = 1", "line 1: expected a table"),
            ("[options]\nbuild_args = { A = '1,2' }", "line 2: a value in a table may not contain a comma"),
            ("[options]\nthreads = 1.5", "line 2: expected a string, a whole number or true/false"),
        ] {
            assert_eq!(parse(text, None, OPTIONS).expect_err(text).to_string(), message);
        }
        assert_eq!(parse("[options]\nbase =", None, OPTIONS).expect_err("syntax").line, 2);
    }
}
