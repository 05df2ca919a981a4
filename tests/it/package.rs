//! What is installed, and what `Cargo.toml` says of the package, for cargo, crates.io and cargo-deb.

use std::path::Path;
use std::process::Command;

fn manifest() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn strings(value: &toml::Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn names_no_file_that_is_missing() {
    let manifest = manifest();
    let package = &manifest["package"];
    let mut named = strings(&package["include"]);
    assert!(
        named.iter().all(|path| path.starts_with('/')),
        "a path without / is looked for in every directory"
    );
    named.push(package["readme"].as_str().unwrap());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Of a pattern, its directory.
    let place = |path: &str| root.join(path.trim_start_matches('/').split('*').next().unwrap_or_default());
    let missing: Vec<_> = named.iter().filter(|path| !place(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn has_what_crates_io_shows() {
    let manifest = manifest();
    let package = &manifest["package"];
    for key in ["authors", "description", "license", "repository", "keywords", "categories", "rust-version"] {
        assert!(package.get(key).is_some(), "{key}");
    }
}

#[test]
fn lists_dependencies_in_order() {
    // The table that toml makes has an order of its own.
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    for heading in ["[dependencies]", "[dev-dependencies]"] {
        let section = text.split_once(&format!("\n{heading}\n")).unwrap().1;
        let names: Vec<_> = section
            .lines()
            .take_while(|line| !line.starts_with('['))
            .filter_map(|l| l.split_once(" = "))
            .map(|l| l.0)
            .collect();
        assert!(names.len() > 1 && names.is_sorted(), "{heading}: {names:?}");
    }
}

#[test]
fn all_that_is_laid_out_is_in_the_debian_package() {
    let tree = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = env!("CARGO_BIN_EXE_kolla-build");
    let run = Command::new(root.join("packaging/tree")).arg(program).arg(tree.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let manifest = manifest();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let mut packed = vec!["share/doc/kolla-build/LICENSE".to_string()]; // as Debian's `copyright`
    for asset in assets {
        let pattern = strings(asset)[0].strip_prefix("target/dist/tree/").unwrap();
        let (directory, name) = pattern.rsplit_once('/').unwrap();
        let matches = |file: &str| name.strip_prefix('*').map_or(file == name, |end| file.ends_with(end));
        let before = packed.len();
        for entry in std::fs::read_dir(tree.path().join(directory)).unwrap().flatten() {
            let file = entry.file_name().into_string().unwrap();
            if entry.path().is_file() && matches(&file) {
                packed.push(format!("{directory}/{file}"));
            }
        }
        assert!(packed.len() > before, "{pattern} is no file");
    }
    let mut laid_out: Vec<_> = walkdir::WalkDir::new(tree.path())
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(tree.path()).unwrap().to_str().unwrap().to_string())
        .collect();
    laid_out.sort();
    packed.sort();
    assert_eq!(laid_out, packed);
    let bash = std::fs::read_to_string(tree.path().join("share/bash-completion/completions/kolla-build"));
    assert!(bash.unwrap().contains("--list-images"));
}
