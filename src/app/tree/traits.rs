//! What in a tree and its package tells which release they are of [I/O].

use std::path::Path;

use serde_yaml::{Mapping, Value};

use super::place::{beside, read};
use crate::config::kolla_package::Declared;
use crate::error::Fatal;
use crate::template::catalog::TEMPLATE_NAME;
use crate::template_api::{RepositoryStyle, TreeTraits};
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
    let (mut images, mut dated) = (0_usize, 0_usize);
    for entry in walkdir::WalkDir::new(tree).follow_links(true).into_iter().flatten() {
        if !entry.file_type().is_file() || entry.path().extension().is_none_or(|extension| extension != "j2")
        {
            continue;
        }
        let text = String::from_utf8_lossy(&input::read(entry.path()).unwrap_or_default()).into_owned();
        traits.install_type |= text.contains("install_type");
        traits.python_version |= text.contains("distro_python_version");
        traits.patches |= text.contains("patches_path");
        traits.cleanup_repos |= text.contains("cleanup_repos");
        if entry.file_name() == TEMPLATE_NAME {
            images += 1;
            dated += usize::from(text.contains("{{ build_date }}"));
        }
    }
    traits.build_date = dated * 2 > images;
    Ok(traits)
}

/// What a repos.yaml is made for: entries of deb distros that only say that the distro brings them came with merging.
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
