//! A `docker-bake.json` for `docker buildx bake` [pure]. The format: <https://docs.docker.com/build/bake/reference/>.
//!
//! Bake reads it as HCL's JSON syntax, in which every string is a template.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::freshness::recipe::BuiltFrom;
use crate::model::builder::cache_of;
use crate::model::event::UnitId;
use crate::model::plan::PlannedUnit;
use crate::model::platform::{Arch, Platform};
use crate::util::secrets::masked;

/// Name of the file that `docker buildx bake` reads.
pub const BAKE_FILE: &str = "docker-bake.json";

/// An image as bake is to build it.
#[derive(Debug, Clone)]
pub struct BakeImage<'a> {
    /// Unit of the plan.
    pub unit: &'a PlannedUnit,
    /// Build context, relative to the directory that bake is run in.
    pub context: PathBuf,
    /// The images that its Dockerfile names.
    pub parents: &'a [BuiltFrom],
    /// Labels put on it beside those of its Dockerfile.
    pub labels: &'a BTreeMap<String, String>,
}

/// Settings that all images have in common.
#[derive(Debug, Clone, Default)]
pub struct BakeOptions<'a> {
    /// Build arguments of every image.
    pub build_args: BTreeMap<String, String>,
    /// Network of RUN steps; empty for the builder's default.
    pub network_mode: &'a str,
    /// Reuse what the builder has already built.
    pub cache: bool,
    /// Ask for newer base images.
    pub pull: bool,
    /// Push what was built.
    pub push: bool,
    /// Ids of the secrets that RUN steps get.
    pub secrets: Vec<&'a str>,
    /// Where layers are taken from, as buildx has it (`type=registry,ref=...`), with what [`cache_of`] puts in.
    pub cache_from: Vec<String>,
    /// Where layers are kept for others, likewise.
    pub cache_to: Vec<String>,
}

