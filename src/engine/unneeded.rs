//! Images and caches of this tool that an engine holds and nothing needs any more [pure].
//!
//! Ours is what carries [`KEY_LABEL`]. Of that, needed are the images under the names that the plan gives, what
//! containers are made from, and what either is built on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fancy_regex::Regex;
use jiff::Timestamp;
use serde::Serialize;

use crate::dockerfile::package_caches::MOUNTS;
use crate::engine::docker::{CacheRecord, HeldImage};
use crate::model::ids::ImageId;
use crate::model::labels::{CREATED_LABEL, KEY_LABEL, PARENT_LABEL, VERSION_LABEL};

/// The label that carries an image's name.
const TITLE_LABEL: &str = "org.opencontainers.image.title";

/// How BuildKit describes a build context that was sent with the request or over a session of ours, as this program sends
/// it. `docker build` and buildx send theirs otherwise.
const SENT_CONTEXTS: [&str; 2] =
    ["http url http://build-context-", "http url http://buildkit-session/kolla-build-"];
/// How the classic builder marks what changes no file.
const METADATA: &str = "#(nop)";
/// How BuildKit describes what a RUN step has made.
const STEP: &str = "mount / from exec ";

/// How it describes a cache mount: then come its place, and the step that has made it.
const CACHE_MOUNT: &str = "cached mount ";

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Whose names may be taken away.
#[derive(Debug)]
pub struct Rules {
    /// The names of every image of the tree, as they are configured now.
    pub needed: BTreeSet<String>,
    /// The beginning of our names: registry, namespace and prefix.
    pub names: String,
    /// Other tags than the configured one that are to go; none leaves them all.
    pub tags: Option<Regex>,
}

/// An image of which names, or all, are to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// The image's name, as its label has it.
    pub image: String,
    /// The engine's id of it.
    pub id: ImageId,
    /// The names that are taken away; none of an image that has none.
    pub references: Vec<String>,
    /// True when it keeps other names, and so stays.
    pub stays: bool,
    /// Bytes that it adds to what it is built on. Images with layers in common that no image holds alone count them
    /// each.
    pub size: u64,
}

/// An image that would go but for a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The image's name, as its label has it.
    pub image: String,
    /// The engine's id of it.
    pub id: ImageId,
    /// Why it stays, for people.
    pub reason: String,
}

/// Images that go, and those that stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImagePrune {
    /// Images to remove, those built on others before these.
    pub remove: Vec<Removal>,
    /// Images that can't go, with the reasons.
    pub keep: Vec<Kept>,
    /// Tags that are ours and not the configured one, and that nobody asked to remove, with how many images have each.
    pub other_tags: BTreeMap<String, usize>,
}

/// A cache that package managers have filled in builds of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageCache {
    /// Name of the program whose cache it is, as `pip`.
    pub name: String,
    /// The engine's id of it.
    pub id: String,
    /// Size of the cache in bytes.
    pub size: u64,
    /// Whole days since a build had it last.
    pub unused_days: u64,
    /// True when it is to be removed.
    pub goes: bool,
}

