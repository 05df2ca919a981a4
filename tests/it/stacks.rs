//! `kolla-run`, against a daemon that runs nothing.

use std::os::unix::fs::PermissionsExt;

use kolla_build::model::platform::Arch;
use serde_json::{Value, json};

use crate::support::containers::Behaviour;
use crate::support::docker::FakeDocker;
use crate::support::stack::StackDir;

const STACK: &str = "
parameters: {tag: 1}
docker_config:
  step_1:
    setup:
      image: x:${tag}
      detach: false
      command: [setup, it]
    db:
      image: x:${tag}
      start_order: 1
      net: private
      restart: always
      environment: {PASSWORD: '${password:db}', MODE: plain}
      volumes: ['data:/data', '${files}/db/:/var/lib/kolla/config_files/:ro']
      healthcheck: {test: is it well}
  step_2:
    web:
      image: y:${tag}
      command: serve
      volumes: ['${files}/web/:/var/lib/kolla/config_files/:ro']
    told:
      action: exec
      start_order: 1
      command: [db, tell]
kolla_config:
  db/config.json: {command: db}
  web/config.json: {command: web}
files:
  db/db.conf: 'password = ${password:db}'
  web/web.conf: 'size = 1'
";

fn daemon() -> FakeDocker {
    let architecture = Arch::host().debian();
    FakeDocker::start().hold("x:1", architecture).hold("y:1", architecture)
}

/// Requests that change something, without ids.
fn changes(daemon: &FakeDocker) -> Vec<String> {
    let requests = daemon.requests().into_iter();
    requests.filter(|it| !it.starts_with("GET") && !it.contains("/exec")).collect()
}

#[test]
fn a_stack_comes_about_in_steps_and_a_second_time_nothing_changes() {
    let daemon = daemon();
    let dir = StackDir::with(STACK, &daemon);
    let first = dir.run(&["apply", "s.yaml"]).exits(0);
    for line in [
        "Applying s with Docker 20.10.24",
        "Step 1 (1 of 2)",
        "setup: made",
        "setup: ended with exit code 0",
        "volume data: made",
        "network private: made",
        "db: healthy",
        "told: ran in db with exit code 0",
        "web: running",
        "Applied s: 3 made, 0 made anew, 1 run inside others, 0 unchanged",
    ] {
        assert!(first.tells(line), "{line}: {first}");
    }
    let password =
        serde_json::from_str::<Value>(&std::fs::read_to_string(dir.state("s/passwords.json")).unwrap())
            .unwrap()["db"]
            .as_str()
            .unwrap()
            .to_string();
    {
        let state = daemon.state();
        let db = state.container("db").unwrap();
        assert_eq!(db.label("managed_by"), "kolla-run");
        assert_eq!((db.label("config_id"), db.label("container_name")), ("s", "db"));
        assert!(
            !db.label("config_data").contains(&password)
                && db.label("config_data").contains("${password:db}")
        );
        assert!(db.body["Env"].as_array().unwrap().contains(&json!(format!("PASSWORD={password}"))));
        assert_eq!(state.machine.volumes["data"]["config_id"], "s");
        assert_eq!(state.machine.networks["private"]["managed_by"], "kolla-run");
        assert_eq!(db.executed.last().unwrap(), &["tell"]);
    }
    let written = dir.state("s/files/db/db.conf");
    assert_eq!(std::fs::read_to_string(&written).unwrap(), format!("password = {password}"));
    assert_eq!(written.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!first.stderr.contains(&password));

    let before = changes(&daemon).len();
    let second = dir.run(&["apply", "s.yaml"]).exits(0);
    assert!(second.tells("Applied s: 0 made, 0 made anew, 1 run inside others, 3 unchanged"), "{second}");
    assert_eq!(changes(&daemon).len(), before);
    assert!(dir.run(&["diff", "s.yaml"]).exits(0).stdout.ends_with("0 to remove, 3 unchanged\n"));
}

