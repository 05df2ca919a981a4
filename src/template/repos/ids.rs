//! Repositories of Kolla 18 to 20: `<distro>-<arch>` or else the distro's section lists ids of rpm repositories, and
//! descriptions of deb ones. What is not listed is ignored. A user's file takes the place of the tree's.

use minijinja::Error;
use serde_yaml::{Mapping, Value as Yaml};

use super::entry::{APT_KEY_DIR, Repo, RepoFile, RepoList};
use super::target::{RepoTarget, invalid};

/// The commands that enable or disable repositories by their logical names; empty when nothing is to be done.
pub fn handle_repos(
    sections: &Mapping,
    target: &RepoTarget,
    names: &[String],
    mode: &str,
) -> Result<String, Error> {
    if !["enable", "disable"].contains(&mode) {
        return Err(invalid(format!("repositories can be enabled and disabled, but not '{mode}'")));
    }
    let section = section(sections, target)?;
    match (target.package_type.as_str(), mode) {
        ("rpm", _) => {
            let switch = |name| Some(format!(" --{mode} {}", section.0.get(name).and_then(scalar)?));
            let switches: String = names.iter().filter_map(switch).collect();
            Ok(match switches.as_str() {
                "" => switches,
                _ => format!("dnf config-manager {switches} || true"),
            })
        }
        ("deb", "enable") => {
            let listed = names.iter().filter_map(|name| section.get(name));
            Ok(listed.filter_map(write_deb).collect::<Vec<_>>().join(" && "))
        }
        _ => Ok(String::new()),
    }
}

fn section(sections: &Mapping, target: &RepoTarget) -> Result<RepoList, Error> {
    let [_, distro, with_arch] = target.sections();
    let found = [&with_arch, &distro].into_iter().find_map(|name| sections.get(name));
    let section = found.and_then(Yaml::as_mapping).cloned();
    section
        .map(RepoList)
        .ok_or_else(|| invalid(format!("repos.yaml has neither a section '{with_arch}' nor '{distro}'")))
}

fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// One that lacks something is as good as not listed.
fn write_deb(repo: Repo<'_>) -> Option<String> {
    let signed_by = format!("{APT_KEY_DIR}/{}", repo.text("gpg_key")?);
    let mut file = RepoFile::deb(repo, &repo.text("suite")?, &signed_by).ok()?;
    if let Some(arch) = repo.text("arch").filter(|_| repo.is_true("arch")) {
        file.set("Architectures", &arch);
    }
    Some(file.write())
}
