//! Finds what in an override has no effect, of all that Kolla ignores in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::outline::{FirstUse, Outline, Set, names};
use super::tree::TreeOutline;
use crate::template::lookups::Effect;
use crate::template::overrides::MergedOverride;
use crate::template::render::RenderedDockerfile;
use crate::util::nearest::nearest;

/// What `customizable` appends to a list's name to find its variables.
const ACTIONS: [&str; 3] = ["_append", "_remove", "_override"];
/// Images named when many have the same block.
const NAMED_IMAGES: usize = 3;

/// What is told of overrides that extend nothing.
pub const REPLACES_ALL: &str =
    "without {% extends parent_template %} it takes the place of every Dockerfile: begin it with that line";

/// Whether overrides take the place of every Dockerfile, without using what stands there.
pub fn replaces_all(merged: &MergedOverride, overrides: &Outline) -> bool {
    !overrides.extends && !names(merged.source()).contains("parent_template")
}

/// Something in an override that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The override file.
    pub file: String,
    /// The line in it.
    pub line: usize,
    /// What is wrong and what may have been meant.
    pub message: String,
    /// Whether it is of use on another distro or architecture and so no mistake.
    pub elsewhere: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Checks an override against every image of the tree, as rendered with it for each platform. In order of place.
pub fn check(
    merged: &MergedOverride,
    overrides: &Outline,
    tree: &TreeOutline,
    rendered: &[&[RenderedDockerfile]],
) -> Vec<Finding> {
    let (lists, names) = (Lists::new(tree, rendered), names(merged.source()));
    let mut checker = Checker { merged, overrides, names, tree, lists, found: Vec::new() };
    if replaces_all(merged, overrides) {
        checker.add(1, REPLACES_ALL.to_string(), false);
    }
    // Without `extends` its blocks are its own.
    if overrides.extends {
        checker.blocks();
        checker.unprinted();
    }
    for set in &overrides.sets {
        checker.variable(set);
        checker.set_by_images(set, rendered);
    }
    checker.removals(rendered);
    checker.found.sort_by_key(|(line, _)| *line);
    checker.found.into_iter().map(|(_, finding)| finding).collect()
}

/// The lists that can be customised: the names that their variables start with, and the images they are of.
struct Lists<'a> {
    /// Those of every template.
    known: BTreeMap<String, BTreeSet<&'a str>>,
    /// Those that some rendering came by.
    reached: BTreeSet<&'a str>,
}

impl<'a> Lists<'a> {
    fn new(tree: &'a TreeOutline, rendered: &[&'a [RenderedDockerfile]]) -> Lists<'a> {
        let mut lists = Lists { known: BTreeMap::new(), reached: BTreeSet::new() };
        for file in rendered.iter().copied().flatten() {
            for lookup in &file.lookups {
                lists.known.entry(lookup.list.clone()).or_default().insert(&file.image);
                lists.reached.insert(&lookup.list);
            }
        }
        for image in tree.images() {
            for (_, found) in tree.customized(image) {
                let list = format!("{}_{}", image.replace('-', "_"), found.kind);
                lists.known.entry(list).or_default().insert(image);
            }
        }
        lists
    }
}

struct Checker<'a> {
    merged: &'a MergedOverride,
    overrides: &'a Outline,
    /// What the override itself reads.
    names: BTreeSet<&'a str>,
    tree: &'a TreeOutline,
    lists: Lists<'a>,
    /// With the line of the merged text.
    found: Vec<(usize, Finding)>,
}

