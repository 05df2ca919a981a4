//! The `kolla-run` program: reads its command line and runs the task.

use std::collections::BTreeMap;
use std::process::ExitCode;

#[allow(clippy::disallowed_methods, reason = "what the environment says is handed on from here")]
fn main() -> ExitCode {
    // Variables that are no text can't be passed on either.
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    ExitCode::from(kolla_build::run::run(std::env::args_os(), variables))
}
