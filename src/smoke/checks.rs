//! Checks of an image that need no other image: what is asked, and what is right about an answer [pure].

use std::collections::BTreeMap;

use regex::Regex;

use crate::engine::container::{FileFacts, ImageConfiguration};
use crate::model::smoke::SmokeCheck;
use crate::run::units::quoted_line;

/// Everything that is asked of an image by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageChecks {
    /// Checks of its configuration.
    pub metadata: Vec<MetadataCheck>,
    /// Files, by what they are.
    pub files: Vec<FileCheck>,
    /// Files, by what is in them.
    pub contents: Vec<ContentCheck>,
    /// Programs.
    pub commands: Vec<CommandCheck>,
}

impl ImageChecks {
    /// True when nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == ImageChecks::default()
    }

    /// Asks all of this too.
    pub fn add(&mut self, more: ImageChecks) {
        self.metadata.extend(more.metadata);
        self.files.extend(more.files);
        self.contents.extend(more.contents);
        self.commands.extend(more.commands);
    }
}

/// A regular expression, in the words of its file.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// It is no regular expression; the reason.
    pub fn new(text: &str) -> Result<Pattern, String> {
        Regex::new(text).map(Pattern).map_err(|_| format!("'{text}' is not a regular expression"))
    }

    /// True for a text that it is found in.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

/// Patterns that a text has to match, and those that it must not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextCheck {
    /// All of these.
    pub expected: Vec<Pattern>,
    /// None of these.
    pub excluded: Vec<Pattern>,
}

impl TextCheck {
    /// Fault of a text, if it has one; `what` names the text.
    fn fault(&self, what: &str, text: &str) -> Option<String> {
        if let Some(Pattern(missing)) = self.expected.iter().find(|Pattern(it)| !it.is_match(text)) {
            return Some(format!("{what} does not match '{missing}'"));
        }
        let found = self.excluded.iter().find(|Pattern(it)| it.is_match(text));
        found.map(|Pattern(found)| format!("{what} matches '{found}'"))
    }
}

/// A program that is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandCheck {
    /// Name that its file has for it.
    pub name: Option<String>,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Variables beside the image's own.
    pub environment: BTreeMap<String, String>,
    /// Exit code that it is to have.
    pub exit_code: i64,
    /// Check of its standard output.
    pub output: TextCheck,
    /// Check of its standard error.
    pub error: TextCheck,
}

/// End of a program that was run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramEnd {
    /// Exit code.
    pub code: i64,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub error: String,
}

impl CommandCheck {
    /// Name of the check, for people.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| quoted_line(&self.words))
    }

    /// The check, once the program has ended.
    pub fn judge(&self, end: &ProgramEnd) -> SmokeCheck {
        let wrong_code = || {
            let said = end.error.trim().lines().last().or_else(|| end.output.trim().lines().last());
            let said = said.map(|line| format!(": {line}")).unwrap_or_default();
            format!("exit code {}, and not {}{said}", end.code, self.exit_code)
        };
        let fault = (end.code != self.exit_code)
            .then(wrong_code)
            .or_else(|| self.output.fault("its standard output", &end.output))
            .or_else(|| self.error.fault("its standard error", &end.error));
        SmokeCheck::new(self.title(), fault)
    }
}

/// Who a file is to be executable by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutableBy {
    /// The owner of the file.
    Owner,
    /// The group of the file.
    Group,
    /// Everybody else.
    Other,
    /// Anybody of these.
    Any,
}

/// A file or directory that is to be there, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// Name that its file has for it.
    pub name: Option<String>,
    /// Path in the image.
    pub path: String,
    /// False for one that must not be there.
    pub is_there: bool,
    /// Kind and permissions, as `ls` shows them: `-rwxr-xr-x`.
    pub permissions: Option<String>,
    /// Number of its owner.
    pub uid: Option<u64>,
    /// Number of its group.
    pub gid: Option<u64>,
    /// Who may execute it.
    pub executable_by: Option<ExecutableBy>,
}

impl FileCheck {
    /// A file that is to be there.
    pub fn of(path: &str) -> FileCheck {
        FileCheck {
            name: None,
            path: path.to_string(),
            is_there: true,
            permissions: None,
            uid: None,
            gid: None,
            executable_by: None,
        }
    }

    /// The check, once the file was looked for.
    pub fn judge(&self, found: Option<&FileFacts>) -> SmokeCheck {
        let title = self.name.clone().unwrap_or_else(|| format!("file {}", self.path));
        SmokeCheck::new(title, self.fault(found))
    }