impl Checker<'_> {
    fn add(&mut self, line: usize, message: String, elsewhere: bool) {
        if let Some((file, number)) = self.merged.locate(line) {
            let finding = Finding { file: file.display().to_string(), line: number, message, elsewhere };
            self.found.push((line, finding));
        }
    }

    fn blocks(&mut self) {
        let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for image in self.tree.images() {
            for (_, block) in self.tree.blocks(image) {
                known.entry(&block.name).or_default().insert(image);
            }
        }
        // Blocks inside others are printed with these.
        for block in self.overrides.blocks.iter().filter(|block| block.inside.is_none()) {
            if block.conditional {
                let message = format!(
                    "block '{}' stands in an if, which has no say in that: it takes its place in any case; put the if \
                     into the block, and {{{{ super() }}}} into its else",
                    block.name
                );
                self.add(block.line, message, false);
            }
            if known.contains_key(block.name.as_str()) {
                continue;
            }
            let hint = match nearest(&block.name, known.keys().copied(), 1).first() {
                Some(best) => format!(": did you mean '{best}' ({})?", in_images(&known[best])),
                None => ": kolla-build --list-blocks lists every block".to_string(),
            };
            self.add(block.line, format!("no image has a block '{}'{hint}", block.name), false);
        }
    }

    fn unprinted(&mut self) {
        for line in &self.overrides.unprinted {
            let message =
                "nobody prints this: after extends, text and output have to stand in a block".to_string();
            self.add(*line, message, false);
        }
    }

    /// A variable that no image reads before it sets it itself.
    fn set_by_images(&mut self, set: &Set, rendered: &[&[RenderedDockerfile]]) {
        let is_own =
            ACTIONS.into_iter().any(|action| set.name.ends_with(action)) || set.name.starts_with('_');
        if is_own || set.scope.is_some() || self.names.contains(set.name.as_str()) {
            return;
        }
        let mut lost: Option<(&str, &str, usize)> = None;
        for file in rendered.iter().copied().flatten() {
            match self.tree.first_use(&file.image, &set.name) {
                None => {}
                Some((path, FirstUse::Sets(line))) if file.set_again.contains(&set.name) => {
                    lost = lost.or(Some((&file.image, path, line)));
                }
                // It is of use to this one.
                Some(_) => return,
            }
        }
        let Some((image, path, line)) = lost else { return };
        let message = format!(
            "'{}' has no effect: image {image} sets it itself at {path}:{line}, before it reads it{}",
            set.name,
            self.instead(image, &set.name)
        );
        self.add(set.line, message, false);
    }

    /// What changes a variable that an image sets itself.
    fn instead(&self, image: &str, name: &str) -> String {
        if let Some((_, found)) = self.tree.customized(image).find(|(_, found)| found.list == name) {
            let list = format!("{}_{}", image.replace('-', "_"), found.kind);
            return format!(": set '{list}_append', '{list}_remove' or '{list}_override'");
        }
        match self.tree.sets(image, name).find_map(|(_, set)| set.scope.as_deref()) {
            Some(scope) if scope.starts_with("block ") => format!(": override {scope}, in which it is set"),
            _ => ": override a block that uses it, or give the variable another name".to_string(),
        }
    }

    fn variable(&mut self, set: &Set) {
        let Some(action) = ACTIONS.into_iter().find(|action| set.name.ends_with(action)) else { return };
        let list = &set.name[..set.name.len() - action.len()];
        // The override may well read it itself, and so may the tree.
        if self.names.contains(set.name.as_str()) || self.tree.uses(&set.name) {
            return;
        }
        let Some(images) = self.lists.known.get(list) else {
            let message = format!("no image reads '{}'{}", set.name, self.hint(list, action));
            return self.add(set.line, message, false);
        };
        if let Some(scope) = &set.scope {
            let message = format!(
                "'{}' is set inside {scope}, where customizable does not see it: set it at the top level",
                set.name
            );
            self.add(set.line, message, false);
        } else if !self.lists.reached.contains(list) {
            let message = format!(
                "'{}' has no effect on this distro and architecture ({})",
                set.name,
                in_images(images)
            );
            self.add(set.line, message, true);
        } else if let Some(again) = self.set_again(set) {
            let place = self
                .merged
                .locate(again)
                .map_or(String::new(), |(file, line)| format!(" at {}:{line}", file.display()));
            let message = format!("'{}' is set again{place}, and only the last one counts", set.name);
            self.add(set.line, message, false);
        }
    }

    /// The line at which a later `set` makes this one useless.
    fn set_again(&self, set: &Set) -> Option<usize> {
        let later = self.overrides.sets.iter().filter(|other| {
            other.name == set.name && other.line > set.line && other.scope.is_none() && !other.conditional
        });
        let builds_on = |other: &Set| other.value.contains(&set.name);
        later.filter(|other| !builds_on(other)).map(|other| other.line).next()
    }

    fn hint(&self, list: &str, action: &str) -> String {
        // What this distro and architecture use is more likely meant than what others do.
        let best = nearest(list, self.lists.reached.iter().copied(), 1);
        let best =
            best.into_iter().chain(nearest(list, self.lists.known.keys().map(String::as_str), 1)).next();
        if let Some(best) = best {
            return format!(": did you mean '{best}{action}' ({})?", in_images(&self.lists.known[best]));
        }
        let image = self.tree.images().filter(|image| {
            list.strip_prefix(&image.replace('-', "_")).is_some_and(|rest| rest.starts_with('_'))
        });
        match image.max_by_key(|image| image.len()) {
            Some(image) => format!(": {image} has no such list that can be customised"),
            None => ": kolla-build --list-blocks lists what can be customised".to_string(),
        }
    }

    /// What `_remove` names that no list of the image holds, texts where lists are meant, and variables that an
    /// `_override` makes useless.
    fn removals(&mut self, rendered: &[&[RenderedDockerfile]]) {
        let mut removals: BTreeMap<&str, Removal<'_>> = BTreeMap::new();
        let mut ignored: BTreeMap<&String, &str> = BTreeMap::new();
        let mut letters: BTreeSet<String> = BTreeSet::new();
        for file in rendered.iter().copied().flatten() {
            for lookup in &file.lookups {
                match &lookup.effect {
                    Effect::Replaced { ignored: names, by_text } => {
                        ignored.extend(names.iter().map(|name| (name, lookup.list.as_str())));
                        letters.extend(by_text.then(|| format!("{}_override", lookup.list)));
                    }
                    Effect::Edited { removed, missing, held, letters: names, .. } => {
                        letters.extend(names.iter().cloned());
                        if names.iter().any(|name| name.ends_with("_remove")) {
                            continue;
                        }
                        let removal = removals.entry(&lookup.list).or_default();
                        removal.images.insert(&file.image);
                        removal.removed.extend(removed.iter().map(String::as_str));
                        removal.missing.extend(missing.iter().map(String::as_str));
                        removal.held.extend(held.iter().map(String::as_str));
                    }
                    Effect::Undefined | Effect::Unchanged => {}
                }
            }
        }
        for (list, removal) in removals {
            for item in removal.missing.difference(&removal.removed) {
                let hint = match nearest(item, removal.held.iter().copied(), 1).first() {
                    Some(best) => format!(": did you mean '{best}'?"),
                    None => String::new(),
                };
                let message = format!(
                    "'{item}' is not in the list that {list}_remove is for ({}){hint}",
                    in_images(&removal.images)
                );
                self.add(self.line_of(&format!("{list}_remove"), Some(item)), message, false);
            }
        }
        for name in letters {
            let message =
                format!("'{name}' is a text, which is taken letter by letter: write a list, ['...']");
            self.add(self.line_of(&name, None), message, false);
        }
        for (name, list) in ignored {
            let message = format!("'{name}' has no effect, because {list}_override is set");
            self.add(self.line_of(name, None), message, false);
        }
    }

    /// The line of the `set`, or of the item in it.
    fn line_of(&self, name: &str, item: Option<&str>) -> usize {
        let mut sets = self.overrides.sets.iter().filter(|set| set.name == name && set.scope.is_none()).rev();
        let of_item = item.and_then(|item| sets.clone().find_map(|set| set.line_of(item)));
        of_item.or_else(|| sets.next().map(|set| set.line)).unwrap_or(1)
    }
}

