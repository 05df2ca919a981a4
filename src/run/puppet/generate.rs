//! One-shot containers, run to their end, a few at a time [I/O].

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::sleep;

use super::super::apply::GRACE;
use super::super::desired::HostView;
use super::super::health::{NotUp, Waiter};
use super::super::text::{indented, took};
use super::entries::ConfigVolume;
use super::options::PuppetOptions;
use super::script::manifest;
use super::spec::{RunFiles, container_name, owner, spec};
use crate::engine::EngineError;
use crate::engine::container::{ContainerSpec, VolumeSource};
use crate::session::stdio::TellLine;
use crate::util::transient::{FULL_DISK_HINT, tells_of_full_disk};
use crate::util::write::write_private;

/// So often a container that fails is run, and so long is the time between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(3);

/// So many of the last lines of a container that has failed are shown.
const LAST_LINES: usize = 40;

/// Exit codes of Puppet for success, without changes and with some.
const GOOD: [i64; 2] = [0, 2];

/// Exit codes of a shell when a program can't be run: it will not be there the next time either.
const NO_PROGRAM: [i64; 2] = [126, 127];

/// Why one container has not done what it was to do.
enum TryFailure {
    /// For this reason, with the end of its log; another try may do better.
    Again(String, String),
    /// For this reason, which stays.
    Final(String, String),
    /// The run is to stop.
    Interrupted,
}

impl From<EngineError> for TryFailure {
    fn from(error: EngineError) -> TryFailure {
        TryFailure::Again(error.to_string(), String::new())
    }
}

/// How the configuration of a volume has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeEnd {
    /// Its files are there.
    Done,
    /// It has failed, which was told.
    Failed,
    /// The run is to stop.
    Interrupted,
}

/// Someone who runs the containers.
pub struct Generator<'a> {
    /// Engine, and how long it is waited for.
    pub waiter: Waiter<'a>,
    /// What is asked for.
    pub options: &'a PuppetOptions,
    /// Directory of this run's manifests.
    pub manifests: &'a Path,
    /// The script.
    pub script: &'a str,
    /// Tells people a line.
    pub tell: TellLine<'a>,
}

