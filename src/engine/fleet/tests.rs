use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::engine::probe::{EngineCandidate, probe};
use crate::engine::testing;
use crate::model::platform::Arch;
use crate::testing::named;

const BASE: &str = "debian:trixie";

/// The registry that the engines of a test share: images by `repository@digest`.
type Registry = Arc<Mutex<BTreeMap<Reference, ImageFacts>>>;

#[derive(Default)]
struct State {
    images: BTreeMap<Reference, ImageFacts>,
    said: Vec<String>,
    dead: bool,
    /// The engine dies at its next build.
    fragile: bool,
}

struct Fake {
    name: &'static str,
    facts: EngineFacts,
    registry: Registry,
    state: Mutex<State>,
}

impl Fake {
    fn start(name: &'static str, registry: &Registry) -> Arc<Fake> {
        let fake = Fake::new(name, Arch::X86_64, registry);
        fake.hold(BASE, "base");
        fake
    }

    fn new(name: &'static str, arch: Arch, registry: &Registry) -> Arc<Fake> {
        let facts = EngineFacts {
            squashes: false,
            name: "Fake".to_string(),
            api_version: "1.41".to_string(),
            architecture: Some(arch),
        };
        Arc::new(Fake { name, facts, registry: registry.clone(), state: Mutex::default() })
    }

    /// The engine as a candidate, which is reached if it lives.
    fn candidate(self: &Arc<Fake>, arch: Option<Arch>) -> EngineCandidate {
        let fake = self.clone();
        let connecting = async move { fake.ping().await.map(|()| fake as Arc<dyn Engine>) };
        EngineCandidate { engine: connecting.boxed(), arch }
    }

    fn gone(&self) -> EngineError {
        EngineError::Unreachable { endpoint: self.name.to_string(), reason: "gone".to_string() }
    }

    fn hold(&self, reference: &str, id: &str) {
        self.state().images.insert(named(reference), facts(id));
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
            return Err(self.gone());
        }
        state.said.push(what);
        Ok(())
    }
}

fn facts(id: &str) -> ImageFacts {
    ImageFacts {
        id: id.into(),
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

    fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async {
            match self.state().dead {
                true => Err(self.gone()),
                false => Ok(()),
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

    fn inspect<'a>(&'a self, image: NameOrId<'a>) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        async move {
            self.ping().await?;
            let state = self.state();
            let held = match image {
                NameOrId::Reference(reference) => state.images.get(reference),
                NameOrId::Id(id) => state.images.values().find(|image| image.id == *id),
            };
            Ok(held.cloned())
        }
        .boxed()
    }

    fn pull<'a>(
        &'a self,
        reference: &'a Reference,
        _platform: Platform,
        _output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        async move {
            self.note(format!("pull {reference}"))?;
            let pulled = self.registry.lock().expect("not poisoned").get(reference).cloned();
            let image = pulled.ok_or_else(|| EngineError::Pull(format!("{reference} not found")))?;
            self.state().images.insert(reference.clone(), image.clone());
            Ok(image)
        }
        .boxed()
    }

    fn tag<'a>(&'a self, image: NameOrId<'a>, name: &'a Reference) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            self.note(format!("tag {name}"))?;
            let image = self.inspect(image).await?.expect("what is tagged is here");
            self.state().images.insert(name.clone(), image);
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
            let parent = request.parents.first().expect("these images have parents");
            for parent in &request.parents {
                let held = self.inspect((&parent.reference).into()).await?.map(|image| image.id);
                assert_eq!(held.as_ref(), Some(&parent.id), "{} builds on another parent", self.name);
            }
            let image = facts(&format!("{} on {}", request.tag, parent.id));
            self.state().images.insert(request.tag.clone(), image.clone());
            Ok(image)
        }
        .boxed()
    }

    fn push<'a>(
        &'a self,
        reference: &'a Reference,
        _output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<Option<Digest>, EngineError>> {
        async move {
            self.note(format!("push {reference}"))?;
            let image = self.inspect(reference.into()).await?.expect("what is pushed is here");
            let digest = Digest::of(image.id.as_str().as_bytes());
            let mut registry = self.registry.lock().expect("not poisoned");
            registry.insert(reference.at(&digest), image.clone());
            registry.insert(reference.clone(), image);
            Ok(Some(digest))
        }
        .boxed()
    }
}

fn request(tag: &str, parent: (&str, &str)) -> BuildRequest {
    BuildRequest {
        parents: vec![BuiltOn {
            reference: named(parent.0),
            platform: platform(),
            id: parent.1.into(),
            ours: parent.0 != BASE,
            alias: None,
        }],
        ..testing::request(tag, platform())
    }
}

fn platform() -> Platform {
    Platform::new(Arch::X86_64)
}

async fn fleet(members: &[&Arc<Fake>]) -> Fleet {
    let candidates = members.iter().map(|member| member.candidate(None)).collect();
    Fleet::new(probe(candidates, &[platform()]).await.usable)
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
        assert!(registry.lock().expect("not poisoned").contains_key(&named(reference)));
        fleet.push(&named(reference), &|_| {}).await.expect("there already");
    }
    let pushes: usize =
        [&a, &b].iter().map(|fake| fake.said().iter().filter(|said| said.starts_with("push")).count()).sum();
    assert_eq!(pushes, 5);
}

