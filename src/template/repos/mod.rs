//! Package repositories: `repos.yaml`, and the functions that enable and disable them.
//!
//! The file maps sections to repositories by logical name. What a section holds, and which sections count, differs from
//! release to release: see [`RepositoryStyle`].

mod entry;
mod ids;
mod merged;
mod replaced;
mod sections;
mod target;

use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, State};

use self::merged::MergedRepositories;
pub use self::sections::{Repositories, RepositoriesError};
use self::target::{RepoTarget, invalid};
use crate::model::template_api::{RepositoryStyle, TemplateApi};

/// Adds the functions that templates of a release have.
pub(super) fn register(env: &mut Environment<'_>, api: TemplateApi, repositories: Arc<Repositories>) {
    match api.repositories() {
        RepositoryStyle::None => {}
        RepositoryStyle::Ids => add_handle(env, move |target, names, mode| {
            ids::handle_repos(repositories.either(), target, names, mode)
        }),
        RepositoryStyle::Replaced => add_handle(env, move |target, names, mode| {
            replaced::handle_repos(repositories.either(), target, names, mode)
        }),
        RepositoryStyle::Merged => {
            let merged = Arc::new(MergedRepositories::new(repositories));
            let for_cleanup = merged.clone();
            add_handle(env, move |target, names, mode| merged.handle_repos(target, names, mode));
            env.add_function("cleanup_repos", move |state: &mut State| -> Result<String, Error> {
                Ok(for_cleanup.cleanup_repos(&RepoTarget::of(state)))
            });
        }
    }
}

/// Adds `handle_repos`, which makes a RUN instruction of the commands that `commands` gives for names and a mode.
fn add_handle(
    env: &mut Environment<'_>,
    commands: impl Fn(&RepoTarget, &[String], &str) -> Result<String, Error> + Send + Sync + 'static,
) {
    env.add_function("handle_repos", move |state: &mut State, names: Value, mode: &str| {
        let commands = commands(&RepoTarget::of(state), &listed(&names)?, mode)?;
        Ok::<_, Error>(if commands.is_empty() { commands } else { format!("RUN {commands}") })
    });
}

/// The logical names that a template asks for.
fn listed(names: &Value) -> Result<Vec<String>, Error> {
    let is_list = matches!(names.kind(), ValueKind::Seq | ValueKind::Iterable) && !names.is_tuple();
    if !is_list {
        return Err(invalid("First argument should be a list of repositories".to_string()));
    }
    Ok(names.try_iter()?.map(|name| name.to_string()).collect())
}
