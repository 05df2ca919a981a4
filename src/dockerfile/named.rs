//! Images and downloads that a Dockerfile names outside its build context [pure].
//!
//! Images are named by FROM, by the `--from` of COPY and by the mounts of RUN. Names of earlier stages and their numbers
//! are none. Stages that nothing needs count too: the classic builder builds them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::SCRATCH;
use super::expand::{Expanded, expand, split_quoted};
use super::instructions::{Instruction, Instructions, words};
use crate::model::platform::{Arch, Platform};
use crate::util::hex::is_commit;

/// Images and downloads that a Dockerfile names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Images, each time that one is named. When there is a FROM, the first is its, [`SCRATCH`] too, which is left out
    /// elsewhere.
    pub images: Vec<NamedImage>,
    /// Sources that ADD downloads.
    pub downloads: Vec<Download>,
}

/// An image where it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Reference of the image, the values of build arguments put in.
    pub reference: String,
    /// Platform that the image is wanted for.
    pub platform: WantedFor,
    /// The line, from 1.
    pub line: usize,
    /// Where the name stands in the text; none where it can't be another one.
    pub place: Option<Range<usize>>,
}

/// The platform that an image is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WantedFor {
    /// Platform of the build.
    Target,
    /// Platform of the builder itself.
    Builder,
    /// Platform that the Dockerfile names.
    Platform(Platform),
}

/// Something that ADD downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Where it is, as far as that is known: an image that is built on may bring values of variables along.
    pub url: String,
    /// True when `url` is all of it.
    pub is_whole: bool,
    /// True when the Dockerfile says what it is (`--checksum`, a commit), so that it can't be another thing.
    pub is_pinned: bool,
    /// The line, from 1.
    pub line: usize,
}

/// Facts of the build that a Dockerfile is read for.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Build arguments by name.
    pub args: &'a BTreeMap<String, String>,
    /// Platform of the build.
    pub target: Platform,
}

/// Reads what a Dockerfile names.
pub fn read(text: &str, given: Given) -> Named {
    let instructions = Instructions::of(text);
    let mut reader = NameCollector::new(instructions.escape, given);
    instructions.all.iter().for_each(|instruction| reader.instruction(instruction));
    reader.named
}

/// The text with other names for images, where `name` gives one.
pub fn with_images(text: &str, given: Given, name: &dyn Fn(&NamedImage) -> Option<String>) -> String {
    let mut renamed = text.to_string();
    // From the end, so that places before stay where they are.
    for image in read(text, given).images.iter().rev() {
        if let (Some(place), Some(name)) = (&image.place, name(image)) {
            renamed.replace_range(place.clone(), &name);
        }
    }
    renamed
}

/// The variables of a stage. One set by ENV goes before an argument.
#[derive(Debug, Clone, Default)]
struct StageVariables {
    args: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
}

struct NameCollector<'a> {
    escape: char,
    given: Given<'a>,
    /// Arguments that are declared before the first FROM, and those that are always there.
    globals: BTreeMap<String, String>,
    stages: Vec<StageVariables>,
    by_name: HashMap<String, usize>,
    named: Named,
}

