//! A small image tree in a temporary directory, and the binary run on it with an environment of its own.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use kolla_build::model::platform::{Arch, Platform};

use super::docker::FakeDocker;
use super::real::wait_until;

/// What a run of the binary gave.
#[derive(Debug)]
pub struct Run {
    /// Exit status; none when a signal ended it.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    /// The run, when it has ended with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert!(self.status == Some(code), "not exit code {code}: {self}");
        self
    }

    /// True when standard error has this line, or one that begins with it.
    pub fn tells(&self, line: &str) -> bool {
        self.stderr.lines().any(|told| told.starts_with(line))
    }

    /// The JSON summary on standard output.
    pub fn summary(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

/// A directory with an image tree; it goes with this value.
pub struct Project {
    directory: tempfile::TempDir,
    docker_host: String,
    has_tree: bool,
}

impl Project {
    /// The tree `base -> openstack-base -> (keystone-base -> keystone, nova-base -> (nova-api, nova-compute))` and
    /// `base -> memcached`. No engine answers.
    pub fn new() -> Project {
        Project::empty()
            .image("base", None, "RUN install base\n")
            .image("openstack-base", Some("base"), "RUN install openstack-base\n")
            .image("keystone-base", Some("openstack-base"), "RUN install keystone-base\n")
            .image("keystone", Some("keystone-base"), "RUN install keystone\n")
            .image("nova-base", Some("openstack-base"), "RUN install nova-base\n")
            .image("nova-api", Some("nova-base"), "RUN install nova-api\n")
            .image("nova-compute", Some("nova-base"), "RUN install nova-compute\n")
            .image("memcached", Some("base"), "RUN install memcached\n")
    }

    /// The tree inside the binary.
    pub fn shipped() -> Project {
        Project { has_tree: false, ..Project::empty() }
    }

    /// No images yet.
    pub fn empty() -> Project {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in ["home", "images", "tmp"] {
            std::fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        let docker_host = format!("unix://{}", directory.path().join("no-engine.sock").display());
        let project = Project { directory, docker_host, has_tree: true };
        // In place of the shipped sources, which are for the shipped tree.
        project.file("common/sources.yaml", "{}\n")
    }

    /// With a daemon that builds.
    pub fn with_engine(mut self, daemon: &FakeDocker) -> Project {
        self.docker_host = daemon.endpoint().to_string();
        self
    }

    /// With a daemon that answers there.
    pub fn with_docker_host(mut self, endpoint: &str) -> Project {
        self.docker_host = endpoint.to_string();
        self
    }

    /// With an image: what its Dockerfile holds after FROM. Without a parent it is built from the base image.
    pub fn image(self, name: &str, parent: Option<&str>, body: &str) -> Project {
        let from = match parent {
            Some(parent) => format!("{{{{ namespace }}}}/{{{{ image_prefix }}}}{parent}:{{{{ tag }}}}"),
            None => "{{ base_image }}:{{ base_distro_tag }}".to_string(),
        };
        let template = format!("FROM {from}\nLABEL name=\"{{{{ image_name }}}}\"\n{body}");
        self.file(&format!("images/{name}/Dockerfile.j2"), &template)
    }

    /// With these credentials for a registry, where Docker's command line keeps them.
    pub fn log_in(self, registry: &str, user: &str, password: &str) -> Project {
        use base64::Engine as _;
        let auth = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
        let config = format!(r#"{{"auths": {{"{registry}": {{"auth": "{auth}"}}}}}}"#);
        self.file("home/.docker/config.json", &config)
    }

    /// With a file, its path relative to the project's directory.
    pub fn file(self, path: &str, content: &str) -> Project {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a path below the project")).expect("a directory");
        std::fs::write(path, content).expect("a file");
        self
    }

    /// The absolute path of something in the project.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// The text of a file in the project.
    pub fn read(&self, relative: &str) -> String {
        let path = self.path(relative);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Output without what differs from run to run: where things are, and how long they took.
    pub fn redacted(&self, output: &str) -> String {
        let root = self.directory.path().display().to_string();
        let durations =
            regex::Regex::new(r"(took|Finished in|starts in) [0-9][0-9a-z. ]*[a-z]").expect("a regex");
        let platform = format!("({})", Platform::new(Arch::host()));
        let places = [(self.docker_host.as_str(), "[ENGINE]"), (&root, "[DIR]"), (&platform, "([PLATFORM])")];
        let output =
            places.iter().fold(output.to_string(), |output, (place, name)| output.replace(place, name));
        let output = durations.replace_all(&output, "$1 [TIME]");
        // A connection may break while either side writes.
        let how =
            regex::Regex::new(r"(lost the connection to the container engine at \S+): .*").expect("a regex");
        how.replace_all(&output, "$1: [HOW]").into_owned()
    }

    /// What is left in the directory for temporary files.
    pub fn temporary_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("tmp")).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// The binary on the project's tree, to be run in the project's directory with a clean environment.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kolla-build"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("DOCKER_HOST", &self.docker_host)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .args(["--base", "debian"]);
        if self.has_tree {
            command.arg("--images-dir").arg(self.path("images"));
        }
        command.args(arguments);
        command
    }

    /// Runs the binary on the project's tree to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        Running::start(self, arguments).end()
    }
}

/// A run that goes on while the test does.
pub struct Running(Child);

impl Running {
    /// Starts the binary on the project's tree.
    pub fn start<S: AsRef<OsStr>>(project: &Project, arguments: impl IntoIterator<Item = S>) -> Running {
        Running::spawn(project.command(arguments))
    }

    /// Starts a command that was made ready.
    pub fn spawn(mut command: Command) -> Running {
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts"))
    }

    /// The same, with what it tells people in a file of the project, to be read while it runs.
    pub fn start_with_log<S: AsRef<OsStr>>(
        project: &Project,
        arguments: impl IntoIterator<Item = S>,
        log: &str,
    ) -> Running {
        let log = std::fs::File::create(project.path(log)).expect("a file");
        let mut command = project.command(arguments);
        Running(command.stdout(Stdio::piped()).stderr(log).spawn().expect("the binary starts"))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal: `INT`, `TERM`.
    pub fn signal(&self, name: &str) {
        kill(name, self.id());
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("our child").is_some()
    }

    /// The same as [`Running::end`], without reading what it prints before it has ended.
    #[track_caller]
    pub fn end_unread(mut self) -> Run {
        wait_until("the end of the run", || self.has_ended());
        self.end()
    }

    /// Waits for its end, but not for ever.
    #[track_caller]
    pub fn end(self) -> Run {
        let id = self.id();
        let (sender, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(self.0.wait_with_output()));
        match ended.recv_timeout(LONGEST_RUN) {
            Ok(output) => output.expect("our child").into(),
            Err(_) => {
                kill("KILL", id);
                panic!("the run has not ended within {LONGEST_RUN:?}");
            }
        }
    }
}

/// Longer than any run of a test takes on a busy machine.
const LONGEST_RUN: Duration = Duration::from_secs(120);

fn kill(signal: &str, id: u32) {
    let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &id.to_string()]).status();
    assert!(status.expect("a shell").success());
}
