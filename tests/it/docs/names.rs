//! What documents name: files, headings, options, keys and messages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kolla_build::config::keys::SOURCE_KEYS;
use kolla_build::config::options::OPTIONS;
use kolla_build::model::failure::FailureKind;
use regex::Regex;
use serde_json::Value;

use super::blocks::{blocks, prose};
use super::{Document, documents, repository};
use crate::support::docker::{FakeDocker, Fault};
use crate::support::project::Project;
use crate::support::pushed::Pushed;

/// Options of other programs that documents name.
const OPTIONS_OF_OTHERS: [&str; 17] = [
    "allow",
    "check",
    "disk",
    "exit-code",
    "fail-on",
    "from",
    "ignore-missing",
    "input",
    "mount",
    "no-install-recommends",
    "output",
    "path",
    "rm",
    "severity",
    "strip-components",
    "test",
    "tlog-upload",
];

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

/// How GitHub and others name a heading in links.
fn anchor(heading: &str) -> String {
    let text = regex(r"\[([^\]]*)\]\([^)]*\)").replace_all(heading, "$1").to_lowercase();
    let kept = text.chars().filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_lead_somewhere() {
    let link = regex(r"\]\(([^)\s]+)\)|(?:src|href|srcset)=\x22([^\x22]+)\x22");
    let (mut count, mut broken) = (0, Vec::new());
    for Document { path, text } in documents() {
        for found in link.captures_iter(&prose(&text)) {
            let target = found.get(1).or(found.get(2)).expect("one of them").as_str();
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => repository().join(&path),
                file => repository().join(&path).parent().unwrap().join(file),
            };
            let leads = match heading {
                "" => file.exists(),
                heading => std::fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(heading)),
            };
            if !leads {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(count > 50 && broken.is_empty(), "of {count} links: {broken:#?}");
}

#[test]
fn every_option_that_is_named_exists() {
    let command = kolla_build::cli::command(OPTIONS);
    let mut known: BTreeSet<String> = ["help", "version"].map(String::from).into();
    for argument in command.get_arguments() {
        known.extend(argument.get_long().map(String::from));
        known.extend(argument.get_all_aliases().unwrap_or_default().into_iter().map(String::from));
    }
    let run = kolla_build::run::cli::command();
    let paunch = kolla_build::run::paunch::cli::command("paunch");
    for command in std::iter::once(&run).chain(run.get_subcommands()).chain(paunch.get_subcommands()) {
        known.extend(command.get_arguments().filter_map(|argument| argument.get_long().map(String::from)));
    }
    let of_others: BTreeSet<String> = OPTIONS_OF_OTHERS.map(String::from).into();
    let named = regex(r"(?:^|[\s`'(\[/])--([a-z][a-z0-9_-]*)");
    let (mut unknown, mut used) = (BTreeSet::new(), BTreeSet::new());
    // The others speak to developers, of other programs too.
    let users = |path: &Path| {
        path == Path::new("README.md")
            || path == Path::new("CHANGELOG.md")
            || path.starts_with("docs")
            || path.starts_with("overrides")
    };
    for Document { path, text } in documents().into_iter().filter(|it| users(&it.path)) {
        // What a program prints is its own.
        let printed = blocks(&text).into_iter().filter(|block| block.language == "console");
        let text = printed.fold(text, |text, block| text.replace(&block.text, &block.commands()));
        for found in named.captures_iter(&text) {
            let name = found[1].trim_end_matches('-').to_string();
            if of_others.contains(&name) {
                used.insert(name);
            } else if !known.contains(&name) && !ABBREVIATED.contains(&name.as_str()) {
                unknown.insert(format!("{}: --{name}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert_eq!(used, of_others);
}

/// Options that documents write short on purpose, and what stands for any option.
const ABBREVIATED: [&str; 6] = ["list-im", "thread", "x", "nox", "no", "some-name"];

#[test]
fn every_key_of_a_configuration_file_exists() {
    let mut count = 0;
    for Document { path, text } in documents() {
        for block in blocks(&text).iter().filter(|block| block.language == "ini") {
            let mut section = "";
            for line in block.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                if let Some(name) = line.strip_prefix('[') {
                    section = name.trim_end_matches(']');
                    continue;
                }
                let key = line.split('=').next().unwrap_or_default().trim();
                let known = match section {
                    "DEFAULT" => OPTIONS.find(key).is_some(),
                    "profiles" => true,
                    _ => SOURCE_KEYS.contains(&key),
                };
                assert!(known, "{}:{}: [{section}] {key}", path.display(), block.line);
                count += 1;
            }
        }
    }
    assert!(count > 5);
}

/// The text below a heading, without what is below those under it.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start =
        document.find(&format!("{heading}\n")).unwrap_or_else(|| panic!("no {heading}")) + heading.len();
    let rest = &document[start..];
    &rest[..rest.find("\n#").unwrap_or(rest.len())]
}

/// The words in the first column of the first table below a heading.
fn first_column(document: &str, heading: &str) -> BTreeSet<String> {
    let section = section(document, heading);
    let table = section[section.find("\n|").expect("a table")..].trim_start();
    let rows = table.lines().take_while(|line| line.starts_with('|')).skip(2);
    let word = regex("`([^`]+)`");
    let words = rows.flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap_or_default();
        word.captures_iter(cell).map(|found| found[1].to_string()).collect::<Vec<_>>()
    });
    words.collect()
}

/// The keys of objects, all together.
fn keys<'a>(objects: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    objects.into_iter().filter_map(Value::as_object).flat_map(|object| object.keys().cloned()).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

/// A report in which everything that can be told is told of some image.
fn eventful_report() -> Value {
    let mistake = Fault::Fails { message: "exit code: 100".to_string(), log: "no".to_string() };
    let daemon = FakeDocker::with_base_image()
        .fail_times("base", 1, Fault::CutAfterMessages(1))
        .fail("nova-base", mistake);
    let project = Project::new()
        .image("memcached", Some("base"), "COPY --from={{ namespace }}/keystone:{{ tag }} /a /b\n")
        .file("s.yaml", "docker_config: {base: {image: base}}")
        .with_engine(&daemon);
    project
        .run([
            "--push",
            "--noverify-push",
            "--retries=1",
            "--report=report.json",
            "--nobuildkit",
            "--smoke=s.yaml",
            "--gate=true",
        ])
        .exits(1);
    json(&project.read("report.json"))
}

#[test]
fn every_key_of_a_report_is_described_and_no_other() {
    let document = Document::read("docs/reports.md").text;
    let report = eventful_report();
    let images = list(&report["images"]);
    let of_images = |key: &'static str| images.iter().map(move |image| &image[key]);
    let retries: Vec<&Value> = of_images("retries").flat_map(list).collect();
    for (heading, found) in [
        ("## The report", keys([&report])),
        ("### run", keys([&report["run"]])),
        ("### counts", keys([&report["counts"]])),
        ("### critical_path", keys([&report["critical_path"]])),
        ("### configuration", keys(list(&report["configuration"]))),
        ("### images", keys(images)),
        ("#### failure", keys(of_images("failure"))),
        ("#### retries", keys(retries)),
        ("#### smoke", keys(of_images("smoke"))),
        ("#### gate", keys(of_images("gate"))),
        ("#### push", keys(of_images("push"))),
    ] {
        assert_eq!(found, first_column(&document, heading), "{heading}");
    }
    for (key, inside) in
        [("parent", of_images("parent")), ("named", of_images("named")), ("steps", of_images("steps"))]
    {
        let row = section(&document, "### images").lines().find(|row| row.starts_with(&format!("| `{key}`")));
        let told =
            |name: &String| key == "named" || row.is_some_and(|row| row.contains(&format!("`{name}`")));
        assert!(keys(inside).iter().all(told), "{key}");
    }
}

#[test]
fn every_key_of_other_outputs_is_described() {
    let document = Document::read("docs/reports.md").text;
    let pushed = Pushed::new().change("keystone", "openstack-base");
    let described = |heading: &str, found: BTreeSet<String>| {
        let known = first_column(&document, heading);
        assert!(!found.is_empty() && found.is_subset(&known), "{heading}: {found:?} of {known:?}");
    };
    let summary = pushed.run(&["--push", "--digests", "digests.json"]).exits(0).summary();
    assert_eq!(keys([&summary]), first_column(&document, "## The summary"));
    let digests = json(&pushed.project.read("digests.json"));
    described("## Digests", keys(digests.as_object().expect("an object").values()));

    let plan = pushed.run(&["--plan", "--plan-format", "json"]).exits(0).summary();
    let units = list(&plan["units"]);
    described("## The plan as JSON", keys(units));
    assert_eq!(keys(units.iter().map(|unit| &unit["forecast"])), first_column(&document, "### forecast"));

    let findings = pushed.run(&["--verify-registry"]).exits(0).summary();
    described("## What a registry has, as JSON", keys(list(&findings)));
    let shown = pushed.run(&["--prune", "--dry-run", "--plan-format", "json"]).exits(0).summary();
    assert_eq!(keys(list(&shown)), first_column(&document, "## What --prune shows, as JSON"));
}

#[test]
fn every_kind_of_failure_is_explained() {
    use FailureKind::{Build, Connection, Disk, Gate, Local, Registry, Sign, Smoke, Source, Timeout};
    let all = [Source, Connection, Build, Registry, Timeout, Smoke, Gate, Sign, Disk, Local];
    // Whoever adds one finds this, and adds it above.
    let word = |kind: FailureKind| match kind {
        Source | Connection | Build | Registry | Timeout | Smoke | Gate | Sign | Disk | Local => {
            kind.to_string()
        }
    };
    let document = Document::read("docs/troubleshooting.md").text;
    assert_eq!(first_column(&document, "## Failures of images"), all.map(word).into());
}

/// What is quoted as an error is what the program says.
#[test]
fn errors_are_quoted_as_they_are() {
    let files = walkdir::WalkDir::new(repository().join("src")).into_iter().map(Result::unwrap);
    let sources = files.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    let texts = sources.map(|entry| std::fs::read_to_string(entry.path()).unwrap());
    // A text goes on in the next line behind a backslash.
    let program = regex(r"\\\n\s*").replace_all(&texts.collect::<String>(), "").into_owned();
    let document = Document::read("docs/troubleshooting.md").text;
    let placeholder = regex(r"\.\.\.|\bN\b");
    let mut count = BTreeMap::new();
    for quoted in first_column(&document, "## Errors before anything is built") {
        for part in
            placeholder.split(&quoted).map(str::trim).filter(|part| part.len() > 3 && !part.starts_with("--"))
        {
            count.insert(part.to_string(), program.contains(part));
        }
    }
    let wrong: Vec<_> = count.iter().filter(|(_, found)| !**found).collect();
    assert!(count.len() > 15 && wrong.is_empty(), "{wrong:#?}");
}