#[test]
fn only_what_differs_is_made_anew_and_diff_says_so_before() {
    let daemon = daemon();
    let dir = StackDir::with(STACK, &daemon);
    dir.run(&["apply", "s.yaml"]).exits(0);
    let ids = || {
        let state = daemon.state();
        ["setup", "db", "web"].map(|name| state.container(name).unwrap().id.clone())
    };
    for (from, to, changed, why) in [
        (
            "size = 1",
            "size = 2",
            "web",
            format!("the mounted file {} has changed", dir.state("s/files/web/web.conf").display()),
        ),
        (
            "MODE: plain",
            "MODE: other",
            "db",
            "environment is MODE=plain, and is to be MODE=other".to_string(),
        ),
        (
            "command: serve",
            "command: [serve, all]",
            "web",
            "command is serve, and is to be serve all".to_string(),
        ),
        (
            "command: [setup, it]",
            "command: [setup, more]",
            "setup",
            "command is setup it, and is to be setup more".to_string(),
        ),
    ] {
        dir.write("s.yaml", &dir.read("s.yaml").replace(from, to));
        let before = ids();
        let diff = dir.run(&["diff", "s.yaml"]).exits(1);
        assert!(diff.stdout.contains(&format!("  {changed}  step")), "{diff}");
        assert!(diff.stdout.contains(&why), "{why}: {diff}");
        assert_eq!(ids(), before);
        let applied = dir.run(&["apply", "s.yaml"]).exits(0);
        assert!(applied.tells(&format!("{changed}: made anew: {why}")), "{why}: {applied}");
        assert!(
            applied.tells("Applied s: 0 made, 1 made anew, 1 run inside others, 2 unchanged"),
            "{applied}"
        );
        let names = ["setup", "db", "web"].into_iter().zip(before.iter().zip(ids()));
        let others: Vec<_> = names.filter(|(_, (old, new))| *old != new).map(|(name, _)| name).collect();
        assert_eq!(others, [changed]);
    }
    // What the stack no longer names goes.
    let without = dir.read("s.yaml").split("    web:").next().unwrap().to_string();
    dir.write("s.yaml", &without);
    let json = dir.run(&["diff", "s.yaml", "--format", "json"]).exits(1).summary();
    assert_eq!((&json["remove"], &json["changes_nothing"]), (&json!(["web"]), &json!(false)));
    let applied = dir.run(&["apply", "s.yaml"]).exits(0);
    assert!(applied.tells("web: removed: the stack does not name it"), "{applied}");
    assert!(daemon.state().container("web").is_none());
}

#[test]
fn one_step_and_other_parameters() {
    let daemon = daemon();
    let dir = StackDir::with(STACK, &daemon);
    dir.run(&["apply", "s.yaml", "--step", "1", "--config-id", "other", "--managed-by", "me"]).exits(0);
    {
        let state = daemon.state();
        assert!(state.container("web").is_none());
        assert_eq!(state.container("db").unwrap().label("config_id"), "other");
        assert_eq!(state.container("db").unwrap().label("managed_by"), "me");
    }
    let run = dir.run(&["apply", "s.yaml", "--step", "3"]).exits(2);
    assert!(run.tells("error: there is no step 3: the stack has steps 1, 2"), "{run}");
    let run = dir.run(&["apply", "s.yaml", "--set", "tga=2"]).exits(2);
    assert!(run.tells("error: s.yaml: unknown parameter 'tga'"), "{run}");
    let run = dir.run(&["apply", "s.yaml", "--set", "tag=2"]).exits(1);
    assert!(run.tells("error: failed to pull x:2, the image of setup, db"), "{run}");
    assert!(run.stderr.contains("hint: build it with kolla-build"), "{run}");
    let run = dir.run(&["apply", "keystne"]).exits(2);
    assert!(run.tells("error: unknown stack 'keystne': did you mean 'keystone'?"), "{run}");
}

