//! How a registry is reached: over TLS with whose certificates, or without.
//!
//! As Docker does it (<https://docs.docker.com/engine/security/certificates/>): `certs.d/HOST:PORT` holds certificate
//! authorities (`*.crt`) and a client's certificate (`*.cert`) with its key (`*.key`). Hosts on loopback and those that
//! were named insecure may show any certificate, or speak plain HTTP.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, Identity};

use super::error::Problem;
use crate::util::http::{builder, chain};
use crate::util::input;

/// Certificates and registries that are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Directories like `/etc/docker/certs.d`, one of each host in them.
    pub certificate_dirs: Vec<PathBuf>,
    /// A file of further certificate authorities, for every registry.
    pub authorities: Option<PathBuf>,
    /// Hosts (`r.example:5000`) and networks (`10.0.0.0/8`) that are reached without TLS if need be.
    pub insecure: Vec<String>,
}

/// Certificates for a host on this machine.
#[derive(Default)]
struct Certificates {
    authorities: Vec<Certificate>,
    identity: Option<Identity>,
}

impl Trust {
    /// True when a host needs no TLS.
    pub(super) fn is_insecure(&self, host: &str) -> bool {
        let name = without_port(host);
        let address: Option<IpAddr> = name.parse().ok();
        name == "localhost"
            || address.is_some_and(|address| address.is_loopback())
            || self.insecure.iter().any(|entry| {
                entry == host || entry == name || address.is_some_and(|address| in_network(address, entry))
            })
    }

    /// A connection to a host, over TLS where it has that.
    pub(super) async fn connect(&self, host: &str, patience: Duration) -> Result<Reached, Problem> {
        let Certificates { authorities, identity } = self.certificates(host)?;
        let trusts_own = !authorities.is_empty();
        let with_certificates = || {
            let builder = builder(patience).tls_certs_merge(authorities.clone());
            identity.clone().into_iter().fold(builder, ClientBuilder::identity)
        };
        let secure_url = format!("https://{host}");
        if !self.is_insecure(host) {
            return Reached::new(secure_url, || with_certificates().https_only(true));
        }
        // A proxy is of no use to reach this machine.
        let is_here = Trust::default().is_insecure(host);
        let local = |builder: ClientBuilder| if is_here { builder.no_proxy() } else { builder };
        let secure = Reached::new(secure_url.clone(), || {
            local(with_certificates().tls_danger_accept_invalid_certs(!trusts_own))
        })?;
        if trusts_own || secure.registry.get(format!("{secure_url}/v2/")).send().await.is_ok() {
            return Ok(secure);
        }
        Reached::new(format!("http://{host}"), || local(builder(patience)))
    }

    fn certificates(&self, host: &str) -> Result<Certificates, Problem> {
        let mut found = Certificates::default();
        if let Some(file) = &self.authorities {
            found.authorities.extend(authorities(file)?);
        }
        for dir in &self.certificate_dirs {
            for file in files(&dir.join(host))? {
                match file.extension().and_then(|extension| extension.to_str()) {
                    Some("crt") => found.authorities.extend(authorities(&file)?),
                    Some("cert") => {
                        let key = file.with_extension("key");
                        let pem = [read(&file)?, read(&key)?].concat();
                        let identity =
                            Identity::from_pem(&pem).map_err(|error| invalid(&key, &chain(&error)))?;
                        found.identity = Some(identity);
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}

/// A host, and who asks it.
pub(super) struct Reached {
    /// With its scheme, without a path.
    pub url: String,
    /// Client for the registry itself.
    pub registry: Client,
    /// Asks its token server, with credentials that no other server is to see.
    pub tokens: Client,
}

impl Reached {
    fn new(url: String, builder: impl Fn() -> ClientBuilder) -> Result<Reached, Problem> {
        let registry = client(builder())?;
        let tokens = client(builder().redirect(Policy::custom(stay)))?;
        Ok(Reached { url, registry, tokens })
    }
}

/// Follows redirects within one server. What is posted to it, and what it is shown, would go along to another.
fn stay(attempt: Attempt<'_>) -> Action {
    let stays = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
    match stays {
        true => Policy::default().redirect(attempt),
        false => attempt.error("the token server sends credentials on to another server"),
    }
}

fn client(builder: ClientBuilder) -> Result<Client, Problem> {
    builder.build().map_err(|error| {
        Problem::Local(format!(
            "cannot set HTTPS up: {}: install ca-certificates or set SSL_CERT_FILE",
            chain(&error)
        ))
    })
}

/// The files of a directory in order of their names; none when there is no such directory.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Problem> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    match entries {
        Ok(entries) => {
            let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
            files.sort();
            Ok(files)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(invalid(dir, &error.to_string())),
    }
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, Problem> {
    let certificates =
        Certificate::from_pem_bundle(&read(file)?).map_err(|error| invalid(file, &chain(&error)))?;
    if certificates.is_empty() {
        return Err(invalid(file, "it holds no certificate in PEM format"));
    }
    Ok(certificates)
}

fn read(file: &Path) -> Result<Vec<u8>, Problem> {
    input::read(file).map_err(|error| invalid(file, &error.to_string()))
}

fn invalid(file: &Path, reason: &str) -> Problem {
    Problem::Local(format!("failed to read certificates in {}: {reason}", file.display()))
}

/// `r.example` of `r.example:5000`, `::1` of `[::1]:5000`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

/// True when an address is in a network like `10.0.0.0/8`.
fn in_network(address: IpAddr, network: &str) -> bool {
    let parsed =
        network.split_once('/').and_then(|(base, bits)| Some((base.parse().ok()?, bits.parse().ok()?)));
    let same = |a: u128, b: u128, width: u32, bits: u32| {
        bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0)
    };
    match (address, parsed) {
        (IpAddr::V4(address), Some((IpAddr::V4(base), bits))) => {
            same(u32::from(address).into(), u32::from(base).into(), 32, bits)
        }
        (IpAddr::V6(address), Some((IpAddr::V6(base), bits))) => same(address.into(), base.into(), 128, bits),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_what_was_named_is_insecure() {
        let insecure = ["r.example:5000", "plain.example", "10.1.0.0/16", "fd00::/8"];
        let trust = Trust { insecure: insecure.map(str::to_string).to_vec(), ..Trust::default() };
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.3.2.1",
            "[::1]:5000",
            "r.example:5000",
            "plain.example:81",
            "10.1.200.3:5000",
            "[fd12::1]:5000",
        ] {
            assert!(trust.is_insecure(host), "{host}");
        }
        for host in ["r.example", "r.example:5001", "10.2.0.1", "localhost.example", "[fe00::1]", "128.0.0.1"]
        {
            assert!(!trust.is_insecure(host), "{host}");
        }
    }

    #[test]
    fn certificates_that_can_t_be_read_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let trust = Trust { certificate_dirs: vec![dir.path().to_path_buf()], ..Trust::default() };
        assert!(trust.certificates("r.example:5000").unwrap().authorities.is_empty());
        fs::create_dir(dir.path().join("r.example:5000")).unwrap();
        fs::write(dir.path().join("r.example:5000/ca.crt"), "no certificate").unwrap();
        let error = trust.certificates("r.example:5000").err().unwrap().to_string();
        assert!(error.contains("r.example:5000/ca.crt: it holds no certificate"), "{error}");
        assert!(trust.certificates("other.example").is_ok());
    }
}
