//! Building again whenever something changes that images are made from.

use std::path::PathBuf;

use crate::config::command_line::CommandLine;
use crate::config::kolla_package::PACKAGE_PARTS;
use crate::config::layer::Layers;
use crate::config::load::{self, load};
use crate::config::options::{InputPath, OptionRole};
use crate::config::resolve::resolve;
use crate::config::resolved::{Config, Task};
use crate::config::source::{Source, SourceOrigin};
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Fatal};
use crate::freshness::recipe::Recipe;
use crate::session::changes::{FileChanges, WatchedPaths};
use crate::session::environment::Environment;
use crate::session::prepare::prepare;
use crate::session::recipes::recipes;
use crate::session::stdio::tell;
use crate::session::threads::runtime;
use crate::session::{places, tree};

/// How many changed files are told by name.
const NAMED: usize = 3;

/// Does by `run` what the command line asks for, and again after each change, until it is interrupted; gives the exit code.
pub fn watch(
    line: &CommandLine,
    environment: &Environment,
    run: impl Fn(Layers) -> Result<u8, Fatal>,
) -> Result<u8, Fatal> {
    // What can't be right on the command line can't be mended by waiting.
    let first = watched(line, environment)?;
    if first.is_empty() {
        let message = "there is nothing to watch: no image tree, override or configuration file is named";
        return Err(Fatal::message(message, EXIT_USAGE).hinted("--images-dir DIR names an image tree"));
    }
    let mut changes = look(first)?;
    settle(&mut changes, line, environment)?;
    let runtime = runtime()?;
    loop {
        let layers = load(line, &environment.variables).map_err(Fatal::from);
        match layers.and_then(&run) {
            Ok(EXIT_INTERRUPTED) => return Ok(EXIT_INTERRUPTED),
            Ok(_) => {}
            Err(fatal) => tell(fatal),
        }
        tell("Watching for changes; Ctrl-C ends it");
        let changed = runtime.block_on(changes.next());
        let names: Vec<String> = changed.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        let more = match changed.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        tell(format_args!("Changed: {}{more}", names.join(", ")));
        settle(&mut changes, line, environment)?;
    }
}

/// Looks at what a run reads now. What came into being before it was looked at is found by asking again.
fn settle(changes: &mut FileChanges, line: &CommandLine, environment: &Environment) -> Result<(), Fatal> {
    // Configuration that can't be read is told by the run; until it is mended the old files are looked at.
    while let Ok(now) = watched(line, environment)
        && now != *changes.watched()
    {
        *changes = look(now)?;
    }
    Ok(())
}

fn look(watched: WatchedPaths) -> Result<FileChanges, Fatal> {
    FileChanges::of(watched).map_err(|error| {
        Fatal::new(&error, EXIT_FAILED)
            .during("failed to watch for changes")
            .hinted("the system's limits are fs.inotify.max_user_watches and max_user_instances")
    })
}

/// Paths that a run of this command line reads and writes.
fn watched(line: &CommandLine, environment: &Environment) -> Result<WatchedPaths, Fatal> {
    let mut layers = load(line, &environment.variables)?;
    tree::add_tree_facts(&mut layers)?;
    let mut inputs: Vec<PathBuf> = load::places(line, &environment.variables);
    inputs.extend(image_inputs(&layers)?);
    let config = resolve(layers)?;
    let outputs: Vec<_> = places::written(&config, environment)?
        .into_iter()
        .map(|(writing, place)| (writing, place.path))
        .collect();
    match config.task {
        // A tree that can't be rendered is told by the run; what is asked for is known once it is mended.
        Task::Build => inputs.extend(local_sources(config, environment).unwrap_or_default()),
        Task::TemplateOnly => {}
        _ => {
            let message = "--watch goes with building and with --template-only";
            return Err(Fatal::message(message, EXIT_USAGE));
        }
    }
    Ok(WatchedPaths::new(inputs, outputs))
}

/// Files and directories of the options that images are made from.
pub(super) fn image_inputs(layers: &Layers) -> Result<Vec<PathBuf>, Fatal> {
    let mut inputs = Vec::new();
    for option in layers.options().iter() {
        let paths = layers.paths_of(option)?.into_iter();
        match (option.role, option.input()) {
            (OptionRole::ImageInput, _) => inputs.extend(paths),
            (_, Some(InputPath::KollaPackage)) => {
                inputs.extend(paths.flat_map(|package| PACKAGE_PARTS.map(|part| package.join(part))));
            }
            _ => {}
        }
    }
    Ok(inputs)
}

/// The directories and archives on this machine that images asked for are made from.
fn local_sources(config: Config, environment: &Environment) -> Result<Vec<PathBuf>, Fatal> {
    let recipes = recipes(&prepare(config, environment)?, environment)?;
    let local = |source: &Source| match &source.origin {
        SourceOrigin::Local(path) => Some(path.clone()),
        _ => None,
    };
    Ok(recipes.values().flat_map(Recipe::sources).filter_map(local).collect())
}
