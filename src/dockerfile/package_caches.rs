//! Package managers that keep what they download from build to build: a cache mount for each, and the words that have it
//! used, in steps that run as root [pure].
//!
//! The mounts lie where images have nothing, so that commands that clean up (`apt-get clean`, `dnf clean all`, a hook of
//! apt's) go on to clean the image and do not reach them. Only apt's lists are mounted in their own place, for what a step
//! calls looks for them there; the words that remove them are left out.

mod commands;

use std::collections::BTreeSet;

use super::instructions::{Instruction, Instructions, words};
use super::users::as_root;
use crate::model::platform::Platform;
use commands::{CacheMount, LineChange, edits};

/// Directory of the mounts: a container's `/dev` is its own, so that no mount point is left in an image.
pub const MOUNTS: &str = "/dev/kolla-build/";

/// The caches of one platform's builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageCaches {
    /// Distribution, release and architecture, within which what is kept fits: `debian-trixie-amd64`.
    scope: String,
    /// Names of images whose user is not root.
    without_root: BTreeSet<String>,
}

impl PackageCaches {
    /// The caches for images on this base image's distribution and tag. `without_root` are names of images whose user is
    /// not root.
    pub fn new(distro: &str, tag: &str, platform: Platform, without_root: BTreeSet<String>) -> PackageCaches {
        let release = tag.split('@').next().unwrap_or_default();
        let scope = format!("{distro}-{release}-{}", platform.arch.debian());
        PackageCaches { scope, without_root }
    }

    /// The Dockerfile with cache mounts in its RUN steps. A step that has such mounts already, is no command line (JSON, a
    /// here-document) or runs in the builds of others (ONBUILD) stays as it is.
    pub fn mounted_in(&self, dockerfile: &str) -> String {
        let instructions = Instructions::of(dockerfile);
        let as_root = as_root(&instructions, &|image| !self.without_root.contains(image));
        let mut written = String::with_capacity(dockerfile.len() * 2);
        let mut at = 0;
        for (run, _) in instructions.all.iter().zip(as_root).filter(|(one, as_root)| *as_root && is_run(one))
        {
            let Some(line) = command_line(run) else { continue };
            let (caches, edits) = edits(line);
            let offset = run.arguments.len() - line.len();
            let mut put = |until: usize, text: &str, next: usize| {
                written.push_str(&dockerfile[at..until]);
                written.push_str(text);
                at = next;
            };
            let mounts: String = caches.into_iter().map(|cache| self.mount(cache)).collect();
            put(run.keyword_end(), &mounts, run.keyword_end());
            for LineChange { gone, text } in edits {
                let place = run.place(&(gone.start + offset..gone.end + offset));
                put(place.start, text, place.end);
            }
        }
        written + &dockerfile[at..]
    }

    fn mount(&self, cache: CacheMount) -> String {
        let (name, target, sharing) = (cache.name(), cache.target(), cache.sharing());
        format!(" --mount=type=cache,id=kolla-build-{name}-{},target={target},sharing={sharing}", self.scope)
    }
}

fn is_run(instruction: &Instruction) -> bool {
    instruction.keyword == "RUN" && !instruction.is_trigger
}

