//! Names on the command line that no file has [pure].

use crate::config::options::OptionOrigin;

/// Options of the command line that are in no file.
pub(super) const COMMAND_LINE_ONLY: [(&str, OptionOrigin); 9] = [
    ("config-file", OptionOrigin::Kolla),
    ("config-dir", OptionOrigin::Kolla),
    ("shell_completion", OptionOrigin::Kolla),
    ("help", OptionOrigin::Kolla),
    ("version", OptionOrigin::Kolla),
    ("build-toml", OptionOrigin::Ours),
    ("print-config", OptionOrigin::Ours),
    ("completion", OptionOrigin::Ours),
    ("man", OptionOrigin::Ours),
];

/// Switch that turns another one off.
pub(super) fn off_twin(long: &str) -> String {
    format!("no{long}")
}
