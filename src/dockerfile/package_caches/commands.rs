//! Commands of package managers, and what has them use a cache [pure].

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::shell::{Command, commands};

/// A cache that a package manager has, in the order of mounts in a step. What is locked comes last, and is one: Podman's
/// service up to 4.3 gives back only the lock of a step's last mount (containers/buildah#4349).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CacheMount {
    AptLists,
    Npm,
    Pip,
    Uv,
    Apt,
    Dnf,
}

impl CacheMount {
    pub(super) fn name(self) -> &'static str {
        match self {
            CacheMount::Apt => "apt",
            CacheMount::AptLists => "apt-lists",
            CacheMount::Dnf => "dnf",
            CacheMount::Npm => "npm",
            CacheMount::Pip => "pip",
            CacheMount::Uv => "uv",
        }
    }

    /// Where it is mounted.
    pub(super) fn target(self) -> &'static str {
        match self {
            CacheMount::Apt => "/dev/kolla-build/apt",
            CacheMount::AptLists => "/var/lib/apt/lists",
            CacheMount::Dnf => "/dev/kolla-build/dnf",
            CacheMount::Npm => "/dev/kolla-build/npm",
            CacheMount::Pip => "/dev/kolla-build/pip",
            CacheMount::Uv => "/dev/kolla-build/uv",
        }
    }

    /// How builds use it at the same time: apt and dnf give up where another of them is at work. Where apt's lists are, its
    /// other cache is too, and that one's lock serves both.
    pub(super) fn sharing(self) -> &'static str {
        match self {
            CacheMount::Apt | CacheMount::Dnf => "locked",
            CacheMount::AptLists | CacheMount::Npm | CacheMount::Pip | CacheMount::Uv => "shared",
        }
    }
}

/// A program that downloads packages.
struct Manager {
    caches: &'static [CacheMount],
    /// Variables that are set for it and for what it calls.
    variables: &'static str,
    /// Options that it takes behind its name.
    options: &'static str,
    /// Words that would have it go without a cache.
    refusals: &'static [&'static str],
    /// Words of which a command that downloads has one. What looks after the cache (`clean`) stays with the image's own.
    verbs: &'static [&'static str],
}

const APT: Manager = Manager {
    caches: &[CacheMount::Apt],
    variables: "",
    options: " -o Dir::Cache::Archives=/dev/kolla-build/apt -o APT::Keep-Downloaded-Packages=true",
    refusals: &[],
    verbs: &[
        "build-dep",
        "dist-upgrade",
        "full-upgrade",
        "install",
        "reinstall",
        "satisfy",
        "update",
        "upgrade",
    ],
};

const DNF: Manager = Manager {
    caches: &[CacheMount::Dnf],
    variables: "",
    options: " --setopt=cachedir=/dev/kolla-build/dnf --setopt=keepcache=1",
    refusals: &[],
    verbs: &[
        "builddep",
        "distro-sync",
        "downgrade",
        "groupinstall",
        "install",
        "localinstall",
        "makecache",
        "reinstall",
        "swap",
        "update",
        "upgrade",
    ],
};

const NPM: Manager = Manager {
    caches: &[CacheMount::Npm],
    variables: "npm_config_cache=/dev/kolla-build/npm ",
    options: "",
    refusals: &[],
    verbs: &["add", "ci", "i", "install", "update"],
};

const PIP: Manager = Manager {
    caches: &[CacheMount::Pip],
    // Empty it counts as not set, whatever the image sets it to.
    variables: "PIP_CACHE_DIR=/dev/kolla-build/pip PIP_NO_CACHE_DIR= ",
    options: "",
    refusals: &["--no-cache-dir"],
    verbs: &["download", "install", "wheel"],
};

const UV: Manager = Manager {
    caches: &[CacheMount::Uv],
    // Links don't lead out of a mount.
    variables: "UV_CACHE_DIR=/dev/kolla-build/uv UV_LINK_MODE=copy UV_NO_CACHE=0 ",
    options: "",
    refusals: &["--no-cache", "--no-cache-dir"],
    verbs: &["add", "build", "install", "run", "sync"],
};

/// The image tree's own program, which calls both.
const KOLLA_PIP_INSTALL: Manager = Manager {
    caches: &[CacheMount::Pip, CacheMount::Uv],
    variables: "PIP_CACHE_DIR=/dev/kolla-build/pip UV_CACHE_DIR=/dev/kolla-build/uv ",
    options: "",
    refusals: &[],
    verbs: &["/usr/local/bin/kolla_pip_install"],
};

