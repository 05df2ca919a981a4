//! A user's files are never lost, whatever places a run is given.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Run, Running};

/// Everything below a directory: names, kinds, modes, times, contents and what links lead to.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(dir).min_depth(1).into_iter().map(Result::unwrap);
    let describe = |entry: walkdir::DirEntry| {
        let found = entry.path().symlink_metadata().unwrap();
        let content = if found.is_file() {
            fs::read(entry.path()).unwrap()
        } else if found.is_symlink() {
            fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        (entry.path().to_path_buf(), (found.mode(), found.mtime(), content))
    };
    entries.map(describe).collect()
}

/// Runs with these arguments alone in the project's directory, without the tree that other tests name.
fn run_bare(project: &Project, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kolla-build"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", project.path("home"))
        .env("TMPDIR", project.path("tmp"))
        .current_dir(project.path(""))
        .arg("--base=debian")
        .args(arguments);
    if let Some(host) = project.command([""; 0]).get_envs().find(|(name, _)| *name == "DOCKER_HOST") {
        command.env("DOCKER_HOST", host.1.unwrap());
    }
    Running::spawn(command).end()
}

/// A tree in `docker`, and much of what a run can be told to read.
fn project() -> Project {
    Project::shipped()
        .file("docker/base/Dockerfile.j2", "FROM {{ base_image }}:{{ base_distro_tag }}\nCOPY file /\n")
        .file("docker/base/file", "precious\n")
        .file("docker/macros.j2", "{# nothing #}\n")
        .file("over/base/more", "more\n")
        .file("mine.j2", "{% extends parent_template %}\n")
        .file("k.conf", "[DEFAULT]\ntag = 1\n")
        .file("mine.toml", "[options]\nretries = 0\n")
        .file("repos.yaml", "{}\n")
        .file("patches/base/series", "")
        .file("secret", "a secret\n")
        .file("sources.list", "deb http://example.org/debian trixie main\n")
        .file("code/file", "code\n")
}

#[track_caller]
fn refused(project: &Project, arguments: &[&str], named: &[&str]) {
    let before = snapshot(&project.path(""));
    let run = run_bare(project, arguments).exits(2);
    let line = run.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default().to_string();
    assert!(named.iter().all(|name| line.contains(name)), "{line:?} does not name {named:?}");
    assert!(run.stderr.contains("\n  hint: "), "{run}");
    assert_eq!(snapshot(&project.path("")), before, "{arguments:?}");
}

#[test]
fn a_working_directory_whose_tree_is_the_one_that_is_read_is_refused() {
    let project = project().file("lay/docker/base/more", "more");
    for command in [&["--template-only"][..], &[], &["--export=bake"]] {
        let out = if command == ["--export=bake"] { "--export-dir" } else { "--work-dir" };
        for (read, dir) in [("--images-dir=docker", "."), ("--images-dir=./docker/../docker", "./.")] {
            let arguments = [command, &[read, out, dir]].concat();
            refused(&project, &arguments, &[&format!("{out} {dir}"), "--images-dir"]);
        }
        let arguments = [command, &["--docker-dir=lay/docker", out, "lay"]].concat();
        refused(&project, &arguments, &[&format!("{out} lay"), "--docker-dir lay/docker"]);
    }
}

