//! A tree that is not ours: which Kolla release it is of, and what that release's package says beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::kolla_package::{self, MODULES, fact};
use crate::config::layer::{DEFAULT, Entry, Layers};
use crate::config::options::SOURCE_KEYS;
use crate::config::python;
use crate::error::{EXIT_USAGE, Fatal};
use crate::template_api::{TEMPLATE_APIS, TemplateApi, TreeTraits};

/// Files by any of which the package is known.
const PACKAGE_FILES: [&str; 3] = ["common/config.py", "common/sources.yaml", "template/repos.yaml"];

/// Takes the facts of the release that a foreign tree is of in place of ours. Gives what to warn of.
pub fn add_tree_facts(layers: &mut Layers) -> Result<Vec<String>, Fatal> {
    let Some(tree) = layers.option("images_dir")?.map(PathBuf::from) else { return Ok(Vec::new()) };
    let package = match layers.option("kolla_package")? {
        Some(named) => Some(PathBuf::from(named)),
        None => package_beside(&tree),
    };
    let mut facts = Vec::new();
    if let Some(package) = &package {
        facts.extend(package_facts(package)?);
        facts.push(fact(DEFAULT, "kolla_package", &escaped(package), &tree));
    }
    let version = package.as_deref().and_then(version);
    if let Some((version, path)) = &version {
        facts.push(fact(DEFAULT, "kolla_version", version, path));
    }
    let api = match (layers.option("template_api")?, &version) {
        // A wrong word is told when options get their types.
        (Some(given), _) => given.parse().ok().and_then(TemplateApi::of_release).unwrap_or_default(),
        (None, Some((version, path))) => api_of(version, path)?,
        (None, None) => traits(&tree, package.as_deref())?.api(),
    };
    facts.push(fact(DEFAULT, "template_api", &api.to_string(), &tree));
    let mut warnings = Vec::new();
    if package.is_none() && api != TemplateApi::LATEST {
        warnings.push(format!(
            "{} is a tree of Kolla {api}, whose Python package is not beside it: users, sources, distros and defaults \
             are those of Kolla {} unless --kolla-package DIR names it",
            tree.display(),
            TemplateApi::LATEST
        ));
    }
    layers.replace_built_in(facts);
    Ok(warnings)
}

/// The package that an image tree belongs to: around it, beside it in a checkout, or where pip puts the two.
fn package_beside(tree: &Path) -> Option<PathBuf> {
    let tree = fs::canonicalize(tree).ok()?;
    let above = tree.parent()?;
    let mut candidates = vec![above.to_path_buf(), above.join("kolla")];
    if above.ends_with("share/kolla") {
        let libraries = above.ancestors().nth(2)?.join("lib");
        for python in directories(&libraries).filter(|path| name_of(path).starts_with("python")) {
            candidates.extend(["site-packages/kolla", "dist-packages/kolla"].map(|below| python.join(below)));
        }
    }
    candidates.into_iter().find(|package| PACKAGE_FILES.iter().any(|file| package.join(file).is_file()))
}

/// What is in a directory, in order of names; nothing when it can't be read.
fn directories(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter()
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// The version of a package as its metadata has it, and where.
fn version(package: &Path) -> Option<(String, PathBuf)> {
    let around = package.parent()?;
    let metadata = directories(around)
        .filter(|path| name_of(path).starts_with("kolla-") || name_of(path) == "kolla.egg-info")
        .flat_map(|path| [path.join("METADATA"), path.join("PKG-INFO")])
        .chain([around.join("PKG-INFO")]);
    metadata.into_iter().find_map(|path| {
        let text = fs::read_to_string(&path).ok()?;
        let headers = text.lines().take_while(|line| !line.is_empty());
        let field = |name: &str| headers.clone().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let version = field("Version:").filter(|_| field("Name:") == Some("kolla"))?.to_string();
        Some((version, path))
    })
}

fn api_of(version: &str, path: &Path) -> Result<TemplateApi, Fatal> {
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    major.and_then(TemplateApi::of_release).ok_or_else(|| {
        let message = format!("{}: the templates of Kolla {version} are not known", path.display());
        let known = TEMPLATE_APIS.join(", ");
        Fatal::message(message, EXIT_USAGE)
            .hinted(format!("--template-api treats them as those of another release: {known}"))
    })
}

fn package_facts(package: &Path) -> Result<Vec<Entry>, Fatal> {
    let mut facts = Vec::new();
    for path in MODULES.map(|module| package.join(module)) {
        if path.is_file() {
            facts.extend(kolla_package::facts(&python::constants(&read(&path)?), &path));
        }
    }
    let sources = package.join("common/sources.yaml");
    if sources.is_file() {
        facts.extend(sources_in_yaml(&sources)?);
    }
    Ok(facts)
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

/// Looks for what tells releases apart in all templates of a tree.
fn traits(tree: &Path, package: Option<&Path>) -> Result<TreeTraits, Fatal> {
    let mut traits = TreeTraits::default();
    for entry in walkdir::WalkDir::new(tree).follow_links(true).into_iter().flatten() {
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|extension| extension == "j2")
        {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into_owned();
            traits.install_type |= text.contains("install_type");
            traits.python_version |= text.contains("distro_python_version");
            traits.patches |= text.contains("patches_path");
            traits.build_date |= text.contains("{{ build_date }}");
            traits.cleanup_repos |= text.contains("cleanup_repos");
        }
    }
    if let Some(path) = beside(tree, package, "template", "repos.yaml") {
        let text = read(&path)?;
        let sections: BTreeMap<String, BTreeMap<String, serde_yaml::Value>> =
            serde_yaml::from_str(&text).unwrap_or_default();
        traits.repository_ids =
            sections.values().flat_map(BTreeMap::values).any(serde_yaml::Value::is_string);
    }
    Ok(traits)
}

/// A file that Kolla keeps beside its tree: in the tree itself, or in the package.
pub fn beside(tree: &Path, package: Option<&Path>, dir: &str, name: &str) -> Option<PathBuf> {
    let in_package = package.map(|package| package.join(dir).join(name));
    [Some(tree.join(name)), in_package].into_iter().flatten().find(|path| path.is_file())
}

/// Reads a text file of a tree.
pub fn read(path: &Path) -> Result<String, Fatal> {
    fs::read_to_string(path)
        .map_err(|error| Fatal::message(format!("failed to read {}: {error}", path.display()), EXIT_USAGE))
}

/// A path as the value of an option: nothing in it stands for another value.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace('$', "$$")
}
