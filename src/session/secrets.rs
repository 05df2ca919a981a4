//! Texts that a run must not show: secrets of its builds, and those in its configuration and environment.

use super::engines::proxy_urls;
use super::environment::Environment;
use super::stdio;
use crate::config::resolved::Config;
use crate::config::settings;
use crate::error::{EXIT_USAGE, Fatal};
use crate::model::secret::{SecretOrigin, Secrets};
use crate::util::secrets::hidden;

/// Hides from now on what is known to be secret before anything is read for it; whatever the task.
pub fn hide_known(config: &Config, environment: &Environment) {
    let of_builds = config.build.builder.secrets().iter().filter_map(|spec| match &spec.origin {
        SecretOrigin::Variable(name) => environment.variables.get(name).cloned(),
        SecretOrigin::File(_) => None,
    });
    // An engine that can't be named is an error where it is needed.
    let configured = proxy_urls(config, environment).unwrap_or_default();
    stdio::hide(&Secrets::of_texts(of_builds.chain(texts(config, environment, &configured))));
}

/// The secrets of builds with their values, which are hidden from now on too.
pub fn read(config: &Config, environment: &Environment) -> Result<Secrets, Fatal> {
    let configured = proxy_urls(config, environment)?;
    let others = texts(config, environment, &configured);
    let secrets = Secrets::read(config.build.builder.secrets(), &environment.variables, others)
        .map_err(|error| Fatal::new(&error, EXIT_USAGE))?;
    stdio::hide(&secrets);
    Ok(secrets)
}

/// Secret texts of the proxies and of the configuration.
fn texts<'a>(
    config: &'a Config,
    environment: &'a Environment,
    configured_proxies: &'a [String],
) -> impl Iterator<Item = String> + 'a {
    let proxies = environment.proxies.values().chain(configured_proxies);
    proxies.flat_map(|url| hidden("proxy", url)).chain(settings::hidden(config.layers()))
}