#[test]
fn links_and_files_of_configuration_lead_to_the_same_places() {
    let project = project()
        .file("w/x", "")
        .file("ini.conf", "[DEFAULT]\nimages_dir = docker\nwork_dir = .\n")
        .file("toml.toml", "[options]\nimages_dir = \"docker\"\nwork_dir = \".\"\n");
    symlink("../docker", project.path("w/docker")).unwrap();
    symlink("docker", project.path("tree")).unwrap();
    symlink(".", project.path("here")).unwrap();
    let only = "--template-only";
    refused(
        &project,
        &[only, "--images-dir=docker", "--work-dir=w"],
        &["--work-dir w", "--images-dir docker"],
    );
    refused(
        &project,
        &[only, "--images-dir=tree", "--work-dir=here"],
        &["--work-dir here", "--images-dir tree"],
    );
    refused(
        &project,
        &[only, "--config-file=ini.conf"],
        &["work_dir = . (ini.conf:3)", "images_dir = docker"],
    );
    refused(&project, &[only, "--build-toml=toml.toml"], &["work_dir = . (toml.toml", "images_dir = docker"]);
    // A link within the tree leads to where the working directory's tree will be.
    fs::create_dir_all(project.path("work/docker/shared")).unwrap();
    symlink("../work/docker/shared", project.path("docker/shared")).unwrap();
    refused(
        &project,
        &[only, "--images-dir=docker", "--work-dir=work"],
        &["--work-dir work", "--images-dir docker"],
    );
}

#[test]
fn an_earlier_runs_tree_is_not_read_and_written_at_once() {
    let project = project();
    run_bare(&project, &["--template-only", "--images-dir=docker", "--work-dir=out"]).exits(0);
    refused(
        &project,
        &["--template-only", "--images-dir=out/docker", "--work-dir=out"],
        &["--work-dir out", "--images-dir out/docker"],
    );
    // A tree within the one that is written, and the other way round.
    refused(
        &project,
        &["--template-only", "--images-dir=docker", "--work-dir=docker"],
        &["--work-dir docker"],
    );
    refused(
        &project,
        &["--template-only", "--images-dir=out/docker", "--work-dir=out/docker/base"],
        &["--work-dir"],
    );
}

#[test]
fn no_output_goes_over_anything_that_is_read() {
    let project = project().file("in/one.json", "{}").file("build.lock", "{}").file(
        "local.toml",
        "[sources.base]\ntype = \"local\"\nlocation = \"code\"\n[sources.base-plugin-x]\ntype = \"local\"\n\
         location = \"secret\"\n",
    );
    symlink("mine.j2", project.path("report")).unwrap();
    fs::create_dir(project.path("logs")).unwrap();
    symlink("../docker/base/file", project.path("logs/base.log")).unwrap();
    let tree = ["--images-dir=docker", "--docker-dir=over", "--base-tag=x"];
    for (arguments, named) in [
        (
            &["--template-override=mine.j2", "--report=mine.j2"][..],
            &["--report mine.j2", "--template-override"][..],
        ),
        (
            &["--template-override=mine.j2", "--junit=report"],
            &["--junit report", "--template-override mine.j2"],
        ),
        (&["--config-file=k.conf", "--html=./k.conf"], &["--html ./k.conf", "the configuration"]),
        (&["--build-toml=mine.toml", "--summary-json-file=mine.toml"], &["--summary-json-file", "mine.toml"]),
        (
            &["--repos-yaml=repos.yaml", "--save-dependency=repos.yaml"],
            &["--save-dependency", "--repos-yaml"],
        ),
        (&["--patches-path=patches", "--report=patches/new"], &["--report patches/new", "--patches-path"]),
        (&["--patches-path=patches", "--logs-dir=patches/base"], &["--logs-dir", "--patches-path"]),
        (&["--secret=id=s,src=secret", "--digests=secret"], &["--digests secret", "--secret id=s"]),
        (&["--registry-ca=secret", "--digests-ansible=secret"], &["--digests-ansible", "--registry-ca"]),
        (&["--report=docker/base/Dockerfile.j2"], &["--report", "--images-dir docker"]),
        (&["--report=docker/base/new"], &["--report", "--images-dir docker"]),
        (&["--report=docker/macros.j2"], &["--report", "--images-dir docker"]),
        (&["--report=over/base/more"], &["--report", "--docker-dir over"]),
        (&["--logs-dir=docker/base/logs"], &["--logs-dir", "--images-dir docker"]),
        (&["--logs-dir=logs"], &["--logs-dir", "--images-dir docker"]),
        (&["--lock=docker/macros.j2"], &["--lock docker/macros.j2", "--images-dir docker"]),
        (&["--locked=build.lock", "--report=build.lock"], &["--report build.lock", "--locked build.lock"]),
        (
            &["--merge-summaries=in", "--report=in/all.json"],
            &["--report in/all.json", "--merge-summaries in"],
        ),
        (&["--merge-summaries=in/one.json", "--report=in/one.json"], &["--report", "--merge-summaries"]),
        (&["--report=same", "--junit=same"], &["--report same", "--junit same"]),
        (&["--work-dir=w", "--report=w/docker/report"], &["--work-dir w", "--report w/docker/report"]),
        (&["--work-dir=w", "--logs-dir=w/docker"], &["--work-dir w", "--logs-dir w/docker"]),
        (&["--source-cache=docker"], &["--source-cache docker", "--images-dir docker"]),
        (&["--source-cache=."], &["--source-cache .", "--images-dir docker"]),
        (&["--build-toml=local.toml", "--report=secret"], &["--report secret", "the source [base-plugin-x]"]),
        (&["--build-toml=local.toml", "--work-dir=code"], &["--work-dir code", "the source [base]"]),
        (
            &["--export=matrix=zuul", "--export-dir=e", "--template-override=e/zuul.d/kolla-build.yaml"],
            &["--export-dir", "--template-override"],
        ),
    ] {
        if arguments.iter().any(|argument| argument.contains("e/zuul.d")) {
            fs::create_dir_all(project.path("e/zuul.d")).unwrap();
            fs::write(project.path("e/zuul.d/kolla-build.yaml"), "{% extends parent_template %}\n").unwrap();
        }
        refused(&project, &[&tree[..], arguments].concat(), named);
    }
}

