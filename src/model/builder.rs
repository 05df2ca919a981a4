//! The builders of an engine, and what each of them alone can do [pure].

use std::fmt;
use std::str::FromStr;

use super::ids::ImageName;
use super::platform::{Arch, Platform};
use super::reference::Reference;
use super::secret::SecretSpec;

/// A builder of an engine, with what it alone can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Builder {
    /// Docker's BuildKit, with what it alone can do.
    BuildKit {
        /// Secrets that RUN steps can read.
        secrets: Vec<SecretSpec>,
        /// Images to take layers from.
        cache_from: Vec<CacheSource>,
        /// Write into images what others need to take their layers.
        inline_cache: bool,
    },
    /// Docker's classic builder, or Podman's own.
    Classic {
        /// Make one layer of what a build adds.
        squash: bool,
        /// Keep containers of failed builds.
        keep: bool,
    },
}

impl Default for Builder {
    /// BuildKit with nothing more said of it.
    fn default() -> Builder {
        Builder::BuildKit { secrets: Vec::new(), cache_from: Vec::new(), inline_cache: false }
    }
}

impl Builder {
    /// Secrets that RUN steps can read.
    pub fn secrets(&self) -> &[SecretSpec] {
        match self {
            Builder::BuildKit { secrets, .. } => secrets,
            Builder::Classic { .. } => &[],
        }
    }

    /// Flags that every RUN step gets.
    pub fn run_flags(&self) -> Vec<String> {
        self.secrets().iter().map(SecretSpec::mount).collect()
    }

    /// True when what a build adds becomes one layer.
    pub fn squashes(&self) -> bool {
        matches!(self, Builder::Classic { squash: true, .. })
    }

    /// The builder as it builds one image for a platform.
    pub fn of(&self, image: &ImageName, platform: Platform) -> Builder {
        let mut builder = self.clone();
        if let Builder::BuildKit { cache_from, .. } = &mut builder {
            cache_from.iter_mut().for_each(|source| *source = source.of(image, platform));
        }
        builder
    }
}

/// An image in a registry whose layers may be taken instead of being built. In its name `{image}` and `{arch}` may stand for
/// the image that is built and its architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSource(String);

impl CacheSource {
    /// The one for an image on a platform.
    fn of(&self, image: &ImageName, platform: Platform) -> CacheSource {
        CacheSource(cache_of(&self.0, image, platform))
    }
}

impl fmt::Display for CacheSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that names no image to take layers from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not the reference of an image: expected [REGISTRY/]NAME[:TAG], in lower case, without a scheme"
)]
pub struct InvalidCacheSource(String);

impl FromStr for CacheSource {
    type Err = InvalidCacheSource;

    fn from_str(text: &str) -> Result<CacheSource, InvalidCacheSource> {
        let example = cache_of(text, "image", Platform::new(Arch::X86_64));
        match example.parse::<Reference>() {
            Ok(_) => Ok(CacheSource(text.to_string())),
            Err(_) => Err(InvalidCacheSource(text.to_string())),
        }
    }
}

/// A cache's name for an image on a platform: they stand in place of `{image}` and `{arch}` (`aarch64`).
pub fn cache_of(name: &str, image: &str, platform: Platform) -> String {
    name.replace("{image}", image).replace("{arch}", platform.arch.kolla())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_taken_from_the_image_s_own_cache() {
        let source: CacheSource = "registry:5000/cache/{image}:{arch}".parse().expect("a reference");
        let builder = Builder::BuildKit { secrets: Vec::new(), cache_from: vec![source], inline_cache: true };
        let Builder::BuildKit { cache_from, inline_cache: true, .. } =
            builder.of(&"nova-api".into(), Arch::Aarch64.into())
        else {
            panic!("another builder")
        };
        let shown: Vec<String> = cache_from.iter().map(CacheSource::to_string).collect();
        assert_eq!(shown, ["registry:5000/cache/nova-api:aarch64"]);
        assert!("https://registry/{image}".parse::<CacheSource>().is_err());
    }
}
