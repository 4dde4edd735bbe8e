//! What every part of a report needs to know: the order of models, how conditions are called, what a difference means.

use std::collections::HashSet;

use driftgauge_record::files::resolved::EvaluationRecord;
use driftgauge_record::{Comparison, Metric};
use driftgauge_stats::power::mcnemar_least;
use indexmap::IndexSet;

use super::index::{Index, key};
use crate::anchor::anchor;
use crate::charts;
use crate::files::RunFiles;
use crate::model::{Cell, Delta, Effect, Shared};

/// Models that a chart has room for, and rows of all its numbers.
const DRAWN: usize = 24;
const DRAWN_ROWS: usize = 60;
/// Power that detectable differences are given for.
const POWER: f64 = 0.8;

/// The files of a run with what follows from them.
pub(super) struct Context<'a> {
    pub(super) files: &'a RunFiles,
    /// Where its numbers are found.
    pub(super) index: Index<'a>,
    /// Evaluated models in the order of the spec.
    pub(super) models: Vec<String>,
    /// The model the others are compared with.
    pub(super) baseline: Option<String>,
    /// p-value below which a difference is clear: one less the level of the experiment's intervals.
    pub(super) threshold: f64,
}

impl<'a> Context<'a> {
    pub(super) fn new(files: &'a RunFiles) -> Self {
        let mut evaluated: IndexSet<&String> = IndexSet::new();
        let mut add = |model: &'a String| {
            evaluated.insert(model);
        };
        for evaluation in files.experiment.evaluations.values() {
            evaluation.models.iter().for_each(&mut add);
        }
        files
            .results
            .metrics
            .iter()
            .for_each(|metric| add(&metric.model));
        let place = |model: &String| {
            let declared = &files.experiment.models;
            declared.get_index_of(model).unwrap_or(usize::MAX)
        };
        // Stable: models that the spec does not declare keep the order of the results.
        let mut evaluated: Vec<String> = evaluated.into_iter().cloned().collect();
        evaluated.sort_by_key(place);
        let compared = files.results.comparisons.first();
        let baseline = compared
            .map(|comparison| comparison.baseline.clone())
            .or_else(|| files.experiment.compare.baseline.clone());
        Self {
            files,
            index: Index::of(files),
            models: evaluated,
            baseline,
            threshold: 1.0 - files.experiment.compare.level,
        }
    }

    /// What the experiment says of an evaluation.
    pub(super) fn evaluation(&self, id: &str) -> Option<&'a EvaluationRecord> {
        self.files.experiment.evaluations.get(id)
    }

    /// The plugin behind a metric of an evaluation.
    pub(super) fn plugin_of(&self, evaluation: &str, metric: &str) -> Option<&'a str> {
        let outputs = self.index.outputs(evaluation, metric_id(metric));
        outputs.first().map(|output| output.plugin.id.as_str())
    }

    /// How a condition is called beside a number: not at all when there is only one.
    pub(super) fn condition_label(&self, evaluation: &str, condition: &str) -> String {
        if self.index.conditions(evaluation).len() > 1 {
            condition.to_owned()
        } else {
            String::new()
        }
    }

    /// Colour and marker of a model, the same in every chart.
    pub(super) fn style(&self, model: &str) -> usize {
        let place = self.models.iter().position(|entry| entry == model);
        // A thousandth model is no dashed line.
        place.unwrap_or(self.models.len()) % charts::STYLES
    }

    /// Models of an evaluation that have a number or should have one.
    pub(super) fn models_of(&self, evaluation: &str) -> Vec<String> {
        let declared = self.evaluation(evaluation);
        let asked = |model: &&String| {
            self.index.is_measured(evaluation, model)
                || declared.is_some_and(|entry| entry.models.contains(model))
        };
        self.models.iter().filter(asked).cloned().collect()
    }

    /// The models that a chart shows, in their order, and what its title says of the others. Where there is no room for all, these are the
    /// baseline, the models with a clear difference in a primary number, and the first ones.
    pub(super) fn drawn(
        &self,
        models: &[String],
        numbers: usize,
        evaluation: Option<&str>,
    ) -> (Vec<String>, String) {
        let most = (DRAWN_ROWS / numbers.max(1)).clamp(4, DRAWN);
        if models.len() <= most {
            return (models.to_vec(), String::new());
        }
        let all = self.files.results.comparisons.iter();
        let own = all.filter(|found| evaluation.is_none_or(|own| found.evaluation == own));
        let clear: HashSet<&str> = own
            .filter(|found| self.metric_of(found).is_some_and(|metric| metric.primary))
            .filter(|found| {
                let metric = self.metric_of(found);
                let direction = metric.map_or("none", |metric| metric.direction.as_str());
                self.delta(found, direction).effect != Effect::Unclear
            })
            .map(|found| found.model.as_str())
            .collect();
        let is_base = |model: &String| Some(model) == self.baseline.as_ref();
        let mut ranked: Vec<usize> = (0..models.len()).collect();
        ranked.sort_by_key(|&at| (!is_base(&models[at]), !clear.contains(models[at].as_str())));
        ranked.truncate(most);
        ranked.sort_unstable();
        let drawn = ranked.into_iter().map(|at| models[at].clone()).collect();
        let first = if clear.is_empty() {
            ""
        } else {
            ", those that differ clearly first"
        };
        (drawn, format!(", {most} of {} models{first}", models.len()))
    }

    /// A number with its difference from the baseline.
    pub(super) fn cell(&self, metric: &Metric) -> Cell {
        let comparison = self.index.comparison(key(metric));
        Cell {
            model: metric.model.clone(),
            value: metric.value,
            n: metric.n,
            ci: metric.ci.clone(),
            delta: comparison.map(|comparison| self.delta(comparison, &metric.direction)),
        }
    }

    /// The number that a comparison is about.
    pub(super) fn metric_of(&self, comparison: &Comparison) -> Option<&'a Metric> {
        let of = comparison;
        let own = [&*of.evaluation, &*of.condition, &*of.metric, &*of.model];
        let [evaluation, condition, metric, _] = own;
        let any = || self.index.of_any_model([evaluation, condition, metric]);
        self.index.metric(own).or_else(any)
    }

    /// A comparison as a difference. `direction` stands in when the comparison does not name its own.
    pub(super) fn delta(&self, comparison: &Comparison, direction: &str) -> Delta {
        let direction = if comparison.direction.is_empty() {
            direction
        } else {
            &comparison.direction
        };
        Delta {
            value: comparison.delta,
            ci: comparison.ci.clone(),
            p: comparison.p,
            p_adjusted: comparison.p_adjusted,
            p_is_bound: is_bound(comparison),
            shared: shared(comparison),
            detectable: self.detectable(comparison),
            effect: effect(comparison, direction, self.threshold),
        }
    }
}

