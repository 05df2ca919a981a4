//! Containers in the words of the engine's API [pure].

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, HealthConfig,
    HealthStatusEnum, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, ImageInspect,
    ResourcesUlimits, RestartPolicy as Restart, RestartPolicyNameEnum,
};
use serde_json::{Value, json};

use super::super::container::{
    ContainerFacts, ContainerSpec, ContainerStatus, Health, Healthcheck, ImageConfiguration, ImageDefaults,
    Limits, MountedVolume, Namespaces, NumericLimit, RestartPolicy, Ulimit, VolumeSource,
};

/// An option of Docker's command line, which stands for two lists of the API that are empty.
const SYSTEM_PATHS: &str = "systempaths=unconfined";

/// The request that makes a container.
pub(super) fn request_of(spec: &ContainerSpec) -> Value {
    let mut request = serde_json::to_value(body_of(spec)).unwrap_or_default();
    let terminals = spec.volumes.iter().filter(|volume| volume.source == VolumeSource::Terminals);
    // Podman's own type, of which the models know nothing.
    let mounts: Vec<Value> =
        terminals.map(|volume| json!({"Type": "devpts", "Target": volume.target})).collect();
    if !mounts.is_empty() {
        request["HostConfig"]["Mounts"] = mounts.into();
    }
    request
}

fn body_of(spec: &ContainerSpec) -> ContainerCreateBody {
    let anonymous = spec.volumes.iter().filter(|volume| volume.source == VolumeSource::Anonymous);
    let anonymous = anonymous.map(|volume| volume.target.clone()).collect();
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: some_list(&spec.command),
        env: Some(spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        user: spec.user.clone(),
        hostname: spec.hostname.clone(),
        tty: Some(spec.tty),
        open_stdin: Some(spec.interactive),
        volumes: Some(anonymous),
        healthcheck: spec.healthcheck.as_ref().map(health_config),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace.map(|grace| grace.as_secs().cast_signed()),
        host_config: Some(host_config(spec)),
        ..ContainerCreateBody::default()
    }
}

fn some_list(texts: &[String]) -> Option<Vec<String>> {
    (!texts.is_empty()).then(|| texts.to_vec())
}

fn host_config(spec: &ContainerSpec) -> HostConfig {
    let Namespaces { network, ipc, pid, uts, cgroup } = spec.namespaces.clone();
    let limits = &spec.limits;
    let number = |limit| limits.numbers.get(&limit).copied();
    let unmasked = spec.security_opt.iter().any(|option| option == SYSTEM_PATHS);
    let nothing = || unmasked.then(Vec::new);
    let is_bind =
        |volume: &&MountedVolume| matches!(volume.source, VolumeSource::Named(_) | VolumeSource::Path(_));
    let binds = spec.volumes.iter().filter(is_bind);
    HostConfig {
        network_mode: network,
        ipc_mode: ipc,
        pid_mode: pid,
        uts_mode: uts,
        cgroupns_mode: cgroup.as_deref().and_then(|mode| match mode {
            "private" => Some(HostConfigCgroupnsModeEnum::PRIVATE),
            "host" => Some(HostConfigCgroupnsModeEnum::HOST),
            _ => None,
        }),
        privileged: Some(spec.privileged),
        cap_add: some_list(&spec.cap_add),
        cap_drop: some_list(&spec.cap_drop),
        security_opt: some_list(
            &spec.security_opt.iter().filter(|option| *option != SYSTEM_PATHS).cloned().collect::<Vec<_>>(),
        ),
        masked_paths: nothing(),
        readonly_paths: nothing(),
        group_add: some_list(&spec.group_add),
        extra_hosts: some_list(&spec.extra_hosts),
        binds: some_list(&binds.map(MountedVolume::bind).collect::<Vec<_>>()),
        volumes_from: some_list(&spec.volumes_from),
        tmpfs: (!spec.tmpfs.is_empty()).then(|| spec.tmpfs.clone().into_iter().collect()),
        restart_policy: Some(restart_of(spec.restart)),
        auto_remove: Some(spec.auto_remove),
        log_config: spec.log_tag.as_ref().map(|tag| HostConfigLogConfig {
            typ: None,
            config: Some(HashMap::from([("tag".to_string(), tag.clone())])),
        }),
        blkio_weight: number(NumericLimit::BlkioWeight).and_then(|weight| weight.try_into().ok()),
        cpu_period: number(NumericLimit::CpuPeriod),
        cpu_quota: number(NumericLimit::CpuQuota),
        cpu_shares: number(NumericLimit::CpuShares),
        memory: number(NumericLimit::Memory),
        memory_reservation: number(NumericLimit::MemoryReservation),
        memory_swap: number(NumericLimit::MemorySwap),
        memory_swappiness: number(NumericLimit::MemorySwappiness),
        cpuset_cpus: limits.cpuset_cpus.clone(),
        cpuset_mems: limits.cpuset_mems.clone(),
        ulimits: (!limits.ulimits.is_empty()).then(|| limits.ulimits.iter().map(ulimit_of).collect()),
        ..HostConfig::default()
    }
}

