//! Platforms and the three names one architecture goes by.
//!
//! An OCI platform (`linux/arm64`), Kolla's `base_arch` (`aarch64`) and Debian's architecture (`arm64`)
//! all name the same thing; this module is the only place that translates between them.

use std::fmt;
use std::str::FromStr;

/// A processor architecture that images can be built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 64-bit x86: `x86_64`, `amd64`.
    X86_64,
    /// 64-bit ARM: `aarch64`, `arm64`.
    Aarch64,
}

impl Arch {
    /// Every architecture, in the order they are listed to users.
    pub const ALL: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

    /// Kolla's name, the value of `base_arch`.
    pub fn kolla(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// Debian's name, the value of `debian_arch`; OCI uses the same word.
    pub fn debian(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::Aarch64 => "arm64",
        }
    }

    /// The architecture this program runs on.
    pub fn host() -> Arch {
        if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 }
    }

    /// Reads any of the three spellings, in any case (`arm64` is how Apple's kernels report aarch64).
    pub fn parse(name: &str) -> Option<Arch> {
        match name.to_ascii_lowercase().as_str() {
            "x86_64" | "amd64" | "x86-64" => Some(Arch::X86_64),
            "aarch64" | "arm64" => Some(Arch::Aarch64),
            _ => None,
        }
    }
}

/// Processor architecture that an image runs on; the operating system is always `linux`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The processor architecture; of a variant nothing is said.
    pub arch: Arch,
}

impl Platform {
    /// The platform of an architecture.
    pub fn new(arch: Arch) -> Platform {
        Platform { arch }
    }

    /// True when an image that says this of itself, in OCI's words, runs on the platform. A variant that is left out is
    /// the architecture's first.
    pub fn takes(self, architecture: &str, variant: &str) -> bool {
        let first = match self.arch {
            Arch::X86_64 => "v1",
            Arch::Aarch64 => "v8",
        };
        architecture == self.arch.debian() && (variant.is_empty() || variant == first)
    }
}

impl From<Arch> for Platform {
    fn from(arch: Arch) -> Platform {
        Platform::new(arch)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.arch.debian())
    }
}

/// A platform that can't be read or isn't supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown platform '{0}': expected linux/amd64 or linux/arm64")]
pub struct UnknownPlatform(pub String);

impl FromStr for Platform {
    type Err = UnknownPlatform;

    /// Reads `linux/amd64`, `linux/arm64` or `linux/arm64/v8`.
    fn from_str(text: &str) -> Result<Platform, UnknownPlatform> {
        let unknown = || UnknownPlatform(text.to_string());
        let arch = match text.split('/').collect::<Vec<_>>().as_slice() {
            ["linux", arch] => Arch::parse(arch),
            ["linux", "arm64", "v8"] => Some(Arch::Aarch64),
            _ => None,
        };
        arch.map(Platform::new).ok_or_else(unknown)
    }
}

impl serde::Serialize for Platform {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Platform {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Platform, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_must_be_for_the_architecture_and_need_no_more_of_it() {
        let (amd64, arm64) = (Platform::new(Arch::X86_64), Platform::new(Arch::Aarch64));
        assert!(amd64.takes("amd64", "") && amd64.takes("amd64", "v1") && !amd64.takes("amd64", "v3"));
        assert!(arm64.takes("arm64", "") && arm64.takes("arm64", "v8") && !arm64.takes("arm", "v7"));
        assert!(!amd64.takes("arm64", "v8") && !amd64.takes("", ""));
    }

    #[test]
    fn the_three_spellings_agree() {
        for arch in Arch::ALL {
            assert_eq!(Arch::parse(arch.kolla()), Some(arch));
            assert_eq!(Arch::parse(arch.debian()), Some(arch));
        }
    }

    #[test]
    fn platforms_round_trip_and_refuse_what_is_not_supported() {
        for text in ["linux/amd64", "linux/arm64"] {
            assert_eq!(text.parse::<Platform>().map(|p| p.to_string()), Ok(text.to_string()));
        }
        assert_eq!("linux/arm64/v8".parse(), Ok(Platform::new(Arch::Aarch64)));
        for text in ["amd64", "linux/riscv64", "windows/amd64", "linux/amd64/v8", ""] {
            assert_eq!(text.parse::<Platform>(), Err(UnknownPlatform(text.to_string())));
        }
    }
}