impl Context<'_> {
    /// The smallest difference that so many prompts show with a power of 0.8: at the discordance that was seen, or, where that is too
    /// small for the test ever to see it, with all discordant prompts on one side.
    pub(super) fn detectable(&self, comparison: &Comparison) -> Option<f64> {
        let detail = comparison.detail.as_ref();
        let seen = detail.and_then(|detail| detail.detectable);
        let test = comparison.test.as_ref();
        let counted = test.is_some_and(|test| test.baseline_only.is_some());
        seen.or_else(|| mcnemar_least(comparison.n, self.threshold, POWER).filter(|_| counted))
    }
}

/// Whether a permutation test gave the least p-value that its draws can give.
fn is_bound(comparison: &Comparison) -> bool {
    let draws = comparison.test.as_ref().and_then(|test| test.draws);
    let least = draws.map(|draws| 1.0 / (1.0 + draws.resamples as f64));
    let at_least = comparison.p.zip(least);
    at_least.is_some_and(|(p, least)| p <= least * (1.0 + 1e-9))
}

/// The pairs of a comparison that lacks some of the prompts.
fn shared(comparison: &Comparison) -> Option<Shared> {
    let detail = comparison.detail.as_ref()?;
    let left_out = detail.left_out?;
    Some(Shared {
        prompts: comparison.n,
        asked: comparison.n + left_out.prompts,
        baseline: detail.baseline_value,
        model: detail.model_value,
    })
}

