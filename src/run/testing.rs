//! Stacks for tests.

use std::collections::BTreeMap;
use std::io;

use super::stack::{Stack, StackDraft, StackInputs};

/// A stack that needs neither parameters nor other files.
pub fn stack(text: &str) -> Stack {
    let read = |_: &str| Err(io::ErrorKind::NotFound.into());
    let inputs =
        StackInputs { parameters: &BTreeMap::new(), files_dir: "/state/files", config_id: "s", read: &read };
    let draft = StackDraft::read("s.yaml", text, &inputs).expect("a stack");
    let passwords = draft.passwords().into_iter().map(|name| (name, "hush".to_string())).collect();
    draft.with_passwords(&passwords).expect("settings")
}
