//! The container that a call of `kolla_container` wants [pure].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::arguments::whole;
use super::failed::ModuleFailure;
use super::params::{RestartWish, WorkerParams};
use crate::engine::container::{
    ContainerSpec, Healthcheck, Limits, MountedVolume, Namespaces, NumericLimit, RestartPolicy, Ulimit,
    VolumeSource,
};
use crate::run::python::scalar_text;
use crate::run::spec::tmpfs;
use crate::run::units;

/// Facts about the host that containers are told, or that arguments stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerHost {
    /// Name of its time zone.
    pub timezone: String,
    /// Numbers of its groups, by their names.
    pub groups: BTreeMap<String, u32>,
}

impl WorkerHost {
    /// Reads the texts of `/etc/timezone` and `/etc/group`, and where `/etc/localtime` leads to; what is missing is empty.
    pub fn read(timezone: &str, localtime: &str, groups: &str) -> WorkerHost {
        let of_link = localtime.split_once("zoneinfo/").map_or("", |(_, zone)| zone);
        let zone = [timezone.trim(), of_link].into_iter().find(|zone| !zone.is_empty()).unwrap_or("UTC");
        let group = |line: &str| {
            let mut fields = line.split(':');
            let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
            Some((name.to_string(), number.parse().ok()?))
        };
        WorkerHost { timezone: zone.to_string(), groups: groups.lines().filter_map(group).collect() }
    }
}

/// The container that these arguments want on this host. The engine restarts it by itself only when no unit of systemd does.
///
/// # Errors
/// A volume, a limit, a healthcheck or a group can't be used.
pub fn wanted(
    params: &WorkerParams,
    host: &WorkerHost,
    has_unit: bool,
) -> Result<ContainerSpec, ModuleFailure> {
    let command = params.command.as_deref().map(units::words).transpose();
    let command = command.map_err(|reason| ModuleFailure::new(format!("command: {reason}")))?;
    let mut cap_add = params.cap_add.clone();
    if params.podman && !params.privileged {
        cap_add.push(AUDIT_WRITE.to_string());
    }
    Ok(ContainerSpec {
        image: params.image.clone(),
        command: command.unwrap_or_default(),
        environment: environment(params, host),
        labels: params.labels.clone(),
        group_add: groups(&params.group_add, host)?,
        tty: params.tty,
        namespaces: Namespaces {
            network: Some("host".to_string()),
            ipc: params.ipc_mode.clone(),
            pid: params.pid_mode.clone().filter(|mode| params.podman || mode != "private"),
            uts: None,
            cgroup: params.cgroupns_mode.clone(),
        },
        privileged: params.privileged,
        cap_add,
        security_opt: params.security_opt.clone(),
        volumes: volumes(params)?,
        volumes_from: params.volumes_from.clone(),
        // Podman's own API can't be asked for any.
        tmpfs: if params.podman { BTreeMap::new() } else { tmpfs(&params.tmpfs) },
        limits: limits(&params.dimensions)?,
        healthcheck: params.healthcheck.as_ref().map(healthcheck).transpose()?.flatten(),
        restart: if has_unit { RestartPolicy::No } else { restart(params) },
        stop_grace: params.podman.then(|| params.grace()),
        ..ContainerSpec::default()
    })
}

/// The capability that Podman's containers get in any case.
pub const AUDIT_WRITE: &str = "AUDIT_WRITE";

fn restart(params: &WorkerParams) -> RestartPolicy {
    match params.restart_policy {
        RestartWish::No | RestartWish::Oneshot => RestartPolicy::No,
        RestartWish::OnFailure => RestartPolicy::OnFailure(u32::try_from(params.restart_retries).ok()),
        RestartWish::Always { unless_stopped: false } => RestartPolicy::Always,
        RestartWish::Always { unless_stopped: true } => RestartPolicy::UnlessStopped,
    }
}

/// Variables that are asked for, and those that every container gets.
fn environment(params: &WorkerParams, host: &WorkerHost) -> BTreeMap<String, String> {
    let mut environment = params.environment.clone();
    environment.entry("TZ".to_string()).or_insert_with(|| host.timezone.clone());
    environment.insert("KOLLA_SERVICE_NAME".to_string(), params.name.replace('_', "-"));
    environment
}

