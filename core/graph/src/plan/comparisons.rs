//! Nodes of metrics, and of what compares models by them.

use std::collections::HashMap;

use driftgauge_store::Digest;
use indexmap::IndexMap;
use serde_json::json;

use super::builder::Builder;
use super::{Kind, Part};
use crate::resolved::{ResolvedEvaluation, ResolvedExperiment};

impl Builder<'_> {
    pub(super) fn metric(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        metric: &str,
        model: &str,
        inputs: &[usize],
    ) -> usize {
        let settings = &self.experiment.metrics[metric];
        let plugin = self.plugins.get(metric);
        // A plugin without a level of its own has intervals made from its scores.
        let level = plugin
            .filter(|plugin| !plugin.takes_level)
            .map(|_| self.experiment.compare.level);
        let mut params = json!({
            "interval_level": level,
            "plugin": plugin.map(|plugin| &plugin.id),
            "version": plugin.map(|plugin| &plugin.version),
            "config": settings.config,
            "evaluation": id,
            "model": model,
            "conditions": evaluation.conditions.keys().collect::<Vec<_>>(),
            "judges": evaluation.judges.keys().collect::<Vec<_>>(),
            "references": evaluation.references,
            "wrong_answer": evaluation.wrong_answer,
            "category": evaluation.category,
        });
        if let Some(only) = &settings.only {
            params["only"] = json!(only);
        }
        let leaves: Vec<Digest> = plugin
            .map(|plugin| plugin.digest.clone())
            .into_iter()
            .collect();
        // Rows carry references and categories, so the dataset is an input of its own.
        let mut inputs = inputs.to_vec();
        inputs.push(self.datasets[&evaluation.dataset]);
        if let Some(column) = &evaluation.cluster {
            let compare = &self.experiment.compare;
            let drawn = (compare.level, compare.resamples, self.experiment.seed);
            params["cluster"] = json!({ "column": column, "drawn": drawn });
        }
        if plugin.is_some_and(|plugin| plugin.takes_judge_error)
            && let Some(check) = &evaluation.judge_check
        {
            let known = &self.experiment.evaluations[check];
            params["judge_check"] = json!({ "evaluation": check, "references": known.references });
            inputs.extend(self.known_answers(evaluation));
        }
        self.add(
            format!("metric {id}/{metric}/{model}"),
            Kind::Metric,
            Part::Metric {
                evaluation: id.to_owned(),
                metric: metric.to_owned(),
                model: model.to_owned(),
            },
            params,
            inputs,
            &leaves,
            None,
        )
    }

    pub(super) fn comparisons(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        metrics: &HashMap<(String, String), usize>,
    ) {
        let compare = &self.experiment.compare;
        let baseline = compare
            .baseline
            .as_ref()
            .filter(|id| evaluation.models.contains(id));
        let several = evaluation.conditions.len() > 1;
        let seed = self.experiment.seed;
        let params = |first: Option<&String>| {
            let mut params = json!({
                "level": compare.level,
                "resamples": compare.resamples,
                "seed": seed,
                "first_condition": first,
            });
            if let Some(column) = &evaluation.cluster {
                params["cluster"] = json!(column);
            }
            params
        };
        let first_condition = evaluation.conditions.keys().next().filter(|_| several);
        for metric in &evaluation.metrics {
            for model in &evaluation.models {
                let other = baseline.filter(|baseline| *baseline != model);
                if other.is_none() && !several {
                    continue;
                }
                let inputs = other
                    .into_iter()
                    .chain([model])
                    .map(|model| metrics[&(metric.clone(), model.clone())])
                    .collect();
                self.add(
                    format!("compare {id}/{metric}/{model}"),
                    Kind::Compare,
                    Part::Comparison {
                        evaluation: id.to_owned(),
                        metric: metric.clone(),
                        baseline: other.cloned(),
                        model: model.clone(),
                        first_condition: first_condition.cloned(),
                    },
                    params(first_condition),
                    inputs,
                    &[],
                    None,
                );
            }
            self.trainings(id, evaluation, metric, metrics);
            let asked = |model: &String| evaluation.models.contains(model);
            for (first, second) in &compare.pairs {
                if !asked(first) || !asked(second) {
                    continue;
                }
                let inputs = [first, second]
                    .map(|model| metrics[&(metric.clone(), model.clone())])
                    .to_vec();
                self.add(
                    format!("compare {id}/{metric}/{second} with {first}"),
                    Kind::Compare,
                    Part::Comparison {
                        evaluation: id.to_owned(),
                        metric: metric.clone(),
                        baseline: Some(first.clone()),
                        model: second.clone(),
                        first_condition: None,
                    },
                    params(None),
                    inputs,
                    &[],
                    None,
                );
            }
        }
    }

    /// Models that were trained several times, each against the baseline: all trainings of both together.
    fn trainings(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        metric: &str,
        metrics: &HashMap<(String, String), usize>,
    ) {
        let experiment = self.experiment;
        let compare = &experiment.compare;
        let recipes = recipes(experiment, evaluation);
        let Some(baseline) = compare.baseline.as_deref().map(|id| first(experiment, id)) else {
            return;
        };
        let Some(baselines) = recipes.get(baseline) else {
            return;
        };
        for (model, trainings) in &recipes {
            let several = trainings.len() > 1 || baselines.len() > 1;
            if *model == baseline || !several {
                continue;
            }
            let inputs = baselines
                .iter()
                .chain(trainings)
                .map(|model| metrics[&(metric.to_owned(), (*model).to_owned())])
                .collect();
            self.add(
                format!("compare {id}/{metric}/{model} over its trainings"),
                Kind::Compare,
                Part::Trainings {
                    evaluation: id.to_owned(),
                    metric: metric.to_owned(),
                    baseline: baseline.to_owned(),
                    model: (*model).to_owned(),
                    baseline_trainings: baselines.len(),
                },
                json!({
                    "level": compare.level,
                    "resamples": compare.resamples,
                    "seed": experiment.seed,
                    "baseline_trainings": baselines.len(),
                }),
                inputs,
                &[],
                None,
            );
        }
    }
}

/// The first training of a model's recipe.
fn first<'a>(experiment: &'a ResolvedExperiment, model: &'a str) -> &'a str {
    let resolved = experiment.models.get(model);
    let first = resolved.and_then(|model| model.replicate_of.as_deref());
    first.unwrap_or(model)
}

/// The models of an evaluation by recipe, each named by its first training.
fn recipes<'a>(
    experiment: &'a ResolvedExperiment,
    evaluation: &'a ResolvedEvaluation,
) -> IndexMap<&'a str, Vec<&'a str>> {
    let mut recipes: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for model in &evaluation.models {
        recipes
            .entry(first(experiment, model))
            .or_default()
            .push(model);
    }
    recipes
}