/// What one `_remove` variable came to in all the lists that it applies to.
#[derive(Default)]
struct Removal<'a> {
    images: BTreeSet<&'a str>,
    removed: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
    held: BTreeSet<&'a str>,
}

fn in_images(images: &BTreeSet<&str>) -> String {
    let named: Vec<&str> = images.iter().copied().take(NAMED_IMAGES).collect();
    match images.len() {
        1 => format!("image {}", named[0]),
        count if count == named.len() => format!("images {}", named.join(", ")),
        count => format!("{count} images, such as {}", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lint::outline::outline;
    use crate::model::platform::{Arch, Platform};
    use crate::model::template_api::TemplateApi;
    use crate::template::catalog::{TemplateCatalog, TreeContent, TreeFile};
    use crate::template::context::RenderContext;
    use crate::template::render::Renderer;
    use crate::template::repos::Repositories;

    const NOVA: &str = "FROM x\n{% block nova_base_header %}{% endblock %}\n\
        {% set nova_base_packages = ['qemu', 'libvirt', 'qemu'] %}\n\
        RUN {{ nova_base_packages | customizable('packages') }}\n\
        RUN {{ nova_base_packages | customizable('packages') }}\n\
        {% if base_distro == 'rocky' %}{{ x | customizable('rpms') }}{% endif %}\n\
        {% block footer %}{% endblock %}\n";
    const KEYSTONE: &str = "FROM x\n{% block keystone_header %}{% endblock %}\n{% block footer %}{% endblock %}\n\
        {{ only_on_debian | customizable('pip_packages') }}{{ some_append }}\n";

    fn findings(overrides: &[&str]) -> Vec<String> {
        let mut catalog = TemplateCatalog::default();
        for (image, text) in [("nova-base", NOVA), ("keystone", KEYSTONE)] {
            let content = TreeContent::Embedded(text.as_bytes());
            catalog.insert(format!("{image}/Dockerfile.j2"), TreeFile { mode: 0o644, content });
        }
        let images = catalog.images().expect("images");
        let files = overrides.iter().enumerate();
        let files = files.map(|(at, text)| {
            (format!("{at}.j2").into(), format!("{{% extends parent_template %}}\n{text}"))
        });
        let merged = Arc::new(MergedOverride::merge(files.collect()).expect("files"));
        let catalog = Arc::new(catalog);
        let renderer = Renderer {
            catalog: catalog.clone(),
            overrides: Some(merged.clone()),
            repositories: Arc::new(
                Repositories::load(TemplateApi::LATEST, (std::path::Path::new("repos.yaml"), "{}"), None)
                    .expect("empty"),
            ),
            api: TemplateApi::LATEST,
        };
        let platform = Platform::new(Arch::host());
        let rendered = renderer.render_all(&images, platform, &RenderContext::default()).expect("rendered");
        let tree = TreeOutline::read(&catalog, &images).expect("readable");
        let found = check(&merged, &outline(merged.source()), &tree, &[&rendered]);
        found
            .iter()
            .map(|finding| format!("{}{finding}", if finding.elsewhere { "elsewhere: " } else { "" }))
            .collect()
    }

    #[test]
    fn what_has_an_effect_is_not_mentioned() {
        let text = "{% set nova_base_packages_append = ['x'] %}{% set nova_base_packages_remove = ['qemu', 'qemu'] %}\n\
            {% block footer %}{% block own %}{{ my_append }}{% endblock %}{% endblock %}\n\
            {% set my_append = 1 %}{% set some_append = 1 %}{% set other = 1 %}";
        assert_eq!(findings(&[text]), [] as [&str; 0]);
    }

    #[test]
    fn unknown_blocks_name_the_nearest_one_and_its_images() {
        insta::assert_snapshot!(findings(&["{% block nova_base_haeder %}{% endblock %}\n{% block foter %}{% endblock %}\n\n{% block zzz %}{% block inner %}{% endblock %}{% endblock %}"]).join("\n"), @r"
        0.j2:2: no image has a block 'nova_base_haeder': did you mean 'nova_base_header' (image nova-base)?
        0.j2:3: no image has a block 'foter': did you mean 'footer' (images keystone, nova-base)?
        0.j2:5: no image has a block 'zzz': kolla-build --list-blocks lists every block
        ");
    }

    #[test]
    fn unread_variables_name_the_nearest_one_and_its_images() {
        insta::assert_snapshot!(findings(&["{% set nova_base_package_append = [] %}\n{% set keystone_zz_remove = [] %}\n\
            {% set zz_override = [] %}\n{% set nova_base_rpms_append = [] %}\n\
            {% block footer %}{% set nova_base_packages_append = [] %}{% endblock %}"]).join("\n"), @r"
        0.j2:2: no image reads 'nova_base_package_append': did you mean 'nova_base_packages_append' (image nova-base)?
        0.j2:3: no image reads 'keystone_zz_remove': did you mean 'keystone_pip_packages_remove' (image keystone)?
        0.j2:4: no image reads 'zz_override': kolla-build --list-blocks lists what can be customised
        elsewhere: 0.j2:5: 'nova_base_rpms_append' has no effect on this distro and architecture (image nova-base)
        0.j2:6: 'nova_base_packages_append' is set inside block 'footer', where customizable does not see it: set it at the top level
        ");
    }

    #[test]
    fn what_cannot_be_removed_names_the_nearest_item_and_its_own_line() {
        insta::assert_snapshot!(findings(&["{% set nova_base_packages_remove = [\n'qemu',\n'libvrt', 'emacs'\n] %}"]).join("\n"), @r"
        0.j2:4: 'emacs' is not in the list that nova_base_packages_remove is for (image nova-base)
        0.j2:4: 'libvrt' is not in the list that nova_base_packages_remove is for (image nova-base): did you mean 'libvirt'?
        ");
    }

    #[test]
    fn variables_that_others_outdo_are_told() {
        insta::assert_snapshot!(findings(&[
            "{% set nova_base_packages_append = ['a'] %}\n{% set keystone_pip_packages_append = ['a'] %}",
            "{% set nova_base_packages_append = ['b'] %}\n{% set nova_base_packages_override = ['c'] %}\n\
             {% set keystone_pip_packages_append = keystone_pip_packages_append + ['b'] %}",
        ]).join("\n"), @r"
        0.j2:2: 'nova_base_packages_append' is set again at 1.j2:2, and only the last one counts
        1.j2:2: 'nova_base_packages_append' has no effect, because nova_base_packages_override is set
        ");
    }
}
