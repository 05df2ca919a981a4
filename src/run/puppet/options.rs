//! What a run is asked for: options of the command line, and variables of the environment in their place [pure].

use std::collections::BTreeMap;
use std::time::Duration;

use super::cli::PuppetRequest;

/// Where TripleO has its files.
const CONFIG: &str = "/var/lib/container-puppet/container-puppet.json";
const PREFIX: &str = "/var/lib/config-data";
const PUPPET: &str = "/etc/puppet";
const STARTUP_CONFIGS: &str = "/var/lib/tripleo-config/container-startup-config";

/// Step that Puppet is told when nothing says otherwise: the one after the last.
const STEP: u32 = 6;

/// So many containers run at once when nothing says otherwise.
const PROCESSES: usize = 2;

/// The longest wait for a container when nothing says otherwise.
const TIMEOUT: u64 = 3600;

/// What a run is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PuppetOptions {
    /// File with the entries.
    pub config: String,
    /// The only volume to configure; none for all.
    pub config_volume: Option<String>,
    /// So many containers run at once.
    pub process_count: usize,
    /// Step that Puppet is told, and that the startup configurations are of.
    pub step: u32,
    /// True when what Puppet does is wanted, and not the files that come of it.
    pub no_archive: bool,
    /// True for containers in the host's network.
    pub net_host: bool,
    /// True when containers tell all that they do.
    pub debug: bool,
    /// True for Puppet's configuration of a trial.
    pub check_mode: bool,
    /// True for the modules of the host.
    pub mount_host_puppet: bool,
    /// Directory of the configuration volumes.
    pub prefix: String,
    /// Puppet's configuration on the host.
    pub puppet_dir: String,
    /// Name of this host that Puppet is told.
    pub short_hostname: String,
    /// Pattern of the names of startup configurations.
    pub startup_configs: String,
    /// File that tells the hosts of services; none when all entries are for this one.
    pub hosts: Option<String>,
    /// The longest wait for a container.
    pub timeout: Duration,
}

impl Default for PuppetOptions {
    fn default() -> PuppetOptions {
        PuppetOptions {
            config: CONFIG.to_string(),
            config_volume: None,
            process_count: PROCESSES,
            step: STEP,
            no_archive: false,
            net_host: false,
            debug: false,
            check_mode: false,
            mount_host_puppet: true,
            prefix: PREFIX.to_string(),
            puppet_dir: PUPPET.to_string(),
            short_hostname: String::new(),
            startup_configs: startup_configs(STEP),
            hosts: None,
            timeout: Duration::from_secs(TIMEOUT),
        }
    }
}

fn startup_configs(step: u32) -> String {
    format!("{STARTUP_CONFIGS}/step_{step}/*.json")
}

impl PuppetOptions {
    /// Options over variables over defaults. `hostname` is what this host calls itself.
    ///
    /// # Errors
    /// A variable has a value that can't be used.
    pub fn new(
        request: &PuppetRequest,
        variables: &BTreeMap<String, String>,
        hostname: &str,
    ) -> Result<PuppetOptions, String> {
        let variable = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let is_true = |name: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let number = |name: &str| {
            let value = variable(name);
            let number = value.map(|value| {
                value.parse::<u32>().map_err(|_| format!("{name} is '{value}', which is no whole number"))
            });
            number.transpose()
        };
        let defaults = PuppetOptions::default();
        let step = request.step.or(number("STEP")?).unwrap_or(defaults.step);
        let processes = number("PROCESS_COUNT")?.map(|count| count as usize);
        let short_hostname = request.short_hostname.clone().or_else(|| variable("SHORT_HOSTNAME"));
        Ok(PuppetOptions {
            config: request.config.clone().or_else(|| variable("CONFIG")).unwrap_or(defaults.config),
            config_volume: request.config_volume.clone().or_else(|| variable("CONFIG_VOLUME")),
            process_count: request.process_count.or(processes).unwrap_or(defaults.process_count).max(1),
            step,
            no_archive: request.no_archive || variable("NO_ARCHIVE").is_some(),
            net_host: request.net_host || is_true("NET_HOST"),
            debug: request.debug || is_true("DEBUG"),
            check_mode: request.check_mode || number("CHECK_MODE")?.is_some_and(|mode| mode != 0),
            mount_host_puppet: !request.no_host_puppet
                && variable("MOUNT_HOST_PUPPET").is_none_or(|value| value.eq_ignore_ascii_case("true")),
            prefix: request
                .prefix
                .clone()
                .or_else(|| variable("CONFIG_VOLUME_PREFIX"))
                .unwrap_or(defaults.prefix),
            puppet_dir: request.puppet_dir.clone().unwrap_or(defaults.puppet_dir),
            short_hostname: short_hostname.unwrap_or_else(|| {
                let short = hostname.trim().split('.').next().unwrap_or_default();
                short.to_lowercase()
            }),
            startup_configs: request
                .startup_configs
                .clone()
                .or_else(|| variable("STARTUP_CONFIG_PATTERN"))
                .unwrap_or_else(|| startup_configs(step)),
            hosts: request.hosts.clone(),
            timeout: request.timeout.map_or(defaults.timeout, Duration::from_secs),
        })
    }

    /// Puppet's configuration of a trial on the host.
    pub fn check_mode_dir(&self) -> String {
        format!("{}/check-mode", self.puppet_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(request: &PuppetRequest, variables: &[(&str, &str)]) -> Result<PuppetOptions, String> {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        PuppetOptions::new(request, &variables.collect(), "One.example.org\n")
    }

    #[test]
    fn variables_stand_in_for_options() {
        let nothing = PuppetRequest::default();
        let defaults = options(&nothing, &[("NO_ARCHIVE", ""), ("NET_HOST", "yes")]).expect("options");
        assert_eq!(defaults, PuppetOptions { short_hostname: "one".to_string(), ..PuppetOptions::default() });
        let variables = [
            ("CONFIG", "/c"),
            ("CONFIG_VOLUME", "nova"),
            ("PROCESS_COUNT", "5"),
            ("STEP", "3"),
            ("NO_ARCHIVE", "true"),
            ("NET_HOST", "true"),
            ("DEBUG", "True"),
            ("CHECK_MODE", "1"),
            ("MOUNT_HOST_PUPPET", "False"),
            ("CONFIG_VOLUME_PREFIX", "/p"),
            ("SHORT_HOSTNAME", "two"),
            ("CONTAINER_CLI", "podman"),
        ];
        let named = options(&nothing, &variables).expect("options");
        let expected = PuppetOptions {
            config: "/c".to_string(),
            config_volume: Some("nova".to_string()),
            process_count: 5,
            step: 3,
            no_archive: true,
            net_host: true,
            debug: true,
            check_mode: true,
            mount_host_puppet: false,
            prefix: "/p".to_string(),
            short_hostname: "two".to_string(),
            startup_configs: "/var/lib/tripleo-config/container-startup-config/step_3/*.json".to_string(),
            ..PuppetOptions::default()
        };
        assert_eq!(named, expected);
        let request = PuppetRequest { step: Some(2), process_count: Some(0), ..PuppetRequest::default() };
        let both = options(&request, &variables).expect("options");
        assert_eq!((both.step, both.process_count), (2, 1));
        let wrong = options(&nothing, &[("STEP", "two")]).expect_err("no number");
        assert_eq!(wrong, "STEP is 'two', which is no whole number");
    }
}
