//! Identities: texts that stand for an image or for content, each of a type of its own so that none passes for another
//! [pure].

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
}
