//! Overrides that have no effect are told; what images offer to overrides is listed and explained.

use crate::support::project::{Project, Run};

const BASE: &str = "{% import \"macros.j2\" as macros with context %}\n{% block base_header %}{% endblock %}\n\
    {% set base_packages = ['curl'] %}\n{% set base_packages = base_packages + ['sudo'] %}\n\
    RUN install {{ macros.words(base_packages | customizable('packages')) }}\n{% block footer %}{% endblock %}\n";

/// A tree of two images with blocks and lists, and an override.
fn project(overrides: &str) -> Project {
    Project::empty()
        .image("base", None, BASE)
        .image(
            "nova-base",
            Some("base"),
            "{% block nova_base_header %}{% endblock %}\n{% block footer %}{% endblock %}\n",
        )
        .file("images/macros.j2", "{% macro words(list) %}{{ list | join(' ') }}{% endmacro %}")
        .file("o.j2", &format!("{{% extends parent_template %}}\n{overrides}"))
}

fn run(project: &Project, arguments: &[&str]) -> Run {
    project.run(["--platform", "linux/amd64", "--template-override", "o.j2"].iter().chain(arguments))
}

const MISTAKEN: &str = "{% block nova_base_haeder %}RUN x{% endblock %}\n\
    {% set base_package_append = ['vim'] %}\n{% set base_packages_remove = [\n  'crul',\n] %}\n";

#[test]
fn every_run_warns_of_what_has_no_effect() {
    let project = project(MISTAKEN);
    for arguments in [&["--list-images"][..], &["--template-only"], &["--plan", "^base$"]] {
        let run = run(&project, arguments);
        assert_eq!(run.status, Some(0), "{run:?}");
        let warnings: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(
            warnings,
            [
                "warning: o.j2:2: no image has a block 'nova_base_haeder': did you mean 'nova_base_header' (image nova-base)?",
                "warning: o.j2:3: no image reads 'base_package_append': did you mean 'base_packages_append' (image base)?",
                "warning: o.j2:5: 'crul' is not in the list that base_packages_remove is for (image base): did you mean 'curl'?",
            ]
        );
    }
}

