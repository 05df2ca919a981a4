//! Package repositories: `repos.yaml`, and the functions that enable and disable them.
//!
//! The file maps sections to repositories by logical name. Sections are merged in the order package type (`rpm`, `deb`),
//! distro, `<distro>-<arch>`; a missing section is empty. A user's own file replaces whole entries.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use serde_yaml::{Mapping, Value as Yaml};

/// Where repository files that are only replaced while an image builds are kept meanwhile.
const BACKUP_DIR: &str = "/tmp/kolla-repos-backup";
/// Where keys without a path are looked for.
const APT_KEY_DIR: &str = "/etc/kolla/apt-keys";
/// Keys by which a repository says where it is; one that has any is not the distro's own.
const LOCATIONS: [&str; 4] = ["baseurl", "metalink", "mirrorlist", "url"];

/// The shipped repositories, and those with a user's file merged in.
#[derive(Debug, Clone, Default)]
pub struct Repositories {
    default: Mapping,
    merged: Mapping,
    overridden: bool,
}

/// A `repos.yaml` that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoriesError {
    /// It can't be read.
    #[error("failed to read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no YAML, or not a mapping of sections to mappings of repositories.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column when known.
        reason: String,
    },
}

impl Repositories {
    /// Reads the shipped text, and a user's file over it.
    pub fn load(
        default: (&Path, &str),
        override_file: Option<&Path>,
    ) -> Result<Repositories, RepositoriesError> {
        let default = parse(default.0, default.1)?;
        let Some(path) = override_file else {
            return Ok(Repositories { merged: default.clone(), default, overridden: false });
        };
        let text = std::fs::read_to_string(path)
            .map_err(|source| RepositoriesError::Unreadable { path: path.to_path_buf(), source })?;
        let mut merged = default.clone();
        for (section, repos) in parse(path, &text)? {
            match merged.get_mut(&section).and_then(Yaml::as_mapping_mut) {
                Some(existing) => existing.extend(repos.as_mapping().cloned().unwrap_or_default()),
                None => {
                    merged.insert(section, repos);
                }
            }
        }
        Ok(Repositories { default, merged, overridden: true })
    }
}

fn parse(path: &Path, text: &str) -> Result<Mapping, RepositoriesError> {
    let invalid = |reason: String| RepositoriesError::Invalid { path: path.to_path_buf(), reason };
    let sections: Mapping = serde_yaml::from_str(text).map_err(|error| invalid(error.to_string()))?;
    for (section, repos) in &sections {
        let section = section.as_str().unwrap_or("?");
        let repos =
            repos.as_mapping().ok_or_else(|| invalid(format!("section '{section}' is not a mapping")))?;
        for (name, repo) in repos {
            if !repo.is_mapping() {
                let name = name.as_str().unwrap_or("?");
                return Err(invalid(format!("repository '{name}' in section '{section}' is not a mapping")));
            }
        }
    }
    Ok(sections)
}

/// The repositories of one distro and architecture, in order of their first appearance.
struct RepoList(Mapping);

impl RepoList {
    fn new(sections: &Mapping, target: &Target) -> RepoList {
        let mut list = Mapping::new();
        let names = [
            target.package_type.clone(),
            target.distro.clone(),
            format!("{}-{}", target.distro, target.arch),
        ];
        for (name, repo) in names.iter().filter_map(|name| sections.get(name)?.as_mapping()).flatten() {
            let repo = match (list.get(name).and_then(Yaml::as_mapping), repo.as_mapping()) {
                (Some(earlier), Some(later)) => {
                    let mut both = earlier.clone();
                    both.extend(later.clone());
                    if LOCATIONS.iter().any(|key| both.contains_key(key)) {
                        both.shift_remove("distro");
                    }
                    Yaml::Mapping(both)
                }
                _ => repo.clone(),
            };
            list.insert(name.clone(), repo);
        }
        RepoList(list)
    }

    fn iter(&self) -> impl Iterator<Item = Repo<'_>> {
        self.0
            .iter()
            .filter_map(|(name, fields)| Some(Repo { name: name.as_str()?, fields: fields.as_mapping()? }))
    }

    fn get(&self, name: &str) -> Option<Repo<'_>> {
        self.iter().find(|repo| repo.name == name)
    }
}

#[derive(Clone, Copy)]
struct Repo<'a> {
    name: &'a str,
    fields: &'a Mapping,
}

impl<'a> Repo<'a> {
    fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// Python's idea of whether a field is true; a missing one is not.
    fn is_true(&self, key: &str) -> bool {
        match self.fields.get(key) {
            None | Some(Yaml::Null) => false,
            Some(Yaml::Bool(value)) => *value,
            Some(Yaml::Number(number)) => number.as_f64() != Some(0.0),
            Some(Yaml::String(text)) => !text.is_empty(),
            Some(_) => true,
        }
    }

