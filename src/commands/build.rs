//! Building: the engine, the worker, the reporters, and what connects them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::build::image_worker::{BuildSettings, ImageWorker};
use crate::build::manifest_lists::ManifestLists;
use crate::build::prefetch::{self, Prefetcher};
use crate::build::publish::Remote;
use crate::build::up_to_date::UpToDateImages;
use crate::config::resolved::{Config, ReuseChoice};
use crate::context::workdir::WorkDir;
use crate::engine::{Engine, too_long};
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Fatal};
use crate::freshness::bases::BaseImages;
use crate::freshness::evaluator::{Evaluator, Fetching, ReuseFrom};
use crate::freshness::evidence::Reuse;
use crate::freshness::lock::{apply_lock, read_lock};
use crate::freshness::recipe::Recipes;
use crate::model::event::{Event, UnitId};
use crate::model::outcome::Outcome;
use crate::registry::Registries;
use crate::report::Reporters;
use crate::schedule::gate::Gate;
use crate::schedule::history::History;
use crate::schedule::run::{ScheduleLimits, run};
use crate::session::contexts::{TreeScope, tree_files};
use crate::session::engines::tell_engine;
use crate::session::outputs::Outputs;
use crate::session::reporters::reporters;
use crate::session::stdio::{tell, warn};
use crate::session::threads::block_on;
use crate::session::{Session, disk, kept, secrets};
use crate::smoke::gate::SmokeGate;
use crate::sources::cache::SourceCache;
use crate::util::at_once;
use crate::util::interrupt;

/// Builds what the plan says; gives the exit code.
pub fn build(mut session: Session) -> Result<u8, Fatal> {
    let settings = settings(&session)?;
    check_settings(&session, &settings)?;
    let outputs = Outputs::open(&session.config().output)?;
    block_on(build_images(&mut session, settings, outputs))
}

/// How images are built, with the secrets of the run.
fn settings(session: &Session) -> Result<BuildSettings, Fatal> {
    let (config, environment) = (session.config(), session.environment);
    let build = &config.build;
    Ok(BuildSettings {
        builder: build.builder.clone(),
        network_mode: build.network_mode.clone(),
        build_args: config.build_args(),
        proxy_args: environment.proxies.clone(),
        secrets: secrets::read(config, environment)?,
        cache: build.cache,
    })
}

/// Fails for what can be told before an engine is asked.
fn check_settings(session: &Session, settings: &BuildSettings) -> Result<(), Fatal> {
    if let Some(path) = &session.config().build.locked {
        read_lock(path)?;
    }
    match too_long(&settings.build_args) {
        Some(reason) => Err(Fatal::message(reason, EXIT_USAGE)
            .hinted("put it into a file of a build context, or hand it over with --secret")),
        None => Ok(()),
    }
}

async fn build_images(
    session: &mut Session<'_>,
    settings: BuildSettings,
    outputs: Outputs,
) -> Result<u8, Fatal> {
    let engine = session.engine().await?;
    let engine_name = check_engine(session.config(), engine.as_ref())?;
    let gate = super::smoke::gate(session).await?;
    if session.config().selection.skip_existing {
        session.skip_existing(engine.as_ref()).await?;
    }
    // What can be wrong with the input is known before anything is written.
    session.recipes()?;
    let files = tree_files(&session.prepared, TreeScope::Contexts)?;
    let (sources, several_platforms) = (session.sources()?, session.wants_several_platforms()?);
    let recipes = locked_recipes(session, &engine, &sources).await?;
    let outputs = outputs.with_logs(&session.config().output)?;
    let work_dir = match &session.config().build.work_dir {
        Some(dir) => WorkDir::keep(dir)?,
        None => WorkDir::temporary()?,
    };
    work_dir.fill(&files)?;
    let registries = registries(session, engine.as_ref()).await?;
    let evaluator = evaluator(session, &engine, &registries, &sources, several_platforms);
    warn_of_downloads(&evaluator, &recipes).await;
    let release = super::release::work(session, &engine, &registries).await?;
    let plan = &session.prepared.plan;
    let (prefetcher, wanted) = Prefetcher::new(plan, &recipes);
    let options = &session.config().build;
    let (retries, verify) = (options.retries, options.verify_push);
    let worker = ImageWorker {
        lists: lists(session),
        remote: Remote { registries, engine: engine.clone(), retries, verify },
        evaluator,
        engine,
        sources: sources.clone(),
        prefetcher,
        settings,
        recipes,
        contexts: work_dir.tree().to_path_buf(),
        records: kept::records(session.environment),
        up_to_date: UpToDateImages::default(),
        release,
    };
    let looks = worker.release.sboms.as_ref().map(|maker| maker.looks.clone()).unwrap_or_default();
    let reporters = reporters(session, engine_name, outputs)?;
    let fetching = tokio::spawn(prefetch::fetch(wanted, sources));
    let code = drive(session, worker, gate, reporters, &work_dir).await;
    // Waited for, so that it takes away what it has not finished.
    fetching.abort();
    let _ = fetching.await;
    looks.end().await;
    Ok(code)
}

/// The lists that this run completes: none when other runs build the other platforms.
fn lists(session: &Session<'_>) -> ManifestLists {
    match session.config().selection.only_platform {
        Some(_) => ManifestLists::default(),
        None => ManifestLists::of(&session.prepared.plan),
    }
}

/// The recipes, those of the lock file when the run is held to one, and the engine's base images too then.
async fn locked_recipes(
    session: &mut Session<'_>,
    engine: &Arc<dyn Engine>,
    sources: &SourceCache,
) -> Result<Recipes, Fatal> {
    let checker = session.lock_checker(engine.clone(), sources)?;
    let mut recipes = session.take_recipes()?;
    if let Some(path) = &session.config().build.locked {
        apply_lock(path, &mut recipes, &checker).await?;
    }
    Ok(recipes)
}

