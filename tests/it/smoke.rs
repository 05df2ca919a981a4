//! `--smoke`, against a daemon that runs nothing.

use serde_json::{Value, json};

use crate::support::containers::Behaviour;
use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Run, Running};
use crate::support::real::wait_until;

const STACK: &str = "
parameters: {namespace: none, tag: none}
docker_config:
  step_1:
    cache_setup: {image: '${namespace}/memcached:${tag}', detach: false}
    cache:
      image: ${namespace}/memcached:${tag}
      start_order: 1
      net: private
      environment: {PASSWORD: '${password:cache}'}
      volumes: ['data:/data', '${files}/cache/:/var/lib/kolla/config_files/:ro']
      healthcheck: {test: is it well}
  step_2:
    keystone: {image: 'elsewhere/keystone:2', healthcheck: {test: is it well}}
    nova_api: {image: nova-api}
  step_3:
    nova_compute: {image: nova-compute}
kolla_config:
  cache/config.json: {command: cache}
";

const CHECKS: &str = "
default: {files: [/usr/local/bin/kolla_start]}
images:
  nova-base: {run: nova-manage --version}
";

/// A tree with a stack for some of its images, and checks for all.
fn setting() -> (FakeDocker, Project) {
    let daemon = FakeDocker::with_base_image();
    daemon.state().machine.files.insert("/usr/local/bin/kolla_start".to_string(), "#!/bin/bash".to_string());
    let project = Project::new().file("s.yaml", STACK).file("checks/all.yaml", CHECKS).with_engine(&daemon);
    (daemon, project)
}

const ARGUMENTS: [&str; 9] = [
    "--smoke=s.yaml",
    "--smoke-dir=checks",
    "--smoke-timeout=1",
    "--tag=1",
    "--push",
    "--noverify-push",
    "--report=report.json",
    "--junit=junit.xml",
    "--html=page.html",
];

fn smoke(project: &Project) -> Run {
    project.run(ARGUMENTS)
}

fn image(project: &Project, name: &str) -> Value {
    let report: Value = serde_json::from_str(&project.read("report.json")).expect("JSON");
    let images = report["images"].as_array().expect("a list");
    images.iter().find(|image| image["name"] == name).cloned().expect("an image of the tree")
}

/// The faults that were found of an image, by their checks.
fn faults(image: &Value) -> Vec<(String, String)> {
    let checks = image["smoke"]["checks"].as_array().expect("a list").iter();
    let faults =
        checks.filter_map(|check| Some((check["name"].to_string(), check["fault"].as_str()?.to_string())));
    faults.map(|(name, fault)| (name.trim_matches('"').to_string(), fault)).collect()
}

/// Names of the images that were pushed.
fn pushed(daemon: &FakeDocker) -> Vec<String> {
    let name = |reference: &String| {
        let last = reference.rsplit('/').next().expect("a name");
        last.split(':').next().expect("a name").to_string()
    };
    let mut names: Vec<String> = daemon.state().pushes.iter().map(name).collect();
    names.sort();
    names
}

#[track_caller]
fn nothing_is_left(daemon: &FakeDocker, project: &Project) {
    let state = daemon.state();
    let machine = &state.machine;
    assert_eq!(
        (machine.containers.len(), machine.volumes.len(), machine.networks.len()),
        (0, 0, 0),
        "{machine:?}"
    );
    assert!(!project.path("home/.local/state/kolla-run/smoke-s").exists());
}

