//! An image as kernel and initramfs. Images of the real engine are made of files here, as no build could.

use std::path::Path;
use std::process::{Command, Stdio};

use kolla_build::model::platform::Arch;

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Run, Running};
use crate::support::real::{self, Images};

/// A project with one image, which nobody builds.
fn project(tag: &str) -> Project {
    Project::empty().image("machine", None, "RUN true\n").file(
        "build.toml",
        &format!("[options]\nnamespace = \"kolla-build-test-ramdisk\"\ntag = \"{tag}\"\n"),
    )
}

/// The same with the real engine.
fn real_project(tag: &str) -> Project {
    project(tag).with_docker_host(&real::endpoint())
}

fn export(project: &Project, more: &[&str]) -> Run {
    let arguments = ["--build-toml=build.toml", "--export=ramdisk=machine", "--export-dir=out"];
    project.run(arguments.iter().chain(more))
}

/// Makes the engine hold the project's image, of these files: a path and its content.
fn import(project: &Project, tag: &str, files: &[(&str, &str)]) -> Images {
    let root = project.path("root");
    for (path, content) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content.strip_prefix("= ") {
            Some(first) => std::fs::hard_link(root.join(first), path).unwrap(),
            None => std::fs::write(path, content).unwrap(),
        }
    }
    let reference = format!("kolla-build-test-ramdisk/machine:{tag}");
    let mut tar = Command::new("tar")
        .args(["--create", "--owner=0", "--group=0", "--directory"])
        .arg(&root)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let import = Command::new("docker")
        .args(["--host", &real::endpoint(), "image", "import", "-", &reference])
        .stdin(tar.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(import.status.success() && tar.wait().unwrap().success(), "{import:?}");
    Images(vec![reference])
}

const BOOTABLE: [(&str, &str); 6] = [
    ("boot/vmlinuz-6.1-test", "the kernel"),
    ("boot/config-6.1-test", "left out"),
    ("etc/motd", "hello"),
    ("usr/bin/one", "shared"),
    ("usr/bin/two", "= usr/bin/one"),
    ("usr/sbin/init", "init"),
];

/// A member of a cpio archive.
#[derive(Debug, PartialEq)]
struct Member {
    name: String,
    mode: u32,
    owner: (u32, u32),
    links: u32,
    inode: u32,
    device: (u32, u32),
    content: String,
}

/// The members of all archives in a file, as the kernel goes through them.
fn members(initramfs: &Path) -> Vec<Member> {
    let unpacked = Command::new("zstd").args(["-d", "-c"]).arg(initramfs).output().unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
    let (bytes, mut at, mut found) = (unpacked.stdout, 0, Vec::new());
    while at < bytes.len() {
        if bytes[at] == 0 {
            at += 1;
            continue;
        }
        assert_eq!(&bytes[at..at + 6], b"070701");
        let digits = |field: usize| &bytes[at + 6 + 8 * field..at + 14 + 8 * field];
        let field = |number| u32::from_str_radix(std::str::from_utf8(digits(number)).unwrap(), 16).unwrap();
        let (size, name_size) = (field(6) as usize, field(11) as usize);
        let content = (at + 110 + name_size).next_multiple_of(4);
        let text = |from: usize, to: usize| String::from_utf8_lossy(&bytes[from..to]).into_owned();
        let name = text(at + 110, at + 109 + name_size);
        if name != "TRAILER!!!" {
            found.push(Member {
                name,
                mode: field(1),
                owner: (field(2), field(3)),
                links: field(4),
                inode: field(0),
                device: (field(9), field(10)),
                content: text(content, content + size),
            });
        }
        at = (content + size).next_multiple_of(4);
    }
    found
}

fn out(project: &Project, ending: &str) -> std::path::PathBuf {
    project.path(format!("out/machine-{}.{ending}", Arch::host().kolla()))
}

#[test]
#[ignore = "needs a real Docker engine"]
fn an_image_is_exported_as_machines_boot_it() {
    let tag = real::nonce();
    let project = real_project(&tag);
    let _images = import(&project, &tag, &BOOTABLE);
    export(&project, &[]).exits(0);
    assert_eq!(std::fs::read_to_string(out(&project, "kernel")).unwrap(), "the kernel");
    let members = members(&out(&project, "initramfs"));
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    assert!(names.is_sorted(), "{names:?}");
    for absent in [".dockerenv", "boot/vmlinuz-6.1-test", "boot/config-6.1-test", "dev/pts"] {
        assert!(!names.contains(&absent), "{absent}: {names:?}");
    }
    let find = |name: &str| {
        members.iter().find(|member| member.name == name).unwrap_or_else(|| panic!("{name}: {names:?}"))
    };
    assert_eq!((find("init").mode, find("init").content.as_str()), (0o120_777, "usr/sbin/init"));
    assert_eq!((find("dev/console").mode, find("dev/console").device), (0o020_600, (5, 1)));
    assert_eq!((find("etc/motd").content.as_str(), find("etc/motd").owner), ("hello", (0, 0)));
    let (one, two) = (find("usr/bin/one"), find("usr/bin/two"));
    assert_eq!((one.links, one.inode, one.content.as_str()), (2, two.inode, ""));
    assert_eq!(two.content, "shared");

    let mut check = Command::new("sha256sum");
    check.arg("--check").arg(out(&project, "sha256")).current_dir(project.path("out"));
    assert!(check.status().unwrap().success());
    let manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out(&project, "json")).unwrap()).unwrap();
    assert_eq!(manifest["kernel"]["release"], "6.1-test");
    assert_eq!(manifest["initramfs"]["members"], members.len());
}

