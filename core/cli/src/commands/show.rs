//! `driftgauge show`: the finding and the primary numbers of a run folder, as `run` ends with them; or the prompt of a sample.

use driftgauge_problem::Result;
use driftgauge_record::RunDir;
use driftgauge_report::Report;

use crate::args::ShowArgs;
use crate::exit::Exit;

pub(crate) fn run(args: &ShowArgs) -> Result<Exit> {
    if let Some(sample) = &args.sample {
        return super::prompt::run(args, sample);
    }
    let report = Report::build(&RunDir::new(&args.dir))?;
    print!("{}", report.to_text());
    Ok(Exit::Done)
}
