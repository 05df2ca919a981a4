//! Startup configurations on this machine, written anew with the digests of what they mount [I/O].

use std::fs;
use std::path::{Path, PathBuf};

use glob::MatchOptions;

use super::super::stack::parse_any;
use super::hashes::hashed;
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::session::stdio::TellLine;
use crate::util::input;
use crate::util::write::write_private;

/// Beginning of the names of files with digests.
const HASHED: &str = "hashed-";

/// Files of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartupCounts {
    /// Startup configurations that were found.
    pub found: usize,
    /// Files that were written, because they were to be others than they were.
    pub changed: usize,
}

/// Writes `hashed-NAME.json` beside every startup configuration that the pattern names, and removes those beside which
/// there is none any more.
pub fn update(pattern: &str, prefix: &str, tell: TellLine<'_>) -> Result<StartupCounts, Fatal> {
    let paths = expand(pattern).map_err(|reason| Fatal::message(reason, EXIT_USAGE))?;
    let mut counts = StartupCounts::default();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(of) = name.strip_prefix(HASHED) {
            if !path.with_file_name(of).exists() {
                fs::remove_file(&path)
                    .map_err(|error| Fatal::of_file("remove", &path, error, EXIT_FAILED))?;
                tell(format_args!("{}: removed: there is no {of} any more", path.display()));
            }
            continue;
        }
        counts.found += 1;
        let target = path.with_file_name(format!("{HASHED}{name}"));
        let text = hashed_text(&path, prefix)?;
        if input::read(&target).is_ok_and(|there| there == text.as_bytes()) {
            continue;
        }
        write_private(&target, text.as_bytes())
            .map_err(|error| Fatal::of_file("write", &target, error, EXIT_FAILED))?;
        counts.changed += 1;
        tell(format_args!("{}: written", target.display()));
    }
    Ok(counts)
}

fn hashed_text(path: &Path, prefix: &str) -> Result<String, Fatal> {
    let cannot_read = |reason: String| Fatal::of_file("read", path, reason, EXIT_FAILED);
    let text = input::read_to_string(path).map_err(|error| cannot_read(error.to_string()))?;
    let startup = parse_any(&text).map_err(cannot_read)?;
    let hashed = hashed(startup, prefix, digest).map_err(cannot_read)?;
    Ok(serde_json::to_string_pretty(&hashed).unwrap_or_default() + "\n")
}

/// Digest of a configuration volume, as the run that has written it has left it.
fn digest(volume: &str) -> Option<String> {
    let text = input::read_to_string(Path::new(&format!("{volume}.md5sum"))).ok()?;
    Some(text.trim().to_string()).filter(|digest| !digest.is_empty())
}

/// Files that a pattern names, as a shell has it, in the order of their names.
fn expand(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let as_in_a_shell = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::default() };
    let found = glob::glob_with(pattern, as_in_a_shell)
        .map_err(|error| format!("'{pattern}' is no pattern of paths: {error}"))?;
    // A directory that can't be read has nothing for this run.
    Ok(found.flatten().filter(|path| path.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_written_when_a_digest_has_changed() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |path: &str| root.path().join(path);
        for directory in ["step_3", "step_4", "data/puppet-generated"] {
            fs::create_dir_all(at(directory)).expect("a directory");
        }
        let prefix = at("data").display().to_string();
        let write = |path: &str, text: &str| fs::write(at(path), text).expect("a file");
        write(
            "step_3/a.json",
            &format!(r#"{{"image": "i", "volumes": ["{prefix}/puppet-generated/a:/x"]}}"#),
        );
        write("step_3/b.json", "null");
        write("step_3/hashed-gone.json", "{}");
        write("step_4/c.json", "{");
        write("data/puppet-generated/a.md5sum", "one\n");
        let pattern = at("step_3/*.json").display().to_string();
        let update = |pattern: &str| update(pattern, &prefix, &|_| {});
        assert_eq!(update(&pattern).expect("updated"), StartupCounts { found: 2, changed: 2 });
        let hashed = fs::read_to_string(at("step_3/hashed-a.json")).expect("written");
        assert!(hashed.contains(r#""TRIPLEO_CONFIG_HASH": "one""#), "{hashed}");
        assert_eq!(fs::read_to_string(at("step_3/hashed-b.json")).expect("written"), "{}\n");
        assert_eq!(at("step_3/hashed-a.json").metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert!(!at("step_3/hashed-gone.json").exists());
        assert_eq!(update(&pattern).expect("updated"), StartupCounts { found: 2, changed: 0 });
        write("data/puppet-generated/a.md5sum", "two\n");
        assert_eq!(update(&pattern).expect("updated"), StartupCounts { found: 2, changed: 1 });
        let everything = at("step_*/*.json").display().to_string();
        let told = update(&everything).expect_err("no JSON").to_string();
        assert!(told.contains("step_4/c.json"), "{told}");
        let nowhere = at("nowhere/*.json").display().to_string();
        assert_eq!(update(&nowhere).expect("nothing"), StartupCounts::default());
        let told = update("/[").expect_err("no pattern").to_string();
        assert!(told.contains("'/[' is no pattern of paths"), "{told}");
    }
}
