//! An option is one entry of the table: one that is added to a copy of it arrives everywhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::export_pipeline::{PlaceInJobs, place_in_jobs};
use super::watch::image_inputs;
use crate::cli::{self, Request};
use crate::config::command_line::CommandLine;
use crate::config::layer::Layers;
use crate::config::load::load;
use crate::config::options::{
    InputPath, OPTIONS, OptionGroup, OptionRole, OptionSpec, OptionTable, OutputPath, ReportFormat, ValueKind,
};
use crate::config::resolve::resolve;
use crate::config::{inputs, settings};
use crate::lint::configuration::unknown_settings;
use crate::session::environment::Environment;
use crate::session::places;
use crate::util::places::Writing;

/// The table with a report, a file that images are made from, a way to choose images, and what is about builds and releases.
fn table() -> OptionTable {
    let mut options = OPTIONS.0.to_vec();
    options.push(
        OptionSpec::ours(OptionGroup::Output, "tap", ValueKind::Text, "Write a TAP report")
            .writes(OutputPath::Report(ReportFormat::Junit))
            .common(),
    );
    options.push(
        OptionSpec::ours(OptionGroup::Templates, "motd", ValueKind::Text, "File for /etc/motd")
            .reads(InputPath::File)
            .role(OptionRole::ImageInput),
    );
    options.push(
        OptionSpec::ours(OptionGroup::Selection, "skip_old", ValueKind::Flag, "Skip old images")
            .role(OptionRole::Selects),
    );
    options.push(
        OptionSpec::ours(OptionGroup::Build, "probe", ValueKind::Many, "Command for each image")
            .role(OptionRole::OfBuilds),
    );
    options.push(
        OptionSpec::ours(OptionGroup::Output, "papers", ValueKind::Text, "Directory of each image's papers")
            .writes(OutputPath::Documents),
    );
    options.push(
        OptionSpec::ours(OptionGroup::Output, "charter", ValueKind::Text, "File about the release")
            .writes(OutputPath::Report(ReportFormat::Release)),
    );
    OptionTable(options.leak())
}

fn line(args: &[&str]) -> CommandLine {
    let args = ["kolla-build"].iter().chain(args).map(OsString::from);
    match cli::parse(table(), args) {
        Ok(Request::Run(line)) => line,
        other => panic!("no command line to run: {other:?}"),
    }
}

fn loaded(args: &[&str], variables: &[(&str, &str)]) -> Layers {
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    load(&line(args), &variables.collect::<BTreeMap<_, _>>()).expect("readable")
}

#[test]
fn it_is_on_the_command_line_and_in_its_help() {
    assert_eq!(loaded(&["--tap=out.tap"], &[]).option("tap"), Ok(Some("out.tap".to_string())));
    assert_eq!(loaded(&["--mot=x"], &[]).option("motd"), Ok(Some("x".to_string())), "abbreviated");
    let (short, long) = (cli::command(table()).render_help(), cli::command(table()).render_long_help());
    for (help, texts) in [
        (short.to_string(), &["Logs and reports (not in Kolla):\n", "--tap <FILE>  Write a TAP report"][..]),
        (long.to_string(), &["--tap <FILE>", "--motd <FILE>", "--skip-old"]),
    ] {
        for text in texts {
            assert!(help.contains(text), "{text} is not in\n{help}");
        }
    }
    assert!(!short.to_string().contains("--motd"));
}

#[test]
fn files_and_variables_set_it() {
    let dir = tempfile::tempdir().expect("tmp");
    let written = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("write");
        path.display().to_string()
    };
    let toml = format!("--build-toml={}", written("build.toml", "[options]\nskip_old = true\n"));
    let ini = format!("--config-file={}", written("k.conf", "[DEFAULT]\ntap = a\nmotdd = b\n"));
    let layers = loaded(&[&toml, &ini], &[("OS_DEFAULT__MOTD", "m")]);
    assert_eq!(layers.flag("skip_old"), Ok(true));
    assert_eq!(layers.option("tap"), Ok(Some("a".to_string())));
    assert_eq!(layers.option("motd"), Ok(Some("m".to_string())));
    let warnings = unknown_settings(&layers, &[]);
    assert!(warnings.len() == 1 && warnings[0].contains("did you mean 'motd'?"), "{warnings:?}");
    let shown = settings::settings(&layers).expect("valid");
    assert!(shown.iter().any(|setting| setting.name == "tap"));
}

#[test]
fn what_it_names_is_read_written_and_watched() {
    let layers = loaded(&["--tap=out.tap", "--motd=nosuch.motd"], &[]);
    assert_eq!(image_inputs(&layers).expect("valid"), [Path::new("nosuch.motd")]);
    let missing = inputs::check(&layers).expect_err("missing").0;
    assert!(missing[0].reason.contains("there is no file 'nosuch.motd'"), "{}", missing[0]);
    let config = resolve(layers).expect("valid");
    let reports: Vec<_> = config.output.reports.iter().map(|report| report.option.name).collect();
    assert_eq!(reports, ["tap"]);
    let environment = Environment::read(BTreeMap::new()).expect("valid");
    let written = places::written(&config, &environment).expect("found");
    let tap = written.iter().find(|(_, place)| place.path == Path::new("out.tap")).expect("it is written");
    assert!(tap.0 == Writing::File && tap.1.name == "--tap out.tap");
}

#[test]
fn jobs_of_a_pipeline_get_what_is_not_of_this_run() {
    let place = |name: &str| place_in_jobs(table().find(name).expect("an option"));
    assert_eq!(place("tap"), PlaceInJobs::Nowhere);
    assert_eq!(place("motd"), PlaceInJobs::Arguments);
    assert_eq!(place("skip_old"), PlaceInJobs::Selection);
    assert_eq!(place("probe"), PlaceInJobs::Builds);
    assert_eq!(place("papers"), PlaceInJobs::KeptOfBuilds);
    assert_eq!(place("charter"), PlaceInJobs::Release);
}
