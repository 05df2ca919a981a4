//! Differences between a container as it is to be and as it is: kolla-ansible's sixteen comparisons, and those of settings
//! and mounted files that it does not look at [pure].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::labels;
use crate::engine::container::{
    ContainerFacts, ContainerSpec, ContainerStatus, Healthcheck, ImageDefaults, Labels, Limits,
    MountedVolume, NumericLimit, Ulimit, VolumeSource,
};
use crate::util::secrets;

/// A property of containers that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// Capabilities beside the usual ones.
    CapAdd,
    /// Options of the security modules.
    SecurityOpt,
    /// Identifier of the image.
    Image,
    /// Namespace of interprocess communication.
    IpcMode,
    /// Labels of the container.
    Labels,
    /// All rights of root on the host.
    Privileged,
    /// Namespace of process numbers.
    PidMode,
    /// Namespace of control groups.
    CgroupnsMode,
    /// File systems in memory.
    Tmpfs,
    /// Volumes and directories of the host.
    Volumes,
    /// Containers whose volumes it gets.
    VolumesFrom,
    /// Variables of the environment.
    Environment,
    /// State: running or not.
    ContainerState,
    /// Limits of processors, memory and disks.
    Dimensions,
    /// Words of the command.
    Command,
    /// Check of its health.
    Healthcheck,
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Attribute::CapAdd => "cap_add",
            Attribute::SecurityOpt => "security_opt",
            Attribute::Image => "image",
            Attribute::IpcMode => "ipc_mode",
            Attribute::Labels => "labels",
            Attribute::Privileged => "privileged",
            Attribute::PidMode => "pid_mode",
            Attribute::CgroupnsMode => "cgroupns_mode",
            Attribute::Tmpfs => "tmpfs",
            Attribute::Volumes => "volumes",
            Attribute::VolumesFrom => "volumes_from",
            Attribute::Environment => "environment",
            Attribute::ContainerState => "container_state",
            Attribute::Dimensions => "dimensions",
            Attribute::Command => "command",
            Attribute::Healthcheck => "healthcheck",
        })
    }
}

/// One property with two values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A property is another.
    Property {
        /// Property with two values.
        attribute: Attribute,
        /// Value that the container has.
        current: String,
        /// As it is to be.
        desired: String,
    },
    /// A setting that is not compared above was written otherwise when the container was made.
    Setting(String),
    /// A mounted file had other content, or was not there, when the container was made.
    File(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Property { attribute, current, desired } => {
                write!(f, "{attribute} is {}, and is to be {}", short(current), short(desired))
            }
            Difference::Setting(key) => write!(f, "{key} has changed"),
            Difference::File(path) => write!(f, "the mounted file {path} has changed"),
        }
    }
}

/// So many characters of a value are shown.
const SHOWN: usize = 120;

/// The beginning of a value, on one line.
fn short(value: &str) -> String {
    let words = value.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &words[..end]),
        None => words,
    }
}

/// A container as it is to be.
#[derive(Debug, Clone, Copy)]
pub struct Desired<'a> {
    /// Specification that it is to be made from.
    pub spec: &'a ContainerSpec,
    /// The image that it is made from, as the engine has it; none when it has none of this name.
    pub image: Option<&'a ImageDefaults>,
    /// Exit codes of one that ends by itself; none for one that is to run.
    pub ends_with: Option<&'a [i64]>,
}