impl Manager {
    /// The one that a command calls to download something.
    fn called(line: &str, command: &Command) -> Option<&'static Manager> {
        let mut words = command.iter().map(|word| &line[word.clone()]);
        let program = words.next()?.rsplit('/').next()?;
        let has = |wanted: &[&str]| words.clone().any(|word| wanted.contains(&word));
        let is_python = is_version_of("python", program);
        let manager = match program {
            "apt" | "apt-get" => &APT,
            "dnf" | "yum" => &DNF,
            "npm" => &NPM,
            "uv" => &UV,
            _ if is_version_of("pip", program) => &PIP,
            _ if is_python && has(&["-m"]) && has(&["pip"]) => &PIP,
            _ if is_python => &KOLLA_PIP_INSTALL,
            _ => return None,
        };
        // What config-manager is told stays in the image.
        (has(manager.verbs) && !has(&["clean", "config-manager"])).then_some(manager)
    }
}

/// True for a program of this name with any version behind it: `pip`, `pip3`, `pip3.13`.
fn is_version_of(program: &str, name: &str) -> bool {
    let version = name.strip_prefix(program);
    version.is_some_and(|version| version.chars().all(|char| char.is_ascii_digit() || char == '.'))
}

/// A change of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineChange {
    /// Range of the text that is removed; empty for an insertion.
    pub(super) gone: Range<usize>,
    /// Text that takes its place.
    pub(super) text: &'static str,
}

/// The caches that a command line has a use for, and what has them used, in the order of the line.
pub(super) fn edits(line: &str) -> (BTreeSet<CacheMount>, Vec<LineChange>) {
    let mut caches = BTreeSet::new();
    let mut edits = Vec::new();
    let commands = commands(line);
    for command in &commands {
        let Some(manager) = Manager::called(line, command) else { continue };
        caches.extend(manager.caches);
        let program = &command[0];
        edits.push(LineChange { gone: program.start..program.start, text: manager.variables });
        edits.push(LineChange { gone: program.end..program.end, text: manager.options });
        let refusals = command.iter().filter(|word| manager.refusals.contains(&&line[(*word).clone()]));
        edits.extend(refusals.map(|word| LineChange { gone: word.clone(), text: "" }));
    }
    if let Some(removals) = removals_of_lists(line, &commands) {
        caches.insert(CacheMount::AptLists);
        edits.extend(removals.into_iter().map(|gone| LineChange { gone, text: "" }));
    }
    edits.sort_by_key(|edit| (edit.gone.start, edit.gone.end));
    (caches, edits)
}

/// Where apt keeps what repositories offer, and words for all of that, as commands that remove it have them.
const LISTS_PARENT: &str = "/var/lib/apt";
const ALL_LISTS: [&str; 3] = ["/var/lib/apt/lists/*", "/var/lib/apt/lists/", "/var/lib/apt/lists"];

/// The words that remove apt's lists in a line that first gets them, so that it leaves none to the image. Where they are
/// meant to stay, or something else is done to them, they are the image's.
fn removals_of_lists(line: &str, commands: &[Command]) -> Option<Vec<Range<usize>>> {
    let text = |word: &Range<usize>| &line[word.clone()];
    let updates = |command: &&Command| {
        Manager::called(line, command).is_some_and(|manager| manager.caches.contains(&CacheMount::Apt))
            && command.iter().any(|word| text(word) == "update")
    };
    let removes_all = |command: &&Command| {
        let has = |flag: char| command.iter().map(text).any(|word| is_short_flag(word, flag));
        text(&command[0]) == "rm" && (has('r') || has('R')) && has('f')
    };
    let last_update = commands.iter().rfind(updates)?[0].start;
    let operands = commands.iter().filter(removes_all).flatten();
    let removals: Vec<_> = operands.filter(|word| ALL_LISTS.contains(&text(word))).cloned().collect();
    let ends_without = removals.last().is_some_and(|word| word.start > last_update);
    (ends_without && line.matches(LISTS_PARENT).count() == removals.len()).then_some(removals)
}

/// True for a word of one-letter flags that has this one.
fn is_short_flag(word: &str, flag: char) -> bool {
    word.strip_prefix('-').is_some_and(|letters| !letters.starts_with('-') && letters.contains(flag))
}

#[cfg(test)]
mod tests {
    use super::super::MOUNTS;
    use super::*;

    /// A line with its changes, and the names of its caches.
    fn changed(line: &str) -> (String, Vec<&'static str>) {
        let (caches, edits) = edits(line);
        let mut text = line.to_string();
        for edit in edits.into_iter().rev() {
            text.replace_range(edit.gone, edit.text);
        }
        (text, caches.into_iter().map(CacheMount::name).collect())
    }

    const APT_GET: &str =
        "apt-get -o Dir::Cache::Archives=/dev/kolla-build/apt -o APT::Keep-Downloaded-Packages=true";
    const PIP_SETS: &str = "PIP_CACHE_DIR=/dev/kolla-build/pip PIP_NO_CACHE_DIR= ";

