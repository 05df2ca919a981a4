//! A real Docker daemon of a test's own, that can be killed and started again without harm to anyone else.
//!
//! It needs root, `dockerd` and `ip`. Its builds reach no network but the host's.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::mount::Mount;
use super::real::{self, wait_until};

/// The daemon; it goes with this value, and all that it holds.
pub struct SpareEngine {
    // Before the directory that it is mounted in.
    disk: Option<Mount>,
    directory: tempfile::TempDir,
    bridge: Bridge,
    arguments: &'static [&'static str],
    daemon: Option<Child>,
}

/// A network interface without which a daemon does not start, and which must not be another daemon's.
struct Bridge(String);

impl Bridge {
    fn create() -> Bridge {
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        // Names of interfaces have 15 characters at most.
        let name = format!("kb{}n{number}", std::process::id());
        ip(&["link", "add", "name", &name, "type", "bridge"]);
        let bridge = Bridge(name);
        let network = std::process::id() % 250;
        ip(&["address", "add", &format!("198.19.{network}.{}/30", number * 4 + 1), "dev", &bridge.0]);
        bridge
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        ip(&["link", "delete", &self.0]);
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("the command ip");
    assert!(status.success(), "ip {arguments:?}");
}

impl SpareEngine {
    /// Starts a daemon without any image.
    pub fn start() -> SpareEngine {
        SpareEngine::start_with(&[])
    }

    /// Starts one with more arguments.
    pub fn start_with(arguments: &'static [&'static str]) -> SpareEngine {
        let mut engine = SpareEngine::prepare(arguments);
        engine.restart();
        engine
    }

    /// Starts one that keeps all it has on a disk of this size (`512m`).
    pub fn with_disk_of(size: &str) -> SpareEngine {
        let mut engine = SpareEngine::prepare(&[]);
        engine.disk = Some(Mount::new(engine.data_root(), &format!("size={size}")));
        engine.restart();
        engine
    }

    fn prepare(arguments: &'static [&'static str]) -> SpareEngine {
        real::endpoint();
        let directory = tempfile::tempdir().expect("a temporary directory");
        SpareEngine { disk: None, directory, bridge: Bridge::create(), arguments, daemon: None }
    }

    /// Starts one that holds these images of the default daemon.
    pub fn with_images(images: &[&str]) -> SpareEngine {
        let engine = SpareEngine::start();
        real::hand_over(images, &engine.endpoint());
        engine
    }

    /// Directory that holds what it keeps.
    pub fn data_root(&self) -> PathBuf {
        self.path("data")
    }

    /// For `DOCKER_HOST`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// The command `docker`, talking to this daemon.
    pub fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(["--host", &self.endpoint()]);
        command
    }

    /// Kills the daemon: it has no time for anything.
    pub fn kill(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        daemon.kill().expect("it runs");
        daemon.wait().expect("it was killed");
    }

    /// Asks the daemon to end, and waits until it has.
    pub fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let asked = Command::new("kill").arg(daemon.id().to_string()).status();
        assert!(asked.expect("the command kill").success());
        daemon.wait().expect("it runs");
    }

    /// Starts the daemon again with all that it held.
    pub fn restart(&mut self) {
        self.kill();
        // What a killed one leaves keeps the next one from starting.
        let _ = std::fs::remove_file(self.path("pid"));
        let log = File::create(self.path("log")).expect("a file");
        let daemon = Command::new("dockerd")
            .arg("--data-root")
            .arg(self.data_root())
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .args(["--host", &self.endpoint(), "--bridge", &self.bridge.0])
            .args(["--iptables=false", "--ip-masq=false"])
            .args(self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd starts: this needs root and Docker's engine");
        self.daemon = Some(daemon);
        wait_until("the engine of this test to answer", || {
            self.docker().arg("version").output().is_ok_and(|answer| answer.status.success())
        });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for SpareEngine {
    fn drop(&mut self) {
        self.kill();
        // Its containerd ends with it; its namespaces and layers stay mounted.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = self.directory.path().to_string_lossy().into_owned();
        let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in mounted.filter(|point| point.starts_with(&below)) {
            let _ = Command::new("umount").args(["--lazy", point]).status();
        }
    }
}
