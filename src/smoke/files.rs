//! Files of checks: this program's own, and those of container-structure-test [pure].

use serde_json::{Map, Value};

use super::checks::{
    CommandCheck, ContentCheck, ExecutableBy, ExpectedValue, FileCheck, ImageChecks, MetadataCheck, Pattern,
    TextCheck,
};
use crate::run::fields::{FieldError, Fields, unfit};
use crate::run::stack::parse;
use crate::run::units;

/// Version of container-structure-test's format that is read.
const SCHEMA: &str = "2.0.0";

/// A file of checks that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct CheckFileError {
    /// The file.
    pub file: String,
    /// The key that it is about, and what is wrong.
    pub reason: String,
}

/// Checks that images have to pass, by their names.
#[derive(Debug, Clone, Default)]
pub struct CheckSet {
    default: OwnChecks,
    /// By patterns of names, in the order of the files.
    matching: Vec<(Pattern, String, OwnChecks)>,
    /// Of container-structure-test, by names.
    structure: Vec<(String, ImageChecks)>,
}

/// Checks in this program's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OwnChecks {
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    user: Option<String>,
    volumes: Option<Vec<String>>,
    healthcheck: Option<bool>,
    files: Vec<String>,
    run: Vec<Vec<String>>,
}

impl CheckSet {
    /// Adds the checks of a file. `file` is what errors call it; `stem` is its name without ending, which is the image's
    /// in a file of container-structure-test.
    ///
    /// # Errors
    /// It is neither YAML nor JSON, or something in it can't be used.
    pub fn add(&mut self, file: &str, stem: &str, text: &str) -> Result<(), CheckFileError> {
        let fail = |reason: String| CheckFileError { file: file.to_string(), reason };
        let whole = parse(text).map_err(fail)?;
        if whole.contains_key("schemaVersion") {
            let checks = structure_test(&whole).map_err(fail)?;
            self.structure.push((stem.to_string(), checks));
            return Ok(());
        }
        let mut sections = Fields::new(&whole);
        if let Some(default) = sections.value("default") {
            self.default.lay_over(&own(default).map_err(|reason| fail(format!("default: {reason}")))?);
        }
        if let Some(images) = sections.value("images") {
            let images = images.as_object().ok_or_else(|| fail("images: it is no mapping".to_string()))?;
            for (name, value) in images {
                let fail = |reason: String| fail(format!("images: {name}: {reason}"));
                let pattern = Pattern::new(&format!("^(?:{name})$"))
                    .map_err(|_| fail("it is neither a name nor a regular expression".to_string()))?;
                self.matching.push((pattern, name.clone(), own(value).map_err(fail)?));
            }
        }
        sections.finish().map_err(|error| fail(error.to_string()))
    }

    /// The names of images that files of container-structure-test are for.
    pub fn structure_tests(&self) -> impl Iterator<Item = &str> {
        self.structure.iter().map(|(image, _)| image.as_str())
    }

    /// Everything that is asked of an image. Lists add up; of single values that of its name counts, then those of
    /// patterns, the last one first, then the default.
    pub fn of(&self, image: &str) -> ImageChecks {
        let mut own = self.default.clone();
        let (named, matching): (Vec<_>, Vec<_>) = self
            .matching
            .iter()
            .filter(|(pattern, _, _)| pattern.is_match(image))
            .partition(|(_, name, _)| name == image);
        for (_, _, more) in matching.into_iter().chain(named) {
            own.lay_over(more);
        }
        let mut checks = own.checks();
        for (_, more) in self.structure.iter().filter(|(of, _)| of == image) {
            checks.add(more.clone());
        }
        checks
    }
}

impl OwnChecks {
    fn lay_over(&mut self, more: &OwnChecks) {
        fn replace<T: Clone>(value: &mut Option<T>, with: &Option<T>) {
            if with.is_some() {
                value.clone_from(with);
            }
        }
        replace(&mut self.entrypoint, &more.entrypoint);
        replace(&mut self.command, &more.command);
        replace(&mut self.user, &more.user);
        replace(&mut self.volumes, &more.volumes);
        replace(&mut self.healthcheck, &more.healthcheck);
        self.files.extend(more.files.iter().cloned());
        self.run.extend(more.run.iter().cloned());
    }