/// The shell command of a RUN; none for one without a shell, or with cache mounts of its own.
fn command_line(run: &Instruction) -> Option<&str> {
    let mut flags = 0;
    for word in words(&run.arguments) {
        let text = &run.arguments[word.clone()];
        if !text.starts_with("--") {
            break;
        }
        if text.contains("type=cache") {
            return None;
        }
        flags = word.end;
    }
    let line = &run.arguments[flags..];
    serde_json::from_str::<Vec<String>>(line).is_err().then_some(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::platform::Arch;
    use crate::testing::{cases, text_of};

    fn caches() -> PackageCaches {
        let without_root = ["k/nova:1".to_string()].into();
        PackageCaches::new("debian", "trixie@sha256:5", Arch::Aarch64.into(), without_root)
    }

    fn mount(name: &str, target: &str, sharing: &str) -> String {
        format!(
            " --mount=type=cache,id=kolla-build-{name}-debian-trixie-arm64,target={target},sharing={sharing}"
        )
    }

    fn pip() -> String {
        mount("pip", "/dev/kolla-build/pip", "shared")
    }

    const PIP_SETS: &str = "PIP_CACHE_DIR=/dev/kolla-build/pip PIP_NO_CACHE_DIR= ";

    #[test]
    fn a_step_gets_the_mounts_that_it_has_a_use_for() {
        let text = "FROM a\nRUN --network=host true \\\n    && python3 -m pip \\\n# comment\n    --no-cache-dir install x\n\
                    RUN apt-get update && apt-get install a \\\n && rm -rf /var/lib/apt/lists/*\nRUN pip list\n";
        let (pip, apt) = (pip(), mount("apt", "/dev/kolla-build/apt", "locked"));
        let lists = mount("apt-lists", "/var/lib/apt/lists", "shared");
        let options = " -o Dir::Cache::Archives=/dev/kolla-build/apt -o APT::Keep-Downloaded-Packages=true";
        let expected = format!(
            "FROM a\nRUN{pip} --network=host true \\\n    && {PIP_SETS}python3 -m pip \\\n# comment\n     install x\n\
             RUN{lists}{apt} apt-get{options} update && apt-get{options} install a \\\n && rm -rf \nRUN pip list\n"
        );
        assert_eq!(caches().mounted_in(text), expected);
    }

    #[test]
    fn only_roots_own_command_lines_are_changed() {
        for text in [
            "FROM a\nUSER nova\nRUN pip install x\n",
            "FROM k/nova:1\nRUN pip install x\n",
            "FROM a\nRUN [\"pip\", \"install\", \"x\"]\n",
            "FROM a\nRUN <<EOF\npip install x\nEOF\n",
            "FROM a\nONBUILD RUN pip install x\n",
            "FROM a\nRUN --mount=type=cache,target=/c pip install x\n",
            "FROM a\nCOPY <<EOF /x\nRUN pip install x\nEOF\nCMD pip install x\n",
        ] {
            assert_eq!(caches().mounted_in(text), text);
        }
        let text = "FROM k/nova:1\nUSER root\nRUN [ -f a ] && pip install x\n";
        let expected =
            format!("FROM k/nova:1\nUSER root\nRUN{} [ -f a ] && {PIP_SETS}pip install x\n", pip());
        assert_eq!(caches().mounted_in(text), expected);
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn taken_out_again_the_changes_leave_the_text(
            text in text_of(&["FROM a\n", "RUN ", "pip install", "apt-get update", " ", "\n", "\\\n", "&&", ";", "'", "\"", "$(", ")", "#", "<<EOF", "EOF", "USER x\n", "é", "["])
        ) {
            let mounted = caches().mounted_in(&text);
            let apt = mount("apt", "/dev/kolla-build/apt", "locked");
            let options = " -o Dir::Cache::Archives=/dev/kolla-build/apt -o APT::Keep-Downloaded-Packages=true";
            let left = [&pip(), &apt, options, PIP_SETS].iter().fold(mounted.clone(), |left, put| left.replace(*put, ""));
            prop_assert_eq!(left, text);
            // A step that has its mounts gets no others.
            prop_assert_eq!(caches().mounted_in(&mounted), mounted);
        }

        #[test]
        fn cleaning_is_left_out_to_the_word(
            text in text_of(&["FROM a\n", "RUN ", "pip install --no-cache-dir x", "apt-get update", "rm -rf /var/lib/apt/lists/*", " ", "\n", "\\\n", " && "])
        ) {
            let mounted = caches().mounted_in(&text);
            let kept = |text: &str| {
                let gone = ["--no-cache-dir", "/var/lib/apt/lists/*"];
                gone.iter().fold(text.to_string(), |text, word| text.replace(word, "")).replace([' ', '\n'], "")
            };
            let options = "-oDir::Cache::Archives=/dev/kolla-build/apt-oAPT::Keep-Downloaded-Packages=true";
            let mut left = kept(&mounted);
            for put in [
                pip(),
                mount("apt", "/dev/kolla-build/apt", "locked"),
                mount("apt-lists", "/var/lib/apt/lists", "shared"),
                PIP_SETS.to_string(),
                options.to_string(),
            ] {
                left = left.replace(&put.replace(' ', ""), "");
            }
            prop_assert_eq!(left, kept(&text));
        }
    }
}
