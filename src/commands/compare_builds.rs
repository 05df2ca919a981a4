//! `--compare-builds A,B`: where the files of two images differ, and which packages these belong to.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};

use serde::Serialize;

use super::image_files::hand_over;
use crate::compare::difference::{ImageComparison, compare};
use crate::compare::index::FileIndex;
use crate::compare::text::ShownComparison;
use crate::config::resolved::{ComparedBuilds, PlanFormat};
use crate::engine::docker::Docker;
use crate::engine::{Engine, ImageFacts, NameOrId};
use crate::error::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Fatal};
use crate::model::ids::{Digest, ImageId};
use crate::model::reference::Reference;
use crate::session::stdio::output;
use crate::session::threads::block_on;
use crate::session::{Session, engines};

/// Exit code of a comparison that could not be made, as `diff` has it.
const EXIT_TROUBLE: u8 = EXIT_USAGE;

/// So many pieces of an archive wait at most for who reads them.
const PIECES: usize = 16;

/// An image, and the engine that holds it.
struct HeldBuild<'a> {
    name: &'a str,
    engine: &'a Docker,
    facts: ImageFacts,
}

/// The same, as it is shown.
#[derive(Serialize)]
struct ShownBuild<'a> {
    reference: &'a str,
    id: &'a ImageId,
    engine: &'a str,
    platform: String,
}

/// A comparison for programs.
#[derive(Serialize)]
struct ShownBuilds<'a> {
    a: ShownBuild<'a>,
    b: ShownBuild<'a>,
    #[serde(flatten)]
    comparison: &'a ImageComparison<'a>,
}

/// Tells where two images differ; gives the exit code: 0 when they are the same, 1 when they are not.
pub fn compare_builds(session: &Session, builds: &ComparedBuilds) -> Result<u8, Fatal> {
    block_on(async {
        let engines = engines::every(session.config(), session.environment, "Comparing").await?;
        let (a, b) = held(&engines, builds).await?;
        if a.facts.built_for() != b.facts.built_for() {
            return Err(Fatal::message(
                format!(
                    "cannot compare images for different platforms: {} is for {}, {} for {}",
                    a.name,
                    a.facts.built_for(),
                    b.name,
                    b.facts.built_for()
                ),
                EXIT_TROUBLE,
            ));
        }
        let (of_a, of_b) = (index(&a, "a").await?, index(&b, "b").await?);
        let comparison = compare(&of_a, &of_b, builds.times);
        output(&match session.config().output.plan_format {
            PlanFormat::Json => json(&ShownBuilds { a: a.shown(), b: b.shown(), comparison: &comparison }),
            PlanFormat::Text => ShownComparison(&comparison).to_string(),
        })?;
        Ok(if comparison.same { 0 } else { EXIT_FAILED })
    })
    .map_err(trouble)
}

/// An error with the exit code for what could not be compared.
fn trouble(mut fatal: Fatal) -> Fatal {
    if fatal.exit_code != EXIT_INTERRUPTED {
        fatal.exit_code = EXIT_TROUBLE;
    }
    fatal
}

fn json(shown: &ShownBuilds) -> String {
    serde_json::to_string_pretty(shown).unwrap_or_default() + "\n"
}

/// Both images: each of the first engine that holds it, and of the second one what is compared with itself.
async fn held<'a>(
    engines: &'a [Docker],
    builds: &'a ComparedBuilds,
) -> Result<(HeldBuild<'a>, HeldBuild<'a>), Fatal> {
    if builds.a != builds.b {
        return Ok((find(engines, &builds.a).await?, find(engines, &builds.b).await?));
    }
    match engines {
        [first, second, ..] => Ok((
            find(std::slice::from_ref(first), &builds.a).await?,
            find(std::slice::from_ref(second), &builds.b).await?,
        )),
        _ => Err(Fatal::message(format!("cannot compare {} with itself", builds.a), EXIT_TROUBLE).hinted(
            "name two images, A,B, or two engines that have it: --engine-host URL --engine-host URL",
        )),
    }
}

async fn find<'a>(engines: &'a [Docker], name: &'a str) -> Result<HeldBuild<'a>, Fatal> {
    let id = name.parse::<Digest>().ok().map(|digest| ImageId::from(&digest));
    let reference = name.parse::<Reference>().map_err(|error| Fatal::new(&error, EXIT_TROUBLE))?.tagged();
    for engine in engines {
        let asked = id.as_ref().map_or(NameOrId::Reference(&reference), NameOrId::Id);
        let found = engine.inspect(asked).await.map_err(|error| Fatal::new(&error, EXIT_TROUBLE))?;
        if let Some(facts) = found {
            return Ok(HeldBuild { name, engine, facts });
        }
    }
    let asked: Vec<&str> = engines.iter().map(Engine::endpoint).collect();
    let message =
        format!("cannot compare: {name} is not in the engine at {}", asked.join(" nor in that at "));
    Err(Fatal::message(message, EXIT_TROUBLE).hinted("build or pull it first"))
}

impl HeldBuild<'_> {
    fn shown(&self) -> ShownBuild<'_> {
        ShownBuild {
            reference: self.name,
            id: &self.facts.id,
            engine: self.engine.endpoint(),
            platform: self.facts.built_for(),
        }
    }
}

/// The files of an image, read as they come.
async fn index(build: &HeldBuild<'_>, side: &str) -> Result<FileIndex, Fatal> {
    let doing = || format!("cannot read the files of {}", build.name);
    let (send, pieces) = sync_channel::<Vec<u8>>(PIECES);
    let reading = tokio::task::spawn_blocking(move || FileIndex::read(PieceReader::of(pieces)));
    let mut is_read = true;
    let mut take = |piece: &[u8]| {
        is_read = send.send(piece.to_vec()).is_ok();
        if is_read { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    };
    let container = format!("kolla-build-compare-{side}-{}", std::process::id());
    let handed = hand_over(build.engine, &container, &build.facts.id, &mut take).await;
    drop(send);
    let read = reading.await.map_err(|error| Fatal::new(&error, EXIT_TROUBLE))?;
    match handed {
        // The reader has given up, and knows why.
        Err(_) if !is_read => {}
        Err(fatal) if fatal.exit_code == EXIT_INTERRUPTED => return Err(fatal),
        Err(fatal) => return Err(fatal.during(doing())),
        Ok(()) => {}
    }
    read.map_err(|error| Fatal::new(&error, EXIT_TROUBLE).during(doing()))
}

/// Pieces of an archive as one stream.
struct PieceReader {
    pieces: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl PieceReader {
    fn of(pieces: Receiver<Vec<u8>>) -> PieceReader {
        PieceReader { pieces, piece: Vec::new(), at: 0 }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let read = buffer.len().min(self.piece.len() - self.at);
        buffer[..read].copy_from_slice(&self.piece[self.at..][..read]);
        self.at += read;
        Ok(read)
    }
}
