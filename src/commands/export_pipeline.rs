//! `--export matrix=...`: jobs of a CI system that build the matched images.

use std::path::{Component, Path};

use crate::config::command_line::{CommandLine, ConfigPath};
use crate::config::keys::DEFAULT;
use crate::config::layer::{Entry, SetAt};
use crate::config::options::{
    CommandLineForm, InputPath, Meaning, OptionRole, OptionSpec, OutputPath, ReportFormat, ValueKind,
};
use crate::config::resolved::PipelineExport;
use crate::config::settings::masked_option;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::export::jobs::{KeptDirectory, PipelineOptions, WRITTEN_BY};
use crate::export::pipeline::pipeline;
use crate::session::Session;
use crate::session::prepare::Prepared;
use crate::session::stdio::warn;
use crate::util::input;
use crate::util::secrets::is_secret_name;
use crate::util::write::write_whole;

/// Writes the pipeline's files below its directory; gives what to tell the user. Jobs get this run's command line.
pub fn write(session: &Session, export: &PipelineExport) -> Result<String, Fatal> {
    let (prepared, dir) = (&session.prepared, &export.dir);
    let names = &prepared.config.names;
    let mut options = PipelineOptions {
        platforms: prepared.config.platforms.clone(),
        images_per_job: export.images_per_job,
        promote: export.promote.as_ref().map(|tag| format!("{}:{tag}", names.tag)),
        ..arguments(prepared, session.line)?
    };
    let selection = &prepared.config.selection;
    if selection.regexes.is_empty() && selection.profile_regexes.is_empty() {
        // Every image, said so that the release asks for every one.
        options.selection.push(".".to_string());
    }
    let files = pipeline(&prepared.plan, export.system, &options);
    for (name, _) in files.iter().filter(|(_, text)| text.starts_with(WRITTEN_BY)) {
        refuse_foreign(&dir.join(name))?;
    }
    for (name, text) in &files {
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent)
            .and_then(|()| write_whole(&path, text))
            .map_err(|error| Fatal::of_file("write", &path, error, EXIT_FAILED))?;
    }
    let names: Vec<String> = files.iter().map(|(name, _)| dir.join(name).display().to_string()).collect();
    let platforms = match options.platforms.len() {
        1 => String::new(),
        several => format!(" for {several} platforms"),
    };
    let images = prepared.plan.to_build().count();
    Ok(format!("Jobs for {images} images{platforms} are in {}", names.join(", ")))
}

/// Fails when there is a file that no export has written.
fn refuse_foreign(path: &Path) -> Result<(), Fatal> {
    match input::read(path) {
        Ok(bytes) if !bytes.starts_with(WRITTEN_BY.as_bytes()) => {
            let message = format!("{} was not written by an earlier export", path.display());
            Err(Fatal::message(message, EXIT_USAGE)
                .hinted("remove it if nobody needs it, or name another directory: --export-dir DIR"))
        }
        _ => Ok(()),
    }
}

/// Arguments of the command line, for jobs to give them again, and below it what this environment sets.
fn arguments(prepared: &Prepared, line: &CommandLine) -> Result<PipelineOptions, Fatal> {
    let mut options = PipelineOptions::default();
    for path in &line.config_paths {
        options.arguments.push(match path {
            ConfigPath::File(path) => format!("--config-file={}", path.display()),
            ConfigPath::Dir(path) => format!("--config-dir={}", path.display()),
        });
    }
    options.arguments.extend(line.build_tomls.iter().map(|path| format!("--build-toml={}", path.display())));
    let table = prepared.config.layers().options();
    for entry in from_variables(prepared).chain(&line.entries) {
        if let Some(option) = table.find(&entry.key) {
            put(&mut options, option, entry)?;
        }
    }
    Ok(options)
}

