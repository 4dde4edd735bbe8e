//! `driftgauge report`: draws the report of a run folder anew, without any engine.

use driftgauge_problem::{Context as _, Result};
use driftgauge_record::RunDir;

use crate::args::ReportArgs;
use crate::exit::Exit;

pub(crate) fn run(args: &ReportArgs) -> Result<Exit> {
    let dir = RunDir::new(&args.dir);
    if !dir.results().is_file() {
        eprintln!(
            "error: `{}` is not a run folder: it has no results.json\nhint: name the folder given to `driftgauge run --out`",
            args.dir.display()
        );
        return Ok(Exit::Usage);
    }
    let path = driftgauge_report::write_report(&dir).context("the report could not be written")?;
    println!("{}", path.display());
    Ok(Exit::Done)
}
