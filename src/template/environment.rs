//! The Jinja2-compatible environment: MiniJinja with what Kolla's trees and overrides need beyond it.

use std::sync::Arc;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, escape_formatter};

use super::catalog::TemplateCatalog;
use super::overrides::MergedOverride;
use super::repos::Repositories;
use super::{filters, functions, limits, methods, prelex, repos};
use crate::template_api::TemplateApi;

/// Prefix of the names of the tree's templates inside the environment.
const TREE: &str = "tree:";
/// Prefix of the override's name. Names are joined within it, so that an override can't import the tree's templates,
/// which Kolla does not allow either.
const OVERRIDE: &str = "override:";

/// Instructions that one image's templates may take: the largest image of Kolla's tree needs a few thousand.
const FUEL: u64 = 5_000_000;
/// Nested calls of macros, blocks and includes.
const RECURSION_LIMIT: usize = 200;

/// The environment's name for a template of the tree.
pub fn tree_name(path: &str) -> String {
    format!("{TREE}{path}")
}

/// The environment's name for the merged override.
pub fn override_name(merged: &MergedOverride) -> String {
    format!("{OVERRIDE}{}", merged.name())
}

/// What a template is called by the environment, taken apart.
pub enum TemplateOrigin<'a> {
    /// A file of the tree, by path.
    Tree(&'a str),
    /// The merged override.
    Override,
}

/// Tells where a template came from by the environment's name for it.
pub fn origin(name: &str) -> TemplateOrigin<'_> {
    match name.strip_prefix(TREE) {
        Some(path) => TemplateOrigin::Tree(path),
        None => TemplateOrigin::Override,
    }
}

/// Makes the environment for one platform of a run.
pub fn environment(
    catalog: Arc<TemplateCatalog>,
    merged: Option<Arc<MergedOverride>>,
    repositories: Arc<Repositories>,
    api: TemplateApi,
) -> Environment<'static> {
    let mut env = Environment::new();
    // Says which name an error is about; otherwise only debug builds would.
    env.set_debug(true);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION_LIMIT);
    env.set_formatter(|out, state, value| {
        limits::count(state, value)?;
        escape_formatter(out, state, value)
    });
    env.set_unknown_method_callback(methods::call);
    env.set_path_join_callback(|name, parent| match parent.strip_prefix(OVERRIDE) {
        _ if name.starts_with(TREE) => name.into(),
        Some(_) => format!("{OVERRIDE}{name}").into(),
        None => format!("{TREE}{name}").into(),
    });
    env.set_loader(move |name| match (origin(name), &merged) {
        (TemplateOrigin::Tree(path), _) => load(&catalog, path),
        (TemplateOrigin::Override, Some(merged)) if override_name(merged) == name => {
            limits::check_tags(merged.source())?;
            Ok(Some(prelex::rewrite(merged.source(), true)))
        }
        (TemplateOrigin::Override, _) => Ok(None),
    });
    filters::register(&mut env);
    functions::register(&mut env, api);
    repos::register(&mut env, api, repositories);
    env
}

fn load(catalog: &TemplateCatalog, path: &str) -> Result<Option<String>, Error> {
    let Some(file) = catalog.get(path) else { return Ok(None) };
    let unreadable = |reason: String| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("cannot read {}: {reason}", catalog.display_path(path)),
        )
    };
    let bytes = file.read().map_err(|error| unreadable(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| unreadable(error.to_string()))?;
    limits::check_tags(text)?;
    let record = path.ends_with(super::catalog::TEMPLATE_NAME);
    Ok(Some(prelex::rewrite(text, record)))
}
