//! Credentials for registries, from where the Docker command line keeps them.
//!
//! `config.json` in `DOCKER_CONFIG` or `~/.docker`: `auths` holds them itself, `credHelpers` (by registry) and `credsStore`
//! (for all) name programs `docker-credential-NAME` that do, see <https://docs.docker.com/reference/cli/docker/login/>.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use tokio::process::Command;

use crate::util::input;
use crate::util::{plain, process};

/// Docker's name of its own registry in this file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// Bytes that a helper may write; credentials are short.
const LONGEST_ANSWER: usize = 1 << 20;
/// So much of what a failed one says is told.
const SHOWN: usize = 500;
/// The user name by which a helper says that its secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// Credentials that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("cannot read {path}, which holds registry credentials, proxies and Docker's context: {reason}")]
    File {
        /// Path of the configuration file.
        path: String,
        /// The mistake, by its place; never any of the file's content.
        reason: String,
    },
    /// A helper program failed.
    #[error("docker-credential-{helper} gives no credentials for {registry}: {reason}")]
    Helper {
        /// Name of the program behind `docker-credential-`.
        helper: String,
        /// The registry's name, as the helper was asked for it.
        registry: String,
        /// The helper's own words, or the system's.
        reason: String,
    },
}

/// Credentials to show a registry. Their secrets are never shown to anybody else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// User name; none with a token alone.
    pub username: Option<String>,
    /// Password or access token of the user.
    pub password: Option<String>,
    /// Refresh token, in place of a password, to ask for tokens with.
    pub identity_token: Option<String>,
    /// A token for the registry itself.
    pub registry_token: Option<String>,
    /// The registry's name in the file.
    pub server: String,
    /// Where it comes from, for people.
    pub source: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Credential {
    /// User name and password, if it is these.
    pub fn basic(&self) -> Option<(String, String)> {
        Some((self.username.clone()?, self.password.clone()?))
    }
}

/// Where credentials come from.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// The file that they were read from.
    #[serde(skip)]
    file: String,
    /// Why the file can't be read, if it can't.
    #[serde(skip)]
    broken: Option<String>,
    /// How long a helper may say nothing.
    #[serde(skip)]
    patience: Duration,
    auths: BTreeMap<String, Auth>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("registries", &self.auths.keys()).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads `config.json` in a directory; no file means no credentials, and one that can't be read has none, which
    /// [`Credentials::broken`] tells. A helper that says nothing for `patience` is given up.
    pub fn load(dir: &Path, patience: Duration) -> Credentials {
        let path = dir.join("config.json");
        let file = path.display().to_string();
        let none = |reason: Option<String>| Credentials { broken: reason, ..Credentials::default() };
        let read = match input::read(&path) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => none(Some("it is empty".to_string())),
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                // The error's own text may quote what stands in the file.
                let (line, column) = (error.line(), error.column());
                none(Some(format!("line {line}, column {column} is not as it should be")))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return none(None),
            Err(error) => none(Some(error.to_string())),
        };
        Credentials { file, patience, ..read }
    }

    /// The same with a user and a password for a registry, Docker's own for none, before all others.
    #[must_use]
    pub fn with_login(mut self, registry: Option<&str>, username: &str, password: &str) -> Credentials {
        let key = match registry {
            None | Some("docker.io" | "index.docker.io") => DOCKER_HUB,
            Some(named) => host_of(named),
        };
        let (username, password) = (Some(username.to_string()), Some(password.to_string()));
        self.auths.insert(key.to_string(), Auth { username, password, ..Auth::default() });
        self.helpers.remove(key);
        self.store = None;
        self
    }

    /// Why there are no credentials in the file that there is; never any of its content.
    pub fn broken(&self) -> Option<CredentialsError> {
        let reason = self.broken.clone()?;
        Some(CredentialsError::File { path: self.file.clone(), reason })
    }

    /// Words for people about what a registry is shown; never a secret.
    pub fn shown(&self, credential: Option<&Credential>, registry: &str) -> String {
        match (credential, self.broken()) {
            (Some(credential), _) => credential.source.clone(),
            (None, Some(broken)) => format!("nothing: {broken}"),
            (None, None) => format!("nothing, for there are no credentials for {registry}"),
        }
    }

    /// True when there are none for any registry.
    pub fn is_empty(&self) -> bool {
        self.auths.is_empty() && self.store.is_none() && self.helpers.is_empty()
    }

    /// The credential for a registry's host, none for Docker's own; nothing when there is none.
    pub async fn find(&self, registry: Option<&str>) -> Result<Option<Credential>, CredentialsError> {
        let key = match registry {
            None | Some("docker.io" | "index.docker.io") => DOCKER_HUB,
            Some(host) => host,
        };
        if let Some(helper) = self.helpers.get(key).or(self.store.as_ref()) {
            return ask_helper(helper, key, self.patience).await;
        }
        let entry = self.auths.iter().find(|(name, _)| name.as_str() == key || host_of(name) == key);
        let Some((name, auth)) = entry else { return Ok(None) };
        let decoded = auth.auth.as_deref().and_then(decode_auth);
        let (username, password) = match decoded {
            Some((username, password)) => (Some(username), Some(password)),
            None => (auth.username.clone(), auth.password.clone()),
        };
        Ok(Some(Credential {
            username,
            password,
            identity_token: auth.identitytoken.clone(),
            registry_token: auth.registrytoken.clone(),
            server: key.to_string(),
            source: format!("what {} holds for {name}", self.file),
        }))
    }
}

