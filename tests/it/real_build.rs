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
#[ignore = "needs a real Docker engine"]
fn both_builders_build_a_hierarchy_with_an_override_and_then_find_it_unchanged() {
    let endpoint = real::endpoint();
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
#[ignore = "needs a real Docker engine"]
fn what_a_dockerfile_copies_from_decides_whether_its_image_is_up_to_date() {
    let endpoint = real::endpoint();
    for builder in ["--buildkit", "--nobuildkit"] {
        let tag = format!("named{builder}");
        let [base, tools, service] =
            ["base", "tools", "service"].map(|image| format!("{NAMESPACE}/{image}:{tag}"));
        let foreign = format!("{NAMESPACE}-foreign:{tag}");
        let _images = Images(vec![service.clone(), tools, base, foreign.clone()]);
        let import_foreign = |text: &str| {
            let root = tempfile::tempdir().expect("a directory");
            std::fs::write(root.path().join("foreign"), text).expect("a file");
            let tar = root.path().with_extension("tar");
            let files = std::fs::File::create(&tar).expect("a file");
            let mut archive = tar::Builder::new(files);
            archive.append_dir_all(".", root.path()).and_then(|()| archive.finish()).expect("an archive");
            docker(&["import", tar.to_str().expect("text"), &foreign]);
            std::fs::remove_file(tar).expect("removed");
        };
        let tool = |text: &str| format!("RUN echo {} >/nonce && echo {text} >/tool\n", real::nonce());
        let project = Project::empty()
            .with_docker_host(&endpoint)
            .image("base", None, "RUN true\n")
            .image("tools", Some("base"), &tool("one"))
            .image(
                "service",
                Some("base"),
                &format!(
                    "COPY --from={{{{ namespace }}}}/tools:{{{{ tag }}}} /tool /\nCOPY --from={foreign} /foreign /\n"
                ),
            );
        let arguments = ["--nopull", "--namespace", NAMESPACE, "--tag", &tag, builder, "service"];
        let built = |project: &Project, counts: &str, content: &str| {
            let run = project.run(arguments).exits(0);
            assert!(run.stderr.ends_with(counts), "{builder}: {run}");
            assert_eq!(run_in(&service, "cat /tool /foreign"), content, "{builder}");
        };
        import_foreign("one");
        built(&project, ": 3 images built\n", "one\none");
        built(&project, ": 0 images built, 3 unchanged\n", "one\none");
        import_foreign("two");
        built(&project, ": 1 image built, 2 unchanged\n", "one\ntwo");
        let project = project.image("tools", Some("base"), &tool("two"));
        built(&project, ": 2 images built, 1 unchanged\n", "two\ntwo");
    }
}

#[test]
#[ignore = "needs a real Docker engine"]
fn a_failing_step_fails_its_image_and_tells_its_last_lines() {
    let endpoint = real::endpoint();
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
#[ignore = "needs a real Docker engine"]
fn an_interrupt_stops_the_step_that_runs() {
    let endpoint = real::endpoint();
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
