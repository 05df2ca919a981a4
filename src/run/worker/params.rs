//! Arguments of kolla-ansible's `kolla_container` [pure].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::arguments::{Argument, ArgumentType, convert, whole};
use super::failed::ModuleFailure;
use crate::run::python::scalar_text;

/// Things that the module can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerAction {
    /// Tell what differs, the files of configuration and the unit included.
    CompareContainer,
    /// Tell whether the container's image is another.
    CompareImage,
    /// Make a volume that is missing.
    CreateVolume,
    /// Pull an image that is missing.
    EnsureImage,
    /// Pull an image.
    PullImage,
    /// Make a container anew when it differs, else start it again.
    RecreateOrRestartContainer,
    /// Remove a container.
    RemoveContainer,
    /// Remove an image.
    RemoveImage,
    /// Remove a volume.
    RemoveVolume,
    /// Start a container again.
    RestartContainer,
    /// Bring a container about.
    StartContainer,
    /// Stop a container.
    StopContainer,
    /// Stop and remove a container.
    StopAndRemoveContainer,
}

/// Every action, by the name that Ansible has for it.
pub const ACTIONS: [(&str, WorkerAction); 13] = [
    ("compare_container", WorkerAction::CompareContainer),
    ("compare_image", WorkerAction::CompareImage),
    ("create_volume", WorkerAction::CreateVolume),
    ("ensure_image", WorkerAction::EnsureImage),
    ("pull_image", WorkerAction::PullImage),
    ("recreate_or_restart_container", WorkerAction::RecreateOrRestartContainer),
    ("remove_container", WorkerAction::RemoveContainer),
    ("remove_image", WorkerAction::RemoveImage),
    ("remove_volume", WorkerAction::RemoveVolume),
    ("restart_container", WorkerAction::RestartContainer),
    ("start_container", WorkerAction::StartContainer),
    ("stop_container", WorkerAction::StopContainer),
    ("stop_and_remove_container", WorkerAction::StopAndRemoveContainer),
];

impl WorkerAction {
    /// The arguments that it can't do without.
    fn needs(self) -> &'static [&'static str] {
        match self {
            WorkerAction::EnsureImage | WorkerAction::PullImage | WorkerAction::RemoveImage => &["image"],
            WorkerAction::StartContainer | WorkerAction::CompareContainer | WorkerAction::CompareImage => {
                &["image", "name"]
            }
            _ => &["name"],
        }
    }
}

/// Every argument of the module.
const ARGUMENTS: [Argument; 38] = {
    use ArgumentType::{List, Mapping, Text, Truth, Whole};
    [
        Argument::new("common_options", Mapping),
        Argument::new("action", Text).required(),
        Argument::new("api_version", Text),
        Argument::new("auth_email", Text),
        Argument::new("auth_password", Text),
        Argument::new("auth_registry", Text),
        Argument::new("auth_username", Text),
        Argument::new("command", Text),
        Argument::new("container_engine", Text),
        Argument::new("detach", Truth),
        Argument::new("labels", Mapping),
        Argument::new("name", Text),
        Argument::new("environment", Mapping),
        Argument::new("healthcheck", Mapping),
        Argument::new("image", Text),
        Argument::new("ipc_mode", Text).one_of(&["", "host", "private", "shareable"]),
        Argument::new("cap_add", List),
        Argument::new("group_add", List),
        Argument::new("security_opt", List),
        Argument::new("pid_mode", Text).one_of(&["", "host", "private"]),
        Argument::new("cgroupns_mode", Text).one_of(&["private", "host"]),
        Argument::new("privileged", Truth),
        Argument::new("graceful_timeout", Whole),
        Argument::new("remove_on_exit", Truth),
        Argument::new("restart_policy", Text).one_of(&[
            "no",
            "on-failure",
            "oneshot",
            "always",
            "unless-stopped",
        ]),
        Argument::new("restart_retries", Whole),
        Argument::new("state", Text).one_of(&["running", "exited", "paused"]),
        Argument::new("tls_verify", Truth),
        Argument::new("tls_cert", Text),
        Argument::new("tls_key", Text),
        Argument::new("tls_cacert", Text),
        Argument::new("tmpfs", List),
        Argument::new("volumes", List),
        Argument::new("volumes_from", List),
        Argument::new("dimensions", Mapping),
        Argument::new("tty", Truth),
        Argument::new("client_timeout", Whole),
        Argument::new("ignore_missing", Truth),
    ]
};

