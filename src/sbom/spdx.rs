//! SBOMs in SPDX 2.3, as JSON (<https://spdx.github.io/spdx-spec/v2.3/>) [pure].
//!
//! The crates for it know SPDX 2.2 or are not kept; what is written is a list of packages and what contains what.

use serde_json::{Value, json};

use super::inventory::{InstalledPackage, Inventory};
use super::subject::{
    DocumentedImage, DocumentedList, InstalledSource, TOOL, TOOL_VERSION, image_purl, sha256, time, uuid,
};

/// Nothing is claimed where nothing is known.
const UNKNOWN: &str = "NOASSERTION";
const IMAGE: &str = "SPDXRef-Image";

/// The document about an image.
pub fn document(subject: &DocumentedImage, inventory: &Inventory, sources: &[InstalledSource]) -> String {
    let DocumentedImage { name, reference, platform, image_id, key, created } = subject;
    let mut image = package(IMAGE, name, reference.tag.as_deref().unwrap_or_default());
    image["primaryPackagePurpose"] = json!("CONTAINER");
    image["comment"] = json!(format!("{reference} for {platform}, content key {key}"));
    image["externalRefs"] = external(&image_purl(reference, image_id, Some(*platform)));
    if let Some(sha256) = sha256(image_id) {
        image["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": sha256}]);
    }
    let mut packages = vec![image];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)];
    for (number, found) in inventory.packages.iter().enumerate() {
        let id = format!("SPDXRef-Package-{}", number + 1);
        packages.push(of_package(&id, found, inventory));
        relationships.push(relationship(IMAGE, "CONTAINS", &id));
    }
    for (number, source) in sources.iter().enumerate() {
        let id = format!("SPDXRef-Source-{}", number + 1);
        packages.push(of_source(&id, source));
        relationships.push(relationship(IMAGE, "GENERATED_FROM", &id));
    }
    let comment = match inventory.incomplete.as_slice() {
        [] => String::new(),
        incomplete => format!("incomplete: {}", incomplete.join("; ")),
    };
    text(&format!("{name} for {platform}"), &time(*created), &packages, &relationships, &comment)
}

/// The document about a manifest list of images, each for a platform.
pub fn list_document(list: &DocumentedList) -> String {
    let DocumentedList { name, reference, digest, created, members } = *list;
    let mut index = package(IMAGE, name, reference.tag.as_deref().unwrap_or_default());
    index["primaryPackagePurpose"] = json!("CONTAINER");
    index["externalRefs"] = external(&image_purl(reference, digest.as_str(), None));
    let mut packages = vec![index];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)];
    for (platform, member) in members {
        let id = format!("SPDXRef-Image-{}", platform.arch.debian());
        let digest = member.digest.as_deref().unwrap_or_default();
        let mut image = package(&id, name, digest);
        image["primaryPackagePurpose"] = json!("CONTAINER");
        image["externalRefs"] = external(&image_purl(&member.bare(), digest, Some(*platform)));
        if let Some(sha256) = sha256(digest) {
            image["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": sha256}]);
        }
        packages.push(image);
        relationships.push(relationship(&id, "VARIANT_OF", IMAGE));
    }
    text(&format!("{name} for several platforms"), &time(created), &packages, &relationships, "")
}

fn text(name: &str, created: &str, packages: &[Value], relationships: &[Value], comment: &str) -> String {
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": "",
        "creationInfo": {"created": created, "creators": [format!("Tool: {TOOL}-{TOOL_VERSION}")]},
        "packages": packages,
        "relationships": relationships,
    });
    if !comment.is_empty() {
        document["comment"] = json!(comment);
    }
    // Another content is another document.
    let namespace = uuid(&document.to_string());
    document["documentNamespace"] =
        json!(format!("https://github.com/kolla-build/kolla-build/spdx/{namespace}"));
    format!("{document:#}\n")
}

fn package(id: &str, name: &str, version: &str) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": name,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
    });
    if !version.is_empty() {
        package["versionInfo"] = json!(version);
    }
    package
}

fn of_package(id: &str, found: &InstalledPackage, inventory: &Inventory) -> Value {
    let mut described = package(id, &found.name, &found.version);
    if !found.expression.is_empty() {
        described["licenseDeclared"] = json!(found.expression);
    } else if !found.licence.is_empty() {
        described["licenseComments"] = json!(format!("declared as: {}", found.licence));
    }
    let built_from = Some(&found.source).filter(|source| !source.is_empty());
    let info = built_from.map(|source| format!("built from the source package {source}"));
    let place = Some(&found.location).filter(|location| !location.is_empty());
    let info: Vec<String> =
        info.into_iter().chain(place.map(|location| format!("found in {location}"))).collect();
    if !info.is_empty() {
        described["sourceInfo"] = json!(info.join("; "));
    }
    described["externalRefs"] = external(&found.purl(&inventory.distro, &inventory.distro_version));
    described
}

fn of_source(id: &str, source: &InstalledSource) -> Value {
    let mut described = package(id, &source.section, &source.version());
    described["primaryPackagePurpose"] = json!("SOURCE");
    if source.uri.contains("://") {
        described["downloadLocation"] = json!(source.uri);
    }
    if let Some(sha256) = source.digests.get("sha256") {
        described["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": sha256}]);
    }
    described["externalRefs"] = external(&source.purl());
    described
}

fn external(purl: &str) -> Value {
    json!([{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}])
}

fn relationship(element: &str, kind: &str, related: &str) -> Value {
    json!({"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related})
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
    fn an_image_contains_its_packages_and_is_generated_from_its_sources() {
        let text = document(&image(), &inventory(), &sources());
        assert_eq!(text, document(&image(), &inventory(), &sources()), "it is the same every time");
        let document = read(&text);
        let packages = document["packages"].as_array().expect("a list");
        let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
        assert_eq!(names, ["keystone", "libc6", "oslo.config", "keystone-base"]);
        assert_eq!(packages[1]["sourceInfo"], "built from the source package glibc (2.41-1)");
        assert_eq!(packages[2]["licenseDeclared"], "Apache-2.0");
        let kinds = document["relationships"].as_array().expect("a list").iter();
        let kinds: Vec<&str> = kinds.filter_map(|it| it["relationshipType"].as_str()).collect();
        assert_eq!(kinds, ["DESCRIBES", "CONTAINS", "CONTAINS", "GENERATED_FROM"]);
        assert_eq!(document["comment"], "incomplete: the database of rpm could not be read");
        let namespace = |text: &str| read(text)["documentNamespace"].as_str().expect("a text").to_string();
        let other = super::document(&image(), &Inventory::default(), &[]);
        assert_ne!(namespace(&other), namespace(&text));
    }

    #[test]
    fn a_list_has_an_image_for_each_platform() {
        let (members, digest) = (list_members(), Digest::of(b"list"));
        let reference = named("r:5000/kolla/keystone:1");
        let (name, created) = ("keystone", image().created);
        let list =
            DocumentedList { name, reference: &reference, digest: &digest, created, members: &members };
        let document = read(&list_document(&list));
        let purl = &document["packages"][1]["externalRefs"][0]["referenceLocator"];
        let expected = format!(
            "pkg:oci/keystone@{}?arch=amd64&repository_url=r:5000%2Fkolla%2Fkeystone",
            Digest::of(b"1")
        );
        assert_eq!(*purl, expected);
        assert_eq!(document["relationships"][2]["relationshipType"], "VARIANT_OF");
    }
}
