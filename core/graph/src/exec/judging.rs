//! Judge nodes: what the judge is asked of each sample, and its verdicts.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_engine::ResolvedMetric;
use driftgauge_engine::worker::Ask;
use driftgauge_judge::{Judge, error_verdict, exchange, plugin_verdicts, without_completion};
use driftgauge_record::{Completion, Sample, SampleBatches, Verdict, read_samples};

use super::Context;
use super::answers::round_statistics;
use super::asks::evaluated_rows;
use super::session::Answer;
use crate::artifacts::{COMPLETIONS, VERDICTS, artifact_of, completions_node, has_chat_template};
use crate::plan::Part;

/// Samples that a judging plugin is handed at a time.
const BATCH: usize = 512;

/// A sample with the question to the judge's model, or the verdict that needs none.
type Judged = (Sample, Result<Ask, Verdict>);

/// For each sample either the question to the judge's model, or the verdict that needs none.
pub(super) fn judging(context: &Context, node: usize) -> Result<Vec<Judged>, String> {
    let Part::Verdicts {
        evaluation,
        condition,
        judge,
        ..
    } = &context.plan.nodes[node].part
    else {
        return Err("not a judge node".to_owned());
    };
    let rows: HashMap<&str, &Row> = evaluated_rows(context, evaluation)
        .iter()
        .map(|row| (row.id.as_str(), row))
        .collect();
    let evaluation = &context.experiment.evaluations[evaluation];
    let turns = &evaluation.conditions[condition].turns;
    let resolved = &evaluation.judges[judge];
    let templates = Templates::default();
    let behavior = |sample: &Sample| {
        let (Some(template), Some(row)) =
            (&evaluation.behavior, rows.get(sample.sample_id.as_str()))
        else {
            return Ok(None);
        };
        templates
            .fill(template, row, None)
            .map(Some)
            .map_err(|error| error.to_string())
    };
    let has_template = match &resolved.model {
        Some(model) => has_chat_template(context, model),
        None => false,
    };
    let completions = artifact_of(context, completions_node(context, node))?;
    let samples =
        read_samples(&completions.path(COMPLETIONS)).map_err(|error| error.to_string())?;
    Ok(samples
        .into_iter()
        .map(|sample| {
            let ask = match without_completion(&sample) {
                Some(verdict) => Err(verdict),
                None if resolved.model.is_none() => Err(resolved
                    .judge
                    .verdict_of_text(&sample.completion.text)
                    .unwrap_or_else(|| error_verdict("this judge needs a model"))),
                None => behavior(&sample)
                    .and_then(|behavior| {
                        resolved
                            .judge
                            .request(&exchange(turns, &sample, behavior), has_template)
                            .map_err(|error| error.to_string())
                    })
                    .map(Ask::Generate)
                    .map_err(|error| error_verdict(&error)),
            };
            (sample, ask)
        })
        .collect())
}

/// Verdicts of a judge's model, from its answers.
pub(super) fn judge_by_answers(
    context: &Context,
    node: usize,
    answers: Vec<Answer>,
    path: &Path,
) -> Result<(), String> {
    let Part::Verdicts {
        evaluation, judge, ..
    } = &context.plan.nodes[node].part
    else {
        return Err("not an inference node".to_owned());
    };
    let resolved = &context.experiment.evaluations[evaluation].judges[judge];
    let mut answers = answers.into_iter();
    let verdicts = judging(context, node)?.into_iter().map(|(sample, ask)| {
        let verdict = match ask {
            Err(verdict) => verdict,
            Ok(_) => match answers
                .next()
                .unwrap_or_else(|| Err("no answer".to_owned()))
            {
                Ok(answer) => serde_json::from_value(answer).map_or_else(
                    |error| error_verdict(&error.to_string()),
                    |mut completion: Completion| {
                        round_statistics(&mut completion);
                        resolved.judge.read(&completion)
                    },
                ),
                Err(error) => error_verdict(&error),
            },
        };
        (sample, verdict)
    });
    write_verdicts(path, verdicts)
}

/// Verdicts that need no model, made in this process.
pub(crate) fn judge_by_rule(context: &Context, node: usize, folder: &Path) -> Result<(), String> {
    let judged = judging(context, node)?;
    let path = folder.join(VERDICTS);
    if let Part::Verdicts {
        evaluation, judge, ..
    } = &context.plan.nodes[node].part
        && let Judge::Plugin(plugin) =
            &context.experiment.evaluations[evaluation].judges[judge].judge
    {
        let samples = judged.into_iter().map(|(sample, _)| sample).collect();
        let verdicts = judge_by_plugin(context, evaluation, plugin, samples)?;
        return write_verdicts(&path, verdicts.into_iter());
    }
    let verdicts = judged.into_iter().map(|(sample, ask)| {
        let verdict = ask
            .err()
            .unwrap_or_else(|| error_verdict("this judge needs a model"));
        (sample, verdict)
    });
    write_verdicts(&path, verdicts)
}

/// Verdicts of a plugin, which sees the samples that have a completion, with their rows.
fn judge_by_plugin(
    context: &Context,
    evaluation: &str,
    plugin: &ResolvedMetric,
    samples: Vec<Sample>,
) -> Result<Vec<(Sample, Verdict)>, String> {
    let rows: HashMap<&str, &Row> = evaluated_rows(context, evaluation)
        .iter()
        .map(|row| (row.id.as_str(), row))
        .collect();
    let shown: Vec<Sample> = samples
        .iter()
        .filter(|sample| without_completion(sample).is_none())
        .map(|sample| Sample {
            row: rows
                .get(sample.sample_id.as_str())
                .map(|row| row.columns.clone())
                .unwrap_or_default(),
            ..sample.clone()
        })
        .collect();
    let each = shown.iter().cloned().map(Ok::<_, Infallible>);
    let output = context
        .metrics
        .run(plugin, &mut SampleBatches::new(each, BATCH))?;
    let mut verdicts = plugin_verdicts(output, &shown)?.into_iter();
    Ok(samples
        .into_iter()
        .map(|sample| {
            let verdict = without_completion(&sample)
                .or_else(|| verdicts.next())
                .unwrap_or_else(|| error_verdict("the plugin gave no verdict"));
            (sample, verdict)
        })
        .collect())
}

fn write_verdicts(
    path: &Path,
    verdicts: impl Iterator<Item = (Sample, Verdict)>,
) -> Result<(), String> {
    let mut text = String::new();
    for (sample, verdict) in verdicts {
        let line = serde_json::json!({
            "sample_id": sample.sample_id,
            "sample_index": sample.sample_index,
            "verdict": verdict,
        });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    std::fs::write(path, text)
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}
