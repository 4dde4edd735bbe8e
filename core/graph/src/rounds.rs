//! A run that searches: round after round, each making what the numbers so far leave to be made.

use std::sync::Arc;

use driftgauge_record::{Results, RunDir};

use crate::context::Context;
use crate::earlier::Earlier;
use crate::exec::Executor;
use crate::resolve::Prepared;
use crate::run::{RunError, RunRecord, RunSummary, round};
use crate::search;

/// Runs the plan of an experiment that searches, round after round: each makes what the numbers so far leave to be made. `context` is that
/// of `whole`; the run folder tells of what was made when this ends, after whichever round.
///
/// # Errors
/// When the folder cannot be written.
pub async fn run_search(
    context: Arc<Context>,
    executor: Arc<dyn Executor>,
    whole: &Prepared,
    out: &RunDir,
    record: &RunRecord,
) -> Result<RunSummary, RunError> {
    let mut earlier = Earlier::default();
    let (mut left_out, mut seconds) = (
        search::left_out(&whole.experiment, &Results::default()),
        0.0,
    );
    loop {
        let part = Arc::new(context.of_part(whole.without(&left_out)));
        let mut summary = round(part, Arc::clone(&executor), &mut earlier, out, record).await?;
        seconds += summary.seconds;
        summary.seconds = seconds;
        let next = search::left_out(&whole.experiment, &summary.results);
        // What failed is not measured, so it leads to no next round.
        if summary.interrupted || next == left_out {
            return Ok(summary);
        }
        left_out = next;
    }
}
