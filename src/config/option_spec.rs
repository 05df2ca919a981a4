//! An option: its value, its names, its use. The options themselves are in [`super::options`].

use super::task_kind::TaskKind;

/// Type of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A text of any kind.
    Text,
    /// Any text; on the command line `--x` or `--x=TEXT`.
    OptionalText {
        /// Value of `--x` alone.
        unnamed: &'static str,
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A whole number, not below `min`.
    Integer {
        /// The smallest number that is allowed.
        min: i64,
    },
    /// On or off; on the command line `--x` and `--nox`.
    Flag,
    /// Items with commas between them: `a,b,c`.
    List,
    /// Pairs with commas between them: `key:value,key:value`.
    Dict,
    /// May be given several times; every value counts.
    Many,
}

impl ValueKind {
    const fn value_name(self) -> &'static str {
        match self {
            ValueKind::Flag => "",
            ValueKind::Text | ValueKind::OptionalText { .. } | ValueKind::Many => "VALUE",
            ValueKind::Choice(_) => "WORD",
            ValueKind::Integer { .. } => "N",
            ValueKind::List => "VALUE,...",
            ValueKind::Dict => "KEY:VALUE,...",
        }
    }
}

/// Meaning of a value, or of each of several, beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that could be checked.
    Text,
    /// Sentences for people, with all signs allowed.
    Prose,
    /// A registry to push to and name images by: [`Registry`](crate::model::reference::parts::Registry).
    Registry,
    /// The part in front of images' names: [`Namespace`](crate::model::reference::parts::Namespace).
    Namespace,
    /// The beginning of images' names: [`NamePrefix`](crate::model::reference::parts::NamePrefix).
    NamePrefix,
    /// A tag for images: [`Tag`](crate::model::reference::parts::Tag).
    Tag,
    /// An image that is pulled: [`BaseImage`](crate::model::reference::parts::BaseImage).
    BaseImage,
    /// Tag or digest of an image that is pulled: [`BaseTag`](crate::model::reference::parts::BaseTag).
    BaseTag,
    /// A regular expression of Python's kind.
    Regex,
    /// Build arguments with their values.
    BuildArguments,
    /// A registry's host, or a network of them.
    RegistryHost,
    /// Place of a secret, never the secret itself: [`SecretSpec`](crate::model::secret::SecretSpec).
    SecretSpec,
    /// A file or directory that is read.
    Input(InputPath),
    /// A file or directory that is written.
    Output(OutputPath),
}

impl Meaning {
    const fn value_name(self) -> Option<&'static str> {
        Some(match self {
            Meaning::Text | Meaning::Prose | Meaning::BuildArguments => return None,
            Meaning::Registry => "HOST[:PORT]",
            Meaning::Namespace => "NAMESPACE",
            Meaning::NamePrefix => "PREFIX",
            Meaning::Tag | Meaning::BaseTag => "TAG",
            Meaning::BaseImage => "IMAGE",
            Meaning::Regex => "REGEX",
            Meaning::RegistryHost => "HOST[:PORT],...",
            Meaning::SecretSpec => "SECRET",
            Meaning::Input(InputPath::File | InputPath::LockFile) => "FILE",
            Meaning::Input(InputPath::Reports) => "FILE|DIR",
            Meaning::Input(InputPath::Dir | InputPath::ImageTree | InputPath::KollaPackage) => "DIR",
            Meaning::Output(
                OutputPath::OfTask | OutputPath::OfRelease | OutputPath::Summary | OutputPath::Report(_),
            ) => "FILE",
            Meaning::Output(
                OutputPath::WorkDir
                | OutputPath::SourceCache
                | OutputPath::Logs
                | OutputPath::OfImages
                | OutputPath::Export,
            ) => "DIR",
        })
    }
}

/// Kind of a file or directory that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputPath {
    /// A file, which must be there.
    File,
    /// A directory, which must be there.
    Dir,
    /// A tree of images, or a part of one.
    ImageTree,
    /// Directory of Kolla's Python package, installed or in a checkout.
    KollaPackage,
    /// The lock file of a build; nothing that is done instead of building reads it.
    LockFile,
    /// Reports of earlier runs, or directories of them.
    Reports,
}

/// Kind of a file or directory that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputPath {
    /// The file that a task is there to write.
    OfTask,
    /// The directory of an export.
    Export,
    /// Directory for the rendered tree.
    WorkDir,
    /// Directory where fetched sources are kept.
    SourceCache,
    /// A log for each image.
    Logs,
    /// Directory of what else is written of each image.
    OfImages,
    /// A file about all that was released at once.
    OfRelease,
    /// The summary for programs.
    Summary,
    /// A report of the run.
    Report(ReportFormat),
}

