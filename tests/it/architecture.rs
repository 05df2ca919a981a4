//! What ARCHITECTURE.md says of the sources, held to them as text: which way modules point, and who may do what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde::Deserialize;

/// The sources, as `tests/measure.py` reads them: without tests and comments, and with empty strings.
#[derive(Deserialize)]
struct Sources {
    files: BTreeMap<String, SourceFile>,
    circles: Vec<Vec<String>>,
    twins: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct SourceFile {
    code: String,
    /// The files that it names something of.
    uses: Vec<String>,
}

fn sources() -> Sources {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/measure.py");
    let output = Command::new("python3").arg(script).arg("--json").output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sources: Sources = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(sources.files.len() > 200, "{} files", sources.files.len());
    sources
}

/// From the top: a module uses those below it alone.
const FLOORS: [&str; 28] = [
    "main",
    "bin",
    "lib",
    "commands",
    "smoke",
    "run",
    "session",
    "build",
    "release",
    "sbom",
    "schedule",
    "export",
    "compare",
    "freshness",
    "report",
    "lint",
    "error",
    "graph",
    "template",
    "sources",
    "cli",
    "config",
    "engine",
    "dockerfile",
    "registry",
    "context",
    "model",
    "util",
];

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

fn floor(file: &str) -> usize {
    let found = FLOORS.iter().position(|floor| *floor == module(file));
    found.unwrap_or_else(|| panic!("{file} is of a module that has no floor"))
}

/// True for a file, or for what is in a directory that is named with a slash at its end.
fn is_among(file: &str, among: &[&str]) -> bool {
    among.iter().any(|named| *named == file || named.ends_with('/') && file.starts_with(named))
}

#[test]
fn no_file_needs_one_that_needs_it() {
    let circles = sources().circles;
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn modules_point_one_way() {
    let sources = sources();
    let mut up = Vec::new();
    for (file, source) in &sources.files {
        up.extend(source.uses.iter().filter(|used| floor(file) > floor(used)).map(|used| (file, used)));
    }
    assert!(up.is_empty(), "{up:#?}");
}

#[test]
fn a_name_is_one_type_s() {
    let twins = sources().twins;
    assert!(twins.is_empty(), "name these apart: {twins:#?}");
}

/// Something that few may do, how it looks in code, and who does it.
struct Right {
    what: &'static str,
    code: &'static str,
    who: &'static [&'static str],
}

const RIGHTS: [Right; 10] = [
    Right {
        what: "read the environment",
        code: r"\benv::(?:var|vars|args)(?:_os)?\b",
        who: &["main.rs", "bin/kolla-run.rs"],
    },
    Right { what: "name the system's temporary directory", code: r"\btemp_dir\(", who: &["util/scratch.rs"] },
    Right {
        what: "use standard output and standard error",
        code: r"\bstd(?:out|err)\(\)|\be?print(?:ln)?!|\bdbg!",
        who: &[
            "session/stdio.rs",
            // Whether it is a terminal.
            "session/reporters.rs",
            "report/console.rs",
            "report/progress.rs",
            "report/tally.rs",
            // The summary, which programs read.
            "report/json.rs",
            // Files that are /dev/stdout or /dev/stderr.
            "util/write.rs",
            // The last word of a process that leaves at once.
            "util/interrupt.rs",
        ],
    },
    Right {
        what: "open files",
        code: r"\bFile::(?:open|create|options)|\bOpenOptions\b",
        who: &[
            "util/input.rs",
            "util/write.rs",
            // What they write into directories of ours is new there.
            "build/assemble.rs",
            "context/workdir/",
            "run/state.rs",
            "sources/cache.rs",
            "sources/download.rs",
            "sources/git.rs",
            "sources/pypi.rs",
            "sources/store.rs",
        ],
    },
    Right {
        what: "run programs",
        code: r"\bprocess::(?:Command|\{[^}]*\bCommand)\b|\bCommand::new\b",
        who: &[
            "engine/docker/ssh.rs",
            "registry/credentials.rs",
            "release/gates.rs",
            "release/signer.rs",
            "run/worker/systemd.rs",
            "sources/command.rs",
            "sources/git.rs",
            "sources/pypi.rs",
            "sources/revision.rs",
            "util/process.rs",
            // The parser's command is no program.
            "cli.rs",
            "run/cli.rs",
            "run/paunch/cli.rs",
            // It becomes the engine's program, which has the terminal.
            "run/paunch/debug.rs",
            "run/puppet/cli.rs",
        ],
    },
    Right { what: "know bollard", code: r"\bbollard\b", who: &["engine/docker/"] },
    Right {
        what: "know clap",
        code: r"\bclap\b",
        who: &["cli.rs", "run/cli.rs", "run/options.rs", "run/paunch/cli.rs", "run/puppet/cli.rs"],
    },
    Right {
        what: "draw progress bars",
        code: r"\bindicatif\b",
        who: &["report/progress.rs", "report/tally.rs", "commands/prune.rs"],
    },
    Right { what: "know MiniJinja", code: r"\bminijinja\b", who: &["template/", "report/templates.rs"] },
    Right {
        what: "speak HTTP",
        code: r"\breqwest::(?:Client|Request|Response|\{)",
        who: &["registry/", "sources/", "util/http.rs"],
    },
];

#[test]
fn only_those_that_may_do_it() {
    let sources = sources();
    for right in RIGHTS {
        let code = Regex::new(right.code).expect("a regex");
        let doers: BTreeSet<&str> = sources
            .files
            .iter()
            .filter(|(_, it)| code.is_match(&it.code))
            .map(|(file, _)| file.as_str())
            .collect();
        let others: Vec<_> = doers.iter().filter(|file| !is_among(file, right.who)).collect();
        assert!(others.is_empty(), "{others:?} may not {}", right.what);
        let idle: Vec<_> =
            right.who.iter().filter(|who| !doers.iter().any(|file| is_among(file, &[who]))).collect();
        assert!(idle.is_empty(), "{idle:?} need not {}", right.what);
    }
}

/// Files without files, environment, clock, runtime, programs or network, and those among them that are not.
const PURE: [(&str, &[&str]); 28] = [
    ("cli.rs", &[]),
    ("cli/", &[]),
    ("compare/", &[]),
    ("config/", &["config/inputs.rs", "config/load.rs"]),
    ("dockerfile.rs", &[]),
    ("dockerfile/", &[]),
    ("error.rs", &[]),
    ("export/", &[]),
    (
        "freshness/",
        &[
            "freshness/bases.rs",
            "freshness/images.rs",
            "freshness/inputs.rs",
            "freshness/lock/checker.rs",
            "freshness/records.rs",
        ],
    ),
    ("graph/", &[]),
    ("lint/", &[]),
    ("model/", &["model/secret.rs"]),
    ("registry/manifest.rs", &[]),
    ("registry/retention.rs", &[]),
    ("release/known.rs", &[]),
    ("release/notes.rs", &[]),
    ("release/provenance.rs", &[]),
    ("sbom/", &["sbom/cache.rs", "sbom/reader.rs"]),
    (
        "report/",
        &[
            "report/console.rs",
            "report/files.rs",
            "report/json.rs",
            "report/logs.rs",
            "report/progress.rs",
            "report/tally.rs",
        ],
    ),
    (
        "run/",
        &[
            "run/apply.rs",
            "run/desired.rs",
            "run/health.rs",
            "run/mod.rs",
            "run/module_tasks.rs",
            "run/opened.rs",
            "run/paunch/apply.rs",
            "run/paunch/debug.rs",
            "run/paunch/load.rs",
            "run/paunch/log.rs",
            "run/paunch/mod.rs",
            "run/puppet/generate.rs",
            "run/puppet/mod.rs",
            "run/puppet/startup.rs",
            "run/reached.rs",
            "run/state.rs",
            "run/tasks.rs",
            "run/worker/actions.rs",
            "run/worker/module.rs",
            "run/worker/systemd.rs",
        ],
    ),
    ("schedule/", &["schedule/gate.rs", "schedule/history.rs", "schedule/run.rs", "schedule/tries.rs"]),
    ("smoke/", &["smoke/gate.rs", "smoke/images.rs", "smoke/stacks.rs"]),
    // Their limits have a clock, and the tree's files are read.
    (
        "template/",
        &[
            "template/catalog.rs",
            "template/error.rs",
            "template/limits.rs",
            "template/overrides.rs",
            "template/repos/sections.rs",
        ],
    ),
    ("util/hex.rs", &[]),
    ("util/names.rs", &[]),
    ("util/nearest.rs", &[]),
    ("util/places.rs", &[]),
    ("util/transient.rs", &[]),
];

#[test]
fn what_is_pure_stays_pure() {
    let sources = sources();
    let impure = Regex::new(concat!(
        r"\bfs::\w|\bFile::|\benv::\w|\b(?:SystemTime|Instant|Zoned|Timestamp)::now|\btokio\b|\bbollard\b|\bindicatif\b",
        r"|\breqwest::(?:Client|Request|Response|\{)|\bprocess::",
        r"|\butil::(?:\{[^}]*)?\b(?:input|write|process|scratch|interrupt|http|retry|kept_files)\b",
    ));
    let impure = impure.expect("a regex");
    for (named, except) in PURE {
        let files: Vec<_> = sources.files.iter().filter(|(file, _)| is_among(file, &[named])).collect();
        assert!(!files.is_empty(), "{named} is nowhere");
        for (file, source) in files {
            let found = impure.find(&source.code).map(|found| found.as_str());
            assert_eq!(found.is_some(), is_among(file, except), "{file}: {found:?}");
        }
    }
}
