//! Package repositories: `repos.yaml`, and the functions that enable and disable them.
//!
//! The file maps sections to repositories by logical name. What a section holds, and which sections count, differs from
//! release to release: see [`RepositoryStyle`].

mod entry;
mod ids;
mod merged;
mod replaced;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use serde_yaml::Mapping;

use crate::template_api::{RepositoryStyle, TemplateApi};
use crate::util::input;

/// The sections of the tree's `repos.yaml`, and of a user's.
#[derive(Debug, Clone, Default)]
pub struct Repositories {
    default: Mapping,
    user: Option<Mapping>,
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
    fn either(&self) -> &Mapping {
        self.user.as_ref().unwrap_or(&self.default)
    }
}

fn parse(style: RepositoryStyle, path: &Path, text: &str) -> Result<Mapping, RepositoriesError> {
    let invalid = |reason: String| RepositoriesError::Invalid { path: path.to_path_buf(), reason };
    let sections: Mapping = serde_yaml::from_str(text).map_err(|error| invalid(error.to_string()))?;
    for (section, repos) in &sections {
        let section = section.as_str().unwrap_or("?");
        let repos =
            repos.as_mapping().ok_or_else(|| invalid(format!("section '{section}' is not a mapping")))?;
        for (name, repo) in repos {
            if style != RepositoryStyle::Ids && !repo.is_mapping() {
                let name = name.as_str().unwrap_or("?");
                return Err(invalid(format!("repository '{name}' in section '{section}' is not a mapping")));
            }
        }
    }
    Ok(sections)
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

    /// Names of the sections that may be about it, the most general first.
    fn sections(&self) -> [String; 3] {
        [self.package_type.clone(), self.distro.clone(), format!("{}-{}", self.distro, self.arch)]
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Adds the functions that templates of a release have.
pub(super) fn register(env: &mut Environment<'_>, api: TemplateApi, repositories: Arc<Repositories>) {
    let style = api.repositories();
    let handle = match style {
        RepositoryStyle::None => return,
        RepositoryStyle::Ids => ids::handle_repos,
        RepositoryStyle::Replaced => replaced::handle_repos,
        RepositoryStyle::Merged => merged::handle_repos,
    };
    let for_handle = repositories.clone();
    env.add_function("handle_repos", move |state: &mut State, names: Value, mode: &str| {
        let commands = handle(&for_handle, &Target::of(state), &listed(&names)?, mode)?;
        Ok::<_, Error>(if commands.is_empty() { commands } else { format!("RUN {commands}") })
    });
    if style == RepositoryStyle::Merged {
        env.add_function("cleanup_repos", move |state: &mut State| -> Result<String, Error> {
            Ok(merged::cleanup_repos(&repositories, &Target::of(state)))
        });
    }
}

/// The logical names that a template asks for.
fn listed(names: &Value) -> Result<Vec<String>, Error> {
    let is_list = matches!(names.kind(), ValueKind::Seq | ValueKind::Iterable) && !names.is_tuple();
    if !is_list {
        return Err(invalid("First argument should be a list of repositories".to_string()));
    }
    Ok(names.try_iter()?.map(|name| name.to_string()).collect())
}
