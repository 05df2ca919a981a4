//! A connection to another host's engine: `ssh HOST docker system dial-stdio`, which joins its standard input and output
//! to the engine's socket there. The Docker command line does the same.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Join, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::endpoint::SshHost;

/// How long `ssh` may take to say why it has failed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What `ssh` has to say, beside the connection.
pub(super) struct Complaint(ChildStderr);

impl Complaint {
    /// After the connection has failed: why.
    pub async fn hear(mut self) -> String {
        let mut said = Vec::new();
        // What ssh has started may hold the stream open; what was said until then is enough.
        let _ = tokio::time::timeout(LAST_WORDS, self.0.read_to_end(&mut said)).await;
        String::from_utf8_lossy(&said)
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// Both directions of the connection. Dropped, it ends `ssh`.
pub(super) struct SshStream {
    joined: Join<ChildStdout, ChildStdin>,
    _ssh: Child,
}

/// Starts `ssh`. Connections to one host share one that `ssh` keeps open a little longer, by its socket `control`.
pub(super) fn connect(host: &SshHost, control: &Path) -> io::Result<(SshStream, Complaint)> {
    let mut ssh = Command::new("ssh")
        .args(arguments(host, control))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run the program ssh: {error}")))?;
    let taken = ssh.stdin.take().zip(ssh.stdout.take()).zip(ssh.stderr.take());
    let ((stdin, stdout), stderr) = taken.expect("all three were asked for");
    Ok((SshStream { joined: tokio::io::join(stdout, stdin), _ssh: ssh }, Complaint(stderr)))
}

fn arguments(host: &SshHost, control: &Path) -> Vec<String> {
    let mut arguments = Vec::new();
    for option in [
        // Many builds run at once: there is nobody to answer, and sshd takes few new connections at a time.
        "BatchMode=yes".to_string(),
        "ControlMaster=auto".to_string(),
        format!("ControlPath={}", control.display()),
        "ControlPersist=30".to_string(),
        "ConnectTimeout=10".to_string(),
        "ServerAliveInterval=15".to_string(),
    ] {
        arguments.extend(["-o".to_string(), option]);
    }
    if let Some(user) = &host.user {
        arguments.extend(["-l".to_string(), user.clone()]);
    }
    if let Some(port) = host.port {
        arguments.extend(["-p".to_string(), port.to_string()]);
    }
    arguments.extend(["--".to_string(), host.host.clone(), "docker".to_string()]);
    if let Some(socket) = &host.socket {
        // A shell there takes the words apart once more.
        let quoted = socket.replace('\'', r"'\''");
        arguments.push(format!("'--host=unix://{quoted}'"));
    }
    arguments.extend(["system".to_string(), "dial-stdio".to_string()]);
    arguments
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.joined).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.joined).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.joined).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.joined).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Endpoint;
    use super::*;

    fn words(address: &str) -> String {
        let Ok(Endpoint::Ssh(host)) = address.parse() else { panic!("{address} is no ssh endpoint") };
        let arguments = arguments(&host, Path::new("/c"));
        let from = arguments.iter().rposition(|word| word == "-o").map_or(0, |at| at + 2);
        arguments[from..].join(" ")
    }

    #[test]
    fn what_is_left_out_is_left_to_ssh() {
        assert_eq!(words("ssh://builder"), "-- builder docker system dial-stdio");
        assert_eq!(
            words("ssh://kolla@[::1]:2222/run/it's.sock"),
            r"-l kolla -p 2222 -- ::1 docker '--host=unix:///run/it'\''s.sock' system dial-stdio"
        );
    }
}
