//! The script that runs in one-shot containers, and the places that it knows [pure].

/// Text of the script.
pub const SCRIPT: &str = include_str!("entrypoint.sh");

/// Place of the script in a container.
pub const SCRIPT_TARGET: &str = "/var/lib/container-puppet/container-puppet.sh";

/// Place of the manifest.
pub const MANIFEST_TARGET: &str = "/etc/config.pp";

/// Place of the host's configuration of Puppet, which the script copies to `/etc/puppet`.
pub const PUPPET_TARGET: &str = "/tmp/puppet-etc";

/// Place of the hieradata of a trial run.
pub const CHECK_MODE_TARGET: &str = "/tmp/puppet-check-mode";

/// Place of the configuration volumes.
pub const CONFIG_DATA_TARGET: &str = "/var/lib/config-data";

/// Directory of what Puppet has written, below that of the volumes.
pub const GENERATED: &str = "puppet-generated";

/// What is done about packages: TripleO's class for that, where there is one, or nothing, as images have theirs.
const PACKAGES: &str = "if defined('tripleo::packages') {
  include tripleo::packages
} else {
  Package <| |> { noop => true }
}";

/// The manifest that a container gets: what the entries say, and that no package is installed.
pub fn manifest(step_config: &str) -> String {
    format!("{PACKAGES}\n{step_config}\n")
}
