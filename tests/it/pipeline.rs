//! `--export matrix=...`: the files, and whether what they say holds together.

use std::collections::BTreeSet;
use std::process::Command;

use serde_yaml::Value;

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Running};

const SYSTEMS: [(&str, &str); 3] = [
    ("github", ".github/workflows/kolla-build.yml"),
    ("gitlab", "kolla-build.gitlab-ci.yml"),
    ("zuul", "zuul.d/kolla-build.yaml"),
];

/// The shell's words of a command, as the shell reads them.
fn words(command: &str) -> Vec<String> {
    // A function's name has no dash in every shell.
    let command = command.replace("kolla-build -", "program -");
    let script = format!("program() {{ printf '%s\\n' \"$@\"; }}; mkdir() {{ :; }}; {command}");
    let output = Command::new("sh").args(["-euc", &script]).output().expect("a shell");
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).expect("text").lines().map(String::from).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:?}"))
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_sequence()
        .map(|list| list.iter().map(|item| text(item).to_string()).collect())
        .unwrap_or_default()
}

/// A job of any system: its name, the jobs it waits for, and its commands, one for each job of a matrix.
#[derive(Debug)]
struct Job {
    name: String,
    needs: Vec<String>,
    commands: Vec<String>,
}

fn github(file: &Value) -> Vec<Job> {
    let job = |(name, job): (&Value, &Value)| {
        let runs = job["steps"].as_sequence().expect("steps").iter().filter_map(|step| step["run"].as_str());
        let script = runs.collect::<Vec<_>>().join("\n");
        let matrix = job["strategy"]["matrix"]["include"].as_sequence();
        let commands = match matrix {
            None => vec![script],
            Some(entries) => {
                assert!(!entries.is_empty() && entries.len() <= 256, "{name:?}: {}", entries.len());
                let filled = |entry: &Value| {
                    let script = script.replace("${{ matrix.name }}", text(&entry["name"]));
                    script.replace("${{ matrix.images }}", text(&entry["images"]))
                };
                entries.iter().map(filled).collect()
            }
        };
        Job { name: text(name).to_string(), needs: texts(&job["needs"]), commands }
    };
    file["jobs"].as_mapping().expect("jobs").iter().map(job).collect()
}

fn gitlab(file: &Value) -> Vec<Job> {
    let stages = texts(&file["stages"]);
    let jobs = file.as_mapping().expect("a mapping").iter().filter(|(_, job)| job.get("stage").is_some());
    jobs.map(|(name, job)| {
        assert!(stages.contains(&text(&job["stage"]).to_string()), "{name:?}");
        let needs = job["needs"].as_sequence().map(Vec::as_slice).unwrap_or_default();
        assert!(needs.len() <= 50, "{name:?} needs {} jobs", needs.len());
        let needs = needs.iter().map(|need| text(&need["job"]).to_string()).collect();
        Job { name: text(name).to_string(), needs, commands: vec![texts(&job["script"]).join("\n")] }
    })
    .collect()
}

fn zuul(project: &Project, file: &Value) -> Vec<Job> {
    let items = file.as_sequence().expect("a list");
    let jobs: Vec<Job> = items
        .iter()
        .filter_map(|item| item.get("job"))
        .map(|job| {
            let playbook = project.read(&format!("out/{}", text(&job["run"])));
            let plays: Value = serde_yaml::from_str(&playbook).expect("YAML");
            assert!(plays[0]["tasks"].is_sequence(), "{playbook}");
            Job {
                name: text(&job["name"]).to_string(),
                needs: texts(&job["dependencies"]),
                commands: vec![text(&job["vars"]["kolla_build_command"]).to_string()],
            }
        })
        .collect();
    let run = items.iter().find_map(|item| item.get("project")).expect("a project");
    let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    assert_eq!(texts(&run["periodic"]["jobs"]), names);
    jobs
}