impl<'a> NameCollector<'a> {
    fn new(escape: char, given: Given<'a>) -> NameCollector<'a> {
        let platforms = [("TARGET", given.target), ("BUILD", Platform::new(Arch::host()))];
        let known = platforms.into_iter().flat_map(|(prefix, platform)| {
            let arch = platform.arch.debian().to_string();
            [
                ("PLATFORM", platform.to_string()),
                ("OS", "linux".to_string()),
                ("ARCH", arch),
                ("VARIANT", String::new()),
            ]
            .map(|(name, value)| (format!("{prefix}{name}"), value))
        });
        NameCollector {
            escape,
            given,
            globals: known.collect(),
            stages: Vec::new(),
            by_name: HashMap::new(),
            named: Named::default(),
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        match instruction.keyword.as_str() {
            "FROM" => self.from(instruction),
            "ARG" => self.arg(instruction),
            "ENV" => self.env(instruction),
            "COPY" => self.copy(instruction),
            "ADD" => self.add(instruction),
            "RUN" => self.run(instruction),
            _ => {}
        }
    }

    fn from(&mut self, instruction: &Instruction) {
        let (flags, rest) = self.flags(instruction);
        let mut rest = words(&instruction.arguments).skip_while(|word| word.start < rest);
        let word = rest.next().unwrap_or(0..0);
        let written = &instruction.arguments[word.clone()];
        let reference = match written.contains('$') || written.starts_with(['"', '\'']) {
            true => self.global(written).text,
            false => written.to_string(),
        };
        let is_as = |word: &Range<usize>| instruction.arguments[word.clone()].eq_ignore_ascii_case("as");
        let name = rest.next().filter(is_as).and_then(|_| rest.next());
        let name = name.map(|name| instruction.arguments[name].to_lowercase());
        let base = self.by_name.get(&reference.to_lowercase()).copied();
        let stage = match base {
            Some(base) => StageVariables { env: self.stages[base].env.clone(), ..StageVariables::default() },
            None => {
                let platform = self.wanted_for(flags.iter().find(|flag| flag.name == "platform"));
                if self.stages.is_empty() || reference != SCRATCH {
                    let place = Some(instruction.place(&word)).filter(|place| !place.is_empty());
                    let line = instruction.line;
                    self.named.images.push(NamedImage { reference, platform, line, place });
                }
                StageVariables::default()
            }
        };
        self.by_name.extend(name.map(|name| (name, self.stages.len())));
        self.stages.push(stage);
    }

    /// The platform that a flag says.
    fn wanted_for(&self, flag: Option<&Flag>) -> WantedFor {
        match flag {
            None => WantedFor::Target,
            Some(flag) if flag.value.contains("BUILDPLATFORM") => WantedFor::Builder,
            Some(flag) => match self.global(&flag.value).text.parse::<Platform>() {
                Ok(platform) if platform != self.given.target => WantedFor::Platform(platform),
                _ => WantedFor::Target,
            },
        }
    }

    fn arg(&mut self, instruction: &Instruction) {
        for part in split_quoted(&instruction.arguments, self.escape) {
            let part = &instruction.arguments[part];
            let (name, default) = match part.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (part, None),
            };
            let given = self.given.args.get(name).cloned();
            let default = default.map(|default| self.scoped(default).text);
            let value = match self.stages.last() {
                // One that was given goes before a default, and a default before one that is declared for all.
                Some(_) => given.or(default).or_else(|| self.globals.get(name).cloned()),
                None => given.or(default),
            };
            let scope = self.stages.last_mut().map_or(&mut self.globals, |stage| &mut stage.args);
            scope.extend(value.map(|value| (name.to_string(), value)));
        }
    }

    fn env(&mut self, instruction: &Instruction) {
        let parts: Vec<Range<usize>> = split_quoted(&instruction.arguments, self.escape).collect();
        let text = &instruction.arguments;
        let is_old = parts.first().is_some_and(|first| !text[first.clone()].contains('='));
        let mut pairs: Vec<(String, Expanded)> = Vec::new();
        if let (true, Some(first)) = (is_old, parts.first()) {
            pairs.push((text[first.clone()].to_string(), self.scoped(text[first.end..].trim())));
        } else {
            for part in parts {
                if let Some((name, value)) = text[part].split_once('=') {
                    pairs.push((name.to_string(), self.scoped(value)));
                }
            }
        }
        let Some(stage) = self.stages.last_mut().filter(|_| !instruction.is_trigger) else { return };
        for (name, value) in pairs {
            // What is not wholly known hides what was known before.
            match value.is_whole {
                true => drop(stage.env.insert(name, value.text)),
                false => {
                    stage.env.remove(&name);
                    stage.args.remove(&name);
                }
            }
        }
    }

    fn copy(&mut self, instruction: &Instruction) {
        let (flags, _) = self.flags(instruction);
        for flag in flags.into_iter().filter(|flag| flag.name == "from") {
            self.image_of(instruction, &flag.value, &flag.place);
        }
    }

    fn run(&mut self, instruction: &Instruction) {
        let (flags, _) = self.flags(instruction);
        for flag in flags.into_iter().filter(|flag| flag.name == "mount") {
            let mut fields = flag.value.split(',').filter_map(|field| field.split_once('='));
            // The last one counts.
            let from = fields.rfind(|(key, _)| key.trim().eq_ignore_ascii_case("from"));
            if let Some((_, from)) = from {
                self.image_of(instruction, from, &flag.place);
            }
        }
    }

    /// An image that something is taken from, and in which part of the arguments its name is. Variables are not put in
    /// there.
    fn image_of(&mut self, instruction: &Instruction, from: &str, part: &Range<usize>) {
        let is_stage = self.by_name.contains_key(&from.to_lowercase()) || from.parse::<usize>().is_ok();
        if is_stage || from.is_empty() || from.eq_ignore_ascii_case(SCRATCH) {
            return;
        }
        let flag = &instruction.arguments[part.clone()];
        let is_value = |at: &usize| {
            let before = flag[..*at].trim_end_matches(['"', '\'']).as_bytes();
            before.len().checked_sub(5).is_some_and(|start| before[start..].eq_ignore_ascii_case(b"from="))
        };
        let within = flag.match_indices(from).map(|(at, _)| at).filter(is_value).last();
        let place =
            within.map(|at| part.start + at).map(|start| instruction.place(&(start..start + from.len())));
        self.named.images.push(NamedImage {
            reference: from.to_string(),
            platform: WantedFor::Target,
            line: instruction.line,
            // What is set off in other builds is not there under a name of this one.
            place: place.filter(|_| !instruction.is_trigger),
        });
    }

    fn add(&mut self, instruction: &Instruction) {
        let (flags, rest) = self.flags(instruction);
        let rest = instruction.arguments[rest..].trim();
        let sources: Vec<String> = match serde_json::from_str::<Vec<String>>(rest) {
            Ok(list) => list,
            Err(_) => rest.split_whitespace().map(str::to_string).collect(),
        };
        let has_checksum = flags.iter().any(|flag| flag.name == "checksum" && !flag.value.is_empty());
        for source in sources.iter().rev().skip(1).rev() {
            let Expanded { text: url, is_whole } = self.scoped(source);
            let may_be_remote = !is_whole && source.starts_with('$');
            if is_remote(&url) || may_be_remote {
                let is_pinned = has_checksum || (is_whole && names_commit(&url));
                let url = if is_whole { url } else { source.clone() };
                self.named.downloads.push(Download { url, is_whole, is_pinned, line: instruction.line });
            }
        }
    }

    /// The flags of an instruction, and where in its arguments the rest begins.
    fn flags(&self, instruction: &Instruction) -> (Vec<Flag>, usize) {
        let text = &instruction.arguments;
        let mut flags = Vec::new();
        for part in split_quoted(text, self.escape) {
            let Some(flag) = text[part.clone()].strip_prefix("--") else { return (flags, part.start) };
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            // Variables stay: which ones there are is another matter for every flag.
            let value = value.replace(['"', '\''], "");
            flags.push(Flag { name: name.to_ascii_lowercase(), value, place: part });
        }
        (flags, text.len())
    }

    /// A word with the arguments that FROM knows.
    fn global(&self, word: &str) -> Expanded {
        expand(word, self.escape, &|name| self.globals.get(name).cloned())
    }

    /// A word with the variables that are known where the reader is.
    fn scoped(&self, word: &str) -> Expanded {
        let Some(stage) = self.stages.last() else { return self.global(word) };
        expand(word, self.escape, &|name| stage.env.get(name).or(stage.args.get(name)).cloned())
    }
}

/// A flag of an instruction.
struct Flag {
    name: String,
    value: String,
    /// Where in the arguments it is.
    place: Range<usize>,
}

/// True for a source that ADD downloads rather than takes from the context.
fn is_remote(source: &str) -> bool {
    let schemes = ["http://", "https://", "git://", "ssh://", "git@"];
    schemes
        .iter()
        .any(|scheme| source.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// True for a URL whose fragment is a commit, in full.
fn names_commit(url: &str) -> bool {
    let commit = url.split_once('#').and_then(|(_, fragment)| fragment.split(':').next()).unwrap_or_default();
    is_commit(commit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, text_of};

    const ARM: Platform = Platform { arch: Arch::Aarch64 };
    const INTEL: Platform = Platform { arch: Arch::X86_64 };

    fn named(text: &str) -> Named {
        let args = BTreeMap::from([("GIVEN".to_string(), "given".to_string())]);
        read(text, Given { args: &args, target: ARM })
    }

    fn images(text: &str) -> Vec<String> {
        named(text).images.into_iter().map(|image| image.reference).collect()
    }

    fn downloads(text: &str) -> Vec<(String, bool, bool)> {
        let all = named(text).downloads.into_iter();
        all.map(|one| (one.url, one.is_whole, one.is_pinned)).collect()
    }

    #[test]
    fn every_instruction_that_names_an_image_counts() {
        for (text, expected) in [
            ("# x\n\nfrom kolla/base:1 as y\nFROM other\n", vec!["kolla/base:1", "other"]),
            ("FROM --platform=linux/arm64 debian:trixie", vec!["debian:trixie"]),
            ("FROM a\nCOPY --chown=1 --from=r:5000/b:1 /x /y\n", vec!["a", "r:5000/b:1"]),
            ("FROM a\ncopy --FROM=b x y", vec!["a", "b"]),
            (
                "FROM a\nRUN --mount=type=bind,source=/x,from=b,target=/y \\\n  --mount=type=cache,from=\"c\",target=/z make --mount=from=no",
                vec!["a", "b", "c"],
            ),
            ("FROM a\nONBUILD COPY --from=b x y", vec!["a", "b"]),
            ("FROM scratch\nCOPY --from=b x /\nFROM scratch\nCOPY --from=scratch x /", vec!["scratch", "b"]),
            (
                "FROM a\nRUN cat <<E\nFROM no\nCOPY --from=no x y\nE\nCOPY --from=b <<E /x\nRUN --mount=from=no\nE\n",
                vec!["a", "b"],
            ),
            ("RUN true\n", vec![]),
            ("FROM", vec![""]),
            ("FROM a\nRUN echo --from=no\nCOPY x --from=no\n# COPY --from=no\n", vec!["a"]),
            ("# escape=`\nFROM `\n  a\nCOPY `\n  --from=b x C:\\\n", vec!["a", "b"]),
        ] {
            assert_eq!(images(text), expected, "{text}");
        }
    }

    #[test]
    fn stages_are_no_images_by_name_in_any_case_or_by_number() {
        let text = "FROM a AS Build\nFROM b\nCOPY --from=build x y\nCOPY --from=0 x y\nRUN --mount=from=BUILD true\nFROM build\n\
                    FROM later\nFROM c AS later\n";
        assert_eq!(images(text), ["a", "b", "later", "c"]);
    }

    #[test]
    fn arguments_before_from_have_values() {
        for (from, expected) in [
            ("ARG V=1\nFROM x:$V", "x:1"),
            ("ARG V=\"1\" W=2\nFROM x:${V}${W}", "x:12"),
            ("ARG GIVEN=default\nFROM x:$GIVEN", "x:given"),
            ("ARG GIVEN\nFROM x:$GIVEN", "x:given"),
            ("FROM x:${GIVEN:-d}", "x:d"),
            ("ARG A=a\nARG B=$A-b\nFROM ${B:-x}", "a-b"),
            ("FROM x-$TARGETARCH:1", "x-arm64:1"),
        ] {
            assert_eq!(images(from), [expected], "{from}");
        }
        assert_eq!(images("ARG V=1\nFROM a\nARG V=2\nFROM x:$V\n"), ["a", "x:1"]);
    }

    #[test]
    fn an_image_is_wanted_for_a_platform() {
        let wanted = |flag: &str| named(&format!("FROM {flag} x AS y\nFROM y")).images[0].platform;
        assert_eq!(wanted(""), WantedFor::Target);
        assert_eq!(wanted("--platform=$TARGETPLATFORM"), WantedFor::Target);
        assert_eq!(wanted("--platform=linux/arm64"), WantedFor::Target);
        assert_eq!(wanted("--platform=linux/amd64"), WantedFor::Platform(INTEL));
        assert_eq!(wanted("--platform=${BUILDPLATFORM}"), WantedFor::Builder);
    }

    #[test]
    fn what_add_downloads_is_known() {
        let told = |url: &str, is_whole, is_pinned| (url.to_string(), is_whole, is_pinned);
        for (add, expected) in [
            ("ADD https://h/x /y", vec![told("https://h/x", true, false)]),
            ("ADD --checksum=sha256:0a https://h/x /y", vec![told("https://h/x", true, true)]),
            (
                "ADD https://h/r.git#0123456789012345678901234567890123456789:x /y",
                vec![told("https://h/r.git#0123456789012345678901234567890123456789:x", true, true)],
            ),
            (
                "ADD a git@h:r.git HTTP://h/z /y",
                vec![told("git@h:r.git", true, false), told("HTTP://h/z", true, false)],
            ),
            ("ADD [\"https://h/a b\", \"/y\"]", vec![told("https://h/a b", true, false)]),
            (
                "ARG V=1\nENV U=https://h W=\"a b\"\nADD $U/${V}$W /y",
                vec![told("https://h/1a b", true, false)],
            ),
            ("ENV U https://h\nADD ${U}/x /y", vec![told("https://h/x", true, false)]),
            ("ADD https://h/$V /y", vec![told("https://h/$V", false, false)]),
            ("ENV V=1\nENV V=$NONE\nADD $V /y", vec![told("$V", false, false)]),
            ("ADD x y /z\nADD <<E /x\nhttps://h/no\nE\nCOPY https://h/no /y", vec![]),
        ] {
            assert_eq!(downloads(&format!("FROM a\n{add}\n")), expected, "{add}");
        }
        let inherited = "FROM a AS b\nENV U=https://h\nFROM b\nADD $U/x /y\nFROM c\nADD $U/x /y\n";
        assert_eq!(downloads(inherited), [told("https://h/x", true, false), told("$U/x", false, false)]);
    }

    #[test]
    fn images_get_other_names_wherever_they_are_named() {
        let text = "ARG V=1\nfrom --platform=b a:$V AS a\nRUN --mount=from=a:1,target=/a a:1\nCOPY --from=\"b\" \\\n --chown=b b b\nFROM \\\n  b\nONBUILD COPY --from=b b b\nFROM a\n";
        let args = BTreeMap::new();
        let renamed = with_images(text, Given { args: &args, target: ARM }, &|image| {
            Some(format!("r/{}", image.reference))
        });
        assert_eq!(
            renamed,
            "ARG V=1\nfrom --platform=b r/a:1 AS a\nRUN --mount=from=r/a:1,target=/a a:1\nCOPY --from=\"r/b\" \\\n --chown=b b b\nFROM \\\n  r/b\nONBUILD COPY --from=b b b\nFROM a\n"
        );
        assert_eq!(
            with_images("RUN a\n", Given { args: &args, target: ARM }, &|_| Some("b".into())),
            "RUN a\n"
        );
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn renamed_images_are_read_back_and_the_rest_stays(
            text in text_of(&[
                "FROM ", "\nFROM x", " AS y", "ARG V=1", "$V", "${V:-d}", "x", "y", "\n", " ", "\\\n", "\nCOPY --from=", "z a b",
                "\nRUN --mount=type=bind,from=z", ",to=/x ", "\"", "'", "<<E ", "\nE\n", "ONBUILD ", "\nADD https://h/ ", "#", "é", "--platform=p ", "0",
            ])
        ) {
            let args = BTreeMap::new();
            let given = Given { args: &args, target: INTEL };
            let before = read(&text, given);
            prop_assert_eq!(with_images(&text, given, &|_| None), text.clone());
            let has_place = |image: &&NamedImage| image.place.is_some();
            let renamed = with_images(&text, given, &|_| Some("renamed:1".to_string()));
            let marked = renamed.matches("renamed:1").count();
            prop_assert_eq!(marked, before.images.iter().filter(has_place).count());
            let after = read(&renamed, given);
            prop_assert_eq!(&after.downloads.len(), &before.downloads.len());
            for (after, before) in after.images.iter().zip(&before.images) {
                if before.place.is_some() {
                    prop_assert_eq!(&after.reference, "renamed:1");
                }
            }
        }
    }
}
