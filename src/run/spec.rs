//! The settings of one container in a stack, read into types [pure].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::fields::{FieldError, Fields, unfit};
use crate::engine::container::{
    ContainerSpec, Healthcheck, Limits, MountedVolume, Namespaces, NumericLimit, RestartPolicy, Ulimit,
    VolumeSource,
};

/// How a stack brings a container about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchAction {
    /// A container is made and started.
    Run,
    /// A command is run in another one.
    Exec,
}

/// Settings of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How it comes about.
    pub action: LaunchAction,
    /// Place among those of its step.
    pub start_order: i64,
    /// False for one that is waited for, because it does one thing and ends.
    pub detach: bool,
    /// Exit codes that are no failure.
    pub exit_codes: Vec<i64>,
    /// True when it is removed once it has ended.
    pub remove: bool,
    /// Containers that must be up before.
    pub depends_on: Vec<String>,
    /// Files with variables for its environment.
    pub env_files: Vec<String>,
    /// Variables that it gets as they are here.
    pub passed_variables: Vec<String>,
    /// Specification of the container, without labels and without the contents of files.
    pub spec: ContainerSpec,
}

/// Seconds between two health checks, for one may take, and failures in a row that count, when nothing says otherwise.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
const CHECK_RETRIES: u32 = 3;

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// A key means nothing, is missing, or has a value that can't be used.
    pub fn read(map: &Map<String, Value>) -> Result<Settings, FieldError> {
        let mut fields = Fields::new(map);
        let action = match fields.text("action")?.as_deref() {
            None | Some("run") => LaunchAction::Run,
            Some("exec") => LaunchAction::Exec,
            Some(other) => return Err(unfit("action", format!("'{other}' is neither run nor exec"))),
        };
        let (environment, passed_variables) = environment(&mut fields)?;
        let detach = fields.flag("detach", true)?;
        let remove = fields.flag("remove", false)?;
        let settings = Settings {
            action,
            start_order: fields.number("start_order")?.unwrap_or(0),
            detach,
            exit_codes: exit_codes(&mut fields)?,
            remove,
            depends_on: fields.list("depends_on")?,
            env_files: fields.list("env_file")?,
            passed_variables,
            spec: ContainerSpec { environment, auto_remove: remove && detach, ..spec(&mut fields)? },
        };
        // For units of systemd, of which there are none here.
        fields.ignore("systemd_exec_flags");
        fields.finish()?;
        match action {
            LaunchAction::Run if settings.spec.image.is_empty() => Err(FieldError::Missing("image")),
            LaunchAction::Exec if settings.spec.command.len() < 2 => {
                Err(unfit("command", "exec needs a container and a command to run in it"))
            }
            _ => Ok(settings),
        }
    }
}

fn spec(fields: &mut Fields) -> Result<ContainerSpec, FieldError> {
    Ok(ContainerSpec {
        image: fields.text("image")?.unwrap_or_default(),
        command: fields.command("command")?,
        user: fields.text("user")?,
        group_add: fields.list("group_add")?,
        hostname: fields.text("hostname")?,
        extra_hosts: fields.list("extra_hosts")?,
        tty: fields.flag("tty", false)?,
        interactive: fields.flag("interactive", false)?,
        namespaces: Namespaces {
            network: fields.text("net")?,
            ipc: fields.text("ipc")?,
            pid: fields.text("pid")?,
            uts: fields.text("uts")?,
            cgroup: fields.text("cgroupns")?,
        },
        privileged: fields.flag("privileged", false)?,
        cap_add: fields.list("cap_add")?,
        cap_drop: fields.list("cap_drop")?,
        security_opt: fields.list("security_opt")?,
        volumes: volumes(fields)?,
        volumes_from: fields.list("volumes_from")?,
        tmpfs: tmpfs(&fields.list("tmpfs")?),
        limits: limits(fields)?,
        healthcheck: healthcheck(fields)?,
        restart: restart(fields)?,
        stop_signal: fields.text("stop_signal")?,
        stop_grace: fields.duration("stop_grace_period")?,
        log_tag: fields.text("log_tag")?,
        ..ContainerSpec::default()
    })
}

/// Variables with a value, and those that are passed on.
fn environment(fields: &mut Fields) -> Result<(BTreeMap<String, String>, Vec<String>), FieldError> {
    let (mut set, mut passed) = (BTreeMap::new(), Vec::new());
    for (name, value) in fields.pairs("environment")? {
        match value {
            _ if name.is_empty() => return Err(unfit("environment", "a variable has no name")),
            Some(value) => _ = set.insert(name, value),
            None => passed.push(name),
        }
    }
    Ok((set, passed))
}

fn exit_codes(fields: &mut Fields) -> Result<Vec<i64>, FieldError> {
    let codes = fields.list("exit_codes")?;
    let code =
        |text: &String| text.parse().map_err(|_| unfit("exit_codes", format!("'{text}' is no exit code")));
    let codes: Vec<i64> = codes.iter().map(code).collect::<Result<_, _>>()?;
    Ok(if codes.is_empty() { vec![0] } else { codes })
}

