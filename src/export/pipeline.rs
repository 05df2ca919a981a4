//! A plan as jobs of a CI system [pure].
//!
//! A first job pins sources and base images of all platforms, so that all jobs build from the same ones. Each platform has
//! jobs of its own, on machines of its architecture. The images of a tier are built in jobs side by side, each of which takes
//! what it is built on from the registry and pushes what it builds. The job `release` tells of all as of one run, and lists
//! the platforms of each image under one name. A job that fails keeps none of the others from running: the release has the
//! verdict. Only after one that succeeded images are promoted.

use std::path::PathBuf;

use super::jobs::{Pipeline, PipelineOptions, PlatformLane};
use super::tiers::batches;
use super::{github, gitlab, zuul};
use crate::model::ci_system::CiSystem;
use crate::model::plan::BuildPlan;

/// The most jobs of a matrix that GitHub takes
/// (<https://docs.github.com/en/actions/reference/limits>).
const MOST_JOBS_OF_A_MATRIX: usize = 256;

/// The files of a pipeline, relative to the root of the project's repository.
pub fn file_names(system: CiSystem) -> Vec<PathBuf> {
    match system {
        CiSystem::Github => vec![github::FILE.into()],
        CiSystem::Gitlab => vec![gitlab::FILE.into()],
        CiSystem::Zuul => zuul::file_names(),
    }
}

/// The same with their texts, for a pipeline that builds what the plan is to build.
pub fn pipeline(plan: &BuildPlan, system: CiSystem, options: &PipelineOptions) -> Vec<(PathBuf, String)> {
    let most_jobs = if system == CiSystem::Github { MOST_JOBS_OF_A_MATRIX } else { usize::MAX };
    let several = options.platforms.len() > 1;
    let lanes = options.platforms.iter().map(|platform| {
        let tiers = batches(plan, *platform, options.images_per_job, most_jobs);
        PlatformLane { platform: several.then_some(*platform), tiers }
    });
    let pipeline = Pipeline { lanes: lanes.filter(|lane| !lane.tiers.is_empty()).collect(), options };
    match system {
        CiSystem::Github => github::files(&pipeline),
        CiSystem::Gitlab => gitlab::files(&pipeline),
        CiSystem::Zuul => zuul::files(&pipeline),
    }
}
