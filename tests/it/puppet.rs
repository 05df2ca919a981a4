//! `kolla-run puppet-config` against a real daemon, which must hold `debian:trixie`. The image's `puppet` is a script: its
//! manifests are a shell's. `tests/puppet/run` has the real one.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::project::Run;
use crate::support::real::{Images, docker, endpoint, nonce, wait_until};
use crate::support::stack::StackDir;

/// Runs the manifest behind the lines about packages, and tells what it was called with.
const PUPPET: &str = r#"#!/bin/bash
[ "$1" = apply ] || exit 64
echo "puppet $*"
sed 1,5d /etc/config.pp >/tmp/manifest
exec bash /tmp/manifest
"#;

const DOCKERFILE: &str = "FROM debian:trixie
RUN apt-get update && apt-get -y install --no-install-recommends rsync && rm -rf /var/lib/apt/lists/*
COPY puppet /usr/local/bin/puppet
ENTRYPOINT [\"/bin/false\"]
";

/// A machine with an image, hieradata, entries and startup configurations, whose names are nobody else's.
struct Machine {
    dir: StackDir,
    id: String,
    image: String,
    _image: Images,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let script =
            format!("docker rm --force --volumes $(docker ps --all --quiet --filter name={})", self.id);
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}

impl Machine {
    fn new() -> Machine {
        let id = format!("kolla-puppet-test-{}", nonce());
        let dir = StackDir::new("", &endpoint());
        for directory in ["image", "puppet/hieradata", "startup/step_3"] {
            std::fs::create_dir_all(dir.path(directory)).expect("a directory");
        }
        dir.write("image/Dockerfile", DOCKERFILE);
        dir.write("image/puppet", PUPPET);
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path("image/puppet"), executable).expect("a file of ours");
        let image = format!("{id}:1");
        docker(&["build", "--quiet", "--tag", &image, &dir.path("image").display().to_string()]);
        Machine { dir, id, image: image.clone(), _image: Images(vec![image]) }
    }

    /// A volume's name, which is part of its container's.
    fn volume(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    fn entries(&self, entries: &Value) {
        self.dir.write("entries.json", &entries.to_string());
    }

    /// A container that stays, and mounts this.
    fn startup(&self, name: &str, volumes: &[String]) {
        let settings = json!({
            "image": "debian:trixie", "command": ["sleep", "600"], "net": "none", "stop_grace_period": 1,
            "environment": {"SHELL_TEXT": "${HOME}"}, "volumes": volumes,
        });
        self.dir.write(&format!("startup/step_3/{}.json", self.volume(name)), &settings.to_string());
    }

    fn command(&self, variables: &[(&str, &str)], options: &[&str]) -> Command {
        let arguments = [&["puppet-config", "--puppet-dir", "puppet"], options].concat();
        let mut command = self.dir.command(&arguments);
        command
            .env("CONFIG", self.dir.path("entries.json"))
            .env("CONFIG_VOLUME_PREFIX", self.dir.path("data"))
            .env("STARTUP_CONFIG_PATTERN", self.dir.path("startup/*/*.json"))
            .env("SHORT_HOSTNAME", "here")
            .envs(variables.iter().copied());
        command
    }

    #[track_caller]
    fn configure(&self, variables: &[(&str, &str)], options: &[&str]) -> Run {
        crate::support::project::Running::spawn(self.command(variables, options)).end()
    }

    #[track_caller]
    fn apply(&self) -> Run {
        self.dir.run(&["apply", "startup/step_3", "--managed-by", &self.id]).exits(0)
    }

    fn generated(&self, volume: &str, path: &str) -> Option<String> {
        let place = format!("data/puppet-generated/{}{path}", self.volume(volume));
        std::fs::read_to_string(self.dir.path(&place)).ok()
    }

    fn hash(&self, name: &str) -> Value {
        let text = self.dir.read(&format!("startup/step_3/hashed-{}.json", self.volume(name)));
        let startup: Value = serde_json::from_str(&text).expect("JSON");
        startup["environment"]["TRIPLEO_CONFIG_HASH"].clone()
    }

    /// Containers of this test, or of a volume, that run or have run.
    fn containers(&self, of: &str) -> String {
        docker(&["ps", "--all", "--format", "{{.Names}}", "--filter", &format!("name={of}{}", self.id)])
    }

    fn container_id(&self, name: &str) -> String {
        docker(&["inspect", "--format", "{{.Id}}", &self.volume(name)])
    }
}

