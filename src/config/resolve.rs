//! From layers of text to one typed configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::buildkit;
use super::keys::DEFAULT;
use super::keys::{PROFILES, UNBUILDABLE, distro_section};
use super::layer::{Entry, Layers, SetAt, ValueError, ValueErrors, value_error};
use super::names::Names;
use super::options::KollaDifference;
use super::resolved::{
    BuildOptions, Config, EngineChoice, Export, OutputOptions, Selection, Task, TemplateOptions,
};
use super::{meaning, tasks};
use crate::model::platform::{Arch, Platform};
use crate::model::reference::parts::Tag;
use crate::model::template_api::{InstallType, TemplateApi};
use crate::util::nearest;

/// Makes sure that every value is of its option's kind, as Kolla does too when nothing comes to use it, and puts below
/// all others what follows from them.
pub fn complete(layers: &mut Layers) -> Result<(), ValueErrors> {
    let wrong: Vec<ValueError> =
        layers.options().iter().filter_map(|option| layers.check(option).err()).collect();
    if !wrong.is_empty() {
        return Err(ValueErrors(wrong));
    }
    let api = template_api(layers)?;
    let base = base(layers)?;
    let (platforms, _) = platforms(layers)?;
    Ok(derive(layers, &base, &platforms, api)?)
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
        wrong.extend(given.map(|entry| value_error(entry, reason.to_string())));
    }
    let base = base(layers)?;
    for error in layers.options().iter().filter_map(|option| meaning::check(layers, option).err()).flatten() {
        let error = traced(layers, &base, error)?;
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
    let api = template_api(&layers)?;
    let base = base(&layers)?;
    let (platforms, platform_given) = platforms(&layers)?;
    let required = |key: &str| Ok(layers.option(key)?.unwrap_or_default());
    let path = |key: &str| Ok::<_, ValueError>(layers.option(key)?.map(PathBuf::from));
    let paths =
        |key: &str| Ok::<_, ValueError>(layers.many(key)?.into_iter().map(PathBuf::from).collect::<Vec<_>>());
    let number = |key: &str| Ok::<_, ValueError>(layers.integer(DEFAULT, key)?.unwrap_or(1).max(0) as u64);
    let distro =
        |key: &str| Ok::<_, ValueError>(layers.text(&distro_section(&base), key)?.unwrap_or_default());
    let or_distro = |option: &str, key: &str| match layers.option(option)? {
        Some(value) => Ok::<_, ValueError>(value),
        None => distro(key),
    };
    let (base_tag, package_type) = (required("base_tag")?, or_distro("base_package_type", "package_type")?);
    let package_manager = match layers.option("distro_package_manager")? {
        None if api.has_yum(&base, &base_tag) => "yum".to_string(),
        _ => or_distro("distro_package_manager", "package_manager")?,
    };
    let install_type = install_type(&layers, api, &base)?;
    let mut selection = selection(&layers)?;
    selection.distro_words = api.unbuildable_words(&base, &base_tag, &package_manager, install_type);
    let engine = match layers.choice("engine")?.as_deref() {
        Some("podman") => EngineChoice::Podman(required("podman_base_url")?),
        _ => EngineChoice::Docker,
    };
    let buildkit = layers.flag("buildkit")? && engine == EngineChoice::Docker;
    let task = tasks::task(&layers)?;
    let pip_args = [
        ("PIP_INDEX_URL", "pip_index_url"),
        ("PIP_TRUSTED_HOST", "pip_trusted_host"),
        ("PIP_EXTRA_INDEX_URL", "pip_extra_index_url"),
    ]
    .into_iter()
    .filter_map(|(arg, key)| Some(layers.option(key).transpose()?.map(|value| (arg, value))))
    .collect::<Result<Vec<_>, _>>()?;
    let base_files = [("sources.list", "apt_sources_list"), ("apt_preferences", "apt_preferences")]
        .into_iter()
        .filter_map(|(name, key)| Some(path(key).transpose()?.map(|path| (name, path))))
        .collect::<Result<Vec<_>, _>>()?;
    // buildx is BuildKit too, and its builders know more kinds of cache.
    let bakes = matches!(task, Task::Export(Export::Bake(_)));
    let config = Config {
        base_image: or_distro("base_image", "base_image")?,
        base_tag,
        pretty_name: distro("pretty_name")?,
        package_type,
        package_manager,
        names: Names::read(&layers, install_type.map(|it| format!("{base}-{}-", it.name())))?,
        install_type,
        maintainer: required("maintainer")?,
        selection,
        task,
        templates: TemplateOptions {
            api,
            images_dir: path("images_dir")?,
            kolla_package: path("kolla_package")?,
            docker_dirs: paths("docker_dir")?,
            overrides: paths("template_override")?,
            strict_overrides: layers.flag("strict_overrides")?,
            repos_yaml: path("repos_yaml")?,
            patches_path: path("patches_path")?,
            base_files,
            use_dumb_init: layers.flag("use_dumb_init")?,
            docker_healthchecks: layers.flag("docker_healthchecks")?,
            clean_package_cache: layers.flag("clean_package_cache")?,
            rpm_setup: rpm_setup(&layers, api)?,
            kolla_version: required("kolla_version")?,
            openstack_release: required("openstack_release")?,
            openstack_release_codename: required("openstack_release_codename")?,
            openstack_branch: required("openstack_branch")?,
            openstack_branch_slashed: required("openstack_branch_slashed")?,
            pip_args,
        },
        build: BuildOptions {
            buildkit,
            secrets: buildkit::secrets(&layers, buildkit || bakes)?,
            squash: buildkit::squash(&layers, buildkit || bakes)?,
            cache_from: if bakes { Vec::new() } else { buildkit::cache_from(&layers, buildkit)? },
            inline_cache: !bakes && buildkit::inline_cache(&layers, buildkit)?,
            engine,
            engine_hosts: layers.many_parsed("engine_host")?,
            network_mode: required("network_mode")?,
            build_args: layers.dict(DEFAULT, "build_args")?,
            cache: layers.flag("cache")?,
            reuse_registry: layers.choice("reuse")?.is_some_and(|place| place == "registry"),
            pull: layers.flag("pull")?,
            keep: layers.flag("keep")?,
            push: layers.flag("push")?,
            verify_push: layers.flag("verify_push")?,
            registry_ca: path("registry_ca")?,
            insecure_registries: layers.list(DEFAULT, "insecure_registries")?,
            threads: number("threads")? as usize,
            push_threads: number("push_threads")? as usize,
            retries: u32::try_from(number("retries")?).unwrap_or(u32::MAX),
            fail_fast: layers.flag("fail_fast")?,
            timeout: number("timeout")?,
            allowed_to_fail: layers.list(DEFAULT, "allowed_to_fail")?,
            work_dir: path("work_dir")?,
            source_cache: path("source_cache")?,
            source_cache_days: number("source_cache_days")?,
            min_free_disk: number("min_free_disk")?,
            locked: path("locked")?,
            platform_given,
        },
        output: OutputOptions {
            logs_dir: path("logs_dir")?,
            summary: layers.flag("summary")?,
            json: layers.choice("format")?.is_none_or(|format| format == "json"),
            plan_json: layers.choice("plan_format")?.is_some_and(|format| format == "json"),
            summary_json_file: path("summary_json_file")?,
            report: path("report")?,
            junit: path("junit")?,
            html: path("html")?,
            digests: path("digests")?,
            digests_ansible: path("digests_ansible")?,
            quiet: layers.flag("quiet")?,
            debug: layers.flag("debug")?,
        },
        base,
        platforms,
        layers,
    };
    for platform in &config.platforms {
        let tag = config.platform_tag(*platform).parse::<Tag>();
        tag.map_err(|reason| ValueError::of(config.layers(), "tag", reason.to_string()))?;
    }
    Ok(config)
}

