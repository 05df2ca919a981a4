//! Building: the engine, the worker, the reporters, and what connects them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::write_lock;
use crate::build::image_worker::ImageWorker;
use crate::build::manifest_lists::Lists;
use crate::build::prefetch::{self, Ahead};
use crate::build::publish::Remote;
use crate::build::up_to_date::Memory;
use crate::config::secrets::hidden;
use crate::config::settings;
use crate::context::workdir::WorkDir;
use crate::engine::too_long;
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Fatal};
use crate::freshness::bases::BaseImages;
use crate::freshness::inquiry::Inquiry;
use crate::freshness::lookup::Lookup;
use crate::freshness::recipe::Recipe;
use crate::model::event::{Event, Outcome, UnitId};
use crate::model::secret::Secrets;
use crate::report::Reporters;
use crate::schedule::history::History;
use crate::schedule::run::{Limits, run};
use crate::session::contexts::{Scope, tree_files};
use crate::session::engines::{engine, greet, proxy_urls};
use crate::session::kept::source_cache;
use crate::session::outputs::Outputs;
use crate::session::prepare::Prepared;
use crate::session::recipes::{build_settings, recipes, skip_existing, wants_several_platforms};
use crate::session::registries;
use crate::session::reporters::reporters;
use crate::session::stdio::{tell, tell_pause};
use crate::session::threads::runtime;
use crate::session::{disk, kept, stdio};
use crate::util::at_once;
use crate::util::interrupt::{self, Orderly};

/// Builds what the plan says; gives the exit code.
pub fn build(mut prepared: Prepared, env: &BTreeMap<String, String>) -> Result<u8, Fatal> {
    let mut settings = build_settings(&prepared, env);
    let configured = proxy_urls(&prepared.config, env)?;
    let proxies = settings.proxy_args.values().chain(&configured).flat_map(|url| hidden("proxy", url));
    let others = proxies.chain(settings::hidden(prepared.config.layers()));
    settings.secrets = Secrets::read(&prepared.config.build.secrets, env, others)
        .map_err(|error| Fatal::new(&error, EXIT_USAGE))?;
    stdio::hide(&settings.secrets);
    if let Some(path) = &prepared.config.build.locked {
        // What can't be read is told before an engine is asked.
        write_lock::read(path)?;
    }
    if let Some(reason) = too_long(&settings.build_args) {
        return Err(Fatal::message(reason, EXIT_USAGE)
            .hinted("put it into a file of a build context, or hand it over with --secret"));
    }
    let outputs = Outputs::open(&prepared.config.output)?;
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let engine = engine(&prepared.config, env).await?;
        let (engine_name, facts) = greet(&prepared.config, engine.as_ref(), "Building").await?;
        if prepared.config.build.squash && !facts.squashes {
            return Err(Fatal::message(format!("{} does not squash", facts.name), EXIT_USAGE).hinted(
                "Docker does it as an experimental engine: \"experimental\": true in its daemon.json",
            ));
        }
        if prepared.config.selection.skip_existing {
            skip_existing(&mut prepared.plan, engine.as_ref()).await?;
        }
        // What can be wrong with the input is known before anything is written.
        let mut recipes = recipes(&prepared, env)?;
        let files = tree_files(&prepared, Scope::Contexts)?;
        let sources = Arc::new(source_cache(&prepared, env, recipes.values())?);
        let options = &prepared.config.build;
        let several_platforms = wants_several_platforms(&prepared, &recipes);
        if let Some(path) = &options.locked {
            let supply = write_lock::Supply {
                engine: engine.clone(),
                sources: &sources,
                retries: options.retries,
                several_platforms,
            };
            write_lock::hold(path, &mut recipes, &supply).await?;
        }
        let outputs = outputs.with_logs(&prepared.config.output)?;
        let work_dir = match &prepared.config.build.work_dir {
            Some(dir) => WorkDir::keep(dir)?,
            None => WorkDir::temporary()?,
        };
        work_dir.fill(&files)?;
        for recipe in recipes.values_mut() {
            recipe.context = work_dir.tree().join(&recipe.context);
        }
        let (ahead, wanted) = Ahead::new(&prepared.plan, &recipes);
        // It takes an engine time to say, which a run that leaves registries alone need not wait for.
        let insecure = if options.push || options.reuse_registry {
            engine.insecure_registries().await.map_err(|error| Fatal::new(&error, EXIT_FAILED))?
        } else {
            Vec::new()
        };
        let registries = Arc::new(registries::registries(&prepared, env, insecure)?);
        let retries = options.retries;
        let inquiry = Inquiry {
            engine: Some(engine.clone()),
            // Of a locked run they are there already, and newer ones are not wanted.
            bases: Some(BaseImages::new(
                engine.clone(),
                options.pull && options.locked.is_none(),
                several_platforms,
            )),
            sources: sources.clone(),
            registry: options.reuse_registry.then(|| Lookup {
                registries: registries.clone(),
                retries,
                waits: |error, pause| tell_pause(&error, pause),
            }),
            build_args: settings.build_args.clone(),
            gets: true,
            // The scheduler tries a unit again.
            retries: 0,
            waits: |_, _| {},
        };
        warn_of_downloads(&inquiry, &recipes).await;
        let remote = Remote {
            registries: registries.clone(),
            engine: engine.clone(),
            retries: options.retries,
            verify: options.verify_push,
        };
        let worker = ImageWorker {
            lists: Lists::of(&prepared.plan),
            remote,
            inquiry,
            engine,
            sources: sources.clone(),
            ahead,
            settings,
            recipes,
            records: kept::records(env),
            memory: Memory::default(),
        };
        let reporters = reporters(&prepared, env, engine_name, outputs)?;
        let durations_file = kept::durations_file(env);
        let fetching = tokio::spawn(prefetch::fetch(wanted, sources));
        let orderly = interrupt::orderly();
        let code = drive(&prepared, worker, reporters, &orderly, &work_dir, durations_file.as_deref()).await;
        // Waited for, so that it takes away what it has not finished.
        fetching.abort();
        let _ = fetching.await;
        Ok::<u8, Fatal>(code)
    });
    // A blocked download or hash must not keep an interrupted run from ending.
    runtime.shutdown_background();
    code
}