/// Content of a report file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// All that is known of the run, for programs.
    Json,
    /// JUnit's XML, a test case for each image.
    Junit,
    /// A page with the timeline, for people.
    Html,
    /// References and digests of what was pushed.
    Digests,
    /// The same as variables of kolla-ansible.
    AnsibleDigests,
}

impl ReportFormat {
    /// True for reports of pushes, which runs without pushes do not write.
    pub fn tells_of_pushes(self) -> bool {
        matches!(self, ReportFormat::Digests | ReportFormat::AnsibleDigests)
    }
}

/// Program that an option comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionOrigin {
    /// Python kolla-build, whose names and values it keeps.
    Kolla,
    /// This program alone, unknown to Kolla.
    Ours,
}

/// Form of an option on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandLineForm {
    /// A name with two dashes, `--name`, and the value after it.
    Named,
    /// Arguments without a name; they replace the values of files.
    Positional,
    /// None: the option is for files alone.
    Absent,
}

/// Part that an option plays in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionRole {
    /// Setting of how something is done.
    Setting,
    /// Choice of the images to build.
    Selects,
    /// File or directory that images are made from.
    ImageInput,
    /// Setting of this run alone; runs that build parts of it decide for themselves.
    RunOnly,
    /// Setting of runs that build, and of nothing else. Runs that build parts of this one have it too.
    OfBuilds,
    /// Request of something to be done instead of building.
    Task(TaskKind),
    /// Setting of these tasks, and of nothing else.
    OfTask(&'static [TaskKind]),
}

/// Heading that an option comes under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionGroup {
    /// Distribution, architecture and platforms of images.
    Base,
    /// Registry, namespace and tag of images.
    Names,
    /// Choice of images to build.
    Selection,
    /// Image tree and overrides.
    Templates,
    /// OpenStack's release and sources.
    Sources,
    /// The engine, and its builder.
    Engine,
    /// The build, its caches and its failures.
    Build,
    /// Pushes, and what registries hold.
    Push,
    /// Tasks instead of building.
    Tasks,
    /// Console, logs and reports.
    Output,
}

impl OptionGroup {
    /// Every group, in the order in which help shows them.
    pub const ALL: [OptionGroup; 10] = [
        OptionGroup::Base,
        OptionGroup::Names,
        OptionGroup::Selection,
        OptionGroup::Templates,
        OptionGroup::Sources,
        OptionGroup::Engine,
        OptionGroup::Build,
        OptionGroup::Push,
        OptionGroup::Tasks,
        OptionGroup::Output,
    ];

    /// The heading over these options in `--help`.
    pub const fn heading(self) -> &'static str {
        match self {
            OptionGroup::Base => "Base image and platform",
            OptionGroup::Names => "Image names",
            OptionGroup::Selection => "Image selection",
            OptionGroup::Templates => "Templates",
            OptionGroup::Sources => "Release and sources",
            OptionGroup::Engine => "Container engine",
            OptionGroup::Build => "Build",
            OptionGroup::Push => "Push and registries",
            OptionGroup::Tasks => "Instead of building",
            OptionGroup::Output => "Logs and reports",
        }
    }
}

/// Difference between an option here and in Python kolla-build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KollaDifference {
    /// No difference from Kolla.
    Same,
    /// Something else is done, as this says.
    Differs(&'static str),
    /// Any value is refused, for this reason.
    Refused(&'static str),
}

/// An option, with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Key in configuration files.
    pub name: &'static str,
    /// Long form without dashes, where it is not the name with `-` for `_`.
    long: Option<&'static str>,
    /// One-letter form, if it has one.
    pub short: Option<char>,
    /// Form on the command line.
    pub form: CommandLineForm,
    /// Key in `[release]` of a build.toml, for options that stand there and not in `[options]`.
    pub release_key: Option<&'static str>,
    /// Type of the value.
    pub kind: ValueKind,
    /// Word that stands for the value in help; empty for flags.
    pub value_name: &'static str,
    /// Meaning of the value, or of each of several.
    pub meaning: Meaning,
    /// Default that is worked out, in words.
    pub default: Option<&'static str>,
    /// Program that it comes from.
    pub origin: OptionOrigin,
    /// Heading that it comes under.
    pub group: OptionGroup,
    /// Part that it plays in a run.
    pub role: OptionRole,
    /// True for those that the short help shows.
    pub is_common: bool,
    /// One sentence about it.
    pub help: &'static str,
    /// Difference from Kolla's option, if any.
    pub difference: KollaDifference,
}

impl OptionSpec {
    const fn new(
        origin: OptionOrigin,
        group: OptionGroup,
        name: &'static str,
        kind: ValueKind,
        help: &'static str,
    ) -> OptionSpec {
        OptionSpec {
            name,
            long: None,
            short: None,
            form: CommandLineForm::Named,
            release_key: None,
            kind,
            value_name: kind.value_name(),
            meaning: Meaning::Text,
            default: None,
            origin,
            group,
            role: OptionRole::Setting,
            is_common: false,
            help,
            difference: KollaDifference::Same,
        }
    }

