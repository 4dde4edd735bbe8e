//! What was asked: models, datasets, evaluations.

use super::context::Context;
use crate::model::{Asked, DatasetInfo, EvaluationInfo, ModelInfo};

pub(super) fn of(context: &Context<'_>) -> Asked {
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
            judges: evaluation.judges.clone(),
            metrics: evaluation.metrics.clone(),
            generation: evaluation.generation.clone(),
        });
    Asked {
        models,
        datasets: datasets.collect(),
        evaluations: evaluations.collect(),
        seed: experiment.seed,
    }
}