    fn fault(&self, found: Option<&FileFacts>) -> Option<String> {
        let path = &self.path;
        let facts = match (found, self.is_there) {
            (None, false) => return None,
            (None, true) => return Some(format!("{path} is not there")),
            (Some(_), false) => return Some(format!("{path} is there")),
            (Some(facts), true) => facts,
        };
        let shown = facts.permissions();
        if let Some(wanted) = self.permissions.as_ref().filter(|wanted| **wanted != shown) {
            return Some(format!("{path} has the permissions {shown}, and not {wanted}"));
        }
        for (what, wanted, is) in [("owner", self.uid, facts.uid), ("group", self.gid, facts.gid)] {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
                return Some(format!("{path} has the {what} {is}, and not {wanted}"));
            }
        }
        let bits = match self.executable_by? {
            ExecutableBy::Owner => 0o100,
            ExecutableBy::Group => 0o010,
            ExecutableBy::Other => 0o001,
            ExecutableBy::Any => 0o111,
        };
        (facts.mode & bits == 0).then(|| format!("{path} ({shown}) can't be executed"))
    }
}

/// A file that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentCheck {
    /// Name that its file has for it.
    pub name: Option<String>,
    /// Path in the image.
    pub path: String,
    /// Check of the file's content.
    pub content: TextCheck,
}

impl ContentCheck {
    /// The check, once the file was read.
    pub fn judge(&self, found: Option<&FileFacts>) -> SmokeCheck {
        let fault = match found {
            None => Some(format!("{} is not there", self.path)),
            Some(facts) => self.content.fault(&self.path, &String::from_utf8_lossy(&facts.content)),
        };
        SmokeCheck::new(self.name.clone().unwrap_or_else(|| format!("content of {}", self.path)), fault)
    }
}

/// A value that a name is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedValue {
    /// Name of a variable or label.
    pub key: String,
    /// Value that it has, or a pattern of it.
    pub value: Result<String, Pattern>,
}

impl ExpectedValue {
    fn fault(&self, what: &str, values: &BTreeMap<String, String>) -> Option<String> {
        let key = &self.key;
        let Some(is) = values.get(key) else { return Some(format!("there is no {what} {key}")) };
        match &self.value {
            Ok(wanted) => (is != wanted).then(|| format!("{what} {key} is '{is}', and not '{wanted}'")),
            Err(Pattern(it)) => {
                (!it.is_match(is)).then(|| format!("{what} {key} is '{is}', no match of '{it}'"))
            }
        }
    }
}

/// Something about an image's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataCheck {
    /// Words of its entry point.
    Entrypoint(Vec<String>),
    /// Words of its command.
    Command(Vec<String>),
    /// User that its processes run as; empty for root.
    User(String),
    /// Working directory.
    Workdir(String),
    /// All volumes that it declares.
    Volumes(Vec<String>),
    /// Volume that it declares, or must not.
    Volume(String, bool),
    /// Port that it exposes, or must not.
    Port(String, bool),
    /// True when it has a healthcheck of its own.
    Healthcheck(bool),
    /// Variable of its environment.
    Variable(ExpectedValue),
    /// Label of it.
    Label(ExpectedValue),
}

