//! The command line of `kolla-run` [pure].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::Shell;

use super::labels::MANAGER;
use super::options::{directory, option, pair, pairs, switch, text, texts};
use super::paunch::cli::{self as paunch, PaunchRequest};
use super::puppet::cli::{self as puppet, PuppetRequest};
use super::worker::module::{CallMode, MODULES};
use super::worker::params::ACTIONS;

/// A command line, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// Engine that it names.
    pub host: Option<String>,
    /// Directory of the state of stacks.
    pub state_dir: Option<PathBuf>,
    /// Who looks after the containers.
    pub managed_by: String,
    /// Task to do.
    pub task: RunTask,
}

/// Things that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunTask {
    /// Bring a stack about.
    Apply {
        /// Stack and the values of its parameters.
        stack: StackArguments,
        /// The longest wait for a container.
        timeout: Duration,
    },
    /// Tell what `apply` would do.
    Diff {
        /// Stack and the values of its parameters.
        stack: StackArguments,
        /// True for output as JSON.
        json: bool,
    },
    /// Print the `docker run` line of a container.
    Debug {
        /// Stack and the values of its parameters.
        stack: StackArguments,
        /// Name of the container.
        container: String,
    },
    /// List the containers of all stacks.
    List {
        /// True for output as JSON.
        json: bool,
    },
    /// Ask containers for their health, and for changed files.
    Check {
        /// Stacks; none for all.
        config_ids: Vec<String>,
    },
    /// Print the last lines of containers.
    Logs {
        /// Names of containers; none for all.
        containers: Vec<String>,
        /// So many lines of each.
        tail: usize,
        /// True when what they write from then on is printed too.
        follow: bool,
    },
    /// Remove stacks and their containers.
    Delete {
        /// Identifiers of the stacks to remove.
        config_ids: Vec<String>,
        /// True when volumes and passwords go too.
        volumes: bool,
    },
    /// Remove the stacks that are not named.
    Cleanup {
        /// Identifiers of the stacks that stay.
        config_ids: Vec<String>,
    },
    /// List the stacks inside the program, or print one.
    Stacks {
        /// Stack to print; none to list them.
        name: Option<String>,
    },
    /// Answer a call of one of Ansible's modules.
    Module {
        /// Name of the module.
        module: String,
        /// File with its arguments.
        file: PathBuf,
        /// How it is called.
        mode: CallMode,
    },
    /// Do an action of `kolla_container`.
    Action {
        /// Name of the action.
        action: String,
        /// File with the other arguments.
        file: PathBuf,
        /// How it is called.
        mode: CallMode,
    },
    /// Write files by which Ansible finds the modules into this directory.
    InstallModules {
        /// The directory; it is made.
        directory: PathBuf,
        /// True when modules are to leave systemd alone.
        no_systemd: bool,
    },
    /// Do as paunch does.
    Paunch(PaunchRequest),
    /// Generate configuration files with Puppet.
    Puppet(PuppetRequest),
    /// Print a completion script.
    Completion(Shell),
    /// Print the manual page.
    Manual,
}

/// Arguments that name a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackArguments {
    /// File, or name of a stack inside the program.
    pub file: String,
    /// Identifier of the stack's containers; none for the name of the file.
    pub config_id: Option<String>,
    /// The only step to do; none for all.
    pub step: Option<u32>,
    /// Values of parameters, by their names.
    pub parameters: BTreeMap<String, String>,
}

const AFTER_HELP: &str = "\
A STACK is a file in YAML or JSON, or the name of a stack inside the program (kolla-run stacks).

Exit codes: 0 every container is as it is to be; 1 a container failed, or differs (diff, check);
2 wrong usage or a stack that can't be used; 130 interrupted.";

