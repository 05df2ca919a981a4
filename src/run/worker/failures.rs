//! Kolla-ansible's comparisons of a container with what a call wants, told in its words and the engine's [pure].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::arguments::whole;
use super::failed::ModuleFailure;
use super::params::WorkerParams;
use super::wanted::{AUDIT_WRITE, DIMENSIONS, ULIMITS};
use crate::engine::container::{ContainerSpec, Healthcheck, ImageDefaults, Ulimit, VolumeSource};
use crate::run::compare::{is_podmans_own, plain_capability};
use crate::run::python::{is_true, scalar_text};
use crate::run::units;

/// A container beside what is wanted of it.
pub struct Comparison<'a> {
    /// The arguments.
    pub params: &'a WorkerParams,
    /// The container that they want.
    pub wanted: &'a ContainerSpec,
    /// The container in the engine's own words.
    pub held: &'a Value,
    /// The image that is asked for, if the engine has it.
    pub image: Option<&'a ImageDefaults>,
}

/// Something that differs, as Ansible is told of it.
pub fn failure(name: &str, current: impl Into<Value>, desired: impl Into<Value>) -> Value {
    json!({"name": name, "current": current.into(), "desired": desired.into()})
}

/// A value as it is and as it is to be; none when it is as it is to be.
type BothValues = Option<(Value, Value)>;