fn volumes(fields: &mut Fields) -> Result<Vec<MountedVolume>, FieldError> {
    fields.list("volumes")?.into_iter().map(|text| volume(&text)).collect()
}

/// Reads `SOURCE:TARGET:MODE`, `SOURCE:TARGET`, or `TARGET` alone.
///
/// # Errors
/// The target is no absolute path, or the source neither one nor a name.
pub fn volume(text: &str) -> Result<MountedVolume, FieldError> {
    let mut parts = text.splitn(3, ':');
    let (first, target) = (parts.next().unwrap_or_default(), parts.next());
    let mode = parts.next().unwrap_or("rw").to_string();
    let (source, target) = match target {
        None => (VolumeSource::Anonymous, first),
        Some(target) => (VolumeSource::written(first), target),
    };
    if !target.starts_with('/') || first.is_empty() {
        return Err(unfit("volumes", format!("'{text}' is not SOURCE:/TARGET[:MODE]")));
    }
    if matches!(&source, VolumeSource::Path(path) if !path.starts_with('/')) {
        return Err(unfit(
            "volumes",
            format!("the source of '{text}' is neither an absolute path nor a volume's name"),
        ));
    }
    Ok(MountedVolume { source, target: target.to_string(), mode })
}

/// File systems in memory, each written as `PLACE[:OPTIONS]`, by their places.
pub fn tmpfs(written: &[String]) -> BTreeMap<String, String> {
    let place = |text: &String| {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        (target.to_string(), options.to_string())
    };
    written.iter().map(place).collect()
}

fn limits(fields: &mut Fields) -> Result<Limits, FieldError> {
    let mut numbers = BTreeMap::new();
    for limit in NumericLimit::ALL {
        let number = if limit.is_size() { fields.size(limit.key())? } else { fields.number(limit.key())? };
        numbers.extend(number.map(|number| (limit, number)));
    }
    let ulimit = |text: String| {
        let wrong = || unfit("ulimit", format!("'{text}' is not NAME=SOFT[:HARD]"));
        let (name, values) = text.split_once('=').ok_or_else(wrong)?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (soft.parse().map_err(|_| wrong())?, hard.parse().map_err(|_| wrong())?);
        Ok(Ulimit { name: name.to_string(), soft, hard })
    };
    Ok(Limits {
        numbers,
        // With all of them there is nothing to limit.
        cpuset_cpus: fields.text("cpuset_cpus")?.filter(|cpus| cpus != "all"),
        cpuset_mems: fields.text("cpuset_mems")?,
        ulimits: fields.list("ulimit")?.into_iter().map(ulimit).collect::<Result<_, _>>()?,
    })
}

fn healthcheck(fields: &mut Fields) -> Result<Option<Healthcheck>, FieldError> {
    const KEY: &str = "healthcheck";
    let interval = fields.duration("check_interval")?;
    let Some(value) = fields.value(KEY) else { return Ok(None) };
    let map = value.as_object().ok_or_else(|| unfit(KEY, "it is no mapping"))?;
    let mut fields = Fields::new(map);
    let mut read = || {
        let test = match fields.value("test") {
            None => return Err(FieldError::Missing("test")),
            Some(Value::String(command)) if command == "NONE" => vec!["NONE".to_string()],
            Some(Value::String(command)) => vec!["CMD-SHELL".to_string(), command.clone()],
            Some(_) => fields.list("test")?,
        };
        let retries = fields.number("retries")?.map(u32::try_from).transpose();
        Ok(Healthcheck {
            test,
            interval: fields.duration("interval")?.or(interval).unwrap_or(CHECK_INTERVAL),
            timeout: fields.duration("timeout")?.unwrap_or(CHECK_TIMEOUT),
            start_period: fields.duration("start_period")?.unwrap_or_default(),
            retries: retries
                .map_err(|_| unfit("retries", "it is no number of times"))?
                .unwrap_or(CHECK_RETRIES),
        })
    };
    let check =
        read().and_then(|check| fields.finish().map(|()| check)).map_err(|error| unfit(KEY, error))?;
    let is_known = matches!(check.test.first().map(String::as_str), Some("NONE" | "CMD" | "CMD-SHELL"));
    if !is_known {
        return Err(unfit(KEY, "a test that is a list begins with CMD, CMD-SHELL or NONE"));
    }
    Ok(Some(check))
}

