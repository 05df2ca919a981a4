//! Reports of a run, and the places where they go [pure].

use crate::config::layer::{Layers, ValueError};
use crate::config::options::OutputPath;
use crate::config::resolved::{OutputOptions, PlanFormat, ReportFile, SummaryOutput};

/// Options of the output.
pub(super) fn output(layers: &Layers) -> Result<OutputOptions, ValueError> {
    let json = layers.choice("format")?.is_none_or(|format| format == "json");
    let mut reports = Vec::new();
    for option in layers.options().iter() {
        if let (Some(OutputPath::Report(format)), Some(path)) = (option.output(), layers.path(option.name)?) {
            reports.push(ReportFile { option, format, path });
        }
    }
    Ok(OutputOptions {
        logs_dir: layers.path("logs_dir")?,
        summary: match layers.flag("summary")? {
            false => SummaryOutput::Off,
            true if !json => SummaryOutput::Console,
            true => SummaryOutput::ConsoleAndJson(layers.path("summary_json_file")?),
        },
        json,
        plan_format: match layers.choice("plan_format")?.as_deref() {
            Some("json") => PlanFormat::Json,
            _ => PlanFormat::Text,
        },
        reports,
        quiet: layers.flag("quiet")?,
        debug: layers.flag("debug")?,
    })
}