/// The policy for a container that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartWish {
    /// It stays ended.
    No,
    /// Started again after a failure.
    OnFailure,
    /// Run once, and by no unit of systemd.
    Oneshot,
    /// Started again whatever its exit code.
    Always {
        /// True for what stays stopped once it was.
        unless_stopped: bool,
    },
}

impl RestartWish {
    fn read(text: &str) -> RestartWish {
        match text {
            "on-failure" => RestartWish::OnFailure,
            "oneshot" => RestartWish::Oneshot,
            "always" => RestartWish::Always { unless_stopped: false },
            "unless-stopped" => RestartWish::Always { unless_stopped: true },
            _ => RestartWish::No,
        }
    }

    /// Name of it in a unit of systemd.
    pub fn in_unit(self) -> &'static str {
        match self {
            RestartWish::No | RestartWish::Oneshot => "no",
            RestartWish::OnFailure => "on-failure",
            RestartWish::Always { .. } => "always",
        }
    }
}

/// A registry's user.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryLogin {
    /// The registry; none for Docker's own.
    pub registry: Option<String>,
    /// Name of the user.
    pub username: String,
    /// The user's password.
    pub password: String,
}

/// The arguments of one call.
#[derive(Clone)]
pub struct WorkerParams {
    /// Thing to do.
    pub action: WorkerAction,
    /// True for Podman, false for Docker.
    pub podman: bool,
    /// Name of the container or volume; may be empty.
    pub name: String,
    /// Name of the image; may be empty.
    pub image: String,
    /// A registry's user, to pull as.
    pub login: Option<RegistryLogin>,
    /// The command, as a shell has it; none for the image's own.
    pub command: Option<String>,
    /// False for a container that is waited for.
    pub detach: bool,
    /// Labels that the container is to have.
    pub labels: BTreeMap<String, String>,
    /// Environment that the container is to have.
    pub environment: BTreeMap<String, String>,
    /// How its health is asked for, as it was written; none for not at all.
    pub healthcheck: Option<Map<String, Value>>,
    /// Namespace of interprocess communication.
    pub ipc_mode: Option<String>,
    /// Namespace of process numbers.
    pub pid_mode: Option<String>,
    /// Namespace of control groups.
    pub cgroupns_mode: Option<String>,
    /// Capabilities beside the usual ones.
    pub cap_add: Vec<String>,
    /// Names or numbers of further groups.
    pub group_add: Vec<String>,
    /// Options of the security modules.
    pub security_opt: Vec<String>,
    /// True for all rights of root on the host.
    pub privileged: bool,
    /// Seconds that it has to end by itself, as they are written.
    pub graceful_timeout: i64,
    /// True when a container that was waited for is removed.
    pub remove_on_exit: bool,
    /// Policy for its end.
    pub restart_policy: RestartWish,
    /// So often it is started again.
    pub restart_retries: i64,
    /// State that the container is to have.
    pub state: String,
    /// File systems in memory, with their options.
    pub tmpfs: Vec<String>,
    /// Volumes as they are written.
    pub volumes: Vec<String>,
    /// Containers whose volumes it gets.
    pub volumes_from: Vec<String>,
    /// Limits, as they are written.
    pub dimensions: Map<String, Value>,
    /// True for a terminal.
    pub tty: bool,
    /// Seconds that a container is waited for.
    pub client_timeout: i64,
    /// True when a container that is not there counts as stopped.
    pub ignore_missing: bool,
}

/// Seconds that a container has to end by itself, that it is waited for, and times that it is started again.
const GRACEFUL_TIMEOUT: i64 = 10;
const CLIENT_TIMEOUT: i64 = 120;
const RESTART_RETRIES: i64 = 10;

/// Arguments that `common_options` never give, for they have defaults of their own.
const OWN_DEFAULT: [&str; 12] = [
    "action",
    "detach",
    "labels",
    "cap_add",
    "group_add",
    "security_opt",
    "privileged",
    "remove_on_exit",
    "state",
    "tls_verify",
    "dimensions",
    "tty",
];