#[test]
fn images_are_tested_in_their_stack_or_alone_and_nothing_is_left() {
    let (daemon, project) = setting();
    let run = smoke(&project).exits(0);
    nothing_is_left(&daemon, &project);
    assert_eq!(pushed(&daemon).len(), 8);
    let cache = image(&project, "memcached");
    assert_eq!(cache["smoke"]["stack"], "s");
    let names: Vec<&str> = cache["smoke"]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "file /usr/local/bin/kolla_start",
            "cache is as its stack says",
            "cache is up",
            "cache is up again after a restart",
        ]
    );
    let nova = image(&project, "nova-base");
    assert_eq!((&nova["smoke"]["stack"], &nova["outcome"]), (&Value::Null, &json!("built")));
    assert_eq!(nova["smoke"]["checks"][1], json!({"name": "nova-manage --version", "fault": null}));
    assert!(run.stderr.contains("memcached:Smoke test passed (4 checks)"), "{run}");

    let requests = daemon.requests();
    let at = |start: &str| requests.iter().position(|it| it.contains(start)).expect(start);
    let last_build = requests.iter().rposition(|it| it.contains("/build")).expect("a build");
    assert!(last_build < at("/containers/create") && at("/containers/create") < at("/push"), "{requests:#?}");
    // Once for all images of the stack, and once more for the restart.
    let count = |of: &str| requests.iter().filter(|it| it.contains(of)).count();
    assert_eq!((count("/volumes/smoke-s-data"), count("/networks/smoke-s-private")), (2, 2), "{requests:#?}");
}

#[test]
fn one_that_fails_is_not_pushed_and_what_comes_after_it_neither() {
    let (daemon, project) = setting();
    daemon.state().machine.behaviours.insert("keystone".to_string(), Behaviour::Unhealthy);
    let run = smoke(&project).exits(1);
    nothing_is_left(&daemon, &project);
    assert_eq!(
        pushed(&daemon),
        ["base", "keystone-base", "memcached", "nova-api", "nova-base", "openstack-base"]
    );
    let keystone = image(&project, "keystone");
    assert_eq!(
        (&keystone["outcome"], &keystone["failure"]["kind"]),
        (&json!("smoke_error"), &json!("smoke"))
    );
    assert!(faults(&keystone)[0].1.starts_with("it has not become healthy within 1 s"), "{keystone}");
    assert!(keystone["log_tail"].to_string().contains("keystone says its last words"), "{keystone}");
    assert_eq!(
        faults(&image(&project, "nova-compute")),
        [(
            "nova_compute comes up".to_string(),
            "it was not started, because keystone, which comes before it, failed".to_string()
        )]
    );
    let failed =
        json!([{"name": "keystone", "status": "error"}, {"name": "nova-compute", "status": "error"}]);
    assert_eq!(run.summary()["failed"], failed);
    assert!(run.stderr.contains("6 images built, 2 failed their smoke test"), "{run}");
    assert!(project.read("junit.xml").contains("type=\"smoke\""));
    assert!(project.read("page.html").contains("keystone says its last words"));
}

#[test]
fn checks_find_what_is_missing_what_fails_and_what_crept_in() {
    let (daemon, project) = setting();
    let volumes = json!({"Volumes": {"/var/lib/memcached": {}}});
    {
        let mut state = daemon.state();
        state.machine.exec_codes.insert("--version".to_string(), 127);
        state.machine.image_configs.insert("kolla/memcached:1".to_string(), volumes);
    }
    let own = "{schemaVersion: 2.0.0, fileExistenceTests: [{path: /etc/nova.conf}], fileContentTests: [{path: /usr/local/bin/kolla_start, expectedContents: [python]}]}";
    let project = project.file("checks/openstack-base.json", own);
    smoke(&project).exits(1);
    nothing_is_left(&daemon, &project);
    let expected = [("nova-manage --version", "exit code 127, and not 0")];
    let found = faults(&image(&project, "nova-base"));
    assert!(
        found.len() == 1 && found[0].0 == expected[0].0 && found[0].1.starts_with(expected[0].1),
        "{found:?}"
    );
    assert_eq!(
        faults(&image(&project, "openstack-base")),
        [
            ("file /etc/nova.conf".to_string(), "/etc/nova.conf is not there".to_string()),
            (
                "content of /usr/local/bin/kolla_start".to_string(),
                "/usr/local/bin/kolla_start does not match 'python'".to_string()
            ),
        ]
    );
    let memcached = faults(&image(&project, "memcached"));
    assert!(
        memcached[0].1.contains("volumes is") && memcached[0].1.contains("/var/lib/memcached"),
        "{memcached:?}"
    );
    let pushed = pushed(&daemon);
    assert!(!pushed.iter().any(|name| ["memcached", "nova-base", "openstack-base"].contains(&name.as_str())));
    assert!(pushed.contains(&"nova-api".to_string()), "{pushed:?}");
}

