//! Labels that every image gets beside those of its Dockerfile: OCI's annotation keys, Kolla's build-date, and ours that
//! tell what an image was made from.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ids::ImageName;

/// The label that carries an image's content key.
pub const KEY_LABEL: &str = "kolla-build.key";
/// The label that carries the engine's id of the image it was built on. The key alone would not tell that a parent was
/// built anew from the same inputs, with newer packages in it.
pub const PARENT_LABEL: &str = "kolla-build.parent";
/// The label that carries the ids of the other images that its Dockerfile names, in their order.
pub const NAMED_LABEL: &str = "kolla-build.named";

/// The label that carries the time of an image's build.
pub const CREATED_LABEL: &str = "org.opencontainers.image.created";

/// The label that carries an image's tag: the last of those that every build gives, in the order of their names.
pub const VERSION_LABEL: &str = "org.opencontainers.image.version";

/// Where Kolla lives; its labels name it as the images' home.
const HOME: &str = "https://opendev.org/openstack/kolla";

/// When images and their build contexts count as made, if SOURCE_DATE_EPOCH says so
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub fn source_date_epoch(value: Option<&str>) -> Result<Option<Timestamp>, String> {
    let Some(text) = value.filter(|text| !text.is_empty()) else { return Ok(None) };
    let seconds = text.parse::<u64>().ok().and_then(|seconds| i64::try_from(seconds).ok());
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(Some).ok_or_else(|| format!("SOURCE_DATE_EPOCH is '{text}', not a number of seconds since 1970"))
}

/// The labels of one image.
pub fn image_labels(
    image: &ImageName,
    tag: &str,
    maintainer: &str,
    created: Timestamp,
) -> BTreeMap<String, String> {
    let description = format!("OpenStack Kolla {image} image");
    let time = |format| created.strftime(format).to_string();
    let labels = [
        ("org.opencontainers.image.title", image.as_str()),
        ("org.opencontainers.image.description", &description),
        (VERSION_LABEL, tag),
        (CREATED_LABEL, &time("%Y-%m-%dT%H:%M:%SZ")),
        ("org.opencontainers.image.authors", maintainer),
        ("org.opencontainers.image.url", HOME),
        ("org.opencontainers.image.licenses", "Apache-2.0"),
        ("build-date", &time("%Y%m%d")),
    ];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever cleans up goes by it: the classic builder gives them one by one.
    #[test]
    fn the_version_is_the_last_label() {
        let labels = image_labels(&"nova-api".into(), "t", "me", Timestamp::UNIX_EPOCH);
        let ours = [KEY_LABEL, PARENT_LABEL, NAMED_LABEL];
        assert_eq!(labels.keys().map(String::as_str).chain(ours).max(), Some(VERSION_LABEL));
    }

    #[test]
    fn the_epoch_of_the_environment_makes_labels_reproducible() {
        let created = source_date_epoch(Some("1700000000")).expect("a number").expect("a time");
        let labels = image_labels(&"nova-api".into(), "t", "me", created);
        assert_eq!(labels["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
        assert_eq!(labels["build-date"], "20231114");
        assert_eq!(labels["org.opencontainers.image.description"], "OpenStack Kolla nova-api image");
        for wrong in ["yesterday", "-1", "1e9"] {
            assert!(source_date_epoch(Some(wrong)).expect_err("no number").contains(wrong));
        }
        assert_eq!([None, Some("")].map(source_date_epoch), [Ok(None), Ok(None)]);
    }
}
