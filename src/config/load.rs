//! Reading configuration: finding the files and turning each into a layer.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::build_toml::{self, BuildTomlError};
use super::command_line::{CommandLine, ConfigPath};
use super::environment;
use super::ini::{self, IniError};
use super::layer::{Entry, Layers, SetAt};
use super::options::CommandLineForm;
use super::profiles::{self, ProfileError};
use super::shipped;
use crate::util::input;

/// Names of configuration files that are looked for when none is named: oslo.config's project and program.
const CONFIG_NAMES: [&str; 2] = ["kolla", "kolla-build"];

/// Configuration that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory can't be read.
    #[error("failed to read the configuration {path}: {source}")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A kolla-build.conf that is no INI.
    #[error("{path}: {source}")]
    Ini {
        /// Path of the file.
        path: PathBuf,
        /// Reason why it can't be read.
        source: IniError,
    },
    /// A build.toml that is wrong.
    #[error("{path}: {source}")]
    BuildToml {
        /// Path of the file.
        path: PathBuf,
        /// Reason why it can't be read.
        source: BuildTomlError,
    },
    /// A profile that is wrong.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// Reads every layer, the least important first.
pub fn load(line: &CommandLine, env: &BTreeMap<String, String>) -> Result<Layers, LoadError> {
    let home = env.get("HOME").map(PathBuf::from);
    let options = line.options;
    let mut layers = Layers::of(options);
    let in_shipped = |source| LoadError::BuildToml { path: PathBuf::from("build.toml"), source };
    layers.push(shipped::entries(options).map_err(in_shipped)?);
    layers.push(profiles::embedded()?);
    for path in build_tomls(line, home.as_deref()) {
        let text = read(&path)?;
        let entries = build_toml::parse(&text, Some(&path), options);
        layers.push(entries.map_err(|source| LoadError::BuildToml { path, source })?);
    }
    for path in config_files(line, home.as_deref())? {
        let text = read(&path)?;
        let assignments =
            ini::parse(&text).map_err(|source| LoadError::Ini { path: path.clone(), source })?;
        layers.push(assignments.into_iter().map(|assignment| Entry {
            section: assignment.section,
            key: assignment.key,
            text: assignment.value,
            place: SetAt::File(path.clone(), Some(assignment.line)),
        }));
    }
    layers.push(environment::entries(env, options));
    for option in options.iter().filter(|option| option.form == CommandLineForm::Positional) {
        if line.entries.iter().any(|entry| entry.key == option.name) {
            layers.remove_option(option.name);
        }
    }
    layers.push(line.entries.iter().cloned());
    Ok(layers)
}

/// The files that [`load`] reads.
pub fn files(line: &CommandLine, env: &BTreeMap<String, String>) -> Result<Vec<PathBuf>, LoadError> {
    let home = env.get("HOME").map(PathBuf::from);
    let mut files = build_tomls(line, home.as_deref());
    files.extend(config_files(line, home.as_deref())?);
    Ok(files)
}

/// Where [`load`] looks for files: files and directories, of which some may not be there.
pub fn places(line: &CommandLine, env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let home = env.get("HOME").map(PathBuf::from);
    let home = home.as_deref();
    let mut places = line.build_tomls.clone();
    if places.is_empty() {
        places.extend(build_toml_places(home));
    }
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for path in &line.config_paths {
        match path {
            ConfigPath::File(path) => files.push(path.clone()),
            ConfigPath::Dir(dir) => dirs.push(dir.clone()),
        }
    }
    for (named, extension) in [(&mut files, "conf"), (&mut dirs, "conf.d")] {
        if named.is_empty() {
            named.extend(CONFIG_NAMES.iter().flat_map(|name| config_places(home, name, extension)));
        }
    }
    places.extend(files.into_iter().chain(dirs));
    places
}

fn read(path: &Path) -> Result<String, LoadError> {
    input::read_to_string(path).map_err(|source| LoadError::Unreadable { path: path.to_path_buf(), source })
}

fn search_dirs(home: Option<&Path>) -> Vec<PathBuf> {
    let user = home.map(|home| [home.join(".kolla"), home.to_path_buf()]);
    let system = [PathBuf::from("/etc/kolla"), PathBuf::from("/etc")];
    user.into_iter().flatten().chain(system).collect()
}

/// Where a configuration file or directory of this name may be.
fn config_places(home: Option<&Path>, name: &str, extension: &str) -> impl Iterator<Item = PathBuf> {
    let name = format!("{name}.{extension}");
    search_dirs(home).into_iter().map(move |dir| dir.join(&name))
}

