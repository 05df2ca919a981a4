//! The container that configures one volume [pure].

use std::collections::BTreeMap;

use super::super::labels::StackOwner;
use super::entries::ConfigVolume;
use super::options::PuppetOptions;
use super::script::{CHECK_MODE_TARGET, CONFIG_DATA_TARGET, MANIFEST_TARGET, PUPPET_TARGET, SCRIPT_TARGET};
use crate::engine::container::{ContainerSpec, MountedVolume, Namespaces, VolumeSource};

/// Tool that looks after these containers: none of theirs is a stack's.
const MANAGER: &str = "container-puppet";

/// Files of the host that a container gets where they are, if they are there.
const HOST_FILES: [&str; 5] = [
    "/etc/localtime",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/certs/ca-bundle.trust.crt",
    "/etc/pki/tls/cert.pem",
];

/// Facts that facter keeps for all containers, if the host has them, and their places.
const FACTER_CACHE: [(&str, &str); 2] = [
    ("/var/lib/container-puppet/puppetlabs/facter.conf", "/etc/puppetlabs/facter/facter.conf"),
    ("/var/lib/container-puppet/puppetlabs", "/opt/puppetlabs"),
];

/// Puppet's modules of the host.
const MODULES: &str = "/usr/share/openstack-puppet/modules";

/// Socket of the host's log.
const LOG_SOCKET: &str = "/dev/log";

/// Files of this run that a container mounts.
#[derive(Debug, Clone, Copy)]
pub struct RunFiles<'a> {
    /// The script.
    pub script: &'a str,
    /// Manifest of the volume.
    pub manifest: &'a str,
}

/// Name of the container of a volume.
pub fn container_name(volume: &ConfigVolume) -> String {
    format!("container-puppet-{}", volume.name)
}

/// Whose these containers are.
pub fn owner() -> StackOwner {
    StackOwner { managed_by: MANAGER.to_string(), config_id: MANAGER.to_string() }
}

/// The container of a volume. `is_there` tells whether the host has a file.
pub fn spec(
    volume: &ConfigVolume,
    options: &PuppetOptions,
    files: RunFiles,
    is_podman: bool,
    is_there: impl Fn(&str) -> bool,
) -> ContainerSpec {
    let flag = |on: bool| if on { "true" } else { "false" }.to_string();
    let environment = [
        ("PUPPET_TAGS", volume.puppet_tags()),
        ("NAME", volume.name.clone()),
        ("HOSTNAME", options.short_hostname.clone()),
        ("NO_ARCHIVE", if options.no_archive { flag(true) } else { String::new() }),
        ("STEP", options.step.to_string()),
        ("NET_HOST", flag(options.net_host)),
        ("DEBUG", flag(options.debug)),
    ];
    let network = if options.net_host { "host" } else { "none" };
    ContainerSpec {
        image: volume.image.clone(),
        entrypoint: Some(["/bin/bash", SCRIPT_TARGET].map(String::from).to_vec()),
        environment: environment.map(|(name, value)| (name.to_string(), value)).into(),
        labels: owner().labels(),
        // Not root, whose name would have to be looked up.
        user: Some("0".to_string()),
        namespaces: Namespaces { network: Some(network.to_string()), ..Namespaces::default() },
        privileged: volume.privileged,
        // Podman would have to label what is the host's.
        security_opt: if is_podman { vec!["label=disable".to_string()] } else { Vec::new() },
        volumes: mounts(volume, options, files, is_there),
        ..ContainerSpec::default()
    }
}

