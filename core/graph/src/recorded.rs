//! Completions made elsewhere, read as if they had been generated here.

use driftgauge_record::Sample;

use crate::exec::{Context, prompts};

/// The samples of a recorded model under one condition.
pub(crate) fn samples(
    context: &Context,
    evaluation: &str,
    condition: &str,
    model: &str,
) -> Result<Vec<Sample>, String> {
    let _ = (context, prompts(context, evaluation, condition)?, model);
    Err("recorded".to_owned())
}