#[test]
fn strict_overrides_fail_before_anything_is_done() {
    let project = project(MISTAKEN);
    let run = run(&project, &["--strict-overrides", "--template-only", "--work-dir", "w"]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(
        run.stderr.starts_with("error: 3 things in the template overrides have no effect"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("o.j2:5: 'crul' is not in the list"), "{}", run.stderr);
    assert!(!project.path("w").exists());
}

#[test]
fn overrides_that_work_pass_the_strict_check() {
    let project =
        project("{% set base_packages_append = ['vim'] %}\n{% block footer %}RUN y{% endblock %}\n");
    let run = run(&project, &["--strict-overrides", "--list-images"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
}

#[test]
fn blocks_and_lists_of_the_images_asked_for_are_listed() {
    let project = project("");
    insta::assert_snapshot!(run(&project, &["--list-blocks"]).stdout, @r#"
        base       block  base_header       base/Dockerfile.j2:4
        base       block  footer            base/Dockerfile.j2:8
        base       list   base_packages     base/Dockerfile.j2:7
        nova-base  block  nova_base_header  nova-base/Dockerfile.j2:3
        nova-base  block  footer            nova-base/Dockerfile.j2:4
        "#);
    assert_eq!(run(&project, &["--list-blocks", "^nova"]).stdout.lines().count(), 2);
}

#[test]
fn an_image_is_explained_with_a_diff() {
    let project = project(
        "{% set base_packages_append = ['vim'] %}\n{% set base_packages_remove = ['curl'] %}\n\
         {% block base_header %}RUN early{% endblock %}\n{% block footer %}{{ super() }}RUN late{% endblock %}\n",
    );
    insta::assert_snapshot!(run(&project, &["--explain", "base"]).stdout.replace(&*project.path("").to_string_lossy(), ""), @r#"
        image base, from images/base/Dockerfile.j2

        blocks
          base_header  base/Dockerfile.j2:4, replaced at o.j2:4
          footer       base/Dockerfile.j2:8, extended at o.j2:5

        linux/amd64, debian: lists
          base_packages  base/Dockerfile.j2:7, for macros.words (macros.j2:1)
            base_packages is set at base/Dockerfile.j2:5, base/Dockerfile.j2:6
            gains vim at o.j2:2
            loses curl at o.j2:3

        --- base/Dockerfile (without overrides)
        +++ base/Dockerfile (with overrides)
        @@ -1,7 +1,8 @@
         FROM debian:trixie
         LABEL name="base"
         
        +RUN early
         
         
        -
        -RUN install curl sudo
        +RUN install sudo vim
        +RUN late
        \ No newline at end of file
        "#);
}

#[test]
fn an_image_that_overrides_leave_alone_is_explained_too() {
    let project = project("{% set base_packages_append = ['vim'] %}\n");
    let told = run(&project, &["--explain", "nova-base"]).stdout;
    assert!(told.ends_with("The overrides change nothing in this image.\n"), "{told}");
    let without = project.run(["--explain", "nova-base"]);
    assert_eq!(without.status, Some(0), "{without:?}");
    assert!(without.stdout.contains("nova_base_header  nova-base/Dockerfile.j2:3\n"), "{}", without.stdout);
}

#[test]
fn an_unknown_image_cannot_be_explained() {
    let run = run(&project(""), &["--explain", "nova-bas"]);
    assert_eq!(run.status, Some(2));
    assert_eq!(run.stderr, "error: there is no image 'nova-bas': did you mean 'nova-base'?\n");
}

/// The warnings of a run with an override file.
fn warnings_of(text: &str) -> Vec<String> {
    let project = project("").file("o.j2", text).image(
        "fluentd",
        Some("base"),
        "{% block fluentd_plugins_install %}\n{% set fluentd_plugins = ['a'] %}\n\
         RUN {{ fluentd_plugins | customizable('plugins') | join(' ') }}\n{% endblock %}\n\
         {% set fluentd_home = '/home' %}{{ fluentd_home }}\n",
    );
    let run = run(&project, &["--list-images"]).exits(0);
    run.stderr.lines().map(|line| line.strip_prefix("warning: ").unwrap_or(line).to_string()).collect()
}

#[test]
fn what_nobody_prints_is_told() {
    let text = "{% extends parent_template %}\n# A comment, as Kolla's documents have them.\nRUN early\n\
        {% block footer %}RUN y{% endblock %}\n{{ base_distro }}\n";
    let told = "this is never printed: after extends, text and output must be in a block";
    assert_eq!(warnings_of(text), [format!("o.j2:3: {told}"), format!("o.j2:5: {told}")]);
}

#[test]
fn a_text_in_the_place_of_a_list_is_told() {
    for (action, value) in [("append", "'vim'"), ("remove", "'curl'"), ("override", "'curl vim'")] {
        let text = format!("{{% extends parent_template %}}\n{{% set base_packages_{action} = {value} %}}\n");
        let told = format!(
            "o.j2:2: 'base_packages_{action}' is a text, whose letters would be taken for items: write a list, ['...']"
        );
        assert_eq!(warnings_of(&text), [told]);
    }
}

#[test]
fn an_if_around_a_block_is_told() {
    let text = "{% extends parent_template %}\n{% if image_name == 'base' %}\n{% block footer %}RUN y{% endblock %}\n\
        {% endif %}\n{% block base_header %}{% if true %}RUN x{% endif %}{% endblock %}\n";
    assert_eq!(
        warnings_of(text),
        [
            "o.j2:3: block 'footer' is in an if and replaces the image's block whatever the condition: put the if into the \
          block, and {{ super() }} into its else"
        ]
    );
}

#[test]
fn variables_that_images_set_themselves_are_told_with_what_works() {
    let text = "{% extends parent_template %}\n{% set fluentd_plugins = ['b'] %}\n{% set fluentd_home = '/x' %}\n\
        {% set own = 1 %}{% block footer %}{{ own }}{% endblock %}\n";
    let [plugins, home] = &warnings_of(text)[..] else { panic!("{:?}", warnings_of(text)) };
    assert_eq!(
        plugins,
        "o.j2:2: 'fluentd_plugins' has no effect: image fluentd sets it itself at fluentd/Dockerfile.j2:4, before it \
         reads it: set 'fluentd_plugins_append', 'fluentd_plugins_remove' or 'fluentd_plugins_override'"
    );
    assert!(
        home.starts_with("o.j2:3: 'fluentd_home' has no effect: image fluentd sets it itself at "),
        "{home}"
    );
    assert_eq!(warnings_of("{% extends parent_template %}{% set base_distro = 'x' %}"), [] as [&str; 0]);
}

#[test]
fn overrides_that_extend_nothing_are_told_and_refused_where_nothing_can_be_built() {
    let from = "FROM debian\nRUN {{ image_name }}\n";
    let told = "without {% extends parent_template %} it replaces every Dockerfile: begin it with that line";
    assert_eq!(warnings_of(from), [format!("o.j2:1: {told}")]);
    assert_eq!(warnings_of("{% include parent_template %}"), [] as [&str; 0]);
    for text in ["", "---\nbase_packages_append:\n  - vim\n", "{% set base_packages_append = ['vim'] %}\n"] {
        let run = run(&project("").file("o.j2", text), &["--template-only"]).exits(2);
        assert!(run.stderr.starts_with(&format!("error: o.j2: {told}\n")), "{run}");
        assert!(run.stderr.contains("what it makes of image base has no FROM"), "{run}");
    }
}
