//! A machine on which the documents' commands can be run: the program itself, engines and a registry that are not real, and
//! stand-ins for the programs of others.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use kolla_build::model::platform::Arch;

use super::repository;
use crate::support::docker::{BASE_IMAGE, FakeDocker};
use crate::support::git::git;
use crate::support::registry::FakeRegistry;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kolla-build");
const RUN_PROGRAM: &str = env!("CARGO_BIN_EXE_kolla-run");

/// What images of the documents are built on.
const BASE_IMAGES: [&str; 3] = ["quay.io/rockylinux/rockylinux:10", BASE_IMAGE, "debian:trixie-slim"];

/// So much is told of what a script that fails has printed.
const LAST_LINES: usize = 12;

/// Programs that documents call, and that do nothing here, or print this.
const STAND_INS: [(&str, &str); 12] = [
    ("apt", ""),
    ("cargo", ""),
    ("cosign", ""),
    ("docker", ""),
    ("grype", ""),
    ("kolla-ansible", ""),
    ("make", ""),
    ("openssl", "0123abcd"),
    ("openstack", ""),
    ("sha256sum", ""),
    ("tar", ""),
    ("trivy", ""),
];

/// Programs of this machine that documents, the program or this test call. There are no others.
const REAL: [&str; 5] = ["git", "grep", "mkdir", "sh", "timeout"];

/// Files that documents take for given.
const FILES: [(&str, &str); 14] = [
    ("home/pip.conf", "[global]\n"),
    ("work/apt.conf", "Acquire::Retries \"3\";\n"),
    ("work/cosign.key", "a key\n"),
    ("work/cosign.pub", "a key\n"),
    ("work/corporate.pem", "-----BEGIN CERTIFICATE-----\n"),
    ("work/keystone/setup.py", "keystone\n"),
    ("work/parcel/pyproject.toml", "[project]\n"),
    ("work/kolla-build.conf", "[DEFAULT]\nbase = debian\n"),
    (
        "work/mine.j2",
        "{% extends parent_template %}\n{% block keystone_base_footer %}\nRUN true\n{% endblock %}\n",
    ),
    ("work/out/.keep", ""),
    ("work/reports/.keep", ""),
    ("work/overlay/keystone/keystone/motd", "hello\n"),
    ("home/sources/setup.py", "a project\n"),
    ("home/.gitconfig", "[init]\ndefaultBranch = main\n"),
];

/// Files that images of documents have.
const IN_IMAGES: [&str; 6] = [
    "/boot/vmlinuz-6.12",
    "/etc/os-release",
    "/usr/sbin/init",
    "/usr/local/bin/kolla_extend_start",
    "/usr/local/bin/kolla_set_configs",
    "/usr/local/bin/kolla_start",
];

/// What images of documents are configured to do.
fn image_config() -> serde_json::Value {
    serde_json::json!({"Entrypoint": ["dumb-init", "--single-child", "--"], "Cmd": ["kolla_start"]})
}

/// A build.toml that has every source of the shipped one come from a directory of this machine.
fn local_sources() -> String {
    let shipped = std::fs::read_to_string(repository().join("build.toml")).unwrap();
    let headings = shipped.lines().filter(|line| line.starts_with("[sources."));
    headings.map(|line| format!("{line}\ntype = \"local\"\nlocation = \"../home/sources\"\n")).collect()
}

/// Images of the trees that documents name, each with what it is built on.
const TREE: [(&str, &str); 8] = [
    ("base", ""),
    ("openstack-base", "base"),
    ("keystone-base", "openstack-base"),
    ("keystone", "keystone-base"),
    ("nova-base", "openstack-base"),
    ("nova-api", "nova-base"),
    ("mariadb-server", "base"),
    ("memcached", "base"),
];

/// The machine; it goes with this value.
pub struct World {
    directory: tempfile::TempDir,
    registry: FakeRegistry,
    /// The one at hand, another one, and one for aarch64.
    engines: [FakeDocker; 3],
}

