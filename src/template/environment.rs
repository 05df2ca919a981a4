//! The Jinja2-compatible environment: MiniJinja with what Kolla's trees and overrides need beyond it.

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, escape_formatter};

use super::catalog::{TEMPLATE_NAME, TemplateCatalog};
use super::error::RefusedAt;
use super::origin::{TemplateOrigin, joined, origin, override_name};
use super::overrides::MergedOverride;
use super::prelex::Rewriting;
use super::repos::Repositories;
use super::syntax::Use;
use super::{filters, functions, limits, methods, prelex, repos, rewrites};
use crate::model::template_api::TemplateApi;

/// Instructions that one image's templates may take: the largest image of Kolla's tree needs a few thousand.
const FUEL: u64 = 5_000_000;
/// Nested calls of macros, blocks and includes.
const RECURSION_LIMIT: usize = 200;

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
    env.set_path_join_callback(joined);
    filters::register(&mut env);
    functions::register(&mut env, api);
    rewrites::register(&mut env);
    repos::register(&mut env, api, repositories);
    let names = env.clone();
    env.set_loader(move |name| {
        let (text, record) = match (origin(name), &merged) {
            (TemplateOrigin::Tree(path), _) => match load(&catalog, path)? {
                Some(text) => (Cow::Owned(text), path.ends_with(TEMPLATE_NAME)),
                None => return Ok(None),
            },
            (TemplateOrigin::Override, Some(merged)) if override_name(merged) == name => {
                (Cow::Borrowed(merged.source()), true)
            }
            (TemplateOrigin::Override, _) => return Ok(None),
        };
        let rewriting = Rewriting { record, knows: &|used| knows(&names, used) };
        prelex::rewrite(&text, rewriting).map(Some).map_err(|refused| {
            let place = RefusedAt { template: name.to_string(), line: refused.line };
            Error::new(ErrorKind::SyntaxError, refused.message).with_source(place)
        })
    });
    env
}

/// True for the name of a filter or test that there is: it complains of missing arguments.
fn knows(env: &Environment<'_>, used: &Use<'_>) -> bool {
    let mut state = env.empty_state();
    let (tried, unknown) = match used.is_test {
        true => (state.perform_test(used.name, &[]).err(), ErrorKind::UnknownTest),
        false => (state.apply_filter(used.name, &[]).err(), ErrorKind::UnknownFilter),
    };
    tried.is_none_or(|error| error.kind() != unknown)
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
    String::from_utf8(bytes.into_owned()).map(Some).map_err(|error| unreadable(error.to_string()))
}
