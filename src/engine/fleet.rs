//! Several engines that work as one: a build goes to the engine with the least to do, and images move between engines
//! through their registry.
//!
//! An image counts as built once the registry has it. So an engine that is lost takes nothing with it but the builds
//! that it was at, and those begin again elsewhere.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::OnceCell;

use super::{BuildOutput, BuildRequest, BuiltOn, Engine, EngineError, EngineFacts, ImageFacts, OutputSink};
use crate::platform::{Arch, Platform};
use crate::reference::Reference;

/// How long an engine whose build failed may take to say that it still lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// An engine that may become one of a fleet.
pub struct Candidate {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// What it is to build for; none leaves that to what it is itself.
    pub arch: Option<Arch>,
}

/// Several engines that work as one.
pub struct Fleet {
    endpoint: String,
    members: Vec<Member>,
    /// What the registry was given of each image by reference and id: the manifest's digest, when it was told.
    published: Once<(String, String), Option<String>>,
}

/// One of a fleet.
struct Member {
    engine: Arc<dyn Engine>,
    processors: usize,
    running: AtomicUsize,
    lost: AtomicBool,
    /// What was brought here, by reference and id.
    brought: Once<(String, String), ()>,
}

/// A build that counts as one of a member's as long as this lives.
struct Busy<'a>(&'a Member);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Work that is done once per key, however many ask for it; work that failed is done again when it is asked for again.
struct Once<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K: Eq + Hash, V: Clone> Once<K, V> {
    fn new() -> Once<K, V> {
        Once(Mutex::default())
    }

    async fn get<E>(&self, key: K, work: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let cell = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        cell.get_or_try_init(|| work).await.cloned()
    }

    /// Whether the work was done.
    fn has(&self, key: &K) -> bool {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.get(key).is_some_and(|cell| cell.initialized())
    }
}

/// Engines that were asked what they are.
#[derive(Default)]
pub struct Gathered {
    /// Those that build for the platform.
    pub suited: Vec<Suited>,
    /// Why others can't be used now.
    pub unusable: Vec<EngineError>,
}

/// An engine that builds for the platform that was asked for.
pub struct Suited {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// How many processors it has.
    pub processors: usize,
}

/// Asks those of the candidates that may build for a platform. An engine for which no architecture was named builds for
/// its own, and by emulation for another one when no engine is there for it.
pub async fn gather(candidates: Vec<Candidate>, platform: Platform) -> Gathered {
    let named = |candidate: &Candidate| candidate.arch.is_none_or(|arch| arch == platform.arch);
    let candidates: Vec<Candidate> = candidates.into_iter().filter(named).collect();
    let asked = join_all(candidates.iter().map(async |candidate| {
        let facts = candidate.engine.facts().await?;
        Ok((Arch::parse(&facts.architecture), candidate.engine.processors().await?))
    }))
    .await;
    let (mut gathered, mut emulators) = (Gathered::default(), Vec::new());
    for (Candidate { engine, arch }, answer) in candidates.into_iter().zip(asked) {
        match answer {
            Ok((own_arch, processors)) => {
                let native = arch.or(own_arch) == Some(platform.arch);
                let group = if native { &mut gathered.suited } else { &mut emulators };
                group.push(Suited { engine, processors });
            }
            Err(error) => gathered.unusable.push(error),
        }
    }
    if gathered.suited.is_empty() {
        gathered.suited = emulators;
    }
    gathered
}

impl Fleet {
    /// These engines as one.
    pub fn new(engines: Vec<Suited>) -> Fleet {
        let endpoints: Vec<&str> = engines.iter().map(|suited| suited.engine.endpoint()).collect();
        Fleet {
            endpoint: endpoints.join(", "),
            members: engines.into_iter().map(Member::new).collect(),
            published: Once::new(),
        }
    }

