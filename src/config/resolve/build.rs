//! How images are built [pure].

use super::builder::{builder, package_cache};
use super::smoke::smoke;
use crate::config::keys::DEFAULT;
use crate::config::layer::{Layers, ValueError};
use crate::config::options::OptionSpec;
use crate::config::resolved::{BuildOptions, EngineChoice, ReuseChoice, Task};
use crate::model::ids::ImageName;

/// Options of the build; `asked_by` is the option that asks for another task, `platform_given` is true for platforms that
/// were asked for.
pub(super) fn build(
    layers: &Layers,
    task: &Task,
    asked_by: Option<&OptionSpec>,
    platform_given: bool,
) -> Result<BuildOptions, ValueError> {
    let engine = match layers.choice("engine")?.as_deref() {
        Some("podman") => EngineChoice::Podman(layers.option("podman_base_url")?.unwrap_or_default()),
        _ => EngineChoice::Docker,
    };
    Ok(BuildOptions {
        builder: builder(layers, &engine, task)?,
        package_cache: package_cache(layers, &engine, task)?,
        engine,
        engine_hosts: layers.many_parsed("engine_host")?,
        network_mode: layers.option("network_mode")?.unwrap_or_default(),
        build_args: layers.dict(DEFAULT, "build_args")?,
        cache: layers.flag("cache")?,
        reuse: match layers.choice("reuse")?.as_deref() {
            Some("registry") => ReuseChoice::EngineOrRegistry,
            _ => ReuseChoice::Engine,
        },
        pull: layers.flag("pull")?,
        push: layers.flag("push")?,
        smoke: smoke(layers, asked_by)?,
        verify_push: layers.flag("verify_push")?,
        registry_ca: layers.path("registry_ca")?,
        insecure_registries: layers.list(DEFAULT, "insecure_registries")?,
        threads: layers.number("threads")? as usize,
        push_threads: layers.number("push_threads")? as usize,
        retries: u32::try_from(layers.number("retries")?).unwrap_or(u32::MAX),
        fail_fast: layers.flag("fail_fast")?,
        timeout: layers.number("timeout")?,
        allowed_to_fail: layers.list(DEFAULT, "allowed_to_fail")?.into_iter().map(ImageName::from).collect(),
        work_dir: layers.path("work_dir")?,
        source_cache: layers.path("source_cache")?,
        source_cache_days: layers.number("source_cache_days")?,
        min_free_disk: layers.number("min_free_disk")?,
        locked: layers.path("locked")?,
        platform_given,
    })
}
