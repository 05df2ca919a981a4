//! Gates: commands of the user's that are asked about an image before it is pushed, and what they have said.

use serde::{Deserialize, Serialize};

use super::failure::{Failure, FailureKind};

/// What all gates have said of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// Verdict of every gate that was asked, in the order in which they were given.
    pub gates: Vec<GateVerdict>,
}

/// What one gate has said of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateVerdict {
    /// Command of the gate.
    pub command: String,
    /// Why the image has not passed; none when it has.
    pub fault: Option<String>,
    /// The last lines that the gate has written.
    pub words: Vec<String>,
    /// True when what it finds is a warning, and holds nothing up.
    pub only_warns: bool,
}

impl GateVerdict {
    /// The verdict in one line, and then the gate's own words.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        std::iter::once(format!("{}: {}", self.command, self.verdict())).chain(self.words.iter().cloned())
    }

    /// The verdict alone, for people.
    pub fn verdict(&self) -> &str {
        self.fault.as_deref().unwrap_or("passed")
    }
}

impl GateResult {
    /// Everything that holds the image back, as a failure of it; none when nothing does.
    pub fn failure(&self) -> Option<Failure> {
        let faults: Vec<String> = self.told(false).collect();
        (!faults.is_empty()).then(|| Failure::permanent(FailureKind::Gate, faults.join("\n")))
    }

    /// Everything that was found and holds nothing back, a line for each gate.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.told(true)
    }

    fn told(&self, warnings: bool) -> impl Iterator<Item = String> {
        let told = self.gates.iter().filter(move |gate| gate.only_warns == warnings);
        told.filter_map(|gate| Some(format!("gate {}: {}", gate.command, gate.fault.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_hold_an_image_back_unless_they_are_warnings() {
        let verdict = |fault: Option<&str>, only_warns| GateVerdict {
            command: "scan".to_string(),
            fault: fault.map(String::from),
            words: Vec::new(),
            only_warns,
        };
        let result = |gates: &[(Option<&str>, bool)]| GateResult {
            gates: gates.iter().map(|(fault, only_warns)| verdict(*fault, *only_warns)).collect(),
        };
        assert_eq!(result(&[(None, false), (Some("exit code 1"), true)]).failure(), None);
        let failure = result(&[(Some("exit code 1"), false), (Some("it hangs"), false)]).failure();
        assert_eq!(failure.expect("two faults").message, "gate scan: exit code 1\ngate scan: it hangs");
        let warnings: Vec<String> = result(&[(None, true), (Some("exit code 1"), true)]).warnings().collect();
        assert_eq!(warnings, ["gate scan: exit code 1"]);
    }
}
