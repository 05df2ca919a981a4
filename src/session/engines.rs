//! The engines that a run builds with, as the configuration and the environment name them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::environment::Environment;
use super::stdio::{tell, warn};
use crate::config::layer::ValueError;
use crate::config::resolved::{Config, EngineChoice, EngineHost};
use crate::engine::docker::{Credentials, Docker, DockerHost, Endpoint, Proxies};
use crate::engine::fleet::Fleet;
use crate::engine::probe::{Connecting, EngineCandidate, Probed, UsableEngine, probe};
use crate::engine::watched::WatchedEngine;
use crate::engine::{Engine, EngineError};
use crate::error::{EXIT_FAILED, EXIT_USAGE, Fatal};
use crate::model::platform::Arch;

/// The engine that was asked for, once it was reached: one, or several that work as one.
pub async fn engine(config: &Config, environment: &Environment) -> Result<Arc<dyn Engine>, Fatal> {
    let mut hosts = hosts(config, environment)?.into_iter();
    let patience = patience(config);
    match (hosts.next(), config.build.engine_hosts.is_empty()) {
        (Some((host, _)), true) => connect(host, patience).await.map_err(|error| unreachable(config, &error)),
        (first, _) => {
            let candidate = |(host, arch)| EngineCandidate { engine: connect(host, patience), arch };
            several(config, first.into_iter().chain(hosts).map(candidate).collect()).await
        }
    }
}

/// Reaches an engine, whose builds are watched from then on.
fn connect(host: DockerHost, patience: Duration) -> Connecting {
    async move {
        let docker = Arc::new(host.connect().await?);
        Ok(Arc::new(WatchedEngine::new(docker, patience)) as Arc<dyn Engine>)
    }
    .boxed()
}

/// Reaches every engine that is named, each for itself; `doing` is told of each.
pub async fn every(config: &Config, environment: &Environment, doing: &str) -> Result<Vec<Docker>, Fatal> {
    let engines = each(config, environment).await?;
    engines.iter().for_each(|docker| drop(tell_engine(docker, doing)));
    Ok(engines)
}

/// Reaches every engine that is named, each for itself.
pub async fn each(config: &Config, environment: &Environment) -> Result<Vec<Docker>, Fatal> {
    let mut engines = Vec::new();
    for (host, _) in hosts(config, environment)? {
        engines.push(host.connect().await.map_err(|error| unreachable(config, &error))?);
    }
    Ok(engines)
}

/// The one engine there is, for containers that mount files of this machine.
pub async fn for_containers(config: &Config, environment: &Environment) -> Result<Docker, Fatal> {
    let mut hosts = hosts(config, environment)?;
    let refused = |message: String| {
        Err(Fatal::message(message, EXIT_USAGE)
            .hinted("test the images in a run with an engine of this machine"))
    };
    match (hosts.pop(), hosts.is_empty()) {
        (Some((host, _)), true) if host.endpoint.is_local() => {
            host.connect().await.map_err(|error| unreachable(config, &error))
        }
        (Some((host, _)), true) => refused(format!(
            "--smoke starts containers that mount files of this machine, which the engine at {} does not have",
            host.endpoint
        )),
        _ => refused("--smoke starts containers in one engine, and several are named".to_string()),
    }
}

/// The engines that are named, and what they are to build for. Nothing is contacted yet.
fn hosts(config: &Config, environment: &Environment) -> Result<Vec<(DockerHost, Option<Arch>)>, Fatal> {
    let (credentials, patience) = (credentials(config, environment), patience(config));
    let proxies = proxies(config, environment);
    let host = |(endpoint, arch): (Endpoint, Option<Arch>)| {
        let proxies = proxies.arguments(&endpoint);
        (DockerHost { endpoint, credentials: credentials.clone(), proxies, patience }, arch)
    };
    Ok(endpoints(config, environment)?.into_iter().map(host).collect())
}

/// How long nothing may move.
pub fn patience(config: &Config) -> Duration {
    Duration::from_secs(config.build.timeout)
}

/// Proxies that builds get from the user's Docker configuration; Podman's client looks for none there.
fn proxies(config: &Config, environment: &Environment) -> Proxies {
    let directory = environment.docker.directory.as_deref().filter(|_| !is_podman(config));
    directory.and_then(|dir| Proxies::load(dir).ok()).unwrap_or_default()
}

/// The values of these proxies, for every engine.
pub fn proxy_urls(config: &Config, environment: &Environment) -> Result<Vec<String>, Fatal> {
    let proxies = proxies(config, environment);
    let urls =
        endpoints(config, environment)?.into_iter().flat_map(|(endpoint, _)| proxies.arguments(&endpoint));
    Ok(urls.map(|(_, url)| url).collect())
}

