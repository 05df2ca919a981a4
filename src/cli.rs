//! The command line, made from the table of options.

mod abbreviations;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{EnumValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::Shell;

use crate::config::layer::{DEFAULT, Entry, Layers, Place};
use crate::config::load;
use crate::config::options::{self, Kind, OPTIONS, OptionSpec, Origin};

/// What stands on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Options, as a layer of configuration.
    pub entries: Vec<Entry>,
    /// `--config-file` and `--config-dir`, in the order given.
    pub config_paths: Vec<ConfigPath>,
    /// `--build-toml`
    pub build_tomls: Vec<PathBuf>,
    /// `--print-config`
    pub print_config: bool,
    /// `--completion`
    pub completion: Option<Shell>,
    /// `--man`
    pub man: bool,
}

/// A configuration file or directory named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigPath {
    /// One file.
    File(PathBuf),
    /// A directory whose `*.conf` files are read in order of their names.
    Dir(PathBuf),
}

/// Shells that completion scripts can be made for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Options that the short help shows.
const COMMON: [&str; 14] = [
    "base",
    "namespace",
    "registry",
    "tag",
    "profile",
    "template_override",
    "push",
    "threads",
    "template_only",
    "list_images",
    "explain",
    "plan",
    "logs_dir",
    "quiet",
];

/// Options that name a file.
const FILES: [&str; 5] =
    ["template_override", "repos_yaml", "registry_ca", "save_dependency", "summary_json_file"];

const AFTER_SHORT_HELP: &str = "--help tells about every option.";

const AFTER_HELP: &str = "\
Every switch --x has a twin --nox that turns it off, whatever a file says.
Names may be written short as long as they are unambiguous: --list-im, --thread 4.
Options are also keys of kolla-build.conf ([DEFAULT], '-' written '_') and of build.toml ([options]).

Exit codes: 0 every image asked for is built or unchanged; 1 an image failed, or nothing matched;
2 wrong usage or configuration; 130 interrupted.";

/// Reads the command line; clap's error is ready to be shown and knows its exit code.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<CommandLine, clap::Error> {
    let args = abbreviations::expand(args)
        .map_err(|ambiguous| command().error(ErrorKind::UnknownArgument, ambiguous))?;
    let matches = command().try_get_matches_from(args).map_err(told_where)?;
    let mut line = CommandLine {
        build_tomls: paths(&matches, "build-toml").map(|(_, path)| path).collect(),
        print_config: matches.get_flag("print-config"),
        completion: matches.get_one("completion").copied(),
        man: matches.get_flag("man"),
        ..CommandLine::default()
    };
    let entry = |option: &OptionSpec, text: String| Entry {
        section: DEFAULT.to_string(),
        key: option.name.to_string(),
        text,
        place: Place::CommandLine,
    };
    for option in OPTIONS.iter().filter(|option| on_command_line(option)) {
        let long = option.long();
        if option.kind == Kind::Flag {
            let on = matches.get_flag(&long);
            if on || matches.get_flag(&format!("no{long}")) {
                line.entries.push(entry(option, on.to_string()));
            }
        } else {
            line.entries.extend(strings(&matches, &long).into_iter().map(|text| entry(option, text)));
        }
    }
    let mut config_paths: Vec<(usize, ConfigPath)> = paths(&matches, "config-file")
        .map(|(index, path)| (index, ConfigPath::File(path)))
        .chain(paths(&matches, "config-dir").map(|(index, path)| (index, ConfigPath::Dir(path))))
        .collect();
    config_paths.sort_by_key(|(index, _)| *index);
    line.config_paths = config_paths.into_iter().map(|(_, path)| path).collect();
    Ok(line)
}