#[test]
fn outputs_beside_what_is_read_are_welcome_every_time() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon);
    for _ in 0..2 {
        let arguments = [
            "--images-dir=docker",
            "--report=docker/report.json",
            "--logs-dir=docker/logs",
            "--work-dir=docker/../w",
        ];
        run_bare(&project, &arguments).exits(0);
        assert_eq!(project.read("docker/base/file"), "precious\n");
        assert!(project.read("docker/report.json").starts_with('{'));
    }
    // Any number may write to what keeps nothing.
    run_bare(&project, &["--images-dir=docker", "--report=/dev/null", "--junit=/dev/null"]).exits(0);
}

#[test]
fn a_tree_in_the_working_directory_that_no_run_has_written_is_refused() {
    // As in a checkout of Kolla, whose own tree is not the one that is read.
    let project = project();
    for more in [&["--template-only", "--work-dir=."][..], &["--export=bake", "--export-dir=."]] {
        let before = snapshot(&project.path("docker"));
        let run = run_bare(&project, &[more, &["--images-dir=over", "--docker-dir=over"]].concat());
        // `over` alone is no tree.
        assert_eq!(run.status, Some(2), "{run}");
        let run = run_bare(&project, &[more, &["^base$"]].concat()).exits(2);
        assert!(
            run.tells("error: ./docker/") && run.stderr.contains("was not written by an earlier run"),
            "{run}"
        );
        assert_eq!(snapshot(&project.path("docker")), before);
    }
}

#[test]
fn what_kolla_or_an_earlier_run_elsewhere_has_written_is_written_over() {
    let project = project()
        .file("kolla/docker/base/Dockerfile.j2", "old\n")
        .file("kolla/docker/base/Dockerfile", "old\n");
    let run = |dir: &str| run_bare(&project, &["--template-only", "--images-dir=docker", "--work-dir", dir]);
    run("kolla").exits(0);
    assert!(project.read("kolla/docker/base/Dockerfile").starts_with("FROM "));

    run("one").exits(0);
    let copied = Command::new("cp").arg("-r").args([project.path("one"), project.path("two")]).status();
    assert!(copied.unwrap().success());
    fs::write(project.path("docker/base/file"), "new\n").unwrap();
    for _ in 0..2 {
        run("two").exits(0);
        assert_eq!(project.read("two/docker/base/file"), "new\n");
    }
}

