//! One repository of `repos.yaml`, and the files that describe it to dnf and apt.

use minijinja::Error;
use serde_yaml::{Mapping, Value as Yaml};

use super::target::{RepoTarget, invalid};

/// Where keys without a path are looked for.
pub const APT_KEY_DIR: &str = "/etc/kolla/apt-keys";

/// The repositories of one distro and architecture, in order of their first appearance.
#[derive(Debug)]
pub struct RepoList(pub Mapping);

impl RepoList {
    pub fn iter(&self) -> impl Iterator<Item = Repo<'_>> {
        self.0
            .iter()
            .filter_map(|(name, fields)| Some(Repo { name: name.as_str()?, fields: fields.as_mapping()? }))
    }

    pub fn get(&self, name: &str) -> Option<Repo<'_>> {
        self.iter().find(|repo| repo.name == name)
    }
}

/// A repository by its logical name.
#[derive(Clone, Copy)]
pub struct Repo<'a> {
    pub name: &'a str,
    pub fields: &'a Mapping,
}

impl<'a> Repo<'a> {
    pub fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// Python's idea of whether a field is true; a missing one is not.
    pub fn is_true(&self, key: &str) -> bool {
        match self.fields.get(key) {
            None | Some(Yaml::Null) => false,
            Some(Yaml::Bool(value)) => *value,
            Some(Yaml::Number(number)) => number.as_f64() != Some(0.0),
            Some(Yaml::String(text)) => !text.is_empty(),
            Some(_) => true,
        }
    }

    /// A field as Python prints it.
    pub fn text(&self, key: &str) -> Option<String> {
        Some(match self.fields.get(key)? {
            Yaml::Bool(true) => "True".to_string(),
            Yaml::Bool(false) => "False".to_string(),
            Yaml::Null => "None".to_string(),
            Yaml::Number(number) => number.to_string(),
            Yaml::String(text) => text.clone(),
            other => serde_yaml::to_string(other).unwrap_or_default().trim_end().to_string(),
        })
    }

    /// A field that must be there.
    pub fn required(&self, key: &str) -> Result<String, Error> {
        self.text(key).ok_or_else(|| invalid(format!("repository '{}' has no {key}", self.name)))
    }
}

/// Echoes lines into a file: the first makes it, the others are added.
fn write_lines(file: &str, lines: &[String]) -> String {
    let echo = |(index, line): (usize, &String)| {
        let arrow = if index == 0 { ">" } else { ">>" };
        format!("echo '{line}' {arrow}{file}")
    };
    lines.iter().enumerate().map(echo).collect::<Vec<_>>().join(" && ")
}

/// The lines of a `.repo` file that come before those about keys and places.
pub fn rpm_lines(repo: Repo<'_>) -> Result<Vec<String>, Error> {
    let name = repo.required("name")?;
    let mut lines = vec![format!("[{name}]"), format!("name={name}"), "enabled=1".to_string()];
    for key in ["gpgcheck", "repo_gpgcheck"] {
        if let Some(value) = repo.text(key).filter(|_| repo.is_true(key)) {
            lines.push(format!("{key}={value}"));
        }
    }
    Ok(lines)
}

/// The lines about keys: further ones continue the first one's value.
pub fn rpm_key_lines(keys: &str) -> impl Iterator<Item = String> + '_ {
    let line = |(index, key)| if index == 0 { format!("gpgkey={key}") } else { format!("       {key}") };
    keys.lines().enumerate().map(line)
}

/// The lines about where a repository is; none when it does not say.
pub fn rpm_location_lines(repo: Repo<'_>) -> Vec<String> {
    let Some(location) = ["baseurl", "metalink", "mirrorlist"].into_iter().find(|key| repo.has(key)) else {
        return Vec::new();
    };
    let url = repo.text(location).unwrap_or_default();
    match location {
        "baseurl" => url.lines().map(|url| format!("baseurl={url}")).collect(),
        _ => vec![format!("{location}={url}")],
    }
}

/// The lines of a `.sources` file that every repository has.
pub fn deb_lines(repo: Repo<'_>, suite: &str, signed_by: &str) -> Result<Vec<String>, Error> {
    Ok(vec![
        format!("Uris: {}", repo.required("url")?),
        format!("Components: {}", repo.required("component")?),
        "Types: deb".to_string(),
        format!("Suites: {suite}"),
        format!("Signed-By: {signed_by}"),
    ])
}

/// The command that writes a repository's `.repo` file.
pub fn write_rpm_file(repo: Repo<'_>, lines: &[String]) -> String {
    write_lines(&format!("/etc/yum.repos.d/{}.repo", repo.name), lines)
}

/// The command that writes a repository's `.sources` file.
pub fn write_deb_file(repo: Repo<'_>, lines: &[String]) -> String {
    write_lines(&format!("/etc/apt/sources.list.d/{}.sources", repo.name), lines)
}

/// An error about a repository that `repos.yaml` does not have.
pub fn unknown(name: &str, list: &RepoList, target: &RepoTarget) -> Error {
    let known: Vec<&str> = list.iter().map(|repo| repo.name).collect();
    invalid(format!(
        "unknown repository '{name}' in image {}: repos.yaml has {} for {} {}",
        target.image,
        known.join(", "),
        target.distro,
        target.arch
    ))
}
