//! Metrics, comparisons, gates and published values.

use driftgauge_spec::spec::{Isolation, MetricPath};
use indexmap::IndexMap;
use serde_json::json;

use super::Resolver;
use crate::resolved::{
    ResolvedCompare, ResolvedEvaluation, ResolvedExpected, ResolvedGate, ResolvedMetric,
};

impl Resolver<'_> {
    pub(super) fn metrics(&self) -> IndexMap<String, ResolvedMetric> {
        let metrics = self.spec.metrics.iter().map(|(id, metric)| {
            let resolved = ResolvedMetric {
                plugin: metric.plugin.get().clone(),
                config: metric
                    .config
                    .as_ref()
                    .map_or_else(|| json!({}), |config| config.get().clone()),
                worker: metric.isolation == Isolation::Worker,
                timeout_seconds: *metric.timeout,
                pin: metric.blake3.as_ref().map(|digest| digest.get().clone()),
            };
            (id.get().clone(), resolved)
        });
        metrics.collect()
    }

    pub(super) fn compare(&self) -> ResolvedCompare {
        let texts =
            |texts: &[driftgauge_spec::Text]| texts.iter().map(|text| text.get().clone()).collect();
        match &self.spec.compare {
            Some(compare) => ResolvedCompare {
                baseline: Some(compare.baseline.get().clone()),
                family: texts(&compare.family),
                exploratory: texts(&compare.exploratory),
                level: *compare.level,
                resamples: *compare.resamples,
            },
            None => ResolvedCompare {
                baseline: None,
                family: Vec::new(),
                exploratory: Vec::new(),
                level: 0.95,
                resamples: 10_000,
            },
        }
    }

    pub(super) fn gates(&self) -> Vec<ResolvedGate> {
        let mut out = Vec::new();
        for gate in &self.spec.gates {
            let Some(path) = MetricPath::parse(gate.metric.get()) else {
                continue;
            };
            let bound = |difference: bool, upper: Option<f64>, lower: Option<f64>| ResolvedGate {
                evaluation: path.evaluation.to_owned(),
                metric: full_name(path.metric, path.number),
                condition: gate.condition.as_ref().map(|id| id.get().clone()),
                model: gate.model.get().clone(),
                difference,
                upper,
                lower,
            };
            if gate.upper.is_some() || gate.lower.is_some() {
                out.push(bound(
                    false,
                    gate.upper.as_ref().map(|limit| **limit),
                    gate.lower.as_ref().map(|limit| **limit),
                ));
            }
            if gate.drop.is_some() || gate.rise.is_some() {
                out.push(bound(
                    true,
                    gate.rise.as_ref().map(|limit| **limit),
                    gate.drop.as_ref().map(|limit| -**limit),
                ));
            }
        }
        out
    }

    pub(super) fn expected(
        &self,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) -> Vec<ResolvedExpected> {
        let expected = self.spec.expected.iter().map(|expected| {
            let (metric, number) = expected.metric_parts();
            let first = evaluations
                .get(expected.evaluation.get())
                .and_then(|evaluation| evaluation.conditions.keys().next().cloned())
                .unwrap_or_default();
            ResolvedExpected {
                evaluation: expected.evaluation.get().clone(),
                condition: expected
                    .condition
                    .as_ref()
                    .map_or(first, |id| id.get().clone()),
                model: expected.model.get().clone(),
                metric: full_name(metric, number),
                value: *expected.value,
                source: expected
                    .source
                    .as_ref()
                    .map(|text| text.get().clone())
                    .unwrap_or_default(),
            }
        });
        expected.collect()
    }
}

fn full_name(metric: &str, number: Option<&str>) -> String {
    match number {
        Some(number) => format!("{metric}.{number}"),
        None => metric.to_owned(),
    }
}
