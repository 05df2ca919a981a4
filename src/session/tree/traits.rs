//! Traits of a tree and its package that tell which release they are of [I/O].

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_yaml::{Mapping, Value};

use super::place::{beside, read};
use crate::config::kolla_package::Declared;
use crate::error::Fatal;
use crate::model::template_api::{RepositoryStyle, TreeTraits};
use crate::template::catalog::TEMPLATE_NAME;
use crate::util::input;

/// Looks for what tells releases apart in all templates of a tree, and in its package's options.
pub fn traits(tree: &Path, package: Option<&Path>, declared: &Declared) -> Result<TreeTraits, Fatal> {
    let mut traits = TreeTraits {
        install_type: declared.install_type,
        patches: declared.patches,
        default_tag: declared.default_tag,
        repositories: beside(tree, package, "template", "repos.yaml")
            .map(|path| Ok::<_, Fatal>(repository_style(&read(&path)?)))
            .transpose()?,
        ..TreeTraits::default()
    };
    let found = templates(tree).par_iter().map(|path| Words::of(path)).reduce(Words::default, Words::and);
    traits.install_type |= found.install_type;
    traits.patches |= found.patches;
    traits.python_version = found.python_version;
    traits.cleanup_repos = found.cleanup_repos;
    traits.build_date = found.dated * 2 > found.images;
    Ok(traits)
}

fn templates(tree: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(tree).follow_links(true).into_iter().flatten();
    let is_template = |entry: &walkdir::DirEntry| {
        entry.file_type().is_file() && entry.path().extension().is_some_and(|extension| extension == "j2")
    };
    entries.filter(is_template).map(walkdir::DirEntry::into_path).collect()
}

/// Words in templates that tell releases apart.
#[derive(Default)]
struct Words {
    install_type: bool,
    python_version: bool,
    patches: bool,
    cleanup_repos: bool,
    /// How many of the templates are of images.
    images: usize,
    /// How many of those print the day.
    dated: usize,
}

impl Words {
    fn of(template: &Path) -> Words {
        let bytes = input::read(template).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let is_image = template.file_name().is_some_and(|name| name == TEMPLATE_NAME);
        Words {
            install_type: text.contains("install_type"),
            python_version: text.contains("distro_python_version"),
            patches: text.contains("patches_path"),
            cleanup_repos: text.contains("cleanup_repos"),
            images: usize::from(is_image),
            dated: usize::from(is_image && text.contains("{{ build_date }}")),
        }
    }

    fn and(self, other: Words) -> Words {
        Words {
            install_type: self.install_type | other.install_type,
            python_version: self.python_version | other.python_version,
            patches: self.patches | other.patches,
            cleanup_repos: self.cleanup_repos | other.cleanup_repos,
            images: self.images + other.images,
            dated: self.dated + other.dated,
        }
    }
}

/// Way of rendering that a repos.yaml is made for: entries of deb distros that only say that the distro brings them came with merging.
fn repository_style(text: &str) -> RepositoryStyle {
    let sections: Mapping = serde_yaml::from_str(text).unwrap_or_default();
    let repositories = || sections.values().filter_map(Value::as_mapping).flat_map(Mapping::values);
    let is_merged = |repository: &Value| {
        let has = |key: &str| repository.get(key).is_some();
        (has("distro") && !has("name")) || has("build_only") || has("file_group")
    };
    if repositories().any(is_merged) {
        RepositoryStyle::Merged
    } else if repositories().any(Value::is_string) {
        RepositoryStyle::Ids
    } else {
        RepositoryStyle::Replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_tell_what_they_are_made_for() {
        for (text, style) in [
            ("rocky:\n  crb: crb\n  epel: 7\n", RepositoryStyle::Ids),
            ("centos:\nrocky:\n  crb: crb\n", RepositoryStyle::Ids),
            (
                "deb:\n  grafana: {url: u}\nrocky:\n  crb: {name: crb, distro: true}\n",
                RepositoryStyle::Replaced,
            ),
            ("debian:\n  debian: {distro: True}\n", RepositoryStyle::Merged),
            ("rpm:\n  a: {name: a, file_group: g}\n", RepositoryStyle::Merged),
        ] {
            assert_eq!(repository_style(text), style, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_for_something(text in "([a-c]:|  [a-c]:|[{},]|- |distro|true| x|\n){0,20}") {
            repository_style(&text);
        }
    }
}