    #[test]
    fn what_tells_a_program_of_its_cache_names_the_mount() {
        for Manager { caches, variables, options, .. } in [APT, DNF, NPM, PIP, UV, KOLLA_PIP_INSTALL] {
            for cache in caches {
                let target = cache.target();
                assert!(target.strip_prefix(MOUNTS) == Some(cache.name()));
                assert!(format!("{variables}{options} ").contains(&format!("={target} ")), "{target}");
            }
        }
    }

    #[test]
    fn programs_are_told_of_their_cache() {
        for (line, cache, expected) in [
            ("apt-get -y install a", "apt", format!("{APT_GET} -y install a")),
            ("if true; then A=b /usr/bin/apt-get update; fi", "apt", format!("if true; then A=b /usr/bin/{APT_GET} update; fi")),
            (
                "dnf -y distro-sync && dnf clean all && rm -rf /var/cache/dnf",
                "dnf",
                "dnf --setopt=cachedir=/dev/kolla-build/dnf --setopt=keepcache=1 -y distro-sync && dnf clean all \
                 && rm -rf /var/cache/dnf"
                    .to_string(),
            ),
            ("cd x && npm ci", "npm", "cd x && npm_config_cache=/dev/kolla-build/npm npm ci".to_string()),
            (
                "python3 -m pip --no-cache-dir install --upgrade x",
                "pip",
                format!("{PIP_SETS}python3 -m pip  install --upgrade x"),
            ),
            ("$VENV/bin/pip3.13 wheel x", "pip", format!("{PIP_SETS}$VENV/bin/pip3.13 wheel x")),
            (
                "uv pip install --no-cache x",
                "uv",
                "UV_CACHE_DIR=/dev/kolla-build/uv UV_LINK_MODE=copy UV_NO_CACHE=0 uv pip install  x".to_string(),
            ),
        ] {
            assert_eq!(changed(line), (expected, vec![cache]), "{line}");
        }
    }

    #[test]
    fn the_tree_s_own_program_has_the_caches_of_both_that_it_calls() {
        let line = "python3 /usr/local/bin/kolla_pip_install -c /c.txt x";
        let expected = format!("PIP_CACHE_DIR=/dev/kolla-build/pip UV_CACHE_DIR=/dev/kolla-build/uv {line}");
        assert_eq!(changed(line), (expected, vec!["pip", "uv"]));
    }

    #[test]
    fn other_commands_stay_as_they_are() {
        for line in [
            "apt-get clean",
            "apt-cache policy",
            "echo apt-get install",
            "bash -c 'pip install x'",
            "pip cache purge",
            "pip-compile install",
            "python3 -m venv pip",
            "python3 setup.py install",
            "dnf config-manager --set-enabled crb install",
            "npm cache clean --force",
            "uv cache clean",
            "./kolla_install_projects",
            "rm -rf /var/lib/apt/lists/*",
        ] {
            assert_eq!(changed(line), (line.to_string(), Vec::new()));
        }
    }

    #[test]
    fn lists_are_kept_where_the_image_is_not_to_have_them() {
        for (line, expected) in [
            (
                "apt-get update && apt-get install a && apt-get clean && rm -rf /var/lib/apt/lists/*",
                format!("{APT_GET} update && {APT_GET} install a && apt-get clean && rm -rf "),
            ),
            (
                "rm -fr /var/lib/apt/lists; apt-get update; rm -R -f /tmp/x /var/lib/apt/lists/ /tmp/y",
                format!("rm -fr ; {APT_GET} update; rm -R -f /tmp/x  /tmp/y"),
            ),
        ] {
            assert_eq!(changed(line), (expected, vec!["apt-lists", "apt"]), "{line}");
        }
    }

    #[test]
    fn lists_stay_in_the_image_where_they_are_meant_to() {
        for line in [
            "apt-get update && apt-get install a",
            "rm -rf /var/lib/apt/lists/* && apt-get update",
            "apt-get install a && rm -rf /var/lib/apt/lists/*",
            "apt-get update && rm -rf /var/lib/apt/lists/* && rm -rf /var/lib/apt",
            "apt-get update && ls '/var/lib/apt/lists/' && rm -rf /var/lib/apt/lists/*",
            "apt-get update && rm /var/lib/apt/lists/*",
            "apt-get update && echo rm -rf /var/lib/apt/lists/*",
        ] {
            let (changed, caches) = changed(line);
            assert_eq!(caches, ["apt"], "{line}");
            assert_eq!(changed.matches("lists").count(), line.matches("lists").count(), "{line}");
        }
    }
}
