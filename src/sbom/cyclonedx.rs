//! SBOMs in CycloneDX 1.6, as JSON (<https://cyclonedx.org/docs/1.6/json/>) [pure].
//!
//! The crate for it, cyclonedx-bom, ends with version 1.5.

use serde_json::{Value, json};

use super::inventory::{InstalledPackage, Inventory};
use super::subject::{
    DocumentedImage, DocumentedList, InstalledSource, TOOL, TOOL_VERSION, image_purl, sha256, time, uuid,
};
use crate::model::platform::Platform;
use crate::model::reference::Reference;

const IMAGE: &str = "image";

/// The document about an image.
pub fn document(subject: &DocumentedImage, inventory: &Inventory, sources: &[InstalledSource]) -> String {
    let DocumentedImage { name, reference, platform, image_id, key, created } = subject;
    let mut image = json!({
        "type": "container",
        "bom-ref": IMAGE,
        "name": name,
        "version": reference.tag.as_deref().unwrap_or_default(),
        "purl": image_purl(reference, image_id, Some(*platform)),
        "properties": [property("reference", &reference.to_string()), property("key", key)],
    });
    if let Some(sha256) = sha256(image_id) {
        image["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    let of_packages = inventory.packages.iter().enumerate();
    let mut components: Vec<Value> =
        of_packages.map(|(number, package)| of_package(number + 1, package, inventory)).collect();
    components.extend(sources.iter().enumerate().map(|(number, source)| of_source(number + 1, source)));
    let aggregate = if inventory.incomplete.is_empty() { "complete" } else { "incomplete" };
    let mut document = new(&time(*created), image, components);
    document["compositions"] = json!([{"aggregate": aggregate, "assemblies": [IMAGE]}]);
    if !inventory.incomplete.is_empty() {
        let told: Vec<Value> =
            inventory.incomplete.iter().map(|reason| property("incomplete", reason)).collect();
        document["metadata"]["properties"] = json!(told);
    }
    text(document)
}

/// The document about a manifest list of images, each for a platform.
pub fn list_document(list: &DocumentedList) -> String {
    let DocumentedList { name, reference, digest, created, members } = *list;
    let index = json!({
        "type": "container",
        "bom-ref": IMAGE,
        "name": name,
        "version": reference.tag.as_deref().unwrap_or_default(),
        "purl": image_purl(reference, digest.as_str(), None),
    });
    let member = |(platform, member): (&Platform, &Reference)| {
        let digest = member.digest.as_deref().unwrap_or_default();
        let mut image = json!({
            "type": "container",
            "bom-ref": format!("image-{}", platform.arch.debian()),
            "name": name,
            "version": digest,
            "purl": image_purl(&member.bare(), digest, Some(*platform)),
        });
        if let Some(sha256) = sha256(digest) {
            image["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
        }
        image
    };
    text(new(&time(created), index, members.iter().map(member).collect()))
}

fn new(created: &str, subject: Value, components: Vec<Value>) -> Value {
    let contained: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    let dependencies = json!([{"ref": IMAGE, "dependsOn": contained}]);
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "tools": {"components": [{"type": "application", "name": TOOL, "version": TOOL_VERSION}]},
            "component": subject,
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn text(mut document: Value) -> String {
    // Another content is another document.
    document["serialNumber"] = json!(format!("urn:uuid:{}", uuid(&document.to_string())));
    format!("{document:#}\n")
}

fn of_package(number: usize, found: &InstalledPackage, inventory: &Inventory) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": format!("package-{number}"),
        "name": found.name,
        "version": found.version,
        "purl": found.purl(&inventory.distro, &inventory.distro_version),
    });
    if !found.expression.is_empty() {
        component["licenses"] = json!([{"expression": found.expression}]);
    } else if !found.licence.is_empty() {
        component["licenses"] = json!([{"license": {"name": found.licence}}]);
    }
    let facts = [("location", &found.location), ("source", &found.source)];
    let properties: Vec<Value> = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| property(name, value))
        .collect();
    if !properties.is_empty() {
        component["properties"] = json!(properties);
    }
    component
}

fn of_source(number: usize, source: &InstalledSource) -> Value {
    let mut component = json!({
        "type": "file",
        "bom-ref": format!("source-{number}"),
        "name": source.section,
        "version": source.version(),
        "purl": source.purl(),
    });
    if let Some(sha256) = source.digests.get("sha256") {
        component["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    component
}

fn property(name: &str, value: &str) -> Value {
    json!({"name": format!("kolla-build:{name}"), "value": value})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Digest;
    use crate::sbom::subject::testing::{image, inventory, list_members, sources};
    use crate::testing::named;

    fn read(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn an_image_depends_on_its_packages_and_sources_and_says_what_is_missing() {
        let text = document(&image(), &inventory(), &sources());
        assert_eq!(text, document(&image(), &inventory(), &sources()), "it is the same every time");
        let document = read(&text);
        let components = document["components"].as_array().expect("a list");
        let names: Vec<&str> = components.iter().filter_map(|component| component["name"].as_str()).collect();
        assert_eq!(names, ["libc6", "oslo.config", "keystone-base"]);
        assert_eq!(components[1]["licenses"], json!([{"expression": "Apache-2.0"}]));
        let contained = &document["dependencies"][0]["dependsOn"];
        assert_eq!(*contained, json!(["package-1", "package-2", "source-1"]));
        assert_eq!(document["compositions"][0]["aggregate"], "incomplete");
        let whole = Inventory { incomplete: Vec::new(), ..inventory() };
        assert_eq!(read(&super::document(&image(), &whole, &[]))["compositions"][0]["aggregate"], "complete");
    }

    #[test]
    fn a_list_has_an_image_for_each_platform() {
        let (members, digest) = (list_members(), Digest::of(b"list"));
        let reference = named("r:5000/kolla/keystone:1");
        let (name, created) = ("keystone", image().created);
        let list =
            DocumentedList { name, reference: &reference, digest: &digest, created, members: &members };
        let document = read(&list_document(&list));
        assert_eq!(document["components"][1]["version"], Digest::of(b"2").as_str());
        assert_eq!(document["dependencies"][0]["dependsOn"], json!(["image-amd64", "image-arm64"]));
    }
}
