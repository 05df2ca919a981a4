//! `--secret`: what the RUN steps of a build can read, and what is nowhere else.
//!
//! Values are read once, live in memory, and are handed to the engine when a step asks for them. They are never shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::util::mask::Mask;

use crate::util::input;

/// BuildKit takes no larger ones.
const LARGEST: usize = 500 * 1024;

/// One `--secret`: `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`, and where RUN steps find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpec {
    /// The name that RUN steps mount it by.
    pub id: String,
    /// Where its value is.
    pub origin: SecretOrigin,
    /// `target`, `mode`, `uid` and `gid` of the mount, those that were given.
    placement: Vec<(&'static str, String)>,
}

/// Where a secret's value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// A file, whose whole content is the secret.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

impl fmt::Display for SecretOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretOrigin::File(path) => path.display().fmt(f),
            SecretOrigin::Variable(name) => write!(f, "the variable {name}"),
        }
    }
}

/// A `--secret` that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no secret: {reason}; expected id=NAME,src=FILE or id=NAME,env=VARIABLE[,target=PATH][,mode=0400][,uid=N][,gid=N]"
)]
pub struct InvalidSecret {
    text: String,
    reason: SecretProblem,
}

/// Mistake in a `--secret`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum SecretProblem {
    #[error("'{0}' is not written name=value")]
    NoPair(String),
    #[error("{0} is there twice")]
    Twice(String),
    #[error("there is no type '{0}'")]
    Type(String),
    #[error("its id must be a word of letters, digits, '.', '_' and '-'")]
    Id,
    #[error("it needs either src or env")]
    Origin,
    #[error("'{value}' can't be its {name}")]
    Placement { name: &'static str, value: String },
    #[error("there is no '{0}'")]
    Unknown(String),
}

impl FromStr for SecretSpec {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<SecretSpec, InvalidSecret> {
        parse(text).map_err(|reason| InvalidSecret { text: text.into(), reason })
    }
}

fn parse(text: &str) -> Result<SecretSpec, SecretProblem> {
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| SecretProblem::NoPair(part.into()))?;
        let name = match name.trim() {
            "source" => "src",
            "dst" | "destination" => "target",
            name => name,
        };
        if fields.insert(name, value.trim()).is_some() {
            return Err(SecretProblem::Twice(name.into()));
        }
    }
    match fields.remove("type") {
        None | Some("file" | "env") => {}
        Some(other) => return Err(SecretProblem::Type(other.into())),
    }
    let id = fields.remove("id").unwrap_or_default();
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(SecretProblem::Id);
    }
    let origin = match (fields.remove("src"), fields.remove("env")) {
        (Some(path), None) if !path.is_empty() => SecretOrigin::File(PathBuf::from(path)),
        (None, Some(variable)) if !variable.is_empty() => SecretOrigin::Variable(variable.into()),
        _ => return Err(SecretProblem::Origin),
    };
    let mut placement = Vec::new();
    for name in ["target", "mode", "uid", "gid"] {
        let Some(value) = fields.remove(name) else { continue };
        let is_right = match name {
            "target" => value.starts_with('/') && !value.contains(char::is_whitespace),
            "mode" => u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o777),
            _ => value.parse::<u32>().is_ok(),
        };
        if !is_right {
            return Err(SecretProblem::Placement { name, value: value.into() });
        }
        placement.push((name, value.into()));
    }
    match fields.into_keys().next() {
        Some(unknown) => Err(SecretProblem::Unknown(unknown.into())),
        None => Ok(SecretSpec { id: id.into(), origin, placement }),
    }
}

impl SecretSpec {
    /// The flag by which a RUN step gets it.
    pub fn mount(&self) -> String {
        let placement: String =
            self.placement.iter().map(|(name, value)| format!(",{name}={value}")).collect();
        format!("--mount=type=secret,id={},required=true{placement}", self.id)
    }

    fn read(&self, env: &BTreeMap<String, String>) -> Result<Vec<u8>, SecretError> {
        let unusable = |fault| SecretError { id: self.id.clone(), origin: self.origin.clone(), fault };
        let value = match &self.origin {
            SecretOrigin::File(path) => {
                input::read(path).map_err(|error| unusable(SecretFault::Unreadable(error)))?
            }
            SecretOrigin::Variable(name) => {
                env.get(name).ok_or_else(|| unusable(SecretFault::Unset))?.clone().into_bytes()
            }
        };
        match value.len() {
            0 => Err(unusable(SecretFault::Empty)),
            length if length > LARGEST => Err(unusable(SecretFault::TooLarge)),
            _ => Ok(value),
        }
    }
}

/// A secret whose value can't be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret '{id}': {origin}{fault}")]
pub struct SecretError {
    id: String,
    origin: SecretOrigin,
    fault: SecretFault,
}

