//! What was asked: models, datasets, evaluations.

use driftgauge_record::files::resolved::{
    ConditionRecord, EvaluationRecord, ExperimentRecord, SourceRecord,
};

use super::context::Context;
use crate::model::{
    Asked, CompletionCount, DatasetInfo, EvaluationInfo, ModelInfo, PromptInfo, SampleSection,
};
use crate::words::{self, without_folders};

pub(super) fn of(
    context: &Context<'_>,
    completions: &[CompletionCount],
    samples: &[SampleSection],
) -> Asked {
    let experiment = &context.files.experiment;
    let models = experiment.models.iter().map(|(id, model)| ModelInfo {
        id: id.clone(),
        description: without_folders(&model.description),
        base: match &model.source {
            SourceRecord::Finetune { base, .. } | SourceRecord::Adapter { base, .. } => {
                Some(base.clone())
            }
            _ => None,
        },
        baseline: context.baseline.as_ref() == Some(id),
        evaluated: context.models.contains(id),
    });
    let datasets = experiment.datasets.iter().map(|(id, dataset)| DatasetInfo {
        id: id.clone(),
        description: without_folders(&dataset.source),
        rows: dataset.rows,
        digest: dataset.digest.clone(),
    });
    let evaluations = experiment.evaluations.iter();
    let evaluations = evaluations.map(|(id, evaluation)| EvaluationInfo {
        id: id.clone(),
        description: evaluation.description.clone(),
        prompts: prompts(context, id, evaluation),
        example: samples
            .iter()
            .find(|section| section.evaluation == *id)
            .and_then(|section| section.rows.iter().find_map(|row| row.prompt.clone())),
        measured: !context.index.of_evaluation(id).is_empty(),
        models: evaluation.models.clone(),
        dataset: evaluation.dataset.clone(),
        conditions: context.index.conditions(id).to_vec(),
        judges: judges(id, evaluation, completions),
        metrics: evaluation.metrics.clone(),
        generation: generation(experiment, evaluation),
    });
    Asked {
        models: models.collect(),
        datasets: datasets.collect(),
        evaluations: evaluations.collect(),
        seed: Some(experiment.seed),
    }
}

/// How the question is put, in templates: they are the spec's, and show no row.
fn prompts(context: &Context<'_>, id: &str, evaluation: &EvaluationRecord) -> Vec<PromptInfo> {
    let prompt = |(condition, record): (&String, &ConditionRecord)| PromptInfo {
        condition: context.condition_label(id, condition),
        description: record.description.clone(),
        turns: record
            .turns
            .iter()
            .map(|turn| format!("{}: {}", turn.role, turn.template))
            .collect(),
    };
    evaluation.conditions.iter().map(prompt).collect()
}

/// The judges of the spec, then those whose verdicts came with a recording.
fn judges(id: &str, evaluation: &EvaluationRecord, completions: &[CompletionCount]) -> Vec<String> {
    let mut judges: Vec<String> = evaluation.judges.keys().cloned().collect();
    let own = completions.iter().filter(|count| count.evaluation == id);
    for verdicts in own.flat_map(|count| &count.verdicts) {
        let recorded = format!("{} (as recorded)", verdicts.judge);
        if !evaluation.judges.contains_key(&verdicts.judge) && !judges.contains(&recorded) {
            judges.push(recorded);
        }
    }
    judges
}

/// How completions were made: the settings of the spec, but for models that were recorded.
fn generation(experiment: &ExperimentRecord, evaluation: &EvaluationRecord) -> String {
    let is_recorded = |model: &&String| {
        let declared = experiment.models.get(*model);
        declared.is_some_and(|entry| matches!(entry.source, SourceRecord::Recorded(_)))
    };
    let (recorded, made): (Vec<&String>, Vec<&String>) =
        evaluation.models.iter().partition(is_recorded);
    let settings = words::generation(&evaluation.generate);
    if recorded.is_empty() {
        return settings;
    }
    if made.is_empty() {
        return "as recorded".to_owned();
    }
    let recorded: Vec<&str> = recorded.into_iter().map(String::as_str).collect();
    format!("{settings}; {} as recorded", recorded.join(", "))
}
