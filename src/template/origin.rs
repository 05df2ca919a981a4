//! Names that templates have in the environment, which tell where they come from.

use std::borrow::Cow;

use super::overrides::MergedOverride;

/// Prefix of the names of the tree's templates inside the environment.
const TREE: &str = "tree:";
/// Prefix of the override's name. Names are joined within it, so that an override can't import the tree's templates,
/// which Kolla does not allow either.
const OVERRIDE: &str = "override:";

/// The environment's name for a template of the tree.
pub fn tree_name(path: &str) -> String {
    format!("{TREE}{path}")
}

/// The environment's name for the merged override.
pub fn override_name(merged: &MergedOverride) -> String {
    format!("{OVERRIDE}{}", merged.name())
}

/// Source of a template.
pub enum TemplateOrigin<'a> {
    /// A file of the tree, by path.
    Tree(&'a str),
    /// Overrides, merged into one.
    Override,
}

/// The source of the template that the environment knows by a name.
pub fn origin(name: &str) -> TemplateOrigin<'_> {
    match name.strip_prefix(TREE) {
        Some(path) => TemplateOrigin::Tree(path),
        None => TemplateOrigin::Override,
    }
}

/// The name of a template that one of the environment's templates includes, imports or extends by `name`.
pub fn joined<'a>(name: &'a str, from: &str) -> Cow<'a, str> {
    match from.strip_prefix(OVERRIDE) {
        _ if name.starts_with(TREE) => Cow::Borrowed(name),
        Some(_) => Cow::Owned(format!("{OVERRIDE}{name}")),
        None => Cow::Owned(tree_name(name)),
    }
}
