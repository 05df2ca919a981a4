//! A real Docker daemon, for the tests that need one. They are marked `#[ignore]`, so that they run only when they are asked
//! for (`make test`), and fail where what they need is missing.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Endpoint of the real daemon. It may be somebody's own, so tests use it only with leave to.
#[track_caller]
pub fn endpoint() -> String {
    assert_eq!(named("REAL_DOCKER"), "1", "REAL_DOCKER=1 lets tests use this machine's Docker engine");
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_string())
}

/// The value of a variable that tells where something real is.
#[track_caller]
pub fn named(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("this test needs {variable}, which make test sets"))
}

/// A port of this machine: free now, and nobody else is given it so soon.
#[track_caller]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port()
}

/// A text that no earlier run has built with.
pub fn nonce() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    format!("{}-{}", std::process::id(), now.as_nanos())
}

/// What `docker` prints, without blanks around it.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    let host = endpoint();
    let output = Command::new("docker").args(["--host", &host]).args(arguments).output();
    let output = output.expect("a docker command");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "docker {arguments:?}: {stdout}\n{stderr}");
    stdout
}

/// Gives another engine these images of the real daemon.
#[track_caller]
pub fn hand_over(images: &[&str], endpoint: &str) {
    let mut save = Command::new("docker")
        .args(["--host", &self::endpoint(), "image", "save"])
        .args(images)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a docker command");
    let saved = save.stdout.take().expect("piped");
    let load = Command::new("docker")
        .args(["--host", endpoint, "image", "load", "--quiet"])
        .stdin(saved)
        .output()
        .expect("a docker command");
    assert!(load.status.success() && save.wait().expect("it was started").success(), "{images:?}: {load:?}");
}

/// What the engine knows of an image.
#[track_caller]
pub fn inspect(image: &str) -> serde_json::Value {
    let known = docker(&["image", "inspect", "--format", "{{json .}}", image]);
    serde_json::from_str(&known).expect("JSON")
}

/// What a command prints in a container of the image, without network.
#[track_caller]
pub fn run_in(image: &str, command: &str) -> String {
    docker(&["run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "sh", image, "-c", command])
}

/// Images that go with this value.
pub struct Images(pub Vec<String>);

impl Drop for Images {
    fn drop(&mut self) {
        for image in &self.0 {
            // A test that failed may not have made it.
            let _ = Command::new("docker").args(["image", "rm", "--force", image]).output();
        }
    }
}

/// True while any process on this machine has the argument.
pub fn runs_with_argument(argument: &str) -> bool {
    let is_it = |entry: std::fs::DirEntry| {
        let command_line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        command_line.split(|&byte| byte == 0).any(|word| word == argument.as_bytes())
    };
    std::fs::read_dir("/proc").expect("/proc").flatten().any(is_it)
}

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
