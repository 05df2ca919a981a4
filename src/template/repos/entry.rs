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

/// A file that describes a repository to dnf or apt, line by line.
pub struct RepoFile {
    path: String,
    /// The sign between a key and its value.
    sign: &'static str,
    lines: Vec<String>,
}

impl RepoFile {
    /// A `.repo` file without lines.
    pub fn empty_rpm(repo: Repo<'_>) -> RepoFile {
        RepoFile { path: format!("/etc/yum.repos.d/{}.repo", repo.name), sign: "=", lines: Vec::new() }
    }

    /// A `.repo` file with the lines that come before those about keys and places.
    pub fn rpm(repo: Repo<'_>) -> Result<RepoFile, Error> {
        let name = repo.required("name")?;
        let mut file = RepoFile::empty_rpm(repo);
        file.lines.push(format!("[{name}]"));
        file.set("name", &name);
        file.set("enabled", "1");
        for key in ["gpgcheck", "repo_gpgcheck"] {
            if let Some(value) = repo.text(key).filter(|_| repo.is_true(key)) {
                file.set(key, &value);
            }
        }
        Ok(file)
    }

    /// A `.sources` file with the lines that every repository has.
    pub fn deb(repo: Repo<'_>, suite: &str, signed_by: &str) -> Result<RepoFile, Error> {
        let path = format!("/etc/apt/sources.list.d/{}.sources", repo.name);
        let mut file = RepoFile { path, sign: ": ", lines: Vec::new() };
        file.set("Uris", &repo.required("url")?);
        file.set("Components", &repo.required("component")?);
        file.set("Types", "deb");
        file.set("Suites", suite);
        file.set("Signed-By", signed_by);
        Ok(file)
    }

    pub fn set(&mut self, key: &str, value: &str) {
        self.lines.push([key, self.sign, value].concat());
    }

    /// Adds the lines about keys: further ones continue the first one's value.
    pub fn set_keys(&mut self, keys: &str) {
        let starts = std::iter::once("gpgkey=").chain(std::iter::repeat("       "));
        self.lines.extend(starts.zip(keys.lines()).map(|(start, key)| [start, key].concat()));
    }

    /// Adds the lines about where a repository is; false when it does not say.
    pub fn set_location(&mut self, repo: Repo<'_>) -> bool {
        let Some(location) = ["baseurl", "metalink", "mirrorlist"].into_iter().find(|key| repo.has(key))
        else {
            return false;
        };
        let url = repo.text(location).unwrap_or_default();
        match location {
            "baseurl" => url.lines().for_each(|url| self.set(location, url)),
            _ => self.set(location, &url),
        }
        true
    }

    /// The command that writes the file anew.
    pub fn write(&self) -> String {
        self.echo(">").collect::<Vec<_>>().join(" && ")
    }

    /// The commands that add the lines to a file that is there.
    pub fn append(&self) -> impl Iterator<Item = String> {
        self.echo(">>")
    }

    fn echo(&self, first: &'static str) -> impl Iterator<Item = String> {
        let arrows = std::iter::once(first).chain(std::iter::repeat(">>"));
        self.lines.iter().zip(arrows).map(|(line, arrow)| format!("echo '{line}' {arrow}{}", self.path))
    }
}

/// The command that enables or disables a repository of the distro's own.
pub fn switch_rpm(mode: &str, repo: Repo<'_>) -> Result<String, Error> {
    Ok(format!("dnf config-manager --{mode} {} || true", repo.required("name")?))
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
