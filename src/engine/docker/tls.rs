//! TLS to an engine, with the certificates that the Docker command line uses: `ca.pem`, `cert.pem` and `key.pem` in one
//! directory, see <https://docs.docker.com/engine/security/protect-access/>.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::util::input;

/// The configuration for connections to an engine. An error names the file; it never quotes it.
pub(super) fn configuration(certificates: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has what the default versions need");
    let file = |name: &str| certificates.map(|directory| directory.join(name)).filter(|path| path.exists());
    let (ca, own, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
    if let (Some(directory), None, None, None) = (certificates, &ca, &own, &key) {
        return Err(format!("none of ca.pem, cert.pem and key.pem is in {}", directory.display()));
    }
    let builder = match ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(&path)? {
                roots.add(certificate).map_err(|error| unusable(&path, &error))?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder
            .with_platform_verifier()
            .map_err(|error| format!("cannot use the host's certificates: {error}"))?,
    };
    let config = match (own, key) {
        (Some(own), Some(key)) => {
            let chain = read_certificates(&own)?;
            let secret =
                PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|error| unusable(&key, &error))?;
            builder.with_client_auth_cert(chain, secret).map_err(|error| unusable(&own, &error))?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(own), None) => return Err(format!("{} has no key.pem beside it", own.display())),
        (None, Some(key)) => return Err(format!("{} has no cert.pem beside it", key.display())),
    };
    Ok(Arc::new(config))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if certificates.is_empty() => Err(unusable(path, &"there is no certificate in it")),
        read => read.map_err(|error| unusable(path, &error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    input::read(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> String {
    format!("cannot use {}: {reason}", path.display())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn certificates_that_are_no_files_are_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let fifo = directory.path().join("ca.pem");
        assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
        let error = configuration(Some(directory.path())).expect_err("a FIFO");
        assert_eq!(error, format!("cannot use {}: it is a FIFO, not a file", fifo.display()));
    }
}
