//! Wrong input: each has a clear error that names file, line, key or image, and nothing half done is left.

use std::path::PathBuf;

use crate::support::docker::FakeDocker;
use crate::support::project::{Project, Running};

/// A small tree that is in order.
fn project() -> Project {
    Project::empty()
        .image("base", None, "{% block base_footer %}{% endblock %}\n")
        .image("keystone", Some("base"), "RUN install keystone\n")
        .image("memcached", Some("base"), "RUN install memcached\n")
}

/// What the run says that is to be refused, with an engine at hand that must not be asked to build.
fn refused(project: Project, arguments: &[&str]) -> String {
    let daemon = FakeDocker::with_base_image();
    let project = project.with_engine(&daemon);
    let run = project.run([&["--logs-dir", "logs", "--work-dir", "work"], arguments].concat());
    assert!(run.status.is_some_and(|status| status != 0), "{run}");
    assert_eq!(run.stdout, "");
    assert_eq!(daemon.order(), [""; 0], "{run}");
    assert_eq!(project.temporary_files(), Vec::<PathBuf>::new());
    for name in ["logs", "work"] {
        assert!(!project.path(name).exists(), "{name}: {run}");
    }
    let told = project.redacted(run.stderr.trim_end());
    let arguments = arguments.join(" ");
    format!("$ kolla-build {arguments}\n{told}\nexit code {}\n\n", run.status.unwrap_or(-1))
}