    fn checks(self) -> ImageChecks {
        let metadata = [
            self.entrypoint.map(MetadataCheck::Entrypoint),
            self.command.map(MetadataCheck::Command),
            self.user.map(MetadataCheck::User),
            self.volumes.map(MetadataCheck::Volumes),
            self.healthcheck.map(MetadataCheck::Healthcheck),
        ];
        let command = |words| CommandCheck { words, ..CommandCheck::default() };
        ImageChecks {
            metadata: metadata.into_iter().flatten().collect(),
            files: self.files.iter().map(|path| FileCheck::of(path)).collect(),
            contents: Vec::new(),
            commands: self.run.into_iter().map(command).collect(),
        }
    }
}

fn own(value: &Value) -> Result<OwnChecks, String> {
    let map = value.as_object().ok_or("it is no mapping")?;
    let mut fields = Fields::new(map);
    let mut read = || {
        Ok(OwnChecks {
            entrypoint: words(&mut fields, "entrypoint")?,
            command: words(&mut fields, "command")?,
            user: fields.text("user")?,
            volumes: match fields.value("volumes") {
                None => None,
                Some(_) => Some(fields.list("volumes")?),
            },
            healthcheck: match fields.value("healthcheck") {
                None => None,
                Some(_) => Some(fields.flag("healthcheck", false)?),
            },
            files: paths(fields.list("files")?)?,
            run: commands(&mut fields)?,
        })
    };
    let read: Result<OwnChecks, FieldError> = read();
    let own = read.map_err(|error| error.to_string())?;
    fields.finish().map_err(|error| error.to_string())?;
    Ok(own)
}

/// Words of a command; an empty list is one without words, and no list is none.
fn words(fields: &mut Fields, key: &'static str) -> Result<Option<Vec<String>>, FieldError> {
    match fields.value(key) {
        None => Ok(None),
        Some(_) => fields.command(key).map(Some),
    }
}

fn paths(paths: Vec<String>) -> Result<Vec<String>, FieldError> {
    match paths.iter().find(|path| !path.starts_with('/')) {
        Some(path) => Err(unfit("files", format!("'{path}' is no absolute path"))),
        None => Ok(paths),
    }
}

/// Commands, each a text that is split as a shell does.
fn commands(fields: &mut Fields) -> Result<Vec<Vec<String>>, FieldError> {
    let lines = fields.list("run")?;
    lines.iter().map(|line| units::words(line).map_err(|reason| unfit("run", reason))).collect()
}

/// Reads the format of container-structure-test.
fn structure_test(whole: &Map<String, Value>) -> Result<ImageChecks, String> {
    let mut sections = Fields::new(whole);
    let version = sections.text("schemaVersion").map_err(|error| error.to_string())?.unwrap_or_default();
    if version != SCHEMA {
        return Err(format!("schemaVersion: '{version}' is not {SCHEMA}"));
    }
    let globals = pairs(&mut sections, "globalEnvVars").map_err(|error| error.to_string())?;
    let mut checks = ImageChecks {
        commands: each(&mut sections, "commandTests", command_test)?,
        files: each(&mut sections, "fileExistenceTests", file_test)?,
        contents: each(&mut sections, "fileContentTests", content_test)?,
        metadata: Vec::new(),
    };
    for command in &mut checks.commands {
        let own = std::mem::take(&mut command.environment);
        command.environment.extend(globals.clone());
        command.environment.extend(own);
    }
    if let Some(metadata) = sections.value("metadataTest") {
        let metadata = metadata.as_object().ok_or("metadataTest: it is no mapping")?;
        checks.metadata = metadata_test(metadata).map_err(|error| format!("metadataTest: {error}"))?;
    }
    for unknown in ["licenseTests", "containerRunOptions"] {
        if sections.value(unknown).is_some() {
            return Err(format!("{unknown}: kolla-build does not know it; leave it out"));
        }
    }
    sections.finish().map_err(|error| error.to_string())?;
    Ok(checks)
}

