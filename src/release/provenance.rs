//! Provenance of an image: an in-toto statement with the predicate of SLSA 1.0, which tells what it was made from, by whom
//! and how [pure].
//!
//! Formats: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>,
//! <https://slsa.dev/spec/v1.0/provenance>.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::ids::{ContentKey, Digest};
use crate::model::platform::Platform;
use crate::model::reference::Reference;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// Where the meaning of parameters is written down; it stands for the kind of the build.
const BUILD_TYPE: &str = "https://github.com/kolla-build/kolla-build/blob/main/docs/releases.md#provenance";
/// Whoever builds is trusted as far as whoever runs this program.
const BUILDER: &str = "https://github.com/kolla-build/kolla-build";

/// Something that an image was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// Name in the build: of a source's section, or of an image in the Dockerfile.
    pub name: String,
    /// Where it comes from, without credentials.
    pub uri: String,
    /// Digests, by their algorithms: `sha256`, `gitCommit`.
    pub digests: BTreeMap<&'static str, String>,
    /// Further facts, by their names.
    pub facts: BTreeMap<&'static str, String>,
}

impl Material {
    /// A material without further facts, of which one digest is known; `identity` is as content keys have it: `sha256:...` or
    /// `git:COMMIT as REFERENCE`.
    pub fn identified(name: &str, uri: String, identity: &str) -> Material {
        let mut material =
            Material { name: name.to_string(), uri, digests: BTreeMap::new(), facts: BTreeMap::new() };
        if let Some(sha256) = identity.strip_prefix("sha256:") {
            material.digests.insert("sha256", sha256.to_string());
        } else if let Some((commit, reference)) =
            identity.strip_prefix("git:").and_then(|text| text.split_once(" as "))
        {
            material.digests.insert("gitCommit", commit.to_string());
            material.facts.insert("reference", reference.to_string());
        } else if !identity.is_empty() {
            material.facts.insert("identity", identity.to_string());
        }
        material
    }

    fn descriptor(&self) -> Value {
        let mut described = Map::new();
        described.insert("name".to_string(), json!(self.name));
        described.insert("uri".to_string(), json!(self.uri));
        if !self.digests.is_empty() {
            described.insert("digest".to_string(), json!(self.digests));
        }
        if !self.facts.is_empty() {
            described.insert("annotations".to_string(), json!(self.facts));
        }
        Value::Object(described)
    }
}

/// A build, with all that it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFacts {
    /// Name of the image in the tree.
    pub image: String,
    /// Platform that it is for.
    pub platform: Platform,
    /// Full name, tag included.
    pub reference: Reference,
    /// Content key.
    pub key: ContentKey,
    /// The options that decide what is built, by their names, without secrets.
    pub parameters: BTreeMap<String, String>,
    /// Images, sources, downloads, files of the tree and overrides.
    pub materials: Vec<Material>,
    /// Name and version of the engine.
    pub engine: String,
    /// When the build began and ended; none of an image that was there already.
    pub times: Option<(Timestamp, Timestamp)>,
}

/// The statement about a build, whose manifest or configuration has this digest.
pub fn statement(build: &BuildFacts, subject: &Digest) -> String {
    let parameters = json!({
        "image": build.image,
        "platform": build.platform,
        "reference": build.reference,
        "options": build.parameters,
    });
    let mut details = json!({
        "builder": {
            "id": BUILDER,
            "version": {"kolla-build": env!("CARGO_PKG_VERSION"), "engine": build.engine},
        },
        "metadata": {},
    });
    if let Some((started, finished)) = build.times {
        let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        details["metadata"] = json!({"startedOn": time(started), "finishedOn": time(finished)});
    }
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters,
            "internalParameters": {"contentKey": build.key},
            "resolvedDependencies": build.materials.iter().map(Material::descriptor).collect::<Vec<_>>(),
        },
        "runDetails": details,
    });
    text(&build.reference, subject, &predicate)
}

/// The statement about a manifest list: it was made of these images, each for a platform.
pub fn list_statement(list: &Reference, subject: &Digest, members: &BTreeMap<Platform, Reference>) -> String {
    let member = |(platform, member): (&Platform, &Reference)| {
        let digest = member.digest.as_deref().unwrap_or_default();
        let name = format!("image for {platform}");
        let mut material = Material::identified(&name, format!("oci://{}", member.bare()), digest);
        material.facts.insert("platform", platform.to_string());
        material.descriptor()
    };
    let platforms: Vec<String> = members.keys().map(Platform::to_string).collect();
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"reference": list, "platforms": platforms},
            "resolvedDependencies": members.iter().map(member).collect::<Vec<_>>(),
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"kolla-build": env!("CARGO_PKG_VERSION")}},
        },
    });
    text(list, subject, &predicate)
}

fn text(name: &Reference, subject: &Digest, predicate: &Value) -> String {
    let sha256 = subject.as_str().trim_start_matches("sha256:");
    let statement = json!({
        "_type": STATEMENT,
        "subject": [{"name": name.bare(), "digest": {"sha256": sha256}}],
        "predicateType": PREDICATE,
        "predicate": predicate,
    });
    format!("{statement:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::platform::Arch;
    use crate::testing::named;

    fn at_any_version(text: &str) -> String {
        text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
    }

    #[test]
    fn a_build_is_told_with_all_that_it_was_made_from() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let build = BuildFacts {
            image: "keystone".to_string(),
            platform: Platform::new(Arch::X86_64),
            reference: named("r:5000/kolla/keystone:1"),
            key: "k".into(),
            parameters: [("base".to_string(), "debian".to_string())].into(),
            materials: vec![
                Material::identified("base", "oci://debian".to_string(), &Digest::of(b"base").to_string()),
                Material::identified("keystone-base", "https://h/k.git".to_string(), "git:0a1b as master"),
                Material::identified("https://h/x", "https://h/x".to_string(), "etag 1"),
            ],
            engine: "Docker 20.10".to_string(),
            times: Some((time("2026-05-04T03:02:01.5Z"), time("2026-05-04T03:03:00Z"))),
        };
        insta::assert_snapshot!(at_any_version(&statement(&build, &Digest::of(b""))));
    }

    #[test]
    fn a_list_is_told_with_its_images() {
        let member = |arch, content: &[u8]| {
            (Platform::new(arch), named("r:5000/kolla/base:1-x").at(&Digest::of(content)))
        };
        let members = [member(Arch::X86_64, b"1"), member(Arch::Aarch64, b"2")].into();
        let told = list_statement(&named("r:5000/kolla/base:1"), &Digest::of(b""), &members);
        insta::assert_snapshot!(at_any_version(&told));
    }
}
