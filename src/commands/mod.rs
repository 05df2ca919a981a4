//! The program, top to bottom: configuration, tree, rendering, graph, plan, and then the task that was asked for.

mod affected;
mod build;
mod compare_builds;
mod complete_lists;
mod explain;
mod export_bake;
mod export_pipeline;
mod export_ramdisk;
mod image_files;
mod list_platforms;
mod merge_summaries;
#[cfg(test)]
mod new_option_tests;
mod print;
mod prune;
mod prune_registry;
mod release;
mod release_notes;
mod retag;
mod show_plan;
mod smoke;
mod template_only;
mod verify_registry;
mod watch;
mod write_lock;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use crate::cli::{self, Request};
use crate::config::command_line::CommandLine;
use crate::config::inputs;
use crate::config::layer::Layers;
use crate::config::load::load;
use crate::config::options::OPTIONS;
use crate::config::resolve::{complete, resolve};
use crate::config::resolved::{Config, Export, Task};
use crate::error::{EXIT_FAILED, Fatal};
use crate::graph::export;
use crate::lint::configuration;
use crate::model::plan::Disposition;
use crate::session::environment::Environment;
use crate::session::prepare::Prepared;
use crate::session::stdio::{output, output_by, output_failed, tell, warn, written};
use crate::session::{Session, engines, patches, places, secrets, threads, tree};
use crate::util::interrupt;
use crate::util::write::write_whole;

/// Runs the program; gives its exit code. `variables` are the environment of the process, read nowhere else.
pub fn run(args: impl IntoIterator<Item = OsString>, variables: BTreeMap<String, String>) -> u8 {
    let code = match try_run(args, variables) {
        Ok(code) => code,
        Err(fatal) => {
            tell(&fatal);
            fatal.exit_code
        }
    };
    interrupt::end();
    code
}

fn try_run(
    args: impl IntoIterator<Item = OsString>,
    variables: BTreeMap<String, String>,
) -> Result<u8, Fatal> {
    let request = match cli::parse(OPTIONS, args) {
        Ok(request) => request,
        Err(error) => {
            // Help and version come this way too; clap knows where to print each.
            written(error.print())?;
            return Ok(u8::try_from(error.exit_code()).unwrap_or(EXIT_FAILED));
        }
    };
    let line = match request {
        Request::Completion(shell) => return output(&print::completion(shell)),
        Request::Manual => return output(&print::manual().map_err(|error| output_failed(&error))?),
        Request::PrintConfig(line) => {
            threads::start()?;
            return print_config(load(&line, &Environment::read(variables)?.variables)?);
        }
        Request::Run(line) => line,
    };
    threads::start()?;
    let environment = Environment::read(variables)?;
    let layers = load(&line, &environment.variables)?;
    if layers.flag("watch")? {
        watch::watch(&line, &environment, |layers| run_task(&line, layers, &environment))
    } else {
        run_task(&line, layers, &environment)
    }
}

/// Does what the command line and the layers ask for, once.
fn run_task(line: &CommandLine, mut layers: Layers, environment: &Environment) -> Result<u8, Fatal> {
    let tree_warnings = tree::add_tree_facts(&mut layers)?;
    let config = resolve(layers)?;
    secrets::hide_known(&config, environment);
    inputs::check(config.layers())?;
    let mut session = Session::new(line, environment, config)?;
    places::check(&session)?;
    if let Some(revision) = session.config().selection.affected_since.clone() {
        affected::narrow(&mut session, load(line, &environment.variables)?, &revision)?;
    }
    warn_of(&tree_warnings);
    check_configuration(&session)?;
    run_in(session)
}

/// Prints every value in force, and then tells what can't be used.
fn print_config(mut layers: Layers) -> Result<u8, Fatal> {
    tree::add_tree_facts(&mut layers)?;
    let mut complete_layers = layers.clone();
    complete(&mut complete_layers)?;
    output(&print::config(&complete_layers)?)?;
    resolve(layers)?;
    Ok(0)
}

