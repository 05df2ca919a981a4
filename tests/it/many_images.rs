//! Trees of ten thousand images: neither their depth nor their width is too much.

use crate::support::project::Project;

const IMAGES: usize = 10_000;

/// The last lines of the plan of a tree whose images have these parents, given as numbers.
fn plan_ends(parent: impl Fn(usize) -> usize) -> Vec<String> {
    let project = Project::empty().image("image-0", None, "");
    let project = (1..IMAGES).fold(project, |project, number| {
        project.image(&format!("image-{number}"), Some(&format!("image-{}", parent(number))), "")
    });
    let run = project.run(["--plan", "image-9999"]).exits(0);
    run.stdout.lines().rev().take(2).map(str::to_string).collect()
}

#[test]
fn each_built_on_the_one_before() {
    let [counts, last] = plan_ends(|number| number - 1).try_into().expect("two lines");
    assert_eq!(
        counts,
        "0 to build, 0 unchanged, 10000 of which only a run can tell, 0 not asked for, 0 skipped, 0 unbuildable"
    );
    assert!(last.contains("image-9999") && last.contains("on image-9998"), "{last}");
}

#[test]
fn all_built_on_one() {
    let [counts, last] = plan_ends(|_| 0).try_into().expect("two lines");
    assert_eq!(
        counts,
        "0 to build, 0 unchanged, 2 of which only a run can tell, 9998 not asked for, 0 skipped, 0 unbuildable"
    );
    assert!(last.contains("image-9999") && last.contains("on image-0"), "{last}");
}