#[tokio::test]
async fn everything_that_an_image_is_made_from_is_brought() {
    let registry = Registry::default();
    let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
    let fleet = fleet(&[&a, &b]).await;
    let base = build(&fleet, "r:5000/base:1", (BASE, "base")).await.expect("built");
    let tools = build(&fleet, "r:5000/tools:1", (BASE, "base")).await.expect("built");
    let copies = |tag: &str| {
        let mut copies = request(tag, ("r:5000/base:1", base.id.as_str()));
        copies.parents.extend(request(tag, ("r:5000/tools:1", tools.id.as_str())).parents);
        copies
    };
    // One for each of the engines, which assert that they have both.
    let requests = [copies("r:5000/one:1"), copies("r:5000/two:1")];
    for built in join_all(requests.iter().map(|request| fleet.build(request, &|_| {}))).await {
        built.expect("built");
    }
    assert!(b.said().contains(&"tag r:5000/tools:1".to_string()), "{:?}", b.said());
}

#[tokio::test]
async fn what_a_lost_engine_was_at_is_built_by_another() {
    let registry = Registry::default();
    let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
    let fleet = fleet(&[&a, &b]).await;
    let base = build(&fleet, "r:5000/base:1", (BASE, "base")).await.expect("built");
    assert_eq!(a.said(), ["build r:5000/base:1", "push r:5000/base:1"]);
    a.state().fragile = true;
    let child = build(&fleet, "r:5000/child:1", ("r:5000/base:1", base.id.as_str())).await.expect("built");
    build(&fleet, "r:5000/grandchild:1", ("r:5000/child:1", child.id.as_str())).await.expect("built");
    assert_eq!(b.said().iter().filter(|said| said.starts_with("build")).count(), 2);
    // Whoever is back in time builds again.
    b.state().dead = true;
    let error =
        build(&fleet, "r:5000/late:1", ("r:5000/child:1", child.id.as_str())).await.expect_err("none");
    assert!(error.to_string().contains("none of these engines answers"), "{error}");
    (a.state().dead, a.state().fragile) = (false, false);
    build(&fleet, "r:5000/late:1", ("r:5000/child:1", child.id.as_str())).await.expect_err("not known yet");
    build(&fleet, "r:5000/late:1", ("r:5000/child:1", child.id.as_str())).await.expect("it is back");
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
    assert_eq!(
        fleet.inspect_all(&named("r:5000/base:1")).await.expect("answers"),
        [facts("new"), facts("new")]
    );
}

#[tokio::test]
async fn a_base_image_that_cannot_be_had_everywhere_is_told_with_the_engine() {
    let registry = Registry::default();
    let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
    registry.lock().expect("not poisoned").insert(named(BASE), facts("newer"));
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
    let arm = Fake::new("arm", Arch::Aarch64, &registry);
    let (a, b) = (Fake::start("a", &registry), Fake::start("b", &registry));
    b.state().dead = true;
    let endpoints = async |candidates| {
        let usable = probe(candidates, &[platform()]).await.usable;
        usable.iter().map(|usable| usable.engine.endpoint().to_string()).collect::<Vec<_>>()
    };
    let all = || vec![arm.candidate(None), a.candidate(None), b.candidate(None)];
    assert_eq!(endpoints(all()).await, ["a"]);
    assert_eq!(probe(all(), &[platform()]).await.unusable.len(), 1);
    // Emulation is better than nothing, unless another architecture was named.
    assert_eq!(endpoints(vec![arm.candidate(None)]).await, ["arm"]);
    assert_eq!(endpoints(vec![arm.candidate(Some(Arch::Aarch64))]).await, [""; 0]);
    assert_eq!(probe(vec![], &[platform()]).await.missing, [platform()]);
}

#[tokio::test]
async fn each_platform_is_built_by_its_own_engines() {
    let registry = Registry::default();
    let arm = Fake::new("arm", Arch::Aarch64, &registry);
    arm.hold(BASE, "base-arm");
    let amd = Fake::start("amd", &registry);
    let both = [Arch::X86_64, Arch::Aarch64].map(Platform::new);
    let probed = probe(vec![amd.candidate(None), arm.candidate(None)], &both).await;
    assert_eq!((probed.missing.len(), probed.usable.len()), (0, 2));
    let fleet = Fleet::new(probed.usable);
    for (platform, base) in [(both[1], "base-arm"), (both[0], "base"), (both[1], "base-arm")] {
        let tag = format!("kolla/{}:1", platform.arch.kolla());
        let request = BuildRequest { platform, ..request(&tag, (BASE, base)) };
        fleet.build(&request, &|_| {}).await.expect("it builds");
    }
    let built = |fake: &Fake| fake.said().iter().filter(|said| said.starts_with("build")).count();
    assert_eq!((built(&amd), built(&arm)), (1, 2));
    // One that is alone serves both.
    assert_eq!(probe(vec![amd.candidate(None)], &both).await.usable[0].platforms, both);
}
