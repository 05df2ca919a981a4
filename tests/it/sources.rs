//! Sections of sources: what can't be right is told before anything is asked of anybody; and packages without a checksum.

use std::fs;

use sha2::{Digest, Sha256};

use crate::support::docker::{BASE_IMAGE, FakeDocker};
use crate::support::files::{Fault, FileServer};
use crate::support::project::{Project, Run, Running};

#[test]
fn what_is_wrong_is_told_with_its_place_before_an_engine_is_asked() {
    for (section, told) in [
        (
            "[nova-base]\ntype = source\n",
            "kolla-build.conf:2: [nova-base] type: unknown source type 'source' (known: url, git, local, pypi)",
        ),
        (
            "[nova-base]\ntype = url\nlocation = nova.tar.gz\n",
            "kolla-build.conf:3: [nova-base] location: 'nova.tar.gz' is no URL",
        ),
        (
            "[nova-base]\ntype = git\nlocation = https://h/n\n",
            "kolla-build.conf:2: [nova-base] type: a source of type 'git' needs 'reference'",
        ),
        (
            "[nova-base]\ntype = pypi\nname = nova\nversion = latest\n",
            "kolla-build.conf:4: [nova-base] version: 'latest' is no exact version",
        ),
        (
            "[nova-base]\ntype = url\nlocation = http://h/n\nsha256 = 123\n",
            "kolla-build.conf:4: [nova-base] sha256: '123' is no sha256",
        ),
        (
            "[nova-base-plugin-x]\ntype = local\nlocation = nowhere\n",
            "kolla-build.conf:3: [nova-base-plugin-x] location: ./nowhere: No such file",
        ),
    ] {
        // No engine answers.
        let project = Project::new().file("kolla-build.conf", section);
        for task in [&[][..], &["--plan"], &["--lock"], &["--template-only"]] {
            let is_local = section.contains("local");
            if is_local && task == ["--template-only"] {
                continue;
            }
            let run = project.run(["--config-file", "kolla-build.conf"].iter().chain(task)).exits(2);
            assert!(run.tells(&format!("error: {told}")) || run.stderr.contains(told), "{told}: {run}");
        }
        // Of a local one that no image asked for needs nothing is said.
        if section.contains("local") {
            let run = project.run(["--config-file", "kolla-build.conf", "^memcached$", "--plan"]);
            assert!(!run.stderr.contains("nowhere"), "{run}");
        }
    }
}

/// A source distribution that pip can read.
fn sdist(content: &str) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (name, content) in
        [("PKG-INFO", "Metadata-Version: 2.1\nName: the-service\nVersion: 1.0\n"), ("setup.py", content)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, format!("the-service-1.0/{name}"), content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_package_without_a_checksum_is_taken_as_it_is_and_pinned_by_a_lock() {
    let (daemon, server) = (FakeDocker::start(), FileServer::start());
    daemon.publish(BASE_IMAGE, "trixie");
    let project = Project::new()
        .with_engine(&daemon)
        .file("kolla-build.conf", "[memcached]\ntype = pypi\nname = the-service\nversion = 1.0\n");
    let root = server.put("/", b"");
    let run = |arguments: &[&str]| -> Run {
        let page = "<!DOCTYPE html><html><body><a href=\"/files/the-service-1.0.tar.gz\">the-service-1.0.tar.gz</a></body></html>";
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length";
        server.fail_next(Fault::Answer(format!("{head}: {}\r\n\r\n{page}", page.len()).into_bytes()));
        let always = ["--config-file=kolla-build.conf", "--source-cache=cache", "--retries=0", "^memcached$"];
        let mut command = project.command(always.iter().chain(arguments));
        command
            .env("HOME", std::env::var_os("HOME").unwrap_or_default())
            .env("XDG_CACHE_HOME", project.path("home"));
        command.env("PIP_INDEX_URL", format!("{root}simple/")).env("PIP_CONFIG_FILE", "/dev/null");
        command.env("PIP_NO_CACHE_DIR", "1").env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        let run = Running::spawn(command).end();
        server.take_faults();
        run
    };
    let built = || {
        let builds = daemon.builds();
        builds
            .iter()
            .rfind(|build| build.image.contains("memcached"))
            .map(|build| build.files["memcached-archive"].clone())
    };
    // Nothing of it runs, though the cache is named by a relative path.
    let first = sdist("raise SystemExit('must not run')  # first\n");
    server.put("/files/the-service-1.0.tar.gz", &first);
    run(&[]).exits(0);
    assert!(built().as_ref() == Some(&first), "not what the index has");
    run(&["--lock"]).exits(0);
    let pin: String = Sha256::digest(&first).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        project.read("build.lock").contains(&format!("sha256 = \"{pin}\"")),
        "{}",
        project.read("build.lock")
    );

    // The index has something else by now: a locked run does not even ask it, and elsewhere it is drift.
    let second = sdist("raise SystemExit('must not run')  # second\n");
    server.put("/files/the-service-1.0.tar.gz", &second);
    server.take_requests();
    run(&["--locked", "--nocache"]).exits(0);
    assert!(built().as_ref() == Some(&first), "not what was locked");
    assert_eq!(server.take_requests(), []);
    fs::remove_dir_all(project.path("cache")).unwrap();
    let refused = run(&["--locked", "--nocache"]).exits(1);
    assert!(refused.stderr.contains("the pinned sha256 is of no file"), "{refused}");
    run(&["--nocache"]).exits(0);
    assert!(built().as_ref() == Some(&second), "not what the index has by now");
    // What is not in the lock file is refused there alone.
    fs::write(project.path("build.lock"), "version = 1\n").unwrap();
    let refused = run(&["--locked"]).exits(1);
    assert!(
        refused.stderr.contains("[memcached]") && refused.stderr.contains("is not in the lock file"),
        "{refused}"
    );
}
