//! Containers: what an engine makes them from, what it tells of them, and what it can be asked to do with them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{Engine, EngineError};
use crate::model::ids::ImageId;

/// Everything that an engine makes a container from, and how it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Name of the image.
    pub image: String,
    /// Words that stand before the command; none for the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// Words of the command; none for the image's own.
    pub command: Vec<String>,
    /// Environment of its processes.
    pub environment: BTreeMap<String, String>,
    /// Labels of the container.
    pub labels: BTreeMap<String, String>,
    /// User that its processes run as; none for the image's own.
    pub user: Option<String>,
    /// Further groups of that user.
    pub group_add: Vec<String>,
    /// Host name that its processes see.
    pub hostname: Option<String>,
    /// Entries for `/etc/hosts`, each `NAME:ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// True for a terminal.
    pub tty: bool,
    /// True for a standard input that stays open.
    pub interactive: bool,
    /// Namespaces that it shares with others.
    pub namespaces: Namespaces,
    /// True for all rights of root on the host.
    pub privileged: bool,
    /// Capabilities that it gets beside the usual ones.
    pub cap_add: Vec<String>,
    /// Capabilities that it does not get.
    pub cap_drop: Vec<String>,
    /// Options of the security modules.
    pub security_opt: Vec<String>,
    /// Volumes and directories of the host.
    pub volumes: Vec<MountedVolume>,
    /// Containers whose volumes it gets too.
    pub volumes_from: Vec<String>,
    /// File systems in memory, by their place, with their options.
    pub tmpfs: BTreeMap<String, String>,
    /// Limits of what it may use.
    pub limits: Limits,
    /// How the engine asks for its health; none for what the image says.
    pub healthcheck: Option<Healthcheck>,
    /// Policy for its end.
    pub restart: RestartPolicy,
    /// Signal that asks it to end.
    pub stop_signal: Option<String>,
    /// Time between that signal and its forced end.
    pub stop_grace: Option<Duration>,
    /// Tag of its lines in the engine's log.
    pub log_tag: Option<String>,
    /// True when the engine removes it at its end.
    pub auto_remove: bool,
}

/// Namespaces of a container, in Docker's words; none for the engine's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Network: `host`, `none`, the name of a network.
    pub network: Option<String>,
    /// Namespace of shared memory, semaphores and message queues.
    pub ipc: Option<String>,
    /// Namespace of process numbers.
    pub pid: Option<String>,
    /// Namespace of the host name.
    pub uts: Option<String>,
    /// Namespace of control groups.
    pub cgroup: Option<String>,
}

/// A place in a container that outlives it, or is on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MountedVolume {
    /// Where its content is.
    pub source: VolumeSource,
    /// Place in the container.
    pub target: String,
    /// Options, separated by commas: `rw`, `ro,z`, `shared`.
    pub mode: String,
}

/// Where a volume's content is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum VolumeSource {
    /// In a volume that goes with the container.
    Anonymous,
    /// In a volume of this name.
    Named(String),
    /// At this path of the host.
    Path(String),
    /// In a file system of pseudo-terminals of the container's own, which Podman alone can be asked for.
    Terminals,
}

impl VolumeSource {
    /// What is written before a colon: a path has a slash in it, a volume's name has none.
    pub fn written(source: &str) -> VolumeSource {
        match source.contains('/') {
            true => VolumeSource::Path(source.to_string()),
            false => VolumeSource::Named(source.to_string()),
        }
    }
}

impl MountedVolume {
    /// `SOURCE:TARGET:MODE`, as engines take it, without a mode that is empty; the target alone of an anonymous one.
    pub fn bind(&self) -> String {
        match &self.source {
            VolumeSource::Anonymous | VolumeSource::Terminals => self.target.clone(),
            VolumeSource::Named(source) | VolumeSource::Path(source) if self.mode.is_empty() => {
                [source, &self.target].map(String::as_str).join(":")
            }
            VolumeSource::Named(source) | VolumeSource::Path(source) => {
                [source, &self.target, &self.mode].map(String::as_str).join(":")
            }
        }
    }
}

