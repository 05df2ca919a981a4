//! A directory with a stack in it, and `kolla-run` on it with an environment of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::docker::FakeDocker;
use super::project::{Run, Running};

/// The directory; it goes with this value.
pub struct StackDir {
    directory: tempfile::TempDir,
    docker_host: String,
}

impl StackDir {
    /// With a stack in `s.yaml`.
    pub fn new(stack: &str, docker_host: &str) -> StackDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let dir = StackDir { directory, docker_host: docker_host.to_string() };
        for name in ["home", "tmp"] {
            std::fs::create_dir(dir.path(name)).expect("a directory");
        }
        dir.write("s.yaml", stack);
        dir
    }

    /// With an engine that is not real.
    pub fn with(stack: &str, daemon: &FakeDocker) -> StackDir {
        StackDir::new(stack, daemon.endpoint())
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Where files of the stack are.
    pub fn state(&self, relative: &str) -> PathBuf {
        self.path("home/.local/state/kolla-run").join(relative)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kolla-run"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("DOCKER_HOST", &self.docker_host)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .args(arguments);
        command
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::spawn(self.command(arguments))
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.start(arguments).end()
    }
}