/// Reads every item of a list; errors tell its number and name.
fn each<T>(
    sections: &mut Fields,
    key: &'static str,
    read: impl Fn(&mut Fields) -> Result<T, FieldError>,
) -> Result<Vec<T>, String> {
    let Some(value) = sections.value(key) else { return Ok(Vec::new()) };
    let items = value.as_array().ok_or_else(|| format!("{key}: it is no list"))?;
    let one = |(at, item): (usize, &Value)| {
        let name =
            item.get("name").and_then(Value::as_str).map(|name| format!(" ({name})")).unwrap_or_default();
        let fail = |reason: String| format!("{key}[{at}]{name}: {reason}");
        let map = item.as_object().ok_or_else(|| fail("it is no mapping".to_string()))?;
        let mut fields = Fields::new(map);
        let read = read(&mut fields).map_err(|error| fail(error.to_string()))?;
        fields.finish().map_err(|error| fail(error.to_string()))?;
        Ok(read)
    };
    items.iter().enumerate().map(one).collect()
}

fn command_test(fields: &mut Fields) -> Result<CommandCheck, FieldError> {
    let name = fields.text("name")?;
    for steps in ["setup", "teardown"] {
        if fields.value(steps).is_some_and(|value| value.as_array().is_none_or(|steps| !steps.is_empty())) {
            return Err(unfit(steps, "kolla-build runs each command in a container of its own; use bash -c"));
        }
    }
    let program = fields.text("command")?.ok_or(FieldError::Missing("command"))?;
    let mut words = vec![program];
    words.extend(fields.command("args")?);
    Ok(CommandCheck {
        name,
        words,
        environment: pairs(fields, "envVars")?.into_iter().collect(),
        exit_code: fields.number("exitCode")?.unwrap_or(0),
        output: TextCheck {
            expected: patterns(fields, "expectedOutput")?,
            excluded: patterns(fields, "excludedOutput")?,
        },
        error: TextCheck {
            expected: patterns(fields, "expectedError")?,
            excluded: patterns(fields, "excludedError")?,
        },
    })
}

fn file_test(fields: &mut Fields) -> Result<FileCheck, FieldError> {
    let number = |fields: &mut Fields, key| {
        let number = fields.number(key)?.map(u64::try_from).transpose();
        number.map_err(|_| unfit(key, "it is below zero"))
    };
    let executable_by = match fields.text("isExecutableBy")?.as_deref() {
        None => None,
        Some("owner") => Some(ExecutableBy::Owner),
        Some("group") => Some(ExecutableBy::Group),
        Some("other") => Some(ExecutableBy::Other),
        Some("any") => Some(ExecutableBy::Any),
        Some(other) => {
            return Err(unfit("isExecutableBy", format!("'{other}' is not owner, group, other or any")));
        }
    };
    Ok(FileCheck {
        name: fields.text("name")?,
        path: path(fields)?,
        is_there: fields.flag("shouldExist", true)?,
        permissions: fields.text("permissions")?,
        uid: number(fields, "uid")?,
        gid: number(fields, "gid")?,
        executable_by,
    })
}

fn content_test(fields: &mut Fields) -> Result<ContentCheck, FieldError> {
    Ok(ContentCheck {
        name: fields.text("name")?,
        path: path(fields)?,
        content: TextCheck {
            expected: patterns(fields, "expectedContents")?,
            excluded: patterns(fields, "excludedContents")?,
        },
    })
}

fn path(fields: &mut Fields) -> Result<String, FieldError> {
    match fields.text("path")? {
        None => Err(FieldError::Missing("path")),
        Some(path) if !path.starts_with('/') => Err(unfit("path", format!("'{path}' is no absolute path"))),
        Some(path) => Ok(path),
    }
}

fn patterns(fields: &mut Fields, key: &'static str) -> Result<Vec<Pattern>, FieldError> {
    let texts = fields.list(key)?;
    texts.iter().map(|text| Pattern::new(text).map_err(|reason| unfit(key, reason))).collect()
}