/// Everything that differs, in the order in which kolla-ansible looks.
pub fn compare(desired: Desired, held: &ContainerFacts, podman: bool) -> Vec<Difference> {
    let (new, old) = (desired.spec, &held.spec);
    let nothing = ImageDefaults::default();
    let image = desired.image.unwrap_or(&nothing);
    let pairs = [
        (Attribute::CapAdd, cap_add(new, old, podman)),
        (Attribute::SecurityOpt, security_opt(new, old)),
        (Attribute::Image, image_differs(desired, held)),
        (Attribute::IpcMode, if_asked(new.namespaces.ipc.as_deref(), old.namespaces.ipc.as_deref(), "")),
        (Attribute::Labels, labels_differ(&new.labels, &old.labels, &image.labels)),
        (Attribute::Privileged, unequal(&old.privileged, &new.privileged)),
        (Attribute::PidMode, pid_mode(new, old)),
        (
            Attribute::CgroupnsMode,
            if_asked(new.namespaces.cgroup.as_deref(), old.namespaces.cgroup.as_deref(), "host"),
        ),
        (Attribute::Tmpfs, sets(keys(&old.tmpfs), keys(&new.tmpfs))),
        (Attribute::Volumes, sets(mounts(&old.volumes, podman), mounts(&new.volumes, podman))),
        (Attribute::VolumesFrom, sets(set(&old.volumes_from), set(&new.volumes_from))),
        (Attribute::Environment, environment(new, old)),
        (Attribute::ContainerState, state(desired.ends_with, held)),
        (Attribute::Dimensions, dimensions(&new.limits, &old.limits, podman)),
        (Attribute::Command, command(new, old)),
        (Attribute::Healthcheck, healthcheck(new.healthcheck.as_ref(), old.healthcheck.as_ref())),
    ];
    let mut found: Vec<Difference> = pairs
        .into_iter()
        .filter_map(|(attribute, pair)| {
            pair.map(|(current, desired)| Difference::Property { attribute, current, desired })
        })
        .collect();
    found.extend(settings(&new.labels, &old.labels));
    found.extend(files(&new.labels, &old.labels));
    found
}

/// The two sides of a difference, as they are and as they are to be; none when there is none.
type Sides = Option<(String, String)>;

fn unequal<T: PartialEq + fmt::Display>(current: &T, desired: &T) -> Sides {
    (current != desired).then(|| (current.to_string(), desired.to_string()))
}

fn set(texts: &[String]) -> BTreeSet<String> {
    texts.iter().cloned().collect()
}

fn keys(map: &BTreeMap<String, String>) -> BTreeSet<String> {
    map.keys().cloned().collect()
}

/// Two sets, of which only what the other does not have is told.
fn sets(current: BTreeSet<String>, desired: BTreeSet<String>) -> Sides {
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        let only: Vec<&str> = one.difference(other).map(String::as_str).collect();
        if only.is_empty() { "without it".to_string() } else { only.join(", ") }
    };
    (current != desired).then(|| (only(&current, &desired), only(&desired, &current)))
}

/// A namespace that matters only when it is asked for. `silent` is what an engine means that does not tell.
fn if_asked(desired: Option<&str>, current: Option<&str>, silent: &str) -> Sides {
    let current = current.filter(|mode| !mode.is_empty()).unwrap_or(silent);
    desired.and_then(|desired| unequal(&current, &desired))
}

fn pid_mode(new: &ContainerSpec, old: &ContainerSpec) -> Sides {
    // Podman says `private` of what Docker says nothing of.
    let mode = |spec: &ContainerSpec| match spec.namespaces.pid.as_deref() {
        None | Some("" | "private") => "private".to_string(),
        Some(mode) => mode.to_string(),
    };
    unequal(&mode(old), &mode(new))
}

/// A capability's name without `CAP_`, which newer engines write in front.
pub fn plain_capability(name: &str) -> String {
    name.to_uppercase().trim_start_matches("CAP_").to_string()
}

/// True for a flag that Podman gives to what is mounted at this place, whatever it is asked for.
pub fn is_podmans_own(flag: &str, target: &str) -> bool {
    let in_system = ["/proc", "/run", "/sys", "/var/run"];
    ["rprivate", "nosuid", "nodev", "rbind"].contains(&flag)
        || flag == "noexec" && in_system.iter().any(|dir| target.starts_with(dir))
}