fn export(project: &Project, system: &str, arguments: &[&str]) -> Vec<Job> {
    let matrix = format!("--export=matrix={system}");
    let run =
        project.run(["--export-dir=out", &matrix].iter().copied().chain(arguments.iter().copied())).exits(0);
    let path = SYSTEMS.iter().find(|(name, _)| *name == system).expect("known").1;
    assert!(run.tells("Jobs for ") && run.stderr.contains(path), "{run}");
    let file: Value = serde_yaml::from_str(&project.read(&format!("out/{path}"))).expect("YAML");
    let jobs = match system {
        "github" => github(&file),
        "gitlab" => gitlab(&file),
        _ => zuul(project, &file),
    };
    let mut before = BTreeSet::new();
    for job in &jobs {
        for need in &job.needs {
            assert!(before.contains(need), "{system}: {} needs {need}, which is not before it", job.name);
        }
        assert!(before.insert(job.name.clone()), "{system}: {} is there twice", job.name);
    }
    jobs
}

/// What a job's command builds.
fn patterns(command: &str) -> Vec<String> {
    words(command).into_iter().filter(|word| word.starts_with('^')).collect()
}

#[test]
fn every_image_is_built_once_after_what_it_is_built_on() {
    let project = Project::new();
    for (system, _) in SYSTEMS {
        let jobs = export(
            &project,
            system,
            &["--images-per-job=2", "--build-args=A:it's", "--registry=r.example:5000"],
        );
        let built: Vec<Vec<String>> =
            jobs.iter().flat_map(|job| &job.commands).map(|it| patterns(it)).collect();
        let built: Vec<&Vec<String>> = built.iter().filter(|images| !images.is_empty()).collect();
        assert_eq!(
            built,
            [
                &vec!["^base$"],
                &vec!["^memcached$", "^openstack-base$"],
                &vec!["^keystone-base$", "^nova-base$"],
                &vec!["^keystone$", "^nova-api$"],
                &vec!["^nova-compute$"],
            ],
            "{system}"
        );
        let [lock, .., release] = jobs.as_slice() else { panic!("{system}: {jobs:?}") };
        let options = ["--build-args=A:it's", "--registry=r.example:5000"].map(String::from);
        for command in jobs.iter().flat_map(|job| &job.commands) {
            assert!(options.iter().all(|option| words(command).contains(option)), "{system}: {command}");
        }
        assert!(words(&lock.commands[0]).ends_with(&["--lock=build.lock".to_string(), ".".to_string()]));
        assert!(release.commands[0].contains(" --push . --report=all.json"), "{}", release.commands[0]);
        assert!(release.commands[0].ends_with("--merge-summaries reports"));
        let build = words(&jobs[1].commands[0]);
        for argument in
            ["--push", "--reuse=registry", "--locked=build.lock", "--report=reports/tier-0-1.json"]
        {
            assert!(build.contains(&argument.to_string()), "{system}: {build:?}");
        }
    }
}

#[test]
fn what_the_environment_sets_jobs_are_told() {
    let project = Project::new();
    let mut command = project.command(["--export=matrix=github", "--export-dir=out", "--namespace=line"]);
    command.envs([
        ("OS_DEFAULT__NAMESPACE", "variable"),
        ("OS_DEFAULT__PULL", "no"),
        ("OS_KEYSTONE__VERSION", "7"),
    ]);
    let run = Running::spawn(command).end().exits(0);
    assert!(run.tells("warning: OS_KEYSTONE__VERSION is set here and not in the jobs"), "{run}");
    let file: Value =
        serde_yaml::from_str(&project.read("out/.github/workflows/kolla-build.yml")).expect("YAML");
    let build = words(&github(&file)[0].commands[0]);
    let namespaces: Vec<&String> = build.iter().filter(|word| word.starts_with("--namespace")).collect();
    assert_eq!(namespaces, ["--namespace=variable", "--namespace=line"]);
    assert!(build.contains(&"--nopull".to_string()), "{build:?}");
}

