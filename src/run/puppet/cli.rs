//! The command line of `puppet-config` [pure].

use clap::{ArgMatches, Command, ValueHint, value_parser};

use super::super::options::{option, switch, text};

/// Options that were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PuppetRequest {
    /// File with the entries.
    pub config: Option<String>,
    /// The only volume to configure.
    pub config_volume: Option<String>,
    /// So many containers run at once.
    pub process_count: Option<usize>,
    /// Step of Puppet and of the startup configurations.
    pub step: Option<u32>,
    /// No files are collected.
    pub no_archive: bool,
    /// Containers are in the host's network.
    pub net_host: bool,
    /// Containers tell all that they do.
    pub debug: bool,
    /// Puppet's configuration of a trial is taken.
    pub check_mode: bool,
    /// The host's modules are not mounted.
    pub no_host_puppet: bool,
    /// Directory of the configuration volumes.
    pub prefix: Option<String>,
    /// Puppet's configuration on the host.
    pub puppet_dir: Option<String>,
    /// Name of this host.
    pub short_hostname: Option<String>,
    /// Pattern of startup configurations.
    pub startup_configs: Option<String>,
    /// File that tells the hosts of services.
    pub hosts: Option<String>,
    /// Longest wait for a container, in seconds.
    pub timeout: Option<u64>,
}

const AFTER_HELP: &str = "\
Each option but --puppet-dir, --hosts and --timeout has the variable of TripleO's container-puppet as its default: CONFIG,
CONFIG_VOLUME, PROCESS_COUNT, STEP, NO_ARCHIVE, NET_HOST, DEBUG, CHECK_MODE, MOUNT_HOST_PUPPET=false, CONFIG_VOLUME_PREFIX,
SHORT_HOSTNAME, STARTUP_CONFIG_PATTERN.

Exit codes: 0 every volume is configured; 1 one is not, after all others have been; 2 wrong usage or entries that can't be
used; 130 interrupted.";

/// The command.
pub fn command(name: &'static str) -> Command {
    let path = |name, value, help| option(name, value, help).value_hint(ValueHint::AnyPath);
    Command::new(name)
        .about("Generate configuration files with Puppet, in containers, as TripleO's container-puppet does")
        .after_help(AFTER_HELP)
        .args([
            path(
                "config",
                "FILE",
                "Entries, in JSON or YAML [default: /var/lib/container-puppet/container-puppet.json]",
            ),
            option("config-volume", "NAME", "Only this volume"),
            option("process-count", "N", "So many containers at once [default: 2]")
                .value_parser(value_parser!(usize)),
            option("step", "N", "Step that Puppet is told, and of the startup configurations [default: 6]")
                .value_parser(value_parser!(u32)),
            switch("no-archive", "Collect no files: it is what Puppet does that is wanted"),
            switch("net-host", "Run containers in the host's network, not without one"),
            switch("debug", "Print all that containers say"),
            switch("check-mode", "Take hiera's configuration from check-mode in Puppet's directory"),
            switch("no-host-puppet", "Do not mount the host's /usr/share/openstack-puppet/modules"),
            path(
                "config-volume-prefix",
                "DIR",
                "Directory of the configuration volumes [default: /var/lib/config-data]",
            ),
            path(
                "puppet-dir",
                "DIR",
                "Puppet's configuration and hieradata on this host [default: /etc/puppet]",
            ),
            option("short-hostname", "NAME", "Name of this host that Puppet is told"),
            option(
                "startup-config-pattern",
                "PATTERN",
                "Startup configurations that get TRIPLEO_CONFIG_HASH [default: step_STEP/*.json where TripleO \
                 has them]",
            ),
            path(
                "hosts",
                "FILE",
                "Hosts by service: an entry with a service_name is for the first one alone",
            ),
            option("timeout", "SECONDS", "Longest wait for a container to end [default: 3600]")
                .value_parser(value_parser!(u64)),
        ])
}

/// Options of the command as it was called.
pub fn request(matches: &ArgMatches) -> PuppetRequest {
    let text = |name| text(matches, name);
    PuppetRequest {
        config: text("config"),
        config_volume: text("config-volume"),
        process_count: matches.get_one("process-count").copied(),
        step: matches.get_one("step").copied(),
        no_archive: matches.get_flag("no-archive"),
        net_host: matches.get_flag("net-host"),
        debug: matches.get_flag("debug"),
        check_mode: matches.get_flag("check-mode"),
        no_host_puppet: matches.get_flag("no-host-puppet"),
        prefix: text("config-volume-prefix"),
        puppet_dir: text("puppet-dir"),
        short_hostname: text("short-hostname"),
        startup_configs: text("startup-config-pattern"),
        hosts: text("hosts"),
        timeout: matches.get_one("timeout").copied(),
    }
}
