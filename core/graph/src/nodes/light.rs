//! The nodes that are made in this process.

use std::fs;
use std::path::Path;

use driftgauge_data::dataset::Row;
use driftgauge_problem::{Context as _, Problem};
use driftgauge_record::write_samples;

use super::artifacts::{COMPARISONS, COMPLETIONS, METRIC, ROWS, keep, write_json};
use super::compare::{compare_node, trainings_node};
use super::judging::judge_by_rule;
use super::recorded;
use super::samples::ModelSamples;
use crate::context::Context;
use crate::plan::Part;

/// Makes the artifact of a light node.
pub(crate) fn make(context: &Context, node: usize) -> Result<(), Problem> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    let scratch = context.store.scratch(key)?;
    match &planned.part {
        Part::Dataset(dataset) => write_rows(&context.experiment.datasets[dataset].rows, &scratch)?,
        Part::Completions {
            evaluation,
            condition,
            model,
        } => {
            let samples = recorded::samples(context, evaluation, condition, model)?;
            write_samples(&scratch.join(COMPLETIONS), samples)?;
        }
        Part::Verdicts { .. } => judge_by_rule(context, node, &scratch)?,
        Part::Metric {
            evaluation,
            metric,
            model,
        } => {
            let mut samples = ModelSamples::new(context, evaluation, model)?;
            let settings = &context.experiment.metrics[metric];
            let hooks = context.hooks(node);
            let mut output = context.metrics.run(settings, &mut samples, hooks)?;
            if let Some(level) = planned.params["interval_level"].as_f64() {
                crate::intervals::fill(&mut output, level);
            }
            write_json(&scratch.join(METRIC), &output)?;
        }
        Part::Comparison {
            first_condition, ..
        } => {
            let found = compare_node(context, first_condition.as_deref(), &planned.inputs)?;
            write_json(&scratch.join(COMPARISONS), &found)?;
        }
        Part::Trainings {
            baseline_trainings, ..
        } => {
            let found = trainings_node(context, &planned.inputs, *baseline_trainings)?;
            write_json(&scratch.join(COMPARISONS), &found)?;
        }
        Part::Model(_) | Part::Divergence { .. } => {
            return Err("this is not made in this process".into());
        }
    }
    keep(context, node, &scratch, 0)
}

fn write_rows(rows: &[Row], folder: &Path) -> Result<(), Problem> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row)?);
        text.push('\n');
    }
    let path = folder.join(ROWS);
    fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
}