#[test]
fn a_selection_a_lock_file_and_secrets() {
    const SECRET: &str = "hunter2";
    let project = Project::new();
    for (system, _) in SYSTEMS {
        let arguments =
            ["^nova-api$", "it(s)?", "--skip-parents", "--locked=my.lock", "--secret=id=token,env=TOKEN"];
        let jobs = export(&project, system, &arguments);
        assert!(!jobs[0].name.contains("lock"), "{system}");
        let build = words(&jobs[0].commands[0]);
        assert!(
            build.contains(&"--locked=my.lock".to_string()) && !build.contains(&"--skip-parents".to_string())
        );
        let release = words(&jobs[jobs.len() - 1].commands[0]);
        for word in ["^nova-api$", "it(s)?", "--skip-parents", "--secret=id=token,env=TOKEN"] {
            assert!(release.contains(&word.to_string()), "{system}: {release:?}");
        }
        std::fs::remove_dir_all(project.path("out")).expect("removed");
        let matrix = format!("--export=matrix={system}");
        for argument in [
            format!("--build-args=A:b,API_TOKEN:{SECRET}"),
            format!("--tarballs-base=https://me:{SECRET}@r.example"),
        ] {
            let run = project.run([matrix.as_str(), "--export-dir=out", &argument]).exits(2);
            assert!(run.stderr.contains("holds a secret"), "{run}");
            assert!(!run.stderr.contains(SECRET) && !project.path("out").exists(), "{run}");
        }
    }
}

#[test]
fn no_matrix_is_larger_than_github_takes() {
    let project = (0..300).fold(Project::empty().image("base", None, ""), |project, number| {
        project.image(&format!("i{number}"), Some("base"), "")
    });
    let jobs = export(&project, "github", &["--images-per-job=1"]);
    let built: usize = jobs.iter().flat_map(|job| &job.commands).map(|command| patterns(command).len()).sum();
    assert_eq!(built, 301);
}

