//! Writing the rendered tree into the working directory.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::prepare::Prepared;
use crate::context::patches;
use crate::context::workdir::{FileContent, TreeFile, WorkDir};
use crate::error::{EXIT_FAILED, Fatal};
use crate::plan::Disposition;
use crate::platform::Platform;
use crate::template::catalog::Content;
use crate::template::render::RenderedDockerfile;

/// Which files of the tree are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All but the directories of images that are not to be built, as Kolla's `--template-only` leaves it.
    Tree,
    /// All, as it was left in releases before that.
    WholeTree,
    /// Only the directories of images that are to be built.
    Contexts,
    /// The directories of all images.
    AllContexts,
}

/// Writes the tree to the working directory that was named, or to a temporary one that stays; gives what to tell the
/// user.
pub fn template_only(prepared: &Prepared) -> Result<String, Fatal> {
    let dir = &prepared.config.build.work_dir;
    if dir.is_none() && prepared.config.layers().flag("watch")? {
        // One after each change would fill the disk.
        let count: usize = prepared.plan.to_build().count();
        return Ok(format!("Rendered {count} Dockerfiles; --work-dir DIR writes them to DIR/docker"));
    }
    let whole = prepared.config.templates.api.keeps_unmatched();
    let files = tree_files(prepared, if whole { Scope::WholeTree } else { Scope::Tree })?;
    let work_dir = match dir {
        Some(dir) => WorkDir::keep(dir)?,
        None => WorkDir::to_leave()?,
    };
    work_dir.fill(&files)?;
    Ok(format!("Dockerfiles are generated in {}", work_dir.leave().display()))
}

/// What a working directory's tree holds, for every platform.
pub fn tree_files(prepared: &Prepared, scope: Scope) -> Result<Vec<TreeFile>, Fatal> {
    let mut all = Vec::new();
    for (platform, rendered) in &prepared.rendered {
        let below = platform_dir(prepared, *platform);
        let files = files(prepared, *platform, rendered, scope)?;
        all.extend(files.into_iter().map(|file| TreeFile { name: below.join(file.name), ..file }));
    }
    Ok(all)
}

/// The files of every image that is to be built, by its directory below the tree.
pub fn contexts_by_dir(prepared: &Prepared) -> Result<HashMap<PathBuf, Vec<TreeFile>>, Fatal> {
    let dirs = prepared.rendered.iter().flat_map(|(platform, rendered)| {
        rendered.iter().map(|file| platform_dir(prepared, *platform).join(&file.dir))
    });
    let mut contexts: HashMap<PathBuf, Vec<TreeFile>> = dirs.map(|dir| (dir, Vec::new())).collect();
    for file in tree_files(prepared, Scope::Contexts)? {
        // An image's directory may be inside another's.
        for dir in file.name.ancestors() {
            if let Some(files) = contexts.get_mut(dir) {
                files.push(file.clone());
            }
        }
    }
    Ok(contexts)
}

/// Where a platform's images are below the tree: Kolla's place when there is only one, a directory each when there are
/// several.
pub fn platform_dir(prepared: &Prepared, platform: Platform) -> &'static Path {
    Path::new(if prepared.config.has_several_platforms() { platform.arch.kolla() } else { "" })
}

fn files(
    prepared: &Prepared,
    platform: Platform,
    rendered: &[RenderedDockerfile],
    scope: Scope,
) -> Result<Vec<TreeFile>, Fatal> {
    let all = matches!(scope, Scope::WholeTree | Scope::AllContexts);
    let wanted: BTreeSet<&str> = prepared
        .plan
        .units
        .iter()
        .filter(|unit| unit.platform == platform)
        .filter(|unit| all || unit.disposition == Disposition::Build)
        .map(|unit| unit.image.as_str())
        .collect();
    let (kept, left): (Vec<_>, Vec<_>) =
        rendered.iter().partition(|file| wanted.contains(file.image.as_str()));
    let dirs =
        |files: &[&RenderedDockerfile]| files.iter().map(|file| file.dir.clone()).collect::<BTreeSet<_>>();
    let (kept_dirs, left_dirs) = (dirs(&kept), dirs(&left));
    let is_in = |path: &str, dirs: &BTreeSet<String>| {
        dirs.contains(path) || path.match_indices('/').any(|(at, _)| dirs.contains(&path[..at]))
    };
    let in_scope = |path: &str| match scope {
        Scope::Tree | Scope::WholeTree => !is_in(path, &left_dirs),
        // A template is no part of its image: what it says is in the Dockerfile.
        Scope::Contexts | Scope::AllContexts => is_in(path, &kept_dirs) && !path.ends_with("/Dockerfile.j2"),
    };
    // Empty directories count too: a Dockerfile may copy one.
    let directories = prepared.catalog.directories().filter(|(path, _)| in_scope(path));
    let mut files: Vec<TreeFile> = directories
        .map(|(path, mode)| TreeFile {
            name: prepared.catalog.name_on_disk(path).to_path_buf(),
            mode,
            content: FileContent::Directory,
        })
        .collect();
    let of_tree = prepared.catalog.files().filter(|(path, _)| in_scope(path));
    files.extend(of_tree.map(|(path, file)| TreeFile {
        name: prepared.catalog.name_on_disk(path).to_path_buf(),
        mode: file.mode,
        content: match &file.content {
            Content::Embedded(bytes) => FileContent::Bytes((*bytes).into()),
            Content::File(path) => FileContent::File(path.clone()),
        },
    }));
    for file in kept {
        let dir = Path::new(&file.dir);
        files.push(TreeFile {
            name: dir.join("Dockerfile"),
            mode: 0o644,
            content: FileContent::Bytes(file.text.clone().into_bytes().into()),
        });
        if !prepared.config.templates.api.has_patches() {
            continue;
        }
        let found = patches::patch_files(prepared.config.templates.patches_path.as_deref(), &file.image)
            .map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
        files.push(TreeFile { name: dir.join("patches"), mode: 0o755, content: FileContent::Directory });
        files.extend(found.into_iter().map(|(name, path)| TreeFile {
            name: dir.join("patches").join(name),
            mode: 0o644,
            content: FileContent::File(path),
        }));
    }
    Ok(files)
}