impl MetadataCheck {
    /// The check of an image with this configuration.
    pub fn judge(&self, config: &ImageConfiguration) -> SmokeCheck {
        let differs =
            |is: &str, wanted: &str| (is != wanted).then(|| format!("it is '{is}', and not '{wanted}'"));
        let words = |is: &[String], wanted: &[String]| differs(&quoted_line(is), &quoted_line(wanted));
        let among = |all: &[String], one: &str, wanted: bool| {
            let is_there = all.iter().any(|it| it.split('/').next() == Some(one) || it == one);
            (is_there != wanted).then(|| if is_there { "it is there" } else { "it is not there" }.to_string())
        };
        let (name, fault) = match self {
            MetadataCheck::Entrypoint(wanted) => {
                ("entrypoint".to_string(), words(&config.entrypoint, wanted))
            }
            MetadataCheck::Command(wanted) => ("command".to_string(), words(&config.command, wanted)),
            MetadataCheck::User(wanted) => ("user".to_string(), differs(&config.user, wanted)),
            MetadataCheck::Workdir(wanted) => ("workdir".to_string(), differs(&config.workdir, wanted)),
            MetadataCheck::Volumes(wanted) => {
                let sorted = |volumes: &[String]| {
                    let mut sorted = volumes.to_vec();
                    sorted.sort_unstable();
                    sorted
                };
                ("volumes".to_string(), words(&sorted(&config.volumes), &sorted(wanted)))
            }
            MetadataCheck::Volume(path, wanted) => {
                let is_there = config.volumes.contains(path);
                let fault = if is_there { "it is declared" } else { "it is not declared" };
                (format!("volume {path}"), (is_there != *wanted).then(|| fault.to_string()))
            }
            MetadataCheck::Port(port, wanted) => {
                (format!("port {port}"), among(&config.ports, port, *wanted))
            }
            MetadataCheck::Healthcheck(wanted) => {
                let fault = match (config.has_healthcheck, wanted) {
                    (true, false) => Some("the image has one, which no stack asks for"),
                    (false, true) => Some("the image has none"),
                    _ => None,
                };
                ("healthcheck".to_string(), fault.map(String::from))
            }
            MetadataCheck::Variable(expected) => {
                (format!("variable {}", expected.key), expected.fault("variable", &config.environment))
            }
            MetadataCheck::Label(expected) => {
                (format!("label {}", expected.key), expected.fault("label", &config.labels))
            }
        };
        SmokeCheck::new(name, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_string()).collect()
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text).expect("a pattern")).collect()
    }

    #[test]
    fn a_program_is_judged_by_its_code_and_by_what_it_says() {
        let check = CommandCheck {
            words: texts(&["etcd", "--version"]),
            output: TextCheck { expected: patterns(&["^etcd 3\\."]), excluded: patterns(&["beta"]) },
            ..CommandCheck::default()
        };
        let end = |code, output: &str, error: &str| ProgramEnd {
            code,
            output: output.to_string(),
            error: error.to_string(),
        };
        for (end, fault) in [
            (end(0, "etcd 3.5\n", ""), None),
            (end(1, "etcd 3.5\n", "no\nsuch library\n"), Some("exit code 1, and not 0: such library")),
            (end(0, "etcd 2\n", ""), Some("its standard output does not match '^etcd 3\\.'")),
            (end(0, "etcd 3.6beta", ""), Some("its standard output matches 'beta'")),
        ] {
            let judged = check.judge(&end);
            assert_eq!((judged.name.as_str(), judged.fault.as_deref()), ("etcd --version", fault));
        }
    }

    #[test]
    fn a_file_is_judged_by_its_owner_and_permissions() {
        let facts = FileFacts { mode: 0o100_644, uid: 0, gid: 5, content: b"a = 1\n".to_vec() };
        let fault = |check: FileCheck| check.judge(Some(&facts)).fault;
        assert_eq!(fault(FileCheck::of("/a")), None);
        assert_eq!(FileCheck::of("/a").judge(None).fault.as_deref(), Some("/a is not there"));
        let absent = FileCheck { is_there: false, ..FileCheck::of("/a") };
        assert_eq!((absent.judge(None).fault, fault(absent)), (None, Some("/a is there".to_string())));
        let wanted = FileCheck { permissions: Some("-rwxr-xr-x".to_string()), ..FileCheck::of("/a") };
        assert_eq!(fault(wanted).as_deref(), Some("/a has the permissions -rw-r--r--, and not -rwxr-xr-x"));
        let wanted = FileCheck { uid: Some(0), gid: Some(0), ..FileCheck::of("/a") };
        assert_eq!(fault(wanted).as_deref(), Some("/a has the group 5, and not 0"));
        let wanted = FileCheck { executable_by: Some(ExecutableBy::Any), ..FileCheck::of("/a") };
        assert_eq!(fault(wanted).as_deref(), Some("/a (-rw-r--r--) can't be executed"));

        let content = TextCheck { expected: patterns(&["^a = 2"]), ..TextCheck::default() };
        let check = ContentCheck { name: None, path: "/a".to_string(), content };
        let judged = check.judge(Some(&facts));
        assert_eq!(
            (judged.name.as_str(), judged.fault.as_deref()),
            ("content of /a", Some("/a does not match '^a = 2'"))
        );
    }

    #[test]
    fn a_configuration_is_judged_by_what_it_is_to_be() {
        let config = ImageConfiguration {
            entrypoint: texts(&["dumb-init", "--"]),
            user: "nova".to_string(),
            volumes: texts(&["/var/lib/x"]),
            ports: texts(&["80/tcp"]),
            has_healthcheck: true,
            environment: [("LANG".to_string(), "C".to_string())].into(),
            ..ImageConfiguration::default()
        };
        let variable = |value| MetadataCheck::Variable(ExpectedValue { key: "LANG".to_string(), value });
        for (check, name, fault) in [
            (MetadataCheck::Entrypoint(texts(&["dumb-init", "--"])), "entrypoint", None),
            (
                MetadataCheck::Command(texts(&["kolla_start"])),
                "command",
                Some("it is '', and not 'kolla_start'"),
            ),
            (MetadataCheck::User("root".to_string()), "user", Some("it is 'nova', and not 'root'")),
            (MetadataCheck::Volumes(Vec::new()), "volumes", Some("it is '/var/lib/x', and not ''")),
            (
                MetadataCheck::Volume("/var/lib/x".to_string(), false),
                "volume /var/lib/x",
                Some("it is declared"),
            ),
            (MetadataCheck::Port("80".to_string(), true), "port 80", None),
            (MetadataCheck::Port("443".to_string(), true), "port 443", Some("it is not there")),
            (
                MetadataCheck::Healthcheck(false),
                "healthcheck",
                Some("the image has one, which no stack asks for"),
            ),
            (variable(Ok("C".to_string())), "variable LANG", None),
            (
                variable(Err(patterns(&["UTF-8"]).remove(0))),
                "variable LANG",
                Some("variable LANG is 'C', no match of 'UTF-8'"),
            ),
        ] {
            let judged = check.judge(&config);
            assert_eq!((judged.name.as_str(), judged.fault.as_deref()), (name, fault));
        }
    }
}
