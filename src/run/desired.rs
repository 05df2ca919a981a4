//! Containers of a stack as they are to be, with what only this machine knows: variables, files, digests of what they mount
//! [I/O].

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use walkdir::WalkDir;

use super::labels::{self, StackOwner};
use super::spec::Settings;
use super::stack::{StackContainer, StackFile};
use crate::engine::container::{ContainerSpec, Labels, MountedVolume, VolumeSource};
use crate::model::ids::Digest;
use crate::util::input;

/// Place in a container from which kolla_set_configs takes files.
const CONFIG_FILES: &str = "/var/lib/kolla/config_files";

/// So many digits of a digest tell files apart.
const DIGITS: usize = 16;

/// Files below one directory that are looked at; more are no configuration.
const MOST_FILES: usize = 10_000;

/// This machine, and what the stack has put there.
#[derive(Debug, Clone, Copy)]
pub struct HostView<'a> {
    /// Who the containers belong to.
    pub owner: &'a StackOwner,
    /// Variables of the environment.
    pub variables: &'a BTreeMap<String, String>,
    /// Files of the stack, written or not.
    pub files: &'a [StackFile],
    /// True when the engine mounts directories of this machine.
    pub is_local: bool,
}

/// A file with variables that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("container {container}: env_file: {path}: {source}")]
pub struct EnvFileError {
    container: String,
    path: String,
    source: io::Error,
}

impl HostView<'_> {
    /// The specification that a container is to be made from.
    pub fn spec(&self, container: &StackContainer) -> Result<ContainerSpec, EnvFileError> {
        let settings = &container.settings;
        let environment = environment(&container.name, settings, self.variables)?;
        Ok(ContainerSpec { environment, labels: self.labels(container), ..settings.spec.clone() })
    }

    fn labels(&self, container: &StackContainer) -> Labels {
        let mut labels = self.owner.labels();
        labels.insert(labels::CONTAINER_NAME.to_string(), container.name.clone());
        labels.insert(labels::CONFIG_DATA.to_string(), container.config_data.clone());
        let digests = self.digests(&container.settings.spec.volumes);
        if !digests.is_empty() {
            let json = serde_json::to_string(&digests).unwrap_or_default();
            labels.insert(labels::CONFIG_HASHES.to_string(), json);
        }
        labels
    }

    /// Digests of the files that a container mounts: those of the stack, and whatever kolla_set_configs would take.
    fn digests(&self, volumes: &[MountedVolume]) -> BTreeMap<String, String> {
        let mut digests = BTreeMap::new();
        let digest = |content: &[u8]| {
            Digest::of(content).as_str().trim_start_matches("sha256:").chars().take(DIGITS).collect()
        };
        for volume in volumes {
            let VolumeSource::Path(source) = &volume.source else { continue };
            if self.is_local && Path::new(&volume.target).starts_with(CONFIG_FILES) {
                let entries = WalkDir::new(source).follow_links(true).into_iter().flatten().take(MOST_FILES);
                for entry in entries.filter(|entry| entry.file_type().is_file()) {
                    // What this user can't read is left to kolla_set_configs --check.
                    if let Ok(content) = input::read(entry.path()) {
                        digests.insert(entry.path().display().to_string(), digest(&content));
                    }
                }
            }
            let mounted = self.files.iter().filter(|file| Path::new(&file.path).starts_with(source));
            digests.extend(mounted.map(|file| (file.path.clone(), digest(file.content.as_bytes()))));
        }
        // Of an earlier state of the stack, and about to go.
        let is_left = |path: &String| self.files.iter().all(|file| file.path != *path) && self.is_ours(path);
        digests.retain(|path, _| !is_left(path));
        digests
    }

    /// True for a path in the stack's own directory.
    fn is_ours(&self, path: &str) -> bool {
        let own = format!("/{}/files/", self.owner.config_id);
        path.contains(&own)
    }

    /// Directories and files of the host that a container mounts and that are not there.
    pub fn missing<'s>(&self, spec: &'s ContainerSpec) -> Vec<&'s str> {
        let sources = spec.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::Path(source) => Some(source.as_str()),
            _ => None,
        });
        sources.filter(|source| self.is_local && !Path::new(source).exists()).collect()
    }
}

/// Variables of a container: those of its files, those that are passed on from here, and its own.
///
/// # Errors
/// A file can't be read.
pub fn environment(
    container: &str,
    settings: &Settings,
    here: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, EnvFileError> {
    let mut environment = BTreeMap::new();
    for path in &settings.env_files {
        let text = input::read_to_string(Path::new(path)).map_err(|source| EnvFileError {
            container: container.to_string(),
            path: path.clone(),
            source,
        })?;
        environment.extend(variables_in(&text, here));
    }
    let passed = settings.passed_variables.iter();
    environment.extend(passed.filter_map(|name| Some((name.clone(), here.get(name)?.clone()))));
    environment.extend(settings.spec.environment.clone());
    Ok(environment)
}

/// Variables of a file: `NAME=VALUE` in lines, `NAME` for one that is passed on, `#` before comments.
fn variables_in(text: &str, here: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let variable = |line: &str| match line.split_once('=') {
        Some((name, value)) => Some((name.to_string(), value.to_string())),
        None => Some((line.trim_end().to_string(), here.get(line.trim_end())?.clone())),
    };
    lines.filter_map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::testing::stack;

    #[test]
    fn a_container_knows_its_stack_its_variables_and_its_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let env_file = dir.path().join("env");
        std::fs::write(&env_file, "# comment\nA=file\nB=file\nHOME\nNOWHERE\n").expect("a file");
        let kolla = dir.path().join("kolla");
        std::fs::create_dir(&kolla).expect("a directory");
        std::fs::write(kolla.join("x.conf"), "1").expect("a file");
        let text = format!(
            "docker_config: {{c: {{image: x, env_file: {}, environment: {{A: own, HOME: null}}, volumes: ['{}/:{CONFIG_FILES}/:ro', '${{files}}/c:/c', '/nowhere/x:/x']}}}}\nfiles: {{c/f: x, d/f: x}}",
            env_file.display(),
            kolla.display()
        );
        let stack = stack(&text);
        let owner = StackOwner { managed_by: "m".to_string(), config_id: "s".to_string() };
        let variables = BTreeMap::from([("HOME".to_string(), "/root".to_string())]);
        let view = HostView { owner: &owner, variables: &variables, files: &stack.files, is_local: true };
        let spec = view.spec(&stack.containers[0]).expect("a spec");
        let environment: Vec<_> =
            spec.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(environment, [("A", "own"), ("B", "file"), ("HOME", "/root")]);
        let digests: BTreeMap<String, String> =
            serde_json::from_str(&spec.labels[labels::CONFIG_HASHES]).expect("JSON");
        let expected = [kolla.join("x.conf").display().to_string(), "/state/files/c/f".to_string()];
        assert_eq!(digests.keys().cloned().collect::<std::collections::BTreeSet<_>>(), expected.into());
        assert_eq!(spec.labels[labels::CONTAINER_NAME], "c");
        assert_eq!(view.missing(&spec), ["/state/files/c", "/nowhere/x"]);
        let elsewhere = HostView { is_local: false, ..view };
        assert!(elsewhere.missing(&spec).is_empty());
        std::fs::write(kolla.join("x.conf"), "2").expect("a file");
        let changed = view.spec(&stack.containers[0]).expect("a spec");
        assert_ne!(changed.labels[labels::CONFIG_HASHES], spec.labels[labels::CONFIG_HASHES]);
    }
}
