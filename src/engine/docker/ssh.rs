//! A connection to another host's engine: `ssh HOST docker system dial-stdio`, which joins its standard input and output
//! to the engine's socket there. The Docker command line does the same.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Join, ReadBuf};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::endpoint::SshHost;
use crate::util::process::Group;

/// How long `ssh` may take to say why it has failed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// So much of what it says is kept.
const LONGEST_COMPLAINT: usize = 16 * 1024;

/// The words of `ssh`, beside the connection. They are read all the time, so that it never waits to be heard.
pub(super) struct Complaint {
    said: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

impl Complaint {
    fn listen(mut stderr: ChildStderr) -> Complaint {
        let said: Arc<Mutex<Vec<u8>>> = Arc::default();
        let heard = said.clone();
        let listening = tokio::spawn(async move {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = stderr.read(&mut piece).await {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                let room = LONGEST_COMPLAINT.saturating_sub(heard.len());
                heard.extend_from_slice(&piece[..count.min(room)]);
            }
        });
        Complaint { said, listening }
    }

    /// After the connection has failed: why.
    pub async fn hear(mut self) -> String {
        // What ssh has started may hold the stream open; what was said until then is enough.
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.listening).await;
        self.listening.abort();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said)
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// Both directions of the connection. Dropped, it ends `ssh` and what that has started.
pub(super) struct SshStream {
    joined: Join<ChildStdout, ChildStdin>,
    _ssh: Group,
}

/// Starts `ssh`, which gives up on a host that takes no connection for `patience`. Connections to one host share one that `ssh` keeps open a little longer, by its socket `control`.
pub(super) fn connect(
    host: &SshHost,
    control: &Path,
    patience: Duration,
) -> io::Result<(SshStream, Complaint)> {
    let mut command = Command::new("ssh");
    command
        .args(arguments(host, control, patience))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut ssh = Group::spawn(&mut command)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run the program ssh: {error}")))?;
    let taken = ssh.stdin.take().zip(ssh.stdout.take()).zip(ssh.stderr.take());
    let ((stdin, stdout), stderr) = taken.expect("all three were asked for");
    Ok((SshStream { joined: tokio::io::join(stdout, stdin), _ssh: ssh }, Complaint::listen(stderr)))
}

fn arguments(host: &SshHost, control: &Path, patience: Duration) -> Vec<OsString> {
    // Many builds run at once: there is nobody to answer, and sshd takes few new connections at a time.
    let fixed =
        ["-oBatchMode=yes", "-oControlMaster=auto", "-oControlPersist=30", "-oServerAliveInterval=15"];
    let mut arguments: Vec<OsString> = fixed.map(OsString::from).into();
    let mut path = OsString::from("-oControlPath=");
    path.push(control);
    arguments.push(path);
    arguments.push(format!("-oConnectTimeout={}", patience.as_secs().max(1)).into());
    if let Some(user) = &host.user {
        arguments.extend(["-l".into(), user.into()]);
    }
    if let Some(port) = host.port {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    arguments.extend(["--", &host.host, "docker"].map(OsString::from));
    if let Some(socket) = &host.socket {
        // A shell there takes the words apart once more.
        arguments.push(format!("'--host=unix://{}'", socket.replace('\'', r"'\''")).into());
    }
    arguments.extend(["system", "dial-stdio"].map(OsString::from));
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
    use super::*;
    use crate::engine::docker::endpoint::Endpoint;

    fn words(address: &str) -> String {
        let Ok(Endpoint::Ssh(host)) = address.parse() else { panic!("{address} is no ssh endpoint") };
        let arguments = arguments(&host, Path::new("/c"), Duration::from_secs(1));
        let words = arguments.iter().map(|word| word.to_str().expect("text"));
        words.filter(|word| !word.starts_with("-o")).collect::<Vec<_>>().join(" ")
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