#[test]
fn the_jobs_of_a_pipeline_build_everything_and_its_last_job_finds_it_complete() {
    let daemon = FakeDocker::with_base_image();
    let project = Project::new().with_engine(&daemon);
    let jobs = export(&project, "gitlab", &["--nobuildkit", "--images-per-job=2", "memcached", "nova"]);
    let program = project.command([""; 0]);
    let binary = program.get_program().to_string_lossy().into_owned();
    // As jobs do, but from the engine's images: this daemon has no registry to push to.
    let run = |command: &str| {
        let command = command.replace("--push --reuse=registry --locked=build.lock ", "");
        let command = command.replace("--push ", "").replace("--release=release.json ", "");
        let command = command.replace("kolla-build -", "program -");
        let images = project.path("images").display().to_string();
        let mut shell = project.command([""; 0]);
        let environment: Vec<_> =
            shell.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        shell = Command::new("sh");
        shell.env_clear().envs(environment.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let script =
            format!("program() {{ '{binary}' --base debian --images-dir '{images}' \"$@\"; }}\n{command}");
        shell.current_dir(project.path("")).args(["-euc", &script]).output().expect("a shell")
    };
    let [_, builds @ .., release] = jobs.as_slice() else { panic!("{jobs:?}") };
    for job in builds {
        let output = run(&job.commands[0]);
        assert!(output.status.success(), "{}: {}", job.name, String::from_utf8_lossy(&output.stderr));
    }
    let output = run(&release.commands[0]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let whole: serde_json::Value = serde_json::from_str(&project.read("all.json")).expect("JSON");
    assert_eq!(whole["counts"]["built"], 6);

    // One job's report is lost.
    std::fs::remove_file(project.path(format!("reports/{}.json", builds[builds.len() - 1].name)))
        .expect("removed");
    assert_eq!(run(&release.commands[0]).status.code(), Some(1));
}

#[test]
fn platforms_have_jobs_of_their_own_between_one_lock_and_one_release() {
    let project = Project::new();
    for (system, path) in SYSTEMS {
        let arguments =
            ["--platform=linux/amd64,linux/arm64", "--tag=7", "--images-per-job=9", "--promote=good"];
        let jobs = export(&project, system, &arguments);
        let [lock, builds @ .., release, promote] = jobs.as_slice() else { panic!("{system}: {jobs:?}") };
        assert!(words(&lock.commands[0]).contains(&"--lock=build.lock".to_string()), "{system}: {lock:?}");
        assert_eq!(builds.len(), 8, "{system}: {builds:?}");
        for (arch, platform) in [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64")] {
            let (own, other): (Vec<&Job>, Vec<&Job>) = builds.iter().partition(|job| job.name.contains(arch));
            assert_eq!((own.len(), other.len()), (4, 4), "{system}");
            for job in own {
                let build = words(&job.commands[0]);
                for word in
                    [format!("--only-platform={platform}"), "--platform=linux/amd64,linux/arm64".into()]
                {
                    assert!(build.contains(&word), "{system}: {build:?}");
                }
                let of_other = other.iter().filter(|other| job.needs.contains(&other.name)).count();
                assert_eq!(of_other, 0, "{system}: {job:?} waits for the other platform");
            }
        }
        let all: Vec<String> = builds.iter().map(|job| job.name.clone()).collect();
        // GitLab's waits for all stages before its own.
        assert!(release.needs.is_empty() || release.needs.ends_with(&all), "{system}: {release:?}");
        assert!(words(&release.commands[0]).contains(&"--push".to_string()), "{system}: {release:?}");
        assert_eq!(promote.needs, std::slice::from_ref(&release.name), "{system}");
        // Zuul's jobs hand on no files.
        let manifest = (system != "zuul").then_some("--from-release=release.json");
        let expected = ["--retag=7:good"].into_iter().chain(manifest).chain(["."]).map(String::from);
        assert!(
            words(&promote.commands[0]).ends_with(&expected.collect::<Vec<_>>()),
            "{system}: {promote:?}"
        );
        let text = project.read(&format!("out/{path}"));
        let machines = match system {
            "github" => {
                ["vars.KOLLA_BUILD_RUNNER_X86_64 || fromJSON('[\"self-hosted\", \"X64\"]')", "\"ARM64\"]"]
            }
            "gitlab" => ["- $KOLLA_BUILD_RUNNER_X86_64", "KOLLA_BUILD_RUNNER_AARCH64: aarch64"],
            _ => ["nodeset: kolla-build-x86_64", "nodeset: kolla-build-aarch64"],
        };
        assert!(machines.iter().all(|machine| text.contains(machine)), "{system}: {text}");
        let text = text.replace(&project.path("images").display().to_string(), "images");
        insta::with_settings!({prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(format!("pipeline_of_two_platforms_{system}"), text);
        });
    }
}

#[test]
fn what_jobs_write_of_images_is_kept_of_each() {
    let project = Project::new();
    for (system, path) in SYSTEMS {
        let jobs = export(&project, system, &["--logs-dir=l o/gs/"]);
        for job in jobs.iter().filter(|job| job.name.contains("tier")) {
            for command in &job.commands {
                let build = words(command);
                let report =
                    build.iter().find_map(|word| word.strip_prefix("--report=reports/")).expect("a report");
                let own = format!("--logs-dir=l o/gs/{}", report.trim_end_matches(".json"));
                assert!(build.contains(&own), "{system}: {build:?}");
            }
        }
        assert!(!jobs[jobs.len() - 1].commands[0].contains("--logs-dir"), "{system}");
        let text = project.read(&format!("out/{path}"));
        let kept = ["path: l o/gs", "- l o/gs/", "- l o/gs\n"].iter().any(|kept| text.contains(kept));
        assert!(kept, "{system}: {text}");
        let matrix = format!("--export=matrix={system}");
        for dir in ["/var/log/kolla", "../logs", "."] {
            let run = project.run([&matrix, &format!("--logs-dir={dir}"), "--export-dir=out"]).exits(2);
            assert!(run.stderr.contains("is kept from their project's directory"), "{run}");
        }
    }
}
