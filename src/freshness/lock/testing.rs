//! Sources, images and a lock file for tests.

use std::collections::BTreeMap;

use super::{BasePin, Lock, SourcePin};
use crate::config::source::{Source, SourceOrigin};
use crate::engine::ImageFacts;
use crate::model::platform::{Arch, Platform};
use crate::testing::named;

pub(super) const AMD64: Platform = Platform { arch: Arch::X86_64 };
pub(super) const ARM64: Platform = Platform { arch: Arch::Aarch64 };

/// A base image's digest.
pub(super) const DIGEST: &str = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

pub(super) fn source(section: &str, origin: SourceOrigin) -> Source {
    Source { section: section.to_string(), origin, sha256: None }
}

pub(super) fn url(location: &str) -> Source {
    source("etcd", SourceOrigin::Url(location.to_string()))
}

pub(super) fn git(reference: &str) -> Source {
    let (url, reference) = ("https://me:hush@host/nova?token=hush".to_string(), reference.to_string());
    source("nova-base", SourceOrigin::Git { url, reference, commit: None })
}

pub(super) fn pypi(version: &str) -> Source {
    source("keystone", SourceOrigin::Pypi { package: "keystone".to_string(), version: version.to_string() })
}

pub(super) fn image(digests: &[&str]) -> ImageFacts {
    ImageFacts {
        id: "sha256:id".into(),
        architecture: "amd64".to_string(),
        variant: String::new(),
        labels: BTreeMap::new(),
        size: 0,
        layers: 1,
        repo_digests: digests.iter().map(|digest| named(digest)).collect(),
    }
}

pub(super) fn lock() -> Lock {
    let pins = |source: Source, content: [&str; 2]| {
        [(AMD64, content[0]), (ARM64, content[1])]
            .map(|(platform, content)| (source.section.clone(), platform, SourcePin::new(&source, content)))
    };
    let sources = [
        pins(url("http://h/etcd"), ["aa", "bb"]),
        pins(git("master"), ["cc", "cc"]),
        pins(pypi("30.0.0"), ["dd", "dd"]),
        pins(source("extra", SourceOrigin::Local("./extra".into())), ["ee", "ee"]),
    ];
    let bases = [
        (
            "debian:trixie",
            AMD64,
            BasePin::new(&named("debian:trixie"), &image(&[&format!("debian@{DIGEST}")])),
        ),
        ("debian:trixie", ARM64, BasePin::new(&named("debian:trixie"), &image(&[]))),
    ];
    Lock::new(
        sources.into_iter().flatten(),
        bases.map(|(reference, platform, pin)| (named(reference), platform, pin)),
    )
}