/// Decides about every image. `sizes` are those of all images by id, `in_use` the ids that containers use, each with a
/// container's name.
pub fn images(
    held: &[HeldImage],
    sizes: &HashMap<ImageId, u64>,
    in_use: &BTreeMap<ImageId, String>,
    rules: &Rules,
) -> ImagePrune {
    let kept = kept(held, in_use, rules);
    let mut prune = ImagePrune::default();
    let mut removed: Vec<(usize, Removal)> = Vec::new();
    let by_id: HashMap<&str, &HeldImage> = held.iter().map(|image| (image.id.as_str(), image)).collect();
    for image in held.iter().filter(|image| is_ours(image)) {
        let all = image.tags.len() + if image.tags.is_empty() { image.digests.len() } else { 0 };
        let references: Vec<String> = rules.removable(image).map(str::to_string).collect();
        for tag in image.tags.iter().filter_map(|name| rules.other_tag(name)) {
            if !rules.wants(tag) {
                *prune.other_tags.entry(tag.to_string()).or_default() += 1;
            }
        }
        if references.is_empty() && all > 0 {
            continue;
        }
        let title = image.labels.get(TITLE_LABEL).cloned().unwrap_or_default();
        let stays = references.len() < all;
        match kept.get(image.id.as_str()) {
            Some(reason) if !stays => {
                prune.keep.push(Kept { image: title, id: image.id.clone(), reason: reason.clone() });
            }
            _ => {
                let parent = image.labels.get(PARENT_LABEL).and_then(|parent| sizes.get(parent.as_str()));
                let size = if stays { 0 } else { image.size.saturating_sub(parent.copied().unwrap_or(0)) };
                let removal = Removal { image: title, id: image.id.clone(), references, stays, size };
                removed.push((depth(image, &by_id), removal));
            }
        }
    }
    removed.sort_by(|(a_depth, a), (b_depth, b)| (b_depth, &a.image, &a.id).cmp(&(a_depth, &b.image, &b.id)));
    prune.remove = removed.into_iter().map(|(_, removal)| removal).collect();
    prune.keep.sort_by(|a, b| (&a.image, &a.id).cmp(&(&b.image, &b.id)));
    prune
}

impl ImagePrune {
    /// Leaves those that are but steps of builds.
    pub fn leave_steps(&mut self, steps: &HashSet<ImageId>) {
        let (steps, going): (Vec<Removal>, Vec<Removal>) = std::mem::take(&mut self.remove)
            .into_iter()
            .partition(|removal| removal.references.is_empty() && steps.contains(&removal.id));
        self.remove = going;
        let reason = "it is a step of a build, which may be going on";
        self.keep.extend(steps.into_iter().map(|step| Kept {
            image: step.image,
            id: step.id,
            reason: reason.to_string(),
        }));
    }
}

/// True when Docker's classic builder has made an image by these commands, the newest first, and the newest one is not that
/// with the last label of ours: then it is a step to an image, and none itself. It gives one label after another, in the
/// order of their names, when all else is done.
pub fn is_step(history: &[String]) -> bool {
    let is_step = |command: &String| {
        // BuildKit's begin with the word of the Dockerfile. This builder's are for a shell, behind build arguments if any.
        let is_classic = command.contains(METADATA) || command.starts_with(['/', '|']);
        let label = command.split_once(METADATA).map(|(_, instruction)| instruction.trim_start());
        let is_last = label.is_some_and(|label| label.starts_with(&format!("LABEL {VERSION_LABEL}=")));
        is_classic && !is_last
    };
    history.first().is_some_and(is_step)
}

impl Rules {
    /// The names that an image is to lose. Digests are names of what has no tag; a tag takes its own with it.
    fn removable<'a>(&'a self, image: &'a HeldImage) -> impl Iterator<Item = &'a str> {
        let digests = if image.tags.is_empty() { image.digests.as_slice() } else { &[] };
        let tags = image.tags.iter().filter(|name| self.other_tag(name).is_some_and(|tag| self.wants(tag)));
        let digests = digests.iter().filter(|name| self.is_in_namespace(name));
        tags.chain(digests).map(String::as_str)
    }

    fn wants(&self, tag: &str) -> bool {
        self.tags.as_ref().is_some_and(|tags| tags.is_match(tag).unwrap_or(false))
    }

    /// The tag of a name in our namespace that is none of the needed ones.
    fn other_tag<'a>(&self, name: &'a str) -> Option<&'a str> {
        let needed = self.needed.iter().any(|needed| familiar(needed) == familiar(name));
        if needed || !self.is_in_namespace(name) {
            return None;
        }
        name.rsplit_once(':').map(|(_, tag)| tag)
    }

    /// True when only the image's own name, with tag or digest, follows the beginning of our names.
    fn is_in_namespace(&self, name: &str) -> bool {
        familiar(name).strip_prefix(familiar(&self.names)).is_some_and(|rest| !rest.contains('/'))
    }
}

