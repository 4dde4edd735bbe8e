//! Inference nodes: what is asked of the models, and what becomes of the answers.

use std::sync::Arc;

use driftgauge_record::{Completion, FinishReason, Sample, Verdict, read_samples, write_samples};

use super::Context;
use super::scheduler::Finished;
use super::session::{self, Answer, Answers, SessionModel, Task};
use super::slots::Share;
use super::train::folder_size;
use crate::artifacts::{
    COMPLETIONS, DIVERGENCE, VERDICTS, artifact_of, completions_node, has_chat_template, keep,
    load_model, model_folder,
};
use crate::dataset::Row;
use crate::engine::{GenerateRequest, LoadModel, LoadPair};
use crate::judge::{Judge, error_verdict, exchange, plugin_verdicts, without_completion};
use crate::plan::{Kind, Part};
use crate::prompt::{Templates, plain_text};
use crate::resolved::{ModelSource, ResolvedMetric};
use crate::sampling::sample_seed;
use crate::worker::{Ask, Job};
use crate::{degenerate, divergence};

/// Whether an inference node needs no model process: recorded completions, and judges that only look for strings.
pub(super) fn is_light(context: &Context, node: usize) -> bool {
    match &context.plan.nodes[node].part {
        Part::Completions { model, .. } => {
            matches!(
                context.experiment.models[model].source,
                ModelSource::Recorded(_)
            )
        }
        Part::Verdicts {
            evaluation, judge, ..
        } => context.experiment.evaluations[evaluation].judges[judge]
            .model
            .is_none(),
        _ => false,
    }
}

/// What a model is loaded for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    Generate,
    Score,
    /// To be held against the model of that id.
    Diverge(String),
}

/// The model that a node asks, and for what.
fn asked(context: &Context, node: usize) -> Option<(String, Purpose)> {
    let planned = &context.plan.nodes[node];
    match &planned.part {
        Part::Completions { model, .. } if planned.kind == Kind::Score => {
            Some((model.clone(), Purpose::Score))
        }
        Part::Completions { model, .. } => Some((model.clone(), Purpose::Generate)),
        Part::Divergence {
            evaluation, model, ..
        } => {
            let kl = context.experiment.evaluations[evaluation].kl.as_ref()?;
            Some((model.clone(), Purpose::Diverge(kl.reference.clone())))
        }
        Part::Verdicts {
            evaluation, judge, ..
        } => {
            let judge = &context.experiment.evaluations[evaluation].judges[judge];
            Some((judge.model.clone()?, Purpose::Generate))
        }
        _ => None,
    }
}

/// The ready nodes that `first` shares a model load with.
pub(super) fn group(context: &Context, first: usize, ready: &[usize]) -> Vec<usize> {
    let kind = context.plan.nodes[first].kind;
    if !matches!(kind, Kind::Generate | Kind::Score | Kind::Judge) {
        return vec![first];
    }
    let wanted = asked(context, first);
    ready
        .iter()
        .copied()
        .filter(|&node| {
            matches!(
                context.plan.nodes[node].kind,
                Kind::Generate | Kind::Score | Kind::Judge
            ) && asked(context, node) == wanted
        })
        .collect()
}

