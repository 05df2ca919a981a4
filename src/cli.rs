//! The command line, made from the table of options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::layer::{DEFAULT, Entry, Place};
use crate::config::options::{Kind, OPTIONS, OptionSpec, Origin};

/// What stands on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Options, as a layer of configuration.
    pub entries: Vec<Entry>,
    /// Regexes of images.
    pub regexes: Vec<String>,
    /// `--config-file` and `--config-dir`, in the order given.
    pub config_paths: Vec<ConfigPath>,
    /// `--build-toml`
    pub build_tomls: Vec<PathBuf>,
    /// `--print-config`
    pub print_config: bool,
}

/// A configuration file or directory named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigPath {
    /// One file.
    File(PathBuf),
    /// A directory whose `*.conf` files are read in order of their names.
    Dir(PathBuf),
}

const AFTER_HELP: &str = "\
Every switch --x has a twin --nox that turns it off, whatever a file says.
Options are also keys of kolla-build.conf ([DEFAULT], '-' written '_') and of build.toml ([options]).

Exit codes: 0 every image asked for is built or unchanged; 1 an image failed, or nothing matched;
2 wrong usage or configuration; 130 interrupted.";

/// Reads the command line; clap's error is ready to be shown and knows its exit code.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<CommandLine, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let mut line = CommandLine {
        regexes: strings(&matches, "regex"),
        build_tomls: paths(&matches, "build-toml").map(|(_, path)| path).collect(),
        print_config: matches.get_flag("print-config"),
        ..CommandLine::default()
    };
    for option in OPTIONS.iter().filter(|option| option.origin != Origin::KollaFile) {
        let entry = |text: String| Entry {
            section: DEFAULT.to_string(),
            key: option.name.to_string(),
            text,
            place: Place::CommandLine,
        };
        if option.kind == Kind::Flag {
            let long = option.long();
            let on = matches.get_flag(&long);
            if on || matches.get_flag(&format!("no{long}")) {
                line.entries.push(entry(on.to_string()));
            }
        } else {
            line.entries.extend(strings(&matches, &option.long()).into_iter().map(entry));
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

/// The whole command, for parsing and for documentation.
pub fn command() -> Command {
    let mut command = Command::new("kolla-build")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Build OpenStack's container images from Kolla's templates")
        .after_help(AFTER_HELP)
        .args_override_self(true)
        .arg(
            Arg::new("regex")
                .action(ArgAction::Append)
                .help("Build only images whose name a regex is found in, and what they are built on"),
        )
        .arg(path_arg("config-file", "FILE", "Configuration file to read; may be repeated"))
        .arg(path_arg("config-dir", "DIR", "Directory whose *.conf files are read; may be repeated"))
        .arg(path_arg("build-toml", "FILE", "build.toml to lay over the built-in one; may be repeated"))
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print every value in force and where it was set, and stop"),
        );
    for option in OPTIONS.iter().filter(|option| option.origin != Origin::KollaFile) {
        command = command.args(option_args(option));
    }
    command
}

fn path_arg(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .value_parser(value_parser!(PathBuf))
        .action(ArgAction::Append)
        .help(help)
}

fn option_args(option: &OptionSpec) -> Vec<Arg> {
    let long = option.long();
    let mut arg = Arg::new(long.clone()).long(long.clone()).help(option.help);
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
        Kind::Choice(words) => arg.value_parser(clap::builder::PossibleValuesParser::new(words)),
        Kind::Many => arg.action(ArgAction::Append).value_name("VALUE"),
        Kind::Integer { .. } => arg.value_name("N"),
        Kind::Dict => arg.value_name("KEY:VALUE,..."),
        Kind::Text | Kind::List => arg.value_name("VALUE"),
    };
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
                ("threads", "4")
            ]
        );
        assert_eq!(line.regexes, ["^x$", "y"]);
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
        let args = ["kolla-build", "--base", "centos"].map(OsString::from);
        assert_eq!(parse(args).expect_err("unknown distro").exit_code(), 2);
    }
}
