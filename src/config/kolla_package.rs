//! Facts of a Kolla release, read from its Python package [pure].
//!
//! The names are those of `kolla/common/{config,sources,users}.py` and `kolla/image/{unbuildable,build}.py`, the same
//! from release 9 to 23.

use std::collections::BTreeMap;
use std::path::Path;

use super::keys::DEFAULT;
use super::keys::{PROFILES, UNBUILDABLE, distro_section};
use super::keys::{SOURCE_KEYS, USER_KEYS};
use super::layer::{Entry, SetAt};
use super::options::{OPTIONS, OptionOrigin, ValueKind};
use super::python::{self, Constant};
use crate::model::template_api::DefaultTag;

/// Modules of the package that hold facts, relative to it.
pub const MODULES: [&str; 5] =
    ["common/config.py", "common/sources.py", "common/users.py", "image/unbuildable.py", "image/build.py"];

/// Directories of the package that a run reads.
pub const PACKAGE_PARTS: [&str; 2] = ["common", "template"];

/// The module that declares options.
pub const CONFIG_MODULE: &str = "common/config.py";

/// The lists of options that it has.
const OPTION_LISTS: [&str; 2] = ["_CLI_OPTS", "_BASE_OPTS"];

/// Options whose default the package works out in ways that are ours too.
const WORKED_OUT: [&str; 4] = ["base_arch", "base_tag", "debian_arch", "tag"];

/// Every fact that the constants of one module tell.
pub fn facts(constants: &BTreeMap<String, Constant>, module: &Path) -> Vec<Entry> {
    let mut facts = Facts { module, entries: Vec::new() };
    for (name, value) in constants {
        match name.as_str() {
            "USERS" => facts.sections(value, USER_KEYS),
            "SOURCES" => facts.sections(value, SOURCE_KEYS),
            "UNBUILDABLE_IMAGES" => {
                for (tag, images) in value.entries() {
                    facts.add(UNBUILDABLE, tag, text(images));
                }
            }
            "DEFAULT_BASE_TAGS" => facts.distros(value),
            "DISTRO_PRETTY_NAME" | "DISTRO_RELEASE" => {
                for (distro, name) in value.entries() {
                    facts.add(&distro_section(distro), "pretty_name", text(name));
                }
            }
            "_PROFILE_OPTS" => {
                for (profile, default) in with_defaults(value) {
                    facts.add(PROFILES, &profile, text(default));
                }
            }
            list if OPTION_LISTS.contains(&list) => {
                for (option, default) in with_defaults(value) {
                    facts.default(&option, default);
                }
            }
            _ => {}
        }
    }
    facts.entries
}

/// Facts that a package's options tell of its release.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// OpenStack can come from several places.
    pub install_type: bool,
    /// Images can have patches.
    pub patches: bool,
    /// Default tag of images.
    pub default_tag: Option<DefaultTag>,
}

impl Declared {
    /// Reads the constants of [`CONFIG_MODULE`].
    pub fn of(constants: &BTreeMap<String, Constant>) -> Declared {
        let mut declared = Declared::default();
        let lists = OPTION_LISTS.iter().filter_map(|list| constants.get(*list));
        for (name, default) in lists.flat_map(declarations) {
            match (name.as_str(), default) {
                ("install_type", _) => declared.install_type = true,
                ("patches_path", _) => declared.patches = true,
                ("tag", Some(_)) => declared.default_tag = Some(DefaultTag::Version),
                // One that is worked out once the release and the base image are known.
                ("tag", None) => declared.default_tag = Some(DefaultTag::Release),
                _ => {}
            }
        }
        declared
    }
}

/// Prefix of an OpenStack release in the name of its branch, from the text of [`CONFIG_MODULE`].
pub fn branch_prefix(config: &str) -> Option<String> {
    python::last_text(config, "prefix")
}

/// A fact that is written elsewhere than in a module.
pub fn fact(section: &str, key: &str, text: &str, path: &Path) -> Entry {
    let place = SetAt::Tree(path.to_path_buf());
    Entry { section: section.to_string(), key: key.to_string(), text: text.to_string(), place }
}

struct Facts<'a> {
    module: &'a Path,
    entries: Vec<Entry>,
}

impl Facts<'_> {
    fn add(&mut self, section: &str, key: &str, text: Option<String>) {
        self.entries.extend(text.map(|text| fact(section, key, &text, self.module)));
    }

    fn sections(&mut self, sections: &Constant, keys: &[&str]) {
        for (section, values) in sections.entries() {
            for (key, value) in values.entries().filter(|(key, _)| keys.contains(key)) {
                self.add(section, key, text(value));
            }
        }
    }

    /// Release 9 gives only tags; the image is then called as the distro.
    fn distros(&mut self, tags: &Constant) {
        for (distro, base) in tags.entries() {
            let section = distro_section(distro);
            let (image, tag) = match base {
                Constant::Dict(_) => (base.get("name").and_then(text), base.get("tag").and_then(text)),
                tag => (Some(distro.to_string()), text(tag)),
            };
            self.add(&section, "base_image", image);
            self.add(&section, "base_tag", tag);
            let (packages, manager) =
                if ["debian", "ubuntu"].contains(&distro) { ("deb", "apt") } else { ("rpm", "dnf") };
            self.add(&section, "package_type", Some(packages.to_string()));
            self.add(&section, "package_manager", Some(manager.to_string()));
        }
    }

    fn default(&mut self, name: &str, default: &Constant) {
        let Some(option) = OPTIONS.find(name) else { return };
        if option.origin == OptionOrigin::Ours || option.kind == ValueKind::Many || WORKED_OUT.contains(&name)
        {
            return;
        }
        match default {
            // It has none, where ours may have one.
            Constant::None if option.kind == ValueKind::Text => self.add(DEFAULT, name, Some(String::new())),
            value => self.add(DEFAULT, name, text(value)),
        }
    }
}

