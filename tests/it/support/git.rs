//! git, as tests make repositories with it.

use std::path::Path;
use std::process::Command;

/// Runs a shell script of git commands in a directory, as an author of its own.
#[track_caller]
pub fn git(directory: &Path, script: &str) {
    let script = format!("git() {{ command git -c user.name=a -c user.email=a@b \"$@\"; }}\n{script}");
    let status = Command::new("sh").args(["-ec", &script]).current_dir(directory).status();
    assert!(status.expect("a shell").success());
}
