//! Finds the engine that the Docker command line would talk to: `DOCKER_HOST`, else the context that `DOCKER_CONTEXT` or
//! `config.json` names, else the default socket. See <https://docs.docker.com/engine/manage-resources/contexts/>.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::endpoint::{Endpoint, InvalidEndpoint, Tcp};
use crate::util::hex::hex;
use crate::util::input;

/// The context that is none: the default socket.
const DEFAULT_CONTEXT: &str = "default";

/// Why no engine was found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// An endpoint that is not one.
    #[error("{error} (it comes from {origin})")]
    Endpoint {
        /// The endpoint's text and its mistake.
        error: InvalidEndpoint,
        /// Where it was said.
        origin: String,
    },
    /// The context can't be used.
    #[error("cannot use the Docker context '{context}', which {origin} names: {reason}")]
    Context {
        /// Name of the context.
        context: String,
        /// The variable or file that names the context.
        origin: String,
        /// Reason why the context can't be used.
        reason: String,
    },
}

/// Docker's variables of an environment. Empty ones count as unset.
#[derive(Debug, Clone)]
pub struct DockerEnvironment {
    host: Option<String>,
    context: Option<String>,
    /// Docker's own directory: `DOCKER_CONFIG`, else `~/.docker`; none without a home.
    pub directory: Option<PathBuf>,
    /// How `tcp://` is meant: `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`.
    pub tcp: Tcp,
}

impl DockerEnvironment {
    /// The environment as these variables give it.
    pub fn of(variables: &BTreeMap<String, String>) -> DockerEnvironment {
        let given = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let path = |name: &str| given(name).map(PathBuf::from);
        let directory = path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker")));
        let tcp = match given("DOCKER_TLS_VERIFY") {
            Some(_) => Tcp::Tls(path("DOCKER_CERT_PATH").or_else(|| directory.clone())),
            None => Tcp::Plain,
        };
        DockerEnvironment { host: given("DOCKER_HOST"), context: given("DOCKER_CONTEXT"), directory, tcp }
    }

    /// The engine that the environment and the user's Docker configuration name.
    pub fn locate(&self) -> Result<Endpoint, LocateError> {
        if let Some(host) = &self.host {
            let origin = "the variable DOCKER_HOST".to_string();
            return Endpoint::parse(host, &self.tcp).map_err(|error| LocateError::Endpoint { error, origin });
        }
        let Some(directory) = &self.directory else { return Ok(Endpoint::default()) };
        let (context, origin) = match &self.context {
            Some(context) => (context.clone(), "the variable DOCKER_CONTEXT".to_string()),
            None => match current_context(directory) {
                Some(context) => (context, directory.join("config.json").display().to_string()),
                None => return Ok(Endpoint::default()),
            },
        };
        if context == DEFAULT_CONTEXT {
            return Ok(Endpoint::default());
        }
        endpoint_of(directory, &context).map_err(|reason| LocateError::Context { context, origin, reason })
    }
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

/// The context that the user has chosen. A file that can't be read names none, as for Docker's own client; whoever reads
/// the credentials in it tells.
fn current_context(directory: &Path) -> Option<String> {
    let bytes = input::read(&directory.join("config.json")).ok()?;
    let configuration: Configuration = serde_json::from_slice(&bytes).ok()?;
    Some(configuration.current_context).filter(|context| !context.is_empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    endpoints: BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

fn endpoint_of(directory: &Path, context: &str) -> Result<Endpoint, String> {
    let id = id_of(context);
    let path = directory.join("contexts/meta").join(&id).join("meta.json");
    let text = input::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no context of this name; `docker context ls` lists them".to_string()
        }
        _ => format!("{}: {error}", path.display()),
    })?;
    let read: Context =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let endpoint = read.endpoints.get("docker").ok_or("it has no endpoint for Docker")?;
    if endpoint.host.is_empty() {
        return Ok(Endpoint::default());
    }
    let certificates = directory.join("contexts/tls").join(&id).join("docker");
    let tcp = if certificates.is_dir() { Tcp::Tls(Some(certificates)) } else { Tcp::Plain };
    let found = Endpoint::parse(&endpoint.host, &tcp).map_err(|error| error.to_string())?;
    if endpoint.skip_tls_verify && matches!(found, Endpoint::Tls { .. }) {
        return Err("it skips the check of the engine's certificate, which is not supported".to_string());
    }
    Ok(found)
}

