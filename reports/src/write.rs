//! Writes the report into the run folder: `report.json`, `charts/*.svg`, `report.html`; and charts for papers anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use driftgauge_record::{RunDir, write_whole};

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
        write(&run.report_json(), self.to_json().as_bytes())?;
        let charts = run.charts();
        // Charts of an earlier report that this one does not have would be taken for its own.
        for entry in fs::read_dir(&charts).into_iter().flatten().flatten() {
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if Picture::ALL.iter().any(|one| Some(one.ending()) == ending) {
                fs::remove_file(&path).map_err(|source| ReportError::Write { path, source })?;
            }
        }
        self.write_charts(&charts, Picture::Svg)?;
        let path = run.report_html();
        write(&path, render_html(self)?.as_bytes())?;
        Ok(path)
    }

    /// Writes every chart as a file of its own into a folder, and says what became of them.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_charts(
        &self,
        folder: &Path,
        picture: Picture,
    ) -> Result<WrittenCharts, ReportError> {
        fs::create_dir_all(folder).map_err(|source| ReportError::Write {
            path: folder.to_owned(),
            source,
        })?;
        let mut written = WrittenCharts::default();
        for figure in self.figures() {
            let drawn = match picture {
                Picture::Svg => charts::alone(figure).map(|text| (text.into_bytes(), Vec::new())),
                Picture::Png => charts::picture(figure),
            };
            // A chart that cannot be drawn has a sentence on the page instead.
            let (bytes, boxed) = match drawn {
                Ok(drawn) => drawn,
                Err(error) => {
                    written.not_drawn.push(error.to_string());
                    continue;
                }
            };
            let name = format!("{}.{}", figure.id, picture.ending());
            if !boxed.is_empty() {
                written.boxed.push((name.clone(), boxed));
            }
            write(&folder.join(name), &bytes)?;
            written.charts += 1;
        }
        Ok(written)
    }
}

/// What became of the charts of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenCharts {
    /// Files written.
    pub charts: usize,
    /// Why others were not.
    pub not_drawn: Vec<String>,
    /// Files with the characters that stand in them as boxes with their codes, since the font of pictures lacks them.
    pub boxed: Vec<(String, Vec<char>)>,
}

/// What a chart is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// Shapes and text.
    Svg,
    /// Pixels, 300 to the inch.
    Png,
}

impl Picture {
    const ALL: [Self; 2] = [Self::Svg, Self::Png];

    fn ending(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    write_whole(path, bytes).map_err(|source| ReportError::Write {
        path: path.to_owned(),
        source,
    })
}