/// A limit that is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NumericLimit {
    /// Weight in the sharing of disks.
    BlkioWeight,
    /// Length of a period of processor time, in microseconds.
    CpuPeriod,
    /// Processor time in each period, in microseconds.
    CpuQuota,
    /// Weight in the sharing of processors.
    CpuShares,
    /// Most memory that it may use, in bytes.
    Memory,
    /// Memory in bytes that it is brought down to when memory is short.
    MemoryReservation,
    /// Memory and swap in bytes.
    MemorySwap,
    /// Readiness to swap, 0 to 100.
    MemorySwappiness,
}

impl NumericLimit {
    /// Every one of them.
    pub const ALL: [NumericLimit; 8] = [
        NumericLimit::BlkioWeight,
        NumericLimit::CpuPeriod,
        NumericLimit::CpuQuota,
        NumericLimit::CpuShares,
        NumericLimit::Memory,
        NumericLimit::MemoryReservation,
        NumericLimit::MemorySwap,
        NumericLimit::MemorySwappiness,
    ];

    /// Key of it in a stack.
    pub fn key(self) -> &'static str {
        match self {
            NumericLimit::BlkioWeight => "blkio_weight",
            NumericLimit::CpuPeriod => "cpu_period",
            NumericLimit::CpuQuota => "cpu_quota",
            NumericLimit::CpuShares => "cpu_shares",
            NumericLimit::Memory => "mem_limit",
            NumericLimit::MemoryReservation => "mem_reservation",
            NumericLimit::MemorySwap => "memswap_limit",
            NumericLimit::MemorySwappiness => "mem_swappiness",
        }
    }

    /// True for a number of bytes, which may be written with a unit.
    pub fn is_size(self) -> bool {
        matches!(self, NumericLimit::Memory | NumericLimit::MemoryReservation | NumericLimit::MemorySwap)
    }
}

/// Limits of what a container may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Those that are numbers; one that is not there has its default.
    pub numbers: BTreeMap<NumericLimit, i64>,
    /// Processors that it may run on, as `0-3,8`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes that it may use, as `0-1`.
    pub cpuset_mems: Option<String>,
    /// Limits of its processes.
    pub ulimits: Vec<Ulimit>,
}

/// A limit of processes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ulimit {
    /// Name of the resource: `nofile`.
    pub name: String,
    /// Limit that a process may raise.
    pub soft: i64,
    /// Limit that it can't.
    pub hard: i64,
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.name, self.soft, self.hard)
    }
}

/// How an engine asks a container for its health.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["CMD-SHELL", COMMAND]`, `["CMD", WORD...]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Time from one to the next.
    pub interval: Duration,
    /// Time that one may take.
    pub timeout: Duration,
    /// Time in which failures do not count.
    pub start_period: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

impl Healthcheck {
    /// True when nothing is asked.
    pub fn is_none(&self) -> bool {
        self.test.is_empty() || self.test == ["NONE"]
    }

    /// The words of the command that is run for it.
    pub fn command(&self) -> Vec<String> {
        match self.test.split_first() {
            Some((kind, [command])) if kind == "CMD-SHELL" => {
                ["/bin/sh", "-c", command].map(String::from).to_vec()
            }
            Some((kind, words)) if kind == "CMD" => words.to_vec(),
            _ => Vec::new(),
        }
    }
}

/// Policy of an engine for a container that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// The container stays ended.
    #[default]
    No,
    /// Started again, whatever its exit code.
    Always,
    /// Started again unless somebody has stopped it.
    UnlessStopped,
    /// Started again after a failure, at most this many times; any number of times for none.
    OnFailure(Option<u32>),
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestartPolicy::No => f.write_str("no"),
            RestartPolicy::Always => f.write_str("always"),
            RestartPolicy::UnlessStopped => f.write_str("unless-stopped"),
            RestartPolicy::OnFailure(None) => f.write_str("on-failure"),
            RestartPolicy::OnFailure(Some(times)) => write!(f, "on-failure:{times}"),
        }
    }
}

/// State of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerStatus {
    /// Made and never started.
    Created,
    /// With processes that run.
    Running,
    /// With processes that are held.
    Paused,
    /// Ended, and about to be started again.
    Restarting,
    /// Ended, and not to be started again.
    Exited,
    /// The engine is removing it, or failed to.
    Dead,
}

impl fmt::Display for ContainerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContainerStatus::Created => "created",
            ContainerStatus::Running => "running",
            ContainerStatus::Paused => "paused",
            ContainerStatus::Restarting => "restarting",
            ContainerStatus::Exited => "exited",
            ContainerStatus::Dead => "dead",
        })
    }
}