impl Comparison<'_> {
    /// All that differs, in the order in which kolla-ansible looks.
    ///
    /// # Errors
    /// A limit is asked for that the engine does not know.
    pub fn failures(&self) -> Result<Vec<Value>, ModuleFailure> {
        let checks = [
            ("cap_add", self.cap_add()),
            ("group_add", sets(texts(self.host("GroupAdd")), set(&self.wanted.group_add))),
            ("security_opt", self.security_opt()),
            ("image", self.image()),
            ("ipc_mode", self.ipc_mode()),
            ("labels", self.labels()),
            ("privileged", self.privileged()),
            ("pid_mode", self.pid_mode()),
            ("cgroupns_mode", self.cgroupns_mode()),
            ("tmpfs", self.tmpfs()),
            ("volumes", self.volumes()),
            ("volumes_from", sets(texts(self.host("VolumesFrom")), set(&self.params.volumes_from))),
            ("environment", self.environment()),
            ("container_state", self.state()),
            ("dimensions", self.dimensions()?),
            ("command", self.command()),
            ("healthcheck", self.healthcheck()),
        ];
        let failed = checks.into_iter().filter_map(|(name, sides)| Some((name, sides?)));
        Ok(failed.map(|(name, (current, desired))| failure(name, current, desired)).collect())
    }

    /// True when the image is missing or another one, or has another name.
    pub fn is_other_image(&self) -> bool {
        let plain_id = |id: &str| id.trim_start_matches("sha256:").to_string();
        let name = self.held["Config"]["Image"].as_str().unwrap_or_default();
        let wanted = self.params.image.as_str();
        let is_other_name = match self.params.podman {
            true => name.rsplit('/').next() != wanted.rsplit('/').next(),
            false => name != wanted,
        };
        let held = plain_id(self.held["Image"].as_str().unwrap_or_default());
        self.image.is_none_or(|image| plain_id(image.id.as_str()) != held) || is_other_name
    }

    fn host(&self, key: &str) -> &Value {
        &self.held["HostConfig"][key]
    }

    /// A text of the host's settings; none for an empty one.
    fn mode(&self, key: &str) -> Option<&str> {
        self.host(key).as_str().filter(|mode| !mode.is_empty())
    }

    fn cap_add(&self) -> BothValues {
        // Newer engines tell of `NET_ADMIN` as `CAP_NET_ADMIN`; Podman before 4.4 does not tell what it adds.
        let always = (self.params.podman && !self.params.privileged).then(|| AUDIT_WRITE.to_string());
        let of = |names: &BTreeSet<String>| {
            names.iter().map(|name| plain_capability(name)).chain(always.clone()).collect::<BTreeSet<_>>()
        };
        let (current, desired) = (texts(self.host("CapAdd")), set(&self.params.cap_add));
        (of(&current) != of(&desired)).then(|| (json!(current), json!(desired)))
    }

    fn security_opt(&self) -> BothValues {
        let is_host = |mode: &Option<String>| mode.as_deref() == Some("host");
        // Engines add options of their own then.
        if is_host(&self.params.ipc_mode) || is_host(&self.params.pid_mode) || self.params.privileged {
            return None;
        }
        sets(texts(self.host("SecurityOpt")), set(&self.params.security_opt))
    }

    fn image(&self) -> BothValues {
        self.is_other_image().then(|| (self.held["Image"].clone(), json!(self.params.image)))
    }

    fn ipc_mode(&self) -> BothValues {
        let (current, desired) = (self.mode("IpcMode"), self.params.ipc_mode.as_deref());
        (desired.is_some() && desired != current).then(|| (json!(current), json!(desired)))
    }

    /// Labels of the image count only when they are asked for.
    fn labels(&self) -> BothValues {
        let image = self.image?;
        let mut current = self.held["Config"]["Labels"].as_object().cloned().unwrap_or_default();
        let desired = &self.params.labels;
        let is_overruled =
            image.labels.iter().any(|(name, value)| desired.get(name).is_some_and(|wanted| wanted != value));
        current.retain(|name, _| !image.labels.contains_key(name) || desired.contains_key(name));
        let wanted: Map<String, Value> =
            desired.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        (is_overruled || current != wanted).then(|| (json!(current), json!(wanted)))
    }

    fn privileged(&self) -> BothValues {
        let current = self.host("Privileged").as_bool().unwrap_or_default();
        (current != self.params.privileged).then(|| (json!(current), json!(self.params.privileged)))
    }

    fn pid_mode(&self) -> BothValues {
        // The usual one, of which Docker says nothing and Podman this.
        let asked = |mode: Option<&str>| mode.filter(|mode| *mode != "private").map(String::from);
        let (current, desired) = (self.mode("PidMode"), self.params.pid_mode.as_deref());
        (asked(current) != asked(desired)).then(|| (json!(current), json!(desired)))
    }

    fn cgroupns_mode(&self) -> BothValues {
        let current = self.mode("CgroupnsMode").or(self.mode("CgroupMode")).unwrap_or("host");
        let desired = self.params.cgroupns_mode.as_deref()?;
        (current != desired).then(|| (json!(current), json!(desired)))
    }

    fn tmpfs(&self) -> BothValues {
        // Podman can't be asked for any.
        let desired = if self.params.podman { &[][..] } else { &self.params.tmpfs };
        let current = keys(self.host("Tmpfs"));
        let places: BTreeSet<String> = self.wanted.tmpfs.keys().cloned().collect();
        (current != places).then(|| (json!(current), json!(set(desired))))
    }

    fn volumes(&self) -> BothValues {
        let places = keys(&self.held["Config"]["Volumes"]);
        let binds = texts(self.host("Binds"));
        let wanted = &self.wanted.volumes;
        let (wanted_binds, wanted_places): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|volume| volume.source != VolumeSource::Anonymous);
        let wanted_binds = wanted_binds.into_iter().filter(|volume| volume.source != VolumeSource::Terminals);
        let wanted_binds: BTreeSet<String> = wanted_binds.map(|volume| volume.bind()).collect();
        let wanted_places: BTreeSet<String> =
            wanted_places.into_iter().map(|volume| volume.target.clone()).collect();
        let is_same = match self.params.podman {
            true => podman_binds(&binds) == podman_binds(&wanted_binds),
            false => places == wanted_places && binds == wanted_binds,
        };
        (!is_same).then(|| {
            (
                json!({"volumes": places, "binds": binds}),
                json!({"volumes": wanted_places, "binds": wanted_binds}),
            )
        })
    }

    /// Variables that are asked for; the names alone are told, for values may be secrets.
    fn environment(&self) -> BothValues {
        let current = self.held["Config"]["Env"].as_array();
        let pair = |variable: &Value| {
            let (name, value) = variable.as_str()?.split_once('=')?;
            Some((name.to_string(), value.to_string()))
        };
        let current: BTreeMap<String, String> = current.into_iter().flatten().filter_map(pair).collect();
        let desired = &self.wanted.environment;
        let differs = desired.iter().any(|(name, value)| current.get(name) != Some(value));
        let names = |of: &BTreeMap<String, String>| json!(of.keys().collect::<Vec<_>>());
        differs.then(|| (names(&current), names(desired)))
    }

    fn state(&self) -> BothValues {
        let current = self.held["State"]["Status"].as_str().unwrap_or_default();
        (current != self.params.state).then(|| (json!(current), json!(self.params.state)))
    }

    /// Limits that are asked for have to be so, and the others as they are by default: nothing.
    fn dimensions(&self) -> Result<BothValues, ModuleFailure> {
        let asked = &self.params.dimensions;
        let mut differs = self.ulimits_differ();
        for (name, key) in DIMENSIONS {
            let current = self.host(key);
            differs |= match asked.get(name) {
                None => is_true(current),
                Some(_) if name.starts_with("cpuset") => {
                    let text = |value: &Value| scalar_text(value).unwrap_or_default();
                    text(&asked[name]) != text(current)
                }
                Some(_) if current.is_null() => {
                    return Err(ModuleFailure::new(format!(
                        "dimensions: the engine does not know {name} any more: leave it out"
                    )));
                }
                Some(value) => amount(value) != amount(current),
            };
        }
        Ok(differs.then(|| {
            let known = DIMENSIONS.into_iter().chain([ULIMITS]).filter(|(name, _)| asked.contains_key(*name));
            let current: Map<String, Value> =
                known.clone().map(|(_, key)| (key.to_string(), self.host(key).clone())).collect();
            let desired: Map<String, Value> =
                known.map(|(name, key)| (key.to_string(), asked[name].clone())).collect();
            (json!(current), json!(desired))
        }))
    }

    fn ulimits_differ(&self) -> bool {
        // What Podman sets by itself is nobody's wish.
        let own = ["NOFILE", "NPROC"];
        let plain = |name: &str| name.to_uppercase().trim_start_matches("RLIMIT_").to_string();
        let counts = |name: &String| !self.params.podman || !own.contains(&name.as_str());
        let wanted = self.wanted.limits.ulimits.iter();
        let wanted: BTreeSet<(String, i64, i64)> =
            wanted.map(|Ulimit { name, soft, hard }| (plain(name), *soft, *hard)).collect();
        let told = |limit: &Value| {
            Some((plain(limit["Name"].as_str()?), limit["Soft"].as_i64()?, limit["Hard"].as_i64()?))
        };
        let held: BTreeSet<_> =
            self.host(ULIMITS.1).as_array().into_iter().flatten().filter_map(told).collect();
        let only = |limits: BTreeSet<(String, i64, i64)>| {
            limits.into_iter().filter(|(name, ..)| counts(name)).collect::<Vec<_>>()
        };
        only(held) != only(wanted)
    }

    fn command(&self) -> BothValues {
        self.params.command.as_ref()?;
        let mut current = vec![self.held["Path"].as_str().unwrap_or_default().to_string()];
        let arguments = self.held["Args"].as_array().into_iter().flatten();
        current.extend(arguments.filter_map(Value::as_str).map(String::from));
        (current != self.wanted.command)
            .then(|| (json!(current.join(" ").trim()), json!(self.params.command)))
    }

    fn healthcheck(&self) -> BothValues {
        let current = &self.held["Config"]["Healthcheck"];
        let number = |key: &str| current[key].as_i64().unwrap_or_default();
        let nanoseconds = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        let is_same = match &self.wanted.healthcheck {
            None => !is_true(current),
            Some(Healthcheck { test, interval, timeout, start_period, retries }) => {
                let words: Vec<&str> =
                    current["Test"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                words == *test
                    && number("Interval") == nanoseconds(*interval)
                    && number("Timeout") == nanoseconds(*timeout)
                    && number("StartPeriod") == nanoseconds(*start_period)
                    && number("Retries") == i64::from(*retries)
            }
        };
        (!is_same).then(|| (current.clone(), json!(self.params.healthcheck)))
    }
}