    fn live(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.lost.load(Ordering::Relaxed))
    }

    /// The live engine with the least to do for its size, rather one that need not be brought the parent.
    fn choose(&self, parent: Option<&BuiltOn>) -> Option<(&Member, Busy<'_>)> {
        let lacks_parent = |member: &Member| !parent.is_some_and(|parent| member.brought.has(&parent.key()));
        let load = |member: &Member| member.running.load(Ordering::Relaxed) as f64 / member.processors as f64;
        let member = self
            .live()
            .min_by(|a, b| load(a).total_cmp(&load(b)).then_with(|| lacks_parent(a).cmp(&lacks_parent(b))))?;
        member.running.fetch_add(1, Ordering::Relaxed);
        Some((member, Busy(member)))
    }

    /// Asks every live engine; one that can't be reached any more is lost, and its answer is left out.
    ///
    /// # Errors
    /// None of them could be reached.
    async fn ask_all<'a, T>(
        &'a self,
        question: impl Fn(&'a dyn Engine) -> BoxFuture<'a, Result<T, EngineError>>,
    ) -> Result<Vec<(&'a Member, T)>, EngineError> {
        let members: Vec<&Member> = self.live().collect();
        let answers = join_all(members.iter().map(|member| question(member.engine.as_ref()))).await;
        let (mut given, mut last_error) = (Vec::new(), None);
        for (member, answer) in members.into_iter().zip(answers) {
            match answer {
                Ok(answer) => given.push((member, answer)),
                Err(error) if member.answers().await => return Err(error),
                Err(error) => last_error = Some(error),
            }
        }
        match last_error {
            Some(error) if given.is_empty() => Err(error),
            None if given.is_empty() => Err(self.all_lost()),
            _ => Ok(given),
        }
    }

    fn all_lost(&self) -> EngineError {
        EngineError::Unreachable {
            endpoint: self.endpoint.clone(),
            reason: "none of these engines answers any more".to_string(),
        }
    }

    /// Who holds an image of this id under this reference.
    async fn holder<'a>(
        &'a self,
        reference: &'a str,
        id: &str,
    ) -> Result<Option<(&'a Member, ImageFacts)>, EngineError> {
        let answers = self.ask_all(|engine| engine.inspect(reference)).await?;
        Ok(answers
            .into_iter()
            .filter_map(|(member, image)| Some((member, image?)))
            .find(|(_, image)| image.id == id))
    }

    /// Sees to it that the registry has an image; gives the manifest's digest.
    async fn publish(
        &self,
        reference: &str,
        id: &str,
        output: OutputSink<'_>,
    ) -> Result<Option<String>, EngineError> {
        self.published
            .get((reference.to_string(), id.to_string()), async {
                match self.holder(reference, id).await? {
                    Some((member, _)) => member.engine.push(reference, output).await,
                    None => Err(EngineError::Push(format!("no engine holds {reference} ({id})"))),
                }
            })
            .await
    }

    /// The digest by which the registry of a parent gives it.
    async fn digest_for(
        &self,
        parent: &BuiltOn,
        output: OutputSink<'_>,
    ) -> Result<Option<String>, EngineError> {
        let BuiltOn { reference, id, ours } = parent;
        if *ours && self.published.has(&parent.key()) {
            return self.publish(reference, id, output).await;
        }
        match self.holder(reference, id).await? {
            Some(_) if *ours => self.publish(reference, id, output).await,
            Some((_, image)) => Ok(digest_of(reference, &image.repo_digests)),
            None => Ok(None),
        }
    }

    /// Sees to it that an engine holds what is built on.
    async fn bring(
        &self,
        member: &Member,
        parent: &BuiltOn,
        platform: Platform,
        output: OutputSink<'_>,
    ) -> Result<(), EngineError> {
        member
            .brought
            .get(parent.key(), async {
                let BuiltOn { reference, id, .. } = parent;
                let engine = member.engine.as_ref();
                if engine.inspect(reference).await?.is_some_and(|image| &image.id == id) {
                    return Ok(());
                }
                if engine.inspect(id).await?.is_some() {
                    return engine.tag(id, reference).await;
                }
                let digest = self.digest_for(parent, output).await?;
                if let Some(exact) = digest.and_then(|digest| at_digest(reference, digest)) {
                    engine.pull(&exact, platform, output).await?;
                    return engine.tag(&exact, reference).await;
                }
                let pulled = engine.pull(reference, platform, output).await?;
                if &pulled.id != id {
                    let reason = format!(
                        "{} can't be brought {reference} {id}: the registry gives {} under this name",
                        engine.endpoint(),
                        pulled.id
                    );
                    return Err(EngineError::Pull(reason));
                }
                Ok(())
            })
            .await
    }

    async fn build_somewhere(
        &self,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        loop {
            let Some((member, _busy)) = self.choose(request.parent.as_ref()) else {
                // Those that were lost may be back, for the next try.
                join_all(self.members.iter().map(Member::answers)).await;
                return Err(self.all_lost());
            };
            output(BuildOutput::Line(format!("Building with {}", member.engine.endpoint())));
            match self.build_with(member, request, output).await {
                Err(error) if !member.answers().await => {
                    let endpoint = member.engine.endpoint();
                    output(BuildOutput::Line(format!("{endpoint} is lost, going on elsewhere: {error}")));
                }
                result => return result,
            }
        }
    }

    async fn build_with(
        &self,
        member: &Member,
        request: &BuildRequest,
        output: OutputSink<'_>,
    ) -> Result<ImageFacts, EngineError> {
        if let Some(parent) = &request.parent {
            self.bring(member, parent, request.platform, output).await?;
        }
        let image = member.engine.build(request, output).await?;
        self.published
            .get((request.tag.clone(), image.id.clone()), async {
                member.engine.push(&request.tag, output).await
            })
            .await?;
        Ok(image)
    }

    async fn push_from_holder(
        &self,
        reference: &str,
        output: OutputSink<'_>,
    ) -> Result<Option<String>, EngineError> {
        let missing = || EngineError::Push(format!("no engine holds {reference}"));
        let image = self.inspect(reference).await?.ok_or_else(missing)?;
        self.publish(reference, &image.id, output).await
    }
}

