//! Repositories of Kolla 21 and 22: of sections that name the same one, the last counts; a user's file takes the place of
//! the tree's.

use minijinja::Error;
use serde_yaml::{Mapping, Value as Yaml};

use super::entry::{
    APT_KEY_DIR, Repo, RepoList, deb_lines, rpm_key_lines, rpm_lines, rpm_location_lines, unknown,
    write_deb_file, write_rpm_file,
};
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
            ("rpm", "disable") if repo.is_true("distro") => {
                commands
                    .push_str(&format!("dnf config-manager --disable {} || true", repo.required("name")?));
            }
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
        let mut lines = rpm_lines(repo)?;
        lines.extend(rpm_key_lines(&repo.required("gpgkey")?));
        lines.extend(rpm_location_lines(repo));
        return Ok(write_rpm_file(repo, &lines));
    }
    // What a user's file says of places is added to the distro's own file as well.
    let enable = format!("dnf config-manager --enable {} || true", repo.required("name")?);
    let add = |line| format!(" && echo '{line}' >>/etc/yum.repos.d/{}.repo", repo.name);
    Ok(enable + &rpm_location_lines(repo).into_iter().map(add).collect::<String>())
}

fn write_deb(repo: Repo<'_>) -> Result<String, Error> {
    let signed_by = format!("{APT_KEY_DIR}/{}", repo.required("gpg_key")?);
    let mut lines = deb_lines(repo, &repo.required("suite")?, &signed_by)?;
    if let Some(arch) = repo.text("arch") {
        lines.push(format!("Architectures: {arch}"));
    }
    Ok(write_deb_file(repo, &lines))
}
