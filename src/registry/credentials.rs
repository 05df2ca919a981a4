//! Credentials for registries, from where the Docker command line keeps them.
//!
//! `config.json` in `DOCKER_CONFIG` or `~/.docker`: `auths` holds them itself, `credHelpers` (by registry) and `credsStore`
//! (for all) name programs `docker-credential-NAME` that do, see <https://docs.docker.com/reference/cli/docker/login/>.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What Docker calls its own registry in this file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The user name by which a helper says that its secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// Credentials that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("failed to read the registry credentials in {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong; never any of its content.
        reason: String,
    },
    /// A helper program failed.
    #[error("docker-credential-{helper} gives no credentials for {registry}: {reason}")]
    Helper {
        /// The program.
        helper: String,
        /// The registry.
        registry: String,
        /// What it said.
        reason: String,
    },
}

/// What a registry is to be shown. Secrets are never shown to anybody else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// What tokens are asked for with, in place of a password.
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
    /// Reads `config.json` in a directory; no file means no credentials.
    pub fn load(dir: &Path) -> Result<Credentials, CredentialsError> {
        let path = dir.join("config.json");
        let failed = |reason: String| CredentialsError::File { path: path.display().to_string(), reason };
        match std::fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(credentials) => Ok(Credentials { file: path.display().to_string(), ..credentials }),
                // The error's own text may quote what stands in the file.
                Err(error) => Err(failed(format!(
                    "line {}, column {} is not as it should be",
                    error.line(),
                    error.column()
                ))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Credentials::default()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Whether there are none for any registry.
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
            return ask_helper(helper, key).await;
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

/// `user:password` in base64.
fn decode_auth(auth: &str) -> Option<(String, String)> {
    let bytes = BASE64_STANDARD.decode(auth).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| (user.to_string(), password.trim_end_matches('\0').to_string()))
}

async fn ask_helper(helper: &str, registry: &str) -> Result<Option<Credential>, CredentialsError> {
    let failed = |reason: String| CredentialsError::Helper {
        helper: helper.to_string(),
        registry: registry.to_string(),
        reason,
    };
    let output = async {
        let mut child = Command::new(format!("docker-credential-{helper}"))
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(registry.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = output.await.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
        // The protocol has no other sign for this.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(said));
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("its answer can't be read".to_string()))?;
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

    fn credentials(json: &str) -> Credentials {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), json).unwrap();
        Credentials::load(dir.path()).unwrap()
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
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"auths": "secret"}"#).unwrap();
        let error = Credentials::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
        assert!(Credentials::load(&dir.path().join("absent")).unwrap().auths.is_empty());
    }
}