/// Tells what ADD downloads that nobody can tell of whether it has changed.
async fn warn_of_downloads(inquiry: &Inquiry, recipes: &HashMap<UnitId, Recipe>) {
    let mut untold: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let asked = stream::iter(recipes).map(async |(unit, recipe)| (unit, inquiry.downloads(recipe).await.1));
    let answers: Vec<_> = asked.buffer_unordered(at_once::QUESTIONS).collect().await;
    for (unit, whys) in answers {
        for why in whys {
            untold.entry(why).or_default().push(&unit.image);
        }
    }
    for (why, mut images) in untold {
        images.sort_unstable();
        images.dedup();
        tell(&format!("warning: {why}: {} built every time; ADD --checksum says what it is", are(&images)));
    }
}

fn are(images: &[&str]) -> String {
    format!("{} {}", images.join(", "), if images.len() == 1 { "is" } else { "are" })
}

/// Runs the plan while reporters listen, until its end or until it is asked to stop.
async fn drive(
    prepared: &Prepared,
    worker: ImageWorker,
    mut reporters: Reporters,
    orderly: &Orderly,
    work_dir: &WorkDir,
    durations_file: Option<&Path>,
) -> u8 {
    let build = &prepared.config.build;
    let push_threads = build.push.then_some(build.push_threads);
    let limits = Limits {
        threads: build.threads,
        push_threads,
        retries: build.retries,
        fail_fast: build.fail_fast.then(|| build.allowed_to_fail.iter().cloned().collect()),
    };
    let (events, mut heard) = mpsc::unbounded_channel::<Event>();
    let mut durations = durations_file.map(History::load).unwrap_or_default();
    let known = durations.clone();
    let cost = |unit: &UnitId| known.cost(unit);
    let places = disk::places(worker.engine.clone(), work_dir.tree().to_path_buf(), build.min_free_disk);
    let warnings = events.clone();
    let warn = move |text| drop(warnings.send(Event::Warning { text }));
    let watching = async { disk::watch(&places.await, disk::free, warn).await };
    let secrets = worker.settings.secrets.clone();
    let building = run(&prepared.plan, Arc::new(worker), cost, limits, orderly.stop(), events);
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
        && let Some(file) = durations_file
        && let Err(error) = durations.save(file)
    {
        tell(&format!("warning: failed to keep durations in {}: {error}", file.display()));
    }
    for error in &errors {
        tell(&format!("error: {error}"));
    }
    match summary.exit_code() {
        _ if orderly.is_stopped() => EXIT_INTERRUPTED,
        0 if !errors.is_empty() => EXIT_FAILED,
        code => code,
    }
}