impl WorkerParams {
    /// Reads the arguments.
    ///
    /// # Errors
    /// One is unknown, missing, or has a value that can't be used.
    pub fn read(given: &Map<String, Value>) -> Result<WorkerParams, ModuleFailure> {
        let own = convert(MODULE, &ARGUMENTS, given)?;
        let common = own.get("common_options").and_then(Value::as_object).cloned().unwrap_or_default();
        let fields = convert(MODULE, &ARGUMENTS, &merged(own, common))?;
        let fields = ModuleFields(&fields);
        let name = fields.text("action").unwrap_or_default();
        let Some((_, action)) = ACTIONS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            let message = format!("value of action must be one of: {}, got: {name}", known.join(", "));
            return Err(ModuleFailure::new(message));
        };
        let missing: Vec<&str> =
            action.needs().iter().copied().filter(|needed| fields.text(needed).is_none()).collect();
        if !missing.is_empty() {
            let message = format!("action is {name} but these are missing: {}", missing.join(", "));
            return Err(ModuleFailure::new(message));
        }
        let positive = |key: &str, usual: i64| match fields.0.get(key).and_then(whole) {
            None => Ok(usual),
            Some(number) if number >= 0 => Ok(number),
            Some(number) => Err(ModuleFailure::new(format!("argument '{key}': {number} is less than 0"))),
        };
        Ok(WorkerParams {
            action: *action,
            podman: fields.text("container_engine").is_some_and(|engine| engine != "docker"),
            name: fields.text("name").unwrap_or_default(),
            image: fields.text("image").unwrap_or_default(),
            login: fields.text("auth_username").map(|username| RegistryLogin {
                registry: fields.text("auth_registry"),
                username,
                password: fields.text("auth_password").unwrap_or_default(),
            }),
            command: fields.text("command"),
            detach: fields.truth("detach", true),
            labels: fields.pairs("labels")?,
            environment: fields.pairs("environment")?,
            healthcheck: fields.map("healthcheck").filter(|check| !check.is_empty()),
            ipc_mode: fields.text("ipc_mode"),
            pid_mode: fields.text("pid_mode"),
            cgroupns_mode: fields.text("cgroupns_mode"),
            cap_add: fields.texts("cap_add")?,
            group_add: fields.texts("group_add")?,
            security_opt: fields.texts("security_opt")?,
            privileged: fields.truth("privileged", false),
            graceful_timeout: positive("graceful_timeout", GRACEFUL_TIMEOUT)?,
            remove_on_exit: fields.truth("remove_on_exit", true),
            restart_policy: RestartWish::read(&fields.text("restart_policy").unwrap_or_default()),
            restart_retries: positive("restart_retries", RESTART_RETRIES)?.max(1),
            state: fields.text("state").unwrap_or_else(|| "running".to_string()),
            tmpfs: fields.texts("tmpfs")?,
            volumes: fields.texts("volumes")?,
            volumes_from: fields.texts("volumes_from")?,
            dimensions: fields.map("dimensions").unwrap_or_default(),
            tty: fields.truth("tty", false),
            client_timeout: positive("client_timeout", CLIENT_TIMEOUT)?,
            ignore_missing: fields.truth("ignore_missing", false),
        })
    }
}

impl WorkerParams {
    /// Time that the container has to end by itself; none at all reads as the usual one.
    pub fn grace(&self) -> Duration {
        let seconds = if self.graceful_timeout == 0 { GRACEFUL_TIMEOUT } else { self.graceful_timeout };
        Duration::from_secs(seconds.unsigned_abs())
    }

    /// Time that the container is waited for.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.client_timeout.unsigned_abs())
    }
}

const MODULE: &str = "kolla_container";

/// The arguments with those of `common_options` that nothing else says. Variables are merged, one's own over the common.
fn merged(mut own: Map<String, Value>, common: Map<String, Value>) -> Map<String, Value> {
    own.remove("common_options");
    let known = |name: &str| ARGUMENTS.iter().any(|argument| argument.name == name);
    for (name, value) in common {
        if name == "environment" {
            let mut variables = value.as_object().cloned().unwrap_or_default();
            variables.extend(own.get(&name).and_then(Value::as_object).cloned().unwrap_or_default());
            own.insert(name, variables.into());
        } else if known(&name) && !OWN_DEFAULT.contains(&name.as_str()) {
            own.entry(name).or_insert(value);
        }
    }
    own
}

