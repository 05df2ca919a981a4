//! Places of images in stacks: which stack an image is tested in, and what has to be there before it [pure].

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::container::{ContainerSpec, VolumeSource};
use crate::model::ids::ImageName;
use crate::run::apply::BUILT_IN_NETWORKS;
use crate::run::spec::LaunchAction;
use crate::run::stack::{Stack, StackContainer};

/// Containers of a stack that an image is tested as, by the image's name.
pub type StackPlaces = BTreeMap<ImageName, Vec<String>>;

/// The name that an image has in the tree, of a reference in a stack; `prefix` is that of this run's images.
pub fn name_in_tree(reference: &str, prefix: &str) -> ImageName {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let name = last.split(['@', ':']).next().unwrap_or(last);
    name.strip_prefix(prefix).unwrap_or(name).into()
}

/// The places that a stack has: an image is tested as every container of it that stays up, or else as the first of it.
pub fn places(stack: &Stack, prefix: &str) -> StackPlaces {
    let mut places = StackPlaces::new();
    let runs = || stack.containers.iter().filter(|it| it.settings.action == LaunchAction::Run);
    for container in runs().filter(|it| it.settings.detach) {
        let image = name_in_tree(&container.settings.spec.image, prefix);
        places.entry(image).or_default().push(container.name.clone());
    }
    for container in runs() {
        let image = name_in_tree(&container.settings.spec.image, prefix);
        places.entry(image).or_insert_with(|| vec![container.name.clone()]);
    }
    places
}

/// Which images are tested in which stack, by its index: each in one, in as few stacks as can be found at a glance, and
/// among those that do as well in the smallest.
pub fn choose(
    stacks: &[(StackPlaces, usize)],
    wanted: &BTreeSet<ImageName>,
) -> Vec<(usize, BTreeSet<ImageName>)> {
    let (mut left, mut chosen) = (wanted.clone(), Vec::new());
    loop {
        let of = |places: &StackPlaces| -> BTreeSet<ImageName> {
            left.iter().filter(|image| places.contains_key(*image)).cloned().collect()
        };
        let candidates = stacks.iter().enumerate().map(|(at, (places, size))| (of(places), *size, at));
        let best = candidates.max_by_key(|(images, size, at)| {
            (images.len(), std::cmp::Reverse(*size), std::cmp::Reverse(*at))
        });
        match best {
            Some((images, _, at)) if !images.is_empty() => {
                left.retain(|image| !images.contains(image));
                chosen.push((at, images));
            }
            _ => return chosen,
        }
    }
}

/// Names of the containers that have to come about so that these do: those of earlier steps and of an earlier place in
/// their own, those they depend on or share something with, and what these need in turn.
pub fn needed<'a>(stack: &'a Stack, places: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut needed = BTreeSet::new();
    let mut open: Vec<&StackContainer> =
        places.into_iter().filter_map(|name| stack.container(name)).collect();
    while let Some(container) = open.pop() {
        if !needed.insert(container.name.as_str()) {
            continue;
        }
        let order = |it: &StackContainer| (it.step, it.settings.start_order);
        open.extend(stack.containers.iter().filter(|it| order(it) < order(container)));
        open.extend(stack.needed_by(container));
        open.extend(shared_with(&container.settings.spec).filter_map(|name| stack.container(name)));
    }
    needed
}

/// Containers whose namespaces or volumes one has.
fn shared_with(spec: &ContainerSpec) -> impl Iterator<Item = &str> {
    let spaces = &spec.namespaces;
    let modes = [&spaces.network, &spaces.ipc, &spaces.pid].into_iter().flatten();
    let spaces = modes.filter_map(|mode| mode.strip_prefix("container:"));
    spaces.chain(spec.volumes_from.iter().filter_map(|from| from.split(':').next()))
}

/// A stack of these containers alone, made from the images of this run, by their names in the tree. Its volumes and networks
/// get names that no others have, for a stack of the same name may be in use on this machine.
pub fn part(
    mut stack: Stack,
    needed: &BTreeSet<&str>,
    own: &str,
    reference: &dyn Fn(&str) -> Option<String>,
) -> Stack {
    stack.containers.retain(|container| needed.contains(container.name.as_str()));
    for container in &mut stack.containers {
        let spec = &mut container.settings.spec;
        if let Some(image) = reference(&spec.image) {
            spec.image = image;
        }
        for volume in &mut spec.volumes {
            if let VolumeSource::Named(name) = &mut volume.source {
                *name = own_name(own, name);
            }
        }
        if let Some(network) = &mut spec.namespaces.network
            && !BUILT_IN_NETWORKS.contains(&network.as_str())
            && !network.contains(':')
        {
            *network = own_name(own, network);
        }
        // What systemd would wait for is of no stack.
        container.settings.depends_on.retain(|name| needed.contains(name.as_str()));
    }
    stack
}

