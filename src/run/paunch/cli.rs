//! paunch's command line, below `kolla-run paunch` and as a program of its own [pure].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use super::super::options::{option, pair, pairs, switch, text, texts};
use super::decide::HISTORIC_MANAGER;
use super::listing::{ListFormat, ListOptions};

/// A command line, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaunchRequest {
    /// Kind of the engine.
    pub runtime: PaunchRuntime,
    /// Who looks after the containers.
    pub managed_by: String,
    /// File that what is told is written to as well.
    pub log_file: Option<PathBuf>,
    /// True when only what is wrong is told.
    pub quiet: bool,
    /// Task to do.
    pub task: PaunchTask,
}

/// Kind of an engine, by its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaunchRuntime {
    /// Docker, or whatever it is told to talk to.
    Docker,
    /// Podman's service.
    Podman,
}

impl PaunchRuntime {
    /// Name of the engine's program.
    pub fn program(self) -> &'static str {
        match self {
            PaunchRuntime::Docker => "docker",
            PaunchRuntime::Podman => "podman",
        }
    }
}

/// Things that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaunchTask {
    /// Bring a config about.
    Apply {
        /// Its containers.
        config: ConfigArguments,
        /// True when containers that it does not name are removed.
        cleanup: bool,
        /// True when no engine is to ask containers for their health.
        healthcheck_disabled: bool,
        /// Directory of logs that is not used.
        log_path: Option<PathBuf>,
    },
    /// Remove the configs that are not named.
    Cleanup {
        /// Identifiers of the configs that stay.
        config_ids: Vec<String>,
    },
    /// Remove configs.
    Delete {
        /// Identifiers of the configs.
        config_ids: Vec<String>,
    },
    /// List the containers of all configs.
    List(ListOptions),
    /// Show a container, or run it by hand.
    Debug {
        /// Where it is described.
        config: ConfigArguments,
        /// Name of the container.
        container: String,
        /// Action on it.
        action: DebugAction,
        /// What is changed before.
        changes: DebugChanges,
    },
}

/// Arguments that name a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigArguments {
    /// File or directory.
    pub file: String,
    /// Identifier that its containers get.
    pub config_id: String,
    /// Labels that they get beside.
    pub labels: Vec<(String, String)>,
}

/// Ways to look at a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugAction {
    /// Print the command that runs it.
    PrintCmd,
    /// Run it on this terminal.
    Run,
    /// Print its settings as YAML.
    DumpYaml,
    /// Print its settings as JSON.
    DumpJson,
}

/// Changes to the settings of a container that is run by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DebugChanges {
    /// True for a terminal.
    pub interactive: bool,
    /// True for a shell on a terminal.
    pub shell: bool,
    /// Another user.
    pub user: Option<String>,
    /// Other settings, as JSON.
    pub overrides: Option<String>,
}

/// Name of the program that this one stands in for.
pub const PROGRAM: &str = "paunch";

const ACTIONS: [(&str, DebugAction); 4] = [
    ("print-cmd", DebugAction::PrintCmd),
    ("run", DebugAction::Run),
    ("dump-yaml", DebugAction::DumpYaml),
    ("dump-json", DebugAction::DumpJson),
];

const RUNTIMES: [&str; 2] = ["docker", "podman"];

const AFTER_HELP: &str = "\
Exit codes: 0, or the last one that a container gave and that its exit_codes do not have; 1 for what could not be done.";

/// Reads a command line of the program by itself; clap's error is ready to be shown and knows its exit code.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
) -> Result<(PaunchRequest, Option<String>), clap::Error> {
    let own = command(PROGRAM).version(env!("CARGO_PKG_VERSION")).args([
        option("managed-by", "NAME", "Name of the tool that manages the containers [default: paunch]")
            .global(true),
        option("host", "ENDPOINT", "Engine, in place of the one of --default-runtime")
            .short('H')
            .global(true),
    ]);
    let matches = own.try_get_matches_from(args)?;
    let host = text(&matches, "host");
    Ok((request(&matches), host))
}

