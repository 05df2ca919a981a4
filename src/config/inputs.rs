//! Checks that the files and directories named by options exist, before anything reads them [I/O].

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::layer::{Layers, ValueErrors, value_error};
use super::options::{InputPath, ValueKind};
use crate::util::input;
use crate::util::nearest;

/// Looks for every file and directory that options name to be read; gives all that are missing.
pub fn check(layers: &Layers) -> Result<(), ValueErrors> {
    let mut missing = Vec::new();
    for option in layers.options().iter() {
        let is_wrong: fn(&Path) -> Option<String> = match option.input() {
            Some(InputPath::File) => no_file,
            Some(InputPath::Dir | InputPath::ImageTree | InputPath::KollaPackage) => no_directory,
            Some(InputPath::LockFile | InputPath::Reports) | None => continue,
        };
        for (entry, text) in layers.counting(option)? {
            if text.is_empty() && option.kind != ValueKind::Many {
                continue;
            }
            missing.extend(is_wrong(Path::new(&text)).map(|reason| value_error(entry, reason)));
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(ValueErrors(missing)) }
}

fn no_file(path: &Path) -> Option<String> {
    let error = input::open(path).err()?;
    Some(match error.kind() {
        ErrorKind::InvalidInput => format!("{}: {error}", path.display()),
        _ => absent("file", path, &error),
    })
}

fn no_directory(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is a file, and no directory", path.display())),
        Err(error) => Some(absent("directory", path, &error)),
    }
}

fn absent(what: &str, path: &Path, error: &std::io::Error) -> String {
    if error.kind() != ErrorKind::NotFound {
        return format!("{} can't be read: {error}", path.display());
    }
    let beside = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = fs::read_dir(beside)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hint = nearest::hint(&name, names.iter().map(String::as_str));
    format!("there is no {what} '{}'{hint}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::DEFAULT;
    use crate::config::layer::{Entry, SetAt};

    fn told(given: &[(&str, &Path)]) -> Vec<String> {
        let mut layers = Layers::default();
        layers.push(given.iter().map(|(key, path)| Entry {
            section: DEFAULT.to_string(),
            key: key.to_string(),
            text: path.display().to_string(),
            place: SetAt::CommandLine,
        }));
        let missing = check(&layers).err().map(|missing| missing.0).unwrap_or_default();
        missing.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everything_missing_is_told_at_once() {
        let dir = tempfile::tempdir().expect("tmp");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("mine.j2"), "").expect("write");
        std::fs::create_dir(at("patches")).expect("mkdir");
        let (file, folder) = (at("mine.j2"), at("patches"));
        assert_eq!(told(&[("template_override", &file), ("patches_path", &folder)]), [""; 0]);
        assert_eq!(told(&[("repos_yaml", Path::new("")), ("repos_yaml", Path::new("/dev/null"))]), [""; 0]);
        // Of a value that can be given once, the last one counts.
        assert_eq!(told(&[("patches_path", &at("nosuch")), ("patches_path", &folder)]), [""; 0]);
        let (mistyped, root) = (at("mien.j2"), dir.path().display());
        assert_eq!(
            told(&[
                ("template_override", &mistyped),
                ("template_override", &folder),
                ("docker_dir", &file),
                ("patches_path", &at("zzz")),
            ]),
            [
                format!("--template-override: there is no file '{root}/mien.j2': did you mean 'mine.j2'?"),
                format!("--template-override: {root}/patches: it is a directory, not a file"),
                format!("--docker-dir: {root}/mine.j2 is a file, and no directory"),
                format!("--patches-path: there is no directory '{root}/zzz'"),
            ]
        );
    }
}