fn is_ours(image: &HeldImage) -> bool {
    image.labels.contains_key(KEY_LABEL)
}

/// The labels that no two of our images have in common. What is built on one of ours by other means inherits them.
fn origin(image: &HeldImage) -> [Option<&String>; 3] {
    [KEY_LABEL, PARENT_LABEL, CREATED_LABEL].map(|label| image.labels.get(label))
}

/// A name as Docker shows it: Podman writes out the registry that a short name stands for.
fn familiar(name: &str) -> &str {
    ["docker.io/library/", "docker.io/", "localhost/"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

/// The ids of what has to stay, each with the reason.
fn kept<'a>(
    held: &'a [HeldImage],
    in_use: &'a BTreeMap<ImageId, String>,
    rules: &Rules,
) -> HashMap<&'a str, String> {
    let mut twins: HashMap<_, usize> = HashMap::new();
    for image in held.iter().filter(|image| is_ours(image)) {
        *twins.entry(origin(image)).or_default() += 1;
    }
    let mut kept: HashMap<&str, String> = HashMap::new();
    for image in held {
        let names = image.tags.len() + if image.tags.is_empty() { image.digests.len() } else { 0 };
        let reason = match in_use.get(&image.id) {
            Some(container) => format!("the container {container} is made from it"),
            None if image.tags.is_empty() && twins.get(&origin(image)).is_some_and(|&count| count > 1) => {
                "another image has its labels: one is built on the other, maybe by somebody else".to_string()
            }
            None if !is_ours(image) || rules.removable(image).count() < names => "it has a name".to_string(),
            None => continue,
        };
        kept.insert(image.id.as_str(), reason);
    }
    // What is kept keeps what it is built on.
    let by_id: HashMap<&str, &HeldImage> = held.iter().map(|image| (image.id.as_str(), image)).collect();
    let mut waiting: Vec<&str> = kept.keys().copied().collect();
    while let Some(id) = waiting.pop() {
        let Some(image) = by_id.get(id) else { continue };
        let Some(parent) = image.labels.get(PARENT_LABEL) else { continue };
        if by_id.contains_key(parent.as_str()) && !kept.contains_key(parent.as_str()) {
            let name = image.tags.first().map_or(image.id.as_str(), String::as_str);
            kept.insert(parent, format!("{name} is built on it"));
            waiting.push(parent);
        }
    }
    kept
}

/// How many images are below an image.
fn depth(image: &HeldImage, by_id: &HashMap<&str, &HeldImage>) -> usize {
    let parent = |image: &&HeldImage| by_id.get(image.labels.get(PARENT_LABEL)?.as_str()).copied();
    // Labels are only text: a circle must not be one here.
    std::iter::successors(Some(image), parent).take(by_id.len()).count()
}

/// The records of the cache that are ours and that no image and no build needs: contexts that were sent, what the RUN
/// steps have made that stand in the histories of images that go, and what was made on top of these.
pub fn cache<'a>(records: &'a [CacheRecord], histories: &[String]) -> Vec<&'a CacheRecord> {
    let commands: Vec<&str> = histories.iter().filter_map(|step| run_command(step)).collect();
    let is_step = |description: &str| {
        let Some(command) = description.strip_prefix(STEP) else { return false };
        // Build arguments stand in front of it.
        commands.iter().any(|run| {
            run.strip_suffix(command).is_some_and(|arguments| {
                arguments.is_empty() || (arguments.starts_with('|') && arguments.ends_with(' '))
            })
        })
    };
    let is_context = |description: &str| SENT_CONTEXTS.iter().any(|own| description.starts_with(own));
    let mut ours: HashSet<&str> = HashSet::new();
    let mut children: HashMap<&str, Vec<&CacheRecord>> = HashMap::new();
    for record in records {
        record.parents.iter().for_each(|parent| children.entry(parent).or_default().push(record));
    }
    let mut waiting: Vec<&CacheRecord> = records
        .iter()
        .filter(|record| is_context(&record.description) || is_step(&record.description))
        .collect();
    while let Some(record) = waiting.pop() {
        if ours.insert(&record.id) {
            waiting.extend(children.get(record.id.as_str()).into_iter().flatten());
        }
    }
    let can_go =
        |record: &&CacheRecord| ours.contains(record.id.as_str()) && !record.in_use && !record.shared;
    records.iter().filter(can_go).collect()
}