/// Items with a key and a value.
fn pairs(fields: &mut Fields, key: &'static str) -> Result<Vec<(String, String)>, FieldError> {
    let expected = expected(fields, key)?;
    let plain = |ExpectedValue { key: name, value }| match value {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(unfit(key, format!("{name}: a pattern is no value"))),
    };
    expected.into_iter().map(plain).collect()
}

/// Items with a key, and a value that may be a pattern.
fn expected(fields: &mut Fields, key: &'static str) -> Result<Vec<ExpectedValue>, FieldError> {
    let items = match fields.value(key) {
        None => return Ok(Vec::new()),
        Some(value) => value.as_array().ok_or_else(|| unfit(key, "it is no list"))?,
    };
    let one = |item: &Value| {
        let map = item.as_object().ok_or_else(|| unfit(key, "one of its items is no mapping"))?;
        let mut fields = Fields::new(map);
        let mut read = || {
            let name = fields.text("key")?.ok_or(FieldError::Missing("key"))?;
            let value = fields.text("value")?.unwrap_or_default();
            let value = match fields.flag("isRegex", false)? {
                true => Err(Pattern::new(&value).map_err(|reason| unfit("value", reason))?),
                false => Ok(value),
            };
            Ok(ExpectedValue { key: name, value })
        };
        let read: Result<ExpectedValue, FieldError> = read();
        let read = read.and_then(|read| fields.finish().map(|()| read));
        read.map_err(|error| unfit(key, error))
    };
    items.iter().map(one).collect()
}

fn metadata_test(map: &Map<String, Value>) -> Result<Vec<MetadataCheck>, FieldError> {
    let mut fields = Fields::new(map);
    let mut checks: Vec<MetadataCheck> = Vec::new();
    // The older name of the key.
    for key in ["env", "envVars"] {
        checks.extend(expected(&mut fields, key)?.into_iter().map(MetadataCheck::Variable));
    }
    checks.extend(expected(&mut fields, "labels")?.into_iter().map(MetadataCheck::Label));
    for (key, wanted) in [("exposedPorts", true), ("unexposedPorts", false)] {
        checks.extend(fields.list(key)?.into_iter().map(|port| MetadataCheck::Port(port, wanted)));
    }
    for (key, wanted) in [("volumes", true), ("unmountedVolumes", false)] {
        checks.extend(fields.list(key)?.into_iter().map(|path| MetadataCheck::Volume(path, wanted)));
    }
    checks.extend(words(&mut fields, "entrypoint")?.map(MetadataCheck::Entrypoint));
    checks.extend(words(&mut fields, "cmd")?.map(MetadataCheck::Command));
    checks.extend(fields.text("user")?.map(MetadataCheck::User));
    checks.extend(fields.text("workdir")?.map(MetadataCheck::Workdir));
    fields.finish()?;
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &str)]) -> Result<CheckSet, CheckFileError> {
        let mut set = CheckSet::default();
        for (stem, text) in files {
            set.add(&format!("checks/{stem}.yaml"), stem, text)?;
        }
        Ok(set)
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_string()).collect()
    }

    #[test]
    fn what_is_said_of_an_image_adds_up_and_its_name_counts_most() {
        let set = set(&[(
            "own",
            "
default: {entrypoint: dumb-init --, files: [/a], healthcheck: false}
images:
  nova-api: {user: nova, run: nova-api --version}
  nova-.*: {user: root, files: /b, run: [true, 'a \"b c\"']}
  mariadb: {entrypoint: []}
",
        )])
        .expect("checks");
        let nova = set.of("nova-api");
        assert_eq!(
            nova.metadata,
            [
                MetadataCheck::Entrypoint(texts(&["dumb-init", "--"])),
                MetadataCheck::User("nova".to_string()),
                MetadataCheck::Healthcheck(false),
            ]
        );
        assert_eq!(nova.files, [FileCheck::of("/a"), FileCheck::of("/b")]);
        let commands: Vec<_> = nova.commands.iter().map(|command| command.words.join("|")).collect();
        assert_eq!(commands, ["true", "a|b c", "nova-api|--version"]);
        assert_eq!(set.of("mariadb").metadata[0], MetadataCheck::Entrypoint(Vec::new()));
        // A pattern is one of the whole name.
        assert_eq!(set.of("not-nova-api").commands, []);
    }

    const STRUCTURE: &str = r#"