/// Health of a container, as the engine has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The engine has not made up its mind.
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Too many checks in a row failed.
    Unhealthy,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        })
    }
}

/// A container that the engine has, as it tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFacts {
    /// The engine's id of it.
    pub id: String,
    /// Name, without a slash.
    pub name: String,
    /// Id of the image that it was made from.
    pub image: ImageId,
    /// The specification that it was made from, with the image's own settings merged into it.
    pub spec: ContainerSpec,
    /// State that the engine reports.
    pub status: ContainerStatus,
    /// Exit code of its last end.
    pub exit_code: i64,
    /// Health; none when the engine does not ask for it.
    pub health: Option<Health>,
    /// How often the engine has started it again.
    pub restarts: i64,
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedContainer {
    /// The engine's id of it.
    pub id: String,
    /// Name, without a slash.
    pub name: String,
    /// Labels of the container and of its image.
    pub labels: BTreeMap<String, String>,
}

/// An image as its containers have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageDefaults {
    /// The engine's id of it.
    pub id: ImageId,
    /// Labels, which its containers have too.
    pub labels: BTreeMap<String, String>,
    /// Healthcheck of containers that name none.
    pub healthcheck: Option<Healthcheck>,
    /// Anonymous volumes that its containers get.
    pub volumes: Vec<String>,
}

/// The configuration of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfiguration {
    /// Words that stand before the command.
    pub entrypoint: Vec<String>,
    /// Words of the command.
    pub command: Vec<String>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// User; empty for root.
    pub user: String,
    /// Working directory; empty for the root directory.
    pub workdir: String,
    /// Volumes that it declares.
    pub volumes: Vec<String>,
    /// Ports that it exposes: `80/tcp`.
    pub ports: Vec<String>,
    /// True when it says how containers are asked for their health.
    pub has_healthcheck: bool,
}

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Kind and permissions, as the kernel has them.
    pub mode: u32,
    /// Number of its owner.
    pub uid: u64,
    /// Number of its group.
    pub gid: u64,
    /// Content, or the beginning of it; nothing of what is no file.
    pub content: Vec<u8>,
}

impl FileFacts {
    /// Kind and permissions, as `ls` shows them: `-rwxr-xr-x`.
    pub fn permissions(&self) -> String {
        let kind = match self.mode & 0o170_000 {
            0o040_000 => 'd',
            0o120_000 => 'l',
            0o020_000 => 'c',
            0o060_000 => 'b',
            0o010_000 => 'p',
            _ => '-',
        };
        let triple = |(shift, special, letter): (u32, u32, char)| {
            let bits = self.mode >> shift;
            let execute = match (bits & 1 == 1, self.mode & special != 0) {
                (true, true) => letter,
                (false, true) => letter.to_ascii_uppercase(),
                (true, false) => 'x',
                (false, false) => '-',
            };
            [if bits & 4 == 4 { 'r' } else { '-' }, if bits & 2 == 2 { 'w' } else { '-' }, execute]
        };
        let triples = [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')];
        std::iter::once(kind).chain(triples.into_iter().flat_map(triple)).collect()
    }
}

/// Both outputs of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerStreams {
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub error: String,
}

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Execution {
    /// Words of the command.
    pub command: Vec<String>,
    /// User that it runs as; none for the container's own.
    pub user: Option<String>,
    /// Variables beside those of the container.
    pub environment: BTreeMap<String, String>,
    /// True for all rights of root on the host.
    pub privileged: bool,
}

/// A command that has ended in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Exit code of the command.
    pub code: i64,
    /// Standard output and standard error, as they came.
    pub output: String,
}

/// Values of labels by the labels' names.
pub type Labels = BTreeMap<String, String>;

/// What takes the pieces of an archive; its error ends the transfer.
pub type TakePiece<'a> = &'a mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send);

/// An engine that runs containers. Every name may be an id too.
pub trait ContainerEngine: Engine {
    /// True when the engine is Podman.
    fn is_podman(&self) -> bool;