/// The caches of package managers, of which those go that nobody has used for so many days.
pub fn package_caches(records: &[CacheRecord], days: Option<u64>, now: Timestamp) -> Vec<PackageCache> {
    let read = |record: &CacheRecord| {
        let mount = record.description.strip_prefix(CACHE_MOUNT)?;
        // Those that are mounted elsewhere are ours by the step.
        if !mount.contains(MOUNTS) {
            return None;
        }
        let place = mount.split(' ').next().unwrap_or_default();
        let name = place.strip_prefix(MOUNTS).unwrap_or(place).to_string();
        let seconds = record.last_used.map_or(0, |then| now.duration_since(then).as_secs());
        let unused_days = u64::try_from(seconds).unwrap_or_default() / SECONDS_A_DAY;
        let goes = !record.in_use && days.is_some_and(|days| unused_days >= days);
        Some(PackageCache { name, id: record.id.clone(), size: record.size, unused_days, goes })
    };
    let mut caches: Vec<PackageCache> = records.iter().filter_map(read).collect();
    caches.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    caches
}

/// The command of a RUN step of BuildKit's, with the build arguments in front of it: `|1 a=b /bin/sh -c true`.
fn run_command(step: &str) -> Option<&str> {
    step.strip_prefix("RUN ")?.strip_suffix(" # buildkit")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ours: `id` with the names, built on `parent`.
    fn ours(id: &str, names: &[&str], parent: &str, size: u64) -> HeldImage {
        let labels = [(KEY_LABEL, id), (PARENT_LABEL, parent), (TITLE_LABEL, id)];
        let labels = labels.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let (digests, tags) = names.iter().map(|name| name.to_string()).partition(|name| name.contains('@'));
        HeldImage { id: id.into(), tags, digests, labels, size }
    }

    fn rules(tags: Option<&str>) -> Rules {
        Rules {
            needed: ["r:1/k/base:now", "r:1/k/nova:now"].map(String::from).into(),
            names: "r:1/k/".to_string(),
            tags: tags.map(|tags| Regex::new(tags).expect("a regex")),
        }
    }

    fn decide(held: &[HeldImage], in_use: &[(&str, &str)], tags: Option<&str>) -> ImagePrune {
        let sizes = held.iter().map(|image| (image.id.clone(), image.size)).collect();
        let in_use = in_use.iter().map(|(id, name)| ((*id).into(), name.to_string())).collect();
        images(held, &sizes, &in_use, &rules(tags))
    }

    fn removed(prune: &ImagePrune) -> Vec<&str> {
        prune.remove.iter().map(|removal| removal.id.as_str()).collect()
    }

    #[test]
    fn untagged_images_of_ours_go_children_first() {
        let foreign = HeldImage { id: "foreign".into(), size: 9, ..HeldImage::default() };
        let held = [
            ours("base", &["r:1/k/base:now"], "debian", 100),
            ours("old-base", &[], "debian", 90),
            ours("old-nova", &["r:1/k/nova@sha256:5"], "old-base", 95),
            foreign,
        ];
        let prune = decide(&held, &[], None);
        assert_eq!(removed(&prune), ["old-nova", "old-base"]);
        assert_eq!(prune.remove[0].references, ["r:1/k/nova@sha256:5"]);
        assert_eq!(prune.remove.iter().map(|removal| removal.size).collect::<Vec<_>>(), [5, 90]);
        assert_eq!(prune.keep, []);
    }

    #[test]
    fn what_a_container_or_a_kept_image_needs_stays() {
        let held = [
            ours("base-1", &[], "debian", 1),
            ours("base-2", &[], "debian", 1),
            ours("nova", &["r:1/k/nova:now"], "base-1", 1),
            ours("old-nova", &[], "base-2", 1),
        ];
        let prune = decide(&held, &[("old-nova", "web")], None);
        assert_eq!(removed(&prune), [""; 0]);
        let reasons: Vec<&str> = prune.keep.iter().map(|kept| kept.reason.as_str()).collect();
        let expected =
            ["r:1/k/nova:now is built on it", "old-nova is built on it", "the container web is made from it"];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn other_tags_go_only_where_they_are_named_and_in_our_namespace() {
        let held = [
            ours("a", &["r:1/k/nova:2025.1"], "debian", 1),
            ours("b", &["r:1/k/nova:2025.2", "r:1/k/extra:2025.2"], "debian", 1),
            ours("c", &["r:1/other/nova:2025.1"], "debian", 1),
            ours("d", &["r:1/k/deeper/nova:2025.1"], "debian", 1),
            ours("e", &["r:1/k/nova:2025.1-copy", "mine:1"], "debian", 1),
            ours("f", &["other/nova@sha256:5"], "debian", 1),
        ];
        let prune = decide(&held, &[], None);
        assert_eq!(removed(&prune), [""; 0]);
        let other = [("2025.1", 1), ("2025.1-copy", 1), ("2025.2", 2)];
        assert_eq!(prune.other_tags, other.map(|(tag, count)| (tag.to_string(), count)).into());

        let prune = decide(&held, &[], Some("^2025[.]1"));
        assert_eq!(removed(&prune), ["a", "e"]);
        assert_eq!(prune.remove.iter().map(|removal| removal.stays).collect::<Vec<_>>(), [false, true]);
        assert_eq!(prune.other_tags, BTreeMap::from([("2025.2".to_string(), 2)]));
    }

    #[test]
    fn what_somebody_else_may_have_built_on_ours_stays() {
        let base = ours("base", &["r:1/k/base:now"], "debian", 1);
        let theirs = HeldImage { id: "theirs".into(), tags: Vec::new(), ..base.clone() };
        let prune = decide(&[base, theirs], &[], None);
        assert_eq!((removed(&prune).len(), prune.keep.len()), (0, 1));
    }

    #[test]
    fn a_step_of_a_build_stays() {
        let is_step = |newest: &str| is_step(&[newest.to_string(), "/bin/sh -c #(nop)  ENV A=b".to_string()]);
        for step in [
            "/bin/sh -c #(nop)  LABEL kolla-build.key=x",
            "/bin/sh -c #(nop)  LABEL org.opencontainers.image.url=x",
            "/bin/bash -c #(nop) COPY file:1 in /a ",
            "/bin/sh -c apt-get install x",
            "|1 a=b /bin/sh -c true",
        ] {
            assert!(is_step(step), "{step}");
        }
        for whole in [
            "/bin/sh -c #(nop)  LABEL org.opencontainers.image.version=t",
            "RUN /bin/sh -c true # buildkit",
            "LABEL kolla-build.key=x",
            "",
        ] {
            assert!(!is_step(whole), "{whole}");
        }
        assert!(!super::is_step(&[]));

        let held = [ours("old", &[], "debian", 1), ours("step", &[], "debian", 1)];
        let mut prune = decide(&held, &[], None);
        prune.leave_steps(&["step".into()].into());
        assert_eq!(removed(&prune), ["old"]);
        assert_eq!(prune.keep.iter().map(|kept| kept.id.as_str()).collect::<Vec<_>>(), ["step"]);
    }

    #[test]
    fn podman_writes_names_out() {
        let rules = Rules { needed: ["k/base:now".to_string()].into(), names: "k/".to_string(), tags: None };
        assert_eq!(rules.other_tag("localhost/k/base:now"), None);
        assert_eq!(rules.other_tag("docker.io/k/base:then"), Some("then"));
    }

    #[test]
    fn cache_is_ours_by_its_context_or_by_a_step_of_an_image_that_goes() {
        let record = |id: &str, parent: &str, description: &str| CacheRecord {
            id: id.to_string(),
            parents: vec![parent.to_string()],
            description: description.to_string(),
            ..CacheRecord::default()
        };
        let shared =
            CacheRecord { shared: true, ..record("shared", "", "mount / from exec /bin/sh -c ours") };
        let in_use = CacheRecord { in_use: true, ..record("now", "", "http url http://build-context-2") };
        let records = [
            record("context", "", "http url http://build-context-1"),
            record("session", "", "http url http://buildkit-session/kolla-build-0123"),
            record("url", "", "http url http://example/archive"),
            record("their-session", "", "http url http://buildkit-session/0123"),
            record("theirs", "", "local source for context"),
            record("step", "", "mount / from exec /bin/sh -c ours"),
            record("with-arguments", "theirs", "mount / from exec /bin/sh -c true"),
            record("copy", "step", "fileop target"),
            record("shorter", "", "mount / from exec s"),
            record("their-step", "copy-2", "mount / from exec /bin/sh -c other"),
            shared,
            in_use,
        ];
        let histories =
            ["RUN /bin/sh -c ours # buildkit", "RUN |1 a=b /bin/sh -c true # buildkit", "/bin/sh -c other"]
                .map(String::from);
        let ids: Vec<&str> = cache(&records, &histories).iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids, ["context", "session", "step", "with-arguments", "copy"]);
    }

    #[test]
    fn package_caches_are_ours_by_their_place_or_their_step_and_go_by_age() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().expect("a time");
        let record = |id: &str, description: &str, last_used: &str| CacheRecord {
            id: id.to_string(),
            description: description.to_string(),
            last_used: last_used.parse().ok(),
            size: 5,
            ..CacheRecord::default()
        };
        let at_work = CacheRecord {
            in_use: true,
            ..record("now", "cached mount /dev/kolla-build/uv from exec sh -c x", "2026-01-01T00:00:00Z")
        };
        let records = [
            record("pip", "cached mount /dev/kolla-build/pip from exec sh -c pip", "2026-11-25T11:00:00.5Z"),
            record(
                "lists",
                "cached mount /var/lib/apt/lists from exec sh -c apt-get -o X=/dev/kolla-build/apt",
                "",
            ),
            record(
                "theirs",
                "cached mount /var/lib/apt/lists from exec sh -c apt-get",
                "2026-01-01T00:00:00Z",
            ),
            record("step", "mount / from exec sh -c ls /dev/kolla-build/pip", "2026-01-01T00:00:00Z"),
            at_work,
        ];
        let told = |days: Option<u64>| -> Vec<(String, u64, bool)> {
            let caches = package_caches(&records, days, now).into_iter();
            caches.map(|cache| (cache.name, cache.unused_days, cache.goes)).collect()
        };
        let expected = |goes: [bool; 3]| {
            let ages = [("/var/lib/apt/lists", 0), ("pip", 2), ("uv", 330)];
            ages.into_iter()
                .zip(goes)
                .map(|((name, days), goes)| (name.to_string(), days, goes))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(None), expected([false, false, false]));
        assert_eq!(told(Some(3)), expected([false, false, false]));
        assert_eq!(told(Some(2)), expected([false, true, false]));
        assert_eq!(told(Some(0)), expected([true, true, false]));
    }
}
