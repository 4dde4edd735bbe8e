//! Draws the report of a run folder: `cargo run -p driftgauge-report --example draw -- FOLDER`.

fn main() -> Result<(), driftgauge_report::ReportError> {
    for folder in std::env::args().skip(1) {
        let page = driftgauge_report::write_report(&driftgauge_record::RunDir::new(folder))?;
        println!("{}", page.display());
    }
    Ok(())
}
