//! Judge nodes: what the judge is asked of each sample, and its verdicts.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_engine::ResolvedMetric;
use driftgauge_engine::worker::{Answer, Ask};
use driftgauge_judge::{Judge, exchange, plugin_verdicts, without_completion};
use driftgauge_problem::{Context as _, Problem};
use driftgauge_record::{Sample, SampleBatches, Verdict, read_samples};

use super::artifacts::{COMPLETIONS, VERDICTS, artifact_of};
use super::inference::{Failure, Inference, no_answer};
use super::models::has_chat_template;
use super::prompts::evaluated_rows;
use crate::context::Context;
use crate::plan::Part;

/// Samples that a judging plugin is handed at a time.
const BATCH: usize = 512;

/// A sample with the question to the judge's model, or the verdict that needs none.
type Judged = (Sample, Result<Ask, Verdict>);

/// For each sample either the question to the judge's model, or the verdict that needs none.
fn judging(context: &Context, node: usize) -> Result<Vec<Judged>, Problem> {
    let Part::Verdicts {
        evaluation,
        condition,
        judge,
        ..
    } = &context.plan.nodes[node].part
    else {
        return Err("not a judge node".into());
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
    // The first input is the node of the completions.
    let completions = artifact_of(context, context.plan.nodes[node].inputs[0])?;
    let samples = read_samples(&completions.path(COMPLETIONS))?;
    Ok(samples
        .into_iter()
        .map(|sample| {
            let ask = match without_completion(&sample) {
                Some(verdict) => Err(verdict),
                None if resolved.model.is_none() => Err(resolved
                    .judge
                    .verdict_of_text(&sample.completion.text)
                    .unwrap_or_else(|| Verdict::error("this judge needs a model"))),
                None => behavior(&sample)
                    .and_then(|behavior| {
                        resolved
                            .judge
                            .request(&exchange(turns, &sample, behavior), has_template)
                            .map_err(|error| error.to_string())
                    })
                    .map(Ask::Generate)
                    .map_err(|error| Verdict::error(&error)),
            };
            (sample, ask)
        })
        .collect())
}

/// The verdicts of a judge's model on one model under one condition.
pub(super) struct Judging {
    judge: Judge,
    items: Vec<Judged>,
}

impl Judging {
    /// The samples with what the judge is asked of each.
    pub(super) fn new(context: &Context, node: usize) -> Result<Self, Problem> {
        let Part::Verdicts {
            evaluation, judge, ..
        } = &context.plan.nodes[node].part
        else {
            return Err("not a judge node".into());
        };
        let resolved = &context.experiment.evaluations[evaluation].judges[judge];
        Ok(Self {
            judge: resolved.judge.clone(),
            items: judging(context, node)?,
        })
    }
}

impl Inference for Judging {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn ask(&self, item: usize) -> Option<Ask> {
        self.items.get(item)?.1.clone().ok()
    }

    fn write(&self, answers: Vec<Option<Answer>>, folder: &Path) -> Result<Vec<Failure>, Problem> {
        let verdicts = self
            .items
            .iter()
            .zip(answers)
            .map(|((sample, ask), answer)| {
                let verdict = match ask {
                    Err(verdict) => verdict.clone(),
                    Ok(_) => self.verdict(answer.unwrap_or_else(no_answer)),
                };
                (sample, verdict)
            });
        write_verdicts(&folder.join(VERDICTS), verdicts)?;
        Ok(Vec::new())
    }
}

impl Judging {
    fn verdict(&self, answer: Answer) -> Verdict {
        match answer.and_then(|answered| answered.completion()) {
            Ok(mut completion) => {
                completion.round_statistics();
                self.judge.read(&completion)
            }
            Err(error) => Verdict::error(&error.to_string()),
        }
    }
}

/// Verdicts that need no model, made in this process.
pub(super) fn judge_by_rule(context: &Context, node: usize, folder: &Path) -> Result<(), Problem> {
    let judged = judging(context, node)?;
    let path = folder.join(VERDICTS);
    if let Part::Verdicts {
        evaluation, judge, ..
    } = &context.plan.nodes[node].part
        && let Judge::Plugin(plugin) =
            &context.experiment.evaluations[evaluation].judges[judge].judge
    {
        let samples = judged.into_iter().map(|(sample, _)| sample).collect();
        let verdicts = judge_by_plugin(context, node, evaluation, plugin, samples)?;
        return write_verdicts(
            &path,
            verdicts
                .iter()
                .map(|(sample, verdict)| (sample, verdict.clone())),
        );
    }
    let verdicts = judged.iter().map(|(sample, ask)| {
        let verdict = ask
            .clone()
            .err()
            .unwrap_or_else(|| Verdict::error("this judge needs a model"));
        (sample, verdict)
    });
    write_verdicts(&path, verdicts)
}

/// Verdicts of a plugin, which sees the samples that have a completion, with their rows.
fn judge_by_plugin(
    context: &Context,
    node: usize,
    evaluation: &str,
    plugin: &ResolvedMetric,
    samples: Vec<Sample>,
) -> Result<Vec<(Sample, Verdict)>, Problem> {
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
    let mut batches = SampleBatches::new(each, BATCH);
    let hooks = context.hooks(node);
    let output = context.metrics.run(plugin, &mut batches, hooks)?;
    let mut verdicts = plugin_verdicts(output, &shown)?.into_iter();
    Ok(samples
        .into_iter()
        .map(|sample| {
            let verdict = without_completion(&sample)
                .or_else(|| verdicts.next())
                .unwrap_or_else(|| Verdict::error("the plugin gave no verdict"));
            (sample, verdict)
        })
        .collect())
}

fn write_verdicts<'a>(
    path: &Path,
    verdicts: impl Iterator<Item = (&'a Sample, Verdict)>,
) -> Result<(), Problem> {
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
    std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}
