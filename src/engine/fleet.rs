//! Several engines that work as one: a build goes to the engine with the least to do, and images move between engines
//! through their registry.
//!
//! An image counts as built once the registry has it. So an engine that is lost takes nothing with it but the builds
//! that it was at, and those begin again elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use super::probe::UsableEngine;
use super::{
    BuildOutput, BuildRequest, BuiltOn, Engine, EngineError, EngineFacts, ImageFacts, NameOrId, OutputSink,
};
use crate::model::ids::{Digest, ImageId};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::util::once_map::OnceMap;

/// How long an engine whose build failed may take to say that it still lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Several engines that work as one.
pub struct Fleet {
    endpoint: String,
    facts: EngineFacts,
    members: Vec<Member>,
    /// The manifest's digest, when it was told, of each image that the registry was given, by reference and id.
    published: OnceMap<(Reference, ImageId), Option<Digest>>,
}

/// One of a fleet.
struct Member {
    engine: Arc<dyn Engine>,
    platforms: Vec<Platform>,
    processors: usize,
    running: AtomicUsize,
    lost: AtomicBool,
    /// Images that were brought here, by reference and id.
    brought: OnceMap<(Reference, ImageId), ()>,
}

/// A build that counts as one of a member's as long as this lives.
struct Busy<'a>(&'a Member);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fleet {
    /// These engines as one.
    pub fn new(engines: Vec<UsableEngine>) -> Fleet {
        let endpoints: Vec<&str> = engines.iter().map(|usable| usable.engine.endpoint()).collect();
        Fleet {
            endpoint: endpoints.join(", "),
            facts: joint_facts(&engines),
            members: engines.into_iter().map(Member::new).collect(),
            published: OnceMap::default(),
        }
    }

