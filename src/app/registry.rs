//! Registries, as the configuration, this machine and the engine say they are to be reached.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::build;
use super::prepare::Prepared;
use crate::engine::Engine;
use crate::error::{EXIT_FAILED, Fatal};
use crate::registry::{Registries, Trust};

/// Where Docker and Podman keep certificates for registries.
const CERTIFICATE_DIRS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// The registries of a run.
pub async fn registries(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
    engine: &dyn Engine,
) -> Result<Registries, Fatal> {
    let options = &prepared.config.build;
    let mut insecure = options.insecure_registries.clone();
    if options.push || options.reuse_registry {
        let known = engine.insecure_registries().await;
        insecure.extend(known.map_err(|error| Fatal::new(&error, EXIT_FAILED))?);
    }
    let trust = Trust {
        certificate_dirs: CERTIFICATE_DIRS.map(PathBuf::from).to_vec(),
        authorities: options.registry_ca.clone(),
        insecure,
    };
    Ok(Registries::new(build::credentials(env)?, trust, Duration::from_secs(options.timeout)))
}