/// Mounts by their targets: those of the volume come before the others.
fn mounts(
    volume: &ConfigVolume,
    options: &PuppetOptions,
    files: RunFiles,
    is_there: impl Fn(&str) -> bool,
) -> Vec<MountedVolume> {
    let mut mounts = BTreeMap::new();
    let mut add = |source: &str, target: &str, mode: &str| {
        let mounted = MountedVolume {
            source: VolumeSource::Path(source.to_string()),
            target: target.to_string(),
            mode: mode.to_string(),
        };
        mounts.insert(target.to_string(), mounted);
    };
    let of_host = HOST_FILES.into_iter().map(|file| (file, file)).chain(FACTER_CACHE);
    for (source, target) in of_host.filter(|(source, _)| is_there(source)) {
        add(source, target, "ro");
    }
    if options.mount_host_puppet && is_there(MODULES) {
        add(MODULES, MODULES, "ro");
    }
    if is_there(LOG_SOCKET) {
        add(LOG_SOCKET, LOG_SOCKET, "rw");
    }
    if options.net_host {
        add("/etc/hosts", "/etc/hosts", "ro");
    }
    if options.check_mode {
        add(&options.check_mode_dir(), CHECK_MODE_TARGET, "ro");
    }
    add(&options.puppet_dir, PUPPET_TARGET, "ro");
    add(&options.prefix, CONFIG_DATA_TARGET, "rw");
    for volume in &volume.volumes {
        mounts.insert(volume.target.clone(), volume.clone());
    }
    // Without these it is another container.
    let ours = [(files.script, SCRIPT_TARGET), (files.manifest, MANIFEST_TARGET)];
    for (source, target) in ours {
        let source = VolumeSource::Path(source.to_string());
        let mounted = MountedVolume { source, target: target.to_string(), mode: "ro".to_string() };
        mounts.insert(target.to_string(), mounted);
    }
    mounts.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::entries::{Entries, EntrySelection};
    use super::*;

    const FILES: RunFiles = RunFiles { script: "/run/script", manifest: "/run/nova.pp" };

    fn volume() -> ConfigVolume {
        let text = "[[nova, nova_config, include nova, img, ['/dev/log:/dev/log:ro', 'data:/data'], true]]";
        Entries::read("c", text, EntrySelection::default()).expect("entries").volumes.remove(0)
    }

    #[test]
    fn a_container_mounts_what_the_host_has() {
        let options = PuppetOptions::default();
        let spec = spec(&volume(), &options, FILES, true, |path| path != "/etc/pki/tls/cert.pem");
        let mounts: Vec<_> = spec.volumes.iter().map(MountedVolume::bind).collect();
        for mount in [
            "/etc/localtime:/etc/localtime:ro",
            "/dev/log:/dev/log:ro",
            "data:/data:rw",
            "/etc/puppet:/tmp/puppet-etc:ro",
            "/var/lib/config-data:/var/lib/config-data:rw",
            "/run/nova.pp:/etc/config.pp:ro",
            "/usr/share/openstack-puppet/modules:/usr/share/openstack-puppet/modules:ro",
            "/var/lib/container-puppet/puppetlabs:/opt/puppetlabs:ro",
        ] {
            assert!(mounts.iter().any(|it| it == mount), "{mount}: {mounts:#?}");
        }
        assert!(!mounts.iter().any(|mount| mount.contains("cert.pem") || mount.contains("/etc/hosts")));
        assert_eq!(spec.namespaces.network.as_deref(), Some("none"));
        assert!(spec.privileged && spec.security_opt == ["label=disable"]);
        assert_eq!(spec.environment["PUPPET_TAGS"], "file,file_line,concat,augeas,cron,nova_config");
        assert_eq!((spec.environment["STEP"].as_str(), spec.environment["NO_ARCHIVE"].as_str()), ("6", ""));
        assert_eq!(container_name(&volume()), "container-puppet-nova");
    }

    #[test]
    fn options_show_in_the_container() {
        let options = PuppetOptions {
            net_host: true,
            no_archive: true,
            check_mode: true,
            mount_host_puppet: false,
            prefix: "/p".to_string(),
            ..PuppetOptions::default()
        };
        let spec = spec(&volume(), &options, FILES, false, |_| true);
        let mounts: Vec<_> = spec.volumes.iter().map(MountedVolume::bind).collect();
        for mount in [
            "/etc/hosts:/etc/hosts:ro",
            "/etc/puppet/check-mode:/tmp/puppet-check-mode:ro",
            "/p:/var/lib/config-data:rw",
        ] {
            assert!(mounts.iter().any(|it| it == mount), "{mount}: {mounts:#?}");
        }
        assert!(!mounts.iter().any(|mount| mount.contains("openstack-puppet")));
        assert_eq!(spec.namespaces.network.as_deref(), Some("host"));
        assert_eq!(
            (spec.environment["NET_HOST"].as_str(), spec.environment["NO_ARCHIVE"].as_str()),
            ("true", "true")
        );
        assert!(spec.security_opt.is_empty());
    }
}