/// Runs a group of inference nodes on one model.
pub(super) async fn run(context: &Arc<Context>, nodes: &[usize], share: Share) -> Finished {
    let mut finished = Vec::new();
    let mut tasks = Vec::new();
    let mut carried = Vec::new();
    for &node in nodes {
        match task(context, node) {
            Ok(task) => {
                tasks.push(task);
                carried.push(node);
            }
            Err(error) => finished.push((node, Err(error))),
        }
    }
    let Some((model, purpose)) = carried.first().and_then(|&node| asked(context, node)) else {
        return finished;
    };
    let plain_text = tasks.iter().flat_map(Task::asks).all(is_plain_text);
    let job = match job(context, &model, purpose, plain_text) {
        Ok(job) => job,
        Err(error) => {
            finished.extend(carried.into_iter().map(|node| (node, Err(error.clone()))));
            return finished;
        }
    };
    // A server is asked by one process, which alone can keep to the rate of the spec.
    let remote = matches!(job, Job::Endpoint(_));
    let session = SessionModel {
        job,
        bytes: memory_of(context, &model),
        divisible: !remote,
        share,
    };
    let outcome = session::run(context, session, tasks).await;
    for &node in &carried {
        if let (Some(key), Some(loaded)) = (&context.plan.nodes[node].key, &outcome.loaded) {
            let fact =
                serde_json::json!({ "model": model, "loaded": loaded, "speed": outcome.speed });
            context.store.remember(key, &fact);
        }
    }
    for (node, answers) in carried.into_iter().zip(outcome.answers) {
        let result = match answers {
            Ok(answers) if remote && !answers.answers.is_empty() && all_failed(&answers) => {
                Err(nothing_came(context, node, &answers))
            }
            Ok(answers) => {
                let context = Arc::clone(context);
                tokio::task::spawn_blocking(move || commit(&context, node, answers))
                    .await
                    .unwrap_or_else(|error| Err(format!("internal error: {error}")))
            }
            Err(error) => Err(error),
        };
        finished.push((node, result));
    }
    finished
}

/// What a worker is started for.
fn job(context: &Context, model: &str, purpose: Purpose, plain_text: bool) -> Result<Job, String> {
    if let ModelSource::Endpoint(endpoint) = &context.experiment.models[model].source {
        return Ok(Job::Endpoint(endpoint.clone()));
    }
    let load = LoadModel {
        plain_text,
        ..load_model(context, model)?
    };
    Ok(match purpose {
        Purpose::Generate => Job::Generate(load),
        Purpose::Score => Job::Score(load),
        Purpose::Diverge(reference) => Job::Diverge(LoadPair {
            reference: load_model(context, &reference)?,
            model: load,
        }),
    })
}

fn is_plain_text(ask: &Ask) -> bool {
    matches!(ask, Ask::Generate(request) if request.text.is_some())
}

/// A generous guess of the memory that one process with the model takes: weights stored in 16 bits are computed in 32.
fn memory_of(context: &Context, model: &str) -> u64 {
    const BESIDES: u64 = 256 << 20;
    model_folder(context, model).map_or(0, |folder| 2 * folder_size(&folder)) + BESIDES
}

fn all_failed(answers: &Answers) -> bool {
    answers.answers.iter().all(Result::is_err)
}

/// A server that answered not one request is a failure of the node, not of its samples; so nothing of it is kept.
fn nothing_came(context: &Context, node: usize, answers: &Answers) -> String {
    if let Some(key) = &context.plan.nodes[node].key {
        // What cannot be removed is asked again all the same when it is an unanswered request.
        let _ = std::fs::remove_dir_all(context.store.partial_dir(key));
    }
    let first = answers
        .answers
        .iter()
        .find_map(|answer| answer.as_ref().err());
    format!(
        "not one of {} requests was answered; the first: {}",
        answers.answers.len(),
        first.map_or("", String::as_str)
    )
}

/// What a node asks, item by item.
fn task(context: &Context, node: usize) -> Result<Task, String> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.clone().ok_or("its source is not pinned")?;
    let asks = match (&planned.part, planned.kind) {
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            Kind::Generate,
        ) => generation_asks(context, evaluation, condition)?
            .into_iter()
            .map(Some)
            .collect(),
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            _,
        ) => crate::score::asks(context, evaluation, condition)?
            .into_iter()
            .map(Some)
            .collect(),
        (Part::Divergence { .. }, _) => divergence::asks(context, node)?,
        (Part::Verdicts { .. }, _) => judging(context, node)?
            .into_iter()
            .map(|(_, ask)| ask.ok())
            .collect(),
        _ => return Err("not an inference node".to_owned()),
    };
    Ok(Task::new(planned.id.clone(), key, asks))
}