impl World {
    pub fn new() -> World {
        let registry = FakeRegistry::start();
        let engine = |arch: Arch| {
            let engine = FakeDocker::start().with_registry(&registry).open_sessions();
            {
                let machine = &mut engine.state().machine;
                machine.files = IN_IMAGES.map(|path| (path.to_string(), String::new())).into();
                machine.image_configs.insert("*".to_string(), image_config());
            }
            BASE_IMAGES.into_iter().fold(engine, |engine, image| engine.hold(image, arch.debian()))
        };
        let engines = [Arch::X86_64, Arch::X86_64, Arch::Aarch64].map(engine);
        let world = World { directory: tempfile::tempdir().unwrap(), registry, engines };
        for directory in ["bin", "home", "tmp", "work"] {
            std::fs::create_dir(world.path(directory)).unwrap();
        }
        // Who builds for aarch64 alone does so on another machine.
        let arm = format!("export DOCKER_HOST='{}'", world.engines[2].endpoint());
        let script =
            format!("case \" $* \" in *'platform linux/arm64 '*) {arm};; esac\nexec '{PROGRAM}' \"$@\"");
        world.program("bin", "kolla-build", &script);
        world.program("bin", "kolla-run", &format!("exec '{RUN_PROGRAM}' \"$@\""));
        symlink(repository().join("overrides"), world.path("work/overrides")).unwrap();
        for name in REAL {
            let path = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.exists());
            symlink(found.expect(name), world.path("bin").join(name)).unwrap();
        }
        for (name, output) in STAND_INS {
            world.program("bin", name, &format!("echo '{output}'"));
        }
        world.program("checked", "kolla-build", &format!("exec '{PROGRAM}' \"$@\" --print-config"));
        for (path, content) in FILES {
            world.file(path, content);
        }
        world.file("home/.kolla/build.toml", &local_sources());
        for tree in ["work/docker", "home/kolla/docker"] {
            world.tree(tree);
        }
        git(&world.path("work"), "git init -q -b main && git add docker && git commit -qm tree");
        world
    }

    /// Runs a script as somebody would who reads it; what it printed, when it fails.
    pub fn run(&self, script: &str) -> Result<(), String> {
        self.shell(script, &[self.path("bin")])
    }

    /// Has the program read the options and configuration of each of its commands, and do no more.
    pub fn check(&self, script: &str) -> Result<(), String> {
        self.shell(script, &[self.path("checked"), self.path("bin")])
    }

    /// Puts a file where the scripts are run.
    pub fn write(&self, name: &str, content: &str) -> Option<String> {
        self.file(&format!("work/{name}"), content);
        None
    }

    fn shell(&self, script: &str, programs: &[PathBuf]) -> Result<(), String> {
        let script = self.translated(script);
        let output = Command::new(self.path("bin/timeout"))
            .args(["120", "sh", "-euc", &script])
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", std::env::join_paths(programs).unwrap())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("DOCKER_HOST", self.engines[0].endpoint())
            .env("TOKEN", "a-token")
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(());
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (out, err) = (text(output.stdout), text(output.stderr));
        let lines: Vec<&str> = out.lines().chain(err.lines()).collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        Err(format!("{}\n{script}\n{}", output.status, last.join("\n")))
    }

    /// A script with the addresses of this machine in place of those in documents.
    fn translated(&self, script: &str) -> String {
        let [here, other, arm] = self.engines.each_ref().map(FakeDocker::endpoint);
        [
            ("r.example:5000", self.registry.address()),
            ("localhost:5000", self.registry.address()),
            ("unix:///var/run/docker.sock", here),
            ("ssh://builder2", other),
            ("ssh://arm1", arm),
        ]
        .into_iter()
        .fold(script.to_string(), |script, (name, address)| script.replace(name, address))
    }

    fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(relative)
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn program(&self, directory: &str, name: &str, script: &str) {
        let path = format!("{directory}/{name}");
        self.file(&path, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.path(path), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn tree(&self, directory: &str) {
        self.file(&format!("{directory}/../common/sources.yaml"), "{}\n");
        for (image, parent) in TREE {
            let from = match parent {
                "" => "{{ base_image }}:{{ base_distro_tag }}".to_string(),
                parent => format!("{{{{ namespace }}}}/{{{{ image_prefix }}}}{parent}:{{{{ tag }}}}"),
            };
            let name = image.replace('-', "_");
            let text = format!("FROM {from}\n{{% block {name}_footer %}}{{% endblock %}}\n");
            self.file(&format!("{directory}/{image}/Dockerfile.j2"), &text);
        }
    }
}
