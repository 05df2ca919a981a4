//! `kolla-run` against a real daemon, which must hold `debian:trixie`.

use std::net::TcpListener;

use crate::support::project::Run;
use crate::support::real::{self, docker, endpoint, nonce};
use crate::support::spare_engine::SpareEngine;
use crate::support::stack::StackDir;

/// A stack whose names are nobody else's.
fn stack(id: &str) -> String {
    format!(
        "
docker_config:
  step_1:
    {id}_once:
      image: debian:trixie
      detach: false
      volumes: ['{id}_data:/data']
      command: [bash, -c, 'echo made once; date +%s%N >/data/made']
    {id}_server:
      image: debian:trixie
      start_order: 1
      net: {id}_net
      user: nobody
      restart: unless-stopped
      stop_grace_period: 1
      environment: {{SECRET: '${{password:server}}', MODE: plain}}
      cap_add: [NET_ADMIN]
      security_opt: [systempaths=unconfined]
      tmpfs: ['/scratch:size=1m']
      mem_limit: 64m
      ulimit: ['core=0:0']
      volumes: ['{id}_data:/data:ro', '${{files}}/server/:/var/lib/kolla/config_files/:ro']
      command: [bash, -c, 'trap exit TERM; while :; do sleep 0.1; done']
      healthcheck: {{test: 'test -s /data/made && test -d /scratch'}}
  step_2:
    {id}_told:
      action: exec
      command: ['{id}_server', bash, -c, 'test \"$(id -un)\" = nobody']
files:
  server/file: content
"
    )
}

/// What the test has made, whatever became of it.
struct Leftovers(String);

impl Drop for Leftovers {
    fn drop(&mut self) {
        let id = &self.0;
        let script = format!(
            "docker rm --force --volumes {id}_once {id}_server; docker volume rm {id}_data; docker network rm {id}_net"
        );
        let _ = std::process::Command::new("sh").args(["-c", &script]).output();
    }
}

/// Runs it for somebody who looks after this test's containers alone.
#[track_caller]
fn run(dir: &StackDir, id: &str, arguments: &[&str]) -> Run {
    dir.run(&[arguments, &["--managed-by", id]].concat())
}

