//! Repositories put together from sections: package type (`rpm`, `deb`), distro, `<distro>-<arch>`, a missing one being
//! empty. A user's file replaces whole entries within a section.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Error;
use serde_yaml::{Mapping, Value as Yaml};

use super::entry::{APT_KEY_DIR, Repo, RepoFile, RepoList, switch_rpm, unknown};
use super::sections::Repositories;
use super::target::{RepoTarget, invalid};

/// Where repository files that are only replaced while an image builds are kept meanwhile.
const BACKUP_DIR: &str = "/tmp/kolla-repos-backup";
/// Keys by which a repository says where it is; one that has any is not the distro's own.
const LOCATIONS: [&str; 4] = ["baseurl", "metalink", "mirrorlist", "url"];

/// The repositories of one target: those that count with a user's file, and those that would without.
#[derive(Debug)]
struct RepoLists {
    merged: RepoList,
    default: RepoList,
}

/// Repositories, with the lists that were put together last and of which sections: all images of a platform ask for the
/// same ones.
#[derive(Debug)]
pub struct MergedRepositories {
    repositories: Arc<Repositories>,
    last: Mutex<Option<([String; 3], Arc<RepoLists>)>>,
}

impl RepoLists {
    fn new(repositories: &Repositories, names: &[String; 3]) -> RepoLists {
        let mut merged = repositories.default.clone();
        for (section, repos) in repositories.user.iter().flatten() {
            match merged.get_mut(section).and_then(Yaml::as_mapping_mut) {
                Some(existing) => existing.extend(repos.as_mapping().cloned().unwrap_or_default()),
                None => {
                    merged.insert(section.clone(), repos.clone());
                }
            }
        }
        RepoLists { merged: flatten(&merged, names), default: flatten(&repositories.default, names) }
    }

    /// The `.repo` file that the distro keeps a repository in.
    fn rpm_file(&self, repo: Repo<'_>) -> String {
        repo.text("file_group")
            .or_else(|| self.default.get(repo.name)?.text("file_group"))
            .unwrap_or_else(|| format!("{}.repo", repo.name))
    }
}

/// One list of all sections that count.
fn flatten(sections: &Mapping, names: &[String; 3]) -> RepoList {
    let mut list = Mapping::new();
    for (name, repo) in names.iter().filter_map(|name| sections.get(name)?.as_mapping()).flatten() {
        let repo = match (list.get(name).and_then(Yaml::as_mapping), repo.as_mapping()) {
            (Some(earlier), Some(later)) => {
                let mut both = earlier.clone();
                both.extend(later.clone());
                if LOCATIONS.iter().any(|key| both.contains_key(key)) {
                    both.shift_remove("distro");
                }
                Yaml::Mapping(both)
            }
            _ => repo.clone(),
        };
        list.insert(name.clone(), repo);
    }
    RepoList(list)
}

impl MergedRepositories {
    /// Repositories of which no lists were put together yet.
    pub fn new(repositories: Arc<Repositories>) -> MergedRepositories {
        MergedRepositories { repositories, last: Mutex::default() }
    }

    /// The lists of the sections that count for a target.
    fn lists_for(&self, target: &RepoTarget) -> Arc<RepoLists> {
        let sections = target.sections();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, lists)) if *of == sections => lists.clone(),
            _ => {
                let lists = Arc::new(RepoLists::new(&self.repositories, &sections));
                *last = Some((sections, lists.clone()));
                lists
            }
        }
    }

    /// The commands that enable or disable repositories by their logical names; empty when nothing is to be done.
    pub fn handle_repos(&self, target: &RepoTarget, names: &[String], mode: &str) -> Result<String, Error> {
        let lists = self.lists_for(target);
        if target.package_type == "rpm" && self.repositories.user.is_some() {
            refuse_half_overridden_files(&lists.merged, &lists.default)?;
        }
        let mut commands = String::new();
        let mut backed_up = BTreeSet::new();
        for (index, name) in names.iter().enumerate() {
            let repo = lists.merged.get(name).ok_or_else(|| unknown(name, &lists.merged, target))?;
            let last = index + 1 == names.len();
            match (target.package_type.as_str(), mode) {
                ("rpm", "enable") => {
                    if repo.is_true("distro") {
                        commands.push_str(&switch_rpm(mode, repo)?);
                    } else {
                        if repo.is_true("build_only") {
                            let file = lists.rpm_file(repo);
                            if backed_up.insert(file.clone()) {
                                commands.push_str(&backup("/etc/yum.repos.d", &file, &file));
                            }
                        }
                        commands.push_str(&write_rpm_repo(repo)?);
                    }
                    if !last {
                        commands.push_str(" && ");
                    }
                }
                ("rpm", "disable") if repo.is_true("distro") => commands.push_str(&switch_rpm(mode, repo)?),
                ("deb", "enable") if !repo.is_true("distro") => {
                    if repo.is_true("build_only") && backed_up.insert(name.clone()) {
                        commands.push_str(&backup(
                            "/etc/apt/sources.list.d",
                            &format!("{name}.sources"),
                            name,
                        ));
                    }
                    commands.push_str(&write_deb_repo(repo, &target.codename)?);
                    if !last {
                        commands.push_str(" && ");
                    }
                }
                _ => {}
            }
        }
        Ok(commands)
    }

    /// The RUN instruction that puts back what `build_only` repositories replaced; empty when there are none.
    pub fn cleanup_repos(&self, target: &RepoTarget) -> String {
        let lists = self.lists_for(target);
        let mut commands = Vec::new();
        let mut restored = BTreeSet::new();
        for repo in lists.merged.iter().filter(|repo| repo.is_true("build_only") && !repo.is_true("distro")) {
            match target.package_type.as_str() {
                "rpm" => {
                    let own = format!("{}.repo", repo.name);
                    let file = lists.rpm_file(repo);
                    if file != own {
                        // Enabling writes the repository's own file, wherever the distro keeps it.
                        commands.push(format!("rm -f /etc/yum.repos.d/{own}"));
                        if !restored.insert(file.clone()) {
                            continue;
                        }
                    }
                    commands.push(restore("/etc/yum.repos.d", &file, &file));
                }
                "deb" => commands.push(restore(
                    "/etc/apt/sources.list.d",
                    &format!("{}.sources", repo.name),
                    repo.name,
                )),
                _ => {}
            }
        }
        if commands.is_empty() {
            return String::new();
        }
        commands.push(format!("rm -rf {BACKUP_DIR}"));
        format!("RUN {}", commands.join(" \\\n    && "))
    }
}