/// Faults of the user's Docker configuration, of which a run may need nothing.
pub fn warnings(config: &Config, environment: &Environment) -> Vec<String> {
    let Some(directory) = &environment.docker.directory else { return Vec::new() };
    let broken = Credentials::load(directory, patience(config)).broken().map(|error| error.to_string());
    let proxies = Proxies::load(directory).err().filter(|_| !is_podman(config));
    broken.into_iter().chain(proxies).map(|problem| format!("{problem}; going on without")).collect()
}

fn is_podman(config: &Config) -> bool {
    config.build.engine_hosts.is_empty() && matches!(config.build.engine, EngineChoice::Podman(_))
}

/// Where the engines are that are named, and what they are to build for.
fn endpoints(config: &Config, environment: &Environment) -> Result<Vec<(Endpoint, Option<Arch>)>, Fatal> {
    if config.build.engine_hosts.is_empty() {
        return Ok(vec![(endpoint(config, environment)?, None)]);
    }
    let hosts = config.build.engine_hosts.iter().map(|EngineHost { arch, address }| {
        let endpoint = Endpoint::parse(address, &environment.docker.tcp)
            .map_err(|error| ValueError::of(config.layers(), "engine_host", error))?;
        Ok((endpoint, *arch))
    });
    hosts.collect()
}

async fn several(config: &Config, candidates: Vec<EngineCandidate>) -> Result<Arc<dyn Engine>, Fatal> {
    let Probed { usable, missing, unusable } = probe(candidates, &config.built_platforms()).await;
    match (missing.first(), unusable.first()) {
        (Some(_), Some(error)) => return Err(unreachable(config, error)),
        (Some(platform), None) => {
            let message = format!("no engine is named for {platform}");
            return Err(Fatal::message(message, EXIT_USAGE).hinted("name one with --engine-host"));
        }
        (None, _) => {}
    }
    let several = usable.len() > 1;
    let mut usable = usable.into_iter();
    match usable.next() {
        None => Err(Fatal::message("no platform is named", EXIT_USAGE)),
        Some(_) if several && !has_registry(config) => {
            let message = "several engines move images through a registry, and none is named";
            Err(Fatal::message(message, EXIT_USAGE).hinted("name one with --registry"))
        }
        Some(first) => {
            for error in &unusable {
                warn(format_args!("going on without an engine: {error}"));
            }
            Ok(match several {
                true => {
                    Arc::new(Fleet::new(std::iter::once(first).chain(usable).collect::<Vec<UsableEngine>>()))
                }
                false => first.engine,
            })
        }
    }
}

fn has_registry(config: &Config) -> bool {
    config.image_reference(&"base".into(), config.platforms[0]).registry.is_some()
}

fn endpoint(config: &Config, environment: &Environment) -> Result<Endpoint, Fatal> {
    match &config.build.engine {
        EngineChoice::Podman(address) => Endpoint::parse(address, &environment.docker.tcp)
            .map_err(|error| ValueError::of(config.layers(), "podman_base_url", error).into()),
        EngineChoice::Docker => environment.docker.locate().map_err(|error| Fatal::new(&error, EXIT_USAGE)),
    }
}

/// Credentials that the user's Docker configuration has for registries.
pub fn credentials(config: &Config, environment: &Environment) -> Credentials {
    let directory = environment.docker.directory.as_deref();
    directory.map(|dir| Credentials::load(dir, patience(config))).unwrap_or_default()
}

/// Tells people what is done with which engine; gives its name for them.
pub fn tell_engine(engine: &dyn Engine, doing: &str) -> String {
    let facts = engine.facts();
    let name = format!("{} at {} (API {})", facts.name, engine.endpoint(), facts.api_version);
    tell(format_args!("{doing} with {name}"));
    name
}

fn unreachable(config: &Config, error: &EngineError) -> Fatal {
    let fatal = Fatal::new(error, EXIT_FAILED);
    let fatal = match error {
        EngineError::Unreachable { endpoint, .. } if endpoint.starts_with("ssh://") => fatal.hinted(
            "ssh must get there, and run docker version, without a question: keys and known hosts are those of ~/.ssh",
        ),
        _ if is_podman(config) => fatal
            .hinted("start its service: systemctl start podman.socket, for a user's own systemctl --user start podman.socket")
            .hinted("name its socket in podman_base_url, e.g. unix:///run/podman/podman.sock or unix:///run/user/1000/podman/podman.sock"),
        _ => fatal.hinted("start the engine, or name its socket in DOCKER_HOST, e.g. unix:///var/run/docker.sock"),
    };
    fatal.hinted("--template-only, --list-images, --list-dependencies and --plan need none")
}
