//! OpenSSH's server on loopback, with keys, known hosts and configuration of its own.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::real::{free_port, named, wait_until};

/// The server; it goes with this value.
pub struct Sshd {
    directory: tempfile::TempDir,
    port: u16,
    user: String,
    server: Child,
}

/// In a mount namespace of its own, a root's server finds the user that it puts its unprivileged half under, and that the
/// user who logs in has no locked password.
const AS_ROOT: &str = r#"
directory=$1 user=$2
shift 2
mkdir -p /run/sshd
grep -v '^sshd:' /etc/passwd >"$directory/passwd"
echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin' >>"$directory/passwd"
echo "$user:*:1::::::" >"$directory/shadow"
chmod 600 "$directory/shadow"
mount --bind "$directory/passwd" /etc/passwd
mount --bind "$directory/shadow" /etc/shadow
exec "$@"
"#;

impl Sshd {
    /// Starts the server that `REAL_SSHD` names, whose sessions reach an engine at this endpoint.
    pub fn start(engine: &str) -> Sshd {
        let program = named("REAL_SSHD");
        let directory = tempfile::tempdir().expect("a temporary directory");
        for key in ["host_key", "client_key", "other_key"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(directory.path().join(key)));
        }
        let user = run(Command::new("id").arg("-un")).trim().to_string();
        let port = free_port();
        let file = |name: &str| directory.path().join(name).display().to_string();
        std::fs::copy(file("client_key.pub"), file("authorized_keys")).expect("a file");
        // StrictModes would not have keys below /tmp, which is everybody's.
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             AllowUsers {user}\nSetEnv DOCKER_HOST={engine}\n{}",
            file("host_key"),
            file("authorized_keys"),
            // Its parts, from version 9.8 on, of a server that is not where its package would have it.
            parts_of(Path::new(&program)),
        );
        std::fs::write(file("sshd_config"), config).expect("a file");
        let mut command = if user == "root" {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-euc", AS_ROOT, "sh"]);
            command.arg(directory.path()).arg(&user).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let log = std::fs::File::create(file("log")).expect("a file");
        let server = command
            .args(["-D", "-e", "-f", &file("sshd_config")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut sshd = Sshd { port, user, server, directory };
        wait_until("the ssh server to answer", || {
            let ended = sshd.server.try_wait().expect("a child of this process");
            let log = || std::fs::read_to_string(sshd.path("log")).unwrap_or_default();
            assert!(ended.is_none(), "the ssh server has ended: {}", log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        sshd
    }

    /// For `DOCKER_HOST`.
    pub fn endpoint(&self) -> String {
        format!("ssh://{}@127.0.0.1:{}", self.user, self.port)
    }

    /// A program `ssh` that is the real one with a configuration of this server's: with these keys as the client's own
    /// and as the one that is known to be the server's (`client_key`, `host_key`, or `other_key`).
    pub fn client(&self, own: &str, known: &str) -> String {
        let known = std::fs::read_to_string(self.path(known).with_extension("pub")).expect("a key");
        let hosts = self.path("known_hosts");
        std::fs::write(&hosts, format!("[127.0.0.1]:{} {known}", self.port)).expect("a file");
        let config = self.path("ssh_config");
        let text = format!(
            "IdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {}\n\
             GlobalKnownHostsFile none\nStrictHostKeyChecking yes\n",
            self.path(own).display(),
            hosts.display()
        );
        std::fs::write(&config, text).expect("a file");
        let real = run(Command::new("sh").args(["-c", "command -v ssh"]));
        format!("#!/bin/sh\nexec {} -F {} \"$@\"\n", real.trim(), config.display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn parts_of(program: &Path) -> String {
    let parts = [("SshdSessionPath", "sshd-session"), ("SshdAuthPath", "sshd-auth")];
    let root = program.ancestors().nth(3).unwrap_or(Path::new("/"));
    parts
        .map(|(option, name)| (option, root.join("usr/lib/openssh").join(name)))
        .iter()
        .filter(|(_, path)| path.exists())
        .map(|(option, path)| format!("{option} {}\n", path.display()))
        .collect()
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