fn backup(dir: &str, file: &str, mark: &str) -> String {
    format!(
        "mkdir -p {BACKUP_DIR} && cp {dir}/{file} {BACKUP_DIR}/{file} 2>/dev/null || true \
         && touch {BACKUP_DIR}/{mark}.enabled && "
    )
}

fn restore(dir: &str, file: &str, mark: &str) -> String {
    format!(
        "[ -f {BACKUP_DIR}/{mark}.enabled ] && ( mv {BACKUP_DIR}/{file} {dir}/{file} 2>/dev/null \
         || rm -f {dir}/{file} ) || true"
    )
}

fn write_rpm_repo(repo: Repo<'_>) -> Result<String, Error> {
    let lacks = |what: &str| invalid(format!("Repository '{}' has no {what}", repo.name));
    let mut file = RepoFile::rpm(repo)?;
    let keys = repo.text("gpgkey");
    file.set_keys(keys.as_deref().unwrap_or_default());
    if !file.set_location(repo) {
        return Err(lacks("baseurl, metalink, or mirrorlist"));
    }
    keys.ok_or_else(|| lacks("gpgkey"))?;
    Ok(format!(
        "grep -rlF '[{}]' /etc/yum.repos.d/ 2>/dev/null | xargs -r rm -f && {}",
        repo.required("name")?,
        file.write()
    ))
}

fn write_deb_repo(repo: Repo<'_>, codename: &str) -> Result<String, Error> {
    let key = repo.required("gpg_key")?;
    let signed_by = if key.starts_with('/') { key } else { format!("{APT_KEY_DIR}/{key}") };
    let suite = repo.required("suite")?.replace("{openstack_release_codename}", &codename.to_lowercase());
    let mut file = RepoFile::deb(repo, &suite, &signed_by)?;
    if repo.is_true("trusted") {
        file.set("Trusted", "yes");
    }
    if let Some(arch) = repo.text("arch") {
        file.set("Architectures", &arch);
    }
    Ok(file.write())
}

/// Overriding a repository removes the distro's file, and with it every other repository in that file.
fn refuse_half_overridden_files(list: &RepoList, defaults: &RepoList) -> Result<(), Error> {
    let group = |name: &str| defaults.get(name)?.text("file_group");
    let overridden: BTreeSet<&str> = list
        .iter()
        .filter(|repo| !repo.is_true("distro"))
        .filter(|repo| defaults.get(repo.name).is_some_and(|repo| repo.is_true("distro")))
        .map(|repo| repo.name)
        .collect();
    let files: BTreeSet<String> = overridden.iter().filter_map(|name| group(name)).collect();
    let left: BTreeSet<&str> = list
        .iter()
        .filter(|repo| repo.is_true("distro") && !overridden.contains(repo.name))
        .filter(|repo| repo.text("file_group").is_some_and(|group| files.contains(&group)))
        .map(|repo| repo.name)
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(invalid(format!(
        "repos.yaml overrides {} and so removes the .repo file they share with {}: override these as well",
        overridden.into_iter().collect::<Vec<_>>().join(", "),
        left.into_iter().collect::<Vec<_>>().join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::template_api::TemplateApi;

    #[test]
    fn every_target_gets_its_own_sections_in_whatever_order_they_ask() {
        let text =
            "rpm:\n  a: {name: common, distro: true}\nrocky-aarch64:\n  a: {name: arm, distro: true}\n";
        let api = TemplateApi::LATEST;
        let repositories = Repositories::load(api, (Path::new("repos.yaml"), text), None).expect("sections");
        let repositories = MergedRepositories::new(Arc::new(repositories));
        let enabled = |arch: &str| {
            let target = RepoTarget {
                package_type: "rpm".to_string(),
                distro: "rocky".to_string(),
                arch: arch.to_string(),
                codename: String::new(),
                image: String::new(),
            };
            repositories.handle_repos(&target, &["a".to_string()], "enable").expect("known")
        };
        for (arch, name) in
            [("x86_64", "common"), ("x86_64", "common"), ("aarch64", "arm"), ("x86_64", "common")]
        {
            assert_eq!(enabled(arch), format!("dnf config-manager --enable {name} || true"));
        }
    }
}
