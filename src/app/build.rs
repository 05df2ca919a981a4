//! Building: the engine, the worker, the reporters, and what connects them.

use std::collections::{BTreeMap, HashMap};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::engines::{engine, greet, proxy_urls};
use super::kept::source_cache;
use super::outputs::Outputs;
use super::prepare::Prepared;
use super::registry;
use super::threads::runtime;
use super::write::{Scope, platform_dir, tree_files};
use super::{disk, kept, lock};
use super::{tell, tell_pause};
use crate::config::secrets::hidden;
use crate::config::settings;
use crate::config::source::Source;
use crate::context::workdir::WorkDir;
use crate::dockerfile::named::{self, Given, Named, NamedImage, WantedFor};
use crate::engine::{Engine, too_long};
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Fatal};
use crate::event::{Event, Outcome, UnitId};
use crate::freshness::bases::BaseImages;
use crate::freshness::inquiry::Inquiry;
use crate::freshness::lookup::Lookup;
use crate::freshness::recipe::{BuiltFrom, Recipe};
use crate::interrupt::{self, Orderly};
use crate::labels;
use crate::plan::{BuildPlan, Disposition, Parent, PlannedUnit};
use crate::platform::Platform;
use crate::report::console::{Console, ConsoleOptions};
use crate::report::files::{Format, ReportFiles, RunFacts};
use crate::report::progress::Progress;
use crate::report::summary::{Summary, SummaryOptions};
use crate::report::{ConsoleKind, Reporter, Reporters, Surroundings, console_kind};
use crate::schedule::ahead::{self, Ahead};
use crate::schedule::history::History;
use crate::schedule::image::{BuildSettings, ImageWorker};
use crate::schedule::lists::Lists;
use crate::schedule::memory::Memory;
use crate::schedule::remote::Remote;
use crate::schedule::run::{Limits, run};
use crate::secret::{SecretSpec, Secrets};
use crate::template::catalog::TEMPLATE_NAME;
use crate::template::render::RenderedDockerfile;