/// Puts an entry of this run where jobs take it from.
fn put(options: &mut PipelineOptions, option: &OptionSpec, entry: &Entry) -> Result<(), Fatal> {
    match place_in_jobs(option) {
        PlaceInJobs::Nowhere => {}
        PlaceInJobs::Selection => options.selection.push(argument(option, entry)?),
        PlaceInJobs::Builds => {
            let argument = argument(option, entry)?;
            if option.meaning == Meaning::Cosign {
                // Lists are signed by who puts them.
                options.of_release.push(argument.clone());
            }
            options.of_builds.push(argument);
        }
        PlaceInJobs::KeptOfBuilds => {
            let dir = in_project(option, entry)?;
            // The last one counts.
            options.kept.retain(|kept| kept.option != option.long());
            options.kept.push(KeptDirectory { option: option.long(), dir });
        }
        PlaceInJobs::Release => {
            options.release_manifest = Some(in_project(option, entry)?);
        }
        PlaceInJobs::Arguments => {
            if option.input() == Some(InputPath::LockFile) {
                options.lock_file = Some(entry.text.clone());
            }
            options.has_source_cache |= option.output() == Some(OutputPath::SourceCache);
            options.arguments.push(argument(option, entry)?);
        }
    }
    Ok(())
}

/// Place in a pipeline's commands that an option of this run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceInJobs {
    /// None: it is of this run, or jobs have their own.
    Nowhere,
    /// Commands that are about all images: jobs that build name theirs instead.
    Selection,
    /// Commands that build.
    Builds,
    /// Commands that build, each with a directory of its own in the one that is named. It is kept of every job.
    KeptOfBuilds,
    /// The command that releases. What it writes is kept.
    Release,
    /// All commands.
    Arguments,
}

/// The place of an option, by what the table says of it. Here new options get theirs.
pub(super) fn place_in_jobs(option: &OptionSpec) -> PlaceInJobs {
    match (option.role, option.output()) {
        (OptionRole::Selects, _) => PlaceInJobs::Selection,
        (OptionRole::Task(_) | OptionRole::OfTask(_) | OptionRole::RunOnly, _) => PlaceInJobs::Nowhere,
        (_, Some(OutputPath::Logs | OutputPath::Documents)) => PlaceInJobs::KeptOfBuilds,
        (_, Some(OutputPath::Report(ReportFormat::Release))) => PlaceInJobs::Release,
        (OptionRole::OfBuilds, None) => PlaceInJobs::Builds,
        // Sources that a machine has are as good for jobs on it.
        (_, None | Some(OutputPath::SourceCache)) => PlaceInJobs::Arguments,
        (_, Some(_)) => PlaceInJobs::Nowhere,
    }
}

/// The path of something that jobs write and the CI system is to keep of them.
fn in_project(option: &OptionSpec, entry: &Entry) -> Result<String, Fatal> {
    let path = Path::new(&entry.text);
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if is_below && path.components().any(|part| matches!(part, Component::Normal(_))) {
        return Ok(entry.text.trim_end_matches('/').to_owned());
    }
    let message =
        format!("--{} {}: what jobs write is kept from their project's directory", option.long(), entry.text);
    Err(Fatal::message(message, EXIT_USAGE).hinted("name something below it, without '..'"))
}

/// Entries that variables set and the command line can say; what it can't is told.
fn from_variables(prepared: &Prepared) -> impl Iterator<Item = &Entry> {
    let layers = prepared.config.layers();
    layers.entries().iter().filter(|entry| match &entry.place {
        SetAt::Environment(name) => {
            let option = layers.options().find(&entry.key);
            let is_known = option.is_some_and(|option| option.form != CommandLineForm::Absent);
            if entry.section != DEFAULT || !is_known {
                warn(format_args!("{name} is set here and not in the jobs"));
                return false;
            }
            true
        }
        _ => false,
    })
}

fn argument(option: &OptionSpec, entry: &Entry) -> Result<String, Fatal> {
    if option.form == CommandLineForm::Positional {
        return Ok(entry.text.clone());
    }
    let long = option.long();
    if holds_secret(option, entry) {
        let message = format!("--{long} holds a secret, and whoever reads the pipeline would see it");
        return Err(Fatal::message(message, EXIT_USAGE)
            .hinted("put it into a configuration file that only the jobs' machines have, or use --secret"));
    }
    Ok(match (option.kind, entry.text.as_str()) {
        (ValueKind::Flag, "true") => format!("--{long}"),
        (ValueKind::Flag, _) => format!("--no{long}"),
        (_, text) => format!("--{long}={text}"),
    })
}

fn holds_secret(option: &OptionSpec, entry: &Entry) -> bool {
    let named = |part: &str| {
        part.split_once(':').is_some_and(|(name, value)| is_secret_name(name) && !value.is_empty())
    };
    let is_masked = masked_option(option, &entry.text) != entry.text;
    is_masked || (option.kind == ValueKind::Dict && entry.text.split(',').any(named))
}
