//! Which of several engines build for which platforms.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};

use super::{Engine, EngineError};
use crate::model::platform::{Arch, Platform};

/// An engine that is on its way to being reached.
pub type Connecting = BoxFuture<'static, Result<Arc<dyn Engine>, EngineError>>;

/// An engine that may become one of a fleet.
pub struct EngineCandidate {
    /// The engine, which is contacted when this is waited for.
    pub engine: Connecting,
    /// The architecture it is to build for; none means its own.
    pub arch: Option<Arch>,
}

/// Engines that were contacted.
#[derive(Default)]
pub struct Probed {
    /// Those that build for at least one of the platforms.
    pub usable: Vec<UsableEngine>,
    /// Platforms that none of them builds for.
    pub missing: Vec<Platform>,
    /// Why others can't be used now.
    pub unusable: Vec<EngineError>,
}

/// An engine that builds for a platform that was asked for.
pub struct UsableEngine {
    /// The connection to the engine.
    pub engine: Arc<dyn Engine>,
    /// Platforms that it builds for.
    pub platforms: Vec<Platform>,
    /// How many processors it has.
    pub processors: usize,
}

/// A candidate that was reached.
struct Answering {
    engine: Arc<dyn Engine>,
    /// Architecture that was named for it.
    arch: Option<Arch>,
    processors: usize,
}

impl Answering {
    /// True for a platform that it builds for without emulation.
    fn is_native(&self, platform: Platform) -> bool {
        self.arch.or(self.engine.facts().architecture) == Some(platform.arch)
    }
}

/// Contacts those of the candidates that may build for one of the platforms. An engine for which no architecture was named
/// builds for its own, and by emulation for another one when no engine is there for it.
pub async fn probe(candidates: Vec<EngineCandidate>, platforms: &[Platform]) -> Probed {
    let wanted = |arch| platforms.iter().any(|platform| platform.arch == arch);
    let named = |candidate: &EngineCandidate| candidate.arch.is_none_or(wanted);
    let reached = candidates.into_iter().filter(named).map(async |EngineCandidate { engine, arch }| {
        let engine = engine.await?;
        let processors = engine.processors().await?;
        Ok(Answering { engine, arch, processors })
    });
    let (mut probed, mut answering) = (Probed::default(), Vec::new());
    for reached in join_all(reached).await {
        match reached {
            Ok(engine) => answering.push(engine),
            Err(error) => probed.unusable.push(error),
        }
    }
    let with_native: Vec<Platform> = platforms
        .iter()
        .copied()
        .filter(|platform| answering.iter().any(|engine| engine.is_native(*platform)))
        .collect();
    for engine in answering {
        let emulates = engine.arch.is_none();
        let serves = |platform: &Platform| {
            engine.is_native(*platform) || (emulates && !with_native.contains(platform))
        };
        let platforms: Vec<Platform> = platforms.iter().copied().filter(serves).collect();
        let Answering { engine, processors, .. } = engine;
        if !platforms.is_empty() {
            probed.usable.push(UsableEngine { engine, platforms, processors });
        }
    }
    let missing = |platform: &Platform| !probed.usable.iter().any(|one| one.platforms.contains(platform));
    probed.missing = platforms.iter().copied().filter(missing).collect();
    probed
}