/// The file and what is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BakeFile {
    /// Text of the file.
    pub text: String,
    /// Build arguments that hold secrets: bake takes their values from variables of its environment.
    pub withheld: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct BakeTarget {
    context: Value,
    #[serde(skip_serializing_if = "Map::is_empty")]
    contexts: Map<String, Value>,
    tags: [Value; 1],
    platforms: [Platform; 1],
    #[serde(skip_serializing_if = "Map::is_empty")]
    args: Map<String, Value>,
    labels: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_from: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_to: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Value>,
    #[serde(skip_serializing_if = "is_false")]
    no_cache: bool,
    #[serde(skip_serializing_if = "is_false")]
    pull: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<[&'static str; 1]>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The file that builds these images, each after its parent; all of them make up the group `default`.
pub fn bake_file(images: &[BakeImage], options: &BakeOptions) -> BakeFile {
    let names = target_names(images);
    let (withheld, told): (BTreeMap<_, _>, BTreeMap<_, _>) =
        options.build_args.iter().partition(|(name, value)| masked(name, value) != **value);
    let told = told.into_iter().map(|(name, value)| (literal(name), text(value)));
    let from_environment = withheld.keys().map(|name| (literal(name), json!(format!("${{{name}}}"))));
    let args: Map<String, Value> = told.chain(from_environment).collect();
    let target = |image: &BakeImage| BakeTarget {
        context: text(&image.context.to_string_lossy()),
        contexts: parent_contexts(image, &names),
        tags: [text(&image.unit.reference.to_string())],
        platforms: [image.unit.platform],
        args: args.clone(),
        labels: image.labels.iter().map(|(name, value)| (literal(name), text(value))).collect(),
        secret: options.secrets.iter().map(|id| format!("id={id}")).collect(),
        cache_from: caches(&options.cache_from, image),
        cache_to: caches(&options.cache_to, image),
        network: (!options.network_mode.is_empty()).then(|| text(options.network_mode)),
        no_cache: !options.cache,
        pull: options.pull && image.unit.parents().any(|parent| parent.image().is_none()),
        output: options.push.then_some(["type=registry"]),
    };
    let targets: Map<String, Value> =
        images.iter().map(|image| (names[&image.unit.id()].clone(), json!(target(image)))).collect();
    let mut file = json!({ "group": groups(images, &names), "target": targets });
    if !withheld.is_empty() {
        file["variable"] = withheld.keys().map(|name| (name.to_string(), json!({ "default": "" }))).collect();
    }
    BakeFile { text: format!("{file:#}\n"), withheld: withheld.into_keys().cloned().collect() }
}

/// True when [`bake_file`] has made this: each of its targets has labels that only our images have.
pub fn is_bake_file(bytes: &[u8]) -> bool {
    let Ok(file) = serde_json::from_slice::<Value>(bytes) else { return false };
    let has_our_labels = |target: &Value| {
        ["build-date", "org.opencontainers.image.title"]
            .iter()
            .all(|label| target["labels"].get(label).is_some())
    };
    file["target"].as_object().is_some_and(|targets| targets.values().all(has_our_labels))
}

/// A group of all targets, and one for each platform when there are several.
fn groups(images: &[BakeImage], names: &HashMap<UnitId, String>) -> Value {
    let mut groups: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for unit in images.iter().map(|image| image.unit) {
        let own = unit.list.as_ref().map(|_| unit.platform.arch.kolla());
        for group in std::iter::once("default").chain(own) {
            groups.entry(group).or_default().push(&names[&unit.id()]);
        }
    }
    groups.into_iter().map(|(name, targets)| (name, json!({ "targets": targets }))).collect()
}

/// The caches of one image.
fn caches(caches: &[String], image: &BakeImage) -> Vec<Value> {
    let PlannedUnit { image, platform, .. } = image.unit;
    caches.iter().map(|cache| text(&cache_of(cache, image, *platform))).collect()
}

/// The targets of what an image is made from under the references that its Dockerfile has, so that bake builds them
/// before; none of what another has built.
fn parent_contexts(image: &BakeImage, names: &HashMap<UnitId, String>) -> Map<String, Value> {
    let context = |from: &BuiltFrom| {
        let id = UnitId { image: from.image.image()?.clone(), platform: image.unit.platform };
        Some((literal(&from.reference.to_string()), json!(format!("target:{}", names.get(&id)?))))
    };
    image.parents.iter().filter_map(context).collect()
}

/// A target for each unit: its image's name, with what bake does not allow there replaced, and its arch when there are
/// several.
fn target_names(images: &[BakeImage]) -> HashMap<UnitId, String> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    let mut taken: BTreeSet<String> =
        ["default"].into_iter().chain(Arch::ALL.map(Arch::kolla)).map(str::to_string).collect();
    let name = |unit: &PlannedUnit| {
        let of_image = |char| if allowed(char) { char } else { '_' };
        let mut name: String = unit.image.chars().map(of_image).collect();
        if unit.list.is_some() {
            name = format!("{name}-{}", unit.platform.arch.kolla());
        }
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    let units = images.iter().map(|image| image.unit);
    let named: Vec<String> = units.clone().map(name).collect();
    units.map(PlannedUnit::id).zip(named).collect()
}

fn text(text: &str) -> Value {
    Value::String(literal(text))
}

/// A text as a template that gives this text.
fn literal(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::named::WantedFor;
    use crate::model::plan::{Disposition, Parent};
    use crate::testing::named;

    fn file_of(names: &[&str]) -> Value {
        let unit = |name: &&str| PlannedUnit {
            image: (*name).into(),
            platform: Platform::new(Arch::X86_64),
            reference: named(&format!("kolla/{name}:1")),
            list: None,
            parent: Parent::Image(names[0].into()),
            named: Vec::new(),
            disposition: Disposition::Build,
            reason: String::new(),
        };
        let units: Vec<PlannedUnit> = names.iter().map(unit).collect();
        let labels = BTreeMap::new();
        let parents = [BuiltFrom {
            image: Parent::Image(names[0].into()),
            reference: named("p"),
            platform: WantedFor::Target,
        }];
        let image = |unit| BakeImage { unit, context: PathBuf::new(), parents: &parents, labels: &labels };
        let images: Vec<BakeImage> = units.iter().map(image).collect();
        serde_json::from_str(&bake_file(&images, &BakeOptions::default()).text).expect("JSON")
    }

    #[test]
    fn targets_have_names_that_bake_allows_and_each_its_own() {
        let file = file_of(&["a.b", "a_b", "default", "c"]);
        assert_eq!(file["group"]["default"]["targets"], json!(["a_b", "a_b_", "default_", "c"]));
        assert_eq!(file["target"]["a_b_"]["tags"], json!(["kolla/a_b:1"]));
        assert_eq!(file["target"]["c"]["contexts"], json!({ "p": "target:a_b" }));
    }
}
