//! The program, top to bottom: configuration, tree, rendering, graph, plan, and then the task that was asked for.

mod affected;
mod build;
mod explain;
mod export_bake;
mod export_pipeline;
mod list_platforms;
mod merge_summaries;
mod print;
mod prune;
mod retag;
mod show_plan;
mod template_only;
mod verify_registry;
mod watch;
mod write_lock;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{BufWriter, Write};

use crate::cli::{self, CommandLine};
use crate::config::inputs;
use crate::config::layer::Layers;
use crate::config::load::load;
use crate::config::resolve::{complete, resolve};
use crate::config::resolved::{Export, Task};
use crate::error::{EXIT_FAILED, Fatal};
use crate::graph::export;
use crate::lint::configuration;
use crate::model::plan::Disposition;
use crate::session::prepare::{Prepared, prepare};
use crate::session::stdio::{output, output_failed, tell, written};
use crate::session::{engines, patches, places, threads, tree};
use crate::util::interrupt;
use crate::util::write::write_whole;

/// Runs the program; gives its exit code. `env` is the process environment, read nowhere else.
pub fn run(args: impl IntoIterator<Item = OsString>, env: &BTreeMap<String, String>) -> u8 {
    let code = match try_run(args, env) {
        Ok(code) => code,
        Err(fatal) => {
            tell(&fatal.to_string());
            fatal.exit_code
        }
    };
    // What background work has not dropped yet.
    interrupt::clean_up();
    code
}

fn try_run(args: impl IntoIterator<Item = OsString>, env: &BTreeMap<String, String>) -> Result<u8, Fatal> {
    let line = match cli::parse(args) {
        Ok(line) => line,
        Err(error) => {
            // Help and version come this way too; clap knows where to print each.
            written(error.print())?;
            return Ok(u8::try_from(error.exit_code()).unwrap_or(EXIT_FAILED));
        }
    };
    if let Some(shell) = line.completion {
        return output(&print::completion(shell));
    }
    if line.man {
        return output(&print::manual().map_err(|error| output_failed(&error))?);
    }
    threads::start()?;
    let layers = load(&line, env)?;
    if layers.flag("watch")? && !line.print_config {
        return watch::watch(&line, env);
    }
    round(&line, layers, env)
}

/// Does what the command line and the layers ask for, once.
fn round(line: &CommandLine, mut layers: Layers, env: &BTreeMap<String, String>) -> Result<u8, Fatal> {
    let tree_warnings = tree::add_tree_facts(&mut layers)?;
    if line.print_config {
        let mut layers = layers.clone();
        complete(&mut layers)?;
        output(&print::config(&layers)?)?;
    }
    // What can't be used is told behind what is in force, too.
    let config = resolve(layers)?;
    if line.print_config {
        return Ok(0);
    }
    inputs::check(config.layers())?;
    let mut prepared = prepare(config, env)?;
    places::check(&prepared, line, env)?;
    if let Some(revision) = prepared.config.selection.affected_since.clone() {
        affected::narrow(&mut prepared, load(line, env)?, &revision, env)?;
    }
    for warning in tree_warnings {
        tell(&format!("warning: {warning}"));
    }
    for warning in configuration::about(&prepared.config, &prepared.image_names(), &prepared.plan)? {
        tell(&format!("warning: {warning}"));
    }
    for warning in patches::warnings(&prepared)? {
        tell(&format!("warning: {warning}"));
    }
    prepared.config.check_sources(&prepared.image_names())?;
    for warning in explain::warnings(&prepared)? {
        tell(&format!("warning: {warning}"));
    }
    if uses_docker_configuration(&prepared.config.task) {
        for warning in engines::warnings(&prepared.config, env) {
            tell(&format!("warning: {warning}"));
        }
    }
    let matched = matched(&prepared);
    let is_matched = |name: &str| matched.contains(name);
    match &prepared.config.task {
        Task::ListImages => output(&export::list(matched)),
        Task::ListDependencies => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            let result = export::dependencies(prepared.graph(), &is_matched, &mut out);
            written(result.and_then(|()| out.flush()))?;
            Ok(0)
        }
        Task::SaveDependency(path) => {
            let dot = export::dot(prepared.graph(), &is_matched);
            write_whole(path, dot).map_err(|error| {
                Fatal::message(
                    format!("failed to write the graph to {}: {error}", path.display()),
                    EXIT_FAILED,
                )
            })?;
            tell(&format!("Container images dependency are saved in {}", path.display()));
            Ok(0)
        }
        Task::ListBlocks => output(&explain::list_blocks(&prepared)?),
        Task::Explain(image) => output(&explain::explain(&prepared, image, env)?),
        Task::Plan => {
            let forecasts = show_plan::forecasts(&mut prepared, env)?;
            output(&print::plan(&prepared.plan, &forecasts, prepared.config.output.plan_json))
        }
        Task::TemplateOnly => {
            tell(&template_only::template_only(&prepared)?);
            Ok(0)
        }
        Task::Lock(path) => {
            tell(&write_lock::write(&prepared, env, path)?);
            Ok(0)
        }
        Task::VerifyRegistry => verify_registry::verify(&prepared, env),
        Task::ManifestLists => list_platforms::list(&prepared, env),
        Task::Retag(tags) => retag::retag(&prepared, env, tags),
        Task::Export(Export::Bake(dir)) => {
            tell(&export_bake::write(&prepared, env, dir)?);
            Ok(0)
        }
        Task::Export(Export::Pipeline { system, images_per_job, dir }) => {
            tell(&export_pipeline::write(&prepared, line, *system, *images_per_job, dir)?);
            Ok(0)
        }
        Task::MergeSummaries(paths) => merge_summaries::merge_summaries(&prepared, paths),
        Task::Prune { tags, dry_run } => prune::prune(&prepared, env, tags.as_deref(), *dry_run),
        Task::Build => build::build(prepared, env),
    }
}

/// Whether a task asks an engine or a registry, as Docker's configuration says.
fn uses_docker_configuration(task: &Task) -> bool {
    matches!(
        task,
        Task::Build
            | Task::Plan
            | Task::Lock(_)
            | Task::VerifyRegistry
            | Task::ManifestLists
            | Task::Retag(_)
            | Task::Prune { .. }
    )
}

/// Images that are to be built on any platform.
fn matched(prepared: &Prepared) -> BTreeSet<&str> {
    let units = prepared.plan.units.iter();
    units.filter(|unit| unit.disposition == Disposition::Build).map(|unit| unit.image.as_str()).collect()
}
