//! A tree that is not ours: which Kolla release it is of, and what that release's package says beside it.

pub mod place;
mod traits;
mod version;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::keys::{DEFAULT, SOURCE_KEYS};
use crate::config::kolla_package::{self, CONFIG_MODULE, Declared, MODULES, fact};
use crate::config::layer::{Entry, Layers, SetAt};
use crate::config::pbr::Version;
use crate::config::python::{self, Constant};
use crate::error::{EXIT_USAGE, Fatal};
use crate::model::template_api::{TEMPLATE_APIS, TemplateApi};
use place::read;

/// Takes the facts of the release that a foreign tree is of in place of ours. Gives what to warn of.
pub fn add_tree_facts(layers: &mut Layers) -> Result<Vec<String>, Fatal> {
    let Some(named) = layers.option("images_dir")?.map(PathBuf::from) else { return Ok(Vec::new()) };
    let tree = place::image_tree(&named);
    found_at(layers, "images_dir", &tree);
    let package = match layers.option("kolla_package")? {
        Some(named) => Some(place::package_at(Path::new(&named))?),
        None => place::package_beside(&tree),
    };
    let package = package.map(Package::read).transpose()?;
    if let Some(package) = &package {
        found_at(layers, "kolla_package", &package.dir);
    }
    let release = Release::of(&tree, package.as_ref(), layers)?;
    let api = release.api;
    let mut facts = package.as_ref().map(Package::facts).transpose()?.unwrap_or_default();
    facts.push(fact(DEFAULT, "template_api", &api.to_string(), &tree));
    facts.extend(
        release.version.map(|(version, path)| fact(DEFAULT, "kolla_version", &version.to_string(), &path)),
    );
    layers.replace_built_in(facts);
    if let Some(package) = &package {
        layers.push_below(package.branches(layers.option("openstack_release")?.as_deref()));
    }
    let mut warnings = Vec::new();
    if package.is_none() && api != TemplateApi::LATEST {
        warnings.push(format!(
            "{} is taken as a tree of Kolla {api}, with the users, sources, distros and defaults of Kolla {}: \
             --kolla-package DIR names the Python package that has its own",
            tree.display(),
            TemplateApi::LATEST
        ));
    }
    Ok(warnings)
}

/// Names what was found where a user's value, or nobody, led to.
fn found_at(layers: &mut Layers, option: &str, path: &Path) {
    let text = escaped(path);
    let place = match layers.entry(DEFAULT, option) {
        Some(entry) if entry.text == text => return,
        Some(entry) => entry.place.clone(),
        None => SetAt::Tree(path.to_path_buf()),
    };
    layers.remove_option(option);
    layers.push([Entry::of_option(option, text, place)]);
}

/// Release of a foreign tree, as far as it is known.
struct Release {
    api: TemplateApi,
    /// Where nobody gives it and the tree tells it.
    version: Option<(Version, PathBuf)>,
}

impl Release {
    /// The release of a tree. The content tells what its templates are given; its version is only what it calls itself.
    fn of(tree: &Path, package: Option<&Package>, layers: &Layers) -> Result<Release, Fatal> {
        // A wrong word is told when options get their types.
        let given = layers
            .option("template_api")?
            .map(|word| word.parse().ok().and_then(TemplateApi::of_release).unwrap_or_default());
        let declared = package.map(Package::declared).unwrap_or_default();
        let api = match given {
            Some(api) => api,
            None => traits::traits(tree, package.map(|package| package.dir.as_path()), &declared)?.api(),
        };
        let is_whole = package.is_some_and(Package::has_options);
        if given.is_none() && !is_whole && api != TemplateApi::LATEST {
            return Err(without_package(tree, api));
        }
        let version_given = layers
            .entry(DEFAULT, "kolla_version")
            .filter(|entry| entry.place != SetAt::BuiltIn)
            .map(|entry| entry.text.clone());
        let told = match (version_given.is_some(), package) {
            (true, _) => None,
            (false, Some(package)) => {
                let seconds = layers.integer(DEFAULT, "timeout")?.unwrap_or_default();
                Some(version::version(&package.dir, Duration::from_secs(seconds.unsigned_abs())))
            }
            (false, None) => Some(Err(Vec::new())),
        };
        let version = match told {
            Some(Err(reasons)) if is_whole || api != TemplateApi::LATEST => {
                return Err(without_version(tree, api, reasons));
            }
            told => told.and_then(Result::ok),
        };
        if given.is_none() {
            let stated = version_given.as_deref().and_then(Version::parse);
            let version = stated.or(version.as_ref().map(|(version, _)| *version));
            refuse_unknown(tree, version, package.and_then(Package::openstack_release))?;
        }
        Ok(Release { api, version })
    }
}

/// Between the releases whose templates have been compared lie others, which look like them.
fn refuse_unknown(tree: &Path, version: Option<Version>, openstack: Option<&str>) -> Result<(), Fatal> {
    let is_unknown =
        |version: &Version| version.major().is_some_and(|major| TemplateApi::of_release(major).is_none());
    let unknown = match (version.filter(is_unknown), openstack) {
        (Some(version), _) => format!("Kolla {version}"),
        (None, Some(release)) if !TemplateApi::knows_openstack(release) => format!("OpenStack {release}"),
        _ => return Ok(()),
    };
    let message = format!("{}: the templates of {unknown} are not known", tree.display());
    let known = TEMPLATE_APIS.join(", ");
    Err(Fatal::message(message, EXIT_USAGE)
        .hinted(format!("--template-api treats them as those of another Kolla release: {known}")))
}