#[test]
fn a_failure_names_the_container_and_shows_the_end_of_its_log() {
    for (container, behaviour, arguments, told) in [
        (
            "setup",
            Behaviour::Ends(3),
            &[][..],
            "setup: failed: exit code 3 (allowed: 0); the end of its log:",
        ),
        (
            "setup",
            Behaviour::Endless,
            &["--timeout", "1"],
            "setup: failed: it has not ended within 1 s; the end of its log:",
        ),
        (
            "db",
            Behaviour::Unhealthy,
            &["--timeout", "1"],
            "db: failed: it has not become healthy within 1 s; its healthcheck says: what it said; the end of its log:",
        ),
        ("db", Behaviour::Ends(1), &[], "db: failed: it has ended with exit code 1; the end of its log:"),
        ("db", Behaviour::Restarts, &[], "db: failed: it does not stay up: it was started 4 times"),
        ("db", Behaviour::Refused("port is taken".to_string()), &[], "db: failed: port is taken"),
    ] {
        let daemon = daemon();
        daemon.state().machine.behaviours.insert(container.to_string(), behaviour.clone());
        let dir = StackDir::with(STACK, &daemon);
        let run = dir.run(&[&["apply", "s.yaml"], arguments].concat()).exits(1);
        assert!(run.tells(told), "{told}: {run}");
        assert!(run.tells(&format!("Failed to apply s: {container} failed")), "{run}");
        if told.ends_with("log:") {
            assert!(run.tells(&format!("    {container} says its last words")), "{run}");
        }
        // The others of its step are there, and no step after it.
        assert!(daemon.state().container("web").is_none());
        assert_eq!(
            daemon.state().container("db").is_some(),
            !matches!(behaviour, Behaviour::Refused(_)),
            "{run}"
        );
        daemon.state().machine.behaviours.clear();
        dir.run(&["apply", "s.yaml"]).exits(0);
        assert!(dir.run(&["diff", "s.yaml"]).exits(0).stdout.ends_with("3 unchanged\n"));
    }
}

#[test]
fn exit_codes_are_those_that_the_stack_allows() {
    let daemon = daemon();
    daemon.state().machine.behaviours.insert("setup".to_string(), Behaviour::Ends(2));
    daemon.state().machine.exec_codes.insert("tell".to_string(), 5);
    let dir =
        StackDir::with(&STACK.replace("detach: false", "detach: false\n      exit_codes: [0, 2]"), &daemon);
    let run = dir.run(&["apply", "s.yaml"]).exits(1);
    assert!(run.tells("setup: ended with exit code 2"), "{run}");
    assert!(run.tells("told: failed: exit code 5 (allowed: 0); the end of its log:"), "{run}");
    assert!(run.tells("    what it said"), "{run}");
}

#[test]
fn a_stack_that_can_not_be_used_changes_nothing() {
    let daemon = daemon();
    let dir = StackDir::with(&STACK.replace("command: serve", "comand: serve"), &daemon);
    let run = dir.run(&["apply", "s.yaml"]).exits(2);
    assert!(
        run.tells("error: s.yaml: container web: unknown key 'comand': did you mean 'command'?"),
        "{run}"
    );
    assert!(daemon.requests().is_empty());
    assert!(!dir.state("s").exists());
    let missing = STACK.replace("'data:/data'", "'/nowhere/at/all:/data'");
    dir.write("s.yaml", &missing);
    let run = dir.run(&["apply", "s.yaml"]).exits(1);
    assert!(run.tells("db: failed: /nowhere/at/all, which it mounts, is not there"), "{run}");
}

#[test]
fn an_engine_that_goes_and_a_run_that_is_killed_leave_what_the_next_run_heals() {
    // Before each change in turn.
    for request in [
        "POST /volumes/create",
        "POST /containers/create",
        "POST /containers/setup/start",
        "GET /containers/setup/json",
        "POST /containers/db/start",
        "POST /containers/web/start",
    ] {
        let daemon = daemon();
        daemon.state().machine.dies_at = Some(request.to_string());
        let dir = StackDir::with(STACK, &daemon);
        let run = dir.run(&["apply", "s.yaml"]).exits(1);
        assert!(run.stderr.contains("the container engine at"), "{request}: {run}");
        assert!(run.stderr.contains("hint: once the engine answers again"), "{request}: {run}");
        let next = next_daemon(&daemon);
        let again = dir.command(&["apply", "s.yaml", "--host", next.endpoint()]).output().unwrap();
        assert!(again.status.success(), "{request}: {}", String::from_utf8_lossy(&again.stderr));
        let names: Vec<String> = next.state().machine.containers.keys().cloned().collect();
        assert_eq!(names, ["db", "setup", "web"], "{request}");
        let diff = dir.command(&["diff", "s.yaml", "--host", next.endpoint()]).output().unwrap();
        assert!(diff.status.success(), "{request}");
    }
}