fn groups(named: &[String], host: &WorkerHost) -> Result<Vec<String>, ModuleFailure> {
    let number = |group: &String| match group.parse::<u32>() {
        Ok(_) => Ok(group.clone()),
        Err(_) => host.groups.get(group).map(ToString::to_string).ok_or_else(|| {
            ModuleFailure::new(format!("group_add: the host has no group '{group}' (/etc/group)"))
        }),
    };
    named.iter().map(number).collect()
}

fn volumes(params: &WorkerParams) -> Result<Vec<MountedVolume>, ModuleFailure> {
    let volume = |text: &String| {
        let wrong = |reason: &str| ModuleFailure::new(format!("Wrong format of volume: {text}: {reason}"));
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts.as_slice() {
            [target] if !params.podman => (VolumeSource::Anonymous, *target, "rw"),
            [_] => return Err(wrong("Podman takes SOURCE:TARGET[:MODE]")),
            ["devpts", target, ..] if params.podman => (VolumeSource::Terminals, *target, "rw"),
            [source, target] => (VolumeSource::written(source), *target, "rw"),
            [source, target, mode] => (VolumeSource::written(source), *target, *mode),
            _ => return Err(wrong("it is not SOURCE:TARGET[:MODE]")),
        };
        if !target.starts_with('/') {
            return Err(wrong("the place in the container is no absolute path"));
        }
        // Of a directory's modes kolla-ansible hands on to Podman these alone.
        let is_path = matches!(source, VolumeSource::Path(_));
        let mode = if params.podman && is_path && !["ro", "shared"].contains(&mode) { "rw" } else { mode };
        Ok(MountedVolume { source, target: target.to_string(), mode: mode.to_string() })
    };
    let mut volumes = params.volumes.iter().map(volume).collect::<Result<Vec<_>, _>>()?;
    if !params.podman {
        // Docker is told of the places of all volumes, and tells of them all.
        let places: BTreeSet<String> = volumes.iter().map(|volume| volume.target.clone()).collect();
        volumes.retain(|volume| volume.source != VolumeSource::Anonymous);
        volumes.extend(places.into_iter().map(|target| MountedVolume {
            source: VolumeSource::Anonymous,
            target,
            mode: "rw".to_string(),
        }));
    }
    Ok(volumes)
}

/// Name of a limit in kolla-ansible's `dimensions` and in what engines tell; all but those of processes.
pub const DIMENSIONS: [(&str, &str); 9] = [
    ("mem_limit", "Memory"),
    ("mem_reservation", "MemoryReservation"),
    ("memswap_limit", "MemorySwap"),
    ("cpu_period", "CpuPeriod"),
    ("cpu_quota", "CpuQuota"),
    ("cpu_shares", "CpuShares"),
    ("cpuset_cpus", "CpusetCpus"),
    ("cpuset_mems", "CpusetMems"),
    ("blkio_weight", "BlkioWeight"),
];

/// Name of the limits of processes among the dimensions, and in what engines tell.
pub const ULIMITS: (&str, &str) = ("ulimits", "Ulimits");

/// Limits as engines take them.
///
/// # Errors
/// One is unknown, or no number or size.
pub fn limits(dimensions: &Map<String, Value>) -> Result<Limits, ModuleFailure> {
    let known = |name: &str| name == ULIMITS.0 || DIMENSIONS.iter().any(|(known, _)| *known == name);
    let unsupported: Vec<&String> = dimensions.keys().filter(|name| !known(name)).collect();
    if !unsupported.is_empty() {
        let failure = ModuleFailure::new("'Unsupported dimensions'");
        return Err(
            failure.with("unsupported_dimensions", Value::from_iter(unsupported.into_iter().cloned()))
        );
    }
    let mut numbers = BTreeMap::new();
    for limit in NumericLimit::ALL {
        let Some(value) = dimensions.get(limit.key()).filter(|value| !value.is_null()) else { continue };
        let number = scalar_text(value).and_then(|text| match limit.is_size() {
            true => units::size(&text),
            false => text.trim().parse().ok(),
        });
        let wrong = || ModuleFailure::new(format!("dimensions: {}: {value} can't be used", limit.key()));
        numbers.insert(limit, number.ok_or_else(wrong)?);
    }
    let text = |name: &str| dimensions.get(name).and_then(scalar_text).filter(|text| !text.is_empty());
    Ok(Limits {
        numbers,
        cpuset_cpus: text("cpuset_cpus"),
        cpuset_mems: text("cpuset_mems"),
        ulimits: ulimits(dimensions)?,
    })
}

