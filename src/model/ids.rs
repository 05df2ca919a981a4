//! Identities: texts that stand for an image or for content, each of a type of its own so that none passes for another
//! [pure].

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::util::hex::{hex, is_lower_hex};

/// A type that holds a text, is cheap to clone, and is serialized as the text.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text, as it is serialized.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                &*self.0 == text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                &*self.0 == *text
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

/// A [`text_type`] that any text makes.
macro_rules! any_text_type {
    ($(#[$doc:meta])* $name:ident) => {
        text_type! { $(#[$doc])* $name }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> $name {
                $name(text.into())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer).map($name::from)
            }
        }
    };
}

any_text_type! {
    /// Hash of everything that an image is made from, in hexadecimal digits. For an image that this program has not built,
    /// its id in the engine takes this place.
    ContentKey
}

any_text_type! {
    /// An engine's id of an image: `sha256:...`. Engines that keep images as containerd does take the digest of the
    /// manifest for it, others that of the configuration.
    ImageId
}

any_text_type! {
    /// An image's own name: that of its directory, without registry, namespace, prefix and tag.
    ImageName
}

impl Deref for ImageName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

text_type! {
    /// Digest of a blob or a manifest, as registries name it: `sha256:` and 64 lower-case hexadecimal digits.
    Digest
}

/// Text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no sha256 digest")]
pub struct InvalidDigest(String);

impl Digest {
    /// The digest that content has.
    pub fn of(content: &[u8]) -> Digest {
        Digest(format!("sha256:{}", hex(&Sha256::digest(content))).into())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Digest, InvalidDigest> {
        match text.strip_prefix("sha256:") {
            Some(digits) if digits.len() == 64 && is_lower_hex(digits) => Ok(Digest(text.into())),
            _ => Err(InvalidDigest(text.to_string())),
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl From<&Digest> for ImageId {
    fn from(digest: &Digest) -> ImageId {
        ImageId(digest.0.clone())
    }
}

impl From<&ImageId> for ContentKey {
    fn from(id: &ImageId) -> ContentKey {
        ContentKey(id.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_serialized_as_its_text() {
        let id = ImageId::from("sha256:1");
        assert_eq!(serde_json::to_string(&id).expect("JSON"), r#""sha256:1""#);
        assert_eq!(serde_json::from_str::<ContentKey>(r#""0a""#).expect("a text"), "0a");
        assert_eq!(ContentKey::from(&id), "sha256:1");
    }

    #[test]
    fn a_digest_is_sha256_in_lower_case() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b""), empty);
        assert_eq!(empty.parse(), Ok(Digest::of(b"")));
        for text in ["", "sha256:", "sha256:e3b0", &empty.to_uppercase(), &empty[7..], &format!("{empty}0")] {
            assert_eq!(text.parse::<Digest>(), Err(InvalidDigest(text.to_string())));
            assert!(serde_json::from_value::<Digest>(text.into()).is_err());
        }
    }
}