#[test]
fn no_link_in_a_working_directory_is_written_through() {
    let project = project().file("precious/base/file", "x").file("w/x", "");
    fs::set_permissions(project.path("precious/base"), Permissions::from_mode(0o700)).unwrap();
    let arguments = ["--template-only", "--images-dir=docker", "--work-dir=w"];
    let before = snapshot(&project.path("precious"));
    // The tree itself.
    symlink("../precious", project.path("w/docker")).unwrap();
    let run = run_bare(&project, &arguments).exits(2);
    assert!(run.tells("error: w/docker is no directory: remove it"), "{run}");
    fs::remove_file(project.path("w/docker")).unwrap();
    // A directory in one that is not ours, though a run of Kolla's may have written it.
    let project = project.file("w/docker/other/Dockerfile", "").file("w/docker/other/Dockerfile.j2", "");
    let project = project.file("docker/other/Dockerfile.j2", "FROM {{ base_image }}\n");
    symlink("../../precious/base", project.path("w/docker/base")).unwrap();
    run_bare(&project, &arguments).exits(2);
    assert_eq!(snapshot(&project.path("precious")), before);
    fs::write(project.path("precious/base/Dockerfile"), "FROM mine\n").unwrap();
    let before = snapshot(&project.path("precious"));
    let run = run_bare(&project, &arguments).exits(2);
    assert!(run.tells("error: w/docker/base is a link where a directory is to be written"), "{run}");
    // And in one that is ours, where it goes.
    fs::remove_dir_all(project.path("w/docker")).unwrap();
    run_bare(&project, &arguments).exits(0);
    fs::remove_dir_all(project.path("w/docker/base")).unwrap();
    symlink("../../precious/base", project.path("w/docker/base")).unwrap();
    run_bare(&project, &arguments).exits(0);
    assert!(project.read("w/docker/base/Dockerfile").starts_with("FROM debian"));
    assert_eq!(snapshot(&project.path("precious")), before);
}

#[test]
fn a_lock_file_of_the_working_directory_that_is_not_ours_stays() {
    let project = project()
        .file("precious", "precious\n")
        .file("w/x", "")
        .file("other/.kolla-build.lock", "my notes\n");
    let lock = project.path("w/.kolla-build.lock");
    let arguments = ["--template-only", "--images-dir=docker", "--work-dir=w"];
    let refuse = |what: &str| {
        let run = run_bare(&project, &arguments).exits(2);
        assert!(run.tells(&format!("error: w/.kolla-build.lock {what}")), "{run}");
        assert_eq!(project.read("precious"), "precious\n");
        fs::remove_file(&lock).unwrap();
    };
    symlink("../precious", &lock).unwrap();
    refuse("is not the file");
    fs::hard_link(project.path("precious"), &lock).unwrap();
    refuse("is not the file");
    assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
    refuse("is not the file");
    let run = run_bare(&project, &["--template-only", "--images-dir=docker", "--work-dir=other"]).exits(2);
    assert!(run.tells("error: other/.kolla-build.lock is no lock file of ours"), "{run}");
    assert_eq!(project.read("other/.kolla-build.lock"), "my notes\n");
}

#[test]
fn outputs_follow_links_and_are_written_to_what_is_no_file() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon).file("real/old.lock", "old").file("real/x", "");
    symlink("real/old.lock", project.path("build.lock")).unwrap();
    symlink("real/new", project.path("report")).unwrap();
    let fifo = project.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    run_bare(&project, &["--images-dir=docker", "--lock", "--nopull"]).exits(0);
    assert!(project.path("build.lock").is_symlink() && project.read("real/old.lock").contains("debian"));

    // Nobody reads it: said at once.
    let run = run_bare(&project, &["--images-dir=docker", "--junit=fifo"]).exits(1);
    assert!(run.tells("error: --junit: cannot write fifo: it is a FIFO that nobody reads"), "{run}");
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    run_bare(&project, &["--images-dir=docker", "--report=report", "--junit=fifo"]).exits(0);
    assert!(project.path("report").is_symlink() && project.read("real/new").starts_with('{'));
    let mut told = [0; 4096];
    let length = std::io::Read::read(&mut reader, &mut told).unwrap();
    assert!(String::from_utf8_lossy(&told[..length]).contains("<testsuite"));
    assert!(fifo.metadata().unwrap().file_type().is_fifo());
}