/// The command, which knows `--managed-by` by what it is part of.
pub fn command(name: &'static str) -> Command {
    Command::new(name)
        .about("Do as TripleO's paunch does, with its options and files")
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .infer_long_args(true)
        .args([
            switch("verbose", "Means nothing: everything is told")
                .short('v')
                .action(ArgAction::Count)
                .global(true),
            switch("quiet", "Tell only what is wrong").short('q').global(true),
            switch("debug", "Means nothing: everything is told").global(true),
            option("log-file", "FILE", "Write what is told to this file too")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .global(true),
        ])
        .subcommands([
            apply(),
            ids("cleanup", "Remove the containers of every config that is not named"),
            ids("delete", "Remove the containers of configs"),
            list(),
            debug(),
        ])
        .mut_subcommands(|sub| sub.infer_long_args(true).arg(runtime()))
}

fn apply() -> Command {
    Command::new("apply")
        .about("Make the containers of a file or a directory of hashed-NAME.json")
        .args(config(true))
        .args([
            option("container-log-path", "DIR", "Directory of Podman's logs: its own is used")
                .value_parser(value_parser!(PathBuf)),
            switch("healthcheck-disabled", "Let Podman ask no container for its health"),
            switch("no-cleanup", "Leave containers that are not in the file"),
            // As the Ansible module has it.
            switch("cleanup", "Remove containers that are not in the file, which is the default")
                .conflicts_with("no-cleanup"),
        ])
}

fn ids(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).arg(
        Arg::new("config-ids")
            .value_name("ID")
            .num_args(0..)
            .action(ArgAction::Append)
            .help("Identifiers of configs"),
    )
}

fn list() -> Command {
    Command::new("list").about("List the containers of all configs").args([
        option("format", "FORMAT", "csv, json, table, value or yaml [default: table]")
            .short('f')
            .value_parser(["csv", "json", "table", "value", "yaml"])
            .hide_possible_values(true),
        option("column", "COLUMN", "Only this column; may be repeated").short('c').action(ArgAction::Append),
        option("sort-column", "COLUMN", "Sort by this column; may be repeated").action(ArgAction::Append),
        switch("sort-ascending", "Sort from the smallest").conflicts_with("sort-descending"),
        switch("sort-descending", "Sort from the largest"),
        switch("noindent", "JSON on one line"),
        switch("print-empty", "Print a table without rows"),
    ])
}

fn debug() -> Command {
    Command::new("debug").about("Show a container, or run it by hand").args(config(false)).args([
        option("container", "NAME", "Name of the container").required(true),
        option("action", "ACTION", "print-cmd, run, dump-yaml or dump-json [default: print-cmd]")
            .value_parser(ACTIONS.map(|(name, _)| name))
            .hide_possible_values(true),
        switch("interactive", "Run it on this terminal"),
        switch("shell", "Run a shell in its place"),
        option("user", "NAME", "Run it as this user"),
        option("overrides", "JSON", "Settings that replace its own"),
    ])
}

fn config(is_id_needed: bool) -> [Arg; 3] {
    [
        option("file", "FILE", "File, or directory of hashed-NAME.json")
            .required(true)
            .value_hint(ValueHint::AnyPath),
        option("config-id", "ID", "What the containers are known by").required(is_id_needed),
        option("label", "NAME=VALUE", "Label of every container; may be repeated")
            .action(ArgAction::Append)
            .value_parser(pair),
    ]
}

fn runtime() -> Arg {
    option("default-runtime", "RUNTIME", "docker or podman [default: podman]")
        .value_parser(RUNTIMES)
        .hide_possible_values(true)
}