#[test]
#[ignore = "needs a real Docker engine and Debian's package archive"]
fn a_changed_file_replaces_the_containers_that_use_it() {
    let machine = Machine::new();
    let web = machine.volume("web");
    machine.dir.write("puppet/hieradata/port", "80\n");
    machine.dir.write("puppet/hiera.yaml", "---\n");
    let first = "echo \"port $(cat /etc/puppet/hieradata/port)\" >/etc/web.conf; cp /etc/puppet/hieradata/docker_puppet.json /etc/step; chown 1234:0 /etc/step";
    let second = "echo \"# HEADER: $(date +%s%N)\" >/etc/web.second; echo \"$HOSTNAME $FACTER_hostname $(cd /sys/class/net; ls -d eth0 2>/dev/null || echo alone)\" >>/etc/web.second; exit 2";
    let entries = |second: &str| {
        json!([
            [web, "web_config", first, machine.image, [format!("{}:/opt/read-only:ro", machine.dir.path("image").display())]],
            {"config_volume": web, "step_config": second, "config_image": machine.image},
            {"config_volume": machine.volume("other"), "step_config": "echo 1 >/root/other", "config_image": machine.image},
            {"config_volume": "nothing", "config_image": machine.image},
        ])
    };
    machine.entries(&entries(second));
    let mounted = |volume: &str| format!("{}/{volume}:/mounted:ro", machine.dir.path("data").display());
    machine.startup("web", &[mounted(&format!("puppet-generated/{web}/etc/"))]);
    machine.startup("plain", &[]);

    let made = machine.configure(&[], &["--debug"]).exits(0);
    assert!(made.tells("Configured 2 volumes, 2 of 2 startup configurations changed"), "{made}");
    let called = "puppet apply --detailed-exitcodes --color=false --tags file,file_line,concat,augeas,cron,web_config \
                  --modulepath=/etc/puppet/modules:/usr/share/openstack-puppet/modules:/usr/share/puppet/modules \
                  --summarize --hiera_config /etc/puppet/hiera.yaml /etc/config.pp";
    assert!(made.stderr.contains(called), "{made}");
    assert_eq!(machine.generated("web", "/etc/web.conf").as_deref(), Some("port 80\n"));
    assert_eq!(machine.generated("web", "/etc/step").as_deref(), Some("{\"step\": 6}\n"));
    assert!(machine.generated("web", "/etc/web.second").expect("there").ends_with("\nhere here alone\n"));
    assert_eq!(machine.generated("other", "/root/other").as_deref(), Some("1\n"));
    // All of /etc is there, but what is mounted, and what is not the image's.
    let mirrored = |path: &str| machine.dir.path(&format!("data/{web}{path}")).exists();
    assert!(mirrored("/etc/passwd") && mirrored("/etc/web.conf"));
    assert!(!mirrored("/etc/config.pp") && !mirrored("/opt/read-only") && !mirrored("/etc/puppet/hieradata"));
    assert!(!mirrored("/etc/hosts"));
    let owner =
        std::fs::metadata(machine.dir.path(&format!("data/puppet-generated/{web}/etc/step"))).expect("there");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 1234);
    let digest = machine.generated("web", ".md5sum").expect("a digest");
    assert_eq!(digest.trim().len(), 32);
    assert_eq!(machine.hash("web"), digest.trim());
    assert_eq!(machine.hash("plain"), Value::Null);
    let hashed = machine.dir.path(&format!("startup/step_3/hashed-{web}.json"));
    assert_eq!(hashed.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(machine.containers("container-puppet-"), "");

    let applied = machine.apply();
    assert!(applied.tells("Applied step_3: 2 made, 0 made anew, 0 unchanged"), "{applied}");
    let read = |file: &str| docker(&["exec", &web, "cat", &format!("/mounted/{file}")]);
    assert_eq!(read("web.conf"), "port 80");
    let shell_text = docker(&["exec", &web, "printenv", "SHELL_TEXT"]);
    assert_eq!(shell_text, "${HOME}");
    let (web_id, plain_id) = (machine.container_id("web"), machine.container_id("plain"));

    // Nothing has changed but a time in a comment.
    let again = machine.configure(&[], &[]).exits(0);
    assert!(again.tells("Configured 2 volumes, 0 of 2 startup configurations changed"), "{again}");
    let applied = machine.apply();
    assert!(applied.tells("Applied step_3: 0 made, 0 made anew, 2 unchanged"), "{applied}");
    assert_eq!(machine.container_id("web"), web_id);

    machine.dir.write("puppet/hieradata/port", "81\n");
    let changed = machine.configure(&[], &[]).exits(0);
    assert!(changed.tells("Configured 2 volumes, 1 of 2 startup configurations changed"), "{changed}");
    assert_ne!(machine.hash("web"), digest.trim());
    let applied = machine.apply();
    assert!(applied.tells("Applied step_3: 0 made, 1 made anew, 1 unchanged"), "{applied}");
    assert_eq!(read("web.conf"), "port 81");
    assert_ne!(machine.container_id("web"), web_id);
    assert_eq!(machine.container_id("plain"), plain_id);

    // What is no longer written goes; what somebody else has put there stays, and so does another volume.
    machine.dir.write(&format!("data/puppet-generated/{web}/etc/own"), "of the service");
    machine.entries(&entries("true"));
    machine.dir.write("puppet/hieradata/port", "80\n");
    let fewer = machine.configure(&[("CONFIG_VOLUME", &web)], &[]).exits(0);
    assert!(fewer.tells("Configured 1 volume, 1 of 2 startup configurations changed"), "{fewer}");
    assert_eq!(machine.generated("web", "/etc/web.second"), None);
    assert!(
        machine.generated("web", "/etc/own").is_some() && machine.generated("web", "/etc/web.conf").is_some()
    );
    assert!(!mirrored("/etc/web.second") && machine.generated("other", "/root/other").is_some());

    // A container that is no longer to be.
    std::fs::remove_file(machine.dir.path(&format!("startup/step_3/{web}.json"))).expect("there");
    machine.configure(&[("CONFIG_VOLUME", &web)], &[]).exits(0);
    assert!(!hashed.exists());
    let applied = machine.apply();
    assert!(applied.tells("Applied step_3: 0 made, 0 made anew, 1 removed, 1 unchanged"), "{applied}");
}

