use std::time::Duration;

use super::*;
use crate::engine::container::{Namespaces, RestartPolicy};

/// A container that is as it is to be.
fn held(spec: &ContainerSpec) -> ContainerFacts {
    ContainerFacts {
        id: "1".to_string(),
        name: "c".to_string(),
        image: "sha256:1".into(),
        spec: spec.clone(),
        status: ContainerStatus::Running,
        exit_code: 0,
        health: None,
        restarts: 0,
    }
}

fn image() -> ImageDefaults {
    ImageDefaults { id: "sha256:1".into(), ..ImageDefaults::default() }
}

fn base() -> ContainerSpec {
    ContainerSpec { image: "kolla/x:1".to_string(), ..ContainerSpec::default() }
}

/// The properties that differ when one is asked for and the engine tells of the other.
fn differ(desired: &ContainerSpec, current: &ContainerSpec, podman: bool) -> Vec<Attribute> {
    let desired = Desired { spec: desired, image: Some(&image()), ends_with: None };
    attributes(compare(desired, &held(current), podman))
}

fn attributes(differences: Vec<Difference>) -> Vec<Attribute> {
    let attribute = |difference| match difference {
        Difference::Property { attribute, .. } => attribute,
        other => panic!("{other} is no property"),
    };
    differences.into_iter().map(attribute).collect()
}

/// What is asked for, what the engine tells, and whether that differs in Docker and in Podman.
type Row = (ContainerSpec, ContainerSpec, bool, bool);

