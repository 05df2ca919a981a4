//! As much of a Dockerfile as the fake daemon must understand.

use std::collections::BTreeMap;

/// One instruction, its continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// In capitals.
    pub name: String,
    pub arguments: String,
}

impl Instruction {
    /// Whether BuildKit shows it as a step; the others only change the image's configuration.
    pub fn is_step(&self) -> bool {
        matches!(self.name.as_str(), "FROM" | "RUN" | "COPY" | "ADD" | "WORKDIR")
    }
}

/// The instructions from the first FROM on.
pub fn parse(text: &str) -> Vec<Instruction> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let instruction = |line: &str| {
        let (name, arguments) = line.trim().split_once(char::is_whitespace)?;
        Some(Instruction { name: name.to_uppercase(), arguments: arguments.trim().to_string() })
    };
    joined.lines().filter_map(instruction).skip_while(|first| first.name != "FROM").collect()
}

/// What LABEL instructions set, in the form `name="a value" other=value`.
pub fn labels(instructions: &[Instruction]) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for instruction in instructions.iter().filter(|instruction| instruction.name == "LABEL") {
        let mut rest = instruction.arguments.as_str();
        while let Some((name, value)) = rest.split_once('=') {
            let quoted = value.strip_prefix('"').and_then(|value| value.split_once('"'));
            let (value, after) =
                quoted.unwrap_or_else(|| value.split_once(char::is_whitespace).unwrap_or((value, "")));
            labels.insert(name.trim().to_string(), value.to_string());
            rest = after;
        }
    }
    labels
}
