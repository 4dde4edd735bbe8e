//! Where the numbers of a run are found: no part of a report looks through all of them for one.

use std::collections::{HashMap, HashSet};

use driftgauge_record::files::metrics::OutputRecord;
use driftgauge_record::{Comparison, Metric};

use crate::files::RunFiles;

/// Evaluation, condition, metric and model of a number.
type Key<'a> = [&'a str; 4];

/// Numbers and outputs by what they are about; of several, the first.
pub(super) struct Index<'a> {
    metrics: HashMap<Key<'a>, &'a Metric>,
    /// Of any model.
    of_any: HashMap<[&'a str; 3], &'a Metric>,
    by_evaluation: HashMap<&'a str, Vec<&'a Metric>>,
    measured: HashSet<(&'a str, &'a str)>,
    comparisons: HashMap<Key<'a>, &'a Comparison>,
    /// By evaluation and metric of the spec.
    outputs: HashMap<(&'a str, &'a str), Vec<&'a OutputRecord>>,
    outputs_of: HashMap<&'a str, Vec<&'a OutputRecord>>,
    conditions: HashMap<&'a str, Vec<String>>,
}

impl<'a> Index<'a> {
    pub(super) fn of(files: &'a RunFiles) -> Self {
        let mut index = Self {
            metrics: HashMap::new(),
            of_any: HashMap::new(),
            by_evaluation: HashMap::new(),
            measured: HashSet::new(),
            comparisons: HashMap::new(),
            outputs: HashMap::new(),
            outputs_of: HashMap::new(),
            conditions: HashMap::new(),
        };
        for (id, evaluation) in &files.experiment.evaluations {
            let declared = evaluation.conditions.keys().cloned().collect();
            index.conditions.insert(id, declared);
        }
        for metric in &files.results.metrics {
            let [evaluation, condition, id, model] = key(metric);
            index.measured.insert((evaluation, model));
            index.metrics.entry(key(metric)).or_insert(metric);
            let of_any = index.of_any.entry([evaluation, condition, id]);
            of_any.or_insert(metric);
            index
                .by_evaluation
                .entry(evaluation)
                .or_default()
                .push(metric);
            let conditions = index.conditions.entry(evaluation).or_default();
            if !conditions.iter().any(|known| known == condition) {
                conditions.push(condition.to_owned());
            }
        }
        for found in &files.results.comparisons {
            let key = [
                &*found.evaluation,
                &*found.condition,
                &*found.metric,
                &*found.model,
            ];
            index.comparisons.entry(key).or_insert(found);
        }
        for output in &files.outputs {
            let place = (&*output.evaluation, &*output.metric);
            index.outputs.entry(place).or_default().push(output);
            let of_evaluation = index.outputs_of.entry(&output.evaluation);
            of_evaluation.or_default().push(output);
        }
        index
    }

    /// A number.
    pub(super) fn metric(&self, key: [&str; 4]) -> Option<&'a Metric> {
        self.metrics.get(&key).copied()
    }

    /// The first number of a metric under a condition, of whichever model.
    pub(super) fn of_any_model(&self, place: [&str; 3]) -> Option<&'a Metric> {
        self.of_any.get(&place).copied()
    }

    /// The numbers of an evaluation, in the order of the results.
    pub(super) fn of_evaluation(&self, evaluation: &str) -> &[&'a Metric] {
        self.by_evaluation
            .get(evaluation)
            .map_or(&[], Vec::as_slice)
    }

    /// Whether a model has a number in an evaluation.
    pub(super) fn is_measured(&self, evaluation: &str, model: &str) -> bool {
        self.measured.contains(&(evaluation, model))
    }

    /// The comparison of a number with the baseline's.
    pub(super) fn comparison(&self, key: [&str; 4]) -> Option<&'a Comparison> {
        self.comparisons.get(&key).copied()
    }

    /// What the plugin of a metric of the spec said, model by model.
    pub(super) fn outputs<'b>(
        &'b self,
        evaluation: &'b str,
        metric: &'b str,
    ) -> &'b [&'a OutputRecord] {
        self.outputs
            .get(&(evaluation, metric))
            .map_or(&[], Vec::as_slice)
    }

    /// What the plugins of an evaluation said.
    pub(super) fn outputs_of(&self, evaluation: &str) -> &[&'a OutputRecord] {
        self.outputs_of.get(evaluation).map_or(&[], Vec::as_slice)
    }

    /// The conditions of an evaluation: those of the spec, then others that have a number.
    pub(super) fn conditions(&self, evaluation: &str) -> &[String] {
        self.conditions.get(evaluation).map_or(&[], Vec::as_slice)
    }
}

/// What a number is about.
pub(super) fn key(metric: &Metric) -> Key<'_> {
    [
        &metric.evaluation,
        &metric.condition,
        &metric.metric,
        &metric.model,
    ]
}
