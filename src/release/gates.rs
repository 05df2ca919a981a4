//! Gates: commands of the user's that are asked about each image before it is pushed [I/O].

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::model::gate::{GateResult, GateVerdict};
use crate::util::plain;
use crate::util::process;

/// Bytes that a gate may write; a scanner's table of findings is far shorter.
const LONGEST_OUTPUT: usize = 16 << 20;
/// Lines of a gate that are kept.
const KEPT_LINES: usize = 40;
/// Characters of such a line that are kept.
const LONGEST_LINE: usize = 1000;

/// The gates of a run.
#[derive(Debug, Clone)]
pub struct Gates {
    /// Commands for the shell, in the order in which they are asked.
    pub commands: Vec<String>,
    /// True when what they find is only a warning.
    pub only_warn: bool,
    /// The longest that one of them may take.
    pub timeout: Duration,
}

/// An image, as gates are told of it.
#[derive(Debug, Clone)]
pub struct GateSubject {
    /// Variables that tell of it.
    pub variables: Vec<(&'static str, String)>,
    /// What the names of files for gates' own reports begin with.
    pub report: PathBuf,
}

impl Gates {
    /// Asks every gate about an image. One that has not let it pass keeps none of the others from being asked.
    pub async fn ask(&self, subject: &GateSubject) -> GateResult {
        let mut gates = Vec::new();
        for (number, command) in self.commands.iter().enumerate() {
            let report = PathBuf::from(format!("{}.gate-{}", subject.report.display(), number + 1));
            let (fault, words) = self.run(command, subject, &report).await;
            gates.push(GateVerdict { command: command.clone(), fault, words, only_warns: self.only_warn });
        }
        GateResult { gates }
    }

    /// Runs a gate; gives why the image has not passed, and the gate's last words.
    async fn run(
        &self,
        command: &str,
        subject: &GateSubject,
        report: &Path,
    ) -> (Option<String>, Vec<String>) {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command);
        shell.envs(subject.variables.iter().map(|(name, value)| (name, value)));
        shell.env("KOLLA_BUILD_GATE_REPORT", report);
        let ended = process::run(&mut shell, b"", self.timeout, LONGEST_OUTPUT);
        match tokio::time::timeout(self.timeout, ended).await {
            Err(_) => (Some(self.too_long()), Vec::new()),
            Ok(Err(process::ProcessError::Stalled { .. })) => (Some(self.too_long()), Vec::new()),
            Ok(Err(error)) => (Some(error.to_string()), Vec::new()),
            Ok(Ok(ended)) => {
                let words = last_words(&ended.output, &ended.errors);
                let fault = (!ended.status.success()).then(|| match ended.status.code() {
                    Some(code) => format!("exit code {code}"),
                    None => ended.status.to_string(),
                });
                (fault, words)
            }
        }
    }

    fn too_long(&self) -> String {
        format!("it was still running after {} s (option gate_timeout)", self.timeout.as_secs())
    }
}

/// The last lines of what a gate has written, its errors after all else.
fn last_words(output: &[u8], errors: &[u8]) -> Vec<String> {
    let text = format!("{}\n{}", String::from_utf8_lossy(output), String::from_utf8_lossy(errors));
    let text = plain::lines(&text);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let kept = &lines[lines.len().saturating_sub(KEPT_LINES)..];
    kept.iter().map(|line| line.chars().take(LONGEST_LINE).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(command: &str, timeout: Duration) -> GateVerdict {
        let gates = Gates { commands: vec![command.to_string()], only_warn: false, timeout };
        let variables = vec![("KOLLA_BUILD_IMAGE", "keystone".to_string())];
        let subject = GateSubject { variables, report: PathBuf::from("/nowhere/keystone") };
        gates.ask(&subject).await.gates.remove(0)
    }

    #[tokio::test]
    async fn a_gate_is_told_of_the_image_and_its_words_are_kept() {
        let patient = Duration::from_secs(60);
        let passed = asked("echo $KOLLA_BUILD_IMAGE $KOLLA_BUILD_GATE_REPORT", patient).await;
        assert_eq!(
            (passed.fault, passed.words),
            (None, vec!["keystone /nowhere/keystone.gate-1".to_string()])
        );
        let failed = asked("printf 'a\\033[1mb\\n\\n'; echo no >&2; exit 3", patient).await;
        assert_eq!(failed.fault.as_deref(), Some("exit code 3"));
        assert_eq!(failed.words.last().map(String::as_str), Some("no"));
        assert!(!failed.words[0].contains('\u{1b}'), "{:?}", failed.words);
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_all_that_it_has_started() {
        let hung = asked("while true; do echo x; sleep 0.05; done | cat", Duration::from_millis(300)).await;
        assert!(hung.fault.expect("it hangs").starts_with("it was still running after"));
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let long = asked("seq 1000", Duration::from_secs(60)).await;
        assert_eq!((long.words.len(), long.words.last().map(String::as_str)), (KEPT_LINES, Some("1000")));
    }
}