/// Says of an option that is for files alone where it goes.
fn told_where(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(written)) = error.get(ContextKind::InvalidArg) else { return error };
    let is_written = |option: &&OptionSpec| written.trim_start_matches('-') == option.long();
    let in_files = OPTIONS.iter().filter(|option| option.origin == Origin::KollaFile);
    if let Some(option) = in_files.into_iter().find(is_written) {
        let tip = format!("in a kolla-build.conf it is an option: [DEFAULT] {} = ...", option.name);
        // Similar names on the command line are no help.
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The regexes have no name on the command line, but they are on it.
fn on_command_line(option: &OptionSpec) -> bool {
    option.origin != Origin::KollaFile || option.name == "regex"
}

/// The whole command, for parsing and for documentation.
pub fn command() -> Command {
    let mut defaults = Layers::default();
    // What is wrong with the shipped build.toml is told where it is read to be used.
    defaults.push(load::built_in().unwrap_or_default());
    let mut command = Command::new("kolla-build")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Build OpenStack's container images from Kolla's templates")
        .after_help(AFTER_SHORT_HELP)
        .after_long_help(AFTER_HELP)
        .args_override_self(true)
        .arg(
            Arg::new("regex")
                .action(ArgAction::Append)
                .help("Build only images whose name a regex is found in, and what they are built on"),
        )
        .arg(path_arg("config-file", "FILE", "Configuration file to read; may be repeated"))
        .arg(path_arg("config-dir", "DIR", "Directory whose *.conf files are read; may be repeated"))
        .arg(
            path_arg("build-toml", "FILE", "build.toml to lay over the built-in one; may be repeated")
                .hide_short_help(true),
        )
        .arg(switch("print-config", "Print every value in force and where it was set, and stop"))
        .arg(
            Arg::new("completion")
                .long("completion")
                .aliases(["shell_completion", "shell-completion"])
                .value_name("SHELL")
                .value_parser(EnumValueParser::<Shell>::new().try_map(|shell| {
                    SHELLS.contains(&shell).then_some(shell).ok_or("only bash, zsh and fish are supported")
                }))
                .hide_possible_values(true)
                .hide_short_help(true)
                .help("Print a completion script for bash, zsh or fish, and stop"),
        )
        .arg(switch("man", "Print the manual page, and stop").hide_short_help(true));
    for (heading, options) in options::by_heading() {
        command = command.next_help_heading(heading);
        for option in options.iter().filter(|option| option.origin != Origin::KollaFile) {
            command = command.args(option_args(option, &defaults));
        }
    }
    command
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn path_arg(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .value_parser(value_parser!(PathBuf))
        .value_hint(if value == "DIR" { ValueHint::DirPath } else { ValueHint::FilePath })
        .action(ArgAction::Append)
        .help(help)
}

fn option_args(option: &OptionSpec, defaults: &Layers) -> Vec<Arg> {
    let long = option.long();
    let mut arg = Arg::new(long.clone())
        .long(long.clone())
        .help(option.help)
        .hide_short_help(!COMMON.contains(&option.name));
    if let Some(default) = options::shipped_default(option, defaults) {
        arg = arg.long_help(format!("{} [default: {default}]", option.help));
    }
    if let Some(short) = option.short {
        arg = arg.short(short);
    }
    if long.contains('_') {
        arg = arg.alias(long.replace('_', "-"));
    }
    arg = match option.kind {
        Kind::Flag => {
            let twin = format!("no{long}");
            let off = Arg::new(twin.clone())
                .long(twin.clone())
                .action(ArgAction::SetTrue)
                .overrides_with(long.clone())
                .hide(true);
            return vec![arg.action(ArgAction::SetTrue).overrides_with(twin), off];
        }
        Kind::Choice(words) => arg
            .value_name(option.name.to_uppercase())
            .value_parser(clap::builder::PossibleValuesParser::new(words)),
        Kind::Many if option.name == "merge_summaries" => {
            arg.action(ArgAction::Append).num_args(1..).value_name("FILE").value_hint(ValueHint::AnyPath)
        }
        Kind::Many => arg.action(ArgAction::Append).value_name("VALUE"),
        Kind::Integer { .. } => arg.value_name("N"),
        Kind::Dict => arg.value_name("KEY:VALUE,..."),
        // Without the '=', what follows is a regex.
        Kind::File { unnamed } => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(unnamed)
            .value_name("FILE")
            .value_hint(ValueHint::FilePath),
        Kind::Text if option.name == "affected_since" => arg.value_name("REV"),
        Kind::Text if option.name == "retag" => arg.value_name("FROM:TO"),
        Kind::Text if option.name == "explain" => arg.value_name("IMAGE"),
        Kind::Text | Kind::List => arg.value_name("VALUE"),
    };
    if option.name.ends_with("_dir") || option.name == "patches_path" {
        arg = arg.value_name("DIR").value_hint(ValueHint::DirPath);
    } else if FILES.contains(&option.name) {
        arg = arg.value_name("FILE").value_hint(ValueHint::FilePath);
    }
    vec![arg]
}

fn strings(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).map(|values| values.cloned().collect()).unwrap_or_default()
}

fn paths<'a>(matches: &'a ArgMatches, name: &str) -> impl Iterator<Item = (usize, PathBuf)> + 'a {
    let indices = matches.indices_of(name).into_iter().flatten();
    indices.zip(matches.get_many::<PathBuf>(name).into_iter().flatten().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[&str]) -> CommandLine {
        let args = ["kolla-build"].iter().chain(args).map(OsString::from);
        parse(args).expect("valid command line")
    }

    fn values(line: &CommandLine) -> Vec<(&str, &str)> {
        line.entries.iter().map(|entry| (entry.key.as_str(), entry.text.as_str())).collect()
    }

    #[test]
    fn the_table_makes_a_sound_command() {
        command().debug_assert();
    }

    #[test]
    fn switches_and_their_twins_the_last_one_wins() {
        assert_eq!(values(&line(&["--nopull", "--push"])), [("pull", "false"), ("push", "true")]);
        assert_eq!(values(&line(&["--pull", "--nopull"])), [("pull", "false")]);
        assert_eq!(values(&line(&["--nopull", "--pull"])), [("pull", "true")]);
    }

    #[test]
    fn short_forms_repetitions_and_kollas_underscores() {
        let line =
            line(&["-b", "debian", "-T", "4", "-p", "a", "-p", "b", "--network_mode", "none", "^x$", "y"]);
        assert_eq!(
            values(&line),
            [
                ("base", "debian"),
                ("profile", "a"),
                ("profile", "b"),
                ("network_mode", "none"),
                ("threads", "4"),
                ("regex", "^x$"),
                ("regex", "y")
            ]
        );
    }

    #[test]
    fn config_files_and_directories_keep_their_order() {
        let line = line(&["--config-dir", "d", "--config-file", "f", "--config-dir=e"]);
        assert_eq!(
            line.config_paths,
            [ConfigPath::Dir("d".into()), ConfigPath::File("f".into()), ConfigPath::Dir("e".into())]
        );
    }

    #[test]
    fn an_unknown_word_is_a_usage_error() {
        let args = ["kolla-build", "--base", "suse"].map(OsString::from);
        assert_eq!(parse(args).expect_err("unknown distro").exit_code(), 2);
    }
}
