//! The command line as configuration sees it.

use std::path::PathBuf;

use super::layer::Entry;
use super::options::OptionTable;

/// Configuration on the command line.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    /// Options that it was read by.
    pub options: OptionTable,
    /// Options, as a layer.
    pub entries: Vec<Entry>,
    /// `--config-file` and `--config-dir`, in the order given.
    pub config_paths: Vec<ConfigPath>,
    /// `--build-toml`, in the order given.
    pub build_tomls: Vec<PathBuf>,
}

/// A configuration file or directory named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigPath {
    /// A file, by `--config-file`.
    File(PathBuf),
    /// A directory whose `*.conf` files are read in order of their names.
    Dir(PathBuf),
}
