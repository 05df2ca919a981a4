//! Kinds of what a run can be asked for instead of building [pure].

/// Kind of what is done instead of building; each has an option that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Writing Dockerfiles, and nothing else.
    TemplateOnly,
    /// Writing the images' graph to a file.
    SaveDependency,
    /// Listing images by their numbers.
    ListImages,
    /// Printing the tree of images.
    ListDependencies,
    /// Listing what images offer to overrides.
    ListBlocks,
    /// Telling where an image's blocks and lists come from.
    Explain,
    /// Writing a lock file.
    Lock,
    /// Comparing the registry's images with those of a build.
    VerifyRegistry,
    /// Putting manifest lists into the registry.
    ManifestLists,
    /// Giving images in the registry another tag.
    Retag,
    /// Telling what has changed from one release to another.
    ReleaseNotes,
    /// Writing what others build by.
    Export,
    /// Merging reports of earlier runs.
    MergeSummaries,
    /// Showing what would be built.
    Plan,
    /// Removing what is ours and not needed.
    Prune,
    /// Taking old images out of the registry.
    PruneRegistry,
    /// Comparing the file systems of two images.
    CompareBuilds,
}