    /// An option that Kolla has.
    pub const fn kolla(
        group: OptionGroup,
        name: &'static str,
        kind: ValueKind,
        help: &'static str,
    ) -> OptionSpec {
        OptionSpec::new(OptionOrigin::Kolla, group, name, kind, help)
    }

    /// An option that Kolla does not have.
    pub const fn ours(
        group: OptionGroup,
        name: &'static str,
        kind: ValueKind,
        help: &'static str,
    ) -> OptionSpec {
        OptionSpec::new(OptionOrigin::Ours, group, name, kind, help)
    }

    /// With a long form that is not made from its name.
    pub const fn long_as(self, long: &'static str) -> OptionSpec {
        OptionSpec { long: Some(long), ..self }
    }

    /// With a one-letter form.
    pub const fn short(self, short: char) -> OptionSpec {
        OptionSpec { short: Some(short), ..self }
    }

    /// Given without a name on the command line.
    pub const fn positional(self) -> OptionSpec {
        OptionSpec { form: CommandLineForm::Positional, ..self }
    }

    /// Not on the command line.
    pub const fn in_files_only(self) -> OptionSpec {
        OptionSpec { form: CommandLineForm::Absent, ..self }
    }

    /// In `[release]` of a build.toml, by this key.
    pub const fn in_release(self, key: &'static str) -> OptionSpec {
        OptionSpec { release_key: Some(key), ..self }
    }

    /// With a word for its value.
    pub const fn value(self, value_name: &'static str) -> OptionSpec {
        OptionSpec { value_name, ..self }
    }

    /// With a meaning, and the word for values of it.
    pub const fn means(self, meaning: Meaning) -> OptionSpec {
        let value_name = match meaning.value_name() {
            Some(name) => name,
            None => self.value_name,
        };
        OptionSpec { meaning, value_name, ..self }
    }

    /// Naming something that is read.
    pub const fn reads(self, input: InputPath) -> OptionSpec {
        self.means(Meaning::Input(input))
    }

    /// Naming something that is written.
    pub const fn writes(self, output: OutputPath) -> OptionSpec {
        self.means(Meaning::Output(output))
    }

    /// With a default that is worked out.
    pub const fn default(self, default: &'static str) -> OptionSpec {
        OptionSpec { default: Some(default), ..self }
    }

    /// With a part in a run.
    pub const fn role(self, role: OptionRole) -> OptionSpec {
        OptionSpec { role, ..self }
    }

    /// Shown by the short help.
    pub const fn common(self) -> OptionSpec {
        OptionSpec { is_common: true, ..self }
    }

    /// The option with a difference from Kolla's of the same name.
    pub const fn differs(self, difference: &'static str) -> OptionSpec {
        OptionSpec { difference: KollaDifference::Differs(difference), ..self }
    }

    /// The option as one that is refused, with the reason.
    pub const fn refused(self, reason: &'static str) -> OptionSpec {
        OptionSpec { difference: KollaDifference::Refused(reason), ..self }
    }

    /// Long form without dashes.
    pub fn long(&self) -> String {
        self.long.map_or_else(|| self.name.replace('_', "-"), str::to_string)
    }

    /// Kind of the file or directory that it names to be written, if it does.
    pub fn output(&self) -> Option<OutputPath> {
        match self.meaning {
            Meaning::Output(output) => Some(output),
            _ => None,
        }
    }

    /// Kind of the file or directory that it names to be read, if it does.
    pub fn input(&self) -> Option<InputPath> {
        match self.meaning {
            Meaning::Input(input) => Some(input),
            _ => None,
        }
    }
}

/// Options that a program has, in the order in which help shows them.
#[derive(Debug, Clone, Copy)]
pub struct OptionTable(pub &'static [OptionSpec]);

impl OptionTable {
    /// The options, in the order of the table.
    pub fn iter(self) -> std::slice::Iter<'static, OptionSpec> {
        self.0.iter()
    }

    /// The option of this name.
    pub fn find(self, name: &str) -> Option<&'static OptionSpec> {
        self.iter().find(|option| option.name == name)
    }

    /// The options of a group.
    pub fn of_group(self, group: OptionGroup) -> impl Iterator<Item = &'static OptionSpec> {
        self.iter().filter(move |option| option.group == group)
    }

    /// The options that play this part.
    pub fn of_role(self, role: OptionRole) -> impl Iterator<Item = &'static OptionSpec> {
        self.iter().filter(move |option| option.role == role)
    }

    /// The names of all options.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(|option| option.name).collect()
    }
}