#[test]
fn what_cannot_be_written_is_told_before_anything_is_built() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon).file("file", "old");
    let options = ["--report", "--junit", "--html", "--digests", "--digests-ansible", "--summary-json-file"];
    for option in options {
        for path in ["no/such/file", "docker", "file/below"] {
            let run = run_bare(&project, &["--images-dir=docker", "--push", option, path]).exits(1);
            assert!(run.tells(&format!("error: {option}: cannot write {path}: ")), "{run}");
        }
    }
    for option in ["--lock=no/such/file", "--save-dependency=no/such/file", "--logs-dir=file/logs"] {
        run_bare(&project, &["--images-dir=docker", option]).exits(1);
    }
    assert_eq!(daemon.order(), Vec::<String>::new());
}

#[test]
fn what_no_export_has_written_stays() {
    let project = project()
        .file("out/docker-bake.json", "{\"target\": {\"mine\": {}}}\n")
        .file("out/kolla-build.gitlab-ci.yml", "mine: {}\n");
    for export in ["--export=bake", "--export=matrix=gitlab"] {
        let before = snapshot(&project.path("out"));
        let run = run_bare(&project, &["--images-dir=docker", export, "--export-dir=out"]).exits(2);
        assert!(run.stderr.contains("was not written by an earlier export"), "{run}");
        assert_eq!(snapshot(&project.path("out")), before);
        for _ in 0..2 {
            run_bare(&project, &["--images-dir=docker", export, "--export-dir=new"]).exits(0);
        }
    }
}

/// A tree of one image with a local directory as its source, which is packed in the cache.
fn project_with_source() -> Project {
    project()
        .file(
            "docker/base/Dockerfile.j2",
            "FROM {{ base_image }}:{{ base_distro_tag }}\nADD base-archive /\n",
        )
        .file("local.toml", "[sources.base]\ntype = \"local\"\nlocation = \"code\"\n")
}