/// The name of a context's directories: the SHA-256 of its own.
fn id_of(context: &str) -> String {
    hex(&Sha256::digest(context.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn locate(pairs: &[(&str, &str)]) -> Result<Endpoint, LocateError> {
        let variables = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        DockerEnvironment::of(&variables.collect()).locate()
    }

    fn directory_with(context: &str, meta: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        let meta_directory = directory.path().join("contexts/meta").join(id_of(context));
        fs::create_dir_all(&meta_directory).expect("a directory");
        fs::write(meta_directory.join("meta.json"), meta).expect("a file");
        directory
    }

    #[test]
    fn the_host_counts_before_contexts_and_the_default_comes_last() {
        let directory = directory_with(
            "remote",
            r#"{"Name": "remote", "Endpoints": {"docker": {"Host": "ssh://builder"}}}"#,
        );
        let path = directory.path().to_str().expect("UTF-8");
        let found =
            |pairs: &[(&str, &str)]| locate(pairs).map(|endpoint| endpoint.to_string()).expect("found");
        assert_eq!(found(&[]), "unix:///var/run/docker.sock");
        assert_eq!(found(&[("DOCKER_CONFIG", path)]), "unix:///var/run/docker.sock");
        assert_eq!(found(&[("DOCKER_CONFIG", path), ("DOCKER_CONTEXT", "remote")]), "ssh://builder");
        fs::write(directory.path().join("config.json"), r#"{"currentContext": "remote"}"#).expect("a file");
        assert_eq!(found(&[("DOCKER_CONFIG", path)]), "ssh://builder");
        assert_eq!(
            found(&[("DOCKER_CONFIG", path), ("DOCKER_CONTEXT", "default")]),
            "unix:///var/run/docker.sock"
        );
        assert_eq!(found(&[("DOCKER_CONFIG", path), ("DOCKER_HOST", "unix:///x")]), "unix:///x");
    }

    #[test]
    fn a_context_s_certificates_make_its_tcp_tls() {
        let meta = r#"{"Name": "r", "Endpoints": {"docker": {"Host": "tcp://builder:2376", "SkipTLSVerify": false}}}"#;
        let directory = directory_with("r", meta);
        let path = directory.path().to_str().expect("UTF-8");
        let variables = [("DOCKER_CONFIG", path), ("DOCKER_CONTEXT", "r")];
        let error = locate(&variables).expect_err("plain TCP over the network").to_string();
        assert!(
            error.contains("'r', which the variable DOCKER_CONTEXT names") && error.contains("loopback"),
            "{error}"
        );
        let certificates = directory.path().join("contexts/tls").join(id_of("r")).join("docker");
        fs::create_dir_all(&certificates).expect("a directory");
        let Ok(Endpoint::Tls { certificates: found, .. }) = locate(&variables) else { panic!("no TLS") };
        assert_eq!(found, Some(certificates));
    }

    #[test]
    fn what_can_t_be_used_is_told_with_who_named_it() {
        let insecure = r#"{"Endpoints": {"docker": {"Host": "https://builder", "SkipTLSVerify": true}}}"#;
        let directory = directory_with("insecure", insecure);
        let path = directory.path().to_str().expect("UTF-8").to_string();
        let told = |context: &str| {
            locate(&[("DOCKER_CONFIG", &path), ("DOCKER_CONTEXT", context)]).expect_err(context).to_string()
        };
        assert!(told("insecure").contains("skips the check"), "{}", told("insecure"));
        assert!(told("none").contains("there is no context of this name"), "{}", told("none"));
        for broken in ["", r#"{"auths": {}, "currentContext": hush}"#] {
            fs::write(directory.path().join("config.json"), broken).expect("a file");
            assert_eq!(locate(&[("DOCKER_CONFIG", &path)]).expect("the default"), Endpoint::default());
        }
    }
}