/// The name of a volume or network that belongs to one stack alone.
fn own_name(own: &str, name: &str) -> String {
    if name.starts_with(own) { name.to_string() } else { format!("{own}-{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::stack::{StackDraft, StackInputs};

    const STACK: &str = "
docker_config:
  step_1:
    db_setup: {image: 'r:5000/kolla/x-db:1', detach: false}
    db: {image: 'r:5000/kolla/x-db:1', start_order: 1, volumes: ['data:/d', '${config_id}_own:/o', '/etc/localtime:/etc/localtime']}
    cache: {image: 'r:5000/kolla/x-cache:1', start_order: 2, net: private}
    log: {image: log, start_order: 9, net: host}
  step_2:
    api_db: {image: 'r:5000/kolla/x-db:1', detach: false, depends_on: [log]}
    api: {image: api@sha256:1, start_order: 1, net: 'container:sidecar'}
    told: {action: exec, start_order: 1, command: [db, tell]}
    sidecar: {image: other, start_order: 5}
    tool: {image: tool, detach: false}
";

    fn stack() -> Stack {
        let read = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let inputs = StackInputs {
            parameters: &BTreeMap::new(),
            files_dir: "/files",
            config_id: "smoke-s",
            read: &read,
        };
        let draft = StackDraft::read("s.yaml", STACK, &inputs).expect("a draft");
        draft.with_passwords(&BTreeMap::new()).expect("a stack")
    }

    fn names<const N: usize>(names: [&str; N]) -> BTreeSet<ImageName> {
        names.into_iter().map(ImageName::from).collect()
    }

    #[test]
    fn an_image_is_tested_as_what_stays_up() {
        let places = places(&stack(), "x-");
        let expected = [
            ("api", "api"),
            ("cache", "cache"),
            ("db", "db"),
            ("log", "log"),
            ("other", "sidecar"),
            ("tool", "tool"),
        ];
        let expected = expected.map(|(image, place)| (ImageName::from(image), vec![place.to_string()]));
        assert_eq!(places, expected.into());
    }

    #[test]
    fn what_comes_before_is_needed_and_nothing_else() {
        let stack = stack();
        let needed = |name| needed(&stack, [name]).into_iter().collect::<Vec<_>>();
        assert_eq!(needed("db_setup"), ["db_setup"]);
        assert_eq!(needed("cache"), ["cache", "db", "db_setup"]);
        // Of its own step what comes before, and all of the step before.
        assert_eq!(needed("api_db"), ["api_db", "cache", "db", "db_setup", "log"]);
        // The one whose network it has comes after it, and what that needs in turn.
        assert_eq!(
            needed("api"),
            ["api", "api_db", "cache", "db", "db_setup", "log", "sidecar", "told", "tool"]
        );
    }

    #[test]
    fn images_are_tested_in_few_and_small_stacks() {
        let places = |names: &[&str]| -> StackPlaces {
            names.iter().map(|name| (ImageName::from(*name), vec![(*name).to_string()])).collect()
        };
        let stacks = [
            (places(&["db", "api", "cache", "nova"]), 40),
            (places(&["db", "api", "cache"]), 8),
            (places(&["web"]), 1),
        ];
        assert_eq!(choose(&stacks, &names(["db", "api"])), [(1, names(["db", "api"]))]);
        assert_eq!(
            choose(&stacks, &names(["db", "nova", "web", "base"])),
            [(0, names(["db", "nova"])), (2, names(["web"]))]
        );
        assert_eq!(choose(&stacks, &names(["base"])), []);
    }

    #[test]
    fn a_part_has_images_of_the_run_and_volumes_of_its_own() {
        let stack = stack();
        let needed = needed(&stack, ["cache"]);
        let reference = |image: &str| (name_in_tree(image, "x-") == "db").then(|| "kolla/db:2".to_string());
        let part = part(stack.clone(), &needed, "smoke-s", &reference);
        assert_eq!(part.names().collect::<Vec<_>>(), ["db_setup", "db", "cache"]);
        let spec = |name| &part.container(name).expect("there").settings.spec;
        assert_eq!(
            (spec("db").image.as_str(), spec("cache").image.as_str()),
            ("kolla/db:2", "r:5000/kolla/x-cache:1")
        );
        let binds: Vec<String> = spec("db").volumes.iter().map(|volume| volume.bind()).collect();
        assert_eq!(binds, ["smoke-s-data:/d:rw", "smoke-s_own:/o:rw", "/etc/localtime:/etc/localtime:rw"]);
        assert_eq!(spec("cache").namespaces.network.as_deref(), Some("smoke-s-private"));
    }
}