#[test]
fn an_interrupted_test_leaves_nothing_and_pushes_nothing() {
    let (daemon, project) = setting();
    daemon.state().machine.behaviours.insert("cache_setup".to_string(), Behaviour::Endless);
    let arguments = ARGUMENTS.map(|argument| argument.replace("timeout=1", "timeout=300"));
    let run = Running::start(&project, arguments);
    wait_until("the container", || {
        daemon.state().container("cache_setup").is_some_and(|it| it.status == "running")
    });
    run.signal("INT");
    run.end().exits(130);
    nothing_is_left(&daemon, &project);
    assert!(!pushed(&daemon).contains(&"memcached".to_string()));
    assert_eq!(image(&project, "memcached")["outcome"], "smoke_error");
}

#[test]
fn what_others_have_is_left_alone() {
    let (daemon, project) = setting();
    {
        let machine = &mut daemon.state().machine;
        machine.volumes.insert("data".to_string(), json!({"of": "others"}));
    }
    smoke(&project).exits(0);
    assert_eq!(daemon.state().machine.volumes.keys().collect::<Vec<_>>(), ["data"]);
    assert!(!daemon.requests().iter().any(|it| it.contains("/volumes/data")));

    // A container of the same name would be reached in place of the one that is tested.
    let daemon = FakeDocker::with_base_image();
    let stack = StackOfOthers::new(&daemon);
    let project = Project::new().file("s.yaml", STACK).with_engine(&daemon);
    project.run(["--smoke=s.yaml", "--tag=1", "--report=report.json", "^memcached$"]).exits(1);
    let found = faults(&image(&project, "memcached"));
    assert_eq!(found[0].0, "stack s");
    assert!(found[0].1.starts_with("there is another container called cache,"), "{found:?}");
    assert!(daemon.state().container("cache").is_some_and(|it| it.status == "running"));
    drop(stack);
}

/// A stack of somebody else that is in use.
struct StackOfOthers(
    #[expect(dead_code, reason = "its directory goes with it")] crate::support::stack::StackDir,
);

impl StackOfOthers {
    fn new(daemon: &FakeDocker) -> StackOfOthers {
        let text = "docker_config: {cache: {image: 'debian:trixie'}}";
        let dir = crate::support::stack::StackDir::with(text, daemon);
        dir.run(&["apply", "s.yaml"]).exits(0);
        StackOfOthers(dir)
    }
}

#[test]
fn an_image_of_which_nothing_is_known_is_told() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::new().file("s.yaml", STACK).with_engine(&daemon);
    let run = project.run(["--smoke=s.yaml", "--tag=1", "^memcached$"]).exits(0);
    assert!(run.stderr.contains("not tested: base: no stack has a place for it"), "{run}");
}

#[test]
fn what_can_not_be_used_is_told_before_anything_is_built() {
    let (daemon, project) = setting();
    let project = project.file("broken/x.yaml", "images: {nova-api: {usr: x}}").file("empty/README", "");
    let tcp = FakeDocker::start_on_tcp();
    for (arguments, told) in [
        (
            &["--smoke", "--list-images"][..],
            "--smoke: it tests images that were built, and --list-images builds none",
        ),
        (&["--smoke-dir=checks"], "--smoke-dir: it goes with --smoke"),
        (&["--smoke=keyston"], "unknown stack 'keyston': did you mean 'keystone'?"),
        (&["--smoke=nowhere.yaml"], "failed to read the stack nowhere.yaml"),
        (
            &["--smoke=s.yaml", "--smoke-dir=broken"],
            "broken/x.yaml: images: nova-api: unknown key 'usr': did you mean 'user'?",
        ),
        (&["--smoke", "--smoke-dir=empty"], "--smoke-dir: there are no checks in empty"),
    ] {
        let run = project.run(arguments).exits(2);
        assert!(run.stderr.contains(told), "{told}: {run}");
    }
    assert!(daemon.state().builds.is_empty());
    let project = project.with_docker_host(tcp.endpoint());
    let run = project.run(["--smoke=s.yaml"]).exits(2);
    assert!(run.stderr.contains("--smoke starts containers that mount files of this machine"), "{run}");
}