#[test]
#[ignore = "needs a real Docker engine"]
fn containers_come_about_change_and_go() {
    let id = format!("kolla-run-test-{}", nonce());
    let _leftovers = Leftovers(id.clone());
    let dir = StackDir::new(&stack(&id), &endpoint());
    let first = run(&dir, &id, &["apply", "s.yaml", "--timeout", "60"]).exits(0);
    assert!(first.tells(&format!("{id}_server: healthy")), "{first}");
    let inspected = docker(&["inspect", &format!("{id}_server")]);
    assert!(!inspected.contains("kolla_build") && inspected.contains("config_hashes"));
    let ids = || docker(&["inspect", "--format", "{{.Id}}", &format!("{id}_once"), &format!("{id}_server")]);
    let before = ids();
    let second = run(&dir, &id, &["apply", "s.yaml"]).exits(0);
    assert!(second.tells("Applied s: 0 made, 0 made anew, 1 run inside others, 2 unchanged"), "{second}");
    assert_eq!(ids(), before);
    run(&dir, &id, &["diff", "s.yaml"]).exits(0);

    // A file, and one that somebody has stopped.
    dir.write("s.yaml", &dir.read("s.yaml").replace("server/file: content", "server/file: changed"));
    let changed = run(&dir, &id, &["apply", "s.yaml"]).exits(0);
    assert!(changed.stderr.contains("the mounted file"), "{changed}");
    assert_eq!(
        docker(&["exec", "--user", "0", &format!("{id}_server"), "cat", "/var/lib/kolla/config_files/file"]),
        "changed"
    );
    docker(&["stop", &format!("{id}_server")]);
    let started = run(&dir, &id, &["apply", "s.yaml"]).exits(0);
    assert!(started.tells(&format!("{id}_server: started, it did not run")), "{started}");

    let logs = run(&dir, &id, &["logs", &format!("{id}_once")]).exits(0);
    assert_eq!(logs.stdout, format!("{id}_once: made once\n"));
    let check = run(&dir, &id, &["check"]).exits(0);
    assert!(check.stdout.contains("ok  healthy"), "{check}");

    // One that can't be made leaves the old one.
    let container = docker(&["inspect", "--format", "{{.Id}}", &format!("{id}_server")]);
    dir.write("s.yaml", &dir.read("s.yaml").replace("NET_ADMIN", "NO_SUCH_CAPABILITY"));
    let refused = run(&dir, &id, &["apply", "s.yaml"]).exits(1);
    assert!(refused.stderr.contains(&format!("{id}_server: failed: ")), "{refused}");
    assert_eq!(docker(&["inspect", "--format", "{{.Id}}", &format!("{id}_server")]), container);

    run(&dir, &id, &["delete", "s", "--volumes"]).exits(0);
    let left = docker(&["ps", "--all", "--quiet", "--filter", &format!("name={id}")]);
    assert_eq!((left.as_str(), dir.state("s").exists()), ("", false));
    assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", &format!("name={id}")]), "");
    assert_eq!(docker(&["network", "ls", "--quiet", "--filter", &format!("name={id}")]), "");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_killed_run_is_healed() {
    let id = format!("kolla-run-test-{}", nonce());
    let _leftovers = Leftovers(id.clone());
    let dir = StackDir::new(&stack(&id).replace("echo made once;", "sleep 5;"), &endpoint());
    let first = dir.start(&["apply", "s.yaml", "--managed-by", &id]);
    let once = format!("{id}_once");
    real::wait_until("the container", || {
        !docker(&["ps", "--quiet", "--filter", &format!("name={once}")]).is_empty()
    });
    first.signal("KILL");
    first.end();
    let again = run(&dir, &id, &["apply", "s.yaml"]).exits(0);
    assert!(again.stderr.contains(&format!("{once}: made anew: container_state is running")), "{again}");
    run(&dir, &id, &["delete", "s", "--volumes"]).exits(0);
}

/// A stack of one container.
fn server(id: &str, settings: &str) -> String {
    format!("docker_config: {{{id}_server: {{image: 'debian:trixie', stop_grace_period: 1, {settings}}}}}")
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_port_that_is_taken_is_told_in_the_words_of_the_log_and_healed_once_it_is_free() {
    let id = format!("kolla-run-test-{}", nonce());
    let _leftovers = Leftovers(id.clone());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let listen = format!(
        "use IO::Socket::INET; IO::Socket::INET->new(LocalAddr => q({address}), Listen => 1, ReuseAddr => 1) or die \
         qq(cannot listen: $!\\n); sleep 600"
    );
    let stack = server(&id, &format!("net: host, command: [perl, -e, '{listen}']"));
    let dir = StackDir::new(&stack, &endpoint());
    let failed = run(&dir, &id, &["apply", "s.yaml"]).exits(1);
    let ended = format!("{id}_server: failed: it has ended with exit code ");
    assert!(failed.tells(&ended) && failed.tells("    cannot listen: Address already in use"), "{failed}");
    drop(taken);
    let healed = run(&dir, &id, &["apply", "s.yaml"]).exits(0);
    assert!(healed.tells(&format!("{id}_server: running")), "{healed}");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_container_that_never_gets_healthy_is_told_with_what_its_healthcheck_says() {
    let id = format!("kolla-run-test-{}", nonce());
    let _leftovers = Leftovers(id.clone());
    let check = "healthcheck: {test: 'test -e /well || { echo not well; false; }', interval: 1, retries: 1}";
    let stack = server(&id, &format!("command: [bash, -c, 'echo waiting; sleep 600'], {check}"));
    let dir = StackDir::new(&stack, &endpoint());
    let failed = run(&dir, &id, &["apply", "s.yaml", "--timeout", "5"]).exits(1);
    let never = format!(
        "{id}_server: failed: it has not become healthy within 5 s; its healthcheck says: not well; the end of its log:"
    );
    assert!(failed.tells(&never) && failed.tells("    waiting"), "{failed}");
    // It is left as it is for whoever looks into it, and the next run waits for it again, unless the engine is quicker.
    docker(&["exec", &format!("{id}_server"), "touch", "/well"]);
    let healed = run(&dir, &id, &["apply", "s.yaml"]).exits(0);
    assert!(healed.tells("Applied s: 0 made, 0 made anew, 1 unchanged"), "{healed}");
    run(&dir, &id, &["check"]).exits(0);
}

#[test]
#[ignore = "needs a real Docker engine, and a user that may mount"]
fn a_full_disk_of_the_engine_is_told_and_healed_once_there_is_space() {
    let engine = SpareEngine::with_disk_of("1g");
    real::hand_over(&["debian:trixie"], &engine.endpoint());
    let filler = engine.data_root().join("filler");
    let fill = || {
        // Until nothing more goes in.
        let file = std::fs::File::create(&filler).expect("a file");
        let mut zeros = std::io::Read::take(std::io::repeat(0), 2 << 30);
        std::io::copy(&mut zeros, &mut &file).expect_err("the disk is full");
    };
    let hint = "  hint: a disk is full: ";
    let dir = StackDir::new(&server("full", "net: none, command: [sleep, '600']"), &engine.endpoint());
    fill();
    let refused = dir.run(&["apply", "s.yaml"]).exits(1);
    assert!(refused.tells("full_server: failed: ") && refused.tells(hint), "{refused}");
    assert!(refused.stderr.contains("no space left on device"), "{refused}");
    let left = engine.docker().args(["ps", "--all", "--quiet"]).output().expect("docker");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    std::fs::remove_file(&filler).expect("it is there");
    let healed = dir.run(&["apply", "s.yaml"]).exits(0);
    assert!(healed.tells("full_server: running"), "{healed}");

    // And one whose program has a disk of its own to fill.
    let fills =
        "net: none, detach: false, tmpfs: ['/small:size=1m'], command: [dd, 'if=/dev/zero', of=/small/file]";
    let stack = server("full", fills);
    dir.write("s.yaml", &stack);
    let failed = dir.run(&["apply", "s.yaml"]).exits(1);
    assert!(failed.tells("full_server: failed: exit code 1 (allowed: 0)") && failed.tells(hint), "{failed}");
    dir.run(&["delete", "s", "--volumes"]).exits(0);
}

/// Podman makes containers in another way than Docker, and tells of them in other words.
#[test]
#[ignore = "needs a real Docker engine with the demo's images (tests/demo/build), and two Podman services"]
fn keystone_runs_on_podman_4_and_5() {
    for podman in ["REAL_PODMAN", "REAL_NEWER_PODMAN"].map(real::named) {
        let images = ["kolla/mariadb-server:demo", "kolla/memcached:demo", "kolla/keystone:demo"];
        real::hand_over(&images, &podman);
        let dir = StackDir::new("", &podman);
        let ports = ["mariadb_port", "memcached_port", "keystone_port"]
            .map(|name| format!("{name}={}", real::free_port()));
        let mut apply = vec!["apply", "keystone"];
        apply.extend(ports.iter().flat_map(|port| ["--set", port]));
        let first = dir.run(&apply).exits(0);
        assert!(first.tells("keystone: healthy") && first.tells("Applied keystone: 8 made,"), "{first}");
        let second = dir.run(&apply).exits(0);
        assert!(second.tells("Applied keystone: 0 made, 0 made anew, 8 unchanged"), "{second}");
        let check = dir.run(&["check", "keystone"]).exits(0);
        assert!(check.tells("3 checked, 0 wrong"), "{check}");
        dir.run(&["delete", "keystone", "--volumes"]).exits(0);
    }
}
