//! `--export matrix=...`: jobs of a CI system that build the matched images.

use std::path::Path;

use crate::cli::{CommandLine, ConfigPath};
use crate::config::layer::{DEFAULT, Entry, Place};
use crate::config::options::{self, Kind, Origin};
use crate::config::secrets::{is_secret_name, masked};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::export::pipeline::{CiSystem, PipelineOptions, WRITTEN_BY, pipeline};
use crate::session::Session;
use crate::session::prepare::Prepared;
use crate::session::stdio::tell;
use crate::util::input;
use crate::util::write::write_whole;

/// Options that choose images: jobs name their images instead.
const SELECTION: [&str; 5] = ["regex", "profile", "skip_parents", "skip_existing", "affected_since"];
/// Options of this run, or that jobs set themselves.
const NOT_OF_JOBS: [&str; 16] = [
    "export",
    "export_dir",
    "images_per_job",
    "lock",
    "plan",
    "plan_format",
    "push",
    "reuse",
    "report",
    "junit",
    "html",
    "digests",
    "digests_ansible",
    "summary_json_file",
    "logs_dir",
    "work_dir",
];

/// Writes the pipeline's files below the directory; gives what to tell the user. Jobs get this run's command line.
pub fn write(
    session: &Session,
    system: CiSystem,
    images_per_job: usize,
    dir: &Path,
) -> Result<String, Fatal> {
    let prepared = &session.prepared;
    refuse_several_platforms(prepared)?;
    let mut options = PipelineOptions { images_per_job, ..arguments(prepared, session.line)? };
    let selection = &prepared.config.selection;
    if selection.regexes.is_empty() && selection.profile_regexes.is_empty() {
        // Every image, said so that the last job asks for every one.
        options.selection.push(".".to_string());
    }
    let files = pipeline(&prepared.plan, system, &options);
    for (name, _) in files.iter().filter(|(_, text)| text.starts_with(WRITTEN_BY)) {
        refuse_foreign(&dir.join(name))?;
    }
    for (name, text) in &files {
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent).and_then(|()| write_whole(&path, text)).map_err(|error| {
            Fatal::message(format!("failed to write {}: {error}", path.display()), EXIT_FAILED)
        })?;
    }
    let names: Vec<String> = files.iter().map(|(name, _)| dir.join(name).display().to_string()).collect();
    Ok(format!("Jobs for {} images are in {}", prepared.plan.to_build().count(), names.join(", ")))
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

/// Fails when jobs would be for several platforms: a CI system has other machines for each.
fn refuse_several_platforms(prepared: &Prepared) -> Result<(), Fatal> {
    if !prepared.config.has_several_platforms() {
        return Ok(());
    }
    let message = "jobs are for one platform only";
    Err(Fatal::message(message, EXIT_USAGE).hinted(
        "export once per --platform, each with a --tag of its own, and list them with --manifest-lists",
    ))
}

/// What the command line says, for jobs to say it again, and below it what this environment sets.
fn arguments(prepared: &Prepared, line: &CommandLine) -> Result<PipelineOptions, Fatal> {
    let mut options = PipelineOptions::default();
    for path in &line.config_paths {
        options.arguments.push(match path {
            ConfigPath::File(path) => format!("--config-file={}", path.display()),
            ConfigPath::Dir(path) => format!("--config-dir={}", path.display()),
        });
    }
    options.arguments.extend(line.build_tomls.iter().map(|path| format!("--build-toml={}", path.display())));
    let given = from_variables(prepared).chain(&line.entries);
    for entry in given.filter(|entry| !NOT_OF_JOBS.contains(&entry.key.as_str())) {
        let argument = argument(entry)?;
        if SELECTION.contains(&entry.key.as_str()) {
            options.selection.push(argument);
        } else {
            options.locked |= entry.key == "locked";
            options.arguments.push(argument);
        }
    }
    Ok(options)
}

/// What variables set that the command line can say; what it can't is told.
fn from_variables(prepared: &Prepared) -> impl Iterator<Item = &Entry> {
    let set = prepared.config.layers().entries().iter();
    set.filter(|entry| match &entry.place {
        Place::Environment(name) => {
            let option = options::find(&entry.key).filter(|option| option.origin != Origin::KollaFile);
            if entry.section != DEFAULT || option.is_none() {
                tell(&format!("warning: {name} is set here and not in the jobs"));
                return false;
            }
            true
        }
        _ => false,
    })
}

fn argument(entry: &Entry) -> Result<String, Fatal> {
    let Some(option) = options::find(&entry.key).filter(|option| option.name != "regex") else {
        return Ok(entry.text.clone());
    };
    let long = option.long();
    if holds_secret(option.kind, entry) {
        let message = format!("--{long} holds a secret, and whoever reads the pipeline would see it");
        return Err(Fatal::message(message, EXIT_USAGE)
            .hinted("put it into a configuration file that only the jobs' machines have, or use --secret"));
    }
    Ok(match (option.kind, entry.text.as_str()) {
        (Kind::Flag, "true") => format!("--{long}"),
        (Kind::Flag, _) => format!("--no{long}"),
        (_, text) => format!("--{long}={text}"),
    })
}

fn holds_secret(kind: Kind, entry: &Entry) -> bool {
    // A `--secret` names where the value is.
    if entry.key == "secret" {
        return false;
    }
    let named = |part: &str| {
        part.split_once(':').is_some_and(|(name, value)| is_secret_name(name) && !value.is_empty())
    };
    masked(&entry.key, &entry.text) != entry.text || (kind == Kind::Dict && entry.text.split(',').any(named))
}
