//! Who is told of a run: the console, and the files that were asked for.

use std::io::IsTerminal;

use super::Session;
use super::environment::Environment;
use super::outputs::Outputs;
use super::stdio::warn;
use crate::config::resolved::SummaryOutput;
use crate::config::settings;
use crate::error::Fatal;
use crate::report::console::{Console, ConsoleOptions};
use crate::report::ended_run::RunFacts;
use crate::report::files::ReportFiles;
use crate::report::progress::LiveProgress;
use crate::report::summary::{Summary, SummaryOptions};
use crate::report::tally::Tally;
use crate::report::{ConsoleKind, Reporter, Reporters, Surroundings, console_kind};

/// The tally of a run, which only a terminal shows.
pub fn tally(environment: &Environment) -> Tally {
    match console_kind(surroundings(environment)) {
        ConsoleKind::Live => Tally::stderr(),
        ConsoleKind::Plain => Tally::hidden(),
    }
}

/// The terminal that standard error may be, as far as the environment tells.
fn surroundings(environment: &Environment) -> Surroundings {
    Surroundings {
        terminal: std::io::stderr().is_terminal() && !environment.is_dumb_terminal,
        ci: environment.is_ci,
        no_color: environment.no_color,
        ..Surroundings::default()
    }
}

/// Everyone who is told of a build with this engine.
pub fn reporters(session: &Session, engine: String, outputs: Outputs) -> Result<Reporters, Fatal> {
    let (config, environment) = (session.config(), session.environment);
    let output = &config.output;
    let surroundings = Surroundings { quiet: output.quiet, debug: output.debug, ..surroundings(environment) };
    let (quiet, debug, summary) = (output.quiet, output.debug, output.summary != SummaryOutput::Off);
    let mut reporters: Vec<Box<dyn Reporter>> = vec![match console_kind(surroundings) {
        ConsoleKind::Live => Box::new(LiveProgress::stderr(summary)),
        ConsoleKind::Plain => Box::new(Console::stderr(ConsoleOptions { quiet, debug, summary })),
    }];
    reporters.extend(outputs.logs.map(|logs| Box::new(logs) as Box<dyn Reporter>));
    reporters.extend(outputs.summary.map(|summary| Box::new(summary) as Box<dyn Reporter>));
    let (digests, mut files): (Vec<_>, Vec<_>) =
        outputs.files.into_iter().partition(|(format, _)| format.tells_of_pushes());
    if config.build.push {
        files.extend(digests);
    } else {
        for (_, destination) in digests {
            let path = destination.path().display();
            warn(format_args!("{path} is not written, for nothing is pushed: --push is needed"));
        }
    }
    if !files.is_empty() {
        let facts = RunFacts::new(engine, settings::settings(config.layers())?);
        reporters.push(Box::new(ReportFiles::new(&session.prepared.plan, facts, files)));
    }
    let options = SummaryOptions { allowed_to_fail: config.build.allowed_to_fail.clone() };
    Ok(Reporters::new(Summary::new(&session.prepared.plan, &options), reporters))
}
