//! Writing the rendered tree into the working directory.

use crate::context::workdir::WorkDir;
use crate::error::Fatal;
use crate::session::contexts::{TreeScope, tree_files};
use crate::session::prepare::Prepared;

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
    let files = tree_files(prepared, if whole { TreeScope::WholeTree } else { TreeScope::Tree })?;
    let work_dir = match dir {
        Some(dir) => WorkDir::keep(dir)?,
        None => WorkDir::to_leave()?,
    };
    work_dir.fill(&files)?;
    Ok(format!("Dockerfiles are generated in {}", work_dir.leave().display()))
}
