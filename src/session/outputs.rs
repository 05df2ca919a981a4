//! The files that tell of a run: opened before it begins, written when it has ended.

use crate::config::options::ReportFormat;
use crate::config::resolved::{OutputOptions, ReportFile, SummaryOutput};
use crate::error::{EXIT_FAILED, Fatal};
use crate::report::json::{JsonSummary, JsonTarget};
use crate::report::logs::Logs;
use crate::util::write::Destination;

/// Where a run is told of.
pub struct Outputs {
    /// The JSON summary, when one is asked for.
    pub summary: Option<JsonSummary>,
    /// Files of reports and digests, by their format.
    pub files: Vec<(ReportFormat, Destination)>,
    /// A log for each image, when a directory for them is named.
    pub logs: Option<Logs>,
}

impl Outputs {
    /// Opens everything that is asked for; what can't be written then is told now and not when all is built.
    pub fn open(output: &OutputOptions) -> Result<Outputs, Fatal> {
        let summary = match &output.summary {
            SummaryOutput::Off | SummaryOutput::Console => None,
            SummaryOutput::ConsoleAndJson(None) => Some(JsonTarget::Stdout),
            SummaryOutput::ConsoleAndJson(Some(path)) => {
                Some(JsonTarget::File(open("summary-json-file", path)?))
            }
        };
        let open_report =
            |report: &ReportFile| Ok((report.format, open(&report.option.long(), &report.path)?));
        let files = output.reports.iter().map(open_report);
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
