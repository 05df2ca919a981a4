//! The sections of `repos.yaml`, read and checked.

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value as Yaml};

use crate::model::template_api::{RepositoryStyle, TemplateApi};
use crate::util::input;

/// The sections of the tree's `repos.yaml`, and of a user's.
#[derive(Debug, Default)]
pub struct Repositories {
    pub(super) default: Mapping,
    pub(super) user: Option<Mapping>,
}

/// A `repos.yaml` that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoriesError {
    /// The file can't be read.
    #[error("failed to read {path}: {source}")]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Error that the system gave.
        source: std::io::Error,
    },
    /// The text is no YAML, or not a mapping of sections to mappings of repositories.
    #[error("{path}: {reason}")]
    Invalid {
        /// Path of the file.
        path: PathBuf,
        /// Reason, with line and column when known.
        reason: String,
    },
}

impl Repositories {
    /// Reads the tree's text, and a user's file.
    pub fn load(
        api: TemplateApi,
        default: (&Path, &str),
        user_file: Option<&Path>,
    ) -> Result<Repositories, RepositoriesError> {
        let style = api.repositories();
        if style == RepositoryStyle::None {
            return Ok(Repositories::default());
        }
        let default = parse(style, default.0, default.1)?;
        let Some(path) = user_file else { return Ok(Repositories { default, user: None }) };
        let text = input::read_to_string(path)
            .map_err(|source| RepositoriesError::Unreadable { path: path.to_path_buf(), source })?;
        Ok(Repositories { default, user: Some(parse(style, path, &text)?) })
    }

    /// The user's sections when there are any, and else the tree's.
    pub(super) fn either(&self) -> &Mapping {
        self.user.as_ref().unwrap_or(&self.default)
    }
}

fn parse(style: RepositoryStyle, path: &Path, text: &str) -> Result<Mapping, RepositoriesError> {
    let invalid = |reason: String| RepositoriesError::Invalid { path: path.to_path_buf(), reason };
    let sections = match serde_yaml::from_str(text).map_err(|error| invalid(error.to_string()))? {
        Yaml::Mapping(sections) => sections,
        Yaml::Null => {
            return Err(invalid("it is empty: leave the option out, or write sections".to_string()));
        }
        _ => return Err(invalid("it is no mapping of sections to repositories".to_string())),
    };
    for (section, repos) in &sections {
        let section = section.as_str().unwrap_or("?");
        let repos =
            repos.as_mapping().ok_or_else(|| invalid(format!("section '{section}' is not a mapping")))?;
        for (name, repo) in repos {
            let name = name.as_str().unwrap_or("?");
            match repo {
                Yaml::Mapping(fields) => check_fields(fields).map_err(|(key, reason)| {
                    let place = line_of(text, &[section, name, key])
                        .map_or(String::new(), |line| format!("line {line}: "));
                    invalid(format!("{place}repository '{name}' in section '{section}': {key} {reason}"))
                })?,
                _ if style == RepositoryStyle::Ids => {}
                _ => {
                    return Err(invalid(format!(
                        "repository '{name}' in section '{section}' is not a mapping"
                    )));
                }
            }
        }
    }
    Ok(sections)
}

/// Fields that Kolla reads as text; of the others it takes what can be printed in one line.
const TEXTS: [&str; 4] = ["baseurl", "gpgkey", "gpg_key", "suite"];
/// Fields that say yes or no.
const SWITCHES: [&str; 5] = ["build_only", "distro", "gpgcheck", "repo_gpgcheck", "trusted"];

/// Refuses what can't be written into a repository's file: by the key, and what is wrong with its value.
fn check_fields(fields: &Mapping) -> Result<(), (&str, &'static str)> {
    for (key, value) in fields {
        let Some(key) = key.as_str() else { continue };
        let wrong = match value {
            Yaml::Sequence(_) => {
                "is a list: write a text, one address or key on each of its lines (a value that begins with |)"
            }
            Yaml::Mapping(_) | Yaml::Tagged(_) => "is a mapping, and should be a text",
            Yaml::Null if !SWITCHES.contains(&key) => "has no value",
            Yaml::Bool(_) | Yaml::Number(_) if TEXTS.contains(&key) => "is no text: put it in quotes",
            _ => continue,
        };
        return Err((key, wrong));
    }
    Ok(())
}

/// The line of a key within others, where each stands on a line of its own.
fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    let mut lines = text.lines().enumerate();
    keys.iter().try_fold(0, |_, key| {
        let is_key = |line: &str| {
            let line = line.trim_start().trim_start_matches(['"', '\'']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
        };
        lines.find(|(_, line)| is_key(line)).map(|(index, _)| index + 1)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    fn refusal(text: &str) -> String {
        parse(RepositoryStyle::Merged, Path::new("repos.yaml"), text)
            .map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_cannot_be_written_into_a_file_is_refused_with_its_line() {
        let head =
            "rpm:\n  other:\n    name: x\n    gpgkey: k\n  own:\n    name: x\n    distro:\n    gpgcheck: 1\n";
        for (entry, expected) in [
            ("    gpgkey: [a, b]\n", "line 9: repository 'own' in section 'rpm': gpgkey is a list"),
            ("    \"baseurl\":\n      - a\n", "line 9: repository 'own' in section 'rpm': baseurl is a list"),
            ("    url:\n", "line 9: repository 'own' in section 'rpm': url has no value"),
            ("    metalink: {a: b}\n", "line 9: repository 'own' in section 'rpm': metalink is a mapping"),
            ("    suite: 12\n", "line 9: repository 'own' in section 'rpm': suite is no text"),
        ] {
            let told = refusal(&format!("{head}{entry}"));
            assert!(told.starts_with(&format!("repos.yaml: {expected}")), "{told}");
        }
        assert_eq!(refusal(&format!("{head}    gpgkey: |\n      a\n      b\n    arch: 64\n")), "");
        for (text, expected) in [
            ("", "it is empty"),
            ("# nothing\n", "it is empty"),
            ("- a\n", "it is no mapping"),
            ("rpm:\n", "section 'rpm'"),
        ] {
            assert!(refusal(text).starts_with(&format!("repos.yaml: {expected}")), "{}", refusal(text));
        }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_text_is_read_or_refused(
            text in text_of(&["rpm", "own", ":", " ", "\n", "  ", "- ", "[", "]", "{", "}", "|", "&a", "*a", "'", "name", "!t "])
        ) {
            refusal(&text);
        }
    }
}
