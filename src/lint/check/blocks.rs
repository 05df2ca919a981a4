//! Blocks that no image has, and text that is never printed [pure].

use std::collections::{BTreeMap, BTreeSet};

use super::lists::InImages;
use super::warnings::Warnings;
use crate::lint::outline::Outline;
use crate::lint::tree::TreeOutline;
use crate::util::nearest::nearest;

/// Warns of blocks that replace nothing, or not when they seem to.
pub fn check(overrides: &Outline, tree: &TreeOutline, warnings: &mut Warnings) {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for image in tree.images() {
        for (_, block) in tree.blocks(image) {
            known.entry(&block.name).or_default().insert(image);
        }
    }
    // Blocks inside others are printed with these.
    for block in overrides.blocks.iter().filter(|block| block.inside.is_none()) {
        let name = &block.name;
        if block.conditional {
            warnings.add(
                block.line,
                format_args!(
                    "block '{name}' is in an if and replaces the image's block whatever the condition: put the if into the \
                     block, and {{{{ super() }}}} into its else"
                ),
            );
        }
        if known.contains_key(name.as_str()) {
            continue;
        }
        let message = match nearest(name, known.keys().copied(), 1).first() {
            Some(best) => {
                format!("no image has a block '{name}': did you mean '{best}' ({})?", InImages(&known[best]))
            }
            None => format!("no image has a block '{name}': kolla-build --list-blocks lists every block"),
        };
        warnings.add(block.line, message);
    }
    for line in &overrides.unprinted {
        let message = "this is never printed: after extends, text and output must be in a block";
        warnings.add(*line, message);
    }
}
