//! Two images beside each other. Images of the real engine are made of archives here, for only these say everything of a
//! file.

use std::process::Command;

use serde_json::{Value, json};
use tar::EntryType::{self, Directory, Fifo, Link, Regular, Symlink};

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Run};
use crate::support::real::{self, Images};

/// An entry of an archive: path, type, content or target, mode, group and time.
type Entry = (&'static str, EntryType, &'static str, u32, u64, u64);

const PYC: &str = "\u{0}\u{0}\r\n\u{0}\u{0}\u{0}\u{0}AAAA\u{1}\u{0}\u{0}\u{0}code";
const LATER_PYC: &str = "\u{0}\u{0}\r\n\u{0}\u{0}\u{0}\u{0}BBBB\u{1}\u{0}\u{0}\u{0}code";
const LIST: Entry =
    ("var/lib/dpkg/info/tool.list", Regular, "/usr/bin/tool\n/usr/lib/tool.py\n", 0o644, 0, 1);

const A: [Entry; 13] = [
    ("same", Regular, "x", 0o644, 0, 1),
    ("usr/bin/tool", Regular, "one", 0o755, 0, 1),
    ("usr/lib/tool.py", Regular, "code", 0o644, 0, 1),
    ("usr/lib/__pycache__/tool.cpython-313.pyc", Regular, PYC, 0o644, 0, 1),
    ("linked", Symlink, "here", 0o777, 0, 1),
    ("mode", Directory, "", 0o755, 0, 1),
    ("owner", Fifo, "", 0o644, 0, 1),
    ("type", Directory, "", 0o755, 0, 1),
    ("var/log", Directory, "", 0o755, 0, 1),
    ("var/log/here", Regular, "", 0o644, 0, 1),
    ("hard", Link, "same", 0o644, 0, 1),
    ("time", Regular, "x", 0o644, 0, 1),
    LIST,
];

const B: [Entry; 13] = [
    ("hard", Regular, "x", 0o644, 0, 1),
    ("same", Link, "hard", 0o644, 0, 1),
    ("usr/bin/tool", Regular, "two!", 0o755, 0, 1),
    ("usr/lib/tool.py", Regular, "code", 0o644, 0, 1),
    ("usr/lib/__pycache__/tool.cpython-313.pyc", Regular, LATER_PYC, 0o644, 0, 1),
    ("linked", Symlink, "there", 0o777, 0, 1),
    ("mode", Directory, "", 0o700, 0, 1),
    ("owner", Fifo, "", 0o644, 42, 1),
    ("type", Regular, "", 0o755, 0, 1),
    ("there", Regular, "", 0o644, 0, 1),
    ("var/log", Directory, "", 0o755, 0, 1),
    ("time", Regular, "x", 0o644, 0, 2),
    LIST,
];

const TOLD: &str = "\
tool (deb)
  content           /usr/bin/tool  (3 -> 4 bytes)
  content           /usr/lib/__pycache__/tool.cpython-313.pyc  (20 bytes each; byte code that holds the time of its source)
/
  target            /linked  (here -> there)
  mode              /mode  (0755 -> 0700)
  owner             /owner  (0:0 -> 0:42)
  only in B         /there
  type              /type  (directory -> file)
/var/log
  only in A         /var/log/here  (a log)
";

/// Makes the real engine hold an image of these entries.
fn import(project: &Project, name: &str, entries: &[Entry]) -> Images {
    let reference = format!("kolla-build-test-compare/{name}:{}", std::process::id());
    let path = project.path(format!("{name}.tar"));
    let mut archive = tar::Builder::new(std::fs::File::create(&path).expect("a file"));
    for (path, kind, content, mode, gid, mtime) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(*gid);
        header.set_mtime(*mtime);
        header.set_size(0);
        if matches!(kind, Link | Symlink) {
            archive.append_link(&mut header, path, content).expect("written");
        } else {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_bytes()).expect("written");
        }
    }
    archive.finish().expect("written");
    let import = Command::new("docker")
        .args(["--host", &real::endpoint(), "image", "import"])
        .args([path.to_str().expect("UTF-8"), &reference])
        .output()
        .expect("a docker command");
    assert!(import.status.success(), "{import:?}");
    Images(vec![reference])
}