/// Fault of a secret's value, told behind its place.
#[derive(Debug, thiserror::Error)]
enum SecretFault {
    #[error(": {0}")]
    Unreadable(std::io::Error),
    #[error(" is not set")]
    Unset,
    #[error(" is empty")]
    Empty,
    #[error(" holds more than {} KiB", LARGEST / 1024)]
    TooLarge,
}

/// Values of a run's secrets, and all texts that nothing may show.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Known>);

#[derive(Default)]
struct Known {
    values: BTreeMap<String, Vec<u8>>,
    mask: Mask,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads the values. `others` are further texts that logs must not show.
    pub fn read(
        specs: &[SecretSpec],
        env: &BTreeMap<String, String>,
        others: impl IntoIterator<Item = String>,
    ) -> Result<Secrets, SecretError> {
        let mut known = Known::default();
        for spec in specs {
            known.values.insert(spec.id.clone(), spec.read(env)?);
        }
        let others: Vec<String> = others.into_iter().collect();
        let values = known.values.values().map(Vec::as_slice);
        known.mask = Mask::new(values.chain(others.iter().map(String::as_bytes)));
        Ok(Secrets(Arc::new(known)))
    }

    /// Secrets of no build: texts that must not be shown.
    pub fn of_texts(texts: impl IntoIterator<Item = String>) -> Secrets {
        let texts: Vec<String> = texts.into_iter().collect();
        let mask = Mask::new(texts.iter().map(String::as_bytes));
        Secrets(Arc::new(Known { mask, ..Known::default() }))
    }

    /// A secret's value by its id.
    pub fn value(&self, id: &str) -> Option<&[u8]> {
        self.0.values.get(id).map(Vec::as_slice)
    }

    /// A text without any of the values, in whatever form they are in it.
    pub fn hide(&self, text: String) -> String {
        match self.0.mask.hide(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(hidden) => hidden,
        }
    }

    /// Where to cut a text, see [`Mask::cut`].
    pub fn cut(&self, text: &str, at: usize) -> usize {
        self.0.mask.cut(text, at)
    }

    /// The longest text that is hidden, in bytes.
    pub fn longest(&self) -> usize {
        self.0.mask.longest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> SecretSpec {
        text.parse().expect(text)
    }

    #[test]
    fn a_spec_says_where_the_value_is_and_where_steps_find_it() {
        assert_eq!(spec("id=a,src=/b").mount(), "--mount=type=secret,id=a,required=true");
        assert_eq!(spec("type=env,id=a,env=B").origin, SecretOrigin::Variable("B".to_string()));
        let placed = spec("id=ca.pem,source=x,dst=/etc/ssl/ca.pem,mode=0444,uid=0,gid=5");
        assert_eq!(
            placed.mount(),
            "--mount=type=secret,id=ca.pem,required=true,target=/etc/ssl/ca.pem,mode=0444,uid=0,gid=5"
        );
    }

    #[test]
    fn what_is_no_spec_is_told() {
        for (text, word) in [
            ("a", "not written name=value"),
            ("src=/b", "its id must be"),
            ("id=a b,src=/b", "its id must be"),
            ("id=a", "either src or env"),
            ("id=a,src=/b,env=C", "either src or env"),
            ("id=a,src=/b,target=b", "can't be its target"),
            ("id=a,src=/b,mode=rw", "can't be its mode"),
            ("id=a,src=/b,size=1", "no 'size'"),
            ("id=a,id=b,src=/b", "id is there twice"),
            ("id=a,src=/b,type=ssh", "no type 'ssh'"),
        ] {
            let error = text.parse::<SecretSpec>().expect_err(text).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn values_are_masked_and_never_shown() {
        let env = BTreeMap::from([("TOKEN".to_string(), "first line\nsecond\nab\n".to_string())]);
        let secrets = Secrets::read(&[spec("id=t,env=TOKEN")], &env, ["p4ss".to_string()]).expect("read");
        assert_eq!(secrets.hide("x first line y second ab u:p4ss@h".to_string()), "x *** y *** ab u:***@h");
        assert_eq!(secrets.value("t"), Some("first line\nsecond\nab\n".as_bytes()));
        assert!(!format!("{secrets:?}").contains("line"));
    }

    #[test]
    fn a_value_that_is_not_there_is_told_without_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let empty = directory.path().join("empty");
        std::fs::write(&empty, "").expect("a file");
        let told =
            |text: &str| Secrets::read(&[spec(text)], &BTreeMap::new(), []).expect_err(text).to_string();
        assert_eq!(told("id=a,env=NONE"), "cannot read the secret 'a': the variable NONE is not set");
        assert!(told("id=a,src=/nowhere/x").contains("/nowhere/x: No such file"));
        assert!(told(&format!("id=a,src={}", empty.display())).ends_with("is empty"));
    }
}