fn cap_add(new: &ContainerSpec, old: &ContainerSpec, podman: bool) -> Sides {
    // Podman adds one by itself.
    let capabilities = |spec: &ContainerSpec| {
        let mut found: BTreeSet<String> = spec.cap_add.iter().map(|name| plain_capability(name)).collect();
        if podman && !new.privileged {
            found.insert("AUDIT_WRITE".to_string());
        }
        found
    };
    sets(capabilities(old), capabilities(new))
}

fn security_opt(new: &ContainerSpec, old: &ContainerSpec) -> Sides {
    let is_host = |mode: &Option<String>| mode.as_deref() == Some("host");
    // Engines add options of their own then.
    if is_host(&new.namespaces.ipc) || is_host(&new.namespaces.pid) || new.privileged {
        return None;
    }
    sets(set(&old.security_opt), set(&new.security_opt))
}

/// Another image, or the same under another name.
fn image_differs(desired: Desired, held: &ContainerFacts) -> Sides {
    let name = &desired.spec.image;
    match desired.image {
        None => Some((held.spec.image.clone(), format!("{name}, which is not here"))),
        Some(image) if image.id != held.image => {
            let newer =
                if full_name(&held.spec.image) == full_name(name) { "another build of it" } else { name };
            Some((held.spec.image.clone(), newer.to_string()))
        }
        Some(_) => unequal(&full_name(&held.spec.image), &full_name(name)),
    }
}

/// A name with its tag, without the registry and the paths that engines put in front of names that have none.
fn full_name(name: &str) -> String {
    let name = ["docker.io/", "localhost/"]
        .iter()
        .fold(name, |name, default| name.strip_prefix(default).unwrap_or(name));
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.contains(':') || name.contains('@') { name.to_string() } else { format!("{name}:latest") }
}

/// Labels of the image that are not asked for do not count; one that is asked for with another value does. Those that hold
/// settings and digests of files are compared by what is in them.
fn labels_differ(new: &Labels, old: &Labels, of_image: &Labels) -> Sides {
    let counts = |(name, value): &(&String, &String)| {
        !labels::IS_COMPARED_INSIDE.contains(&name.as_str())
            && (new.contains_key(*name) || of_image.get(*name) != Some(*value))
    };
    let shown = |labels: &Labels| {
        labels.iter().filter(counts).map(|(name, value)| format!("{name}={value}")).collect()
    };
    sets(shown(old), shown(new))
}

/// Targets and binds. Podman adds flags of its own, and slashes at the end mean nothing to it.
fn mounts(volumes: &[MountedVolume], podman: bool) -> BTreeSet<String> {
    let trimmed = |path: &str| match path.trim_end_matches('/') {
        "" => "/".to_string(),
        trimmed => trimmed.to_string(),
    };
    let mode = |volume: &MountedVolume| {
        let is_usual = |flag: &&str| *flag == "rw" || podman && is_podmans_own(flag, &volume.target);
        let mut flags: Vec<&str> =
            volume.mode.split(',').filter(|flag| !flag.is_empty() && !is_usual(flag)).collect();
        flags.sort_unstable();
        flags.join(",")
    };
    let shown = |volume: &MountedVolume| {
        let (mode, target) = (mode(volume), trimmed(&volume.target));
        let suffix = if mode.is_empty() { String::new() } else { format!(":{mode}") };
        match &volume.source {
            VolumeSource::Anonymous | VolumeSource::Terminals => target,
            VolumeSource::Named(name) => format!("{name}:{target}{suffix}"),
            VolumeSource::Path(path) => format!("{}:{target}{suffix}", trimmed(path)),
        }
    };
    volumes.iter().map(shown).collect()
}

