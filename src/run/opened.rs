//! Stacks with their state: found by name or file, read, and given passwords [I/O].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::labels::StackOwner;
use super::shipped;
use super::stack::{Stack, StackDraft, StackError, StackInputs};
use super::state::{StateDir, StateError};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::model::secret::Secrets;
use crate::util::{input, nearest};

/// Beginning and ending of the names of startup configurations, as `puppet-config` writes them.
const STARTUP_FILE: (&str, &str) = ("hashed-", ".json");

/// A stack as it is written.
#[derive(Debug, Clone)]
pub struct StackText {
    /// Name or file that it was asked for by.
    pub file: String,
    /// Text of it.
    pub text: String,
    /// Directory of its file; none for one inside the program.
    directory: Option<PathBuf>,
}

impl StackText {
    /// Finds a stack: a name alone is one of those inside the program, a directory holds startup configurations.
    pub fn read(file: &str) -> Result<StackText, Fatal> {
        if !input::is_path(file) {
            let text = shipped::stack(file).ok_or_else(|| unknown_stack(file))?;
            return Ok(StackText { file: file.to_string(), text: text.to_string(), directory: None });
        }
        let path = Path::new(file);
        let read = if path.is_dir() { of_directory(path) } else { input::read_to_string(path) };
        let text = read.map_err(|error| {
            Fatal::message(format!("failed to read the stack {file}: {error}"), EXIT_USAGE)
        })?;
        Ok(StackText { file: file.to_string(), text, directory: path.parent().map(Path::to_path_buf) })
    }

    /// Identifier of the stack when nobody names another.
    pub fn name(&self) -> String {
        let stem = Path::new(&self.file).file_stem();
        stem.map_or_else(|| self.file.clone(), |stem| stem.to_string_lossy().into_owned())
    }

    /// Text of a file beside it.
    fn beside(&self, path: &str) -> io::Result<String> {
        match &self.directory {
            Some(directory) => input::read_to_string(&directory.join(path)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// The startup configurations in a directory, `hashed-NAME.json` each, as a stack.
fn of_directory(directory: &Path) -> io::Result<String> {
    let mut containers = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = file.strip_prefix(STARTUP_FILE.0).and_then(|file| file.strip_suffix(STARTUP_FILE.1));
        let Some(name) = name else { continue };
        let text = input::read_to_string(&entry.path())?;
        // They know no placeholders: those in them are a shell's.
        let text = text.replace("${", "$${");
        let settings: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{file}: {error}")))?;
        containers.insert(name.to_string(), settings);
    }
    if containers.is_empty() {
        let (beginning, ending) = STARTUP_FILE;
        let message = format!("the directory has no {beginning}NAME{ending}");
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    Ok(serde_json::json!({"docker_config": containers}).to_string())
}

/// A stack with its state, ready to be compared.
#[derive(Debug, Clone)]
pub struct OpenedStack {
    /// Stack, with passwords and everything else filled in.
    pub stack: Stack,
    /// Directory of its state.
    pub state: StateDir,
    /// Who its containers belong to.
    pub owner: StackOwner,
    /// Passwords, which may not be kept yet.
    pub passwords: BTreeMap<String, String>,
}

impl OpenedStack {
    /// Reads a stack. Nothing is written yet. `hide` learns the passwords before anything can show them.
    pub fn open(
        text: &StackText,
        owner: StackOwner,
        parameters: &BTreeMap<String, String>,
        state_root: &Path,
        hide: impl Fn(&Secrets),
    ) -> Result<OpenedStack, Fatal> {
        check_id(&owner.config_id)?;
        let state = StateDir::new(state_root, &owner.config_id);
        let files_dir = state.files_dir().display().to_string();
        let read = |path: &str| text.beside(path);
        let config_id = &owner.config_id;
        let inputs = StackInputs { parameters, files_dir: &files_dir, config_id, read: &read };
        let draft = StackDraft::read(&text.file, &text.text, &inputs)?;
        let passwords = state.passwords(&draft.passwords())?;
        hide(&masking(&passwords)?);
        let stack = draft.with_passwords(&passwords)?;
        Ok(OpenedStack { stack, state, owner, passwords })
    }
}

/// Everything that hides passwords.
pub fn masking(passwords: &BTreeMap<String, String>) -> Result<Secrets, Fatal> {
    Secrets::read(&[], &BTreeMap::new(), passwords.values().cloned())
        .map_err(|error| Fatal::new(&error, EXIT_FAILED))
}

/// An error about a name that no stack inside the program has.
pub fn unknown_stack(name: &str) -> Fatal {
    let unknown = nearest::unknown_name("stack", name, shipped::names());
    Fatal::message(unknown, EXIT_USAGE)
        .hinted("kolla-run stacks lists those inside the program; a file is named with its directory: ./NAME")
}

/// Names of stacks are those of directories, and of labels.
pub fn check_id(id: &str) -> Result<(), Fatal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().all(fits) {
        return Ok(());
    }
    let message = format!("'{id}' can't be what a stack is known by: letters, digits, '_', '.' and '-' can");
    Err(Fatal::message(message, EXIT_USAGE).hinted("name another with --config-id"))
}

impl From<StateError> for Fatal {
    fn from(error: StateError) -> Fatal {
        let fatal = Fatal::new(&error, EXIT_FAILED);
        match error {
            StateError::Locked { .. } => fatal.hinted("wait for its end; a lock goes with its process"),
            StateError::Io { .. } => fatal.hinted("name another directory with --state-dir"),
            _ => fatal,
        }
    }
}

impl From<StackError> for Fatal {
    fn from(error: StackError) -> Fatal {
        Fatal::new(&error, EXIT_USAGE)
    }
}