fn compare(project: &Project, images: &[&Images], more: &[&str]) -> Run {
    let names: Vec<&str> = images.iter().map(|image| image.0[0].as_str()).collect();
    project.run(["--compare-builds", &names.join(",")].iter().chain(more))
}

#[test]
#[ignore = "needs a real Docker engine"]
fn each_way_to_differ_is_told_with_the_package() {
    let project = Project::new().with_docker_host(&real::endpoint());
    let (a, b) = (import(&project, "a", &A), import(&project, "b", &B));
    let run = compare(&project, &[&a, &b], &[]).exits(1);
    let (told, last) = run.stdout.trim_end().rsplit_once('\n').expect("lines");
    assert_eq!(format!("{told}\n"), TOLD, "{run}");
    assert!(
        last.starts_with("8 of ")
            && last.contains("; of 2 the cause is known; ")
            && last.contains(" with another time ("),
        "{run}"
    );

    let run = compare(&project, &[&a, &b], &["--compare-times", "--plan-format=json"]).exits(1);
    let shown: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&shown["same"], &shown["a"]["reference"]), (&json!(false), &json!(a.0[0])), "{shown:#}");
    let root =
        shown["owners"].as_array().expect("a list").iter().find(|owner| owner["name"] == "/").expect("there");
    let paths = root["paths"].as_array().expect("a list");
    let time = paths.iter().find(|path| path["path"] == "/time").expect("it is listed");
    assert_eq!((&time["differs"], &time["b"]["mtime"]), (&json!(["time"]), &json!(2)), "{time:#}");
    assert!(!paths.iter().any(|path| path["path"] == "/hard"), "{shown:#}");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn images_that_differ_in_nothing_but_times_are_the_same() {
    let project = Project::new().with_docker_host(&real::endpoint());
    let later: Vec<Entry> =
        A.map(|(path, kind, content, mode, gid, _)| (path, kind, content, mode, gid, 9)).to_vec();
    let (a, b) = (import(&project, "same-a", &A), import(&project, "same-b", &later));
    let run = compare(&project, &[&a, &b], &[]).exits(0);
    assert!(run.stdout.starts_with("All ") && run.stdout.contains(" paths are the same; "), "{run}");
    compare(&project, &[&a, &b], &["--compare-times"]).exits(1);
    let itself = [&a.0[0], &a.0[0]].map(String::as_str).join(",");
    let endpoint = real::endpoint();
    let engines = ["--engine-host", &endpoint, "--engine-host", &endpoint];
    let run = project.run(["--compare-builds", &itself, "--compare-times"].iter().chain(&engines)).exits(0);
    assert!(run.stdout.ends_with(" paths are the same\n"), "{run}");
    assert_eq!(real::docker(&["ps", "--all", "--quiet", "--filter", "name=kolla-build-compare-"]), "");
}

#[test]
fn what_can_t_be_compared_is_told() {
    let daemon =
        FakeDocker::with_base_image().hold("other/thing:1", "amd64").hold("other/thing:arm", "arm64");
    let project = Project::new().with_engine(&daemon);
    let fails = |images: &str| project.run(["--compare-builds", images]).exits(2).stderr;
    let stderr = fails("other/thing:1,other/thing:arm");
    let expected = "cannot compare images for different platforms: other/thing:1 is for linux/amd64, other/thing:arm for linux/arm64";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(
        fails("other/thing:1,other/thing:2")
            .contains("cannot compare: other/thing:2 is not in the engine at ")
    );
    assert!(fails("other/thing:1").contains("hint: name two images, A,B, or two engines that have it"));
    assert!(fails("a,b,c").contains("it names 3 images, not two (A,B)"));
    assert!(fails("a,B B").contains("'B B' is not an image reference"));
    let away = project.with_docker_host("unix:///nowhere/docker.sock");
    assert!(away.run(["--compare-builds", "a,b"]).exits(2).stderr.contains("hint: start the engine"));
}
