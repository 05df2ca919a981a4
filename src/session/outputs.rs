//! The files that tell of a run: opened before it begins, written when it has ended.

use std::path::PathBuf;

use crate::config::resolved::OutputOptions;
use crate::error::{EXIT_FAILED, Fatal};
use crate::report::files::Format;
use crate::report::json::{JsonSummary, JsonTarget};
use crate::report::logs::Logs;
use crate::util::write::Destination;

/// Where a run is told of.
pub struct Outputs {
    /// The JSON summary, when one is asked for.
    pub summary: Option<JsonSummary>,
    /// Reports and digests.
    pub files: Vec<(Format, Destination)>,
    /// A log for each image, when a directory for them is named.
    pub logs: Option<Logs>,
}

impl Outputs {
    /// Opens everything that is asked for; what can't be written then is told now and not when all is built.
    pub fn open(output: &OutputOptions) -> Result<Outputs, Fatal> {
        let summary = match (output.summary && output.json, &output.summary_json_file) {
            (false, _) => None,
            (true, None) => Some(JsonTarget::Stdout),
            (true, Some(path)) => Some(JsonTarget::File(open("summary-json-file", path)?)),
        };
        let files = report_files(output).into_iter();
        let files = files.map(|file| Ok((file.format, open(&file.option.replace('_', "-"), &file.path)?)));
        Ok(Outputs {
            summary: summary.map(JsonSummary::new),
            files: files.collect::<Result<Vec<_>, Fatal>>()?,
            logs: None,
        })
    }

    /// Opens the directory of logs too, which only builds have.
    pub fn with_logs(self, output: &OutputOptions) -> Result<Outputs, Fatal> {
        let logs = output.logs_dir.as_deref().map(Logs::create).transpose();
        Ok(Outputs { logs: logs.map_err(|error| Fatal::new(&error, EXIT_FAILED))?, ..self })
    }
}

fn open(option: &str, path: &std::path::Path) -> Result<Destination, Fatal> {
    Destination::open(path).map_err(|error| {
        Fatal::message(format!("--{option}: cannot write {}: {error}", path.display()), EXIT_FAILED)
            .hinted("nothing has been built; name a file in a directory that is there and can be written to")
    })
}

/// A report that is asked for.
pub struct ReportFile {
    /// The option that names it.
    pub option: &'static str,
    /// What it holds.
    pub format: Format,
    /// Where it goes.
    pub path: PathBuf,
}

/// The reports that are asked for.
pub fn report_files(output: &OutputOptions) -> Vec<ReportFile> {
    let files = [
        ("report", Format::Json, &output.report),
        ("junit", Format::Junit, &output.junit),
        ("html", Format::Html, &output.html),
        ("digests", Format::Digests, &output.digests),
        ("digests_ansible", Format::AnsibleDigests, &output.digests_ansible),
    ];
    let asked = |(option, format, path): (_, _, &Option<PathBuf>)| {
        Some(ReportFile { option, format, path: path.clone()? })
    };
    files.into_iter().filter_map(asked).collect()
}