#[test]
#[ignore = "needs a real Docker engine"]
fn two_exports_of_an_image_are_the_same_files() {
    let tag = real::nonce();
    let project = real_project(&tag);
    let _images = import(&project, &tag, &BOOTABLE);
    for compression in ["zstd", "gzip", "xz"] {
        let files = || {
            export(&project, &["--ramdisk-compression", compression]).exits(0);
            ["kernel", "initramfs", "sha256", "json"].map(|it| std::fs::read(out(&project, it)).unwrap())
        };
        // What the engine itself puts into a container has the time of that second.
        let first = files();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert!(first == files(), "{compression}");
    }
    let containers = real::docker(&["container", "ls", "--all", "--format", "{{.Names}} {{.Image}}"]);
    assert!(!containers.contains("kolla-build-test-ramdisk"), "{containers}");
}

#[test]
#[ignore = "needs a real Docker engine"]
fn an_overlay_is_unpacked_over_the_image() {
    let tag = real::nonce();
    let project = real_project(&tag).file("over/etc/motd", "other").file("over/opt/plugin.py", "import os\n");
    let _images = import(&project, &tag, &BOOTABLE);
    export(&project, &["--ramdisk-overlay", "over"]).exits(0);
    let members = members(&out(&project, "initramfs"));
    let told: Vec<(&str, &str)> =
        members.iter().rev().take(4).map(|it| (it.name.as_str(), it.content.as_str())).collect();
    assert_eq!(told, [("opt/plugin.py", "import os\n"), ("opt", ""), ("etc/motd", "other"), ("etc", "")]);
    assert_eq!(members.iter().filter(|it| it.name == "etc/motd").count(), 2);
}

#[test]
#[ignore = "needs a real Docker engine"]
fn what_can_t_be_booted_is_told() {
    let tag = real::nonce();
    let project = real_project(&tag);
    let run = export(&project, &[]).exits(1);
    let reference = format!("kolla-build-test-ramdisk/machine:{tag}");
    assert!(
        run.stderr.contains(&format!("error: cannot export: no engine holds {reference} for linux/")),
        "{run}"
    );
    assert!(run.tells("  hint: build it first, with the same options: kolla-build '^machine$'"), "{run}");

    let _images = import(&project, &tag, &[("usr/sbin/init", "init")]);
    let run = export(&project, &[]).exits(1);
    let told = format!("error: {reference} can't be booted: it has no kernel: nothing is at /boot/vmlinuz-*");
    assert!(run.stderr.contains(&told), "{run}");
    assert!(!out(&project, "initramfs").exists());
}

#[test]
fn an_image_that_the_tree_has_not_is_an_error() {
    let project = project("1");
    let run = project.run(["--build-toml=build.toml", "--export=ramdisk=machin"]).exits(2);
    assert!(
        run.tells("error: --export ramdisk=machin: unknown image 'machin': did you mean 'machine'?"),
        "{run}"
    );
    let run = project.run(["--build-toml=build.toml", "--export=ramdisk="]).exits(2);
    assert!(
        run.stderr.contains(
            "'ramdisk=' is not one of bake, matrix=github, matrix=gitlab, matrix=zuul, ramdisk=IMAGE"
        ),
        "{run}"
    );
}

#[test]
fn no_container_stays_when_an_export_fails() {
    let daemon = FakeDocker::start()
        .hold("kolla-build-test-ramdisk/machine:1", Arch::host().debian())
        .refuse_once("GET /containers/kolla-build-export", 500, "no space left");
    let project = project("1").with_engine(&daemon);
    let run = export(&project, &[]).exits(1);
    assert!(run.tells("error: cannot export kolla-build-test-ramdisk/machine:1"), "{run}");
    assert!(run.stderr.contains("no space left"), "{run}");
    assert!(daemon.requests().iter().any(|request| request.contains("/containers/create")));
    assert!(daemon.state().machine.containers.is_empty());
    // Nothing is in the container that the daemon has made.
    let run = export(&project, &[]).exits(1);
    assert!(run.stderr.contains("machine:1 can't be booted: it has no kernel"), "{run}");
    assert_eq!(std::fs::read_dir(project.path("out")).unwrap().count(), 0);
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let reference = "kolla-build-test-ramdisk/machine:1";
    let daemon = FakeDocker::start().hold(reference, Arch::host().debian());
    // So much that xz has to do for longer than this test takes.
    let large: String = (0..4_000_000).map(|number| format!("{number:x}")).collect();
    let files = [("/boot/vmlinuz-1", "kernel"), ("/init", "init"), ("/large", large.as_str())];
    daemon.state().machine.files =
        files.map(|(path, content)| (path.to_string(), content.to_string())).into();
    let project = project("1").with_engine(&daemon);
    let arguments = ["--build-toml=build.toml", "--export=ramdisk=machine", "--export-dir=out"];
    let running = Running::start(&project, arguments.iter().chain(&["--ramdisk-compression=xz"]));
    // The kernel is there, and the initramfs is being written.
    real::wait_until("two files", || {
        std::fs::read_dir(project.path("out")).is_ok_and(|files| files.count() == 2)
    });
    running.signal("INT");
    running.end().exits(130);
    let left: Vec<_> =
        std::fs::read_dir(project.path("out")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, [out(&project, "kernel").file_name().unwrap()]);
}