fn restart(fields: &mut Fields) -> Result<RestartPolicy, FieldError> {
    let Some(text) = fields.text("restart")? else { return Ok(RestartPolicy::No) };
    let (name, times) =
        text.split_once(':').map_or((text.as_str(), None), |(name, times)| (name, Some(times)));
    match (name, times.map(str::parse)) {
        ("no" | "false", None) => Ok(RestartPolicy::No),
        ("always", None) => Ok(RestartPolicy::Always),
        ("unless-stopped", None) => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", None) => Ok(RestartPolicy::OnFailure(None)),
        ("on-failure", Some(Ok(times))) => Ok(RestartPolicy::OnFailure(Some(times))),
        _ => {
            Err(unfit("restart", format!("'{text}' is not no, always, unless-stopped or on-failure[:TIMES]")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: Value) -> Result<Settings, FieldError> {
        Settings::read(settings.as_object().expect("a mapping"))
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(serde_json::from_str(r#"{
            "image": "kolla/nova-compute:1", "action": "run", "start_order": 3, "command": "a 'b c'", "detach": false,
            "exit_codes": [0, 2], "environment": {"A": "b", "N": 1, "E": "", "P": null}, "env_file": "/etc/env",
            "net": "host", "ipc": "host", "pid": "host", "uts": "host", "cgroupns": "private", "privileged": false,
            "user": "nova", "group_add": ["kolla"], "volumes": ["/a:/b:ro", "logs:/var/log/kolla/", "/anonymous", null],
            "volumes_from": ["other"], "tmpfs": ["/run:size=1m", "/tmp"], "restart": "on-failure:3", "remove": true,
            "interactive": true, "tty": "true", "ulimit": ["nofile=1024:2048", "nproc=5"], "cpu_shares": 2,
            "cpu_period": 1, "cpu_quota": 1, "mem_limit": "2g", "memswap_limit": -1, "mem_reservation": "1m",
            "mem_swappiness": 60, "blkio_weight": 10, "cpuset_cpus": "0-1", "cpuset_mems": "0",
            "security_opt": ["label=disable"], "stop_signal": "SIGTERM", "hostname": "h", "extra_hosts": ["a:1.2.3.4"],
            "stop_grace_period": "1m5s", "cap_add": ["NET_ADMIN"], "cap_drop": "ALL", "check_interval": 60,
            "healthcheck": {"test": "/openstack/healthcheck", "retries": 2}, "log_tag": "t", "depends_on": ["x"],
            "systemd_exec_flags": {"WorkingDirectory": "/"}
        }"#).expect("JSON"));
        let Settings { spec, .. } = settings.clone().expect("read");
        insta::assert_debug_snapshot!(spec);
        let Settings { detach, exit_codes, passed_variables, env_files, start_order, .. } =
            settings.expect("read");
        assert_eq!((detach, start_order, exit_codes), (false, 3, vec![0, 2]));
        assert_eq!((passed_variables, env_files), (vec!["P".to_string()], vec!["/etc/env".to_string()]));
    }

    #[test]
    fn a_list_does_as_well_as_a_mapping() {
        let environment = json!(["A=b=c", "E=", "P"]);
        let settings = read(json!({"image": "i", "environment": environment})).expect("read");
        let expected = [("A", "b=c"), ("E", "")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(settings.spec.environment, expected.into());
        assert_eq!(settings.passed_variables, ["P"]);
    }

    #[test]
    fn what_can_not_be_used_is_told_with_its_key() {
        for (settings, told) in [
            (json!({}), "image is missing"),
            (json!({"imge": "x"}), "unknown key 'imge': did you mean 'image'?"),
            (json!({"image": "x", "action": "go"}), "action: 'go' is neither run nor exec"),
            (
                json!({"action": "exec", "command": "x"}),
                "command: exec needs a container and a command to run in it",
            ),
            (json!({"image": "x", "detach": "perhaps"}), "detach: 'perhaps' is neither true nor false"),
            (json!({"image": "x", "start_order": "first"}), "start_order: 'first' is no whole number"),
            (json!({"image": "x", "mem_limit": "2q"}), "mem_limit: '2q' is no size (1024, 512m, 2g)"),
            (
                json!({"image": "x", "stop_grace_period": "1y"}),
                "stop_grace_period: '1y' is no duration (30, 5h34m56s)",
            ),
            (
                json!({"image": "x", "volumes": ["a/b:/c"]}),
                "volumes: the source of 'a/b:/c' is neither an absolute path nor a volume's name",
            ),
            (json!({"image": "x", "volumes": ["a:b"]}), "volumes: 'a:b' is not SOURCE:/TARGET[:MODE]"),
            (json!({"image": "x", "ulimit": ["nofile"]}), "ulimit: 'nofile' is not NAME=SOFT[:HARD]"),
            (
                json!({"image": "x", "restart": "on-failure:x"}),
                "restart: 'on-failure:x' is not no, always, unless-stopped or on-failure[:TIMES]",
            ),
            (
                json!({"image": "x", "healthcheck": {"test": ["ls"]}}),
                "healthcheck: a test that is a list begins with CMD, CMD-SHELL or NONE",
            ),
            (
                json!({"image": "x", "healthcheck": {"test": "ls", "retry": 1}}),
                "healthcheck: unknown key 'retry': did you mean 'retries'?",
            ),
            (json!({"image": "x", "healthcheck": {"interval": 1}}), "healthcheck: test is missing"),
            (json!({"image": "x", "command": "'a"}), "command: a quote (') in the command does not end: 'a"),
            (json!({"image": "x", "environment": {"A": ["b"]}}), "environment: the value of A is no text"),
            (json!({"image": "x", "exit_codes": ["x"]}), "exit_codes: 'x' is no exit code"),
        ] {
            assert_eq!(read(settings.clone()).expect_err("unfit").to_string(), told, "{settings}");
        }
    }
}