/// Every prompt of a condition, row by row, as many times as samples are wanted.
fn generation_asks(
    context: &Context,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<Ask>, String> {
    let settings = &context.experiment.evaluations[evaluation].generate;
    let mut asks = Vec::new();
    for sample in prompts(context, evaluation, condition)? {
        let seed = sample_seed(
            settings.sampling.seed,
            &sample.sample_id,
            sample.sample_index,
        );
        let mut sampling = settings.sampling.clone();
        sampling.seed = seed;
        let text = plain_text(&sample.messages).map(str::to_owned);
        asks.push(Ask::Generate(GenerateRequest {
            messages: if text.is_some() {
                Vec::new()
            } else {
                sample.messages
            },
            text,
            max_tokens: settings.max_tokens,
            sampling,
            stop: settings.stop.clone(),
            watch_first_token: Vec::new(),
            on_long_prompt: settings.on_long_prompt,
        }));
    }
    Ok(asks)
}

/// The samples of a condition before anything was generated: ids and conversations. Names of evaluation, condition and
/// model stay empty, since an artifact does not depend on them.
pub(crate) fn prompts(
    context: &Context,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<Sample>, String> {
    let rows = evaluated_rows(context, evaluation);
    let evaluation = &context.experiment.evaluations[evaluation];
    let turns = &evaluation.conditions[condition].turns;
    let stand_ins = crate::dataset::derangement(rows.len(), evaluation.shuffle_seed);
    let templates = Templates::default();
    let mut samples = Vec::with_capacity(rows.len());
    for (row, &stand_in) in rows.iter().zip(&stand_ins) {
        let mut messages = templates
            .turns(turns, row, Some(&rows[stand_in]))
            .map_err(|error| error.to_string())?;
        // A row without a context has no system turn, rather than an empty one.
        messages.retain(|m| m.role != "system" || !m.content.trim().is_empty());
        for sample_index in 0..evaluation.generate.samples {
            samples.push(Sample {
                evaluation: String::new(),
                condition: String::new(),
                model: String::new(),
                sample_id: row.id.clone(),
                sample_index,
                messages: messages.clone(),
                completion: no_completion(),
                error: None,
                degenerate: driftgauge_record::Degeneracy::default(),
                references: Vec::new(),
                wrong_answer: None,
                category: None,
                row: indexmap::IndexMap::new(),
                verdicts: indexmap::IndexMap::new(),
                values: indexmap::IndexMap::new(),
            });
        }
    }
    Ok(samples)
}

/// The rows of the dataset that an evaluation asks.
pub(crate) fn evaluated_rows<'a>(
    context: &'a Context,
    evaluation: &str,
) -> &'a [crate::dataset::Row] {
    let evaluation = &context.experiment.evaluations[evaluation];
    let rows = &context.experiment.datasets[&evaluation.dataset].rows;
    &rows[..evaluation.limit.unwrap_or(usize::MAX).min(rows.len())]
}

/// What stands where there is no completion.
pub(crate) fn no_completion() -> Completion {
    Completion {
        prompt_token_ids: Vec::new(),
        completion_token_ids: Vec::new(),
        text: String::new(),
        finish_reason: FinishReason::Error,
        ends_with_eos: false,
        token_logprob: Vec::new(),
        token_top1_logprob: Vec::new(),
        token_margin: Vec::new(),
        token_top10_entropy: Vec::new(),
        token_top10_mass: Vec::new(),
        token_entropy: Vec::new(),
        first_token_logprob: indexmap::IndexMap::new(),
    }
}

/// A sample with the question to the judge's model, or the verdict that needs none.
type Judged = (Sample, Result<Ask, Verdict>);

