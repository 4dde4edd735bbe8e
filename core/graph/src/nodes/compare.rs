//! Compare nodes: what metrics kept of two models, of two conditions, or of several trainings.

use driftgauge_compare::{
    Compared, between_conditions, between_models, between_trainings, differences_in_differences,
    measured_otherwise,
};
use driftgauge_plugin_protocol::wire::MetricOutput;
use driftgauge_problem::Problem;
use driftgauge_stats::bootstrap::Options;

use super::artifacts::metric_output;
use crate::context::Context;

/// A model against the baseline, and against itself under other conditions. The last input is the model's metric, the one
/// before it, if any, the baseline's. `first` is the condition that others are held against, if they are.
pub(super) fn compare_node(
    context: &Context,
    first: Option<&str>,
    inputs: &[usize],
) -> Result<Compared, Problem> {
    let outputs = outputs(context, inputs)?;
    let options = options(context);
    let (model, baseline) = match outputs.as_slice() {
        [model] => (model, None),
        [baseline, model] => (model, Some(baseline)),
        _ => return Err("a comparison has one or two sides".into()),
    };
    let refused = measured_otherwise(&outputs);
    let baseline = baseline.filter(|_| refused.is_none());
    let mut pairs = Vec::new();
    if let Some(baseline) = baseline {
        pairs.extend(between_models(baseline, model, options)?);
    }
    if let Some(first) = first {
        if let Some(baseline) = baseline {
            pairs.extend(differences_in_differences(baseline, model, first, options));
        }
        pairs.extend(between_conditions(model, first, options));
    }
    Ok(Compared { pairs, refused })
}

/// All trainings of a model against all those of the baseline, which are the first inputs.
pub(super) fn trainings_node(
    context: &Context,
    inputs: &[usize],
    baselines: usize,
) -> Result<Compared, Problem> {
    let outputs = outputs(context, inputs)?;
    if let Some(reason) = measured_otherwise(&outputs) {
        return Ok(Compared {
            refused: Some(reason),
            ..Compared::default()
        });
    }
    let (baselines, models) = outputs
        .split_at_checked(baselines)
        .ok_or("a comparison of trainings lacks a side")?;
    Ok(Compared {
        pairs: between_trainings(baselines, models, options(context))?,
        refused: None,
    })
}

fn outputs(context: &Context, inputs: &[usize]) -> Result<Vec<MetricOutput>, Problem> {
    inputs
        .iter()
        .map(|&input| metric_output(context, input))
        .collect()
}

fn options(context: &Context) -> Options {
    let experiment = &context.experiment;
    Options {
        level: experiment.compare.level,
        resamples: experiment.compare.resamples,
        seed: experiment.seed,
    }
}