#[test]
#[ignore = "needs a real Docker engine and Debian's package archive"]
fn a_failure_is_tried_again_told_and_leaves_the_others() {
    let machine = Machine::new();
    let count = machine.dir.path("count");
    std::fs::create_dir(&count).expect("a directory");
    let counted = [format!("{}:/count", count.display())];
    let tries = |name: &str| std::fs::read_to_string(count.join(name)).expect("there").lines().count();
    machine.entries(&json!([
        [
            machine.volume("late"),
            "",
            "echo x >>/count/late; [ $(wc -l </count/late) -ge 3 ] || exit 6; echo done >/etc/late",
            machine.image,
            counted
        ],
        [
            machine.volume("bad"),
            "",
            "echo x >>/count/bad; echo 'Error: no such class'; exit 4",
            machine.image,
            counted
        ],
        [machine.volume("bare"), "", "true", "debian:trixie"],
        [machine.volume("lost"), "", "true", machine.image, ["/nowhere/at/all:/lost"]],
        [machine.volume("good"), "", "echo 1 >/etc/good", machine.image],
    ]));
    machine.startup(
        "good",
        &[format!("{}/puppet-generated/{}:/x", machine.dir.path("data").display(), machine.volume("good"))],
    );
    let failed = machine.configure(&[("PROCESS_COUNT", "3")], &[]).exits(1);
    let name = |name: &str| machine.volume(name);
    assert!(
        failed.tells(&format!("{}: failed: exit code 6 (allowed: 0, 2); trying again in 3 s", name("late"))),
        "{failed}"
    );
    assert!(failed.tells(&format!("{}: configured", name("late"))), "{failed}");
    assert!(
        failed.tells(&format!("{}: failed: exit code 4 (allowed: 0, 2); the end of its log:", name("bad"))),
        "{failed}"
    );
    assert!(failed.stderr.contains("    Error: no such class"), "{failed}");
    assert!(
        failed
            .tells(&format!("{}: failed: exit code 127 (allowed: 0, 2); the end of its log:", name("bare"))),
        "{failed}"
    );
    assert!(
        failed.stderr.contains("    this image has no puppet: build it with overrides/puppet-tools.j2"),
        "{failed}"
    );
    assert!(
        failed.tells(&format!("{}: failed: /nowhere/at/all, which it mounts, is not there", name("lost"))),
        "{failed}"
    );
    let last = format!(
        "Failed to configure {}; 1 of 1 startup configuration changed",
        [name("bad"), name("bare"), name("lost")].join(", ")
    );
    assert!(failed.tells(&last), "{failed}");
    assert_eq!((tries("late"), tries("bad")), (3, 3));
    assert_eq!(machine.generated("late", "/etc/late").as_deref(), Some("done\n"));
    assert_eq!(machine.hash("good"), machine.generated("good", ".md5sum").expect("a digest").trim());
    assert_eq!(machine.containers("container-puppet-"), "");

    // What is somebody else's is left.
    let taken = format!("container-puppet-{}", name("good"));
    docker(&["create", "--name", &taken, "debian:trixie"]);
    let refused = machine.configure(&[("CONFIG_VOLUME", &name("good"))], &[]).exits(1);
    assert!(refused.stderr.contains("which is somebody else's: remove it"), "{refused}");
    docker(&["rm", &taken]);
}

