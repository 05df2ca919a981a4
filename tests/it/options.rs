//! The command line, its documentation, and what configuration files mean.

use std::fmt::Write as _;

use kolla_build::cli;
use kolla_build::config::options::{
    CommandLineForm, KollaDifference, OPTIONS, OptionGroup, OptionOrigin, OptionSpec, OptionTable,
    OutputPath, ReportFormat, ValueKind,
};
use kolla_build::config::shipped::Defaults;

use crate::support::project::Project;

/// Every option that `kolla-build --help` of kolla 23.0.0 lists, with a value for those that take one.
const KOLLA: &str = "-h --help --base=debian -b=debian --base-arch=x86_64 --base-image=x --base-tag=x --build-args=A:1 \
    --buildkit --buildkit-builder=x --cache --config-dir=x --config-file=x --debian-arch=amd64 --debug -d \
    --docker-dir=x -D=x --docker-healthchecks --enable-unbuildable --engine=docker --format=json -f=none \
    --image-name-prefix=x --keep --list-dependencies -l --list-images --locals-base=x --logs-dir=x --namespace=x -n=x \
    --network_mode=host --nobuildkit --nocache --nodebug --nodocker-healthchecks --noenable-unbuildable --nokeep \
    --nolist-dependencies --nolist-images --nopull --nopush --noquiet --noskip-existing --noskip-parents --nosquash \
    --nosummary --notemplate-only --nouse-dumb-init --openstack-branch=x --openstack-branch-slashed=x \
    --openstack-release=x --openstack-release-codename=x --patches-path=x --platform=x --podman_base_url=x --profile=x \
    -p=x --pull --push --push-threads=1 --quiet -q --registry=x --repos-yaml=x --retries=0 -r=1 --save-dependency=x \
    --shell_completion=bash --skip-existing --skip-parents --squash --summary --summary-json-file=x --tag=x \
    --tarballs-base=x --template-only --template-override=x --threads=1 -T=1 --timeout=1 --use-dumb-init --version \
    --work-dir=x";

#[test]
fn every_option_of_kolla_is_taken() {
    for option in KOLLA.split_whitespace() {
        if let Err(error) = cli::parse(OPTIONS, ["kolla-build", option].map(Into::into)) {
            assert_eq!(error.exit_code(), 0, "{option}: {error}");
        }
    }
}