fn ulimit_of(ulimit: &Ulimit) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(ulimit.name.clone()), soft: Some(ulimit.soft), hard: Some(ulimit.hard) }
}

fn restart_of(policy: RestartPolicy) -> Restart {
    let (name, times) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        RestartPolicy::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, times),
    };
    Restart { name: Some(name), maximum_retry_count: times.map(i64::from) }
}

fn health_config(check: &Healthcheck) -> HealthConfig {
    let nanoseconds = |duration: Duration| i64::try_from(duration.as_nanos()).ok();
    HealthConfig {
        test: Some(check.test.clone()),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        start_period: nanoseconds(check.start_period),
        retries: Some(i64::from(check.retries)),
        ..HealthConfig::default()
    }
}

fn healthcheck_of(config: HealthConfig) -> Option<Healthcheck> {
    let duration = |nanoseconds: Option<i64>| {
        Duration::from_nanos(nanoseconds.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
    };
    let test = config.test.filter(|test| !test.is_empty())?;
    Some(Healthcheck {
        test,
        interval: duration(config.interval),
        timeout: duration(config.timeout),
        start_period: duration(config.start_period),
        retries: config.retries.and_then(|retries| u32::try_from(retries).ok()).unwrap_or_default(),
    })
}

/// The settings that an image gives to its containers.
pub(super) fn defaults_of(image: ImageInspect) -> ImageDefaults {
    let config = image.config.unwrap_or_default();
    ImageDefaults {
        id: image.id.unwrap_or_default().into(),
        labels: config.labels.into_iter().flatten().collect(),
        healthcheck: config.healthcheck.and_then(healthcheck_of),
        volumes: config.volumes.unwrap_or_default(),
    }
}

/// The configuration of an image.
pub(super) fn config_of(image: ImageInspect) -> ImageConfiguration {
    let config = image.config.unwrap_or_default();
    ImageConfiguration {
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        environment: config.env.into_iter().flatten().map(variable).collect(),
        labels: config.labels.into_iter().flatten().collect(),
        user: config.user.unwrap_or_default(),
        workdir: config.working_dir.unwrap_or_default(),
        volumes: config.volumes.unwrap_or_default(),
        ports: config.exposed_ports.unwrap_or_default(),
        has_healthcheck: config.healthcheck.and_then(healthcheck_of).is_some_and(|check| !check.is_none()),
    }
}

/// A variable of an environment, as `NAME=VALUE`.
fn variable(variable: String) -> (String, String) {
    match variable.split_once('=') {
        Some((name, value)) => (name.to_string(), value.to_string()),
        None => (variable, String::new()),
    }
}

/// The facts of a container, from the engine's description of it.
pub(super) fn facts_of(container: ContainerInspectResponse) -> ContainerFacts {
    let config = container.config.unwrap_or_default();
    let host = container.host_config.unwrap_or_default();
    let state = container.state.unwrap_or_default();
    let restart = restart_policy(host.restart_policy.as_ref());
    let named = |mode: &Option<String>| mode.clone().filter(|mode| !mode.is_empty());
    let spec = ContainerSpec {
        image: config.image.clone().unwrap_or_default(),
        command: config.cmd.clone().unwrap_or_default(),
        environment: config.env.clone().into_iter().flatten().map(variable).collect(),
        labels: config.labels.clone().into_iter().flatten().collect(),
        user: named(&config.user),
        hostname: named(&config.hostname),
        namespaces: Namespaces {
            network: named(&host.network_mode),
            ipc: named(&host.ipc_mode),
            pid: named(&host.pid_mode),
            uts: named(&host.uts_mode),
            cgroup: host.cgroupns_mode.map(|mode| mode.to_string()).filter(|mode| !mode.is_empty()),
        },
        privileged: host.privileged == Some(true),
        cap_add: host.cap_add.clone().unwrap_or_default(),
        security_opt: security_opt(&host),
        volumes: volumes_of(&host, config.volumes.clone().unwrap_or_default()),
        volumes_from: host.volumes_from.clone().unwrap_or_default(),
        tmpfs: host.tmpfs.clone().into_iter().flatten().collect(),
        limits: limits_of(&host),
        healthcheck: config.healthcheck.and_then(healthcheck_of),
        restart,
        stop_signal: named(&config.stop_signal),
        stop_grace: config
            .stop_timeout
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
        tty: config.tty == Some(true),
        interactive: config.open_stdin == Some(true),
        auto_remove: host.auto_remove == Some(true),
        ..ContainerSpec::default()
    };
    ContainerFacts {
        id: container.id.unwrap_or_default(),
        name: plain_name(&container.name.unwrap_or_default()),
        image: container.image.unwrap_or_default().into(),
        spec,
        status: status_of(&state),
        exit_code: state.exit_code.unwrap_or_default(),
        health: state.health.and_then(|health| health_of(health.status?)),
        restarts: container.restart_count.unwrap_or_default(),
    }
}

/// A name without the slash that Docker puts before it.
pub(super) fn plain_name(name: &str) -> String {
    name.trim_start_matches('/').to_string()
}

fn restart_policy(policy: Option<&Restart>) -> RestartPolicy {
    let times = policy.and_then(|policy| policy.maximum_retry_count).filter(|times| *times > 0);
    match policy.and_then(|policy| policy.name) {
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => {
            RestartPolicy::OnFailure(times.and_then(|times| times.try_into().ok()))
        }
        _ => RestartPolicy::No,
    }
}

fn security_opt(host: &HostConfig) -> Vec<String> {
    let is_empty = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(Vec::is_empty);
    let unmasked =
        is_empty(&host.masked_paths) && is_empty(&host.readonly_paths) && host.privileged != Some(true);
    let options = host.security_opt.clone().into_iter().flatten();
    options.chain(unmasked.then(|| SYSTEM_PATHS.to_string())).collect()
}

fn volumes_of(host: &HostConfig, anonymous: Vec<String>) -> Vec<MountedVolume> {
    let bind = |bind: &String| {
        let mut parts = bind.splitn(3, ':');
        let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let source = VolumeSource::written(source);
        let mode = parts.next().filter(|mode| !mode.is_empty()).unwrap_or("rw");
        MountedVolume { source, target: target.to_string(), mode: mode.to_string() }
    };
    let binds: Vec<MountedVolume> = host.binds.iter().flatten().map(bind).collect();
    let trimmed = |target: &str| target.trim_end_matches('/').to_string();
    // Podman names those of binds among them.
    let is_bound = |target: &String| binds.iter().any(|bind| trimmed(&bind.target) == trimmed(target));
    let anonymous = anonymous.into_iter().filter(|target| !is_bound(target)).map(|target| MountedVolume {
        source: VolumeSource::Anonymous,
        target,
        mode: "rw".to_string(),
    });
    let anonymous: Vec<MountedVolume> = anonymous.collect();
    binds.into_iter().chain(anonymous).collect()
}

fn limits_of(host: &HostConfig) -> Limits {
    let number = |limit| match limit {
        NumericLimit::BlkioWeight => host.blkio_weight.map(i64::from),
        NumericLimit::CpuPeriod => host.cpu_period,
        NumericLimit::CpuQuota => host.cpu_quota,
        NumericLimit::CpuShares => host.cpu_shares,
        NumericLimit::Memory => host.memory,
        NumericLimit::MemoryReservation => host.memory_reservation,
        NumericLimit::MemorySwap => host.memory_swap,
        NumericLimit::MemorySwappiness => host.memory_swappiness,
    };
    let numbers: BTreeMap<NumericLimit, i64> =
        NumericLimit::ALL.into_iter().filter_map(|limit| Some((limit, number(limit)?))).collect();
    let named = |cpus: &Option<String>| cpus.clone().filter(|cpus| !cpus.is_empty());
    let ulimit = |ulimit: &ResourcesUlimits| {
        Some(Ulimit { name: ulimit.name.clone()?, soft: ulimit.soft?, hard: ulimit.hard? })
    };
    Limits {
        numbers,
        cpuset_cpus: named(&host.cpuset_cpus),
        cpuset_mems: named(&host.cpuset_mems),
        ulimits: host.ulimits.iter().flatten().filter_map(ulimit).collect(),
    }
}

/// Puts Docker's word in the place of a state that only Podman has, in an answer about a container or in a list of them.
pub(super) fn name_states_as_docker(answer: &mut Value) {
    match answer {
        Value::Array(containers) => containers.iter_mut().for_each(name_states_as_docker),
        Value::Object(container) => match container.get_mut("State") {
            Some(Value::Object(state)) => state.get_mut("Status").into_iter().for_each(name_as_docker),
            Some(state) => name_as_docker(state),
            None => {}
        },
        _ => {}
    }
}

fn name_as_docker(state: &mut Value) {
    let word = match state.as_str() {
        Some("configured" | "initialized") => "created",
        // It has ended, and Podman has not cleaned up after it yet.
        Some("stopped") => "exited",
        Some("unknown") => "dead",
        _ => return,
    };
    *state = Value::from(word);
}

fn status_of(state: &ContainerState) -> ContainerStatus {
    match state.status {
        Some(ContainerStateStatusEnum::RUNNING) => ContainerStatus::Running,
        Some(ContainerStateStatusEnum::PAUSED) => ContainerStatus::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerStatus::Restarting,
        Some(ContainerStateStatusEnum::EXITED) => ContainerStatus::Exited,
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => ContainerStatus::Dead,
        _ if state.running == Some(true) => ContainerStatus::Running,
        _ => ContainerStatus::Created,
    }
}

fn health_of(status: HealthStatusEnum) -> Option<Health> {
    match status {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_podman_are_read_as_those_of_docker() {
        let cases =
            [("stopped", "exited"), ("configured", "created"), ("unknown", "dead"), ("running", "running")];
        for (podman, docker) in cases {
            let mut answer = json!({"State": {"Status": podman, "ExitCode": 3}});
            name_states_as_docker(&mut answer);
            assert_eq!(answer, json!({"State": {"Status": docker, "ExitCode": 3}}));
            let mut answer = json!([{"Id": "1"}, {"State": podman}]);
            name_states_as_docker(&mut answer);
            assert_eq!(answer, json!([{"Id": "1"}, {"State": docker}]));
        }
    }

    /// What the engine would tell of a container that was made of this.
    fn told(spec: &ContainerSpec) -> ContainerSpec {
        let body = serde_json::to_value(body_of(spec)).expect("JSON");
        let inspected = serde_json::json!({
            "Id": "1", "Name": "/c", "Image": "sha256:1", "Config": body, "HostConfig": body["HostConfig"],
            "State": {"Status": "running"},
        });
        facts_of(serde_json::from_value(inspected).expect("a container")).spec
    }

    #[test]
    fn what_is_asked_for_is_found_again() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let volume = |source, target: &str, mode: &str| MountedVolume {
            source,
            target: target.to_string(),
            mode: mode.to_string(),
        };
        let host = || Some("host".to_string());
        let spec = ContainerSpec {
            image: "kolla/x:1".to_string(),
            command: texts(&["a", "b c"]),
            environment: [("A".to_string(), "b=c".to_string())].into(),
            labels: [("l".to_string(), "v".to_string())].into(),
            user: Some("nova".to_string()),
            hostname: Some("h".to_string()),
            tty: true,
            interactive: true,
            namespaces: Namespaces { network: host(), ipc: host(), pid: host(), uts: host(), cgroup: host() },
            cap_add: texts(&["NET_ADMIN"]),
            security_opt: texts(&["label=disable", SYSTEM_PATHS]),
            volumes: vec![
                volume(VolumeSource::Path("/a".to_string()), "/b", "ro,z"),
                volume(VolumeSource::Named("v".to_string()), "/c", "rw"),
                volume(VolumeSource::Anonymous, "/d", "rw"),
            ],
            volumes_from: texts(&["other"]),
            tmpfs: [("/run".to_string(), "size=1m".to_string())].into(),
            limits: Limits {
                numbers: NumericLimit::ALL.into_iter().zip(1..).collect(),
                cpuset_cpus: Some("0-1".to_string()),
                cpuset_mems: Some("0".to_string()),
                ulimits: vec![Ulimit { name: "core".to_string(), soft: 1, hard: 2 }],
            },
            healthcheck: Some(Healthcheck {
                test: texts(&["CMD", "a"]),
                interval: Duration::from_secs(1),
                timeout: Duration::from_millis(2500),
                start_period: Duration::from_secs(3),
                retries: 4,
            }),
            restart: RestartPolicy::OnFailure(Some(3)),
            stop_signal: Some("SIGINT".to_string()),
            auto_remove: true,
            ..ContainerSpec::default()
        };
        assert_eq!(told(&spec), spec);
        assert!(told(&ContainerSpec::default()).security_opt.is_empty());
    }
}
