//! Compare nodes: what metrics kept of two models, of two conditions, or of several trainings.

use driftgauge_compare::{
    Clusters, Compared, between_conditions, between_models, between_trainings,
    differences_in_differences, measured_otherwise,
};
use driftgauge_plugin_protocol::wire::MetricOutput;
use driftgauge_problem::Problem;
use driftgauge_record::value;
use driftgauge_stats::bootstrap::Options;
use serde_json::Value;

use super::artifacts::metric_output;
use crate::context::Context;

/// A model against the baseline, and against itself under other conditions. The last input is the model's metric, the one
/// before it, if any, the baseline's. `first` is the condition that others are held against, if they are.
pub(super) fn compare_node(
    context: &Context,
    first: Option<&str>,
    inputs: &[usize],
    clusters: &Clusters,
) -> Result<Compared, Problem> {
    let outputs = outputs(context, inputs)?;
    let how = (options(context), clusters);
    let (model, baseline) = match outputs.as_slice() {
        [model] => (model, None),
        [baseline, model] => (model, Some(baseline)),
        _ => return Err("a comparison has one or two sides".into()),
    };
    let refused = measured_otherwise(&outputs);
    let baseline = baseline.filter(|_| refused.is_none());
    let mut pairs = Vec::new();
    if let Some(baseline) = baseline {
        pairs.extend(between_models(baseline, model, how)?);
    }
    if let Some(first) = first {
        if let Some(baseline) = baseline {
            pairs.extend(differences_in_differences(baseline, model, first, how));
        }
        pairs.extend(between_conditions(model, first, how));
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

/// The cluster of each prompt of an evaluation, as its column says; a prompt whose cell is empty stands alone.
pub(super) fn clusters(context: &Context, evaluation: &str) -> Clusters {
    let evaluation = &context.experiment.evaluations[evaluation];
    let Some(column) = &evaluation.cluster else {
        return Clusters::default();
    };
    let rows = &context.experiment.datasets[&evaluation.dataset].rows;
    Clusters::new(rows.iter().filter_map(|row| {
        let name = match value::column(&row.columns, column)? {
            Value::String(text) => text.clone(),
            other => value::scalar_text(other)?,
        };
        (!name.trim().is_empty()).then(|| (row.id.clone(), name))
    }))
}

fn outputs(context: &Context, inputs: &[usize]) -> Result<Vec<MetricOutput>, Problem> {
    inputs
        .iter()
        .map(|&input| metric_output(context, input))
        .collect()
}

pub(super) fn options(context: &Context) -> Options {
    let experiment = &context.experiment;
    Options {
        level: experiment.compare.level,
        resamples: experiment.compare.resamples,
        seed: experiment.seed,
    }
}
