//! The most memory that sending a 1 GiB build context takes: `cargo bench --bench context_memory`.
//!
//! The context is archived and sent to a server in this process that throws it away, so the figure holds both ends.
//! More than 64 MiB is a failure.

#![allow(clippy::print_stdout, reason = "the figures are its output")]
#![allow(clippy::disallowed_methods, reason = "it reads and writes what it has made itself")]

#[path = "../tests/it/support/http.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod http;

use std::error::Error;
use std::io;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use kolla_build::engine::docker::{Credentials, DockerHost, Endpoint};
use kolla_build::engine::{BuildRequest, Engine};
use kolla_build::model::platform::Arch;
use serde_json::json;

const MIB: u64 = 1 << 20;
const CONTEXT: u64 = 1024 * MIB;
const LIMIT: u64 = 64 * MIB;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket)?;
    std::thread::spawn(move || serve(&listener));

    let context = directory.path().join("context");
    std::fs::create_dir(&context)?;
    std::fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY large /\n")?;
    // A hole reads like any other file, and needs no disk.
    std::fs::File::create(context.join("large"))?.set_len(CONTEXT)?;

    let before = peak_memory()?;
    let started = Instant::now();
    let request = BuildRequest::new(&context, "large:1".parse()?, Arch::X86_64.into());
    let docker = DockerHost::new(Endpoint::Unix(socket), Credentials::default()).connect().await?;
    docker.build(&request, &|_| {}).await?;
    let (taken, after) = (started.elapsed(), peak_memory()?);

    println!("context     {:>8.1} MiB in {:.1} s", in_mib(CONTEXT), taken.as_secs_f64());
    println!("peak memory {:>8.1} MiB, {:.1} MiB of it before", in_mib(after), in_mib(before));
    println!("limit       {:>8.1} MiB", in_mib(LIMIT));
    if after < LIMIT { Ok(()) } else { Err("the peak is over the limit".into()) }
}

/// Tells its version, takes a build, then the question what came of it.
fn serve(listener: &UnixListener) -> io::Result<()> {
    for stream in listener.incoming() {
        let Some(mut exchange) = http::Exchange::accept(Box::new(stream?))? else { continue };
        if exchange.method == "POST" {
            let received = io::copy(&mut exchange.body(), &mut io::sink())?;
            assert!(received > CONTEXT, "only {received} bytes of the context came");
            exchange.answer(200, &json!({"aux": {"ID": "sha256:1"}}))?;
        } else {
            let image = json!({"Id": "sha256:1", "Architecture": "amd64", "Size": 1, "ApiVersion": "1.41"});
            exchange.answer(200, &image)?;
        }
    }
    Ok(())
}

/// The most memory that this process ever had resident, in bytes.
fn peak_memory() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