/// Who is asked whether images are up to date: everybody, for a build may get what it needs.
fn evaluator(
    session: &Session<'_>,
    engine: &Arc<dyn Engine>,
    registries: &Arc<Registries>,
    sources: &Arc<SourceCache>,
    several_platforms: bool,
) -> Evaluator {
    let options = &session.config().build;
    // Of a locked run they are there already, and newer ones are not wanted.
    let pull = options.pull && options.locked.is_none();
    Evaluator {
        bases: Some(BaseImages::new(engine.clone(), pull, several_platforms)),
        reuse_from: match options.reuse {
            ReuseChoice::EngineOrRegistry => {
                ReuseFrom::EngineOrRegistry(session.lookup_in(registries.clone()))
            }
            ReuseChoice::Engine => ReuseFrom::Engine,
        },
        reuse: Reuse::by_cache(options.cache),
        sources: sources.clone(),
        // The scheduler tries a unit again.
        fetching: Fetching::Allowed { retries: 0, tell_wait: |_, _| {} },
        build_args: session.config().build_args(),
    }
}

/// Makes sure that the engine can build as it is asked to; gives its name for people.
fn check_engine(config: &Config, engine: &dyn Engine) -> Result<String, Fatal> {
    let name = tell_engine(engine, "Building");
    let facts = engine.facts();
    if config.build.builder.squashes() && !facts.squashes {
        return Err(Fatal::message(format!("{} does not squash", facts.name), EXIT_USAGE)
            .hinted("Docker does it as an experimental engine: \"experimental\": true in its daemon.json"));
    }
    Ok(name)
}

/// The registries. An engine takes its time to say which it reaches without TLS: it is asked only where they are needed.
async fn registries(session: &Session<'_>, engine: &dyn Engine) -> Result<Arc<Registries>, Fatal> {
    let options = &session.config().build;
    match options.push || options.reuse == ReuseChoice::EngineOrRegistry {
        true => session.registries(engine).await,
        false => Ok(Arc::new(session.registries_alone())),
    }
}

/// Tells what ADD downloads that nobody can tell of whether it has changed.
async fn warn_of_downloads(evaluator: &Evaluator, recipes: &Recipes) {
    let mut unidentified: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let asked = stream::iter(recipes).map(async |(unit, recipe)| (unit, evaluator.downloads(recipe).await));
    let answers: Vec<_> = asked.buffer_unordered(at_once::QUESTIONS).collect().await;
    for (unit, downloads) in answers {
        for why in downloads.unidentified {
            unidentified.entry(why).or_default().push(&unit.image);
        }
    }
    for (why, mut images) in unidentified {
        images.sort_unstable();
        images.dedup();
        warn(format_args!("{why}: {} built every time; ADD --checksum says what it is", are(&images)));
    }
}

fn are(images: &[&str]) -> String {
    format!("{} {}", images.join(", "), if images.len() == 1 { "is" } else { "are" })
}

/// Runs the plan while reporters listen, until its end or until it is asked to stop.
async fn drive(
    session: &Session<'_>,
    worker: ImageWorker,
    tests: Option<SmokeGate>,
    mut reporters: Reporters,
    work_dir: &WorkDir,
) -> u8 {
    let orderly = interrupt::orderly();
    let durations_file = kept::durations_file(session.environment);
    let build = &session.config().build;
    let push_threads = build.push.then_some(build.push_threads);
    let limits = ScheduleLimits {
        threads: build.threads,
        push_threads,
        gate_threads: worker.release.comes_before_pushes().then_some(build.threads),
        retries: build.retries,
        fail_fast: build.fail_fast.then(|| build.allowed_to_fail.iter().cloned().collect()),
    };
    let (events, mut heard) = mpsc::unbounded_channel::<Event>();
    let mut durations = durations_file.as_deref().map(History::load).unwrap_or_default();
    let known = durations.clone();
    let cost = |unit: &UnitId| known.cost(unit);
    let places = disk::places(worker.engine.clone(), work_dir.tree().to_path_buf(), build.min_free_disk);
    let warnings = events.clone();
    let warn_in_run = move |text| drop(warnings.send(Event::Warning { text }));
    let watching = async { disk::watch(&places.await, disk::free, warn_in_run).await };
    let secrets = worker.settings.secrets.clone();
    let tests = tests.map(|tests| Arc::new(SmokeGate { stop: orderly.stop(), ..tests }) as Arc<dyn Gate>);
    let building = run(&session.prepared.plan, Arc::new(worker), tests, cost, limits, orderly.stop(), events);
    let running = async {
        tokio::select! {
            () = building => {}
            // It never ends.
            () = watching => {}
        }
    };
    let reporting = async {
        while let Some(event) = heard.recv().await {
            // The one way to whatever is shown or written.
            let event = event.map_texts(|text| secrets.hide(text));
            if let Event::Finished { unit, outcome: Outcome::Built { .. }, duration } = &event {
                durations.record(unit, *duration);
            }
            reporters.event(&event);
        }
        reporters.finish()
    };
    let ((), (summary, errors)) = tokio::join!(running, reporting);
    if known != durations
        && let Some(file) = &durations_file
        && let Err(error) = durations.save(file)
    {
        warn(format_args!("failed to keep durations in {}: {error}", file.display()));
    }
    for error in &errors {
        tell(format_args!("error: {error}"));
    }
    match summary.exit_code() {
        _ if orderly.is_stopped() => EXIT_INTERRUPTED,
        0 if !errors.is_empty() => EXIT_FAILED,
        code => code,
    }
}