/// Where a build.toml may be.
fn build_toml_places(home: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let dirs = [home.map(|home| home.join(".kolla")), Some(PathBuf::from("/etc/kolla"))];
    dirs.into_iter().flatten().map(|dir| dir.join("build.toml"))
}

fn build_tomls(line: &CommandLine, home: Option<&Path>) -> Vec<PathBuf> {
    if !line.build_tomls.is_empty() {
        return line.build_tomls.clone();
    }
    build_toml_places(home).find(|path| path.is_file()).into_iter().collect()
}

/// The files to read, in order. Naming any file, or any directory, replaces the ones that are searched for.
fn config_files(line: &CommandLine, home: Option<&Path>) -> Result<Vec<PathBuf>, LoadError> {
    let first = |name: &str, extension, is: fn(&Path) -> bool| {
        config_places(home, name, extension).find(|path| is(path))
    };
    let mut files = Vec::new();
    if !line.config_paths.iter().any(|path| matches!(path, ConfigPath::File(_))) {
        files.extend(CONFIG_NAMES.iter().filter_map(|name| first(name, "conf", Path::is_file)));
    }
    if !line.config_paths.iter().any(|path| matches!(path, ConfigPath::Dir(_))) {
        for dir in CONFIG_NAMES.iter().filter_map(|name| first(name, "conf.d", Path::is_dir)) {
            files.extend(conf_files_in(&dir)?);
        }
    }
    for path in &line.config_paths {
        match path {
            ConfigPath::File(path) => files.push(path.clone()),
            ConfigPath::Dir(dir) => files.extend(conf_files_in(dir)?),
        }
    }
    Ok(files)
}

fn conf_files_in(dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: dir.to_path_buf(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::DEFAULT;

    fn env(home: &Path) -> BTreeMap<String, String> {
        BTreeMap::from([("HOME".to_string(), home.display().to_string())])
    }

    #[test]
    fn files_are_read_in_order_and_the_command_line_counts_most() {
        let dir = tempfile::tempdir().expect("tmp");
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("mkdir");
            std::fs::write(&path, text).expect("write");
            path
        };
        let first = file("first.conf", "[DEFAULT]\ntag = first\nbase_tag = t\nprofile = a\nregex = glance\n");
        file("d/2.conf", "[DEFAULT]\ntag = second\nprofile = b\n");
        file("d/1.conf", "[DEFAULT]\ntag = never\n");
        file("d/ignored.txt", "no INI at all");
        let entry = |key: &str, text: &str| Entry {
            section: DEFAULT.to_string(),
            key: key.to_string(),
            text: text.to_string(),
            place: SetAt::CommandLine,
        };
        let line = CommandLine {
            entries: vec![entry("namespace", "cli"), entry("regex", "nova")],
            config_paths: vec![ConfigPath::File(first.clone()), ConfigPath::Dir(dir.path().join("d"))],
            ..CommandLine::default()
        };
        let layers = load(&line, &env(dir.path())).expect("readable");
        assert_eq!(layers.option("tag"), Ok(Some("second".to_string())));
        assert_eq!(layers.option("base_tag"), Ok(Some("t".to_string())));
        assert_eq!(layers.option("namespace"), Ok(Some("cli".to_string())));
        assert_eq!(layers.many("profile"), Ok(vec!["a".to_string(), "b".to_string()]));
        assert_eq!(layers.many("regex"), Ok(vec!["nova".to_string()]));
        assert_eq!(
            layers.entry(DEFAULT, "base_tag").map(|entry| entry.place.clone()),
            Some(SetAt::File(first, Some(3)))
        );
    }

    #[test]
    fn a_file_in_the_home_directory_is_found() {
        let dir = tempfile::tempdir().expect("tmp");
        std::fs::write(dir.path().join("kolla-build.conf"), "[DEFAULT]\ntag = home\n").expect("write");
        let layers = load(&CommandLine::default(), &env(dir.path())).expect("readable");
        assert_eq!(layers.option("tag"), Ok(Some("home".to_string())));
    }

    #[test]
    fn errors_name_the_file_and_line() {
        let dir = tempfile::tempdir().expect("tmp");
        let path = dir.path().join("kolla-build.conf");
        std::fs::write(&path, "[DEFAULT]\nnonsense\n").expect("write");
        let error = load(&CommandLine::default(), &env(dir.path())).expect_err("no INI").to_string();
        assert!(error.starts_with(&format!("{}: line 2: no '='", path.display())), "{error}");
        let line = CommandLine {
            config_paths: vec![ConfigPath::File(dir.path().join("absent"))],
            ..CommandLine::default()
        };
        assert!(matches!(load(&line, &env(dir.path())), Err(LoadError::Unreadable { .. })));
    }
}