impl Member {
    fn new(suited: Suited) -> Member {
        Member {
            engine: suited.engine,
            processors: suited.processors.max(1),
            running: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            brought: Once::new(),
        }
    }

    /// Whether the engine lives; one that does not is lost, until it answers again.
    async fn answers(&self) -> bool {
        let answers = matches!(tokio::time::timeout(SIGN_OF_LIFE, self.engine.facts()).await, Ok(Ok(_)));
        self.lost.store(!answers, Ordering::Relaxed);
        answers
    }
}

impl BuiltOn {
    fn key(&self) -> (String, String) {
        (self.reference.clone(), self.id.clone())
    }
}

/// The digest that a reference's repository has among `repository@digest`s.
fn digest_of(reference: &str, repo_digests: &[String]) -> Option<String> {
    let repository = repository(reference)?;
    let digest = |exact: &String| exact.strip_prefix(&repository)?.strip_prefix('@').map(str::to_string);
    repo_digests.iter().find_map(digest)
}

fn at_digest(reference: &str, digest: String) -> Option<String> {
    Some(format!("{}@{digest}", repository(reference)?))
}

fn repository(reference: &str) -> Option<String> {
    let reference: Reference = reference.parse().ok()?;
    Some(Reference { tag: None, digest: None, ..reference }.to_string())
}