    fn live(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.lost.load(Ordering::Relaxed))
    }

    fn live_for(&self, platform: Platform) -> impl Iterator<Item = &Member> {
        self.live().filter(move |member| member.platforms.contains(&platform))
    }

    /// Of the live engines for a platform the one with the least to do for its size, rather one that need not be brought
    /// the parent.
    fn choose(&self, platform: Platform, parent: Option<&BuiltOn>) -> Option<(&Member, Busy<'_>)> {
        let lacks_parent = |member: &Member| !parent.is_some_and(|parent| member.brought.has(&parent.key()));
        let load = |member: &Member| member.running.load(Ordering::Relaxed) as f64 / member.processors as f64;
        let member = self
            .live_for(platform)
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
        reference: &'a Reference,
        id: &ImageId,
    ) -> Result<Option<(&'a Member, ImageFacts)>, EngineError> {
        let answers = self.ask_all(|engine| engine.inspect(reference.into())).await?;
        Ok(answers
            .into_iter()
            .filter_map(|(member, image)| Some((member, image?)))
            .find(|(_, image)| image.id == *id))
    }

    /// Sees to it that the registry has an image; gives the manifest's digest.
    async fn publish(
        &self,
        reference: &Reference,
        id: &ImageId,
        output: OutputSink<'_>,
    ) -> Result<Option<Digest>, EngineError> {
        self.published
            .get((reference.clone(), id.clone()), async {
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
    ) -> Result<Option<Digest>, EngineError> {
        let BuiltOn { reference, id, ours, .. } = parent;
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
        output: OutputSink<'_>,
    ) -> Result<(), EngineError> {
        member
            .brought
            .get(parent.key(), async {
                let BuiltOn { reference, id, platform, .. } = parent;
                let engine = member.engine.as_ref();
                if engine.inspect(reference.into()).await?.is_some_and(|image| &image.id == id) {
                    return Ok(());
                }
                if engine.inspect(id.into()).await?.is_some() {
                    return engine.tag(id.into(), reference).await;
                }
                let digest = self.digest_for(parent, output).await?;
                if let Some(exact) = digest.map(|digest| reference.at(&digest)) {
                    engine.pull(&exact, *platform, output).await?;
                    return engine.tag((&exact).into(), reference).await;
                }
                let pulled = engine.pull(reference, *platform, output).await?;
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
            let Some((member, _busy)) = self.choose(request.platform, request.parents.first()) else {
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
        for parent in &request.parents {
            self.bring(member, parent, output).await?;
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
        reference: &Reference,
        output: OutputSink<'_>,
    ) -> Result<Option<Digest>, EngineError> {
        let missing = || EngineError::Push(format!("no engine holds {reference}"));
        let image = self.inspect(reference.into()).await?.ok_or_else(missing)?;
        self.publish(reference, &image.id, output).await
    }
}

impl Member {
    fn new(usable: UsableEngine) -> Member {
        Member {
            engine: usable.engine,
            platforms: usable.platforms,
            processors: usable.processors.max(1),
            running: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            brought: OnceMap::default(),
        }
    }

    /// True when the engine lives; one that does not is lost, until it answers again.
    async fn answers(&self) -> bool {
        let answers = matches!(tokio::time::timeout(SIGN_OF_LIFE, self.engine.ping()).await, Ok(Ok(())));
        self.lost.store(!answers, Ordering::Relaxed);
        answers
    }
}

impl BuiltOn {
    fn key(&self) -> (Reference, ImageId) {
        (self.reference.clone(), self.id.clone())
    }
}

/// Facts about engines that work as one.
fn joint_facts(engines: &[UsableEngine]) -> EngineFacts {
    let facts: Vec<&EngineFacts> = engines.iter().map(|usable| usable.engine.facts()).collect();
    let names: Vec<&str> = facts.iter().map(|facts| facts.name.as_str()).collect();
    let versions: Vec<&str> = facts.iter().map(|facts| facts.api_version.as_str()).collect();
    EngineFacts {
        squashes: facts.iter().all(|facts| facts.squashes),
        name: names.join(", "),
        api_version: versions.join(", "),
        architecture: facts.first().and_then(|facts| facts.architecture),
    }
}

/// The digest that a reference's repository has among `repository@digest`s.
fn digest_of(reference: &Reference, repo_digests: &[Reference]) -> Option<Digest> {
    let repository = reference.bare();
    repo_digests.iter().find(|exact| exact.bare() == repository)?.digest.as_deref()?.parse().ok()
}

impl Engine for Fleet {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async { self.ask_all(|engine| engine.ping()).await.map(drop) }.boxed()
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

    /// The image of the first engine that has the reference.
    fn inspect<'a>(&'a self, image: NameOrId<'a>) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        async move {
            let answers = self.ask_all(|engine| engine.inspect(image)).await?;
            Ok(answers.into_iter().find_map(|(_, held)| held))
        }
        .boxed()
    }

    fn inspect_all<'a>(
        &'a self,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Result<Vec<ImageFacts>, EngineError>> {
        async move {
            let answers = self.ask_all(|engine| engine.inspect(reference.into())).await?;
            Ok(answers.into_iter().filter_map(|(_, image)| image).collect())
        }
        .boxed()
    }

    fn inspect_for<'a>(
        &'a self,
        reference: &'a Reference,
        platform: Platform,
    ) -> BoxFuture<'a, Result<Option<ImageFacts>, EngineError>> {
        async move {
            let answers = self.ask_all(|engine| engine.inspect_for(reference, platform)).await?;
            Ok(answers.into_iter().find_map(|(_, image)| image))
        }
        .boxed()
    }

    /// The first engine for the platform pulls; others are brought the same image when they come to need it.
    fn pull<'a>(
        &'a self,
        reference: &'a Reference,
        platform: Platform,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<ImageFacts, EngineError>> {
        async move {
            let member = self.live_for(platform).next().ok_or_else(|| self.all_lost())?;
            member.engine.pull(reference, platform, output).await
        }
        .boxed()
    }

    fn tag<'a>(&'a self, image: NameOrId<'a>, name: &'a Reference) -> BoxFuture<'a, Result<(), EngineError>> {
        async move {
            for (member, held) in self.ask_all(|engine| engine.inspect(image)).await? {
                if held.is_some() {
                    member.engine.tag(image, name).await?;
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
        reference: &'a Reference,
        output: OutputSink<'a>,
    ) -> BoxFuture<'a, Result<Option<Digest>, EngineError>> {
        self.push_from_holder(reference, output).boxed()
    }
}

#[cfg(test)]
mod tests;