#[test]
fn a_directory_that_holds_anything_else_is_no_source_cache() {
    let daemon = FakeDocker::with_base_image();
    let project = project_with_source()
        .with_engine(&daemon)
        .file("mine/objects/precious", "")
        .file("mine/partial/precious/deep", "")
        .file("rust/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# Made by something else.\n")
        .file("notes/notes.txt", "");
    let build = ["--images-dir=docker", "--build-toml=local.toml"];
    for (dir, held) in [("mine", "objects/precious"), ("rust", "CACHEDIR.TAG"), ("notes", "notes.txt")] {
        let before = snapshot(&project.path(dir));
        let run = run_bare(&project, &[&build[..], &["--source-cache", dir]].concat()).exits(2);
        let is_named = run.stderr.contains("--source-cache DIR")
            && (run.stderr.contains(held) || run.stderr.contains("partial/precious"));
        assert!(is_named, "{run}");
        assert_eq!(snapshot(&project.path(dir)), before);
    }
    assert_eq!(daemon.order(), Vec::<String>::new());

    // One of a release without marks goes on to serve.
    run_bare(&project, &[&build[..], &["--source-cache=old"]].concat()).exits(0);
    assert!(project.read("old/CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    fs::remove_file(project.path("old/CACHEDIR.TAG")).unwrap();
    fs::remove_dir_all(project.path("old/seals")).unwrap();
    let objects = snapshot(&project.path("old/objects"));
    assert_eq!(objects.len(), 1);
    daemon.forget();
    run_bare(&project, &[&build[..], &["--source-cache=old"]].concat()).exits(0);
    assert!(project.path("old/CACHEDIR.TAG").is_file());
    assert!(objects.keys().all(|object| object.is_file()));
}

#[test]
fn a_home_that_cannot_be_written_costs_no_build() {
    let daemon = FakeDocker::with_base_image();
    let project = project_with_source().with_engine(&daemon).file("home/.cache", "no directory");
    // Without sources there is nothing to keep but what helps later runs.
    let run = run_bare(&project, &["--images-dir=docker"]).exits(0);
    assert!(!run.stderr.contains("sources are fetched"), "{run}");
    daemon.forget();
    let run = run_bare(&project, &["--images-dir=docker", "--build-toml=local.toml"]).exits(0);
    let told =
        run.stderr.lines().find(|line| line.starts_with("warning: sources are fetched for this run alone: "));
    assert!(told.is_some_and(|told| told.contains(".cache") && told.contains("--source-cache DIR")), "{run}");
    assert_eq!(daemon.order(), ["base"]);
    assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());

    // Nor does one that is not named, as in containers with a user of their own.
    daemon.forget();
    for home in [None, Some("")] {
        let mut command = project.command(["--images-dir=docker", "--build-toml=local.toml"]);
        match home {
            Some(home) => command.env("HOME", home),
            None => command.env_remove("HOME"),
        };
        let run = Running::spawn(command).end().exits(0);
        assert!(run.tells("warning: sources are fetched for this run alone: neither HOME nor"), "{run}");
    }
    assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());

    // A plan fetches nothing, and so needs no place for it.
    let run = run_bare(&project, &["--images-dir=docker", "--build-toml=local.toml", "--plan"]).exits(0);
    assert!(!run.stderr.contains("sources are fetched"), "{run}");

    // One that was named is not passed over in silence.
    let run = run_bare(
        &project,
        &["--images-dir=docker", "--build-toml=local.toml", "--source-cache=home/.cache/x"],
    );
    assert!(run.exits(1).stderr.contains("home/.cache/x"));
}

#[test]
fn templates_alone_leave_their_tree_where_it_is_told_to_be() {
    let project = project();
    let mut trees = Vec::new();
    for _ in 0..2 {
        let run = run_bare(&project, &["--template-only", "--images-dir=docker"]).exits(0);
        let told = run.stderr.lines().find_map(|line| line.strip_prefix("Dockerfiles are generated in "));
        trees.push(PathBuf::from(told.unwrap_or_else(|| panic!("{run}"))));
    }
    // No later run takes it away.
    let daemon = FakeDocker::with_base_image();
    let project = project.with_engine(&daemon);
    run_bare(&project, &["--images-dir=docker"]).exits(0);
    for tree in &trees {
        assert!(tree.starts_with(project.path("tmp")) && tree.ends_with("docker"), "{}", tree.display());
        assert!(fs::read_to_string(tree.join("base/Dockerfile")).unwrap().starts_with("FROM debian"));
    }
    assert_eq!(project.temporary_files().len(), trees.len());
}

