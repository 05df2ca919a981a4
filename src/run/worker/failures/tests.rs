use super::*;
use crate::run::worker::params::tests::params;
use crate::run::worker::wanted::{WorkerHost, wanted};

/// A container as Docker tells of one that was made from the arguments below.
fn held() -> Value {
    json!({
        "Image": "sha256:1", "Path": "kolla_start", "Args": [], "State": {"Status": "running"},
        "Config": {
            "Image": "kolla/x:1", "Env": ["A=b", "KOLLA_SERVICE_NAME=x", "TZ=UTC", "PATH=/bin"],
            "Labels": {"of": "image", "l": "v"}, "Volumes": null,
            "Healthcheck": {
                "Test": ["CMD-SHELL", "ok"], "Interval": 1_000_000_000, "Timeout": 2_000_000_000_i64,
                "StartPeriod": 3_000_000_000_i64, "Retries": 4,
            },
        },
        "HostConfig": {
            "CapAdd": ["CAP_NET_ADMIN"], "GroupAdd": null, "SecurityOpt": null, "IpcMode": "private",
            "Privileged": false, "PidMode": "", "CgroupnsMode": "private", "Tmpfs": {"/run": ""}, "Binds": null,
            "VolumesFrom": null, "Memory": 1_073_741_824, "MemoryReservation": 0, "MemorySwap": 0, "CpuPeriod": 0,
            "CpuQuota": 0, "CpuShares": 0, "CpusetCpus": "", "CpusetMems": "", "BlkioWeight": 0,
            "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        },
    })
}

fn arguments() -> Value {
    json!({
        "action": "compare_container", "name": "x", "image": "kolla/x:1", "environment": {"A": "b"},
        "labels": {"l": "v"}, "cap_add": ["net_admin"], "tmpfs": ["/run"],
        "dimensions": {"mem_limit": "1g", "ulimits": {"nofile": {"soft": 1, "hard": 2}}},
        "healthcheck": {"test": "ok", "interval": 1, "timeout": "2", "start_period": 3, "retries": 4},
    })
}

fn compared(arguments: &Value, held: &Value) -> Result<Vec<Value>, ModuleFailure> {
    let params = params(arguments).expect("arguments");
    let host = WorkerHost { timezone: "UTC".to_string(), ..WorkerHost::default() };
    let wanted = wanted(&params, &host, false).expect("wanted");
    let labels = [("of".to_string(), "image".to_string())].into();
    let image = ImageDefaults { id: "sha256:1".to_string().into(), labels, ..ImageDefaults::default() };
    Comparison { params: &params, wanted: &wanted, held, image: Some(&image) }.failures()
}

#[test]
fn what_was_made_from_the_arguments_is_as_they_want_it() {
    assert_eq!(compared(&arguments(), &held()).expect("compared"), Vec::<Value>::new());
}

#[test]
fn each_thing_that_differs_is_told_by_its_name() {
    let cases = [
        ("cap_add", json!({"cap_add": []}), json!(["CAP_NET_ADMIN"]), json!([])),
        ("group_add", json!({"group_add": [5]}), json!([]), json!(["5"])),
        ("security_opt", json!({"security_opt": ["label=disable"]}), json!([]), json!(["label=disable"])),
        ("image", json!({"image": "kolla/x:2"}), json!("sha256:1"), json!("kolla/x:2")),
        ("ipc_mode", json!({"ipc_mode": "host"}), json!("private"), json!("host")),
        ("labels", json!({"labels": {"l": "w"}}), json!({"l": "v"}), json!({"l": "w"})),
        (
            "labels",
            json!({"labels": {"l": "v", "of": "me"}}),
            json!({"l": "v", "of": "image"}),
            json!({"l": "v", "of": "me"}),
        ),
        ("privileged", json!({"privileged": true}), json!(false), json!(true)),
        ("pid_mode", json!({"pid_mode": "host"}), json!(null), json!("host")),
        ("cgroupns_mode", json!({"cgroupns_mode": "host"}), json!("private"), json!("host")),
        ("tmpfs", json!({"tmpfs": ["/tmp"]}), json!(["/run"]), json!(["/tmp"])),
        (
            "volumes",
            json!({"volumes": ["v:/a", "/b"]}),
            json!({"volumes": [], "binds": []}),
            json!({"volumes": ["/a", "/b"], "binds": ["v:/a:rw"]}),
        ),
        ("volumes_from", json!({"volumes_from": ["y"]}), json!([]), json!(["y"])),
        (
            "environment",
            json!({"environment": {"A": "s3cret"}}),
            json!(["A", "KOLLA_SERVICE_NAME", "PATH", "TZ"]),
            json!(["A", "KOLLA_SERVICE_NAME", "TZ"]),
        ),
        ("container_state", json!({"state": "exited"}), json!("running"), json!("exited")),
        (
            "dimensions",
            json!({"dimensions": {"mem_limit": "2g", "ulimits": arguments()["dimensions"]["ulimits"]}}),
            json!({"Memory": 1_073_741_824, "Ulimits": held()["HostConfig"]["Ulimits"]}),
            json!({"Memory": "2g", "Ulimits": {"nofile": {"soft": 1, "hard": 2}}}),
        ),
        ("dimensions", json!({"dimensions": {}}), json!({}), json!({})),
        ("command", json!({"command": "sleep 1"}), json!("kolla_start"), json!("sleep 1")),
        ("healthcheck", json!({"healthcheck": {}}), held()["Config"]["Healthcheck"].clone(), json!(null)),
    ];
    for (name, change, current, desired) in cases {
        let mut given = arguments();
        given.as_object_mut().expect("a mapping").extend(change.as_object().expect("a mapping").clone());
        let told = compared(&given, &held()).expect("compared");
        assert_eq!(told, [failure(name, current, desired)], "{change}");
    }
}

#[test]
fn a_limit_that_the_engine_does_not_know_fails() {
    let mut old = held();
    old["HostConfig"].as_object_mut().expect("a mapping").remove("Memory");
    let told = compared(&arguments(), &old).expect_err("a failure").message;
    assert_eq!(told, "dimensions: the engine does not know mem_limit any more: leave it out");
}

#[test]
fn podmans_own_flags_and_limits_do_not_count() {
    let mut given = arguments();
    let change = json!({
        "container_engine": "podman", "volumes": ["/a/:/run/a/:ro", "v:/b", "devpts:/dev/pts"], "tmpfs": [],
        "pid_mode": "private",
    });
    given.as_object_mut().expect("a mapping").extend(change.as_object().expect("a mapping").clone());
    let mut podman = held();
    podman["HostConfig"]["Binds"] = json!(["/a:/run/a:ro,rprivate,noexec,rbind", "v:/b:rw,nosuid,nodev"]);
    podman["HostConfig"]["Ulimits"] = json!([
        {"Name": "RLIMIT_NOFILE", "Soft": 5, "Hard": 6}, {"Name": "RLIMIT_CORE", "Soft": 1, "Hard": 2},
    ]);
    podman["HostConfig"]["Tmpfs"] = json!({});
    podman["HostConfig"]["PidMode"] = json!("private");
    given["dimensions"]["ulimits"] =
        json!({"core": {"soft": 1, "hard": 2}, "nofile": {"soft": 1, "hard": 1}});
    assert_eq!(compared(&given, &podman).expect("compared"), Vec::<Value>::new());
}
