//! Finds what in an override has no effect, of all that Kolla ignores in silence [pure].

mod blocks;
mod lists;
mod removals;
mod variables;
mod warnings;

pub use self::warnings::OverrideWarning;

use self::lists::CustomizableLists;
use self::variables::Variables;
use self::warnings::Warnings;
use super::names::names;
use super::outline::Outline;
use super::tree::TreeOutline;
use crate::template::overrides::MergedOverride;
use crate::template::render::RenderedDockerfile;

/// Warning about overrides that extend nothing.
pub const REPLACES_ALL: &str =
    "without {% extends parent_template %} it replaces every Dockerfile: begin it with that line";

/// True when overrides take the place of every Dockerfile, without using what stands there.
pub fn replaces_all(merged: &MergedOverride, overrides: &Outline) -> bool {
    !overrides.extends && !names(merged.source()).contains("parent_template")
}

/// Checks an override against every image of the tree, as rendered with it for each platform. In order of place.
pub fn check(
    merged: &MergedOverride,
    overrides: &Outline,
    tree: &TreeOutline,
    rendered: &[&[RenderedDockerfile]],
) -> Vec<OverrideWarning> {
    let mut warnings = Warnings::about(merged);
    if replaces_all(merged, overrides) {
        warnings.add(1, REPLACES_ALL);
    }
    // Without `extends` its blocks are its own.
    if overrides.extends {
        blocks::check(overrides, tree, &mut warnings);
    }
    let (names, lists) = (names(merged.source()), CustomizableLists::new(tree, rendered));
    Variables { merged, overrides, names: &names, tree, lists: &lists, rendered }.check(&mut warnings);
    removals::check(overrides, rendered, &mut warnings);
    warnings.in_order()
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
