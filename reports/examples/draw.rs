//! Draws the report of a run folder: `cargo run -p driftgauge-report --example draw -- FOLDER`.

use driftgauge_record::RunDir;
use driftgauge_report::{Picture, Report, ReportError};

fn main() -> Result<(), ReportError> {
    for folder in std::env::args().skip(1) {
        let run = RunDir::new(folder);
        let report = Report::build(&run)?;
        println!("{}", report.write(&run)?.display());
        report.write_charts(&run.charts(), Picture::Png)?;
    }
    Ok(())
}
