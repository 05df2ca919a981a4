//! `Cargo.toml`: what it says of the package, for cargo, crates.io and cargo-deb.

use std::path::Path;

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
    for asset in package["metadata"]["deb"]["assets"].as_array().unwrap() {
        let source = strings(asset)[0];
        // The rest is made when the package is.
        if !source.starts_with("target/") {
            named.push(source.split_once('*').map_or(source, |(directory, _)| directory));
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let missing: Vec<_> =
        named.iter().filter(|path| !root.join(path.trim_start_matches('/')).exists()).collect();
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
