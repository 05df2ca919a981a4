//! The process's environment, as typed facts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::engine::docker::DockerEnvironment;
use crate::error::{EXIT_USAGE, Fatal};
use crate::model::labels::source_date_epoch;

/// Proxy variables that builds get as arguments.
const PROXY_VARIABLES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The environment of the process, read once.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Every variable: templates see them as `env`, options come from `OS_...`, secrets from any.
    pub variables: BTreeMap<String, String>,
    /// Time that images and their contexts count as made at, from `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: Option<Timestamp>,
    /// The user's directory for what can be made again; none when no variable names one.
    pub cache_dir: Option<PathBuf>,
    /// The user's directory for what must not be lost; none when no variable names one.
    pub state_dir: Option<PathBuf>,
    /// Proxies that builds get as arguments, by variable.
    pub proxies: BTreeMap<String, String>,
    /// Docker's engine and configuration.
    pub docker: DockerEnvironment,
    /// `CI` is set and not empty.
    pub is_ci: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `TERM=dumb`: the terminal can't move its cursor.
    pub is_dumb_terminal: bool,
}

impl Environment {
    /// Reads the variables.
    ///
    /// # Errors
    /// `SOURCE_DATE_EPOCH` is no time.
    pub fn read(variables: BTreeMap<String, String>) -> Result<Environment, Fatal> {
        let get = |name: &str| variables.get(name).map(String::as_str);
        let is_set = |name: &str| get(name).is_some_and(|value| !value.is_empty());
        let proxy = |name: &&str| Some((name.to_string(), get(name)?.to_string()));
        Ok(Environment {
            source_date_epoch: source_date_epoch(get("SOURCE_DATE_EPOCH"))
                .map_err(|error| Fatal::message(error, EXIT_USAGE))?,
            cache_dir: user_dir(get("XDG_CACHE_HOME"), get("HOME"), ".cache")
                .map(|dir| dir.join("kolla-build")),
            state_dir: user_dir(get("XDG_STATE_HOME"), get("HOME"), ".local/state")
                .map(|dir| dir.join("kolla-run")),
            proxies: PROXY_VARIABLES.iter().filter_map(proxy).collect(),
            docker: DockerEnvironment::of(&variables),
            is_ci: is_set("CI"),
            no_color: is_set("NO_COLOR"),
            is_dumb_terminal: get("TERM") == Some("dumb"),
            variables,
        })
    }

    /// Time that what this run makes counts as made at.
    pub fn clock(&self) -> Timestamp {
        self.source_date_epoch.unwrap_or_else(Timestamp::now)
    }
}

/// A directory of the user's: the one that a variable names, or else the usual one at home. One that is named and not
/// absolute is to be ignored (<https://specifications.freedesktop.org/basedir-spec>).
fn user_dir(named: Option<&str>, home: Option<&str>, usual: &str) -> Option<PathBuf> {
    let named = named.map(PathBuf::from).filter(|dir| dir.is_absolute());
    named.or_else(|| Some(PathBuf::from(home.filter(|home| !home.is_empty())?).join(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, Fatal> {
        Environment::read(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn the_cache_is_where_an_absolute_name_or_the_home_leads() {
        for (variables, expected) in [
            (&[][..], None),
            (&[("HOME", "")], None),
            (&[("HOME", "/h")], Some("/h/.cache/kolla-build")),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "c")], Some("/h/.cache/kolla-build")),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")], Some("/c/kolla-build")),
        ] {
            let found = read(variables).expect("an environment").cache_dir;
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn empty_variables_are_unset_and_an_epoch_is_a_time() {
        let found = read(&[("CI", ""), ("NO_COLOR", "1"), ("http_proxy", "p"), ("SOURCE_DATE_EPOCH", "1")]);
        let found = found.expect("an environment");
        assert!(!found.is_ci && found.no_color && !found.is_dumb_terminal);
        assert_eq!(found.proxies.get("http_proxy").map(String::as_str), Some("p"));
        assert_eq!(found.clock().as_second(), 1);
        let error = read(&[("SOURCE_DATE_EPOCH", "today")]).expect_err("no time").to_string();
        assert!(error.contains("SOURCE_DATE_EPOCH is 'today'"), "{error}");
    }
}