schemaVersion: 2.0.0
globalEnvVars: [{key: A, value: "1"}, {key: B, value: "2"}]
commandTests:
  - {name: version, command: etcd, args: [--version], envVars: [{key: B, value: "3"}], exitCode: 2, expectedOutput: ["3\\."], excludedError: [warn], setup: []}
fileExistenceTests:
  - {name: root, path: /root, shouldExist: false}
  - {path: /bin/sh, permissions: "-rwxr-xr-x", uid: 0, gid: 0, isExecutableBy: owner}
fileContentTests:
  - {name: release, path: /etc/os-release, expectedContents: [Debian], excludedContents: [Ubuntu]}
metadataTest:
  envVars: [{key: LANG, value: "C.*", isRegex: true}]
  labels: [{key: name, value: etcd}]
  exposedPorts: ["2379"]
  unexposedPorts: [80]
  volumes: [/data]
  unmountedVolumes: [/tmp]
  entrypoint: [dumb-init]
  cmd: []
  user: etcd
  workdir: /
"#;

    #[test]
    fn files_of_container_structure_test_are_read_for_the_image_of_their_name() {
        let set = set(&[("etcd", STRUCTURE)]).expect("checks");
        assert!(set.of("other").is_empty());
        assert_eq!(set.structure_tests().collect::<Vec<_>>(), ["etcd"]);
        let checks = set.of("etcd");
        let command = &checks.commands[0];
        assert_eq!(
            (command.title().as_str(), command.words.join(" ").as_str()),
            ("version", "etcd --version")
        );
        assert_eq!(command.exit_code, 2);
        let environment = [("A", "1"), ("B", "3")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(command.environment, environment.into());
        assert_eq!((command.output.expected.len(), command.error.excluded.len()), (1, 1));
        let [root, shell] = checks.files.as_slice() else { panic!("two files") };
        assert!(!root.is_there && shell.is_there);
        assert_eq!((shell.uid, shell.executable_by), (Some(0), Some(ExecutableBy::Owner)));
        assert_eq!(checks.contents[0].path, "/etc/os-release");
        assert_eq!(checks.metadata.len(), 10);
        assert_eq!(checks.metadata[7], MetadataCheck::Command(Vec::new()));
    }

    #[test]
    fn what_can_not_be_used_is_told_with_file_and_key() {
        for (text, told) in [
            ("imges: {}", "checks/x.yaml: unknown key 'imges': did you mean 'images'?"),
            (
                "images: {nova-api: {usr: nova}}",
                "checks/x.yaml: images: nova-api: unknown key 'usr': did you mean 'user'?",
            ),
            ("images: {'(': {}}", "checks/x.yaml: images: (: it is neither a name nor a regular expression"),
            ("default: {files: [a]}", "checks/x.yaml: default: files: 'a' is no absolute path"),
            ("schemaVersion: 1.0.0", "checks/x.yaml: schemaVersion: '1.0.0' is not 2.0.0"),
            (
                "{schemaVersion: 2.0.0, commandTests: [{command: a}, {name: b, comand: a}]}",
                "checks/x.yaml: commandTests[1] (b): command is missing",
            ),
            (
                "{schemaVersion: 2.0.0, commandTests: [{name: b, command: a, setup: [[c]]}]}",
                "checks/x.yaml: commandTests[0] (b): setup: kolla-build runs each command in a container of its own; use bash -c",
            ),
            (
                "{schemaVersion: 2.0.0, fileContentTests: [{path: /a, expectedContents: ['(']}]}",
                "checks/x.yaml: fileContentTests[0]: expectedContents: '(' is not a regular expression",
            ),
            (
                "{schemaVersion: 2.0.0, metadataTest: {labels: [{value: x}]}}",
                "checks/x.yaml: metadataTest: labels: key is missing",
            ),
            (
                "{schemaVersion: 2.0.0, licenseTests: []}",
                "checks/x.yaml: licenseTests: kolla-build does not know it; leave it out",
            ),
        ] {
            assert_eq!(set(&[("x", text)]).expect_err(text).to_string(), told);
        }
    }
}