/// Reads the command line; clap's error is ready to be shown and knows its exit code.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<RunRequest, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let managed_by = text(&matches, "managed-by");
    if let Some(("paunch", of)) = matches.subcommand() {
        let (host, task) = (text(&matches, "host"), RunTask::Paunch(paunch::request(of)));
        return Ok(RunRequest { host, state_dir: None, managed_by: String::new(), task });
    }
    let managed_by = managed_by.unwrap_or_else(|| MANAGER.to_string());
    let (host, state_dir) = (text(&matches, "host"), matches.get_one("state-dir").cloned());
    let request = |task| RunRequest { host, state_dir, managed_by, task };
    if let Some(shell) = matches.get_one("completion") {
        return Ok(request(RunTask::Completion(*shell)));
    }
    if matches.get_flag("man") {
        return Ok(request(RunTask::Manual));
    }
    let (name, of) = matches.subcommand().unwrap_or(("", &matches));
    Ok(request(match name {
        "apply" => {
            let seconds = of.get_one("timeout").copied().unwrap_or(TIMEOUT);
            RunTask::Apply { stack: stack_arguments(of), timeout: Duration::from_secs(seconds) }
        }
        "diff" => RunTask::Diff { stack: stack_arguments(of), json: is_json(of) },
        "debug" => RunTask::Debug {
            stack: stack_arguments(of),
            container: text(of, "container").unwrap_or_default(),
        },
        "list" => RunTask::List { json: is_json(of) },
        "check" => RunTask::Check { config_ids: texts(of, "config-ids") },
        "logs" => RunTask::Logs {
            containers: texts(of, "containers"),
            tail: of.get_one("tail").copied().unwrap_or(TAIL),
            follow: of.get_flag("follow"),
        },
        "delete" => RunTask::Delete { config_ids: texts(of, "config-ids"), volumes: of.get_flag("volumes") },
        "cleanup" => RunTask::Cleanup { config_ids: texts(of, "config-ids") },
        "module" => match of.get_one::<PathBuf>("install") {
            Some(directory) => RunTask::InstallModules {
                directory: directory.clone(),
                no_systemd: of.get_flag("no-systemd"),
            },
            None => RunTask::Module {
                module: text(of, "module").unwrap_or_default(),
                file: file(of),
                mode: call_mode(of),
            },
        },
        "action" => RunTask::Action {
            action: text(of, "action").unwrap_or_default(),
            file: file(of),
            mode: call_mode(of),
        },
        PUPPET => RunTask::Puppet(puppet::request(of)),
        _ => RunTask::Stacks { name: text(of, "name") },
    }))
}

/// Seconds that a container is waited for, and lines of a log, when nothing else is asked for.
const TIMEOUT: u64 = 600;
const TAIL: usize = 100;

/// Name of the command that configures with Puppet.
const PUPPET: &str = "puppet-config";

fn file(matches: &ArgMatches) -> PathBuf {
    matches.get_one("file").cloned().unwrap_or_default()
}

fn call_mode(matches: &ArgMatches) -> CallMode {
    let is_set = |name: &str| matches.get_flag(name);
    CallMode { check: is_set("check"), diff: is_set("diff"), no_systemd: is_set("no-systemd") }
}

fn is_json(matches: &ArgMatches) -> bool {
    matches.get_one::<String>("format").is_some_and(|format| format == "json")
}

fn stack_arguments(matches: &ArgMatches) -> StackArguments {
    StackArguments {
        file: text(matches, "stack").unwrap_or_default(),
        config_id: text(matches, "config-id"),
        step: matches.get_one("step").copied(),
        parameters: pairs(matches, "set").collect(),
    }
}

/// The whole command, for parsing and for documentation.
pub fn command() -> Command {
    Command::new("kolla-run")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Bring OpenStack's containers into the state that a stack describes")
        .after_help(AFTER_HELP)
        .arg_required_else_help(true)
        .args(global())
        .subcommands([
            stack_command("apply", "Make what is missing or differs, in steps, and wait until it is up").arg(
                option(
                    "timeout",
                    "SECONDS",
                    "Longest wait for a container to be up, or to end [default: 600]",
                )
                .value_parser(value_parser!(u64)),
            ),
            stack_command("diff", "Tell what apply would do, and why").arg(format()),
            stack_command("debug", "Print the docker run line of a container")
                .arg(option("container", "NAME", "Name of the container in the stack").required(true)),
            Command::new("list").about("List the containers that kolla-run looks after").arg(format()),
            Command::new("check")
                .about("Ask every container for its health, and kolla_set_configs for changed files")
                .arg(config_ids("Stacks to check [default: all]")),
            Command::new("logs")
                .about("Print the last lines of containers")
                .arg(
                    option("tail", "LINES", "So many lines of each [default: 100]")
                        .value_parser(value_parser!(usize)),
                )
                .arg(switch("follow", "Go on with what they write, until they end").short('f'))
                .arg(positional("containers", "CONTAINER", "Names of containers").required(true)),
            Command::new("delete")
                .about("Remove the containers and networks of stacks")
                .arg(switch("volumes", "Remove their volumes, files and passwords too"))
                .arg(config_ids("Stacks to remove").required(true)),
            Command::new("cleanup")
                .about("Remove the containers of every stack that is not named")
                .arg(config_ids("Stacks that stay")),
            call_command(
                "action",
                "Do what kolla-ansible's module kolla_container does, and answer in its JSON",
            )
            .arg(
                Arg::new("action")
                    .value_name("ACTION")
                    .required(true)
                    .value_parser(PossibleValuesParser::new(ACTIONS.map(|(name, _)| name)))
                    .hide_possible_values(true)
                    .help("One of the module's 13: start_container, compare_container, ..."),
            )
            .arg(arguments_file().required(true)),
            call_command("module", "Answer a call of one of kolla-ansible's modules, as Ansible makes it")
                .arg(
                    Arg::new("module")
                        .value_name("MODULE")
                        .required_unless_present("install")
                        .value_parser(MODULES)
                        .help("Name of the module"),
                )
                .arg(arguments_file().required_unless_present("install"))
                .arg(
                    directory("install", "Write files into DIR by which Ansible finds the modules, and end")
                        .conflicts_with_all(["module", "file"]),
                ),
            paunch::command("paunch"),
            puppet::command(PUPPET),
            Command::new("stacks")
                .about("List the stacks inside the program, or print one")
                .arg(Arg::new("name").value_name("NAME").help("Stack to print")),
        ])
}