impl Engine for Fleet {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn facts(&self) -> BoxFuture<'_, Result<EngineFacts, EngineError>> {
        async {
            let facts = self.ask_all(|engine| engine.facts()).await?;
            let names: Vec<&str> = facts.iter().map(|(_, facts)| facts.name.as_str()).collect();
            let versions: Vec<&str> = facts.iter().map(|(_, facts)| facts.api_version.as_str()).collect();
            Ok(EngineFacts {
                squashes: facts.iter().all(|(_, facts)| facts.squashes),
                name: names.join(", "),
                api_version: versions.join(", "),
                architecture: facts.first().map(|(_, facts)| facts.architecture.clone()).unwrap_or_default(),
            })
        }
        .boxed()
    }

    fn processors(&self) -> BoxFuture<'_, Result<usize, EngineError>> {
        async { Ok(self.live().map(|member| member.processors).sum()) }.boxed()
    }

    /// Those of any of the engines.
    fn insecure_registries(&self) -> BoxFuture<'_, Result<Vec<String>, EngineError>> {
        async {
            let known = self.ask_all(|engine| engine.insecure_registries()).await?;
            Ok(known.into_iter().flat_map(|(_, registries)| registries).collect())
        }
        .boxed()
    }

    fn data_roots(&self) -> BoxFuture<'_, Result<Vec<PathBuf>, EngineError>> {
        async {
            let known = self.ask_all(|engine| engine.data_roots()).await?;
            Ok(known.into_iter().flat_map(|(_, roots)| roots).collect())
        }
        .boxed()
    }

    /// What the first engine that has the reference holds.
    fn inspect<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        async move { Ok(self.inspect_all(reference).await?.into_iter().next()) }.boxed()
    }

    fn inspect_all<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Vec<ImageFacts>, EngineError>> {
        async move {
            let answers = self.ask_all(|engine| engine.inspect(reference)).await?;
            Ok(answers.into_iter().filter_map(|(_, image)| image).collect())
        }
        .boxed()
    }

    /// The first engine pulls; others are brought the same image when they come to need it.
    fn pull<'a>(
        &'a self,
        reference: &'a str,
        platform: Platform,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        async move {
            let member = self.live().next().ok_or_else(|| self.all_lost())?;
            member.engine.pull(reference, platform, output).await
        }
        .boxed()
    }

    fn tag<'a>(&'a self, reference: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            for (member, image) in self.ask_all(|engine| engine.inspect(reference)).await? {
                if image.is_some() {
                    member.engine.tag(reference, name).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn build<'a>(
        &'a self,
        request: &'a BuildRequest,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        self.build_somewhere(request, output).boxed()
    }

    fn push<'a>(
        &'a self,
        reference: &'a str,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, EngineError>> {
        self.push_from_holder(reference, output).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const BASE: &str = "debian:trixie";

    /// The registry that the engines of a test share: images by `repository@digest`.
    type Registry = Arc<Mutex<BTreeMap<String, ImageFacts>>>;

    #[derive(Default)]
    struct State {
        images: BTreeMap<String, ImageFacts>,
        said: Vec<String>,
        dead: bool,
        /// The engine dies at its next build.
        fragile: bool,
    }

    struct Fake {
        name: &'static str,
        architecture: &'static str,
        registry: Registry,
        state: Mutex<State>,
    }

    impl Fake {
        fn start(name: &'static str, registry: &Registry) -> Arc<Fake> {
            let fake =
                Fake { name, architecture: "amd64", registry: registry.clone(), state: Mutex::default() };
            fake.hold(BASE, "base");
            Arc::new(fake)
        }

        fn hold(&self, reference: &str, id: &str) {
            self.state().images.insert(reference.to_string(), facts(id));
        }

        fn state(&self) -> std::sync::MutexGuard<'_, State> {
            self.state.lock().expect("not poisoned")
        }

        /// What it was asked to do, without the questions.
        fn said(&self) -> Vec<String> {
            self.state().said.clone()
        }

        fn note(&self, what: String) -> Result<(), EngineError> {
            let mut state = self.state();
            if state.dead {
                let (endpoint, reason) = (self.name.to_string(), "gone".to_string());
                return Err(EngineError::Unreachable { endpoint, reason });
            }
            state.said.push(what);
            Ok(())
        }
    }

    fn facts(id: &str) -> ImageFacts {
        ImageFacts {
            id: id.to_string(),
            architecture: "amd64".to_string(),
            variant: String::new(),
            labels: BTreeMap::new(),
            size: 1,
            layers: 1,
            repo_digests: Vec::new(),
        }
    }

    impl Engine for Fake {
        fn endpoint(&self) -> &str {
            self.name
        }

        fn facts(&self) -> BoxFuture<'_, Result<EngineFacts, EngineError>> {
            async {
                match self.state().dead {
                    true => Err(EngineError::Unreachable {
                        endpoint: self.name.to_string(),
                        reason: "gone".to_string(),
                    }),
                    false => Ok(EngineFacts {
                        squashes: false,
                        name: "Fake".to_string(),
                        api_version: "1.41".to_string(),
                        architecture: self.architecture.to_string(),
                    }),
                }
            }
            .boxed()
        }

        fn processors(&self) -> BoxFuture<'_, Result<usize, EngineError>> {
            async { Ok(2) }.boxed()
        }

        fn insecure_registries(&self) -> BoxFuture<'_, Result<Vec<String>, EngineError>> {
            async { Ok(Vec::new()) }.boxed()
        }

        fn data_roots(&self) -> BoxFuture<'_, Result<Vec<PathBuf>, EngineError>> {
            async { Ok(Vec::new()) }.boxed()
        }

        fn inspect<'a>(
            &'a self,
            reference: &'a str,
        ) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
            async move {
                self.facts().await?;
                let state = self.state();
                let by_id = || state.images.values().find(|image| image.id == reference);
                Ok(state.images.get(reference).or_else(by_id).cloned())
            }
            .boxed()
        }

        fn pull<'a>(
            &'a self,
            reference: &'a str,
            _platform: Platform,
            _output: OutputSink<'a>,
        ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
            async move {
                self.note(format!("pull {reference}"))?;
                let pulled = self.registry.lock().expect("not poisoned").get(reference).cloned();
                let image = pulled.ok_or_else(|| EngineError::Pull(format!("{reference} not found")))?;
                self.state().images.insert(reference.to_string(), image.clone());
                Ok(image)
            }
            .boxed()
        }

        fn tag<'a>(&'a self, reference: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
            async move {
                self.note(format!("tag {name}"))?;
                let image = self.inspect(reference).await?.expect("what is tagged is here");
                self.state().images.insert(name.to_string(), image);
                Ok(())
            }
            .boxed()
        }

        fn build<'a>(
            &'a self,
            request: &'a BuildRequest,
            _output: OutputSink<'a>,
        ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
            async move {
                if self.state().fragile {
                    self.state().dead = true;
                }
                self.note(format!("build {}", request.tag))?;
                tokio::time::sleep(Duration::from_millis(5)).await;
                let parent = request.parent.as_ref().expect("these images have parents");
                let held = self.inspect(&parent.reference).await?.map(|image| image.id);
                assert_eq!(held.as_ref(), Some(&parent.id), "{} builds on another parent", self.name);
                let image = facts(&format!("{} on {}", request.tag, parent.id));
                self.state().images.insert(request.tag.clone(), image.clone());
                Ok(image)
            }
            .boxed()
        }

        fn push<'a>(
            &'a self,
            reference: &'a str,
            _output: OutputSink<'a>,
        ) -> BoxFuture<'a, Result<Option<String>, EngineError>> {
            async move {
                self.note(format!("push {reference}"))?;
                let image = self.inspect(reference).await?.expect("what is pushed is here");
                let digest = format!("sha256:{:x}", image.id.len());
                let repository = repository(reference).expect("a reference");
                let mut registry = self.registry.lock().expect("not poisoned");
                registry.insert(format!("{repository}@{digest}"), image.clone());
                registry.insert(reference.to_string(), image);
                Ok(Some(digest))
            }
            .boxed()
        }
    }

    fn request(tag: &str, parent: (&str, &str)) -> BuildRequest {
        BuildRequest {
            context: Default::default(),
            mtime: 0,
            tag: tag.to_string(),
            parent: Some(BuiltOn {
                reference: parent.0.to_string(),
                id: parent.1.to_string(),
                ours: parent.0 != BASE,
            }),
            platform: platform(),
            pull: false,
            no_cache: false,
            keep: false,
            buildkit: true,
            network_mode: String::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            secrets: Default::default(),
            squash: false,
            cache_from: Vec::new(),
            inline_cache: false,
        }
    }

    fn platform() -> Platform {
        Platform::new(Arch::X86_64)
    }

    async fn fleet(members: &[&Arc<Fake>]) -> Fleet {
        let candidate =
            |member: &&Arc<Fake>| Candidate { engine: Arc::clone(member) as Arc<dyn Engine>, arch: None };
        Fleet::new(gather(members.iter().map(candidate).collect(), platform()).await.suited)
    }

    async fn build(fleet: &Fleet, tag: &str, parent: (&str, &str)) -> Result<ImageFacts, EngineError> {
        fleet.build(&request(tag, parent), &|_| {}).await
    }

    #[tokio::test]
    async fn builds_are_spread_and_parents_are_brought_once() {
        let registry = Registry::default();
        let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
        let fleet = fleet(&[&a, &b]).await;
        let base = build(&fleet, "r:5000/base:1", (BASE, "base")).await.expect("built");
        let children = ["r:5000/c1:1", "r:5000/c2:1", "r:5000/c3:1", "r:5000/c4:1"];
        let parent = ("r:5000/base:1", base.id.as_str());
        for built in join_all(children.iter().map(|child| build(&fleet, child, parent))).await {
            built.expect("built");
        }
        let builds = |fake: &Arc<Fake>| fake.said().iter().filter(|said| said.starts_with("build")).count();
        assert_eq!((builds(&a), builds(&b)), (3, 2), "{:?} {:?}", a.said(), b.said());
        let brought = |fake: &Arc<Fake>| fake.said().iter().filter(|said| said.starts_with("pull")).count();
        assert_eq!((brought(&a), brought(&b)), (0, 1));
        assert!(b.said().contains(&"tag r:5000/base:1".to_string()), "{:?}", b.said());
        // Every image is in the registry, and was sent there once.
        for reference in children.iter().chain([&"r:5000/base:1"]) {
            assert!(registry.lock().expect("not poisoned").contains_key(*reference));
            fleet.push(reference, &|_| {}).await.expect("there already");
        }
        let pushes: usize = [&a, &b]
            .iter()
            .map(|fake| fake.said().iter().filter(|said| said.starts_with("push")).count())
            .sum();
        assert_eq!(pushes, 5);
    }

    #[tokio::test]
    async fn what_a_lost_engine_was_at_is_built_by_another() {
        let registry = Registry::default();
        let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
        let fleet = fleet(&[&a, &b]).await;
        let base = build(&fleet, "r:5000/base:1", (BASE, "base")).await.expect("built");
        assert_eq!(a.said(), ["build r:5000/base:1", "push r:5000/base:1"]);
        a.state().fragile = true;
        let child = build(&fleet, "r:5000/child:1", ("r:5000/base:1", &base.id)).await.expect("built");
        build(&fleet, "r:5000/grandchild:1", ("r:5000/child:1", &child.id)).await.expect("built");
        assert_eq!(b.said().iter().filter(|said| said.starts_with("build")).count(), 2);
        // Whoever is back in time builds again.
        b.state().dead = true;
        let error = build(&fleet, "r:5000/late:1", ("r:5000/child:1", &child.id)).await.expect_err("none");
        assert!(error.to_string().contains("none of these engines answers"), "{error}");
        (a.state().dead, a.state().fragile) = (false, false);
        build(&fleet, "r:5000/late:1", ("r:5000/child:1", &child.id)).await.expect_err("not known yet");
        build(&fleet, "r:5000/late:1", ("r:5000/child:1", &child.id)).await.expect("it is back");
    }

    #[tokio::test]
    async fn an_image_of_the_same_name_and_another_content_is_no_parent() {
        let registry = Registry::default();
        let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
        a.hold("r:5000/base:1", "new");
        b.hold("r:5000/base:1", "old");
        let fleet = fleet(&[&a, &b]).await;
        let parent = ("r:5000/base:1", "new");
        let (one, two) =
            tokio::join!(build(&fleet, "r:5000/one:1", parent), build(&fleet, "r:5000/two:1", parent));
        assert_eq!(one.expect("built").id, "r:5000/one:1 on new");
        assert_eq!(two.expect("built").id, "r:5000/two:1 on new");
        assert_eq!(fleet.inspect_all("r:5000/base:1").await.expect("answers"), [facts("new"), facts("new")]);
    }

    #[tokio::test]
    async fn a_base_image_that_cannot_be_had_everywhere_is_told_with_the_engine() {
        let registry = Registry::default();
        let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
        registry.lock().expect("not poisoned").insert(BASE.to_string(), facts("newer"));
        b.state().images.clear();
        let fleet = fleet(&[&a, &b]).await;
        let (one, two) = tokio::join!(
            build(&fleet, "r:5000/one:1", (BASE, "base")),
            build(&fleet, "r:5000/two:1", (BASE, "base"))
        );
        one.expect("the first engine has it");
        let error = two.expect_err("the second one has another").to_string();
        assert_eq!(error, "b can't be brought debian:trixie base: the registry gives newer under this name");
    }

    #[tokio::test]
    async fn engines_of_other_architectures_stay_out() {
        let registry = Registry::default();
        let arm = Arc::new(Fake {
            name: "arm",
            architecture: "arm64",
            registry: registry.clone(),
            state: Mutex::default(),
        });
        let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
        b.state().dead = true;
        let candidate = |fake: &Arc<Fake>, arch| Candidate { engine: fake.clone() as Arc<dyn Engine>, arch };
        let endpoints = async |candidates| {
            let suited = gather(candidates, platform()).await.suited;
            suited.iter().map(|suited| suited.engine.endpoint().to_string()).collect::<Vec<_>>()
        };
        let all = || vec![candidate(&arm, None), candidate(&a, None), candidate(&b, None)];
        assert_eq!(endpoints(all()).await, ["a"]);
        assert_eq!(gather(all(), platform()).await.unusable.len(), 1);
        // Emulation is better than nothing, unless another architecture was named.
        assert_eq!(endpoints(vec![candidate(&arm, None)]).await, ["arm"]);
        assert_eq!(endpoints(vec![candidate(&arm, Some(Arch::Aarch64))]).await, [""; 0]);
    }
}
