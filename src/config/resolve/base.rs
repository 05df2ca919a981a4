//! The distribution, the release and the platforms that images are for [pure].

use crate::config::keys::{DEFAULT, distro_section};
use crate::config::layer::{Layers, SetAt, ValueError, value_error};
use crate::config::resolved::Task;
use crate::model::platform::{Arch, Platform};
use crate::model::template_api::{InstallType, TemplateApi};
use crate::util::nearest;

/// Base image, and how packages are installed in it.
pub(super) struct Base {
    pub(super) image: String,
    pub(super) tag: String,
    pub(super) pretty_name: String,
    pub(super) package_type: String,
    pub(super) package_manager: String,
}

impl Base {
    /// Reads options, and in their place what is known of the distribution.
    pub(super) fn read(layers: &Layers, distro: &str, api: TemplateApi) -> Result<Base, ValueError> {
        let section = distro_section(distro);
        let known = |key: &str| Ok::<_, ValueError>(layers.text(&section, key)?.unwrap_or_default());
        let or_known = |option: &str, key: &str| match layers.option(option)? {
            Some(value) => Ok(value),
            None => known(key),
        };
        let tag = layers.option("base_tag")?.unwrap_or_default();
        let package_manager = match layers.option("distro_package_manager")? {
            None if api.has_yum(distro, &tag) => "yum".to_string(),
            _ => or_known("distro_package_manager", "package_manager")?,
        };
        Ok(Base {
            image: or_known("base_image", "base_image")?,
            tag,
            pretty_name: known("pretty_name")?,
            package_type: or_known("base_package_type", "package_type")?,
            package_manager,
        })
    }
}

/// The Kolla release that the templates are written for.
pub(super) fn template_api(layers: &Layers) -> Result<TemplateApi, ValueError> {
    let word = layers.choice("template_api")?;
    Ok(word.and_then(|word| TemplateApi::of_release(word.parse().ok()?)).unwrap_or_default())
}

/// The distribution, which must be one that the tree is written for.
pub(super) fn distro(layers: &Layers) -> Result<String, ValueError> {
    let base = layers.choice("base")?.unwrap_or_else(|| "rocky".to_string());
    let prefix = distro_section("");
    let known: Vec<&str> =
        layers.sections().iter().filter_map(|section| section.strip_prefix(&prefix)).collect();
    match layers.entry(DEFAULT, "base") {
        Some(entry) if !known.contains(&base.as_str()) => {
            let hint = nearest::hint(&base, known.iter().copied());
            Err(value_error(entry, format_args!("'{base}' is not one of {}{hint}", known.join(", "))))
        }
        _ => Ok(base),
    }
}

pub(super) fn install_type(
    layers: &Layers,
    api: TemplateApi,
    base: &str,
) -> Result<Option<InstallType>, ValueError> {
    if !api.has_install_types() {
        return match layers.entry(DEFAULT, "install_type") {
            // So does Kolla, which ignores it in files.
            Some(entry) if entry.place == SetAt::CommandLine => {
                let reason = "this tree has no install types, and everything comes from source: leave it out";
                Err(value_error(entry, reason))
            }
            _ => Ok(None),
        };
    }
    let word = layers.choice("install_type")?;
    let install_type = word.as_deref().and_then(InstallType::parse).unwrap_or_default();
    match layers.entry(DEFAULT, "install_type") {
        Some(entry) if !install_type.exists_on(base) => {
            Err(value_error(entry, format_args!("'{}' is not available on {base}", entry.text)))
        }
        _ => Ok(Some(install_type)),
    }
}

/// Platforms to build for, and true when they were asked for.
pub(super) fn platforms(layers: &Layers) -> Result<(Vec<Platform>, bool), ValueError> {
    let arch = layers.choice("base_arch")?.and_then(|arch| Arch::parse(&arch));
    let Some(entry) = layers.entry(DEFAULT, "platform").filter(|entry| !entry.text.is_empty()) else {
        return Ok((vec![Platform::new(arch.unwrap_or(Arch::host()))], arch.is_some()));
    };
    let mut platforms = Vec::new();
    for item in layers.list(DEFAULT, "platform")? {
        let platform: Platform = item.parse().map_err(|error| value_error(entry, error))?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    match (platforms.as_slice(), arch) {
        ([], _) => Err(value_error(entry, "no platform is named")),
        ([only], Some(arch)) if only.arch != arch => Err(value_error(
            entry,
            format_args!("{only} contradicts base_arch = {}: one of them must go", arch.kolla()),
        )),
        _ => Ok((platforms, true)),
    }
}

/// The one of these platforms that the run is to build for; none for all of them. Tasks about what the platforms have in
/// common can't be done for one.
pub(super) fn only_platform(
    layers: &Layers,
    platforms: &[Platform],
    task: &Task,
) -> Result<Option<Platform>, ValueError> {
    let Some(entry) = layers.entry(DEFAULT, "only_platform").filter(|entry| !entry.text.is_empty()) else {
        return Ok(None);
    };
    let only: Platform = layers
        .option("only_platform")?
        .unwrap_or_default()
        .parse()
        .map_err(|error| value_error(entry, error))?;
    if !platforms.contains(&only) {
        let known: Vec<String> = platforms.iter().map(Platform::to_string).collect();
        let known = known.join(", ");
        return Err(value_error(
            entry,
            format_args!("{only} is none of this run's platforms: {known} (--platform)"),
        ));
    }
    if matches!(task, Task::ManifestLists | Task::Retag(_) | Task::MergeSummaries(_) | Task::Export(_)) {
        let reason = "what is asked for is done for all platforms of an image at once: leave it out";
        return Err(value_error(entry, reason));
    }
    Ok(Some(only))
}
