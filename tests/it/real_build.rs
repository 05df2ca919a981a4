//! Small hierarchies built through the binary by a real Docker daemon, which must hold `debian:trixie`.

use crate::support::project::{Project, Running};
use crate::support::real::{self, Images, docker, inspect, run_in, wait_until};

const NAMESPACE: &str = "kolla-build-test";

/// A base image, an image on it with a file and a block, and an override of that block.
fn project(endpoint: &str) -> Project {
    Project::empty()
        .with_docker_host(endpoint)
        .image("base", None, &format!("RUN echo {} >/nonce\nENTRYPOINT [\"true\", \"--\"]\n", real::nonce()))
        .image(
            "service",
            Some("base"),
            "COPY file /file\n{% block service_footer %}RUN echo block >>/log{% endblock %}\n",
        )
        .file("images/service/file", "first\n")
        .file(
            "mine.j2",
            "{% extends parent_template %}\n\
             {% block service_footer %}{{ super() }}\nRUN echo override >>/log\n{% endblock %}\n",
        )
}

#[test]
fn both_builders_build_a_hierarchy_with_an_override_and_then_find_it_unchanged() {
    let Some(endpoint) = real::endpoint() else { return };
    for builder in ["--buildkit", "--nobuildkit"] {
        let project = project(&endpoint);
        let tag = builder.trim_start_matches('-');
        let arguments =
            ["--nopull", "--namespace", NAMESPACE, "--tag", tag, "--template-override", "mine.j2", builder];
        let [base, service] = ["base", "service"].map(|image| format!("{NAMESPACE}/{image}:{tag}"));
        let _images = Images(vec![service.clone(), base.clone()]);

        let first = project.run(arguments).exits(0);
        assert!(first.stderr.ends_with(": 2 images built\n"), "{first}");
        assert_eq!(run_in(&service, "cat /file /log"), "first\nblock\noverride");
        let (base_id, built) = (inspect(&base)["Id"].clone(), inspect(&service));
        let config = &built["Config"];
        assert_eq!(config["Entrypoint"], serde_json::json!(["true", "--"]));
        for (label, value) in [
            ("name", "service"),
            ("org.opencontainers.image.title", "service"),
            ("org.opencontainers.image.version", tag),
            ("kolla-build.parent", base_id.as_str().unwrap_or_default()),
        ] {
            assert_eq!(config["Labels"][label], value, "{builder}: {config}");
        }

        let second = project.run(arguments).exits(0);
        assert!(second.stderr.ends_with(": 0 images built, 2 unchanged\n"), "{second}");
        assert_eq!(inspect(&service)["Id"], built["Id"]);

        let project = project.file("images/service/file", "second\n");
        let third = project.run(arguments).exits(0);
        assert!(third.stderr.ends_with(": 1 image built, 1 unchanged\n"), "{third}");
        assert_eq!(run_in(&service, "cat /file"), "second");
        assert_eq!(inspect(&base)["Id"], base_id);
    }
}

#[test]
fn a_failing_step_fails_its_image_and_tells_its_last_lines() {
    let Some(endpoint) = real::endpoint() else { return };
    for builder in ["--buildkit", "--nobuildkit"] {
        let project = Project::empty()
            .with_docker_host(&endpoint)
            .image("base", None, "RUN echo 'E: no such package' >&2; exit 7\n")
            .image("service", Some("base"), "");
        let run = project.run(["--nopull", "--namespace", NAMESPACE, "--tag", "failing", builder]).exits(1);
        for line in [
            "ERROR:kolla.common.utils:base Failed with status: error",
            "ERROR:kolla.common.utils:service Failed with status: parent_error",
            "ERROR:kolla.common.utils.base:E: no such package",
            "ERROR:kolla.common.utils:service: not built because base failed",
        ] {
            assert!(run.tells(line), "{builder}: {line}: {run}");
        }
        let known = docker(&["image", "ls", "--quiet", &format!("{NAMESPACE}/base:failing")]);
        assert_eq!(known, "", "{builder}");
    }
}

#[test]
fn an_interrupt_stops_the_step_that_runs() {
    let Some(endpoint) = real::endpoint() else { return };
    for (builder, seconds) in [("--buildkit", "417.25"), ("--nobuildkit", "418.25")] {
        let project = Project::empty().with_docker_host(&endpoint).image(
            "base",
            None,
            &format!("RUN sleep {seconds}\n"),
        );
        let arguments = ["--nopull", "--namespace", NAMESPACE, "--tag", "interrupted", builder];
        let running = Running::start(&project, arguments);
        wait_until("the step to start", || real::runs_with_argument(seconds));
        running.signal("INT");
        let run = running.end().exits(130);
        assert!(run.tells("WARNING:kolla.common.utils.base:Cancelled"), "{run}");
        wait_until("the step to stop", || !real::runs_with_argument(seconds));
    }
}
