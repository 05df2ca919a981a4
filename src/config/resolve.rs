//! From layers of text to one typed configuration.

mod base;
mod build;
mod builder;
mod output;
mod release;
mod selection;
mod smoke;
mod templates;

use super::keys::{DEFAULT, distro_section};
use super::layer::{Entry, Layers, SetAt, ValueError, ValueErrors, value_error};
use super::names::Names;
use super::options::KollaDifference;
use super::resolved::{Config, Selection};
use super::{meaning, tasks};
use crate::model::platform::Platform;
use crate::model::reference::parts::Tag;
use crate::model::template_api::TemplateApi;
use base::Base;
use build::build;
use output::output;
use release::release;
use selection::selection;
use templates::templates;

/// Makes sure that every value is of its option's kind, as Kolla does too when nothing comes to use it, and puts below
/// all others what follows from them.
pub fn complete(layers: &mut Layers) -> Result<(), ValueErrors> {
    let wrong: Vec<ValueError> =
        layers.options().iter().filter_map(|option| layers.check(option).err()).collect();
    if !wrong.is_empty() {
        return Err(ValueErrors(wrong));
    }
    let api = base::template_api(layers)?;
    let distro = base::distro(layers)?;
    let (platforms, _) = base::platforms(layers)?;
    Ok(derive(layers, &distro, &platforms, api)?)
}

/// Gives every value its type.
pub fn resolve(mut layers: Layers) -> Result<Config, ValueErrors> {
    complete(&mut layers)?;
    check(&layers)?;
    Ok(typed(layers)?)
}

/// Makes sure that every value stands for something that there can be.
fn check(layers: &Layers) -> Result<(), ValueErrors> {
    let mut wrong = Vec::new();
    for option in layers.options().iter() {
        let KollaDifference::Refused(reason) = option.difference else { continue };
        let given = layers.entry(DEFAULT, option.name).filter(|entry| !entry.text.is_empty());
        wrong.extend(given.map(|entry| value_error(entry, reason)));
    }
    let distro = base::distro(layers)?;
    for error in layers.options().iter().filter_map(|option| meaning::check(layers, option).err()).flatten() {
        let error = traced(layers, &distro, error)?;
        if !wrong.iter().any(|told: &ValueError| told.key == error.key && told.place == error.place) {
            wrong.push(error);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(ValueErrors(wrong)) }
}

/// An error about a value that follows from another one, as one about that.
fn traced(layers: &Layers, base: &str, error: ValueError) -> Result<ValueError, ValueError> {
    if error.place != SetAt::Derived {
        return Ok(error);
    }
    if let Some(entry) = layers.entry(&distro_section(base), &error.key) {
        return Ok(value_error(entry, error.reason));
    }
    for key in ["openstack_release", "base_tag", "kolla_version"] {
        let text = layers.text(DEFAULT, key)?.unwrap_or_default();
        if let Err(reason) = text.parse::<Tag>() {
            let reason = format!("{reason}; images are tagged with it unless --tag names another");
            return Ok(ValueError::of(layers, key, reason));
        }
    }
    Ok(error)
}

fn typed(layers: Layers) -> Result<Config, ValueError> {
    let api = base::template_api(&layers)?;
    let distro = base::distro(&layers)?;
    let base = Base::read(&layers, &distro, api)?;
    let (platforms, platform_given) = base::platforms(&layers)?;
    let install_type = base::install_type(&layers, api, &distro)?;
    let distro_words = api.unbuildable_words(&distro, &base.tag, &base.package_manager, install_type);
    let (task, asked_by) = tasks::task(&layers)?;
    let config = Config {
        names: Names::read(&layers, install_type.map(|it| format!("{distro}-{}-", it.name())))?,
        base: distro,
        base_image: base.image,
        base_tag: base.tag,
        pretty_name: base.pretty_name,
        package_type: base.package_type,
        package_manager: base.package_manager,
        install_type,
        maintainer: layers.option("maintainer")?.unwrap_or_default(),
        selection: Selection {
            only_platform: base::only_platform(&layers, &platforms, &task)?,
            ..selection(&layers, distro_words)?
        },
        templates: templates(&layers, api)?,
        build: build(&layers, &task, asked_by, platform_given)?,
        release: release(&layers, asked_by)?,
        output: output(&layers)?,
        task,
        asked_by,
        platforms,
        layers,
    };
    for platform in &config.platforms {
        let tag = config.platform_tag(*platform).parse::<Tag>();
        tag.map_err(|reason| ValueError::of(config.layers(), "tag", reason))?;
    }
    Ok(config)
}

/// Works out what Kolla derives from other options, below everything that users write.
fn derive(
    layers: &mut Layers,
    base: &str,
    platforms: &[Platform],
    api: TemplateApi,
) -> Result<(), ValueError> {
    let distro = |layers: &Layers, key: &str| layers.text(&distro_section(base), key);
    let entry = |key: &str, text: String| Entry::of_option(key, text, SetAt::Derived);
    let mut derived = Vec::new();
    for key in ["base_image", "base_tag"] {
        derived.push(entry(key, distro(layers, key)?.unwrap_or_default()));
    }
    if let [only] = platforms {
        derived.push(entry("base_arch", only.arch.kolla().to_string()));
        derived.push(entry("debian_arch", only.arch.debian().to_string()));
    }
    let release = layers.option("openstack_release")?.unwrap_or_default();
    let branch = if release == "master" { release.clone() } else { format!("stable-{release}") };
    derived.push(entry("openstack_branch_slashed", branch.replace('-', "/")));
    derived.push(entry("openstack_branch", branch));
    let tag = if api.is_tagged_by_version() {
        "${kolla_version}".to_string()
    } else {
        format!("{release}-{base}-${{base_tag}}")
    };
    derived.push(entry("tag", tag));
    layers.push_below(derived);
    Ok(())
}
