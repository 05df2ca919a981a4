//! The command line, made from the table of options.

mod abbreviations;
mod names;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{EnumValueParser, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::Shell;

use self::names::off_twin;
use crate::config::command_line::{CommandLine, ConfigPath};
use crate::config::layer::{Entry, SetAt};
use crate::config::options::{
    CommandLineForm, InputPath, OptionGroup, OptionOrigin, OptionSpec, OptionTable, OutputPath, ValueKind,
};
use crate::config::shipped::Defaults;

/// Task that a command line asks for.
#[derive(Debug, Clone)]
pub enum Request {
    /// Build, or do what the configuration asks for instead.
    Run(CommandLine),
    /// Print the configuration, with the place of each value.
    PrintConfig(CommandLine),
    /// Print a completion script.
    Completion(Shell),
    /// Print the manual page.
    Manual,
}

/// Shells that completion scripts can be made for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

const AFTER_SHORT_HELP: &str = "--help describes all options.";

const AFTER_HELP: &str = "\
Options under headings marked (not in Kolla) are new; all others are those of Python kolla-build.
Every switch --x has a twin --nox that turns it off, whatever a configuration file says.
Unambiguous abbreviations work: --list-im, --thread 4.
Options are also keys of kolla-build.conf ([DEFAULT], with '_' for '-') and of build.toml ([options]).

Exit codes: 0 every image asked for is built or unchanged; 1 an image failed, or nothing matched;
2 wrong usage or configuration; 130 interrupted.";

/// Reads the command line; clap's error is ready to be shown and knows its exit code.
pub fn parse(options: OptionTable, args: impl IntoIterator<Item = OsString>) -> Result<Request, clap::Error> {
    let args = abbreviations::expand(options, args)
        .map_err(|ambiguous| command(options).error(ErrorKind::UnknownArgument, ambiguous))?;
    let matches =
        command(options).try_get_matches_from(args).map_err(|error| with_place_in_files(options, error))?;
    if let Some(shell) = matches.get_one("completion") {
        return Ok(Request::Completion(*shell));
    }
    if matches.get_flag("man") {
        return Ok(Request::Manual);
    }
    let line = command_line(options, &matches);
    Ok(if matches.get_flag("print-config") { Request::PrintConfig(line) } else { Request::Run(line) })
}

fn command_line(options: OptionTable, matches: &ArgMatches) -> CommandLine {
    let entry = |option: &OptionSpec, text: String| Entry::of_option(option.name, text, SetAt::CommandLine);
    let mut entries = Vec::new();
    for option in options.iter().filter(|option| option.form != CommandLineForm::Absent) {
        let long = option.long();
        if option.kind == ValueKind::Flag {
            let on = matches.get_flag(&long);
            if on || matches.get_flag(&off_twin(&long)) {
                entries.push(entry(option, on.to_string()));
            }
        } else {
            let values = matches.get_many::<String>(&long).into_iter().flatten();
            entries.extend(values.map(|text| entry(option, text.clone())));
        }
    }
    let mut config_paths: Vec<(usize, ConfigPath)> = paths(matches, "config-file")
        .map(|(index, path)| (index, ConfigPath::File(path)))
        .chain(paths(matches, "config-dir").map(|(index, path)| (index, ConfigPath::Dir(path))))
        .collect();
    config_paths.sort_by_key(|(index, _)| *index);
    CommandLine {
        options,
        entries,
        config_paths: config_paths.into_iter().map(|(_, path)| path).collect(),
        build_tomls: paths(matches, "build-toml").map(|(_, path)| path).collect(),
    }
}

/// Adds to an error about an option that is for files alone how to write it there.
fn with_place_in_files(options: OptionTable, mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(written)) = error.get(ContextKind::InvalidArg) else { return error };
    let is_written = |option: &&OptionSpec| written.trim_start_matches('-') == option.long();
    let mut in_files = options.iter().filter(|option| option.form != CommandLineForm::Named);
    if let Some(option) = in_files.find(is_written) {
        let tip = format!("in a kolla-build.conf it is an option: [DEFAULT] {} = ...", option.name);
        // Similar names on the command line are no help.
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The whole command, for parsing and for documentation.
pub fn command(options: OptionTable) -> Command {
    // What is wrong with the shipped build.toml is told where it is read to be used.
    let defaults = Defaults::of(options).ok();
    let mut command = Command::new("kolla-build")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Build OpenStack container images from Kolla's templates")
        .after_help(AFTER_SHORT_HELP)
        .after_long_help(AFTER_HELP)
        .args_override_self(true)
        .args(command_line_only());
    for group in OptionGroup::ALL {
        for origin in [OptionOrigin::Kolla, OptionOrigin::Ours] {
            command = command.next_help_heading(match origin {
                OptionOrigin::Kolla => group.heading().to_string(),
                OptionOrigin::Ours => format!("{} (not in Kolla)", group.heading()),
            });
            for option in options.of_group(group).filter(|option| option.origin == origin) {
                let default =
                    defaults.as_ref().and_then(|defaults| defaults.shipped(option)).or(option.default);
                command = command.args(option_args(option, default));
            }
        }
    }
    command
}

/// The arguments of [`names::COMMAND_LINE_ONLY`].
fn command_line_only() -> [Arg; 6] {
    let shell = EnumValueParser::<Shell>::new().try_map(|shell| {
        SHELLS.contains(&shell).then_some(shell).ok_or("only bash, zsh and fish are supported")
    });
    [
        path_arg("config-file", "FILE", "Configuration file; may be repeated"),
        path_arg("config-dir", "DIR", "Directory of configuration files (*.conf); may be repeated"),
        path_arg("build-toml", "FILE", "build.toml to lay over the built-in one; may be repeated")
            .hide_short_help(true),
        switch("print-config", "Print the configuration in force, with the place of each value"),
        Arg::new("completion")
            .long("completion")
            .aliases(["shell_completion", "shell-completion"])
            .value_name("SHELL")
            .value_parser(shell)
            .hide_possible_values(true)
            .hide_short_help(true)
            .help("Print a completion script for bash, zsh or fish"),
        switch("man", "Print the manual page").hide_short_help(true),
    ]
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

/// The argument of an option, and for a switch the one that turns it off.
fn option_args(option: &OptionSpec, default: Option<&str>) -> Vec<Arg> {
    let long = option.long();
    let arg = Arg::new(long.clone()).help(option.help).hide_short_help(!option.is_common);
    match option.form {
        CommandLineForm::Absent => return Vec::new(),
        CommandLineForm::Positional => {
            let arg = arg.action(ArgAction::Append).value_name(option.value_name);
            return vec![arg.help_heading(None::<&str>)];
        }
        CommandLineForm::Named => {}
    }
    let arg = arg.long(long.clone()).short(option.short).long_help(long_help(option, default));
    let arg = if long.contains('_') { arg.alias(long.replace('_', "-")) } else { arg };
    if option.kind == ValueKind::Flag {
        let twin = off_twin(&long);
        let off = Arg::new(twin.clone())
            .long(twin.clone())
            .action(ArgAction::SetTrue)
            .overrides_with(long)
            .hide(true);
        return vec![arg.action(ArgAction::SetTrue).overrides_with(twin), off];
    }
    let arg = arg.value_name(option.value_name).value_hint(value_hint(option));
    vec![match option.kind {
        ValueKind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)),
        ValueKind::Many if option.input() == Some(InputPath::Reports) => {
            arg.action(ArgAction::Append).num_args(1..)
        }
        ValueKind::Many => arg.action(ArgAction::Append),
        // Without the '=', what follows is a regex.
        ValueKind::OptionalText { unnamed } => {
            arg.num_args(0..=1).require_equals(true).default_missing_value(unnamed)
        }
        _ => arg,
    }]
}

fn long_help(option: &OptionSpec, default: Option<&str>) -> String {
    let mut help = option.help.to_string();
    if let ValueKind::OptionalText { unnamed } = option.kind {
        help.push_str(&format!(" [without a name: {unnamed}]"));
    }
    if let Some(default) = default {
        help.push_str(&format!(" [default: {default}]"));
    }
    help
}

fn value_hint(option: &OptionSpec) -> ValueHint {
    match (option.input(), option.output()) {
        (Some(InputPath::File | InputPath::LockFile), _)
        | (
            _,
            Some(OutputPath::OfTask | OutputPath::OfRelease | OutputPath::Summary | OutputPath::Report(_)),
        ) => ValueHint::FilePath,
        (Some(InputPath::Reports), _) => ValueHint::AnyPath,
        (Some(InputPath::Dir | InputPath::ImageTree | InputPath::KollaPackage), _)
        | (
            _,
            Some(
                OutputPath::Export
                | OutputPath::WorkDir
                | OutputPath::SourceCache
                | OutputPath::Logs
                | OutputPath::OfImages,
            ),
        ) => ValueHint::DirPath,
        (None, None) => ValueHint::Unknown,
    }
}

fn paths<'a>(matches: &'a ArgMatches, name: &str) -> impl Iterator<Item = (usize, PathBuf)> + 'a {
    let indices = matches.indices_of(name).into_iter().flatten();
    indices.zip(matches.get_many::<PathBuf>(name).into_iter().flatten().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::OPTIONS;

    fn line(args: &[&str]) -> CommandLine {
        let args = ["kolla-build"].iter().chain(args).map(OsString::from);
        match parse(OPTIONS, args) {
            Ok(Request::Run(line)) => line,
            other => panic!("no command line to run: {other:?}"),
        }
    }

    fn values(line: &CommandLine) -> Vec<(&str, &str)> {
        line.entries.iter().map(|entry| (entry.key.as_str(), entry.text.as_str())).collect()
    }

    #[test]
    fn the_table_makes_a_sound_command() {
        command(OPTIONS).debug_assert();
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
        assert_eq!(parse(OPTIONS, args).expect_err("unknown distro").exit_code(), 2);
    }
}