/// Converted arguments.
struct ModuleFields<'a>(&'a Map<String, Value>);

impl ModuleFields<'_> {
    /// A text that is not empty.
    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(String::from)
    }

    fn truth(&self, key: &str, usual: bool) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(usual)
    }

    fn map(&self, key: &str) -> Option<Map<String, Value>> {
        self.0.get(key).and_then(Value::as_object).cloned()
    }

    /// Texts that are not empty; templates leave empty ones where a condition does not hold.
    fn texts(&self, key: &str) -> Result<Vec<String>, ModuleFailure> {
        let items = self.0.get(key).and_then(Value::as_array).into_iter().flatten();
        let text = |item: &Value| {
            scalar_text(item)
                .ok_or_else(|| ModuleFailure::new(format!("argument '{key}': not all of it is text")))
        };
        let texts = items.filter(|item| !item.is_null()).map(text);
        texts.filter(|text| text.as_ref().map_or(true, |text| !text.trim().is_empty())).collect()
    }

    /// Names with values; one of null is empty.
    fn pairs(&self, key: &str) -> Result<BTreeMap<String, String>, ModuleFailure> {
        let pair = |(name, value): (String, Value)| {
            let text = if value.is_null() { Some(String::new()) } else { scalar_text(&value) };
            let text = text.ok_or_else(|| {
                ModuleFailure::new(format!("argument '{key}': the value of {name} is no text"))
            });
            Ok((name, text?))
        };
        self.map(key).unwrap_or_default().into_iter().map(pair).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// What is read of these arguments.
    pub fn params(given: &Value) -> Result<WorkerParams, String> {
        WorkerParams::read(given.as_object().expect("a mapping")).map_err(|failure| failure.message)
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let read = params(&json!({"action": "start_container", "image": "i", "name": "n"})).expect("read");
        assert!(read.detach && read.remove_on_exit && !read.privileged && !read.podman);
        assert_eq!(read.restart_policy, RestartWish::No);
        assert_eq!((read.restart_retries, read.client_timeout, read.graceful_timeout), (10, 120, 10));
        assert_eq!(read.state, "running");
    }

    #[test]
    fn common_options_fill_in_what_is_left_open() {
        let read = params(&json!({
            "action": "start_container", "image": "i", "name": "n", "graceful_timeout": 3, "pid_mode": "",
            "environment": {"B": "own", "N": null, "T": true},
            "common_options": {
                "auth_username": "u", "auth_password": "p", "auth_registry": null, "graceful_timeout": "60",
                "client_timeout": "5", "restart_policy": "unless-stopped", "restart_retries": "7",
                "container_engine": "podman", "environment": {"A": "common", "B": "common"}, "detach": false,
                "of_another_release": 1,
            },
        }));
        let read = read.expect("read");
        assert_eq!((read.graceful_timeout, read.client_timeout, read.restart_retries), (3, 5, 7));
        assert_eq!(read.restart_policy, RestartWish::Always { unless_stopped: true });
        assert!(read.podman && read.detach && read.pid_mode.is_none());
        let environment: Vec<_> =
            read.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(environment, [("A", "common"), ("B", "own"), ("N", ""), ("T", "True")]);
        assert_eq!(read.login.map(|login| login.username), Some("u".to_string()));
    }

    #[test]
    fn what_an_action_needs_is_asked_for() {
        for (given, told) in [
            (json!({"action": "go"}), "value of action must be one of: compare_container, "),
            (
                json!({"action": "start_container", "name": "n"}),
                "action is start_container but these are missing: image",
            ),
            (json!({"action": "pull_image"}), "action is pull_image but these are missing: image"),
            (
                json!({"action": "stop_container", "name": ""}),
                "action is stop_container but these are missing: name",
            ),
            (
                json!({"action": "stop_container", "name": "n", "client_timeout": -1}),
                "argument 'client_timeout': -1 is less than 0",
            ),
        ] {
            let failure = params(&given).err().expect("a failure");
            assert!(failure.starts_with(told), "{failure}");
        }
    }
}
