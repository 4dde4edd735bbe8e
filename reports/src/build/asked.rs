//! What was asked: models, datasets, evaluations.

use super::context::Context;
use crate::experiment::{Evaluation, Experiment};
use crate::model::{Asked, CompletionCount, DatasetInfo, EvaluationInfo, ModelInfo};

pub(super) fn of(context: &Context<'_>, completions: &[CompletionCount]) -> Asked {
    let experiment = &context.files.experiment;
    let is_baseline = |id: &str| context.baseline.as_deref() == Some(id);
    let mut models: Vec<ModelInfo> = experiment
        .models
        .iter()
        .map(|model| ModelInfo {
            id: model.id.clone(),
            description: model.description.clone(),
            base: model.base.clone(),
            baseline: is_baseline(&model.id),
            evaluated: context.models.contains(&model.id),
        })
        .collect();
    // A folder without a resolved experiment still names the models it measured.
    for id in &context.models {
        if !models.iter().any(|model| model.id == *id) {
            models.push(ModelInfo {
                id: id.clone(),
                description: String::new(),
                base: None,
                baseline: is_baseline(id),
                evaluated: true,
            });
        }
    }
    let datasets = experiment.datasets.iter().map(|dataset| DatasetInfo {
        id: dataset.id.clone(),
        description: dataset.description.clone(),
        rows: dataset.rows,
        digest: dataset.digest.clone(),
    });
    let evaluations = experiment
        .evaluations
        .iter()
        .map(|evaluation| EvaluationInfo {
            id: evaluation.id.clone(),
            models: evaluation.models.clone(),
            dataset: evaluation.dataset.clone(),
            conditions: context.conditions(&evaluation.id),
            judges: judges(evaluation, completions),
            metrics: evaluation.metrics.clone(),
            generation: generation(experiment, evaluation),
        });
    Asked {
        models,
        datasets: datasets.collect(),
        evaluations: evaluations.collect(),
        seed: experiment.seed,
    }
}

/// The judges of the spec, then those whose verdicts came with a recording.
fn judges(evaluation: &Evaluation, completions: &[CompletionCount]) -> Vec<String> {
    let mut judges = evaluation.judges.clone();
    let own = completions
        .iter()
        .filter(|count| count.evaluation == evaluation.id);
    for verdicts in own.flat_map(|count| &count.verdicts) {
        let recorded = format!("{} (as recorded)", verdicts.judge);
        if !evaluation.judges.contains(&verdicts.judge) && !judges.contains(&recorded) {
            judges.push(recorded);
        }
    }
    judges
}

/// How completions were made: the settings of the spec, but for models that were recorded.
fn generation(experiment: &Experiment, evaluation: &Evaluation) -> String {
    let is_recorded = |model: &&String| {
        let declared = experiment.models.iter().find(|entry| entry.id == **model);
        declared.is_some_and(|entry| entry.recorded)
    };
    let (recorded, made): (Vec<&String>, Vec<&String>) =
        evaluation.models.iter().partition(is_recorded);
    if recorded.is_empty() {
        return evaluation.generation.clone();
    }
    if made.is_empty() {
        return "as recorded".to_owned();
    }
    let recorded: Vec<&str> = recorded.into_iter().map(String::as_str).collect();
    format!(
        "{}; {} as recorded",
        evaluation.generation,
        recorded.join(", ")
    )
}
