//! Repositories of Kolla 21 and 22: of sections that name the same one, the last counts; a user's file takes the place of
//! the tree's.

use minijinja::Error;
use serde_yaml::{Mapping, Value as Yaml};

use super::entry::{APT_KEY_DIR, Repo, RepoFile, RepoList, switch_rpm, unknown};
use super::target::RepoTarget;

/// The commands that enable or disable repositories by their logical names; empty when nothing is to be done.
pub fn handle_repos(
    sections: &Mapping,
    target: &RepoTarget,
    names: &[String],
    mode: &str,
) -> Result<String, Error> {
    let counted = target.sections();
    let list: Mapping = counted
        .iter()
        .filter_map(|name| sections.get(name).and_then(Yaml::as_mapping))
        .flatten()
        .map(|(name, repo)| (name.clone(), repo.clone()))
        .collect();
    let list = RepoList(list);
    let mut commands = String::new();
    for (index, name) in names.iter().enumerate() {
        let repo = list.get(name).ok_or_else(|| unknown(name, &list, target))?;
        match (target.package_type.as_str(), mode) {
            ("rpm", "enable") => commands.push_str(&enable_rpm(repo)?),
            ("deb", "enable") => commands.push_str(&write_deb(repo)?),
            ("rpm", "disable") if repo.is_true("distro") => commands.push_str(&switch_rpm(mode, repo)?),
            _ => {}
        }
        if mode == "enable" && index + 1 < names.len() {
            commands.push_str(" && ");
        }
    }
    Ok(commands)
}

fn enable_rpm(repo: Repo<'_>) -> Result<String, Error> {
    if !repo.is_true("distro") {
        let mut file = RepoFile::rpm(repo)?;
        file.set_keys(&repo.required("gpgkey")?);
        file.set_location(repo);
        return Ok(file.write());
    }
    // What a user's file says of places is added to the distro's own file as well.
    let mut file = RepoFile::empty_rpm(repo);
    file.set_location(repo);
    let mut commands = vec![switch_rpm("enable", repo)?];
    commands.extend(file.append());
    Ok(commands.join(" && "))
}

fn write_deb(repo: Repo<'_>) -> Result<String, Error> {
    let signed_by = format!("{APT_KEY_DIR}/{}", repo.required("gpg_key")?);
    let mut file = RepoFile::deb(repo, &repo.required("suite")?, &signed_by)?;
    if let Some(arch) = repo.text("arch") {
        file.set("Architectures", &arch);
    }
    Ok(file.write())
}
