//! Where templates come from, and what they are given [pure].

use crate::config::keys::DEFAULT;
use crate::config::layer::{Layers, ValueError, value_error};
use crate::config::resolved::TemplateOptions;
use crate::model::template_api::TemplateApi;

/// Build arguments of pip's settings, and the options that give them.
const PIP_ARGS: [(&str, &str); 3] = [
    ("PIP_INDEX_URL", "pip_index_url"),
    ("PIP_TRUSTED_HOST", "pip_trusted_host"),
    ("PIP_EXTRA_INDEX_URL", "pip_extra_index_url"),
];

/// Files of the base image that options replace.
const BASE_FILES: [(&str, &str); 2] =
    [("sources.list", "apt_sources_list"), ("apt_preferences", "apt_preferences")];

/// Options of templates of this release.
pub(super) fn templates(layers: &Layers, api: TemplateApi) -> Result<TemplateOptions, ValueError> {
    let required = |key: &str| Ok::<_, ValueError>(layers.option(key)?.unwrap_or_default());
    let pip_args = PIP_ARGS.into_iter().filter_map(|(arg, key)| Some((arg, layers.option(key).transpose()?)));
    let base_files =
        BASE_FILES.into_iter().filter_map(|(name, key)| Some((name, layers.path(key).transpose()?)));
    Ok(TemplateOptions {
        api,
        images_dir: layers.path("images_dir")?,
        kolla_package: layers.path("kolla_package")?,
        docker_dirs: layers.paths("docker_dir")?,
        overrides: layers.paths("template_override")?,
        strict_overrides: layers.flag("strict_overrides")?,
        repos_yaml: layers.path("repos_yaml")?,
        patches_path: layers.path("patches_path")?,
        base_files: base_files.map(|(name, path)| Ok((name, path?))).collect::<Result<_, ValueError>>()?,
        use_dumb_init: layers.flag("use_dumb_init")?,
        docker_healthchecks: layers.flag("docker_healthchecks")?,
        clean_package_cache: layers.flag("clean_package_cache")?,
        rpm_setup: rpm_setup(layers, api)?,
        kolla_version: required("kolla_version")?,
        openstack_release: required("openstack_release")?,
        openstack_release_codename: required("openstack_release_codename")?,
        openstack_branch: required("openstack_branch")?,
        openstack_branch_slashed: required("openstack_branch_slashed")?,
        pip_args: pip_args.map(|(arg, value)| Ok((arg, value?))).collect::<Result<_, ValueError>>()?,
    })
}

/// Dockerfile lines for `rpm_setup_config`.
fn rpm_setup(layers: &Layers, api: TemplateApi) -> Result<Vec<String>, ValueError> {
    layers
        .list(DEFAULT, "rpm_setup_config")?
        .into_iter()
        .map(|item| {
            // Kolla makes an empty line of it, too.
            if item.is_empty() {
                Ok(item)
            } else if item.ends_with(".rpm") {
                let manager = if api.has_install_types() { "yum" } else { "dnf" };
                Ok(format!("RUN {manager} -y install {item}"))
            } else if item.ends_with(".repo") && item.starts_with("http") {
                let name = item.rsplit('/').next().unwrap_or(&item);
                Ok(format!("RUN curl -L {item} -o /etc/yum.repos.d/{name}"))
            } else if item.ends_with(".repo") {
                Ok(format!("COPY {item} /etc/yum.repos.d/"))
            } else {
                let entry = layers.entry(DEFAULT, "rpm_setup_config");
                let reason = format!("'{item}' is neither a .rpm nor a .repo file");
                Err(value_error(entry.expect("its list has an item"), reason))
            }
        })
        .collect()
}