#[test]
fn values_are_told_with_their_layer_and_without_secrets() {
    let project = Project::new()
        .file(
            "k.conf",
            "[DEFAULT]\ntag = ${base}-$base_tag\npip_index_url = https://me:hush@pypi/simple\nregex = nova\n",
        )
        .file("build.toml", "[options]\nthreads = 3\n");
    let run = project.run([
        "--print-config",
        "--config-file=k.conf",
        "--build-toml=build.toml",
        "--build-args=DB_PASSWORD:hush,V:1",
        "^keystone$",
    ]);
    assert_eq!(run.status, Some(0), "{run:?}");
    for line in [
        "base = debian    # command line",
        "base_tag = trixie    # derived",
        "tag = debian-trixie    # k.conf:2",
        "namespace = kolla    # built in",
        "threads = 3    # build.toml:2",
        "pip_index_url = https://***@pypi/simple    # k.conf:3",
        "build_args = DB_PASSWORD:***,V:1    # command line",
        "regex = ^keystone$    # command line",
        "# registry is not set",
    ] {
        assert!(run.stdout.lines().any(|told| told == line), "{line} is not in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("hush") && !run.stdout.contains("regex = nova"), "{}", run.stdout);
}

#[test]
fn keys_that_oslo_config_ignores_are_told() {
    let project = Project::new().file("k.conf", "[DEFAULT]\nbase-tag = x\n[default]\ntag = y\n");
    let run = project.run(["--config-file=k.conf", "--list-images"]);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert_eq!(
        run.stderr,
        "warning: k.conf:2: [DEFAULT] unknown option 'base-tag': did you mean 'base_tag'?\n\
         warning: k.conf:4: unknown section 'default': did you mean 'DEFAULT'?\n"
    );
}

#[test]
fn scripts_and_the_manual_page_know_the_options() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = project.run([format!("--completion={shell}")]).stdout;
        for word in ["kolla-build", "strict-overrides", "explain"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    let manual = project.run(["--man"]).stdout;
    assert!(manual.contains(".TH kolla-build 1"), "{manual}");
    assert!(manual.contains("strict\\-overrides"), "{manual}");
}

#[test]
fn help_is_short_or_long() {
    let project = Project::new();
    let (short, long) = (project.run(["-h"]).stdout, project.run(["--help"]).stdout);
    assert!(short.lines().count() < 55, "{short}");
    for text in
        ["Templates:", "Templates (not in Kolla):", "--report <FILE>", "[default: rocky]", "Exit codes:"]
    {
        assert!(long.contains(text), "{text} is not in\n{long}");
    }
    for option in OPTIONS.iter().filter(|option| option.form == CommandLineForm::Named) {
        assert!(long.contains(&format!("--{}", option.long())), "{}", option.name);
    }
}

const INTRODUCTION: &str = "\
# Options

<!-- Made from src/config/options.rs by tests/it/options.rs: UPDATE_OPTIONS=1 cargo test --test it options -->

Every option can be given on the command line, as a key of `[DEFAULT]` in a `kolla-build.conf`, and as a key of a
`build.toml`. What counts, the least important first: the `build.toml` inside the program, values worked out from others,
your `build.toml` (`--build-toml`, else `~/.kolla` or `/etc/kolla`), your `kolla-build.conf` files (`--config-file`,
`--config-dir`, else those that oslo.config searches for), variables of the environment as oslo.config reads them
(`OS_DEFAULT__TAG=x`, `OS_ETCD__VERSION=x`), the command line. Options that may be repeated add up over all of these;
regexes of the command line replace those of files. `kolla-build --print-config` shows every value and where it
was set.

Configuration files are read as oslo.config reads them: quotes, continued lines, `$name`, `${name}`, `${section.name}`,
`$$`, lists, dicts. Kolla ignores unknown keys and sections; here they are told with the nearest valid name. A comment
takes a line of its own, as there; what looks like one behind a value is told. Different on purpose: an empty number is an
error here, while Kolla goes on without one; `${DEFAULT.name}` works; the command line counts more than a variable also when
a file sets the same, where oslo.config forgets it.

On the command line, names may be written short: `--list-im`, `--thread 4`. What is unambiguous among Kolla's options means
what it means to Kolla; other abbreviations stand for the options that are new.

What can't be used is told at once, with its file and line or its option, and all of it together: values of the wrong kind,
names that no image can have, files and directories that are not there. Options that are done instead of building exclude
each other, but Kolla's own: of these the first counts, in the order in which they stand below.

";

const SECTIONS: &str = "
## Sections

| Section of kolla-build.conf | build.toml | Keys | Compared with Kolla |
|---|---|---|---|
| `[<image>]`, `[<image>-plugin-<x>]`, `[<image>-additions-<x>]` | `[sources.<name>]` | `type`, `location`, `reference`, \
`enabled`, `version`, `sha256`, `name` | the type `pypi`, with `name` and `version`, is new; `sha256` may be one checksum \
for every architecture |
| `[<user>-user]` | `[users.<user>]` | `uid`, `gid`, `group` | same as Kolla |
| `[profiles]` | `[profiles]` | name of the profile: list of regexes | same as Kolla |
| | `[unbuildable]` | `distro`, `arch` or `distro+arch`: list of images | new |
| | `[distros.<distro>]` | `base_image`, `base_tag`, `pretty_name`, `package_type`, `package_manager` | new |

## On the command line only

| Option | | Compared with Kolla |
|---|---|---|
| `--config-file FILE`, `--config-dir DIR` | configuration to read; may be repeated | same as Kolla |
| `--build-toml FILE` | build.toml to read; may be repeated | new |
| `--print-config` | print every value in force and where it was set | new |
| `--completion SHELL`, `--shell_completion SHELL` | completion script for bash, zsh or fish | fish is new |
| `--man` | the manual page | new |
| `-h`, `--help` | `-h` is a summary | Kolla's two are the same |
| `-V`, `--version` | this program's version | Kolla prints Kolla's, which is `kolla_version` here |
";

fn document(table: OptionTable) -> String {
    let defaults = Defaults::of(table).expect("the shipped build.toml is valid");
    let mut text = INTRODUCTION.to_string();
    for group in OptionGroup::ALL {
        let columns = "| Option | kolla-build.conf | build.toml | Default | | Compared with Kolla |\n|---|---|---|---|---|---|\n";
        write!(text, "## {}\n\n{columns}", group.heading()).expect("a string takes everything");
        for option in table.of_group(group) {
            writeln!(
                text,
                "| {} | `{}` | {} | {} | {} | {} |",
                on_command_line(option),
                option.name,
                in_build_toml(option),
                default(option, &defaults),
                escape(option.help),
                compared(option),
            )
            .expect("a string takes everything");
        }
        text.push('\n');
    }
    text.trim_end().to_string() + "\n" + SECTIONS
}

fn on_command_line(option: &OptionSpec) -> String {
    match option.form {
        CommandLineForm::Named => {}
        CommandLineForm::Positional => return format!("`{}...`", option.value_name),
        CommandLineForm::Absent => return String::new(),
    }
    let long = option.long();
    let short = option.short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let value = option.value_name.replace('|', "\\|");
    match option.kind {
        ValueKind::Flag => format!("{short}`--{long}`, `--no{long}`"),
        ValueKind::OptionalText { .. } => format!("{short}`--{long}`, `--{long}={value}`"),
        _ => format!("{short}`--{long} {value}`"),
    }
}

fn in_build_toml(option: &OptionSpec) -> String {
    match option.release_key {
        Some(key) => format!("`release.{key}`"),
        None => format!("`options.{}`", option.name),
    }
}

fn default(option: &OptionSpec, defaults: &Defaults) -> String {
    match (defaults.shipped(option), option.kind) {
        (Some(default), ValueKind::Flag) => default.to_string(),
        (Some(default), _) => format!("`{default}`"),
        (None, ValueKind::Flag) => "off".to_string(),
        (None, _) => escape(option.default.unwrap_or_default()),
    }
}

fn compared(option: &OptionSpec) -> String {
    match (option.difference, option.origin) {
        (KollaDifference::Refused(reason), _) => format!("refused: {reason}"),
        (KollaDifference::Differs(difference), _) => difference.to_string(),
        (KollaDifference::Same, OptionOrigin::Ours) => "new".to_string(),
        (KollaDifference::Same, OptionOrigin::Kolla) => "same as Kolla".to_string(),
    }
}

fn escape(text: &str) -> String {
    text.replace('<', "&lt;").replace('|', "\\|")
}

#[test]
fn docs_options_md_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/options.md");
    let expected = document(OPTIONS);
    if std::env::var_os("UPDATE_OPTIONS").is_some() {
        std::fs::write(path, &expected).expect("docs/options.md can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/options.md is out of date: run UPDATE_OPTIONS=1 cargo test --test it options"
    );
}

#[test]
fn a_new_option_has_its_row() {
    let option = OptionSpec::ours(OptionGroup::Output, "tap", ValueKind::Text, "Write a TAP report")
        .writes(OutputPath::Report(ReportFormat::Junit))
        .default("none");
    let table = OptionTable([OPTIONS.0, &[option]].concat().leak());
    let row = "| `--tap FILE` | `tap` | `options.tap` | none | Write a TAP report | new |";
    assert!(document(table).lines().any(|line| line == row));
}