/// What the matches of [`command`] ask for.
pub fn request(matches: &ArgMatches) -> PaunchRequest {
    let (name, of) = matches.subcommand().unwrap_or(("", matches));
    let config_ids = || texts(of, "config-ids");
    let task = match name {
        "apply" => PaunchTask::Apply {
            config: config_arguments(of),
            cleanup: !of.get_flag("no-cleanup"),
            healthcheck_disabled: of.get_flag("healthcheck-disabled"),
            log_path: of.get_one("container-log-path").cloned(),
        },
        "cleanup" => PaunchTask::Cleanup { config_ids: config_ids() },
        "delete" => PaunchTask::Delete { config_ids: config_ids() },
        "debug" => PaunchTask::Debug {
            config: config_arguments(of),
            container: text(of, "container").unwrap_or_default(),
            action: action(text(of, "action").as_deref()),
            changes: DebugChanges {
                interactive: of.get_flag("interactive"),
                shell: of.get_flag("shell"),
                user: text(of, "user").filter(|user| !user.is_empty()),
                overrides: text(of, "overrides").filter(|json| !json.is_empty()),
            },
        },
        _ => PaunchTask::List(ListOptions {
            format: ListFormat::named(text(of, "format").as_deref(), of.get_flag("noindent")),
            columns: texts(of, "column"),
            sort: texts(of, "sort-column"),
            descending: of.get_flag("sort-descending"),
            print_empty: of.get_flag("print-empty"),
        }),
    };
    let runtime = match text(of, "default-runtime").as_deref() {
        Some("docker") => PaunchRuntime::Docker,
        _ => PaunchRuntime::Podman,
    };
    PaunchRequest {
        runtime,
        managed_by: text(of, "managed-by").unwrap_or_else(|| HISTORIC_MANAGER.to_string()),
        log_file: of.get_one("log-file").cloned(),
        quiet: of.get_flag("quiet"),
        task,
    }
}

fn action(name: Option<&str>) -> DebugAction {
    let found = ACTIONS.iter().find(|(known, _)| Some(*known) == name);
    found.map_or(DebugAction::PrintCmd, |(_, action)| *action)
}

/// Identifier of containers that are run by hand.
const DEBUG_ID: &str = "debug";

fn config_arguments(of: &ArgMatches) -> ConfigArguments {
    ConfigArguments {
        file: text(of, "file").unwrap_or_default(),
        config_id: text(of, "config-id").unwrap_or_else(|| DEBUG_ID.to_string()),
        labels: pairs(of, "label").collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(PaunchRequest, Option<String>), clap::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn paunch_s_own_options_are_read() {
        let line = "paunch --verbose apply --file d --config-id 1 --label a=b=c --label d= --managed-by me --no-cleanup --default-runtime docker --container-log-path /l --healthcheck-disabled";
        let (request, host) = read(line).expect("a request");
        assert_eq!((request.runtime, request.managed_by.as_str(), host), (PaunchRuntime::Docker, "me", None));
        let PaunchTask::Apply { config, cleanup, healthcheck_disabled, log_path } = request.task else {
            panic!("no apply")
        };
        assert_eq!((config.file.as_str(), config.config_id.as_str(), cleanup), ("d", "1", false));
        assert_eq!((healthcheck_disabled, log_path), (true, Some(PathBuf::from("/l"))));
        let labels = [("a", "b=c"), ("d", "")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(config.labels, labels);
    }

    #[test]
    fn defaults_are_paunch_s() {
        let (request, _) = read("paunch list").expect("a request");
        assert_eq!((request.runtime, request.managed_by.as_str()), (PaunchRuntime::Podman, "paunch"));
        let (request, _) = read("paunch debug --file f --cont c").expect("a request");
        let PaunchTask::Debug { config, action, container, .. } = request.task else { panic!("no debug") };
        assert_eq!(
            (config.config_id.as_str(), action, container.as_str()),
            ("debug", DebugAction::PrintCmd, "c")
        );
        let (request, _) = read("paunch cleanup a b").expect("a request");
        assert_eq!(request.task, PaunchTask::Cleanup { config_ids: vec!["a".to_string(), "b".to_string()] });
        for wrong in
            ["paunch", "paunch apply --file f", "paunch list --default-runtime crio", "paunch debug --file f"]
        {
            assert_eq!(read(wrong).expect_err(wrong).exit_code(), 2);
        }
    }
}