#[test]
fn a_killed_replacement_is_finished() {
    for (request, left) in
        [("POST /containers/db/stop", 4), ("DELETE /containers/db", 4), ("POST /containers/db-", 3)]
    {
        let daemon = daemon();
        let dir = StackDir::with(STACK, &daemon);
        dir.run(&["apply", "s.yaml"]).exits(0);
        dir.write("s.yaml", &STACK.replace("MODE: plain", "MODE: other"));
        daemon.state().machine.dies_at = Some(request.to_string());
        let run = dir.run(&["apply", "s.yaml"]).exits(1);
        assert!(run.stderr.contains("hint: once the engine"), "{run}");
        assert_eq!(daemon.state().machine.containers.len(), left, "{request}");
        let next = next_daemon(&daemon);
        let again = dir.command(&["apply", "s.yaml", "--host", next.endpoint()]).output().unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        let names: Vec<String> = next.state().machine.containers.keys().cloned().collect();
        assert_eq!(names, ["db", "setup", "web"], "{request}");
        let environment = next.state().container("db").unwrap().body["Env"].to_string();
        assert!(environment.contains("MODE=other"), "{request}: {environment}");
    }
}

/// The same machine, with another daemon.
fn next_daemon(dead: &FakeDocker) -> FakeDocker {
    let next = daemon();
    next.state().machine = std::mem::take(&mut dead.state().machine);
    next.state().machine.dies_at = None;
    next
}

#[test]
fn two_runs_exclude_each_other() {
    let daemon = daemon();
    daemon.state().machine.behaviours.insert("setup".to_string(), Behaviour::Endless);
    let dir = StackDir::with(STACK, &daemon);
    let first = dir.start(&["apply", "s.yaml"]);
    daemon.wait_until("the first run to wait", |state| {
        state.container("setup").is_some_and(|it| it.status == "running")
    });
    for arguments in [&["apply", "s.yaml"][..], &["delete", "s"]] {
        let second = dir.run(arguments).exits(1);
        assert!(second.tells("error: another kolla-run is at work on 's'"), "{second}");
    }
    // Interrupted, it takes the container that it was waiting for along.
    first.signal("INT");
    let first = first.end().exits(130);
    assert!(first.tells("Interrupted: s is not complete; apply it again"), "{first}");
    assert!(daemon.state().container("setup").is_none());
    daemon.state().machine.behaviours.clear();
    dir.run(&["apply", "s.yaml"]).exits(0);
}

#[test]
fn a_killed_run_keeps_nobody_out() {
    let daemon = daemon();
    daemon.state().machine.behaviours.insert("setup".to_string(), Behaviour::Endless);
    let dir = StackDir::with(STACK, &daemon);
    let first = dir.start(&["apply", "s.yaml"]);
    daemon.wait_until("the run to wait", |state| {
        state.container("setup").is_some_and(|it| it.status == "running")
    });
    first.signal("KILL");
    first.end();
    daemon.state().machine.behaviours.clear();
    let again = dir.run(&["apply", "s.yaml"]).exits(0);
    assert!(again.tells("setup: made anew: container_state is running, and is to be exited (0)"), "{again}");
}

#[test]
fn a_name_that_is_somebody_else_s_stays_so() {
    let daemon = daemon();
    let dir = StackDir::with(STACK, &daemon);
    dir.run(&["apply", "s.yaml", "--config-id", "first"]).exits(0);
    let run = dir.run(&["apply", "s.yaml"]).exits(0);
    assert!(run.stderr.contains("for the name is taken"), "{run}");
    let names: Vec<String> = daemon.state().machine.containers.keys().cloned().collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert!(dir.run(&["diff", "s.yaml"]).stdout.contains("rename  db-"));
    let run = dir.run(&["cleanup", "s"]).exits(0);
    assert!(run.tells("Cleaned up: 3 containers removed"), "{run}");
    let names: Vec<String> = daemon.state().machine.containers.keys().cloned().collect();
    assert_eq!(names, ["db", "setup", "web"]);
    dir.run(&["diff", "s.yaml"]).exits(0);
}