fn stack_command(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).args([
        Arg::new("stack")
            .value_name("STACK")
            .required(true)
            .value_hint(ValueHint::FilePath)
            .help("File in YAML or JSON, or the name of a stack inside the program"),
        option("step", "N", "Only this step").value_parser(value_parser!(u32)),
        option("config-id", "ID", "What the containers are known by [default: the name of the file]"),
        option("set", "NAME=VALUE", "Value of a parameter of the stack; may be repeated")
            .action(ArgAction::Append)
            .value_parser(pair),
    ])
}

fn call_command(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).args([
        switch("check", "Change nothing, and tell what would be"),
        switch("diff", "Tell what differs, in the answer's diff"),
        switch("no-systemd", "Write no units of systemd: the engine itself restarts containers"),
    ])
}

fn arguments_file() -> Arg {
    Arg::new("file")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .help("Arguments of the module, as a mapping in JSON")
}

fn global() -> [Arg; 5] {
    [
        option(
            "host",
            "ENDPOINT",
            "Engine: unix:///PATH, tcp://HOST:PORT, ssh://HOST [default: as docker finds it]",
        )
        .short('H')
        .global(true),
        option("managed-by", "NAME", "Look after containers as this tool [default: kolla-run]").global(true),
        directory("state-dir", "Passwords, files and locks of stacks [default: ~/.local/state/kolla-run]")
            .global(true),
        option("completion", "SHELL", "Print a completion script for bash, zsh or fish")
            .value_parser(value_parser!(Shell))
            .hide_possible_values(true)
            .exclusive(true),
        switch("man", "Print the manual page").exclusive(true),
    ]
}

fn positional(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).num_args(1..).action(ArgAction::Append).help(help)
}

fn config_ids(help: &'static str) -> Arg {
    positional("config-ids", "ID", help)
}

fn format() -> Arg {
    option("format", "FORMAT", "text or json").value_parser(["text", "json"]).hide_possible_values(true)
}

/// A script that completes the command's options in a shell.
pub fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "kolla-run", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page, in roff, with a part for each command.
pub fn manual() -> std::io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command()).render(&mut page)?;
    let mut whole = command();
    whole.build();
    for of in whole.get_subcommands().filter(|of| of.get_name() != "help") {
        page.extend_from_slice(format!(".SH {}\n", of.get_name().to_uppercase()).as_bytes());
        let part = clap_mangen::Man::new(of.clone().version(None).disable_help_flag(true));
        part.render_description_section(&mut page)?;
        part.render_options_section(&mut page)?;
    }
    // Each part is one section, and what it is made of are parts of that.
    let text = String::from_utf8_lossy(&page).into_owned();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Result<RunRequest, clap::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
        let page = manual().expect("a page");
        for word in ["APPLY", "timeout", "CLEANUP", "Exit codes"] {
            assert!(page.contains(word), "{word}: {page}");
        }
    }

    #[test]
    fn arguments_are_read() {
        let apply =
            request("kolla-run apply s.yaml --step 2 --set a=b=c --set d= --managed-by x -H unix:///s");
        let RunRequest { host, managed_by, task, state_dir } = apply.expect("a request");
        assert_eq!((host.as_deref(), managed_by.as_str(), state_dir), (Some("unix:///s"), "x", None));
        let RunTask::Apply { stack, timeout } = task else { panic!("{task:?}") };
        assert_eq!((stack.file.as_str(), stack.step, timeout.as_secs()), ("s.yaml", Some(2), 600));
        let parameters = [("a", "b=c"), ("d", "")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(stack.parameters, parameters.into());
        let delete = request("kolla-run delete --volumes a b").expect("a request").task;
        assert_eq!(
            delete,
            RunTask::Delete { config_ids: vec!["a".to_string(), "b".to_string()], volumes: true }
        );
        assert_eq!(request("kolla-run stacks").expect("a request").task, RunTask::Stacks { name: None });
        for wrong in ["kolla-run apply", "kolla-run delete", "kolla-run apply s --set a", "kolla-run aply s"]
        {
            assert_eq!(request(wrong).expect_err(wrong).exit_code(), 2);
        }
    }
}
