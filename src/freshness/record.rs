//! The record of an image's last build: digests of its inputs, enough to name those that have changed [pure].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::key::{KEY_VERSION, KeyInputs};
use crate::model::ids::{self, ContentKey};
use crate::util::hex::hex;

/// Digests of every input of a content key, under the names that people know them by. No content, no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// Version of what the key covers.
    version: String,
    /// The content key that it was built with.
    pub key: ContentKey,
    platform: String,
    /// The parent's content key, or the engine's id of the base image.
    pub parent: ContentKey,
    #[serde(default)]
    named: BTreeMap<String, ContentKey>,
    #[serde(default)]
    downloads: BTreeMap<String, String>,
    /// A short digest of each line.
    dockerfile: Vec<String>,
    context: BTreeMap<String, String>,
    sources: BTreeMap<String, String>,
    build_args: BTreeMap<String, String>,
}

impl InputRecord {
    /// The record of what a key was computed from.
    pub fn new(inputs: &KeyInputs) -> InputRecord {
        let key = inputs.key();
        let KeyInputs { platform, parent, named, downloads, dockerfile, context, sources, build_args } =
            inputs;
        InputRecord {
            version: KEY_VERSION.to_string(),
            key,
            platform: platform.clone(),
            parent: parent.clone(),
            named: named.iter().cloned().collect(),
            downloads: downloads.iter().cloned().collect(),
            dockerfile: dockerfile.lines().map(short_digest).collect(),
            context: context.iter().cloned().collect(),
            sources: sources.iter().cloned().collect(),
            build_args: build_args.iter().map(|(name, value)| (name.clone(), short_digest(value))).collect(),
        }
    }

    /// Sources by their sections: `sha256:...` or `git:<commit> as <reference>`.
    pub fn sources(&self) -> &BTreeMap<String, String> {
        &self.sources
    }

    /// Downloads of the Dockerfile by their URLs, and what identifies their content.
    pub fn downloads(&self) -> &BTreeMap<String, String> {
        &self.downloads
    }

    /// One digest of all files of the build context but the Dockerfile and archives of sources.
    pub fn context_digest(&self) -> ids::Digest {
        let lines = self.context.iter().map(|(name, digest)| format!("{digest}  {name}\n"));
        ids::Digest::of(lines.collect::<String>().as_bytes())
    }

    /// The key that an image had then which is named as the one at this place, the parent being the first.
    pub fn key_of(&self, at: usize, reference: &str) -> Option<ContentKey> {
        if at == 0 { Some(self.parent.clone()) } else { self.named.get(reference).cloned() }
    }

    /// Inputs that are not as they were at `earlier`, the image's own inputs first: `Dockerfile line 12`, `file start.sh`. Empty
    /// when the keys are the same. `parent` is what people call the parent: `parent base`, `base image debian:trixie`.
    pub fn differences(&self, earlier: &InputRecord, parent: &str) -> Vec<String> {
        let mut found = Vec::new();
        if self.version != earlier.version {
            found.push("what kolla-build compares".to_string());
        }
        if self.platform != earlier.platform {
            found.push("platform".to_string());
        }
        let lines = self.dockerfile.len().max(earlier.dockerfile.len());
        let changed = |line: &usize| self.dockerfile.get(*line) != earlier.dockerfile.get(*line);
        // One line more moves all that follow it, so only the first one is told.
        found.extend((0..lines).find(changed).map(|line| format!("Dockerfile line {}", line + 1)));
        for (what, now, before) in [
            ("file", &self.context, &earlier.context),
            ("source", &self.sources, &earlier.sources),
            ("build argument", &self.build_args, &earlier.build_args),
            ("download", &self.downloads, &earlier.downloads),
        ] {
            found.extend(changed_names(now, before).map(|name| format!("{what} {name}")));
        }
        found.extend(changed_names(&self.named, &earlier.named).map(|name| format!("image {name}")));
        if self.parent != earlier.parent {
            found.push(parent.to_string());
        }
        if found.is_empty() && self.key != earlier.key {
            // Such as an order, or an end of line.
            found.push("something that was not recorded".to_string());
        }
        found
    }
}

/// Names whose values are not the same in both, in order.
fn changed_names<'a, V: PartialEq>(
    now: &'a BTreeMap<String, V>,
    before: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = &'a String> {
    let mut names: Vec<&String> =
        now.keys().chain(before.keys()).filter(|name| now.get(*name) != before.get(*name)).collect();
    names.sort();
    names.dedup();
    names.into_iter()
}

/// Tells one text from another, and is too short to tell much of the text itself.
fn short_digest(text: &str) -> String {
    hex(&Sha256::digest(text)[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> KeyInputs {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<Vec<_>>()
        };
        KeyInputs {
            platform: "linux/amd64".to_string(),
            parent: "key of the parent".into(),
            named: vec![("tools:1".to_string(), "sha256:2".into())],
            downloads: pairs(&[("https://h/x", "etag 1")]),
            dockerfile: "FROM x\nRUN one\nRUN two\n".to_string(),
            context: pairs(&[("etc", "d"), ("start.sh", "1")]),
            sources: pairs(&[("nova-base", "sha256:1")]),
            build_args: pairs(&[("PASSWORD", "hunter2"), ("V", "1")]),
        }
    }

    fn differences(change: impl FnOnce(&mut KeyInputs)) -> Vec<String> {
        let mut changed = inputs();
        change(&mut changed);
        InputRecord::new(&changed).differences(&InputRecord::new(&inputs()), "parent base")
    }

    #[test]
    fn every_input_is_named() {
        assert_eq!(differences(|_| {}), [""; 0]);
        assert_eq!(differences(|now| now.platform = "linux/arm64".into()), ["platform"]);
        assert_eq!(differences(|now| now.parent = "other".into()), ["parent base"]);
        assert_eq!(differences(|now| now.context[1].1 = "2".into()), ["file start.sh"]);
        assert_eq!(differences(|now| drop(now.context.remove(0))), ["file etc"]);
        assert_eq!(differences(|now| now.sources[0].1 = "sha256:2".into()), ["source nova-base"]);
        assert_eq!(differences(|now| now.build_args[0].1 = "x".into()), ["build argument PASSWORD"]);
        assert_eq!(differences(|now| now.named[0].1 = "x".into()), ["image tools:1"]);
        assert_eq!(differences(|now| now.downloads.clear()), ["download https://h/x"]);
        let dockerfile = |text: &str| differences(|now| now.dockerfile = text.to_string());
        assert_eq!(dockerfile("FROM x\nRUN 1\nRUN 2\n"), ["Dockerfile line 2"]);
        assert_eq!(dockerfile("FROM x\nRUN one\n"), ["Dockerfile line 3"]);
        assert_eq!(dockerfile("FROM x\nRUN one\nRUN two"), ["something that was not recorded"]);
    }

    #[test]
    fn an_image_s_own_inputs_come_before_its_parent() {
        let found = differences(|now| {
            now.parent = "other".into();
            now.dockerfile.push_str("RUN three\n");
            now.build_args.push(("NEW".into(), String::new()));
        });
        assert_eq!(found, ["Dockerfile line 4", "build argument NEW", "parent base"]);
    }

    #[test]
    fn a_record_holds_no_value_of_a_build_argument() {
        let record = serde_json::to_string(&InputRecord::new(&inputs())).expect("JSON");
        assert!(!record.contains("hunter2"), "{record}");
        let hunter = hex(&Sha256::digest("hunter2"));
        assert!(!record.contains(&hunter), "{record}");
    }
}