#[track_caller]
fn table(attribute: Attribute, rows: impl IntoIterator<Item = Row>) {
    for (number, (desired, current, docker, podman)) in rows.into_iter().enumerate() {
        for (engine, differs) in [(false, docker), (true, podman)] {
            let expected = if differs { vec![attribute] } else { vec![] };
            let found = differ(&desired, &current, engine);
            assert_eq!(
                found, expected,
                "{attribute}, row {number}, podman {engine}: {desired:?} and {current:?}"
            );
        }
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn cap_add() {
    let with = |names: &[&str]| ContainerSpec { cap_add: texts(names), ..base() };
    table(
        Attribute::CapAdd,
        [
            (with(&[]), with(&[]), false, false),
            (with(&["NET_ADMIN", "SYS_ADMIN"]), with(&["SYS_ADMIN", "NET_ADMIN"]), false, false),
            (with(&["net_admin"]), with(&["CAP_NET_ADMIN"]), false, false),
            (with(&[]), with(&["CAP_AUDIT_WRITE"]), true, false),
            (with(&["NET_ADMIN"]), with(&[]), true, true),
            (with(&[]), with(&["NET_ADMIN"]), true, true),
        ],
    );
}

#[test]
fn security_opt() {
    let with = |options: &[&str]| ContainerSpec { security_opt: texts(options), ..base() };
    let host = |spec: ContainerSpec| ContainerSpec {
        namespaces: Namespaces { ipc: Some("host".to_string()), ..Namespaces::default() },
        ..spec
    };
    table(
        Attribute::SecurityOpt,
        [
            (with(&["a", "b"]), with(&["b", "a"]), false, false),
            (with(&["a"]), with(&[]), true, true),
            (with(&[]), with(&["label=disable"]), true, true),
            (host(with(&[])), host(with(&["label=disable"])), false, false),
        ],
    );
}

#[test]
fn image_by_id_and_by_name() {
    let named = |name: &str| ContainerSpec { image: name.to_string(), ..base() };
    table(
        Attribute::Image,
        [
            (named("kolla/x:1"), named("kolla/x:1"), false, false),
            (named("kolla/x"), named("kolla/x:latest"), false, false),
            (named("x"), named("docker.io/library/x:latest"), false, false),
            (named("kolla/x:1"), named("localhost/kolla/x:1"), false, false),
            (named("kolla/x:1"), named("kolla/x:2"), true, true),
            (named("kolla/x:1"), named("kolla/y:1"), true, true),
        ],
    );
    let spec = base();
    let newer = ImageDefaults { id: "sha256:2".into(), ..ImageDefaults::default() };
    for (image, told) in [
        (Some(&newer), "image is kolla/x:1, and is to be another build of it"),
        (None, "image is kolla/x:1, and is to be kolla/x:1, which is not here"),
    ] {
        let found = compare(Desired { spec: &spec, image, ends_with: None }, &held(&spec), false);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
    }
}

#[test]
fn namespaces() {
    let with = |namespaces: Namespaces| ContainerSpec { namespaces, ..base() };
    let ipc = |mode: &str| with(Namespaces { ipc: Some(mode.to_string()), ..Namespaces::default() });
    table(
        Attribute::IpcMode,
        [
            (base(), ipc("private"), false, false),
            (ipc("host"), ipc("host"), false, false),
            (ipc("host"), ipc("private"), true, true),
        ],
    );
    let pid = |mode: &str| with(Namespaces { pid: Some(mode.to_string()), ..Namespaces::default() });
    table(
        Attribute::PidMode,
        [
            (base(), base(), false, false),
            (base(), pid(""), false, false),
            (base(), pid("private"), false, false),
            (pid("host"), pid("host"), false, false),
            (pid("host"), base(), true, true),
            (base(), pid("host"), true, true),
        ],
    );
    let cgroup = |mode: &str| with(Namespaces { cgroup: Some(mode.to_string()), ..Namespaces::default() });
    table(
        Attribute::CgroupnsMode,
        [
            (base(), cgroup("private"), false, false),
            (cgroup("host"), base(), false, false),
            (cgroup("private"), base(), true, true),
            (cgroup("host"), cgroup("private"), true, true),
        ],
    );
}

#[test]
fn labels() {
    let with = |labels: &[(&str, &str)]| ContainerSpec { labels: pairs(labels), ..base() };
    table(
        Attribute::Labels,
        [
            (with(&[("a", "1")]), with(&[("a", "1")]), false, false),
            (with(&[("a", "1")]), with(&[("a", "2")]), true, true),
            (with(&[("a", "1")]), with(&[]), true, true),
            (with(&[]), with(&[("a", "1")]), true, true),
        ],
    );
    // What the image has does not count, unless another value is asked for.
    let of_image = ImageDefaults { labels: pairs(&[("v", "1")]), ..image() };
    for (desired, current, differs) in [
        (with(&[]), with(&[("v", "1")]), false),
        (with(&[("v", "1")]), with(&[("v", "1")]), false),
        (with(&[("v", "2")]), with(&[("v", "2")]), false),
        (with(&[("v", "2")]), with(&[("v", "1")]), true),
    ] {
        let wanted = Desired { spec: &desired, image: Some(&of_image), ends_with: None };
        assert_eq!(!compare(wanted, &held(&current), false).is_empty(), differs, "{desired:?}");
    }
}

#[test]
fn privileged() {
    let with = |privileged| ContainerSpec { privileged, ..base() };
    table(
        Attribute::Privileged,
        [
            (with(true), with(true), false, false),
            (with(true), with(false), true, true),
            (with(false), with(true), true, true),
        ],
    );
}

#[test]
fn tmpfs() {
    let with = |places: &[(&str, &str)]| ContainerSpec { tmpfs: pairs(places), ..base() };
    table(
        Attribute::Tmpfs,
        [
            (with(&[("/run", "")]), with(&[("/run", "rw")]), false, false),
            (with(&[("/run", "")]), with(&[]), true, true),
            (with(&[]), with(&[("/run", "")]), true, true),
        ],
    );
}

#[test]
fn volumes() {
    let with = |volumes: &[&str]| {
        let volume = |text: &&str| {
            let parts: Vec<&str> = text.split(':').collect();
            let (source, target) = match parts.as_slice() {
                [target] => (VolumeSource::Anonymous, target),
                [source, target, ..] if source.contains('/') => {
                    (VolumeSource::Path(source.to_string()), target)
                }
                [source, target, ..] => (VolumeSource::Named(source.to_string()), target),
                [] => unreachable!("a text has a first part"),
            };
            let mode = parts.get(2).unwrap_or(&"rw").to_string();
            MountedVolume { source, target: target.to_string(), mode }
        };
        ContainerSpec { volumes: volumes.iter().map(volume).collect(), ..base() }
    };
    table(
        Attribute::Volumes,
        [
            (with(&["/a:/b", "v:/c:ro"]), with(&["v:/c:ro", "/a:/b:rw"]), false, false),
            (with(&["/a:/b:ro"]), with(&["/a:/b"]), true, true),
            (with(&["/a/:/b/"]), with(&["/a:/b"]), false, false),
            (with(&["/a:/run/b"]), with(&["/a:/run/b:rw,rprivate,nosuid,nodev,rbind,noexec"]), true, false),
            (with(&["/a:/b"]), with(&["/a:/b:noexec"]), true, true),
            (with(&[]), with(&["/data"]), true, true),
            (with(&["/data"]), with(&["/data"]), false, false),
            (with(&["/a:/b"]), with(&["/x:/b"]), true, true),
        ],
    );
    let from = |names: &[&str]| ContainerSpec { volumes_from: texts(names), ..base() };
    table(
        Attribute::VolumesFrom,
        [
            (from(&["a", "b"]), from(&["b", "a"]), false, false),
            (from(&["a"]), from(&[]), true, true),
            (from(&[]), from(&["a"]), true, true),
        ],
    );
}

#[test]
fn environment_shows_no_secret() {
    let with = |variables: &[(&str, &str)]| ContainerSpec { environment: pairs(variables), ..base() };
    table(
        Attribute::Environment,
        [
            (with(&[("A", "1")]), with(&[("A", "1"), ("PATH", "/bin")]), false, false),
            (with(&[]), with(&[("A", "1")]), false, false),
            (with(&[("A", "1")]), with(&[("A", "2")]), true, true),
            (with(&[("A", "")]), with(&[]), true, true),
        ],
    );
    let (new, old) = (with(&[("DB_PASSWORD", "new"), ("B", "1")]), with(&[("DB_PASSWORD", "old")]));
    let found = compare(Desired { spec: &new, image: Some(&image()), ends_with: None }, &held(&old), false);
    let told = "environment is B not set, DB_PASSWORD=***, and is to be B=1, DB_PASSWORD=***";
    assert_eq!(found[0].to_string(), told);
}

#[test]
fn container_state() {
    let spec = base();
    for (ends_with, status, code, told) in [
        (None, ContainerStatus::Running, 0, None),
        (None, ContainerStatus::Exited, 1, Some("container_state is exited (1), and is to be running")),
        (None, ContainerStatus::Paused, 0, Some("container_state is paused, and is to be running")),
        (Some(&[0, 2][..]), ContainerStatus::Exited, 2, None),
        (
            Some(&[0, 2]),
            ContainerStatus::Exited,
            1,
            Some("container_state is exited (1), and is to be exited (0 or 2)"),
        ),
        (
            Some(&[0]),
            ContainerStatus::Running,
            0,
            Some("container_state is running, and is to be exited (0)"),
        ),
    ] {
        let held = ContainerFacts { status, exit_code: code, ..held(&spec) };
        let found = compare(Desired { spec: &spec, image: Some(&image()), ends_with }, &held, false);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, told.into_iter().map(String::from).collect::<Vec<_>>());
    }
}

#[test]
fn dimensions() {
    let with = |numbers: &[(NumericLimit, i64)]| {
        let limits = Limits { numbers: numbers.iter().copied().collect(), ..Limits::default() };
        ContainerSpec { limits, ..base() }
    };
    let rows = NumericLimit::ALL
        .into_iter()
        .filter(|limit| *limit != NumericLimit::MemorySwappiness)
        .flat_map(|limit| {
            [
                (with(&[(limit, 5)]), with(&[(limit, 5)]), false, false),
                (with(&[(limit, 5)]), with(&[(limit, 6)]), true, true),
                (with(&[(limit, 5)]), with(&[]), true, true),
                (with(&[]), with(&[(limit, 6)]), true, true),
                (with(&[]), with(&[(limit, 0)]), false, false),
            ]
        });
    table(Attribute::Dimensions, rows);
    let (memory, swap, swappiness) =
        (NumericLimit::Memory, NumericLimit::MemorySwap, NumericLimit::MemorySwappiness);
    let cpus = |cpus: &str| {
        let limits = Limits { cpuset_cpus: Some(cpus.to_string()), ..Limits::default() };
        ContainerSpec { limits, ..base() }
    };
    let ulimit = |name: &str, soft| {
        let ulimits = vec![Ulimit { name: name.to_string(), soft, hard: 9 }];
        ContainerSpec { limits: Limits { ulimits, ..Limits::default() }, ..base() }
    };
    table(
        Attribute::Dimensions,
        [
            (with(&[(memory, 1)]), with(&[(memory, 1), (swap, 2)]), false, false),
            (with(&[(memory, 1), (swap, 3)]), with(&[(memory, 1), (swap, 2)]), true, true),
            (with(&[(swappiness, 1)]), with(&[(swappiness, -1)]), false, false),
            (with(&[(swappiness, 1)]), with(&[(swappiness, 2)]), true, true),
            (cpus("0-1"), cpus("0-1"), false, false),
            (cpus("0-1"), cpus("0,1"), true, true),
            (base(), cpus("0"), true, true),
            (ulimit("core", 1), ulimit("RLIMIT_CORE", 1), false, false),
            (ulimit("core", 1), ulimit("core", 2), true, true),
            (base(), ulimit("RLIMIT_NOFILE", 2), true, false),
        ],
    );
}

#[test]
fn command() {
    let with = |words: &[&str]| ContainerSpec { command: texts(words), ..base() };
    table(
        Attribute::Command,
        [
            (with(&["a", "b"]), with(&["a", "b"]), false, false),
            (with(&["a", "b"]), with(&["a b"]), true, true),
            (with(&[]), with(&["kolla_start"]), false, false),
        ],
    );
}

#[test]
fn healthcheck() {
    let with = |test: &[&str], seconds| {
        let check = Healthcheck {
            test: texts(test),
            interval: Duration::from_secs(seconds),
            ..Healthcheck::default()
        };
        ContainerSpec { healthcheck: Some(check), ..base() }
    };
    table(
        Attribute::Healthcheck,
        [
            (base(), base(), false, false),
            (with(&["CMD", "a"], 1), with(&["CMD", "a"], 1), false, false),
            (with(&["CMD", "a"], 1), with(&["CMD", "a"], 2), true, true),
            (with(&["CMD", "a"], 1), with(&["CMD", "b"], 1), true, true),
            (with(&["CMD", "a"], 1), base(), true, true),
            (base(), with(&["CMD", "a"], 1), true, true),
            (with(&["NONE"], 1), base(), false, false),
        ],
    );
}

#[test]
fn long_values_are_shown_by_their_beginning() {
    let with = |text: &str| ContainerSpec { command: texts(&["sh", "-c", text]), ..base() };
    let (new, old) = (with(&"echo é\n".repeat(40)), with("a\nb"));
    let found = compare(Desired { spec: &new, image: Some(&image()), ends_with: None }, &held(&old), false);
    let told = found[0].to_string();
    assert!(told.starts_with("command is sh -c 'a b', and is to be sh -c 'echo é echo é"), "{told}");
    assert!(told.ends_with("...") && told.chars().count() < 180, "{told}");
}

/// The labels that hold settings and digests.
fn recorded(settings: &str, digests: &[(&str, &str)]) -> ContainerSpec {
    let digests = serde_json::to_string(&pairs(digests)).expect("JSON");
    let labels = [(labels::CONFIG_DATA, settings), (labels::CONFIG_HASHES, &digests)];
    ContainerSpec { labels: pairs(&labels), ..base() }
}

#[test]
fn settings_that_nothing_else_looks_at() {
    for (new, old, expected) in [
        (r#"{"user": "a"}"#, r#"{"user": "a"}"#, &[][..]),
        (r#"{"user": "a"}"#, r#"{"user": "b"}"#, &["user"]),
        (r#"{}"#, r#"{"hostname": "b", "uts": "host"}"#, &["hostname", "uts"]),
        // Told by their own comparisons, or of no matter.
        (r#"{"image": "a", "volumes": [], "start_order": 1}"#, r#"{"image": "b", "start_order": 2}"#, &[]),
        (r#"{"command": "a", "environment": {"A": 1}}"#, r#"{"command": "b", "environment": {"A": 2}}"#, &[]),
        (r#"{}"#, r#"{"command": "b"}"#, &["command"]),
        (r#"{"environment": ["A=1"]}"#, r#"{"environment": {"A": 1, "B": 1}}"#, &["environment"]),
        (r#"{"environment": ["A=1"]}"#, r#"{"environment": {"A": 1}}"#, &[]),
    ] {
        let (new, old) = (recorded(new, &[]), recorded(old, &[]));
        let found =
            compare(Desired { spec: &new, image: Some(&image()), ends_with: None }, &held(&old), false);
        let expected: Vec<Difference> =
            expected.iter().map(|key| Difference::Setting(key.to_string())).collect();
        assert_eq!(found, expected, "{new:?}");
    }
}

#[test]
fn mounted_files() {
    let new = recorded("{}", &[("/a", "1"), ("/b", "1"), ("/c", "1")]);
    let old = recorded("{}", &[("/a", "1"), ("/b", "2"), ("/d", "1")]);
    let found = compare(Desired { spec: &new, image: Some(&image()), ends_with: None }, &held(&old), false);
    let expected = ["/b", "/c", "/d"].map(|path| Difference::File(path.to_string()));
    assert_eq!(found, expected);
    // It was made by somebody who keeps no such record.
    let bare = ContainerSpec { restart: RestartPolicy::No, ..base() };
    let found = compare(Desired { spec: &new, image: Some(&image()), ends_with: None }, &held(&bare), false);
    assert_eq!(found[0], Difference::Setting(labels::CONFIG_DATA.to_string()));
}
