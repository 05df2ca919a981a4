//! Failures of modules, as Ansible is told of them [pure].

use serde_json::{Map, Value, json};

use crate::engine::EngineError;

/// Why a module failed.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleFailure {
    /// The reason, in a sentence.
    pub message: String,
    /// True when something may have been changed before.
    pub changed: bool,
    /// Further keys of the answer.
    pub more: Map<String, Value>,
}

impl ModuleFailure {
    /// A failure before anything was changed.
    pub fn new(message: impl Into<String>) -> ModuleFailure {
        ModuleFailure { message: message.into(), changed: false, more: Map::new() }
    }

    /// The same after something may have been changed.
    #[must_use]
    pub fn after_changes(self) -> ModuleFailure {
        ModuleFailure { changed: true, ..self }
    }

    /// The same with another key in the answer.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> ModuleFailure {
        self.more.insert(key.to_string(), value.into());
        self
    }

    /// The answer to Ansible.
    pub fn answer(self) -> Map<String, Value> {
        let mut answer = self.more;
        answer.insert("failed".to_string(), json!(true));
        answer.insert("changed".to_string(), json!(self.changed));
        answer.insert("msg".to_string(), json!(self.message));
        answer
    }
}

impl From<EngineError> for ModuleFailure {
    fn from(error: EngineError) -> ModuleFailure {
        ModuleFailure::new(error.to_string()).after_changes()
    }
}