    /// A field as Python prints it.
    fn text(&self, key: &str) -> Option<String> {
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
    fn required(&self, key: &str) -> Result<String, Error> {
        self.text(key).ok_or_else(|| invalid(format!("repository '{}' has no {key}", self.name)))
    }

    /// The `.repo` file that the distro keeps this repository in.
    fn rpm_file(&self, defaults: &RepoList) -> String {
        self.text("file_group")
            .or_else(|| defaults.get(self.name)?.text("file_group"))
            .unwrap_or_else(|| format!("{}.repo", self.name))
    }
}

/// What the repositories are for, as the template at hand sees it.
struct Target {
    package_type: String,
    distro: String,
    arch: String,
    codename: String,
    image: String,
}

impl Target {
    fn of(state: &State<'_, '_>) -> Target {
        let text = |name: &str| state.lookup(name).unwrap_or_default().to_string();
        Target {
            package_type: text("base_package_type"),
            distro: text("base_distro"),
            arch: text("base_arch"),
            codename: text("openstack_release_codename"),
            image: text("image_name"),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Adds `handle_repos` and `cleanup_repos`.
pub(super) fn register(env: &mut Environment<'_>, repositories: Arc<Repositories>) {
    let for_handle = repositories.clone();
    env.add_function("handle_repos", move |state: &mut State, names: Value, mode: &str| {
        handle_repos(&for_handle, &Target::of(state), names, mode)
    });
    env.add_function("cleanup_repos", move |state: &mut State| -> Result<String, Error> {
        Ok(cleanup_repos(&repositories, &Target::of(state)))
    });
}

/// The RUN instruction that enables or disables repositories by their logical names; empty when nothing is to be done.
fn handle_repos(
    repositories: &Repositories,
    target: &Target,
    names: Value,
    mode: &str,
) -> Result<String, Error> {
    let is_list = matches!(names.kind(), ValueKind::Seq | ValueKind::Iterable) && !names.is_tuple();
    if !is_list {
        return Err(invalid("First argument should be a list of repositories".to_string()));
    }
    let names: Vec<String> = names.try_iter()?.map(|name| name.to_string()).collect();
    let list = RepoList::new(&repositories.merged, target);
    let defaults = RepoList::new(&repositories.default, target);
    if target.package_type == "rpm" && repositories.overridden {
        refuse_half_overridden_files(&list, &defaults)?;
    }
    let mut commands = String::new();
    let mut backed_up = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let repo = list.get(name).ok_or_else(|| {
            let known: Vec<&str> = list.iter().map(|repo| repo.name).collect();
            invalid(format!(
                "unknown repository '{name}' in image {}: repos.yaml has {} for {} {}",
                target.image,
                known.join(", "),
                target.distro,
                target.arch
            ))
        })?;
        let last = index + 1 == names.len();
        match (target.package_type.as_str(), mode) {
            ("rpm", "enable") => {
                if repo.is_true("distro") {
                    let name = repo.required("name")?;
                    commands.push_str(&format!("dnf config-manager --enable {name} || true"));
                } else {
                    if repo.is_true("build_only") {
                        let file = repo.rpm_file(&defaults);
                        if backed_up.insert(file.clone()) {
                            commands.push_str(&backup("/etc/yum.repos.d", &file, &file));
                        }
                    }
                    commands.push_str(&write_rpm_repo(repo)?);
                }
                if !last {
                    commands.push_str(" && ");
                }
            }
            ("rpm", "disable") if repo.is_true("distro") => {
                let name = repo.required("name")?;
                commands.push_str(&format!("dnf config-manager --disable {name} || true"));
            }
            ("deb", "enable") if !repo.is_true("distro") => {
                if repo.is_true("build_only") && backed_up.insert(name.clone()) {
                    commands.push_str(&backup("/etc/apt/sources.list.d", &format!("{name}.sources"), name));
                }
                commands.push_str(&write_deb_repo(repo, &target.codename)?);
                if !last {
                    commands.push_str(" && ");
                }
            }
            _ => {}
        }
    }
    Ok(if commands.is_empty() { commands } else { format!("RUN {commands}") })
}

/// The RUN instruction that puts back what `build_only` repositories replaced; empty when there are none.
fn cleanup_repos(repositories: &Repositories, target: &Target) -> String {
    let list = RepoList::new(&repositories.merged, target);
    let defaults = RepoList::new(&repositories.default, target);
    let mut commands = Vec::new();
    let mut restored = BTreeSet::new();
    for repo in list.iter().filter(|repo| repo.is_true("build_only") && !repo.is_true("distro")) {
        match target.package_type.as_str() {
            "rpm" => {
                let own = format!("{}.repo", repo.name);
                let file = repo.rpm_file(&defaults);
                if file != own {
                    // Enabling writes the repository's own file, wherever the distro keeps it.
                    commands.push(format!("rm -f /etc/yum.repos.d/{own}"));
                    if !restored.insert(file.clone()) {
                        continue;
                    }
                }
                commands.push(restore("/etc/yum.repos.d", &file, &file));
            }
            "deb" => commands.push(restore(
                "/etc/apt/sources.list.d",
                &format!("{}.sources", repo.name),
                repo.name,
            )),
            _ => {}
        }
    }
    if commands.is_empty() {
        return String::new();
    }
    commands.push(format!("rm -rf {BACKUP_DIR}"));
    format!("RUN {}", commands.join(" \\\n    && "))
}

fn backup(dir: &str, file: &str, mark: &str) -> String {
    format!(
        "mkdir -p {BACKUP_DIR} && cp {dir}/{file} {BACKUP_DIR}/{file} 2>/dev/null || true \
         && touch {BACKUP_DIR}/{mark}.enabled && "
    )
}

fn restore(dir: &str, file: &str, mark: &str) -> String {
    format!(
        "[ -f {BACKUP_DIR}/{mark}.enabled ] && ( mv {BACKUP_DIR}/{file} {dir}/{file} 2>/dev/null \
         || rm -f {dir}/{file} ) || true"
    )
}

/// Echoes lines into a file: the first makes it, the others are added.
fn write_lines(file: &str, lines: &[String]) -> String {
    let echo = |(index, line): (usize, &String)| {
        let arrow = if index == 0 { ">" } else { ">>" };
        format!("echo '{line}' {arrow}{file}")
    };
    lines.iter().enumerate().map(echo).collect::<Vec<_>>().join(" && ")
}

fn write_rpm_repo(repo: Repo<'_>) -> Result<String, Error> {
    let name = repo.required("name")?;
    let mut lines = vec![format!("[{name}]"), format!("name={name}"), "enabled=1".to_string()];
    for key in ["gpgcheck", "repo_gpgcheck"] {
        if let Some(value) = repo.text(key).filter(|_| repo.is_true(key)) {
            lines.push(format!("{key}={value}"));
        }
    }
    let Some(location) = ["baseurl", "metalink", "mirrorlist"].into_iter().find(|key| repo.has(key)) else {
        return Err(invalid(format!("Repository '{}' has no baseurl, metalink, or mirrorlist", repo.name)));
    };
    let keys =
        repo.text("gpgkey").ok_or_else(|| invalid(format!("Repository '{}' has no gpgkey", repo.name)))?;
    for (index, key) in keys.lines().enumerate() {
        // Further keys continue the first one's value.
        lines.push(if index == 0 { format!("gpgkey={key}") } else { format!("       {key}") });
    }
    let url = repo.required(location)?;
    match location {
        "baseurl" => lines.extend(url.lines().map(|url| format!("baseurl={url}"))),
        _ => lines.push(format!("{location}={url}")),
    }
    let file = format!("/etc/yum.repos.d/{}.repo", repo.name);
    Ok(format!(
        "grep -rlF '[{name}]' /etc/yum.repos.d/ 2>/dev/null | xargs -r rm -f && {}",
        write_lines(&file, &lines)
    ))
}

fn write_deb_repo(repo: Repo<'_>, codename: &str) -> Result<String, Error> {
    let key = repo.required("gpg_key")?;
    let signed_by = if key.starts_with('/') { key } else { format!("{APT_KEY_DIR}/{key}") };
    let suite = repo.required("suite")?.replace("{openstack_release_codename}", &codename.to_lowercase());
    let mut lines = vec![
        format!("Uris: {}", repo.required("url")?),
        format!("Components: {}", repo.required("component")?),
        "Types: deb".to_string(),
        format!("Suites: {suite}"),
        format!("Signed-By: {signed_by}"),
    ];
    if repo.is_true("trusted") {
        lines.push("Trusted: yes".to_string());
    }
    if let Some(arch) = repo.text("arch") {
        lines.push(format!("Architectures: {arch}"));
    }
    Ok(write_lines(&format!("/etc/apt/sources.list.d/{}.sources", repo.name), &lines))
}

/// Overriding a repository removes the distro's file, and with it every other repository in that file.
fn refuse_half_overridden_files(list: &RepoList, defaults: &RepoList) -> Result<(), Error> {
    let group = |name: &str| defaults.get(name)?.text("file_group");
    let overridden: BTreeSet<&str> = list
        .iter()
        .filter(|repo| !repo.is_true("distro"))
        .filter(|repo| defaults.get(repo.name).is_some_and(|repo| repo.is_true("distro")))
        .map(|repo| repo.name)
        .collect();
    let files: BTreeSet<String> = overridden.iter().filter_map(|name| group(name)).collect();
    let left: BTreeSet<&str> = list
        .iter()
        .filter(|repo| repo.is_true("distro") && !overridden.contains(repo.name))
        .filter(|repo| repo.text("file_group").is_some_and(|group| files.contains(&group)))
        .map(|repo| repo.name)
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(invalid(format!(
        "repos.yaml overrides {} and so removes the .repo file they share with {}: override these as well",
        overridden.into_iter().collect::<Vec<_>>().join(", "),
        left.into_iter().collect::<Vec<_>>().join(", ")
    )))
}
