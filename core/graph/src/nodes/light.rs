//! The nodes that are made in this process.

use std::fs;
use std::path::Path;

use driftgauge_compare::Compared;
use driftgauge_data::dataset::Row;
use driftgauge_problem::{Context as _, Problem};
use driftgauge_record::write_samples;
use serde_json::json;

use super::artifacts::{COMPARISONS, COMPLETIONS, METRIC, ROWS, keep, write_json};
use super::compare::{clusters, compare_node, options, trainings_node};
use super::judging::judge_by_rule;
use super::only::OnlySamples;
use super::recorded;
use super::samples::ModelSamples;
use crate::context::Context;
use crate::judge_check::{JUDGE_ERROR, judge_errors};
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
            let mut settings = context.experiment.metrics[metric].clone();
            let mut notes = Vec::new();
            if let Some(check) = &context.experiment.evaluations[evaluation].judge_check
                && context.metrics.identify(&settings)?.takes_judge_error
            {
                let (errors, said) = judge_errors(context, evaluation, check)?;
                settings.config[JUDGE_ERROR] = json!(errors);
                notes = said;
            }
            let mut samples = ModelSamples::new(context, evaluation, model)?;
            let hooks = context.hooks(node);
            let mut output = match settings.only.clone() {
                None => context.metrics.run(&settings, &mut samples, hooks)?,
                Some(only) => {
                    let evaluation = &context.experiment.evaluations[evaluation];
                    let mut some = OnlySamples::new(samples, &only, evaluation);
                    let mut output = context.metrics.run(&settings, &mut some, hooks)?;
                    some.mark(&mut output);
                    output
                }
            };
            output.notes.extend(notes);
            if let Some(level) = planned.params["interval_level"].as_f64() {
                crate::intervals::fill(&mut output, level);
            }
            let clusters = clusters(context, evaluation);
            if !clusters.is_empty() {
                clusters.widen(&mut output, options(context));
            }
            write_json(&scratch.join(METRIC), &output)?;
        }
        Part::Comparison {
            evaluation,
            first_condition,
            ..
        } => {
            let clusters = clusters(context, evaluation);
            let first = first_condition.as_deref();
            let found = compare_node(context, first, &planned.inputs, &clusters)?;
            write_json(&scratch.join(COMPARISONS), &found)?;
        }
        Part::Trainings {
            evaluation,
            baseline_trainings,
            ..
        } => {
            let found = if context.experiment.evaluations[evaluation].cluster.is_some() {
                let reason = "several trainings and prompts in clusters have no interval together";
                Compared {
                    refused: Some(reason.to_owned()),
                    ..Compared::default()
                }
            } else {
                trainings_node(context, &planned.inputs, *baseline_trainings)?
            };
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
