//! `kolla-run` as paunch: below its own name and by paunch's, against a daemon that runs nothing.

use std::os::unix::fs::symlink;
use std::process::Command;

use kolla_build::model::platform::Arch;
use serde_json::{Value, json};

use crate::support::containers::Behaviour;
use crate::support::docker::FakeDocker;
use crate::support::project::{Run, Running};
use crate::support::stack::StackDir;

fn daemon() -> FakeDocker {
    FakeDocker::start().hold("x:1", Arch::host().debian())
}

/// A directory of `hashed-NAME.json` in another one.
fn described(daemon: &FakeDocker, containers: &Value) -> StackDir {
    let dir = StackDir::with("", daemon);
    std::fs::create_dir(dir.path("config")).unwrap();
    describe(&dir, containers);
    dir
}

fn describe(dir: &StackDir, containers: &Value) {
    for file in std::fs::read_dir(dir.path("config")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    for (name, settings) in containers.as_object().unwrap() {
        dir.write(&format!("config/hashed-{name}.json"), &settings.to_string());
    }
}

#[track_caller]
fn paunch(dir: &StackDir, arguments: &[&str]) -> Run {
    dir.run(&[&["paunch"], arguments, &["--default-runtime", "docker"]].concat())
}

#[track_caller]
fn apply(dir: &StackDir, id: &str) -> Run {
    paunch(dir, &["apply", "--file", "config", "--config-id", id, "--label", "step=1"])
}

#[test]
fn a_directory_comes_about_and_only_what_was_changed_is_made_anew() {
    let daemon = daemon();
    let server =
        json!({"image": "x:1", "environment": {"A": "é", "T": true}, "start_order": 2, "unknown": 1});
    let once = json!({"image": "x:1", "detach": false, "command": "a 'b c'"});
    let dir = described(&daemon, &json!({"server": server, "once": once}));
    apply(&dir, "1").exits(0);
    let ids = || {
        let state = daemon.state();
        ["server", "once"].map(|name| state.container(name).unwrap().id.clone())
    };
    {
        let state = daemon.state();
        let made = state.container("server").unwrap();
        let labels = ["config_id", "container_name", "managed_by", "step"].map(|name| made.label(name));
        assert_eq!(labels, ["1", "server", "paunch", "1"]);
        assert_eq!(
            made.label("config_data"),
            r#"{"image": "x:1", "environment": {"A": "\u00e9", "T": true}, "start_order": 2, "unknown": 1}"#
        );
        assert_eq!(made.body["Env"], json!(["A=é", "T=True"]));
        assert_eq!(state.container("once").unwrap().body["Cmd"], json!(["a", "'b", "c'"]));
    }
    let first = ids();
    // The keys' order is nothing, and nor is whether it runs.
    daemon.state().machine.containers.get_mut("server").unwrap().status = "exited";
    let moved =
        json!({"start_order": 2.0, "unknown": true, "image": "x:1", "environment": {"T": 1, "A": "é"}});
    describe(&dir, &json!({"server": moved, "once": once}));
    let second = apply(&dir, "1").exits(0);
    assert!(second.tells("server: kept") && second.tells("once: kept"), "{second}");
    assert_eq!((ids(), daemon.state().container("server").unwrap().status), (first.clone(), "exited"));
    describe(&dir, &json!({"server": {"image": "x:1"}, "once": once}));
    let third = apply(&dir, "1").exits(0);
    assert!(third.tells("server: removed: its settings have changed"), "{third}");
    assert_eq!((ids()[1].clone(), ids()[0] == first[0]), (first[1].clone(), false));
    describe(&dir, &json!({"once": once}));
    apply(&dir, "1").exits(0);
    assert!(daemon.state().container("server").is_none());
}

#[test]
fn the_last_failure_is_the_exit_code_and_the_others_go_on() {
    let daemon = daemon();
    for (name, code) in [("allowed", 3), ("first", 4), ("second", 5)] {
        daemon.state().machine.behaviours.insert(name.to_string(), Behaviour::Ends(code));
    }
    let once = |order: i64, codes: Value| json!({"image": "x:1", "detach": false, "start_order": order, "exit_codes": codes});
    let mut containers = json!({
        "allowed": once(0, json!([3])), "first": once(1, json!([0])), "second": once(2, json!([0])),
        "told": {"action": "exec", "command": ["server", "ls"], "start_order": 4},
        "server": {"image": "x:1", "start_order": 3},
    });
    let dir = described(&daemon, &containers);
    apply(&dir, "1").exits(5);
    assert_eq!(daemon.state().container("server").unwrap().executed, [["ls"]]);
    containers["mounts"] = json!({"image": "x:1", "volumes": ["nowhere:/x"]});
    describe(&dir, &containers);
    let unfit = apply(&dir, "1").exits(1);
    assert!(unfit.tells("mounts: not started: nowhere, which it mounts, is not there"), "{unfit}");
    assert!(daemon.state().container("mounts").is_none());
}

#[test]
fn an_exec_without_its_container_ends_the_run() {
    let daemon = daemon();
    let dir = described(
        &daemon,
        &json!({"a": {"action": "exec", "command": "none ls"}, "b": {"image": "x:1", "start_order": 1}}),
    );
    let run = apply(&dir, "1").exits(1);
    assert!(run.tells("error: container a: there is no container none to run its command in"), "{run}");
    assert!(daemon.state().container("b").is_none());
}

#[test]
fn other_configs_and_managers_are_left() {
    let daemon = daemon();
    let dir = described(&daemon, &json!({"a": {"image": "x:1"}}));
    apply(&dir, "1").exits(0);
    describe(&dir, &json!({"b": {"image": "x:1"}}));
    apply(&dir, "2").exits(0);
    describe(&dir, &json!({"c": {"image": "x:1"}}));
    // Who has none of a config takes paunch's for one's own.
    paunch(&dir, &["apply", "--file", "config", "--config-id", "3", "--managed-by", "me"]).exits(0);
    let names = || daemon.state().machine.containers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(), ["a", "b", "c"]);
    // A name that is taken is a failure, in Docker's own code.
    describe(&dir, &json!({"a": {"image": "x:1"}, "b": {"image": "x:1"}}));
    apply(&dir, "2").exits(125);
    let listed = paunch(&dir, &["list", "-f", "value", "-c", "config", "-c", "container"]).exits(0);
    assert_eq!(listed.stdout, "1 a\n2 b\n");
    paunch(&dir, &["cleanup", "1"]).exits(0);
    assert_eq!(names(), ["a", "c"]);
    paunch(&dir, &["delete", "1"]).exits(0);
    assert_eq!(names(), ["c"]);
}

