//! Writes the report into the run folder: `report.json`, `charts/*.svg`, `report.html`.

use std::fs;
use std::path::{Path, PathBuf};

use driftgauge_record::RunDir;

use crate::charts;
use crate::{Report, ReportError, render_html};

/// Builds, draws and writes the report of a run; gives the path of the page.
///
/// # Errors
/// When the folder is no run, or a file cannot be written.
pub fn write_report(run: &RunDir) -> Result<PathBuf, ReportError> {
    Report::build(run)?.write(run)
}

impl Report {
    /// Draws and writes the report into its run folder; gives the path of the page.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, run: &RunDir) -> Result<PathBuf, ReportError> {
        write(&run.report_json(), &self.to_json())?;
        let folder = run.charts();
        let failed = |source| ReportError::Write {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        // Charts of an earlier report that this one does not have would be taken for its own.
        for entry in fs::read_dir(&folder).map_err(failed)?.flatten() {
            if entry
                .path()
                .extension()
                .is_some_and(|ending| ending == "svg")
            {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        for figure in self.figures() {
            // A chart that cannot be drawn has a sentence on the page instead.
            if let Ok(svg) = charts::alone(figure) {
                write(&folder.join(format!("{}.svg", figure.id)), &svg)?;
            }
        }
        let path = run.report_html();
        write(&path, &render_html(self)?)?;
        Ok(path)
    }
}

fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    fs::write(path, text).map_err(|source| ReportError::Write {
        path: path.to_owned(),
        source,
    })
}