#[test]
#[ignore = "needs a real Docker engine and Debian's package archive"]
fn tasks_of_a_step_do_something_and_collect_nothing() {
    let machine = Machine::new();
    let done = machine.dir.path("done");
    std::fs::create_dir(&done).expect("a directory");
    let task = |name: &str, service: &str| {
        json!({
            "config_volume": machine.volume(name), "puppet_tags": "database", "config_image": machine.image,
            "step_config": format!("echo \"$STEP $NET_HOST\" >/done/{name}"), "volumes": format!("{}:/done", done.display()),
            "service_name": service,
        })
    };
    machine.entries(&json!({
        "step_2": [task("here", "mysql"), task("elsewhere", "rabbitmq")],
        "step_3": task("later", "mysql"),
    }));
    machine.dir.write("hosts.yaml", "{mysql: [there, HERE], rabbitmq: [a, here]}\n");
    let variables = [("NO_ARCHIVE", "true"), ("NET_HOST", "true"), ("STEP", "2")];
    let ran = machine.configure(&variables, &["--hosts", "hosts.yaml"]).exits(0);
    assert!(ran.tells("Configured 1 volume, 0 of 0 startup configurations changed"), "{ran}");
    let files: Vec<_> =
        std::fs::read_dir(&done).expect("there").map(|it| it.expect("an entry").file_name()).collect();
    assert_eq!(files, ["here"]);
    assert_eq!(std::fs::read_to_string(done.join("here")).expect("there"), "2 true\n");
    assert!(!machine.dir.path(&format!("data/{}", machine.volume("here"))).exists());
}

#[test]
#[ignore = "needs a real Docker engine and Debian's package archive"]
fn so_many_run_at_once_and_a_killed_run_is_put_in_order() {
    let machine = Machine::new();
    let marks = machine.dir.path("marks");
    std::fs::create_dir(&marks).expect("a directory");
    // Each waits until another one is there, and tells how many there are.
    let manifest = "touch /marks/$NAME; for i in $(seq 100); do [ $(ls /marks | grep -vc seen) -lt 2 ] || break; sleep 0.1; done; \
                    ls /marks | grep -vc seen >>/marks/seen; sleep 0.5; rm /marks/$NAME";
    let volumes = [format!("{}:/marks", marks.display())];
    let entries: Vec<Value> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| json!([machine.volume(name), "", manifest, machine.image, volumes]))
        .collect();
    machine.entries(&json!(entries));
    machine.configure(&[], &[]).exits(0);
    let seen = std::fs::read_to_string(marks.join("seen")).expect("there");
    let counts: Vec<u32> = seen.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(counts.len() == 4 && counts.contains(&2) && counts.iter().all(|count| *count <= 2), "{counts:?}");

    let forever = json!([[machine.volume("a"), "", "sleep 600", machine.image]]);
    machine.entries(&forever);
    let containers = || machine.containers("container-puppet-");
    let start = || {
        let running = crate::support::project::Running::spawn(machine.command(&[], &[]));
        wait_until("the container", || !containers().is_empty());
        running
    };
    let killed = start();
    killed.signal("KILL");
    killed.end();
    let interrupted = start();
    // The one before may still be there, and is to go first.
    wait_until("a running container", || {
        docker(&["ps", "--quiet", "--filter", &format!("name=container-puppet-{}", machine.id)])
            .lines()
            .count()
            == 1
    });
    interrupted.signal("INT");
    let run = interrupted.end().exits(130);
    assert!(run.tells("Interrupted: not every volume is configured"), "{run}");
    wait_until("its removal", || containers().is_empty());

    machine.entries(&json!([[machine.volume("a"), "", "true", machine.image]]));
    machine.configure(&[], &[]).exits(0);
}

#[test]
fn what_can_t_be_used_is_told_before_anything_is_done() {
    let dir = StackDir::new("", "unix:///nowhere.sock");
    let missing = dir.run(&["puppet-config", "--config", "c.json"]).exits(2);
    assert!(
        missing.stderr.contains("failed to read c.json") && missing.stderr.contains("--config"),
        "{missing}"
    );
    dir.write("c.json", r#"[{"config_volume": "../x", "step_config": "m", "config_image": "i"}]"#);
    let unfit = dir.run(&["puppet-config", "--config", "c.json"]).exits(2);
    assert!(unfit.stderr.contains("c.json: entry 1: config_volume: '../x' can't be"), "{unfit}");
    dir.write("c.json", "[]");
    let remote = dir.run(&["puppet-config", "--config", "c.json", "--host", "ssh://elsewhere"]).exits(2);
    assert!(remote.stderr.contains("from an engine of this machine alone"), "{remote}");
    let mut command = dir.command(&["puppet-config", "--config", "c.json"]);
    command.env("STEP", "two");
    let wrong = crate::support::project::Running::spawn(command).end().exits(2);
    assert!(wrong.stderr.contains("STEP is 'two', which is no whole number"), "{wrong}");
}