fn template_api(layers: &Layers) -> Result<TemplateApi, ValueError> {
    let word = layers.choice("template_api")?;
    Ok(word.and_then(|word| TemplateApi::of_release(word.parse().ok()?)).unwrap_or_default())
}

/// The distro, which must be one that the tree is written for.
fn base(layers: &Layers) -> Result<String, ValueError> {
    let base = layers.choice("base")?.unwrap_or_else(|| "rocky".to_string());
    let prefix = distro_section("");
    let known: Vec<&str> =
        layers.sections().into_iter().filter_map(|section| section.strip_prefix(&prefix)).collect();
    match layers.entry(DEFAULT, "base") {
        Some(entry) if !known.contains(&base.as_str()) => {
            let hint = nearest::hint(&base, known.iter().copied());
            Err(value_error(entry, format!("'{base}' is not one of {}{hint}", known.join(", "))))
        }
        _ => Ok(base),
    }
}

fn install_type(layers: &Layers, api: TemplateApi, base: &str) -> Result<Option<InstallType>, ValueError> {
    if !api.has_install_types() {
        return match layers.entry(DEFAULT, "install_type") {
            // So does Kolla, which ignores it in files.
            Some(entry) if entry.place == SetAt::CommandLine => {
                let reason = "this tree has no install types, and everything comes from source: leave it out";
                Err(value_error(entry, reason.to_string()))
            }
            _ => Ok(None),
        };
    }
    let word = layers.choice("install_type")?;
    let install_type = word.as_deref().and_then(InstallType::parse).unwrap_or_default();
    match layers.entry(DEFAULT, "install_type") {
        Some(entry) if !install_type.exists_on(base) => {
            Err(value_error(entry, format!("'{}' is not available on {base}", entry.text)))
        }
        _ => Ok(Some(install_type)),
    }
}