/// Names of options in a list of `cfg.StrOpt('name', default=...)`, with the defaults of those that have one.
fn declarations(list: &Constant) -> impl Iterator<Item = (String, Option<&Constant>)> {
    list.items().iter().filter_map(|item| {
        let Constant::Call(arguments, named) = item else { return None };
        let argument = |key: &str| named.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let name = argument("dest").or(arguments.first())?.text()?;
        Some((name.replace('-', "_"), argument("default")))
    })
}

/// The options among these that have a default.
fn with_defaults(list: &Constant) -> impl Iterator<Item = (String, &Constant)> {
    declarations(list).filter_map(|(name, default)| Some((name, default?)))
}

/// A value as a configuration file would write it; none of what is no literal.
fn text(value: &Constant) -> Option<String> {
    match value {
        Constant::Text(text) => Some(text.clone()),
        Constant::Bool(flag) => Some(flag.to_string()),
        Constant::Integer(number) => Some(number.to_string()),
        Constant::List(items) => Some(items.iter().map(text).collect::<Option<Vec<_>>>()?.join(",")),
        Constant::Dict(_) => {
            let pairs = value.entries().map(|(key, value)| Some(format!("{key}:{}", text(value)?)));
            Some(pairs.collect::<Option<Vec<_>>>()?.join(","))
        }
        Constant::None | Constant::Call(..) | Constant::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::python::constants;

    #[test]
    fn facts_of_every_kind() {
        let module = "
USERS = {'nova-user': {'uid': 1, 'gid': 2, 'other': 3}}
SOURCES = {'etcd': {'type': 'url', 'sha256': {'amd64': 'a', 'arm64': 'b'}, 'enabled': False}}
UNBUILDABLE_IMAGES = {'rocky+aarch64': {'a', 'b'}}
DEFAULT_BASE_TAGS = {'centos': '7', 'debian': {'name': 'd/debian', 'tag': 't'}}
DISTRO_RELEASE = {'centos': '7'}
_PROFILE_OPTS = [cfg.ListOpt('infra', default=['a', 'b'], help='')]
_CLI_OPTS = [
    cfg.StrOpt('type', short='t', default='binary', dest='install_type'),
    cfg.StrOpt('network_mode', default=None),
    cfg.StrOpt('tag', default='1'),
    cfg.StrOpt('not-ours', default='1'),
    cfg.IntOpt('push-threads', default=1),
    cfg.StrOpt('maintainer', default=get()),
]
";
        let facts = facts(&constants(module), Path::new("m.py"));
        assert!(facts.iter().all(|entry| entry.place == SetAt::Tree("m.py".into())));
        let mut facts: Vec<String> = facts
            .into_iter()
            .map(|entry| format!("{}.{}={}", entry.section, entry.key, entry.text))
            .collect();
        facts.sort();
        assert_eq!(
            facts,
            [
                "DEFAULT.install_type=binary",
                "DEFAULT.network_mode=",
                "DEFAULT.push_threads=1",
                "distros.centos.base_image=centos",
                "distros.centos.base_tag=7",
                "distros.centos.package_manager=dnf",
                "distros.centos.package_type=rpm",
                "distros.centos.pretty_name=7",
                "distros.debian.base_image=d/debian",
                "distros.debian.base_tag=t",
                "distros.debian.package_manager=apt",
                "distros.debian.package_type=deb",
                "etcd.enabled=false",
                "etcd.sha256=amd64:a,arm64:b",
                "etcd.type=url",
                "nova-user.gid=2",
                "nova-user.uid=1",
                "profiles.infra=a,b",
                "unbuildable.rocky+aarch64=a,b",
            ]
        );
    }

    #[test]
    fn options_tell_the_release() {
        let declared = |module: &str| Declared::of(&constants(module));
        let older = "_BASE_OPTS = [cfg.StrOpt('type', dest='install_type')]\n_CLI_OPTS = [cfg.StrOpt('tag', default=v.get())]\n";
        let default_tag = Some(DefaultTag::Version);
        assert_eq!(declared(older), Declared { install_type: true, patches: false, default_tag });
        let latest = "_CLI_OPTS = [cfg.StrOpt('patches-path', default=None), cfg.StrOpt('tag', help='')]\n";
        let default_tag = Some(DefaultTag::Release);
        assert_eq!(declared(latest), Declared { install_type: false, patches: true, default_tag });
        assert_eq!(declared("_CLI_OPTS = []\n"), Declared::default());
    }
}