#[test]
fn templates_and_overrides() {
    let syntax = project().file(
        "images/keystone/Dockerfile.j2",
        "FROM base\n{% if install_type == 'source' %}\nRUN one\n{% endfor %}\nRUN two\n",
    );
    let raised = project().image("keystone", Some("base"), "{{ raise_error('no keystone today') }}\n");
    let macros = project()
        .file(
            "images/macros.j2",
            "{% macro install(what) %}\nRUN get {{ what.name.first }}\n{% endmacro %}\n",
        )
        .image("keystone", Some("base"), "{% import 'macros.j2' as m %}\n{{ m.install('x') }}\n");
    let with_override = |text: &str| project().file("mine.j2", text);
    let mine = ["--template-override", "mine.j2"];
    let override_syntax = with_override(
        "{% extends parent_template %}\n\n{% block base_footer %}\nRUN {{ 'a' + }}\n{% endblock %}\n",
    );
    let override_runtime = with_override(
        "{% extends parent_template %}\n\n{% block base_footer %}\nRUN {{ packages.first.name }}\n{% endblock %}\n",
    );
    let second = project().file("first.j2", "{% extends parent_template %}\n{% set fine = 1 %}\n").file(
        "mine.j2",
        "{% extends parent_template %}\n{% block base_footer %}\n{{ nosuch() }}\n{% endblock %}\n",
    );
    let all = [
        refused(syntax, &[]),
        refused(raised, &[]),
        refused(macros, &[]),
        refused(override_syntax, &mine),
        refused(override_runtime, &mine),
        refused(second, &["--template-override", "first.j2", "--template-override", "mine.j2"]),
        refused(project(), &["--template-override", "nosuch.j2"]),
        refused(project(), &["--images-dir", "nosuch"]),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn selections() {
    let all = [
        refused(project(), &["keyston$", "memcache$"]),
        refused(project(), &["nothing-like-it"]),
        refused(project(), &["("]),
        refused(project(), &["--profile", "mian"]),
        refused(
            project().file("k.conf", "[profiles]\nmine = keystoen\n"),
            &["--config-file", "k.conf", "--profile", "mine"],
        ),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn trees_that_are_no_trees() {
    let circle = project().image("one", Some("three"), "").image("two", Some("one"), "").image(
        "three",
        Some("two"),
        "",
    );
    let missing = project().image("nova", Some("nova-base"), "").image("glance", Some("glance-base"), "");
    let twice = project().image("identity/keystone", Some("base"), "");
    let all = [refused(circle, &[]), refused(missing, &[]), refused(twice, &[])];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn configuration_files() {
    let conf = |text: &str| project().file("k.conf", text);
    let toml = |text: &str| project().file("mine.toml", text);
    let (conf_args, toml_args) = (["--config-file", "k.conf"], ["--build-toml", "mine.toml"]);
    let all = [
        refused(project(), &["--config-file", "nosuch.conf"]),
        refused(project(), &["--config-file", "images"]),
        refused(project(), &["--config-dir", "nosuch"]),
        refused(conf("[DEFAULT]\nbase = debian\nthreads\n"), &conf_args),
        refused(conf("threads = 4\n"), &conf_args),
        refused(conf("[DEFAULT\nthreads = 4\n"), &conf_args),
        refused(conf("[DEFAULT]\n\nthreads = many\n"), &conf_args),
        refused(conf("[DEFAULT]\nthreads = 4 # two a core\npush = yes # please\n"), &conf_args),
        refused(conf("[DEFAULT]\nthreads = 0\n"), &conf_args),
        refused(conf("[DEFAULT]\npush_threads = 1\nnocache = perhaps\ncache = perhaps\n"), &conf_args),
        refused(conf("[DEFAULT]\nnamespace = $registri/kolla\n"), &conf_args),
        refused(conf("[DEFAULT]\ntag = $tag\n"), &conf_args),
        refused(conf("[DEFAULT]\nengine = podmann\n"), &conf_args),
        refused(conf("[keystone-user]\nuid = root\n"), &conf_args),
        refused(conf("[keystone-user]\nuid = 7\ngid = -7\n"), &conf_args),
        refused(project(), &["--build-toml", "nosuch.toml"]),
        refused(toml("[options]\nbase = \"debian\"\nthreads = \n"), &toml_args),
        refused(toml("[optoins]\nthreads = 4\n"), &toml_args),
        refused(toml("[options]\nthreads = \"many\"\n"), &toml_args),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn the_command_line_and_the_environment() {
    let all = [
        refused(project(), &["--base", "centos"]),
        refused(project(), &["--threads", "0"]),
        refused(project(), &["--threds", "4"]),
        refused(project(), &["--no", "--thread", "0"]),
        refused(project(), &["--thread", "0"]),
        refused(project(), &["--type", "binary"]),
        refused(project(), &["--pip-index-url", "https://pypi.example/simple"]),
        refused(project(), &["--platform", "linux/s390x"]),
        refused(project(), &["--platform", "linux/amd64", "--only-platform", "linux/arm64"]),
        refused(project(), &["--manifest-lists"]),
        refused(project(), &["--build-args", "flavour"]),
        refused(project(), &["--build-args", "flavour=vanilla"]),
        refused(project(), &["--build-args", "SPEC=git+https://h/x@v1"]),
        refused(project(), &["--build-args", "NO_PROXY:a,b,FTP_PROXY:c"]),
        refused(project(), &["--timeout", "99999999999999"]),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn names_of_images() {
    let conf = |text: &str| project().file("k.conf", &format!("[DEFAULT]\n{text}"));
    let conf_args = ["--config-file", "k.conf"];
    let upper = project().image("Nova", Some("base"), "");
    let distro = project().file("mine.toml", "[distros.debian]\nbase_image = \"Debian\"\n");
    let all = [
        refused(project(), &["--registry", "https://r.example.com"]),
        refused(project(), &["--registry", "r.example.com/"]),
        refused(project(), &["--registry", "https://me:hush@r.example.com"]),
        refused(project(), &["-n", "kolla/"]),
        refused(project(), &["--namespace", ""]),
        refused(project(), &["-n", "Kolla"]),
        refused(project(), &["--registry", "r.example.com", "-n", "s.example.com:5000/kolla"]),
        refused(project(), &["--image-name-prefix=-x"]),
        refused(project(), &["--tag", "a/b"]),
        refused(project(), &["--tag", &"t".repeat(125), "--platform", "linux/amd64,linux/arm64"]),
        refused(conf("tag = 2025.1  # my tag\nnamespace = 'kolla/ '\n"), &conf_args),
        refused(conf("openstack_release = 2025.1 ; ours\n"), &conf_args),
        refused(project(), &["--base-image", "Debian"]),
        refused(project(), &["--base-image", "debian:trixie"]),
        refused(project(), &["--base-tag", "trixie slim"]),
        refused(distro, &["--build-toml", "mine.toml"]),
        refused(project(), &["--retag", "2026.2"]),
        refused(project(), &["--retag", "5000/a:b"]),
        refused(project(), &["--cache-from", "https://r.example.com/cache"]),
        refused(project(), &["--cache-from", "type=registry,ref=R.example.com/Cache,ref=x"]),
        refused(project(), &["--insecure-registries", "r.example:5000,http://s.example"]),
        refused(upper, &[]),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn files_and_directories_that_are_not_there() {
    let patches = project().file("patches", "no directory").file("mine.j2", "").file("trees/x/a", "");
    let all = [
        refused(
            patches,
            &[
                "--patches-path=patches",
                "--template-override=mien.j2",
                "--docker-dir=tree",
                "--repos-yaml=trees",
                "--registry-ca=ca.pem",
            ],
        ),
        refused(project().file("k.conf", "[DEFAULT]\napt_preferences = p\n"), &["--config-file", "k.conf"]),
        refused(project(), &["--patches-path", "patches"]),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn two_tasks_at_once() {
    let conf = project().file("k.conf", "[DEFAULT]\nlist_images = true\n");
    let all = [
        refused(project(), &["--prune", "--template-only"]),
        refused(project(), &["--verify-registry", "--prune"]),
        refused(project(), &["--plan", "--lock=x"]),
        refused(project(), &["--merge-summaries", "a", "--list-images"]),
        refused(conf, &["--config-file", "k.conf", "--plan"]),
        refused(project(), &["--dry-run"]),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn of_kollas_own_tasks_the_first_counts_as_there() {
    let list = |arguments: &[&str]| project().run(arguments).exits(0);
    let run = list(&["--list-dependencies", "--list-images"]);
    assert!(run.stdout.starts_with("1 : "), "{run}");
    let run = list(&["--list-images", "--save-dependency", "graph.dot", "--list-dependencies"]);
    assert!(
        run.stdout.is_empty() && run.tells("Container images dependency are saved in graph.dot"),
        "{run}"
    );
    let run =
        list(&["--list-images", "--template-only", "--save-dependency", "graph.dot", "--work-dir", "w"]);
    assert!(run.stdout.is_empty() && run.stderr.contains("Dockerfiles are generated in w/docker"), "{run}");
}

#[test]
fn what_is_wrong_is_told_behind_the_values_in_force() {
    let project = project().file("k.conf", "[DEFAULT]\ntag = 1  # mine\nregistry = https://r\n");
    let run = project.run(["--config-file", "k.conf", "--print-config"]).exits(2);
    assert!(run.stdout.contains("tag = \"1  # mine\"    # k.conf:2"), "{run}");
    assert!(run.tells("error: 2 values of the configuration can't be used"), "{run}");
    assert!(run.stderr.contains("k.conf:3: [DEFAULT] registry: 'https://r'"), "{run}");
}

#[test]
fn names_that_kolla_builds_under_are_built_under() {
    for (arguments, image) in [
        (vec!["--registry", "r.example:5000/team", "-n", "a/b"], "r.example:5000/team/a/b/keystone"),
        (vec!["--registry", "[::1]:5000"], "[::1]:5000/kolla/keystone"),
        (vec!["--registry", "localhost", "--image-name-prefix", "x-"], "localhost/kolla/x-keystone"),
        (vec!["--registry", "", "-n", "r.example.com"], "r.example.com/keystone"),
        (vec!["--base-image", "", "--build-args", "A:x=y,B:u://v"], "kolla/keystone"),
    ] {
        let daemon = FakeDocker::with_base_image();
        let run = project()
            .with_engine(&daemon)
            .run([arguments, vec!["--tag", "_t", "^keystone$"]].concat())
            .exits(0);
        let tagged = format!("Successfully tagged {image}:_t");
        assert!(run.stderr.contains(&tagged), "{tagged}: {run}");
    }
}

#[test]
fn what_does_nothing_is_told_and_the_rest_done() {
    let daemon = FakeDocker::with_base_image();
    let conf = "[DEFAULT]\nallowed_to_fail = keystoen\ninstall_type = source\nregistry = quay\nlocals_base = . # here\n\n\
                [profiles]\nmine = keystone,memcache$\n";
    let toml = "[unbuildable]\n\"debain+aarch64\" = [\"keystone\", \"nova\"]\n";
    let project = project()
        .with_engine(&daemon)
        .file("k.conf", conf)
        .file("mine.toml", toml)
        .file("patches/keystone/series", "a.patch\n")
        .file("patches/keystone/a.patch", "")
        .file("patches/memcached/b.patch", "")
        .file("patches/keystoen/series", "");
    let files = ["--config-file", "k.conf", "--build-toml", "mine.toml", "--patches-path", "patches"];
    let told =
        [vec!["--profile", "mine"], vec!["keystone", "mariabd", "--plan-format", "json"]].map(|more| {
            let run = project.run([&files[..], &more].concat()).exits(0);
            let warnings: Vec<&str> =
                run.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
            format!("$ kolla-build {}\n{}\n\n", more.join(" "), warnings.join("\n"))
        });
    insta::assert_snapshot!(told.concat());
}

#[test]
fn variables_count_more_than_files_and_less_than_the_command_line() {
    let project = project().file("k.conf", "[DEFAULT]\ntag = file\nnamespace = file\nthreads = 2\n");
    let run = |arguments: &[&str]| {
        let variables = [
            ("OS_DEFAULT__NAMESPACE", "team"),
            ("OS_DEFAULT__TAG", "variable"),
            ("OS_DEFAULT__TRANSPORT_URL", "rabbit://of-nova"),
            ("OS_KEYSTONE__VERSION", "7"),
        ];
        let mut command = project.command([&["--config-file", "k.conf"], arguments].concat());
        command.envs(variables);
        Running::spawn(command).end()
    };
    let printed = run(&["--print-config", "--tag=line"]).exits(0);
    for line in [
        "tag = line    # command line",
        "namespace = team    # variable OS_DEFAULT__NAMESPACE",
        "threads = 2    # k.conf:4",
        "version = 7    # variable OS_KEYSTONE__VERSION",
    ] {
        assert!(printed.stdout.lines().any(|told| told == line), "{line}: {printed}");
    }
    assert!(!printed.stdout.contains("of-nova") && printed.stderr.is_empty(), "{printed}");
    let mut command = project.command(["--list-images"]);
    command.env("OS_DEFAULT__TAG", "a/b");
    let refused = Running::spawn(command).end().exits(2);
    assert!(refused.tells("error: variable OS_DEFAULT__TAG: [DEFAULT] tag: 'a/b' is not a tag"), "{refused}");
}

#[test]
fn options_may_be_written_short() {
    let run = project().run(["--list-im", "--thread", "4", "--enab", "keystone"]).exits(0);
    assert_eq!(run.stdout.lines().count(), 2, "{run}");
    let conf = project().file("k.conf", "[DEFAULT]\ntag = short\n");
    let run = conf.run(["--config-f", "k.conf", "--print-c"]).exits(0);
    assert!(run.stdout.contains("tag = short    # k.conf:2"), "{run}");
}

#[test]
fn an_engine_endpoint_that_is_none() {
    let conf = project().file("k.conf", "[DEFAULT]\nengine = podman\npodman_base_url = /run/podman.sock\n");
    let options = [
        refused(project(), &["--engine-host", "nonsense"]),
        refused(conf, &["--config-file", "k.conf"]),
        refused(project(), &["--engine-host", "mips=tcp://localhost:1"]),
        refused(project(), &["--locked=nosuch.lock"]),
    ];
    let told = ["nonsense", "tcp://192.0.2.1:2375", "ssh://user:word@host"].map(|endpoint| {
        let project = project();
        let output = project.command(["--work-dir", "work"]).env("DOCKER_HOST", endpoint).output();
        let output = output.expect("the binary starts");
        assert_eq!(output.status.code(), Some(2));
        assert!(!project.path("work").exists());
        format!("DOCKER_HOST={endpoint}\n{}\n", String::from_utf8_lossy(&output.stderr))
    });
    insta::assert_snapshot!(options.concat() + &told.concat());
}

#[test]
fn sources_and_patches() {
    let source = |text: &str| project().file("k.conf", &format!("[keystone]\n{text}"));
    let conf_args = ["--config-file", "k.conf"];
    let patches = project().file("patches/keystone/series", "# ours\nfix.patch\n");
    let all = [
        refused(source("type = gti\nlocation = https://example.org/keystone\n"), &conf_args),
        refused(source("type = git\nlocation = https://example.org/keystone\n"), &conf_args),
        refused(source("type = pypi\nname = keystone\n"), &conf_args),
        refused(patches, &["--patches-path", "patches"]),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn names_that_mean_nothing_are_warned_of() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon).file(
        "k.conf",
        "[DEFAULT]\nthread = 4\n\n[keystoen]\ntype = git\n\n[keystone]\nlocaton = x\n\n[kolla-user]\nuidd = 1\n",
    );
    let run = project.run(["--config-file", "k.conf", "--list-images"]).exits(0);
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn a_dockerfile_without_a_from_is_told_before_anything_is_built() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon).file("images/lost/Dockerfile.j2", "RUN something\n");
    let run = project.run([""; 0]).exits(2);
    assert_eq!(daemon.order(), [""; 0], "{run}");
    assert!(run.tells("error: lost/Dockerfile.j2 renders a Dockerfile without FROM"), "{run}");
    assert!(run.tells("  hint: begin it with FROM {{ namespace }}"), "{run}");
    // Who does not ask for it is not kept from the others.
    project.run(["^base$"]).exits(0);
    assert_eq!(daemon.order(), ["base"]);
}

#[test]
fn a_dockerfile_that_names_no_image_is_told_before_anything_is_built() {
    let daemon = FakeDocker::with_base_image();
    let project =
        project().with_engine(&daemon).file("images/odd/Dockerfile.j2", "FROM x\nCOPY --from=Y /a /\n");
    let run = project.run([""; 0]).exits(2);
    assert_eq!(daemon.order(), [""; 0], "{run}");
    let told = "error: odd/Dockerfile.j2 renders a Dockerfile that names no image in line 2: 'Y' is not an image reference";
    assert!(run.tells(told), "{run}");
    project.run(["^base$"]).exits(0);
    assert_eq!(daemon.order(), ["base"]);
}

#[test]
fn an_image_that_nobody_asks_for_may_be_called_anything() {
    let daemon = FakeDocker::with_base_image();
    let project = project().with_engine(&daemon).file("images/Odd/Dockerfile.j2", "FROM x\n");
    let run = project.run([""; 0]).exits(2);
    assert!(run.tells("error: Odd: no image can be called "), "{run}");
    project.run(["^base$"]).exits(0);
    assert_eq!(daemon.order(), ["base"]);
}

#[test]
fn what_a_template_joins_is_limited() {
    for sign in [" ~ ", " + "] {
        let joined = ["text"; 190].join(sign);
        let of = |length: &str| {
            format!("{{% set text = 'x' * {length} %}}{{% if ({joined}) == 'x' %}}{{% endif %}}\n")
        };
        let run = Project::empty().image("base", None, &of("1000000")).run(["--list-images"]).exits(1);
        assert!(run.stderr.contains("base/Dockerfile.j2:3"), "{run}");
        assert!(
            run.stderr.contains("text of over 268435456 bytes is more than a template may make"),
            "{run}"
        );
        Project::empty().image("base", None, &of("1000")).run(["--list-images"]).exits(0);
    }
}

#[test]
fn repositories_that_cannot_be_written_are_refused_with_file_and_line() {
    for (text, told) in [
        ("", "repos.yaml: it is empty"),
        (
            "rocky:\n  own:\n    gpgkey:\n      - a\n",
            "repos.yaml: line 3: repository 'own' in section 'rocky': gpgkey is a list",
        ),
        (
            "rocky:\n  own:\n    baseurl:\n",
            "repos.yaml: line 3: repository 'own' in section 'rocky': baseurl has no value",
        ),
    ] {
        let run =
            project().file("repos.yaml", text).run(["--repos-yaml=repos.yaml", "--list-images"]).exits(2);
        assert!(run.stderr.contains(told), "{run}");
    }
}

#[test]
fn no_template_ends_the_process() {
    for (text, told) in [
        (
            format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(7_000)),
            "100 tags and branches within each other",
        ),
        (format!("{{{{ a{} }}}}", "[0]".repeat(33_000)), "an expression this long or deep"),
        (
            "{{ [1] | tojson(9999999999) }}".to_string(),
            "a width of 9999999999 is more than a template may make",
        ),
        (format!("{{{{ [{}] }}}}", "'a' * 10 ** 8, ".repeat(5_000)), "is more than a template may make"),
    ] {
        let file =
            format!("{{% extends parent_template %}}\n{{% block footer %}}\n{text}\n{{% endblock %}}\n");
        let project =
            Project::empty().image("base", None, "{% block footer %}{% endblock %}\n").file("o.j2", &file);
        let run = project.run(["--template-override=o.j2", "--list-images"]).exits(1);
        assert!(run.stderr.contains("o.j2:3: ") && run.stderr.contains(told), "{}", &run.stderr[..600]);
    }
}
