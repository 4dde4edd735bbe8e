//! Writes the report into the run folder: `report.json`, `charts/*.svg`, `report.html`.

use std::fs;
use std::path::{Path, PathBuf};

use driftgauge_record::RunDir;

use crate::charts;
use crate::{Report, ReportError, render_html};

/// Builds, draws and writes the report of a run; gives the path of the page.
///
/// # Errors
/// When the folder is no run, a chart cannot be drawn, or a file cannot be written.
pub fn write_report(run: &RunDir) -> Result<PathBuf, ReportError> {
    let report = Report::build(run)?;
    let mut json = serde_json::to_string_pretty(&report).unwrap_or_default();
    json.push('\n');
    write(&run.report_json(), &json)?;
    let folder = run.charts();
    fs::create_dir_all(&folder).map_err(|source| ReportError::Write {
        path: folder.clone(),
        source,
    })?;
    for figure in report.figures() {
        let svg = charts::alone(&charts::draw(figure)?, figure);
        write(&folder.join(format!("{}.svg", figure.id)), &svg)?;
    }
    let path = run.report_html();
    write(&path, &render_html(&report)?)?;
    Ok(path)
}

fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    fs::write(path, text).map_err(|source| ReportError::Write {
        path: path.to_owned(),
        source,
    })
}
