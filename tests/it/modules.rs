//! `kolla-run` as kolla-ansible's modules, against a real daemon, which must hold `debian:trixie`. What the modules
//! themselves answer to the same calls is compared by `tests/worker/compare`.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::project::Run;
use crate::support::real::{docker, endpoint, nonce};
use crate::support::stack::StackDir;

/// A name that is nobody else's, whose container and volume go with this value.
struct Named(String);

impl Named {
    fn new() -> Named {
        Named(format!("kolla_module_test_{}", nonce().replace('-', "_")))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let name = &self.0;
        let script = format!("docker rm --force --volumes {name}; docker volume rm {name}_v");
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}

/// The answer on standard output, one line of JSON.
#[track_caller]
fn answer(run: &Run) -> Value {
    assert_eq!(run.stdout.lines().count(), 1, "{run}");
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"))
}

/// Calls an action with these arguments; its exit code says whether it has failed.
#[track_caller]
fn act(dir: &StackDir, action: &str, arguments: &Value, options: &[&str]) -> Value {
    dir.write("arguments.json", &arguments.to_string());
    let run = dir.run(&[&["action", action, "arguments.json", "--no-systemd"], options].concat());
    let answer = answer(&run);
    run.exits(i32::from(answer["failed"] == true));
    answer
}

fn arguments(name: &str) -> Value {
    json!({
        "name": name, "image": "debian:trixie", "command": "sh -c 'trap exit TERM; while :; do sleep 0.1; done'",
        "environment": {"PASSWORD": "s3cret-word"}, "volumes": [format!("{name}_v:/v"), ""],
        "common_options": {"restart_policy": "unless-stopped", "restart_retries": "10", "graceful_timeout": 5},
    })
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_container_comes_about_is_compared_and_goes() {
    let (name, dir) = (Named::new(), StackDir::new("", &endpoint()));
    let name = name.0.as_str();
    let wanted = arguments(name);
    let would = act(&dir, "start_container", &wanted, &["--check"]);
    assert_eq!(would, json!({"changed": true, "result": false}));
    let none = act(&dir, "compare_container", &wanted, &[]);
    assert_eq!(none["comparison_failures"][0]["name"], "container_missing");

    assert_eq!(act(&dir, "start_container", &wanted, &[])["changed"], true);
    let restart =
        docker(&["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}} {{.Config.Env}}", name]);
    assert!(restart.starts_with("unless-stopped "), "{restart}");
    assert!(restart.contains(&format!("KOLLA_SERVICE_NAME={}", name.replace('_', "-"))), "{restart}");
    let volume = docker(&["volume", "inspect", "--format", "{{.Labels}}", &format!("{name}_v")]);
    assert_eq!(volume, "map[kolla_managed:true]");
    assert_eq!(act(&dir, "start_container", &wanted, &[])["changed"], false);

    let mut other = wanted.clone();
    other["environment"]["PASSWORD"] = json!("an0ther-word");
    let differs = act(&dir, "recreate_or_restart_container", &other, &["--check", "--diff"]);
    assert!(
        differs["diff"]["after"]["environment"]
            .as_array()
            .is_some_and(|names| names.contains(&json!("PASSWORD")))
    );
    assert!(!differs.to_string().contains("-word"), "{differs}");
    let id = || docker(&["inspect", "--format", "{{.Id}}", name]);
    let before = id();
    assert_eq!(act(&dir, "recreate_or_restart_container", &other, &[])["changed"], true);
    assert_ne!(id(), before);

    assert_eq!(act(&dir, "stop_container", &other, &[])["changed"], true);
    assert_eq!(act(&dir, "stop_container", &other, &[])["changed"], false);
    let in_use = act(&dir, "remove_volume", &json!({"name": format!("{name}_v")}), &[]);
    assert_eq!(in_use["msg"], format!("Volume named '{name}_v' is currently in-use"));
    assert_eq!(act(&dir, "stop_and_remove_container", &other, &[])["changed"], true);
    assert_eq!(act(&dir, "remove_volume", &json!({"name": format!("{name}_v")}), &[])["changed"], true);
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_container_that_does_one_thing_tells_what_it_has_said() {
    let (name, dir) = (Named::new(), StackDir::new("", &endpoint()));
    let one = |command: &str| {
        json!({
            "name": name.0, "image": "debian:trixie", "command": command, "detach": false, "restart_policy": "oneshot",
        })
    };
    let good = act(&dir, "start_container", &one("sh -c 'echo good; echo well >&2'"), &[]);
    assert_eq!(
        good,
        json!({"changed": true, "result": false, "rc": 0, "stdout": "good\n", "stderr": "well\n"})
    );
    let bad = act(&dir, "start_container", &one("sh -c 'echo bad; exit 3'"), &[]);
    assert_eq!((&bad["rc"], &bad["stdout"]), (&json!(3), &json!("bad\n")));
    assert_eq!(bad["msg"], "Container exited with non-zero return code 3");
    let left = docker(&["ps", "--all", "--quiet", "--filter", &format!("name={}", name.0)]);
    assert_eq!(left, "");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn ansible_finds_the_modules_and_facts_are_the_engines_own() {
    let (name, dir) = (Named::new(), StackDir::new("", &endpoint()));
    act(&dir, "start_container", &arguments(&name.0), &[]);
    dir.run(&["module", "--install", "library", "--no-systemd"]).exits(0);
    for module in ["kolla_container", "kolla_container_facts", "kolla_toolbox"] {
        let file = dir.path("library").join(module);
        assert!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o111 == 0o111);
        let text = dir.read(&format!("library/{module}"));
        assert!(
            text.contains("WANT_JSON") && text.contains(&format!("module --no-systemd {module}")),
            "{text}"
        );
    }
    // Ansible runs a copy of the file with the arguments in another.
    let call = |module: &str, arguments: &Value| {
        dir.write("args", &arguments.to_string());
        let programs = std::path::Path::new(env!("CARGO_BIN_EXE_kolla-run")).parent().expect("a directory");
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new(dir.path("library").join(module))
            .arg(dir.path("args"))
            .env("PATH", path)
            .env("DOCKER_HOST", endpoint())
            .output()
            .expect("a module");
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    };
    let facts = |action: &str| {
        let arguments = json!({
            "container_engine": "docker", "action": action, "name": [name.0], "_ansible_check_mode": false,
        });
        call("kolla_container_facts", &arguments)
    };
    let containers = facts("get_containers");
    assert_eq!(containers["containers"][&name.0]["Config"]["Image"], "debian:trixie");
    assert_eq!(containers["containers"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(facts("get_containers_state")["states"][&name.0], "running");
    assert_eq!(facts("get_containers_env")["envs"][&name.0]["PASSWORD"], "s3cret-word");
    let names = call(
        "kolla_container_facts",
        &json!({"container_engine": "docker", "action": "get_containers_names"}),
    );
    assert!(names["container_names"].as_array().is_some_and(|names| names.contains(&json!(name.0))));
    let volumes =
        json!({"container_engine": "docker", "action": "get_volumes", "name": format!("{}_v", name.0)});
    assert_eq!(
        call("kolla_container_facts", &volumes)["volumes"][format!("{}_v", name.0)]["Driver"],
        "local"
    );
    let missing =
        json!({"container_engine": "docker", "action": "get_containers_state", "name": ["no_such_one"]});
    assert_eq!(call("kolla_container_facts", &missing)["msg"], "No such container: no_such_one");
    let compared = json!({
        "action": "compare_image", "name": name.0, "image": "debian:trixie", "_ansible_check_mode": true,
    });
    assert_eq!(call("kolla_container", &compared), json!({"changed": false, "result": false}));
}

#[test]
fn wrong_calls_are_answered_before_any_engine_is_asked() {
    let dir = StackDir::new("", "unix:///nowhere/docker.sock");
    for (arguments, told) in [
        ("{\"password\": s3cret", "the arguments are no mapping in JSON: line 1, column 14"),
        ("{\"name\": \"x\", \"imagine\": \"s3cret\"}", "kolla_container: unknown argument 'imagine'"),
        ("{\"name\": \"x\"}", "action is start_container but these are missing: image"),
        (
            "{\"name\": \"x\", \"image\": \"x\", \"detach\": \"s3cret\"}",
            "argument 'detach': its value is no truth value",
        ),
        (
            "{\"name\": \"x\", \"image\": \"x\", \"auth_username\": \"u\", \"auth_password\": \"s3cret\"}",
            "cannot reach the container engine at unix:///nowhere/docker.sock",
        ),
    ] {
        dir.write("arguments.json", arguments);
        let run = dir.run(&["action", "start_container", "arguments.json"]).exits(1);
        let answer = answer(&run);
        assert!(answer["failed"] == true, "{answer}");
        assert!(answer["msg"].as_str().is_some_and(|message| message.starts_with(told)), "{answer}");
        assert!(!run.to_string().contains("s3cret"), "{run}");
    }
    let unread = dir.run(&["module", "kolla_toolbox", "nowhere.json"]).exits(1);
    assert!(answer(&unread)["msg"].as_str().is_some_and(|told| told.contains("nowhere.json")));
    dir.run(&["module", "kolla_nothing", "arguments.json"]).exits(2);
    dir.run(&["action", "dance", "arguments.json"]).exits(2);
}