/// Proxy variables of the environment that builds get as arguments.
const PROXY_VARIABLES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Builds what the plan says; gives the exit code.
pub fn build(mut prepared: Prepared, env: &BTreeMap<String, String>) -> Result<u8, Fatal> {
    let mut settings = build_settings(&prepared, env);
    let configured = proxy_urls(&prepared.config, env)?;
    let proxies = settings.proxy_args.values().chain(&configured).flat_map(|url| hidden("proxy", url));
    let others = proxies.chain(settings::hidden(prepared.config.layers()));
    settings.secrets = Secrets::read(&prepared.config.build.secrets, env, others)
        .map_err(|error| Fatal::new(&error, EXIT_USAGE))?;
    if let Some(path) = &prepared.config.build.locked {
        // What can't be read is told before an engine is asked.
        lock::read(path)?;
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
            let supply = lock::Supply {
                engine: engine.clone(),
                sources: &sources,
                retries: options.retries,
                several_platforms,
            };
            lock::hold(path, &mut recipes, &supply).await?;
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
        let registries = Arc::new(registry::registries(&prepared, env, insecure)?);
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
        let fetching = tokio::spawn(ahead::fetch(wanted, sources));
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

/// Whether base images are wanted for several platforms, so that a name of one does not stand for one image.
pub(super) fn wants_several_platforms(prepared: &Prepared, recipes: &HashMap<UnitId, Recipe>) -> bool {
    let mut from = recipes.values().flat_map(|recipe| &recipe.parents);
    prepared.config.has_several_platforms() || from.any(|from| from.platform != WantedFor::Target)
}

/// Tells what ADD downloads that nobody can tell of whether it has changed.
async fn warn_of_downloads(inquiry: &Inquiry, recipes: &HashMap<UnitId, Recipe>) {
    let mut untold: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let asked = stream::iter(recipes).map(async |(unit, recipe)| (unit, inquiry.downloads(recipe).await.1));
    let answers: Vec<_> = asked.buffer_unordered(8).collect().await;
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

/// Leaves out what the engine has under the name it would get, whatever is in it.
pub(super) async fn skip_existing(plan: &mut BuildPlan, engine: &dyn Engine) -> Result<(), Fatal> {
    for unit in plan.units.iter_mut().filter(|unit| unit.disposition == Disposition::Build) {
        let held = engine.inspect(&unit.reference).await.map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
        if held.is_some() {
            unit.disposition = Disposition::Skipped;
            unit.reason = "skip_existing, and the engine has it".to_string();
        }
    }
    Ok(())
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

fn reporters(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
    engine: String,
    outputs: Outputs,
) -> Result<Reporters, Fatal> {
    let config = &prepared.config;
    let output = &config.output;
    let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    let surroundings = Surroundings {
        terminal: std::io::stderr().is_terminal() && env.get("TERM").is_none_or(|term| term != "dumb"),
        ci: is_set("CI"),
        no_color: is_set("NO_COLOR"),
        quiet: output.quiet,
        debug: output.debug,
    };
    let (quiet, debug, summary) = (output.quiet, output.debug, output.summary);
    let mut reporters: Vec<Box<dyn Reporter>> = vec![match console_kind(surroundings) {
        ConsoleKind::Live => Box::new(Progress::stderr(summary)),
        ConsoleKind::Plain => Box::new(Console::stderr(ConsoleOptions { quiet, debug, summary })),
    }];
    reporters.extend(outputs.logs.map(|logs| Box::new(logs) as Box<dyn Reporter>));
    reporters.extend(outputs.summary.map(|summary| Box::new(summary) as Box<dyn Reporter>));
    let (digests, mut files): (Vec<_>, Vec<_>) = outputs
        .files
        .into_iter()
        .partition(|(format, _)| matches!(format, Format::Digests | Format::AnsibleDigests));
    if config.build.push {
        files.extend(digests);
    } else {
        for (_, destination) in digests {
            let path = destination.path().display();
            tell(&format!("warning: {path} is not written, for nothing is pushed: --push is needed"));
        }
    }
    if !files.is_empty() {
        let facts = RunFacts { engine, configuration: settings::settings(config.layers())? };
        reporters.push(Box::new(ReportFiles::new(&prepared.plan, facts, files)));
    }
    let options = SummaryOptions { allowed_to_fail: config.build.allowed_to_fail.clone() };
    Ok(Reporters::new(Summary::new(&prepared.plan, &options), reporters))
}

pub(super) fn build_settings(prepared: &Prepared, env: &BTreeMap<String, String>) -> BuildSettings {
    let build = &prepared.config.build;
    let proxies = PROXY_VARIABLES.iter().filter_map(|name| Some((name.to_string(), env.get(*name)?.clone())));
    BuildSettings {
        buildkit: build.buildkit,
        network_mode: build.network_mode.clone(),
        build_args: prepared.config.build_args(),
        proxy_args: proxies.collect(),
        secrets: Secrets::default(),
        squash: build.squash,
        cache_from: build.cache_from.clone(),
        inline_cache: build.inline_cache,
        cache: build.cache,
        keep: build.keep,
    }
}

/// What to build, with contexts relative to the tree that they will be in.
pub(super) fn recipes(
    prepared: &Prepared,
    env: &BTreeMap<String, String>,
) -> Result<HashMap<UnitId, Recipe>, Fatal> {
    let config = &prepared.config;
    let epoch = labels::source_date_epoch(env.get("SOURCE_DATE_EPOCH").map(String::as_str))
        .map_err(|error| Fatal::message(error, EXIT_USAGE))?;
    let mtime = epoch.map_or(0, |epoch| epoch.as_second().unsigned_abs());
    let created = epoch.unwrap_or_else(Timestamp::now);
    let run_flags: Arc<[String]> = config.build.secrets.iter().map(SecretSpec::mount).collect();
    let args = config.build_args();
    let mut recipes = HashMap::new();
    for (platform, rendered) in &prepared.rendered {
        let files: HashMap<&str, &RenderedDockerfile> =
            rendered.iter().map(|file| (file.image.as_str(), file)).collect();
        let below = platform_dir(prepared, *platform);
        for unit in prepared.plan.to_build().filter(|unit| unit.platform == *platform) {
            let Some(file) = files.get(unit.image.as_str()) else { continue };
            let named = named::read(&file.text, Given { args: &args, target: *platform });
            if unit.parent == Parent::Base(String::new()) {
                return Err(without_from(file));
            }
            let recipe = Recipe {
                context: below.join(&file.dir),
                mtime,
                parents: built_from(prepared, unit, &named),
                downloads: named.downloads,
                source: source(prepared, &unit.image, *platform)?,
                plugins: extras(prepared, &unit.image, "plugin", *platform)?,
                additions: extras(prepared, &unit.image, "additions", *platform)?,
                labels: labels::image_labels(
                    &unit.image,
                    config.names.tag.as_str(),
                    &config.maintainer,
                    created,
                ),
                run_flags: run_flags.clone(),
            };
            recipes.insert(unit.id(), recipe);
        }
    }
    Ok(recipes)
}

/// The source of a section, which is there when it is on this machine.
fn source(prepared: &Prepared, section: &str, platform: Platform) -> Result<Option<Source>, Fatal> {
    let source = prepared.config.source(section, platform)?;
    if let Some(source) = &source {
        prepared.config.require_local(source)?;
    }
    Ok(source)
}

/// The images that a unit's Dockerfile names, each once for a platform.
fn built_from(prepared: &Prepared, unit: &PlannedUnit, named: &Named) -> Vec<BuiltFrom> {
    let ours: HashMap<String, &Parent> = unit
        .parents()
        .filter_map(|parent| Some((prepared.config.image_reference(parent.image()?, unit.platform), parent)))
        .collect();
    let mut all: Vec<BuiltFrom> = Vec::new();
    for NamedImage { reference, platform, .. } in &named.images {
        let from = match ours.get(reference) {
            // Of those there is one for each platform that is built for.
            Some(image) => {
                let platform = WantedFor::Target;
                BuiltFrom { image: (*image).clone(), reference: reference.clone(), platform }
            }
            None => BuiltFrom {
                image: Parent::Base(reference.clone()),
                reference: reference.clone(),
                platform: *platform,
            },
        };
        if !all.contains(&from) {
            all.push(from);
        }
    }
    all
}

fn without_from(file: &RenderedDockerfile) -> Fatal {
    let message = format!(
        "{}/{TEMPLATE_NAME} renders a Dockerfile without FROM, so {} is built on nothing",
        file.dir, file.image
    );
    Fatal::message(message, EXIT_USAGE).hinted(format!(
        "begin it with FROM {{{{ namespace }}}}/{{{{ image_prefix }}}}base:{{{{ tag }}}}; --template-only shows what {} renders to",
        file.image
    ))
}

fn extras(prepared: &Prepared, image: &str, kind: &str, platform: Platform) -> Result<Vec<Source>, Fatal> {
    let mut sources = Vec::new();
    for section in prepared.config.extra_sections(image, kind) {
        sources.extend(source(prepared, &section, platform)?);
    }
    Ok(sources)
}