/// Variables that are asked for. Others, of the image or the engine, do not matter.
fn environment(new: &ContainerSpec, old: &ContainerSpec) -> Sides {
    let shown = |name: &String, value: Option<&String>| match value {
        Some(value) => format!("{name}={}", secrets::masked(name, value)),
        None => format!("{name} not set"),
    };
    let others = new.environment.iter().filter(|(name, value)| old.environment.get(*name) != Some(*value));
    let pairs =
        others.map(|(name, value)| (shown(name, old.environment.get(name)), shown(name, Some(value))));
    let (current, desired): (Vec<_>, Vec<_>) = pairs.unzip();
    (!desired.is_empty()).then(|| (current.join(", "), desired.join(", ")))
}

fn state(ends_with: Option<&[i64]>, held: &ContainerFacts) -> Sides {
    let current = match held.status {
        ContainerStatus::Exited => format!("exited ({})", held.exit_code),
        status => status.to_string(),
    };
    match ends_with {
        None => (held.status != ContainerStatus::Running).then(|| (current, "running".to_string())),
        Some(codes) => {
            let is_done = held.status == ContainerStatus::Exited && codes.contains(&held.exit_code);
            let codes: Vec<String> = codes.iter().map(i64::to_string).collect();
            (!is_done).then(|| (current, format!("exited ({})", codes.join(" or "))))
        }
    }
}

/// Limits that are asked for must be so, and the others as they are by default.
fn dimensions(new: &Limits, old: &Limits, podman: bool) -> Sides {
    let (mut current, mut desired) = (Vec::new(), Vec::new());
    let mut differs = |name: &str, was: String, is: String| {
        current.push(format!("{name} {was}"));
        desired.push(format!("{name} {is}"));
    };
    for limit in NumericLimit::ALL {
        let (was, is) = (old.numbers.get(&limit).copied(), new.numbers.get(&limit).copied());
        let is_same = match (limit, is) {
            // Twice the memory by the engine's own will.
            (NumericLimit::MemorySwap, None) if new.numbers.contains_key(&NumericLimit::Memory) => true,
            // Where the kernel has none, the engine forgets it.
            (NumericLimit::MemorySwappiness, _) if was.is_none_or(|was| was == -1) => true,
            (_, None) => was.unwrap_or(0) == 0,
            (_, is) => was == is,
        };
        if !is_same {
            let shown = |number: Option<i64>| number.unwrap_or(0).to_string();
            differs(limit.key(), shown(was), shown(is));
        }
    }
    for (name, was, is) in [
        ("cpuset_cpus", &old.cpuset_cpus, &new.cpuset_cpus),
        ("cpuset_mems", &old.cpuset_mems, &new.cpuset_mems),
    ] {
        let shown = |cpus: &Option<String>| cpus.clone().unwrap_or_default();
        if shown(was) != shown(is) {
            differs(name, shown(was), shown(is));
        }
    }
    let (was, is) = (ulimits(&old.ulimits, podman), ulimits(&new.ulimits, podman));
    if was != is {
        differs("ulimits", was.join(" "), is.join(" "));
    }
    (!desired.is_empty()).then(|| (current.join(", "), desired.join(", ")))
}

fn ulimits(ulimits: &[Ulimit], podman: bool) -> Vec<String> {
    let plain = |ulimit: &Ulimit| {
        let name = ulimit.name.to_lowercase();
        Ulimit { name: name.trim_start_matches("rlimit_").to_string(), ..ulimit.clone() }
    };
    // Podman sets these two for every container.
    let counts = |ulimit: &Ulimit| !(podman && matches!(ulimit.name.as_str(), "nofile" | "nproc"));
    let mut shown: Vec<String> =
        ulimits.iter().map(plain).filter(counts).map(|ulimit| ulimit.to_string()).collect();
    shown.sort();
    shown
}

fn command(new: &ContainerSpec, old: &ContainerSpec) -> Sides {
    let shown = |spec: &ContainerSpec| match spec.command.as_slice() {
        [] => "the image's own".to_string(),
        words => words.iter().map(|word| super::units::quoted(word)).collect::<Vec<_>>().join(" "),
    };
    (!new.command.is_empty() && new.command != old.command).then(|| (shown(old), shown(new)))
}