/// What to build for, and whether that was asked for.
fn platforms(layers: &Layers) -> Result<(Vec<Platform>, bool), ValueError> {
    let arch = layers.choice("base_arch")?.and_then(|arch| Arch::parse(&arch));
    let Some(entry) = layers.entry(DEFAULT, "platform").filter(|entry| !entry.text.is_empty()) else {
        return Ok((vec![Platform::new(arch.unwrap_or(Arch::host()))], arch.is_some()));
    };
    let mut platforms = Vec::new();
    for item in layers.list(DEFAULT, "platform")? {
        let platform: Platform = item.parse().map_err(|error| value_error(entry, format!("{error}")))?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    match (platforms.as_slice(), arch) {
        ([], _) => Err(value_error(entry, "no platform is named".to_string())),
        ([only], Some(arch)) if only.arch != arch => Err(value_error(
            entry,
            format!("{only} contradicts base_arch = {}: one of them must go", arch.kolla()),
        )),
        _ => Ok((platforms, true)),
    }
}

/// Works out what Kolla derives from other options, below everything that users write.
fn derive(
    layers: &mut Layers,
    base: &str,
    platforms: &[Platform],
    api: TemplateApi,
) -> Result<(), ValueError> {
    let distro = |layers: &Layers, key: &str| layers.text(&distro_section(base), key);
    let entry = |key: &str, text: String| Entry {
        section: DEFAULT.to_string(),
        key: key.to_string(),
        text,
        place: SetAt::Derived,
    };
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

fn selection(layers: &Layers) -> Result<Selection, ValueError> {
    let mut profile_regexes = Vec::new();
    for name in layers.many("profile")? {
        let images = layers.list(PROFILES, &name)?;
        if let Some(reason) = images.iter().find_map(|pattern| meaning::regex(pattern).err())
            && let Some(entry) = layers.entry(PROFILES, &name)
        {
            return Err(value_error(entry, reason));
        }
        if images.is_empty() {
            let known: Vec<&str> =
                layers.entries().iter().filter(|e| e.section == PROFILES).map(|e| e.key.as_str()).collect();
            let hint = nearest::hint(&name, known.iter().copied());
            let entry = layers.entries().iter().find(|e| e.key == "profile" && e.text == name);
            return Err(ValueError {
                place: entry.map_or(SetAt::CommandLine, |entry| entry.place.clone()),
                section: DEFAULT.to_string(),
                key: "profile".to_string(),
                reason: format!("there is no profile '{name}'{hint} (known: {})", known.join(", ")),
            });
        }
        profile_regexes.extend(images);
    }
    let mut unbuildable = BTreeMap::new();
    if !layers.flag("enable_unbuildable")? {
        for entry in layers.entries().iter().filter(|entry| entry.section == UNBUILDABLE) {
            unbuildable.insert(entry.key.clone(), layers.list(UNBUILDABLE, &entry.key)?);
        }
    }
    Ok(Selection {
        distro_words: Vec::new(),
        regexes: layers.many("regex")?,
        profile_regexes,
        unbuildable,
        skip_parents: layers.flag("skip_parents")?,
        skip_existing: layers.flag("skip_existing")?,
        affected_since: layers.option("affected_since")?,
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