/// A difference is clear when its p-value (the adjusted one inside a family) lies below the threshold, or, where no test
/// was made, when its interval excludes zero.
pub(crate) fn effect(comparison: &Comparison, direction: &str, threshold: f64) -> Effect {
    let clear = match (comparison.p_adjusted.or(comparison.p), &comparison.ci) {
        (Some(p), _) => p < threshold,
        (None, Some(ci)) => ci.low > 0.0 || ci.high < 0.0,
        (None, None) => false,
    };
    let value = comparison.delta.unwrap_or(0.0);
    if !clear || value == 0.0 {
        return Effect::Unclear;
    }
    match (direction, value > 0.0) {
        ("higher", true) | ("lower", false) => Effect::Better,
        ("higher", false) | ("lower", true) => Effect::Worse,
        (_, true) => Effect::Higher,
        (_, false) => Effect::Lower,
    }
}

/// The metric id of the spec: `asr` for `asr` and for `asr.with-degenerate`.
pub(super) fn metric_id(metric: &str) -> &str {
    metric.split_once('.').map_or(metric, |(id, _)| id)
}

/// Element id of the section of a metric.
pub(super) fn section_id(evaluation: &str, metric: &str) -> String {
    anchor(&["m", evaluation, metric_id(metric)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_record::Interval;

    fn comparison(delta: f64, p: Option<f64>, p_adjusted: Option<f64>) -> Comparison {
        Comparison {
            evaluation: String::new(),
            condition: String::new(),
            metric: String::new(),
            title: String::new(),
            baseline: String::new(),
            model: String::new(),
            delta: Some(delta),
            ci: Some(Interval {
                level: 0.95,
                low: delta - 0.1,
                high: delta + 0.1,
                method: String::new(),
                draws: None,
            }),
            p,
            p_adjusted,
            n: 10,
            direction: "lower".into(),
            ..Comparison::default()
        }
    }

    #[test]
    fn the_adjusted_p_value_decides() {
        assert_eq!(
            effect(&comparison(0.3, Some(0.01), None), "lower", 0.05),
            Effect::Worse
        );
        assert_eq!(
            effect(&comparison(0.3, Some(0.01), Some(0.06)), "lower", 0.05),
            Effect::Unclear
        );
        assert_eq!(
            effect(&comparison(-0.3, None, None), "lower", 0.05),
            Effect::Better
        );
        assert_eq!(
            effect(&comparison(-0.05, None, None), "lower", 0.05),
            Effect::Unclear
        );
        assert_eq!(
            effect(&comparison(0.3, Some(0.01), None), "none", 0.05),
            Effect::Higher
        );
        let mut bare = comparison(0.3, Some(0.03), None);
        bare.ci = None;
        assert_eq!(effect(&bare, "lower", 0.05), Effect::Worse);
        assert_eq!(effect(&bare, "lower", 0.01), Effect::Unclear);
    }

    #[test]
    fn the_least_p_value_of_a_permutation_test_is_a_bound() {
        let drawn = |p: f64| {
            let test = driftgauge_record::PairedTest {
                draws: Some(driftgauge_record::Draws {
                    resamples: 9_999,
                    seed: 0,
                }),
                ..Default::default()
            };
            is_bound(&Comparison {
                test: Some(test),
                ..comparison(0.3, Some(p), None)
            })
        };
        assert!(drawn(1e-4));
        assert!(!drawn(2e-4));
        assert!(!is_bound(&comparison(0.3, Some(1e-300), None)));
    }

    #[test]
    fn a_difference_tells_on_which_prompts_it_rests() {
        let detail = |left_out| {
            Some(driftgauge_record::PairedDetail {
                baseline_value: Some(0.25),
                model_value: Some(0.5),
                left_out,
                ..Default::default()
            })
        };
        let mut of = comparison(0.25, None, None);
        of.detail = detail(None);
        assert_eq!(shared(&of), None);
        of.detail = detail(Some(driftgauge_record::LeftOut {
            prompts: 8,
            baseline: 8,
            model: 0,
        }));
        let shared = shared(&of).unwrap();
        assert_eq!((shared.prompts, shared.asked), (10, 18));
        assert_eq!((shared.baseline, shared.model), (Some(0.25), Some(0.5)));
    }
}
