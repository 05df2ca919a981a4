//! The messages that a builder sends about a build, and those of the classic one.

use serde_json::json;

use super::dockerfile::Instruction;

/// A builder's way to tell things.
pub trait Builder {
    /// Every step begins and writes a line.
    fn steps(&self, instructions: &[Instruction]) -> Vec<Vec<u8>>;
    /// The last step has written a line, and failed.
    fn failing_step(&self, instructions: &[Instruction], message: &str, log: &str) -> Vec<Vec<u8>>;
    /// The image is there.
    fn success(&self, id: &str, tag: &str) -> Vec<Vec<u8>>;
    /// The build has failed.
    fn failure(&self, message: &str) -> Vec<u8> {
        line(&json!({"errorDetail": {"message": message}, "error": message}))
    }
}

/// One message, as Docker ends it.
pub fn line(message: &serde_json::Value) -> Vec<u8> {
    format!("{message}\r\n").into_bytes()
}

/// The line that a step writes.
pub fn log_of(instruction: &Instruction) -> String {
    format!("output of {} {}\n", instruction.name, instruction.arguments)
}

/// The builder of old.
pub struct Classic;

impl Builder for Classic {
    fn steps(&self, instructions: &[Instruction]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for (index, instruction) in instructions.iter().enumerate() {
            let Instruction { name, arguments } = instruction;
            let step = format!("Step {}/{} : {name} {arguments}", index + 1, instructions.len());
            for text in [&step, "\n", " ---> Running in 39090c1e24cb\n", &log_of(instruction)] {
                messages.push(line(&json!({"stream": text})));
            }
        }
        messages
    }

    fn failing_step(&self, _: &[Instruction], message: &str, log: &str) -> Vec<Vec<u8>> {
        vec![line(&json!({"stream": format!("{log}\n")})), self.failure(message)]
    }

    fn success(&self, id: &str, tag: &str) -> Vec<Vec<u8>> {
        vec![
            line(&json!({"aux": {"ID": id}})),
            line(&json!({"stream": format!("Successfully built {}\n", &id[7..19])})),
            line(&json!({"stream": format!("Successfully tagged {tag}\n")})),
        ]
    }
}
