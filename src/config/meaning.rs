//! Checks of values beyond their kind: those that Kolla takes and that fail in the middle of a build [pure].

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use fancy_regex::Regex;

use super::layer::{Layers, ValueError, value_error};
use super::options::{Meaning, OptionSpec, ValueKind};
use super::value;
use crate::model::reference::Reference;
use crate::model::reference::parts::{BaseImage, BaseTag, NamePrefix, Namespace, Registry, Tag};
use crate::model::signing::CosignOptions;
use crate::util::secrets::masked;

impl Meaning {
    /// Makes sure that a value is what it should be. Whether files are there is for those to say who read them.
    fn check(self, text: &str) -> Result<(), String> {
        match self {
            Meaning::Text
            | Meaning::Prose
            | Meaning::SecretSpec
            | Meaning::Command
            | Meaning::Input(_)
            | Meaning::Output(_) => Ok(()),
            Meaning::Namespace => parsed::<Namespace>(text),
            Meaning::Tag => parsed::<Tag>(text),
            Meaning::BaseTag => parsed::<BaseTag>(text),
            _ if text.is_empty() => Ok(()),
            Meaning::Registry => parsed::<Registry>(text),
            Meaning::NamePrefix => parsed::<NamePrefix>(text),
            Meaning::BaseImage => base_image(text),
            Meaning::Regex => regex(text),
            Meaning::BuildArguments => build_arguments(text),
            Meaning::RegistryHost => registry_host(text),
            Meaning::Cosign => parsed::<CosignOptions>(text),
        }
    }
}

/// Makes sure that every value of an option that counts stands for what it should.
pub fn check(layers: &Layers, option: &OptionSpec) -> Result<(), Vec<ValueError>> {
    let mut errors = Vec::new();
    for (entry, text) in layers.counting(option).map_err(|error| vec![error])? {
        let items = match option.kind {
            ValueKind::List => value::list(&text),
            _ => vec![text],
        };
        let wrong = items.iter().filter_map(|item| option.meaning.check(item).err());
        errors.extend(wrong.map(|reason| value_error(entry, reason)));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(|_| ()).map_err(|error| error.to_string())
}

/// A regex, of Python's kind.
pub fn regex(text: &str) -> Result<(), String> {
    Regex::new(text).map(|_| ()).map_err(|error| format!("'{text}' is not a regular expression: {error}"))
}

fn base_image(text: &str) -> Result<(), String> {
    match text.parse::<Reference>() {
        Ok(Reference { registry, path, tag: Some(tag), .. }) => {
            let name = Reference { registry, path, tag: None, digest: None };
            Err(format!(
                "'{text}' has a tag, which is an option of its own: write {name}, and base_tag = {tag}"
            ))
        }
        _ => parsed::<BaseImage>(text),
    }
}

/// Names that a Dockerfile's ARG can have. Where a sign is in one, the text was cut at a colon or a comma of a value.
fn build_arguments(text: &str) -> Result<(), String> {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    let pairs = value::dict(text)?;
    let Some((written, value)) = pairs.iter().find(|(name, _)| !is_name(name)) else { return Ok(()) };
    Err(match written.split_once('=') {
        Some((name, start)) if is_name(name) => format!(
            "'{name}={}' is not the name of a build argument: write {name}:{}, with a colon behind the name",
            masked(name, start),
            masked(name, &format!("{start}:{value}"))
        ),
        _ if written.contains(',') => {
            format!("'{written}' is not the name of a build argument: a value can't hold a comma")
        }
        _ => format!(
            "'{written}' is not the name of a build argument: expected NAME:value,NAME:value with names of letters, \
             digits and '_'"
        ),
    })
}

fn registry_host(text: &str) -> Result<(), String> {
    let is_network = text.split_once('/').is_some_and(|(address, bits)| {
        let longest = match address.parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|bits| bits <= longest)
    });
    if is_network || text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    match text.parse::<Registry>() {
        Ok(host) if host.as_str().contains('/') => {
            Err(format!("'{text}' is neither a registry's HOST[:PORT] nor a network (ADDRESS/BITS)"))
        }
        other => other.map(|_| ()).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    fn told(meaning: Meaning, text: &str) -> String {
        meaning.check(text).expect_err(text)
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_text_means_something_or_is_refused_with_a_word(
            text in text_of(&["a", "A", ":", "=", ",", "/", "@", "(", "[", "\\", "sha256", "10.0.0.0", "::1", " #"])
        ) {
            for meaning in [Meaning::Registry, Meaning::Namespace, Meaning::NamePrefix, Meaning::Tag, Meaning::BaseImage,
                Meaning::BaseTag, Meaning::Regex, Meaning::BuildArguments, Meaning::RegistryHost, Meaning::Cosign] {
                if let Err(told) = meaning.check(&text) {
                    prop_assert!(!told.is_empty());
                }
            }
        }
    }

    #[test]
    fn names_of_build_arguments_are_never_cut_out_of_values() {
        let check = |text: &str| Meaning::BuildArguments.check(text);
        assert_eq!(check("A:1,http_proxy:http://p:3128/,B:"), Ok(()));
        assert_eq!(check(""), Ok(()));
        assert_eq!(
            told(Meaning::BuildArguments, "SPEC=git+https://h/x@v1"),
            "'SPEC=git+https' is not the name of a build argument: write SPEC:git+https://h/x@v1, with a colon behind \
             the name"
        );
        assert_eq!(
            told(Meaning::BuildArguments, "NO_PROXY:a,b,FTP_PROXY:c"),
            "'b,FTP_PROXY' is not the name of a build argument: a value can't hold a comma"
        );
        assert!(!told(Meaning::BuildArguments, "DB_PASSWORD=hush:hush").contains("hush"));
        assert!(told(Meaning::BuildArguments, "{A:1}").contains("expected NAME:value"));
    }

    #[test]
    fn hosts_and_networks_of_registries() {
        for text in ["r.example:5000", "10.0.0.0/8", "10.0.0.1", "fd00::/8", "::1", "[::1]:5000", ""] {
            assert_eq!(Meaning::RegistryHost.check(text), Ok(()), "{text}");
        }
        assert!(
            told(Meaning::RegistryHost, "http://r.example").ends_with("write r.example, without http://")
        );
        assert!(told(Meaning::RegistryHost, "r.example/kolla").contains("is neither"));
        assert!(told(Meaning::RegistryHost, "10.0.0.0/33").contains("is neither"));
    }

    #[test]
    fn a_base_image_has_its_tag_elsewhere() {
        assert_eq!(Meaning::BaseImage.check("r:5000/debian"), Ok(()));
        assert_eq!(
            told(Meaning::BaseImage, "r:5000/debian:trixie"),
            "'r:5000/debian:trixie' has a tag, which is an option of its own: write r:5000/debian, and base_tag = trixie"
        );
    }

    #[test]
    fn what_is_empty_is_not_given_unless_nothing_can_take_its_place() {
        for meaning in [Meaning::Registry, Meaning::NamePrefix, Meaning::BaseImage, Meaning::Regex] {
            assert_eq!(meaning.check(""), Ok(()));
        }
        for meaning in [Meaning::Namespace, Meaning::Tag, Meaning::BaseTag] {
            assert!(meaning.check("").is_err());
        }
    }
}