#[test]
fn a_fifo_in_a_files_place_is_refused_and_not_waited_for() {
    let daemon = FakeDocker::with_base_image();
    let project = project_with_source().with_engine(&daemon).file("in/x", "");
    for fifo in ["fifo", "in/one.json", "in/two.conf", "patches/fifo", "docker/fifo"] {
        assert!(Command::new("mkfifo").arg(project.path(fifo)).status().unwrap().success());
    }
    let project = project
        .file("fifo.toml", "[sources.base]\ntype = \"local\"\nlocation = \"fifo\"\n")
        .file("fifo.conf", "[DEFAULT]\napt_sources_list = fifo\n");
    fs::create_dir_all(project.path("series/base")).unwrap();
    assert!(Command::new("mkfifo").arg(project.path("series/base/series")).status().unwrap().success());
    let refuses = |arguments: &[&str], named: &str| {
        let run = run_bare(&project, arguments);
        assert!(matches!(run.status, Some(1 | 2)), "{arguments:?}: {run}");
        assert!(run.stderr.contains(named), "{arguments:?} does not name {named}: {run}");
    };
    // The tree itself, and then one without.
    refuses(&["--images-dir=docker"], "docker/fifo, which is neither a file nor a directory");
    fs::remove_file(project.path("docker/fifo")).unwrap();
    let is_fifo = "it is a FIFO, not a file";
    for arguments in [
        &["--config-file=fifo"][..],
        &["--config-dir=in"],
        &["--build-toml=fifo"],
        &["--template-override=fifo"],
        &["--repos-yaml=fifo"],
        &["--secret=id=s,src=fifo"],
        &["--locked=fifo"],
        &["--merge-summaries=fifo"],
        &["--merge-summaries=in"],
        &["--patches-path=series"],
    ] {
        refuses(&[&["--images-dir=docker"], arguments].concat(), is_fifo);
    }
    refuses(&["--images-dir=docker", "--config-file=fifo.conf"], is_fifo);
    refuses(&["--images-dir=docker", "--build-toml=fifo.toml"], "fifo: is neither a file nor a directory");
    refuses(&["--images-dir=docker", "--config-file=/dev/zero"], "it is a device, not a file");
    assert_eq!(daemon.order(), Vec::<String>::new());
    refuses(&["--images-dir=docker", "--push", "--registry=localhost:1", "--registry-ca=fifo"], is_fifo);
    // What the shell hands over is read, and nothing is a file too.
    let mut shell = Command::new("sh");
    let script = format!(
        "printf '[DEFAULT]\\ntag = handed\\n' | {} -b debian --images-dir docker --config-file /dev/null --config-file /dev/stdin",
        env!("CARGO_BIN_EXE_kolla-build")
    );
    shell.args(["-c", &script]).current_dir(project.path("")).env("DOCKER_HOST", daemon.endpoint());
    Running::spawn(shell).end().exits(0);
    assert!(daemon.image("kolla/base:handed").is_some());
}

#[test]
fn files_whose_names_are_no_text_stay_apart() {
    use std::os::unix::ffi::OsStrExt;
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon);
    let odd = |byte: u8| {
        let name = [b"docker/base/f".as_slice(), &[byte]].concat();
        project.path(std::ffi::OsStr::from_bytes(&name))
    };
    fs::write(odd(0xe9), "one").unwrap();
    fs::write(odd(0xea), "two").unwrap();
    let build = ["--images-dir=docker", "--work-dir=w"];
    run_bare(&project, &build).exits(0);
    let names: Vec<_> = snapshot(&project.path("w/docker/base")).into_keys().collect();
    for byte in [0xe9, 0xea] {
        let name = odd(byte).file_name().unwrap().to_os_string();
        assert!(names.iter().any(|path| path.file_name() == Some(&name)), "{names:?}");
    }
    // Either one is in the key.
    for byte in [0xe9, 0xea] {
        let before = daemon.order().len();
        run_bare(&project, &build).exits(0);
        assert_eq!(daemon.order().len(), before);
        fs::write(odd(byte), "changed").unwrap();
        run_bare(&project, &build).exits(0);
        assert_eq!(daemon.order().len(), before + 1, "{byte:x}");
    }
}

#[test]
fn a_working_directory_among_temporary_files_is_no_leftover() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon).file("tmp/kolla-work/notes", "precious\n");
    run_bare(&project, &["--images-dir=docker", "--work-dir=tmp/kolla-work"]).exits(0);
    let before = snapshot(&project.path("tmp"));
    for arguments in [&["--images-dir=docker"][..], &["--images-dir=docker", "--plan"]] {
        run_bare(&project, arguments).exits(0);
        assert_eq!(snapshot(&project.path("tmp")), before);
    }
}
