//! `--smoke`: the gate between builds and pushes, made ready before anything is built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::resolved::{Config, SmokeOptions};
use crate::engine::Engine;
use crate::error::{EXIT_USAGE, Fatal};
use crate::model::platform::{Arch, Platform};
use crate::run;
use crate::run::labels::StackOwner;
use crate::run::opened::{OpenedStack, StackText, masking};
use crate::run::stack::parameter_names;
use crate::session::stdio::warn;
use crate::session::{Session, engines};
use crate::smoke::files::CheckSet;
use crate::smoke::gate::{CandidateStack, SmokeGate, test_id};
use crate::smoke::{MANAGER, shipped};
use crate::util::{input, nearest};

/// A file that trees have whose images the checks inside the program know: this one, and Kolla's.
const KNOWN_FILE: &str = "base/set_configs.py";

/// Endings of files with checks.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The gate that was asked for. Whatever is wrong with checks or stacks is known before anything is built.
pub async fn gate(session: &Session<'_>) -> Result<Option<SmokeGate>, Fatal> {
    let config = session.config();
    let Some(options) = &config.build.smoke else { return Ok(None) };
    let checks = checks(session, options)?;
    let engine = engines::for_containers(config, session.environment).await?;
    let platform = Platform::new(engine.facts().architecture.unwrap_or_else(Arch::host));
    let stacks = stacks(session, options, platform)?;
    let units = session.prepared.plan.units.iter().filter(|unit| unit.platform == platform);
    // Nobody stops it until the plan is run.
    let (_, stop) = watch::channel(false);
    Ok(Some(SmokeGate {
        engine: Arc::new(engine),
        platform,
        stacks,
        checks,
        references: units.map(|unit| (unit.image.clone(), unit.reference.clone())).collect(),
        prefix: config.names.prefix.to_string(),
        variables: session.environment.variables.clone(),
        patience: options.timeout,
        threads: config.build.threads,
        stop,
    }))
}

/// The checks inside the program, for trees that they know, and those of the user's directories.
fn checks(session: &Session, options: &SmokeOptions) -> Result<CheckSet, Fatal> {
    let mut set = CheckSet::default();
    let refused = |error| Fatal::new(&error, EXIT_USAGE);
    if session.prepared.catalog.get(KNOWN_FILE).is_some() {
        set.add(shipped::FILE, "checks", shipped::CHECKS).map_err(refused)?;
    }
    for dir in &options.dirs {
        for path in files_in(dir)? {
            let text = input::read_to_string(&path)
                .map_err(|error| Fatal::of_file("read", &path, error, EXIT_USAGE))?;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            set.add(&path.display().to_string(), &stem, &text).map_err(refused)?;
        }
    }
    let names = || session.prepared.plan.units.iter().map(|unit| unit.image.as_str());
    for image in set.structure_tests().filter(|image| !names().any(|name| name == *image)) {
        let unknown = nearest::unknown_name("image", image, names());
        warn(format_args!(
            "--smoke-dir: {unknown}; a file of container-structure-test is for the image of its name"
        ));
    }
    Ok(set)
}

/// Files with checks, in the order of their names.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>, Fatal> {
    let failed = |error| Fatal::of_file("read", dir, error, EXIT_USAGE);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => {
            Err(Fatal::message(format!("--smoke-dir: there are no checks in {}", dir.display()), EXIT_USAGE)
                .hinted("files of checks end with .yaml, .yml or .json"))
        }
        false => Ok(files),
    }
}

/// The stack that was named, or those inside the program.
fn stacks(
    session: &Session,
    options: &SmokeOptions,
    platform: Platform,
) -> Result<Vec<CandidateStack>, Fatal> {
    let root = session.environment.state_dir.as_deref().ok_or_else(|| {
        Fatal::message("there is no directory for the state of stacks: HOME is not set", EXIT_USAGE)
    })?;
    let names: Vec<String> = match &options.stack {
        Some(stack) => vec![stack.clone()],
        None => run::shipped::names().map(String::from).collect(),
    };
    let open = |name: &String| {
        let text = StackText::read(name)?;
        let owner = StackOwner { managed_by: MANAGER.to_string(), config_id: test_id(&text.name()) };
        let parameters = parameters(session.config(), &text.text, platform);
        let opened = OpenedStack::open(&text, owner, &parameters, root, |_| {})?;
        Ok(CandidateStack { name: text.name(), secrets: masking(&opened.passwords)?, opened })
    };
    names.iter().map(open).collect()
}

/// Parameters of a stack that tell names of images, as far as it has them.
fn parameters(config: &Config, text: &str, platform: Platform) -> BTreeMap<String, String> {
    let known = parameter_names(text);
    let values = [
        ("namespace", config.names.space()),
        ("image_prefix", config.names.prefix.to_string()),
        ("tag", config.platform_tag(platform)),
    ];
    let values = values.map(|(name, value)| (name.to_string(), value)).into_iter();
    values.filter(|(name, _)| known.contains(name)).collect()
}
