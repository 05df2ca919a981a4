//! Digests that release files name (`--keep-release`).

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::error::{EXIT_USAGE, Fatal};
use crate::model::ids::Digest;
use crate::util::input;

/// The format that is known.
const VERSION: u64 = 1;

/// The digests of every image of a release, and of each of its platforms.
pub fn digests(path: &Path) -> Result<BTreeSet<Digest>, Fatal> {
    let failed = |reason: String| Fatal::of_file("read the release", path, reason, EXIT_USAGE);
    let text = input::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    read(&text).map_err(failed)
}

fn read(text: &str) -> Result<BTreeSet<Digest>, String> {
    let release: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match release["release_version"].as_u64() {
        Some(VERSION) => {}
        Some(other) => return Err(format!("it is of version {other}, and only {VERSION} is known")),
        None => return Err("it has no release_version, and is no release".to_string()),
    }
    let images = release["images"].as_array().ok_or("it has no images")?;
    let mut digests = BTreeSet::new();
    for image in images {
        let name = image["name"].as_str().unwrap_or("an image");
        let platforms = image["platforms"].as_object();
        for named in platforms.into_iter().flat_map(|platforms| platforms.values()).chain([image]) {
            let text = named["digest"].as_str().ok_or_else(|| format!("{name} has no digest"))?;
            digests.insert(text.parse().map_err(|error| format!("{name}: {error}"))?);
        }
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_counts_and_none_is_guessed() {
        let [one, other] = ["1", "2"].map(|content| Digest::of(content.as_bytes()));
        let release = |digest: &str| {
            format!(
                r#"{{"release_version": 1, "images": [{{"name": "nova", "digest": "{one}", "platforms": {{"linux/amd64": {{"digest": "{digest}"}}}}}}]}}"#
            )
        };
        assert_eq!(read(&release(other.as_str())), Ok([one.clone(), other].into()));
        for (text, reason) in [
            (release("x").as_str(), "nova: 'x' is no sha256 digest"),
            (r#"{"release_version": 2}"#, "it is of version 2, and only 1 is known"),
            ("{}", "it has no release_version, and is no release"),
            (r#"{"release_version": 1}"#, "it has no images"),
            (r#"{"release_version": 1, "images": [{"name": "nova"}]}"#, "nova has no digest"),
        ] {
            assert_eq!(read(text), Err(reason.to_string()));
        }
    }
}