fn healthcheck(desired: Option<&Healthcheck>, current: Option<&Healthcheck>) -> Sides {
    let asked = |check: Option<&Healthcheck>| check.filter(|check| !check.is_none()).cloned();
    let (current, desired) = (asked(current), asked(desired));
    let shown = |check: &Option<Healthcheck>| match check {
        None => "none".to_string(),
        Some(Healthcheck { test, interval, timeout, start_period, retries }) => {
            let (interval, timeout, start) = (interval.as_secs(), timeout.as_secs(), start_period.as_secs());
            format!(
                "{} (every {interval} s, within {timeout} s, {retries} times, after {start} s)",
                test.join(" ")
            )
        }
    };
    (current != desired).then(|| (shown(&current), shown(&desired)))
}

/// Settings that make another container when they change, and that nothing above looks at when they go.
fn settings(new: &Labels, old: &Labels) -> Vec<Difference> {
    let read = |labels: &Labels| -> Option<Map<String, Value>> {
        serde_json::from_str(labels.get(labels::CONFIG_DATA)?).ok()
    };
    let (Some(new), Some(old)) = (read(new), read(old)) else {
        return match old.contains_key(labels::CONFIG_DATA) == new.contains_key(labels::CONFIG_DATA) {
            true => Vec::new(),
            false => vec![Difference::Setting(labels::CONFIG_DATA.to_string())],
        };
    };
    let names: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    let is_gone = |name: &str| old.contains_key(name) && !new.contains_key(name);
    let counts = |name: &&String| {
        new.get(*name) != old.get(*name)
            && !COMPARED.contains(&name.as_str())
            && !OF_THE_STACK.contains(&name.as_str())
            && (!COMPARED_IF_ASKED.contains(&name.as_str())
                || is_gone(name)
                || lost_variable(name, &new, &old))
    };
    names.into_iter().filter(counts).map(|name| Difference::Setting(name.clone())).collect()
}

/// Settings whose comparison above is complete.
const COMPARED: [&str; 20] = [
    "image",
    "cap_add",
    "security_opt",
    "labels",
    "privileged",
    "pid",
    "tmpfs",
    "volumes",
    "volumes_from",
    "healthcheck",
    "check_interval",
    "ulimit",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "mem_swappiness",
    "blkio_weight",
];

/// Settings that are compared above only when they are asked for.
const COMPARED_IF_ASKED: [&str; 4] = ["ipc", "cgroupns", "environment", "command"];

/// Settings that say when and how a container comes about, not what it is.
const OF_THE_STACK: [&str; 7] =
    ["action", "start_order", "exit_codes", "depends_on", "systemd_exec_flags", "cpuset_cpus", "cpuset_mems"];

/// True when a variable of the environment is no longer asked for.
fn lost_variable(key: &str, new: &Map<String, Value>, old: &Map<String, Value>) -> bool {
    let names = |map: &Map<String, Value>| -> BTreeSet<String> {
        match map.get("environment") {
            Some(Value::Object(variables)) => variables.keys().cloned().collect(),
            Some(Value::Array(variables)) => {
                let name = |variable: &Value| {
                    let text = variable.as_str()?;
                    Some(text.split('=').next().unwrap_or_default().to_string())
                };
                variables.iter().filter_map(name).collect()
            }
            _ => BTreeSet::new(),
        }
    };
    key == "environment" && names(old).difference(&names(new)).next().is_some()
}

/// Mounted files whose digests differ, or that are mounted by one of the two only.
fn files(new: &Labels, old: &Labels) -> Vec<Difference> {
    let read = |labels: &Labels| -> BTreeMap<String, String> {
        let digests = labels.get(labels::CONFIG_HASHES);
        digests.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let (new, old) = (read(new), read(old));
    let names: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    let others = names.into_iter().filter(|name| new.get(*name) != old.get(*name));
    others.map(|name| Difference::File(name.clone())).collect()
}

#[cfg(test)]
mod tests;
