//! Running git and pip: no questions asked, no hanging, and their own words when they fail.

use std::time::Duration;

use tokio::process::Command;

use super::error::SourceProblem;
use crate::util::plain;
use crate::util::process::{self, ProcessError};
use crate::util::transient::has_network_symptoms;

/// Lines of a program's errors that are shown.
const SHOWN_LINES: usize = 12;

/// Bytes that such a program may write: names of references, and progress.
const LONGEST_OUTPUT: usize = 64 << 20;

/// Runs a program to its end and gives what it wrote to stdout. `missing` says what to install when it isn't there.
///
/// It is killed, with all that it has started, when nothing has come from it for `patience` or the future is dropped.
pub(super) async fn run(
    command: &mut Command,
    patience: Duration,
    missing: &str,
) -> Result<String, SourceProblem> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    // Answers are read, so they must not be in the user's language.
    command.env("LC_ALL", "C");
    let ended = process::run(command, b"", patience, LONGEST_OUTPUT).await.map_err(|error| match error {
        ProcessError::Missing(_) => SourceProblem::Configuration(format!("{error}: {missing}")),
        ProcessError::Stalled { patience, .. } => SourceProblem::Stalled(patience),
        ProcessError::System { .. } | ProcessError::Endless { .. } => {
            SourceProblem::Command(error.to_string())
        }
    })?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.output).into_owned());
    }
    let errors = String::from_utf8_lossy(&ended.errors);
    let message = format!("{program} failed ({}):\n{}", ended.status, plain::lines(&last_lines(&errors)));
    Err(if has_network_symptoms(errors.lines()) {
        SourceProblem::Connection(message)
    } else {
        SourceProblem::Command(message)
    })
}

/// The end of a program's errors; progress that overwrites its own line is left out.
fn last_lines(errors: &str) -> String {
    let lines: Vec<&str> = errors
        .lines()
        .map(|line| line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or("").trim_end())
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Result<String, SourceProblem> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        runtime.block_on(run(&mut command, patience, "install it"))
    }

    #[test]
    fn output_comes_back_and_failures_speak() {
        let patience = Duration::from_secs(10);
        assert_eq!(shell("echo out; echo err >&2", patience), Ok("out\n".to_string()));
        let Err(SourceProblem::Command(message)) = shell("echo 'no such thing' >&2; exit 3", patience) else {
            panic!("not a permanent failure");
        };
        assert!(message.contains("exit status: 3") && message.ends_with("no such thing"), "{message}");
        let transient = shell("echo 'fatal: Could not resolve host: x' >&2; exit 128", patience);
        assert!(matches!(transient, Err(SourceProblem::Connection(_))), "{transient:?}");
    }

    #[test]
    fn a_silent_program_is_killed_and_a_chatty_one_is_not() {
        let patience = Duration::from_millis(400);
        assert_eq!(shell("sleep 60", patience), Err(SourceProblem::Stalled(patience)));
        assert!(shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done", patience).is_ok());
    }

    #[test]
    fn a_missing_program_says_what_to_install() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result =
            runtime.block_on(run(&mut Command::new("no-such-x"), Duration::from_secs(1), "install y"));
        assert_eq!(
            result,
            Err(SourceProblem::Configuration("no-such-x is not installed: install y".to_string()))
        );
    }

    #[test]
    fn progress_is_not_shown() {
        assert_eq!(last_lines("Receiving 1%\rReceiving 100%\rfatal: x\n\nend\n"), "fatal: x\nend");
    }
}