    /// Every container, running or not, with this label: its name and value.
    fn containers<'a>(
        &'a self,
        label: (&'a str, &'a str),
    ) -> BoxFuture<'a, Result<Vec<ListedContainer>, EngineError>>;

    /// Looks a container up; none when there is none of this name.
    fn container<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ContainerFacts>, EngineError>>;

    /// Names of all containers, or of those that run.
    fn container_names(&self, all: bool) -> BoxFuture<'_, Result<Vec<String>, EngineError>>;

    /// A container in the engine's own words, those of Podman's own API; none when there is none of this name.
    fn described<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Value>, EngineError>>;

    /// Every volume in the engine's own words.
    fn described_volumes(&self) -> BoxFuture<'_, Result<Vec<Value>, EngineError>>;

    /// Looks an image up by the name that containers have it by.
    fn image_defaults<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageDefaults>, EngineError>>;

    /// The configuration of an image; none when there is none of this name.
    fn image_config<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageConfiguration>, EngineError>>;

    /// A file of a container, whether it runs or not; none when there is none.
    fn file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Option<FileFacts>, EngineError>>;

    /// Content of a file of a container; none when there is none. One that is longer than `limit` is an error.
    fn whole_file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, EngineError>>;

    /// Hands over the file system of a container as a tar archive, piece by piece.
    fn export<'a>(
        &'a self,
        container: &'a str,
        take: TakePiece<'a>,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Makes a container that does not run yet.
    fn create<'a>(&'a self, name: &'a str, spec: &'a ContainerSpec)
    -> BoxFuture<'a, Result<(), EngineError>>;

    /// Starts a container; one that runs goes on.
    fn start<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Asks a container to end, and ends it after `grace`; one that does not run is left.
    fn stop<'a>(&'a self, name: &'a str, grace: Duration) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Removes a container with its anonymous volumes, whatever it does; one that is not there is gone.
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Gives a container another name.
    fn rename<'a>(&'a self, name: &'a str, new: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;

    /// The last lines that a container wrote.
    fn container_log<'a>(&'a self, name: &'a str, lines: usize)
    -> BoxFuture<'a, Result<String, EngineError>>;

    /// Hands on the last lines that a container wrote, and then each that it writes, until it ends or `line` gives false.
    fn follow_log<'a>(
        &'a self,
        name: &'a str,
        lines: usize,
        line: &'a (dyn Fn(&str) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// All that a container wrote, the end of much.
    fn container_streams<'a>(&'a self, name: &'a str)
    -> BoxFuture<'a, Result<ContainerStreams, EngineError>>;

    /// Runs a command in a container to its end, as this user; none for the container's own.
    fn execute<'a>(
        &'a self,
        name: &'a str,
        command: &'a [String],
        user: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Executed, EngineError>>;

    /// The same with all that a command can be given.
    fn execute_as<'a>(
        &'a self,
        name: &'a str,
        execution: &'a Execution,
    ) -> BoxFuture<'a, Result<Executed, EngineError>>;

    /// Unpacks a tar archive into a directory of a container.
    fn put_archive<'a>(
        &'a self,
        container: &'a str,
        directory: &'a str,
        archive: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Takes a name away from an image, and removes it with its last one; one that is not there is gone.
    fn forget_image<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Volumes with all of these labels.
    fn volumes<'a>(&'a self, labels: &'a Labels) -> BoxFuture<'a, Result<Vec<String>, EngineError>>;

    /// Makes a volume of this name when there is none; true when there was none.
    fn ensure_volume<'a>(
        &'a self,
        name: &'a str,
        labels: &'a Labels,
    ) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Removes a volume; one that is not there is gone.
    fn remove_volume<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Networks with all of these labels.
    fn networks<'a>(&'a self, labels: &'a Labels) -> BoxFuture<'a, Result<Vec<String>, EngineError>>;

    /// Makes a network of this name when there is none; true when there was none.
    fn ensure_network<'a>(
        &'a self,
        name: &'a str,
        labels: &'a Labels,
    ) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Removes a network; one that is not there is gone.
    fn remove_network<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_shown_as_ls_does() {
        for (mode, shown) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o104_755, "-rwsr-xr-x"),
            (0o102_640, "-rw-r-S---"),
            (0o041_777, "drwxrwxrwt"),
            (0o120_777, "lrwxrwxrwx"),
        ] {
            assert_eq!(FileFacts { mode, uid: 0, gid: 0, content: Vec::new() }.permissions(), shown);
        }
    }
}