fn ulimits(dimensions: &Map<String, Value>) -> Result<Vec<Ulimit>, ModuleFailure> {
    let given = dimensions.get(ULIMITS.0).and_then(Value::as_object);
    let ulimit = |(name, value): (&String, &Value)| {
        let wrong =
            || ModuleFailure::new(format!("dimensions: ulimits: {name} needs whole numbers, soft and hard"));
        let number = |key: &str| value.get(key).and_then(whole).ok_or_else(wrong);
        Ok(Ulimit { name: name.clone(), soft: number("soft")?, hard: number("hard")? })
    };
    given.into_iter().flatten().map(ulimit).collect()
}

/// The keys of a healthcheck, all of which have to be there.
const HEALTHCHECK: [&str; 5] = ["test", "interval", "timeout", "start_period", "retries"];

/// A healthcheck; none for one that says there is to be none.
fn healthcheck(given: &Map<String, Value>) -> Result<Option<Healthcheck>, ModuleFailure> {
    let unsupported: Vec<&String> = given.keys().filter(|key| !HEALTHCHECK.contains(&key.as_str())).collect();
    if !unsupported.is_empty() {
        let failure = ModuleFailure::new("'Unsupported healthcheck options'");
        return Err(
            failure.with("unsupported_healthcheck", Value::from_iter(unsupported.into_iter().cloned()))
        );
    }
    let missing: Vec<&str> = HEALTHCHECK.into_iter().filter(|key| !given.contains_key(*key)).collect();
    if !missing.is_empty() {
        let failure = ModuleFailure::new("'Missing healthcheck option'");
        return Err(failure.with("missing_healthcheck", Value::from_iter(missing)));
    }
    let number = |key: &str| {
        let wrong = || ModuleFailure::new(format!("healthcheck: {key}: a whole number is expected"));
        whole(&given[key]).and_then(|number| u64::try_from(number).ok()).ok_or_else(wrong)
    };
    let test = match &given["test"] {
        Value::String(text) if text == "NONE" => return Ok(None),
        Value::Array(words) if matches!(words.as_slice(), [Value::String(word)] if word == "NONE") => {
            return Ok(None);
        }
        Value::Array(words) => words.iter().filter_map(scalar_text).collect(),
        other => vec!["CMD-SHELL".to_string(), scalar_text(other).unwrap_or_default()],
    };
    Ok(Some(Healthcheck {
        test,
        interval: Duration::from_secs(number("interval")?),
        timeout: Duration::from_secs(number("timeout")?),
        start_period: Duration::from_secs(number("start_period")?),
        retries: u32::try_from(number("retries")?).unwrap_or(u32::MAX),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::worker::params::tests::params;

    fn wanted(more: Value) -> Result<ContainerSpec, ModuleFailure> {
        let mut given = json!({"action": "start_container", "image": "i", "name": "a_b"});
        let given_map = given.as_object_mut().expect("a mapping");
        given_map.extend(more.as_object().expect("a mapping").clone());
        let host = WorkerHost::read("", "/usr/share/zoneinfo/Europe/Prague", "root:x:0:\nkvm:x:104:nova\n");
        super::wanted(&params(&given).expect("arguments"), &host, false)
    }

    #[test]
    fn the_host_has_a_time_zone() {
        let zone = |timezone, localtime| WorkerHost::read(timezone, localtime, "").timezone;
        assert_eq!(zone("Etc/UTC\n", "/usr/share/zoneinfo/Europe/Prague"), "Etc/UTC");
        assert_eq!(zone("\n", "../usr/share/zoneinfo/Europe/Prague"), "Europe/Prague");
        assert_eq!(zone("", "/elsewhere"), "UTC");
    }

    #[test]
    fn every_container_knows_its_name_and_time_zone() {
        let environment = wanted(json!({"environment": {"KOLLA_SERVICE_NAME": "x", "E": null}}));
        let environment = environment.expect("wanted").environment;
        let found: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("E", ""), ("KOLLA_SERVICE_NAME", "a-b"), ("TZ", "Europe/Prague")]);
    }

    #[test]
    fn docker_is_told_of_the_places_of_all_volumes() {
        let volumes =
            ["/etc/kolla/x/:/var/lib/kolla/config_files/:ro", "kolla_logs:/var/log/kolla/", "/data", "", " "];
        let wanted = wanted(json!({"volumes": volumes})).expect("wanted");
        let binds: Vec<String> = wanted.volumes.iter().map(MountedVolume::bind).collect();
        assert_eq!(
            binds,
            [
                "/etc/kolla/x/:/var/lib/kolla/config_files/:ro",
                "kolla_logs:/var/log/kolla/:rw",
                "/data",
                "/var/lib/kolla/config_files/",
                "/var/log/kolla/",
            ]
        );
    }

    #[test]
    fn podman_gets_a_capability_terminals_and_no_file_systems_in_memory() {
        let wanted = wanted(json!({
            "container_engine": "podman", "cap_add": ["NET_ADMIN"], "tmpfs": ["/run"],
            "volumes": ["devpts:/dev/pts", "/a:/b:z", "/c:/d:shared", "/e:/f:ro"],
        }));
        let spec = wanted.expect("wanted");
        assert_eq!(spec.cap_add, ["NET_ADMIN", "AUDIT_WRITE"]);
        assert!(spec.tmpfs.is_empty());
        let binds: Vec<String> = spec.volumes.iter().map(MountedVolume::bind).collect();
        assert_eq!(binds, ["/dev/pts", "/a:/b:rw", "/c:/d:shared", "/e:/f:ro"]);
        assert_eq!(spec.volumes[0].source, VolumeSource::Terminals);
    }

    #[test]
    fn what_can_not_be_used_is_told() {
        let check = json!({"test": "x", "interval": 1, "timeout": "1", "start_period": 1, "retries": "3"});
        let with = |key: &str, value: Value| {
            let mut check = check.clone();
            check[key] = value;
            json!({"healthcheck": check})
        };
        assert_eq!(
            wanted(json!({"healthcheck": check})).expect("wanted").healthcheck.expect("one").retries,
            3
        );
        assert_eq!(wanted(with("test", json!(["NONE"]))).expect("wanted").healthcheck, None);
        for (given, told) in [
            (with("start_interval", json!(1)), "'Unsupported healthcheck options'"),
            (with("interval", json!("soon")), "healthcheck: interval: a whole number is expected"),
            (json!({"healthcheck": {"test": "x"}}), "'Missing healthcheck option'"),
            (json!({"dimensions": {"kernel_memory": 1}}), "'Unsupported dimensions'"),
            (json!({"dimensions": {"mem_limit": "1q"}}), "dimensions: mem_limit: \"1q\" can't be used"),
            (
                json!({"dimensions": {"ulimits": {"nofile": {"soft": 1}}}}),
                "dimensions: ulimits: nofile needs whole numbers, soft and hard",
            ),
            (
                json!({"volumes": ["/a:ro"]}),
                "Wrong format of volume: /a:ro: the place in the container is no absolute path",
            ),
            (
                json!({"volumes": ["/a:/b:ro:z"]}),
                "Wrong format of volume: /a:/b:ro:z: it is not SOURCE:TARGET[:MODE]",
            ),
            (
                json!({"container_engine": "podman", "volumes": ["/a"]}),
                "Wrong format of volume: /a: Podman takes SOURCE:TARGET[:MODE]",
            ),
            (json!({"group_add": ["nobodys"]}), "group_add: the host has no group 'nobodys' (/etc/group)"),
            (json!({"command": "a 'b"}), "command: a quote (') in the command does not end: a 'b"),
        ] {
            assert_eq!(wanted(given.clone()).expect_err("a failure").message, told, "{given}");
        }
        assert_eq!(wanted(json!({"group_add": ["kvm", 5]})).expect("wanted").group_add, ["104", "5"]);
    }
}