#[test]
fn a_link_by_paunch_s_name_takes_its_command_line() {
    let daemon = daemon();
    let dir =
        described(&daemon, &json!({"a": {"image": "x:1", "command": "sleep 1", "env_file": "/secret"}}));
    symlink(env!("CARGO_BIN_EXE_kolla-run"), dir.path("paunch")).unwrap();
    let call = |arguments: &[&str]| {
        let mut command = Command::new(dir.path("paunch"));
        command.env_clear().env("DOCKER_HOST", daemon.endpoint()).current_dir(dir.path("")).args(arguments);
        Running::spawn(command).end()
    };
    let debug = ["--debug", "debug", "--file", "config", "--default-runtime", "docker", "--container", "a"];
    let shown = call(&[&debug[..], &["--overrides", r#"{"user": "u"}"#]].concat()).exits(0);
    assert!(shown.stdout.starts_with("docker run \\\n  --name a \\\n  --detach \\\n  --user u"), "{shown}");
    assert!(shown.stdout.ends_with("--env-file /secret \\\n  x:1 sleep 1\n"), "{shown}");
    let dumped = call(&[&debug[..], &["--action", "dump-json", "--shell"]].concat()).exits(0);
    let settings: Value = serde_json::from_str(&dumped.stdout).unwrap();
    assert_eq!((&settings["a"]["tty"], &settings["a"]["command"]), (&json!(true), &json!("/bin/bash")));
    call(&["apply", "--file", "config"]).exits(2);
    let nobody = call(&["list", "-H", "unix:///nowhere", "--log-file", "log"]).exits(1);
    assert!(nobody.stderr.contains("/nowhere"), "{nobody}");
}