/// The host in a key such as `https://registry.example/v2/`.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// User and password, from their base64 form `user:password`.
fn decode_auth(auth: &str) -> Option<(String, String)> {
    let bytes = BASE64_STANDARD.decode(auth).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| (user.to_string(), password.trim_end_matches('\0').to_string()))
}

async fn ask_helper(
    helper: &str,
    registry: &str,
    patience: Duration,
) -> Result<Option<Credential>, CredentialsError> {
    let failed = |reason: String| CredentialsError::Helper {
        helper: helper.to_string(),
        registry: registry.to_string(),
        reason,
    };
    let mut command = Command::new(format!("docker-credential-{helper}"));
    command.arg("get");
    let ended = process::run(&mut command, registry.as_bytes(), patience, LONGEST_ANSWER)
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.output).trim().to_string();
        // The protocol has no other sign for this.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let shown: String = said.chars().take(SHOWN).collect();
        return Err(failed(plain::line(&shown)));
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&ended.output).map_err(|_| failed("its answer can't be read".to_string()))?;
    let is_token = answer.username == TOKEN_USER;
    let (token, password) = if is_token { (Some(answer.secret), None) } else { (None, Some(answer.secret)) };
    Ok(Some(Credential {
        username: (!is_token).then_some(answer.username),
        password,
        identity_token: token,
        registry_token: None,
        server: registry.to_string(),
        source: format!("what docker-credential-{helper} gives for {registry}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn credentials(json: &str) -> Credentials {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), json).unwrap();
        Credentials::load(dir.path(), PATIENCE)
    }

    #[tokio::test]
    async fn auths_are_found_by_host_or_url() {
        let auth = BASE64_STANDARD.encode("user:pa:ss");
        let credentials = credentials(&format!(
            r#"{{"auths": {{"r.example:5000": {{"auth": "{auth}"}},
                            "https://other.example/v1/": {{"username": "u", "password": "p"}},
                            "https://index.docker.io/v1/": {{"identitytoken": "t"}}}}}}"#
        ));
        let found = credentials.find(Some("r.example:5000")).await.unwrap().unwrap();
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("user"), Some("pa:ss")));
        let found = credentials.find(Some("other.example")).await.unwrap().unwrap();
        assert_eq!(found.username.as_deref(), Some("u"));
        assert_eq!(credentials.find(None).await.unwrap().unwrap().identity_token.as_deref(), Some("t"));
        assert!(credentials.find(Some("unknown.example")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_missing_helper_is_an_error_with_its_name() {
        let credentials = credentials(r#"{"credHelpers": {"r.example": "no-such-helper"}}"#);
        let error = credentials.find(Some("r.example")).await.unwrap_err().to_string();
        assert!(
            error.starts_with("docker-credential-no-such-helper gives no credentials for r.example"),
            "{error}"
        );
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let credentials =
            credentials(r#"{"auths": {"r": {"auth": "c2VjcmV0OnNlY3JldA==", "password": "secret"}}}"#);
        assert!(!format!("{credentials:?}").contains("ecret"));
    }

    #[tokio::test]
    async fn a_file_that_can_t_be_read_holds_nothing_and_is_told() {
        for (content, told) in
            [("", "it is empty"), (" \n", "it is empty"), (r#"{"auths": "secret"}"#, "line 1")]
        {
            let credentials = credentials(content);
            assert_eq!(credentials.find(Some("r.example")).await.unwrap(), None);
            let shown = credentials.shown(None, "r.example");
            assert!(shown.starts_with("nothing: cannot read ") && shown.contains(told), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
        let dir = tempfile::tempdir().unwrap();
        let absent = Credentials::load(&dir.path().join("absent"), PATIENCE);
        assert!(absent.broken().is_none());
        assert_eq!(absent.shown(None, "r"), "nothing, for there are no credentials for r");
    }
}
