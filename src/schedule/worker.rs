//! The worker that units are given to, and the events that it sends meanwhile.

use futures_util::future::BoxFuture;

use crate::engine::BuildOutput;
use crate::model::attached::Attached;
use crate::model::failure::Failure;
use crate::model::gate::GateResult;
use crate::model::ids::{ContentKey, Digest};
use crate::model::outcome::UnitImage;
use crate::model::plan::PlannedUnit;

/// Outcome of a try that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Success {
    /// The image was built.
    Built(UnitImage),
    /// The engine has it already.
    Unchanged(UnitImage),
}

/// Outcome of a push that succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's digest, when it is known.
    pub digest: Option<Digest>,
    /// Digest of the list of the image's platforms, when this push has completed it.
    pub list: Option<Digest>,
    /// What was attached to the image.
    pub attached: Attached,
    /// What was attached to that list.
    pub list_attached: Attached,
}

/// News from a try while it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitProgress {
    /// The unit has changed, so there is something to build.
    Started {
        /// The content key that it will have.
        key: ContentKey,
    },
    /// The build's own words.
    Said(BuildOutput),
}

/// Where one try tells what it does.
pub type Tell<'a> = &'a (dyn Fn(UnitProgress) + Send + Sync);

/// Does the work on one unit. Dropping a future that it returned stops the work.
pub trait Worker: Send + Sync {
    /// One try to bring the unit up to date.
    fn work<'a>(&'a self, unit: &'a PlannedUnit, tell: Tell<'a>) -> BoxFuture<'a, Result<Success, Failure>>;

    /// Asks the gates about a unit that is up to date; without any it passes.
    fn ask_gates<'a>(
        &'a self,
        _unit: &'a PlannedUnit,
        _tell: Tell<'a>,
    ) -> BoxFuture<'a, Result<GateResult, Failure>> {
        Box::pin(async { Ok(GateResult::default()) })
    }

    /// One try to push a unit that is up to date.
    fn push<'a>(&'a self, unit: &'a PlannedUnit, tell: Tell<'a>) -> BoxFuture<'a, Result<Pushed, Failure>>;
}