impl Generator<'_> {
    /// Configures all volumes; gives how each has ended.
    pub async fn generate(&self, volumes: &[ConfigVolume]) -> Vec<(String, VolumeEnd)> {
        let each = volumes.iter().map(async |volume| (volume.name.clone(), self.one(volume).await));
        stream::iter(each).buffer_unordered(self.options.process_count).collect().await
    }

    async fn one(&self, volume: &ConfigVolume) -> VolumeEnd {
        let begun = Instant::now();
        if *self.waiter.stop.borrow() {
            return VolumeEnd::Interrupted;
        }
        self.tell(volume, format_args!("configuring it with {}", volume.image));
        for number in 1..=TRIES {
            let (reason, log) = match self.run_once(volume).await {
                Ok(()) => {
                    self.tell(volume, format_args!("configured{}", took(begun.elapsed())));
                    return VolumeEnd::Done;
                }
                Err(TryFailure::Interrupted) => return VolumeEnd::Interrupted,
                Err(TryFailure::Again(reason, log)) if number < TRIES => {
                    let seconds = PAUSE.as_secs();
                    self.tell(volume, format_args!("failed: {reason}; trying again in {seconds} s"));
                    self.debug_log(volume, &log);
                    if self.pause().await {
                        return VolumeEnd::Interrupted;
                    }
                    continue;
                }
                Err(TryFailure::Again(reason, log) | TryFailure::Final(reason, log)) => (reason, log),
            };
            let is_full = tells_of_full_disk(reason.lines().chain(log.lines()));
            let log = match log.trim_end() {
                "" => String::new(),
                log => format!("; the end of its log:\n{}", indented(log)),
            };
            self.tell(volume, format_args!("failed: {reason}{log}"));
            if is_full {
                (self.tell)(format_args!("  hint: {FULL_DISK_HINT}"));
            }
            break;
        }
        VolumeEnd::Failed
    }

    fn tell(&self, volume: &ConfigVolume, line: fmt::Arguments<'_>) {
        (self.tell)(format_args!("{}: {line}", volume.name));
    }

    /// Shows a log that is only shown to those who want to see everything.
    fn debug_log(&self, volume: &ConfigVolume, log: &str) {
        if self.options.debug && !log.trim().is_empty() {
            self.tell(volume, format_args!("it says:\n{}", indented(log.trim_end())));
        }
    }

    /// Waits for the next try; true when there is to be none.
    async fn pause(&self) -> bool {
        let mut stop = self.waiter.stop.clone();
        tokio::select! {
            () = sleep(PAUSE) => false,
            _ = stop.wait_for(|stopped| *stopped) => true,
        }
    }

    async fn run_once(&self, volume: &ConfigVolume) -> Result<(), TryFailure> {
        let engine = self.waiter.engine;
        let (name, spec) = (container_name(volume), self.spec(volume)?);
        self.make_way(&name).await?;
        for mounted in &spec.volumes {
            if let VolumeSource::Named(named) = &mounted.source {
                engine.ensure_volume(named, &owner().labels()).await?;
            }
        }
        engine.create(&name, &spec).await?;
        let ended = match engine.start(&name).await {
            Ok(()) => self.end_of(volume, &name).await,
            Err(error) => Err(error.into()),
        };
        if !volume.keep || matches!(ended, Err(TryFailure::Interrupted)) {
            engine.remove(&name).await?;
        }
        ended
    }

    /// The container of a volume. What it mounts is written or has to be there.
    fn spec(&self, volume: &ConfigVolume) -> Result<ContainerSpec, TryFailure> {
        let path = self.manifests.join(format!("{}.pp", volume.name));
        write_private(&path, manifest(&volume.manifest).as_bytes())
            .map_err(|error| TryFailure::Final(format!("{}: {error}", path.display()), String::new()))?;
        let files = RunFiles { script: self.script, manifest: &path.display().to_string() };
        let is_there = |path: &str| Path::new(path).exists();
        let spec = spec(volume, self.options, files, self.waiter.engine.is_podman(), is_there);
        let (owner, nothing) = (owner(), BTreeMap::new());
        let view = HostView { owner: &owner, variables: &nothing, files: &[], is_local: true };
        if let [first, ..] = view.missing(&spec).as_slice() {
            return Err(TryFailure::Final(format!("{first}, which it mounts, is not there"), String::new()));
        }
        Ok(spec)
    }

    /// Removes what a killed run, or one that was to keep it, has left.
    async fn make_way(&self, name: &str) -> Result<(), TryFailure> {
        let Some(there) = self.waiter.engine.container(name).await? else { return Ok(()) };
        if !owner().owns(&there.spec.labels) {
            let reason = format!("there is another container {name}, which is somebody else's: remove it");
            return Err(TryFailure::Final(reason, String::new()));
        }
        Ok(self.waiter.engine.remove(&there.id).await?)
    }

    async fn end_of(&self, volume: &ConfigVolume, name: &str) -> Result<(), TryFailure> {
        let engine = self.waiter.engine;
        let code = match self.waiter.until_end(name).await {
            Ok(code) => code,
            Err(NotUp::Interrupted) => return Err(TryFailure::Interrupted),
            Err(NotUp::Engine(error)) => return Err(error.into()),
            Err(not_up) => {
                let log = self.log_of(name).await;
                engine.stop(name, GRACE).await?;
                return Err(TryFailure::Final(not_up.to_string(), log));
            }
        };
        let log = self.log_of(name).await;
        let reason = || format!("exit code {code} (allowed: 0, 2)");
        match code {
            code if GOOD.contains(&code) => {
                self.debug_log(volume, &log);
                Ok(())
            }
            code if NO_PROGRAM.contains(&code) => Err(TryFailure::Final(reason(), log)),
            _ => Err(TryFailure::Again(reason(), log)),
        }
    }

    /// The end of a container's log, or all of it; empty when the engine does not give it.
    async fn log_of(&self, name: &str) -> String {
        let lines = if self.options.debug { usize::MAX } else { LAST_LINES };
        self.waiter.engine.container_log(name, lines).await.unwrap_or_default()
    }
}
