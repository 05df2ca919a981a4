//! `kolla-run puppet-config`: configuration files that Puppet writes, in one-shot containers, as TripleO's container-puppet
//! has them written [I/O].

pub mod cli;
mod entries;
mod generate;
mod hashes;
mod options;
mod script;
mod spec;
mod startup;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use self::cli::PuppetRequest;
use self::entries::{ConfigVolume, Entries, EntrySelection};
use self::generate::{Generator, VolumeEnd};
use self::options::PuppetOptions;
use self::script::{GENERATED, SCRIPT};
use super::health::Waiter;
use super::reached::{pull_missing_image, reach};
use super::stack::parse_any;
use super::state::StateDir;
use super::tasks::RunSession;
use super::text::took;
use crate::engine::docker::Docker;
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Fatal};
use crate::report::counted;
use crate::session::engines::tell_engine;
use crate::session::stdio::{tell, warn};
use crate::session::threads::block_on;
use crate::util::scratch::Scratch;
use crate::util::write::write_private;
use crate::util::{input, interrupt};

/// Where the system tells its name.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// Name of the lock that keeps two runs apart.
const LOCK: &str = "container-puppet";

/// Configures every volume, and tells the startup configurations of it; gives the exit code.
pub fn run(request: &PuppetRequest, session: &RunSession) -> Result<u8, Fatal> {
    let begun = Instant::now();
    let options = options(request, session)?;
    let entries = entries(&options)?;
    if !session.endpoint.is_local() {
        let message = "files can be collected from an engine of this machine alone";
        return Err(
            Fatal::message(message, EXIT_USAGE).hinted("run kolla-run there, or name a unix:// endpoint")
        );
    }
    entries.warnings.iter().for_each(warn);
    let _lock = StateDir::new(&session.state_root, LOCK).lock()?;
    let generated = Path::new(&options.prefix).join(GENERATED);
    fs::create_dir_all(&generated).map_err(|error| Fatal::of_file("make", &generated, error, EXIT_FAILED))?;
    let scratch = scratch()?;
    let ends = block_on(async {
        let engine = reach(&session.environment, session.endpoint.clone()).await?;
        tell_engine(&engine, &format!("Configuring {}", counted(entries.volumes.len(), "volume")));
        let (volumes, mut ends) = with_images(&engine, entries.volumes).await?;
        // From here on there is something to be put in order.
        let orderly = interrupt::orderly();
        let generator = Generator {
            waiter: Waiter { engine: &engine, patience: options.timeout, stop: orderly.stop() },
            options: &options,
            manifests: scratch.path(),
            script: &script_in(&scratch).display().to_string(),
            tell: &|line| tell(line),
        };
        ends.extend(generator.generate(&volumes).await);
        Ok(ends)
    })?;
    if ends.iter().any(|(_, end)| *end == VolumeEnd::Interrupted) {
        tell("Interrupted: not every volume is configured, and no startup configuration was told of it");
        return Ok(EXIT_INTERRUPTED);
    }
    let counts = startup::update(&options.startup_configs, &options.prefix, &|line| tell(line))?;
    let mut failed: Vec<&str> =
        ends.iter().filter(|(_, end)| *end == VolumeEnd::Failed).map(|(name, _)| name.as_str()).collect();
    failed.sort_unstable();
    let of_startup =
        format!("{} of {} changed", counts.changed, counted(counts.found, "startup configuration"));
    let time = took(begun.elapsed());
    if failed.is_empty() {
        tell(format_args!("Configured {}, {of_startup}{time}", counted(ends.len(), "volume")));
        return Ok(0);
    }
    tell(format_args!("Failed to configure {}; {of_startup}{time}", failed.join(", ")));
    Ok(EXIT_FAILED)
}

/// What is asked for, with absolute paths.
fn options(request: &PuppetRequest, session: &RunSession) -> Result<PuppetOptions, Fatal> {
    let hostname = input::read_to_string(Path::new(HOSTNAME)).unwrap_or_default();
    let mut options = PuppetOptions::new(request, &session.environment.variables, &hostname)
        .map_err(|reason| Fatal::message(reason, EXIT_USAGE))?;
    for path in [&mut options.prefix, &mut options.puppet_dir] {
        let absolute = std::path::absolute(&*path)
            .map_err(|error| Fatal::of_file("find", Path::new(&*path), error, EXIT_USAGE))?;
        *path = absolute.display().to_string().trim_end_matches('/').to_string();
    }
    Ok(options)
}

fn entries(options: &PuppetOptions) -> Result<Entries, Fatal> {
    let text = read(&options.config, "it has the entries: name another with --config")?;
    let hosts = options.hosts.as_ref().map(|file| hosts(file)).transpose()?;
    let selection = EntrySelection {
        volume: options.config_volume.as_deref(),
        step: options.step,
        hosts: hosts.as_ref().map(|hosts| (hosts, options.short_hostname.as_str())),
    };
    Entries::read(&options.config, &text, selection).map_err(|error| Fatal::new(&error, EXIT_USAGE))
}

/// Hosts of services: a mapping of a service's name to a list of them.
fn hosts(file: &str) -> Result<BTreeMap<String, Vec<String>>, Fatal> {
    let text = read(file, "it has the hosts of each service")?;
    let wrong = |reason: String| Fatal::message(format!("{file}: {reason}"), EXIT_USAGE);
    let value = parse_any(&text).map_err(wrong)?;
    serde_json::from_value(value)
        .map_err(|_| wrong("it is no mapping of services to lists of hosts".to_string()))
}

fn read(file: &str, hint: &str) -> Result<String, Fatal> {
    let path = Path::new(file);
    input::read_to_string(path).map_err(|error| Fatal::of_file("read", path, error, EXIT_USAGE).hinted(hint))
}

/// A directory for this run, with the script in it.
fn scratch() -> Result<Scratch, Fatal> {
    let failed = |error: std::io::Error| {
        Fatal::message(format!("failed to make a temporary directory: {error}"), EXIT_FAILED)
    };
    let scratch = Scratch::new("puppet").map_err(failed)?;
    write_private(&script_in(&scratch), SCRIPT.as_bytes()).map_err(failed)?;
    Ok(scratch)
}

fn script_in(scratch: &Scratch) -> PathBuf {
    scratch.path().join("container-puppet.sh")
}

/// Volumes whose images are there, and those that have failed because theirs can't be had.
async fn with_images(
    engine: &Docker,
    volumes: Vec<ConfigVolume>,
) -> Result<(Vec<ConfigVolume>, Vec<(String, VolumeEnd)>), Fatal> {
    let mut pulled = BTreeMap::new();
    for volume in &volumes {
        if !pulled.contains_key(&volume.image) {
            pulled.insert(volume.image.clone(), pull_missing_image(engine, &volume.image).await?);
        }
    }
    let (mut ready, mut failed) = (Vec::new(), Vec::new());
    for volume in volumes {
        match &pulled[&volume.image] {
            Ok(()) => ready.push(volume),
            Err(error) => {
                tell(format_args!(
                    "{}: failed: {} can't be pulled: {}",
                    volume.name, volume.image, error.message
                ));
                failed.push((volume.name, VolumeEnd::Failed));
            }
        }
    }
    Ok((ready, failed))
}