#[test]
fn what_there_is_is_listed_checked_read_and_deleted() {
    let daemon = daemon();
    let dir = StackDir::with(STACK, &daemon);
    dir.run(&["apply", "s.yaml"]).exits(0);
    let list = dir.run(&["list"]).exits(0);
    let rows: Vec<Vec<&str>> = list.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1][..3], ["s", "db", "running"], "{list}");
    assert_eq!(rows[2][..4], ["s", "setup", "exited", "(0)"], "{list}");
    let json = dir.run(&["list", "--format", "json"]).exits(0).summary();
    assert_eq!(json[2]["container_name"], "web");

    let check = dir.run(&["check"]).exits(0);
    assert!(check.stdout.contains("db   ok  healthy; files unchanged"), "{check}");
    daemon.state().machine.exec_codes.insert("--check".to_string(), 1);
    let check = dir.run(&["check", "s"]).exits(1);
    assert!(check.stdout.contains("its files differ from those it mounts: what it said"), "{check}");
    dir.run(&["check", "other"]).exits(1);

    let logs = dir.run(&["logs", "db", "--tail", "5"]).exits(0);
    assert!(logs.stdout.starts_with("db: ") && logs.stdout.ends_with("says its last words\n"), "{logs}");
    let followed = dir.run(&["logs", "db", "web", "--follow"]).exits(0);
    let of =
        |name: &str| followed.stdout.lines().filter(|line| line.starts_with(&format!("{name}: "))).count();
    assert_eq!((of("db"), of("web")), (1, 1), "{followed}");
    let logs = dir.run(&["logs", "webb"]).exits(2);
    assert!(logs.tells("error: unknown container 'webb': did you mean 'web'?"), "{logs}");

    let debug = dir.run(&["debug", "s.yaml", "--container", "db"]).exits(0);
    assert!(debug.stdout.starts_with("docker run \\\n  --name db \\\n  --detach"), "{debug}");
    assert!(debug.stdout.contains("--env PASSWORD=***"), "{debug}");
    let debug = dir.run(&["debug", "s.yaml", "--container", "told"]).exits(0);
    assert_eq!(debug.stdout, "docker exec db tell\n");

    // Of another tool's stack with the same name nothing goes.
    let others =
        dir.run(&["delete", "s", "--volumes", "--managed-by", "other", "--state-dir", "elsewhere"]).exits(0);
    assert!(others.tells("Deleted s: 0 containers removed"), "{others}");
    assert_eq!(daemon.state().machine.volumes.len(), 1);
    let deleted = dir.run(&["delete", "s"]).exits(0);
    assert!(
        deleted.tells("network private: removed") && deleted.tells("Deleted s: 3 containers removed"),
        "{deleted}"
    );
    assert!(daemon.state().machine.containers.is_empty() && !daemon.state().machine.volumes.is_empty());
    assert!(dir.state("s/passwords.json").exists());
    dir.run(&["delete", "s", "--volumes"]).exits(0);
    assert!(daemon.state().machine.volumes.is_empty() && !dir.state("s").exists());
}

#[test]
fn the_stacks_inside_the_program_can_be_read() {
    let daemon = FakeDocker::start();
    let dir = StackDir::with(STACK, &daemon);
    let list = dir.run(&["stacks"]).exits(0);
    assert!(list.stdout.lines().any(|name| name == "keystone"), "{list}");
    for name in list.stdout.lines() {
        let text = dir.run(&["stacks", name]).exits(0).stdout;
        dir.write("own.yaml", &text);
        let own = dir.run(&["diff", "own.yaml", "--config-id", name]).exits(1);
        let shipped = dir.run(&["diff", name]).exits(1);
        assert_eq!(own.stdout, shipped.stdout);
        assert!(shipped.stdout.contains("there is none"), "{shipped}");
    }
}

#[test]
fn no_engine_is_told_with_what_to_do() {
    let dir = StackDir::new(STACK, "unix:///nowhere/docker.sock");
    let run = dir.run(&["apply", "s.yaml"]).exits(1);
    assert!(run.tells("error: cannot reach the container engine at unix:///nowhere/docker.sock"), "{run}");
    assert!(run.stderr.contains("hint: start the engine, or name its socket with --host"), "{run}");
}