fn set(texts: &[String]) -> BTreeSet<String> {
    texts.iter().cloned().collect()
}

/// The texts of a list of the engine's; none of what is missing.
fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
}

/// The keys of a mapping of the engine's; none of what is missing.
fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flat_map(Map::keys).cloned().collect()
}

fn sets(current: BTreeSet<String>, desired: BTreeSet<String>) -> BothValues {
    (current != desired).then(|| (json!(current), json!(desired)))
}

/// The number of a limit, which may be written with a unit.
fn amount(value: &Value) -> Option<i64> {
    whole(value).or_else(|| units::size(value.as_str()?))
}

/// Sources, places and flags. Podman adds flags of its own, and slashes at the end mean nothing to it.
fn podman_binds(binds: &BTreeSet<String>) -> BTreeSet<(String, String, BTreeSet<String>)> {
    let slashed = |path: &str| format!("{}/", path.trim_end_matches('/'));
    let parts = |bind: &String| {
        let mut parts = bind.splitn(3, ':');
        let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let counts = |flag: &&str| !(flag.is_empty() || is_podmans_own(flag, target));
        let mut flags: BTreeSet<String> =
            parts.next().unwrap_or_default().split(',').filter(counts).map(String::from).collect();
        if !flags.contains("ro") {
            flags.insert("rw".to_string());
        }
        (slashed(source), slashed(target), flags)
    };
    binds.iter().map(parts).collect()
}

#[cfg(test)]
mod tests;