/// Warns of everything in the configuration and the overrides that does not do what it seems to; fails for what can't be.
fn check_configuration(session: &Session) -> Result<(), Fatal> {
    let (config, prepared) = (session.config(), &session.prepared);
    let images = prepared.image_names();
    warn_of(&configuration::about(config, &images, &prepared.plan)?);
    warn_of(&patches::warnings(prepared)?);
    config.check_sources(&images)?;
    warn_of(&explain::warnings(prepared)?);
    if uses_docker_configuration(config) {
        warn_of(&engines::warnings(config, session.environment));
    }
    Ok(())
}

fn warn_of(warnings: &[String]) {
    warnings.iter().for_each(warn);
}

/// Does the task of a session.
fn run_in(mut session: Session) -> Result<u8, Fatal> {
    let told = |text: String| {
        tell(&text);
        Ok(0)
    };
    let prepared = &session.prepared;
    match &session.config().task.clone() {
        Task::ListImages => output(&export::list(matched(prepared))),
        Task::ListDependencies => list_dependencies(prepared),
        Task::SaveDependency(path) => told(save_dependencies(prepared, path)?),
        Task::ListBlocks => output(&explain::list_blocks(prepared)?),
        Task::Explain(image) => output(&explain::explain(prepared, image, session.environment)?),
        Task::Plan => {
            let forecasts = show_plan::forecasts(&mut session)?;
            output(&print::plan(&session.prepared.plan, &forecasts, session.config().output.plan_format))
        }
        Task::TemplateOnly => told(template_only::template_only(prepared)?),
        Task::Lock(path) => told(write_lock::write(&session, path)?),
        Task::VerifyRegistry => verify_registry::verify(&mut session),
        Task::ManifestLists => list_platforms::list(&session),
        Task::ReleaseNotes(releases) => release_notes::tell(&session, releases),
        Task::Retag(tags) => retag::retag(&session, tags),
        Task::Export(Export::Bake(dir)) => told(export_bake::write(&session, dir)?),
        Task::Export(Export::Pipeline(pipeline)) => told(export_pipeline::write(&session, pipeline)?),
        Task::Export(Export::Ramdisk(ramdisk)) => told(export_ramdisk::write(&session, ramdisk)?),
        Task::MergeSummaries(paths) => merge_summaries::merge_summaries(&session, paths),
        Task::Prune { tags, package_cache_days, dry_run } => {
            prune::prune(&session, tags.as_deref(), *package_cache_days, *dry_run)
        }
        Task::PruneRegistry(retention) => prune_registry::prune_registry(&session, retention),
        Task::CompareBuilds(builds) => compare_builds::compare_builds(&session, builds),
        Task::Build => build::build(session),
    }
}

fn list_dependencies(prepared: &Prepared) -> Result<u8, Fatal> {
    let matched = matched(prepared);
    output_by(|out| export::dependencies(prepared.graph(), &|name| matched.contains(name), out))
}

/// Writes the graph to a file; gives what to tell the user.
fn save_dependencies(prepared: &Prepared, path: &Path) -> Result<String, Fatal> {
    let matched = matched(prepared);
    let dot = export::dot(prepared.graph(), &|name| matched.contains(name));
    write_whole(path, dot).map_err(|error| Fatal::of_file("write the graph to", path, error, EXIT_FAILED))?;
    Ok(format!("Container images dependency are saved in {}", path.display()))
}

/// True for a task that asks an engine or a registry, as Docker's configuration says.
fn uses_docker_configuration(config: &Config) -> bool {
    match config.task {
        Task::Build
        | Task::Plan
        | Task::Lock(_)
        | Task::VerifyRegistry
        | Task::ManifestLists
        | Task::Retag(_)
        | Task::ReleaseNotes(_)
        | Task::Prune { .. }
        | Task::PruneRegistry(_) => true,
        Task::MergeSummaries(_) => config.build.push,
        _ => false,
    }
}

/// Images that are to be built on any platform.
fn matched(prepared: &Prepared) -> BTreeSet<&str> {
    let units = prepared.plan.units.iter();
    units.filter(|unit| unit.disposition == Disposition::Build).map(|unit| unit.image.as_str()).collect()
}