fn without_package(tree: &Path, api: TemplateApi) -> Fatal {
    let tree = tree.display();
    let message = format!(
        "{tree} holds images as Kolla {api} or a release before it has them, and what else belongs to them is missing: \
         Kolla's Python package, with their users, sources, distros, repositories and defaults, is not beside it"
    );
    Fatal::message(message, EXIT_USAGE)
        .hinted("--images-dir DIR takes the root of a checkout of Kolla too, where all of it is")
        .hinted("--kolla-package DIR names the package: `kolla` in such a checkout, or where pip has installed it")
        .hinted(format!(
            "--template-api {api} with --kolla-version X.Y.Z takes the images alone, and the rest as Kolla {} has it",
            TemplateApi::LATEST
        ))
}

fn without_version(tree: &Path, api: TemplateApi, reasons: Vec<String>) -> Fatal {
    let message = format!("which version of Kolla {} is of can't be told", tree.display());
    let use_of_it = if api.is_tagged_by_version() {
        "images are tagged and labelled with it"
    } else {
        "images are labelled with it"
    };
    reasons
        .into_iter()
        .fold(Fatal::message(message, EXIT_USAGE), Fatal::caused_by)
        .hinted(format!("--kolla-version X.Y.Z gives it: {use_of_it}"))
        .hinted(format!(
            "its templates are taken as those of Kolla {api}; --template-api names another release"
        ))
}

/// Kolla's Python package, as far as it is there.
struct Package {
    dir: PathBuf,
    /// The constants of each of [`MODULES`] that there is.
    modules: Vec<(PathBuf, BTreeMap<String, Constant>)>,
    branch_prefix: Option<String>,
}

impl Package {
    fn read(dir: PathBuf) -> Result<Package, Fatal> {
        let mut package = Package { dir, modules: Vec::new(), branch_prefix: None };
        for module in MODULES {
            let path = package.dir.join(module);
            if path.is_file() {
                let text = read(&path)?;
                package.modules.push((path, python::constants(&text)));
                if module == CONFIG_MODULE {
                    package.branch_prefix = kolla_package::branch_prefix(&text);
                }
            }
        }
        Ok(package)
    }

    fn config(&self) -> Option<&(PathBuf, BTreeMap<String, Constant>)> {
        self.modules.iter().find(|(path, _)| path.ends_with(CONFIG_MODULE))
    }

    fn declared(&self) -> Declared {
        self.config().map(|(_, constants)| Declared::of(constants)).unwrap_or_default()
    }

    /// True when it has options, as Kolla's has; one that users keep beside a tree of their own has none.
    fn has_options(&self) -> bool {
        self.config().is_some()
    }

    fn openstack_release(&self) -> Option<&str> {
        self.config()?.1.get("OPENSTACK_RELEASE")?.text()
    }

    fn facts(&self) -> Result<Vec<Entry>, Fatal> {
        let mut facts = Vec::new();
        for (path, constants) in &self.modules {
            facts.extend(kolla_package::facts(constants, path));
        }
        let sources = self.dir.join("common/sources.yaml");
        if sources.is_file() {
            facts.extend(sources_in_yaml(&sources)?);
        }
        Ok(facts)
    }

    /// The branch of OpenStack's sources where it is called otherwise than most.
    fn branches(&self, release: Option<&str>) -> Vec<Entry> {
        let (Some(prefix), Some((path, _)), Some(release)) = (&self.branch_prefix, self.config(), release)
        else {
            return Vec::new();
        };
        if release == "master" {
            return Vec::new();
        }
        let branch = format!("{prefix}{release}").replace('$', "$$");
        let slashed = branch.replace('-', "/");
        [("openstack_branch", branch), ("openstack_branch_slashed", slashed)]
            .map(|(option, text)| fact(DEFAULT, option, &text, path))
            .to_vec()
    }
}

fn sources_in_yaml(path: &Path) -> Result<Vec<Entry>, Fatal> {
    let invalid = |reason: String| Fatal::message(format!("{}: {reason}", path.display()), EXIT_USAGE);
    let sections: BTreeMap<String, BTreeMap<String, serde_yaml::Value>> =
        serde_yaml::from_str(&read(path)?).map_err(|error| invalid(error.to_string()))?;
    let mut facts = Vec::new();
    for (section, values) in sections {
        for (key, value) in values.into_iter().filter(|(key, _)| SOURCE_KEYS.contains(&key.as_str())) {
            let text = source_text(&value)
                .ok_or_else(|| invalid(format!("{section}: {key} is neither a value nor a mapping")))?;
            facts.push(fact(&section, &key, &text, path));
        }
    }
    Ok(facts)
}

/// A YAML value as a configuration file would write it.
fn source_text(value: &serde_yaml::Value) -> Option<String> {
    match value {
        serde_yaml::Value::Mapping(pairs) => {
            let pairs =
                pairs.iter().map(|(key, value)| Some(format!("{}:{}", key.as_str()?, source_text(value)?)));
            Some(pairs.collect::<Option<Vec<_>>>()?.join(","))
        }
        serde_yaml::Value::String(text) => Some(text.clone()),
        serde_yaml::Value::Bool(flag) => Some(flag.to_string()),
        serde_yaml::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A path as the value of an option: nothing in it stands for another value.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace('$', "$$")
}
