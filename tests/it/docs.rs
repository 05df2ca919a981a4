//! The documents are true: their commands run, their links lead somewhere, and what they name exists.

pub mod blocks;
mod names;
mod world;

use std::path::{Path, PathBuf};

use blocks::{Block, Run, blocks};
use world::World;

/// At most so many blocks of commands are only read, and not run.
const NOT_RUN: usize = 1;

/// A file in Markdown.
struct Document {
    /// Relative to the repository.
    path: PathBuf,
    text: String,
}

impl Document {
    fn read(path: &str) -> Document {
        let text = std::fs::read_to_string(repository().join(path)).expect(path);
        Document { path: path.into(), text }
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document of the repository.
fn documents() -> Vec<Document> {
    let ours = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target")
    };
    let entries = walkdir::WalkDir::new(repository()).sort_by_file_name().into_iter().filter_entry(ours);
    let paths = entries.map(|entry| entry.unwrap().into_path());
    let documents = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents
        .map(|path| Document::read(path.strip_prefix(repository()).unwrap().to_str().expect("a name")))
        .collect()
}

/// Those that tell people what to do.
fn users_documents() -> Vec<Document> {
    let mut documents = documents();
    let at_the_top = ["README.md", "CONTRIBUTING.md"].map(Path::new);
    documents.retain(|it| at_the_top.contains(&it.path.as_path()) || it.path.starts_with("docs"));
    assert!(documents.len() > 10);
    documents
}

#[test]
fn commands_do_what_the_documents_say() {
    let failures = std::thread::scope(|scope| {
        let documents = users_documents();
        let threads: Vec<_> =
            documents.into_iter().map(|document| scope.spawn(move || failures(&document))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The blocks of a document that fail, each with what it printed. One after another they are run in the same place, as by
/// somebody who follows the document.
fn failures(document: &Document) -> Vec<String> {
    let world = World::new();
    let fails = |block: &Block| {
        let outcome = match &block.run {
            Run::Whole => world.run(&block.commands()),
            Run::Checked => world.check(&block.commands()),
            Run::File(name) => return world.write(name, &block.text),
            Run::No => return None,
        };
        outcome.err()
    };
    let told = |block: &Block, failure| format!("{}:{}: {failure}", document.path.display(), block.line);
    blocks(&document.text).iter().filter_map(|block| Some(told(block, fails(block)?))).collect()
}

#[test]
fn few_commands_are_not_run() {
    let documents = users_documents();
    let all: Vec<Block> = documents.iter().flat_map(|document| blocks(&document.text)).collect();
    let count = |wanted: fn(&Run) -> bool| all.iter().filter(|block| wanted(&block.run)).count();
    assert!(count(|run| *run == Run::Whole) > 25);
    assert!(count(|run| *run == Run::Checked) <= NOT_RUN);
}

/// Everybody who looks at the README loads them.
#[test]
fn pictures_are_small() {
    let files =
        std::fs::read_dir(repository().join("docs/pictures")).unwrap().map(|entry| entry.unwrap().path());
    let is_picture =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "svg" || extension == "png");
    let sizes: Vec<u64> = files.filter(is_picture).map(|path| path.metadata().unwrap().len()).collect();
    assert!(!sizes.is_empty() && sizes.iter().sum::<u64>() < 150 * 1024, "{sizes:?}");
}

#[test]
fn a_wrong_option_is_found() {
    let world = World::new();
    for (command, reason) in [
        ("kolla-build --list-imgaes", "unexpected argument '--list-imgaes'"),
        ("kolla-build --threads many", "not a whole number"),
        ("nosuch", "not found"),
    ] {
        let told = world.check(command).expect_err("it is wrong");
        assert!(told.contains(reason), "{told}");
        assert!(world.run(&format!("{command}\ntrue")).is_err());
    }
}
