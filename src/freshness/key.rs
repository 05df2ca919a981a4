//! The content key: what an image is made from, in one word [pure].

use std::borrow::Borrow;

use sha2::{Digest, Sha256};

use crate::model::ids::ContentKey;
use crate::util::hex::hex;

/// Version of what a content key covers and how; a new one makes every image be built once more.
pub(super) const KEY_VERSION: &str = "1";

/// Everything that decides what an image's content is. Times, volatile labels and proxies are not among it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyInputs {
    /// Platform that it is built for.
    pub platform: String,
    /// The parent's content key, or the engine's id of the base image.
    pub parent: ContentKey,
    /// Other images that the Dockerfile names: reference, and content key or id.
    pub named: Vec<(String, ContentKey)>,
    /// Downloads that the Dockerfile does not pin: location, and what identifies it.
    pub downloads: Vec<(String, String)>,
    /// Text of the rendered Dockerfile.
    pub dockerfile: String,
    /// Static files of the context: name, and a digest of mode and content.
    pub context: Vec<(String, String)>,
    /// Sources: section, and what identifies the content.
    pub sources: Vec<(String, String)>,
    /// Build arguments without proxies.
    pub build_args: Vec<(String, String)>,
}

impl KeyInputs {
    /// The content key: sha256 in hex over every input, each with its length so that none can pass for another.
    pub fn key(&self) -> ContentKey {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        for text in [KEY_VERSION, &self.platform, self.parent.as_str(), &self.dockerfile] {
            add(text);
        }
        let mut lists = vec![texts(&self.context), texts(&self.sources), texts(&self.build_args)];
        if !self.named.is_empty() || !self.downloads.is_empty() {
            // Most images have none: their keys are what they were when nobody asked.
            lists.extend([texts(&self.named), texts(&self.downloads)]);
        }
        for pairs in lists {
            add(&pairs.len().to_string());
            for (name, value) in pairs {
                add(name);
                add(value);
            }
        }
        hex(&hash.finalize()).into()
    }
}

fn texts<V: Borrow<str>>(pairs: &[(String, V)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.borrow())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_counts_and_none_passes_for_another() {
        let pair = |a: &str, b: &str| vec![(a.to_string(), b.to_string())];
        let base = KeyInputs { dockerfile: "FROM x".to_string(), ..KeyInputs::default() };
        let variants = [
            base.clone(),
            KeyInputs { platform: "linux/arm64".to_string(), ..base.clone() },
            KeyInputs { parent: "k".into(), ..base.clone() },
            KeyInputs { dockerfile: "FROM y".to_string(), ..base.clone() },
            KeyInputs { context: pair("a", "b"), ..base.clone() },
            KeyInputs { named: vec![("a".to_string(), "b".into())], ..base.clone() },
            KeyInputs { downloads: pair("a", "b"), ..base.clone() },
            KeyInputs { context: pair("ab", ""), ..base.clone() },
            KeyInputs { sources: pair("a", "b"), ..base.clone() },
            KeyInputs { build_args: pair("a", "b"), ..base.clone() },
        ];
        let keys: std::collections::BTreeSet<ContentKey> = variants.iter().map(KeyInputs::key).collect();
        assert_eq!(keys.len(), variants.len());
        assert_eq!(base.key(), base.clone().key());
        assert_eq!(base.key().as_str().len(), 64);
    }
}