/// For each sample either the question to the judge's model, or the verdict that needs none.
fn judging(context: &Context, node: usize) -> Result<Vec<Judged>, String> {
    let Part::Verdicts {
        evaluation,
        condition,
        judge,
        ..
    } = &context.plan.nodes[node].part
    else {
        return Err("not a judge node".to_owned());
    };
    let rows: std::collections::HashMap<&str, &Row> = evaluated_rows(context, evaluation)
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

/// Makes the artifact of an inference node from its answers.
fn commit(context: &Context, node: usize, answers: Answers) -> Result<(), String> {
    let Answers {
        answers,
        unanswered,
    } = answers;
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    if unanswered > 0 {
        let first = answers.iter().find_map(|answer| answer.as_ref().err());
        let note = format!(
            "{unanswered} of {} requests got no answer; the next run asks again; the first: {}",
            answers.len(),
            first.map_or("", String::as_str)
        );
        context.note(&planned.id, note);
    }
    let scratch = context
        .store
        .scratch(key)
        .map_err(|error| error.to_string())?;
    match (&planned.part, planned.kind) {
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            Kind::Generate,
        ) => {
            let samples: Vec<Sample> = prompts(context, evaluation, condition)?
                .into_iter()
                .zip(answers)
                .map(|(sample, answer)| with_completion(sample, answer))
                .collect();
            if unanswered == 0 {
                note_failures(context, node, &samples);
            }
            write_samples(&scratch.join(COMPLETIONS), samples)
                .map_err(|error| error.to_string())?;
        }
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            _,
        ) => {
            let samples = crate::score::samples(context, evaluation, condition, answers)?;
            if unanswered == 0 {
                note_failures(context, node, &samples);
            }
            write_samples(&scratch.join(COMPLETIONS), samples)
                .map_err(|error| error.to_string())?;
        }
        (Part::Divergence { .. }, _) => {
            divergence::write(context, node, answers, &scratch.join(DIVERGENCE))?;
        }
        _ => {
            let resolved = match &planned.part {
                Part::Verdicts {
                    evaluation, judge, ..
                } => &context.experiment.evaluations[evaluation].judges[judge],
                _ => return Err("not an inference node".to_owned()),
            };
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
            write_verdicts(&scratch.join(VERDICTS), verdicts)?;
        }
    }
    keep(context, node, &scratch, unanswered)
}

/// Says which samples have no completion, and why the first has none.
fn note_failures(context: &Context, node: usize, samples: &[Sample]) {
    let mut failed = samples.iter().filter(|sample| sample.error.is_some());
    let Some(first) = failed.next() else { return };
    let others = failed.count();
    let error = first.error.as_deref().unwrap_or_default();
    let more = match others {
        0 => String::new(),
        _ => format!(" ({others} more failed)"),
    };
    context.note(
        &context.plan.nodes[node].id,
        format!("sample `{}`: {error}{more}", first.sample_id),
    );
}

/// Verdicts that need no model, made in this process.
pub(crate) fn judge_by_rule(
    context: &Context,
    node: usize,
    folder: &std::path::Path,
) -> Result<(), String> {
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
    let rows: std::collections::HashMap<&str, &Row> = evaluated_rows(context, evaluation)
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
    let output = context
        .metrics
        .run(plugin, &mut shown.iter().cloned().map(Ok))?;
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
    path: &std::path::Path,
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

fn with_completion(mut sample: Sample, answer: Answer) -> Sample {
    match answer.and_then(|value| {
        serde_json::from_value::<Completion>(value).map_err(|error| error.to_string())
    }) {
        Ok(mut completion) => {
            round_statistics(&mut completion);
            sample.degenerate = degenerate::flags(&completion);
            sample.completion = completion;
        }
        Err(error) => sample.error = Some(error),
    }
    sample
}

/// Keeps token statistics to six decimals: what follows is rounding, which another processor or a batch does otherwise.
fn round_statistics(completion: &mut Completion) {
    let lists = [
        &mut completion.token_logprob,
        &mut completion.token_top1_logprob,
        &mut completion.token_margin,
        &mut completion.token_top10_entropy,
        &mut completion.token_top10_mass,
        &mut completion.token_entropy,
    ];
    let round = |value: &mut f32| {
        // The nearest f32 of a decimal is again the same decimal when it is rounded once more.
        #[expect(clippy::cast_possible_truncation)]
        let rounded = ((f64::from(*value) * 1e6).round() / 1e6) as f32;
        *value = rounded;
    };
    lists.into_iter().flatten().for_each(round);
    completion.first_token_logprob.values_mut().for_each(round);
}
