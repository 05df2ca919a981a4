//! `--merge-summaries`: what several runs have told, as of one.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::complete_lists::complete_lists;
use crate::config::resolved::SummaryOutput;
use crate::config::settings::settings;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::report::Reporter;
use crate::report::console::{Console, ConsoleOptions};
use crate::report::earlier::EarlierRun;
use crate::report::ended_run::{EndedRun, RunFacts};
use crate::report::files::write_reports;
use crate::report::merge::{MergeOptions, merge};
use crate::session::Session;
use crate::session::outputs::Outputs;
use crate::session::stdio::tell;
use crate::session::threads::block_on;
use crate::util::input;

/// Joins the files, and those in the directories, and tells of the whole as a build tells of itself; gives its exit code.
/// With a selection, every image of it must have been told of. With `--push`, manifest lists are put of what was pushed.
pub fn merge_summaries(session: &Session, paths: &[PathBuf]) -> Result<u8, Fatal> {
    let prepared = &session.prepared;
    let outputs = Outputs::open(&prepared.config.output)?;
    let mut runs = Vec::new();
    for path in files(paths)? {
        let text = input::read_to_string(&path).map_err(|error| unreadable(&path, &error, EXIT_FAILED))?;
        runs.push(EarlierRun::read(&text).map_err(|error| unreadable(&path, &error, EXIT_USAGE))?);
    }
    let config = &prepared.config;
    let selection = &config.selection;
    let options = MergeOptions {
        complete: !(selection.regexes.is_empty() && selection.profile_regexes.is_empty()),
        on_every_platform: config.build.push,
        allowed_to_fail: config.build.allowed_to_fail.clone(),
    };
    let mut merged = merge(&runs, &prepared.plan, &options, Timestamp::now());
    if config.build.push {
        block_on(complete_lists(session, &mut merged))?;
    }
    let (summary, output) = (&merged.summary, &config.output);

    let (quiet, debug) = (output.quiet, output.debug);
    let mut errors =
        Console::stderr(ConsoleOptions { quiet, debug, summary: output.summary != SummaryOutput::Off })
            .finish(summary);
    errors.extend(outputs.summary.into_iter().flat_map(|mut json| json.finish(summary)));
    let facts = RunFacts::new(merged.engine, settings(config.layers())?);
    let run = EndedRun { summary, timeline: &merged.timeline, facts: &facts, started: merged.started };
    errors.extend(write_reports(&run, &outputs.files));
    for error in &errors {
        tell(format_args!("error: {error}"));
    }
    Ok(match run.exit_code() {
        0 if !errors.is_empty() => EXIT_FAILED,
        code => code,
    })
}

/// The files that are named; of directories, those that end in `.json`.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Fatal> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, &error, EXIT_FAILED))? {
            inside.push(entry.map_err(|error| unreadable(path, &error, EXIT_FAILED))?.path());
        }
        inside.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        if inside.is_empty() {
            return Err(unreadable(path, &"the directory holds no *.json", EXIT_FAILED));
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display, code: u8) -> Fatal {
    Fatal::message(format!("cannot merge {}: {error}", path.display()), code)
}
