//! Contents of the working directory: the rendered tree, or the build contexts in it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::prepare::Prepared;
use crate::context::patches;
use crate::context::workdir::{ContextFile, FileContent, write_tree};
use crate::error::{EXIT_FAILED, Fatal};
use crate::model::plan::Disposition;
use crate::model::platform::Platform;
use crate::template::catalog::TreeContent;
use crate::template::render::RenderedDockerfile;
use crate::util::scratch::Scratch;

/// Which files of the tree are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeScope {
    /// All but the directories of images that are not to be built, as Kolla's `--template-only` leaves it.
    Tree,
    /// All, as it was left in releases before that.
    WholeTree,
    /// Only the directories of images that are to be built.
    Contexts,
    /// The directories of all images.
    AllContexts,
}

/// Files of a working directory's tree, for every platform.
pub fn tree_files(prepared: &Prepared, scope: TreeScope) -> Result<Vec<ContextFile>, Fatal> {
    let mut all = Vec::new();
    for (platform, rendered) in &prepared.rendered {
        let below = platform_dir(prepared, *platform);
        let files = files(prepared, *platform, rendered, scope)?;
        all.extend(files.into_iter().map(|file| ContextFile { name: below.join(file.name), ..file }));
    }
    Ok(all)
}

/// The files of every image that is to be built, by its directory below the tree.
pub fn contexts_by_dir(prepared: &Prepared) -> Result<HashMap<PathBuf, Vec<ContextFile>>, Fatal> {
    let dirs = prepared.rendered.iter().flat_map(|(platform, rendered)| {
        rendered.iter().map(|file| platform_dir(prepared, *platform).join(&file.dir))
    });
    let mut contexts: HashMap<PathBuf, Vec<ContextFile>> = dirs.map(|dir| (dir, Vec::new())).collect();
    for file in tree_files(prepared, TreeScope::Contexts)? {
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
    scope: TreeScope,
) -> Result<Vec<ContextFile>, Fatal> {
    let all = matches!(scope, TreeScope::WholeTree | TreeScope::AllContexts);
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
        TreeScope::Tree | TreeScope::WholeTree => !is_in(path, &left_dirs),
        // A template is no part of its image: what it says is in the Dockerfile.
        TreeScope::Contexts | TreeScope::AllContexts => {
            is_in(path, &kept_dirs) && !path.ends_with("/Dockerfile.j2")
        }
    };
    // Empty directories count too: a Dockerfile may copy one.
    let directories = prepared.catalog.directories().filter(|(path, _)| in_scope(path));
    let mut files: Vec<ContextFile> = directories
        .map(|(path, mode)| ContextFile {
            name: prepared.catalog.name_on_disk(path).to_path_buf(),
            mode,
            content: FileContent::Directory,
        })
        .collect();
    let of_tree = prepared.catalog.files().filter(|(path, _)| in_scope(path));
    files.extend(of_tree.map(|(path, file)| ContextFile {
        name: prepared.catalog.name_on_disk(path).to_path_buf(),
        mode: file.mode,
        content: match &file.content {
            TreeContent::Embedded(bytes) => FileContent::Bytes((*bytes).into()),
            TreeContent::File(path) => FileContent::File(path.clone()),
        },
    }));
    for file in kept {
        files.extend(generated(prepared, file)?);
    }
    Ok(files)
}

/// The files of an image's directory that no tree has: the rendered Dockerfile and the image's patches.
fn generated(prepared: &Prepared, file: &RenderedDockerfile) -> Result<Vec<ContextFile>, Fatal> {
    let dir = Path::new(&file.dir);
    let mut files = vec![ContextFile {
        name: dir.join("Dockerfile"),
        mode: 0o644,
        content: FileContent::Bytes(file.text.clone().into_bytes().into()),
    }];
    if prepared.config.templates.api.has_patches() {
        let found = patches::patch_files(prepared.config.templates.patches_path.as_deref(), &file.image)
            .map_err(|error| Fatal::new(&error, EXIT_FAILED))?;
        files.push(ContextFile { name: dir.join("patches"), mode: 0o755, content: FileContent::Directory });
        files.extend(found.into_iter().map(|(name, path)| ContextFile {
            name: dir.join("patches").join(name),
            mode: 0o644,
            content: FileContent::File(path),
        }));
    }
    Ok(files)
}

/// Build contexts as a run would have them.
pub struct Contexts<'a> {
    prepared: &'a Prepared,
    written: Option<(Scratch, HashMap<PathBuf, Vec<ContextFile>>)>,
}

impl Contexts<'_> {
    /// Those of a run; none is written yet.
    pub fn of(prepared: &Prepared) -> Contexts<'_> {
        Contexts { prepared, written: None }
    }

    /// The context of an image's directory, which is written when it is first asked for.
    pub fn get(&mut self, dir: &Path) -> Result<PathBuf, Fatal> {
        let (root, files) = match &mut self.written {
            Some(written) => written,
            written => {
                let root = Scratch::new("contexts").map_err(|error| {
                    Fatal::message(format!("failed to make a temporary directory: {error}"), EXIT_FAILED)
                })?;
                written.insert((root, contexts_by_dir(self.prepared)?))
            }
        };
        if let Some(files) = files.remove(dir) {
            write_tree(root.path(), &files)?;
        }
        Ok(root.path().join(dir))
    }
}
