//! Metrics, comparisons, gates and published values.

use driftgauge_engine::{PluginIsolation, ResolvedMetric};
use driftgauge_record::files::resolved::ChartRecord;
use driftgauge_spec::Text;
use driftgauge_spec::spec::{Adjust, Isolation, Metric, MetricPath};
use indexmap::IndexMap;
use serde_json::Value;

use super::Resolver;
use crate::resolved::ResolvedEvaluation;
use crate::resolved_comparisons::{
    ResolvedCompare, ResolvedExpected, ResolvedFamily, ResolvedGate,
};

/// A metric or judge in a plugin, as the spec says it.
#[must_use]
pub fn resolved_metric(metric: &Metric) -> ResolvedMetric {
    let text = |text: &Text| text.get().clone();
    let words = metric.command.as_deref().unwrap_or_default();
    let command: Vec<String> = words.iter().map(text).collect();
    ResolvedMetric {
        plugin: metric
            .plugin
            .as_ref()
            .map_or_else(|| command.join(" "), text),
        command,
        files: metric.files.iter().map(text).collect(),
        config: match metric.config.as_ref().map(|config| config.get()) {
            None | Some(Value::Null) => serde_json::json!({}),
            Some(config) => config.clone(),
        },
        only: metric.only.as_ref().map(text),
        isolation: metric
            .isolation
            .as_ref()
            .map(|isolation| match **isolation {
                Isolation::InProcess => PluginIsolation::InProcess,
                Isolation::Worker => PluginIsolation::Worker,
            }),
        timeout_seconds: *metric.timeout,
        total_timeout_seconds: metric.total_timeout.as_ref().map(|seconds| **seconds),
        memory: metric.memory_bytes(),
        blake3: metric.blake3.as_ref().map(text),
        sha256: metric.sha256.as_ref().map(text),
    }
}

impl Resolver<'_> {
    pub(super) fn metrics(&self) -> IndexMap<String, ResolvedMetric> {
        let metrics = self
            .spec
            .metrics
            .iter()
            .map(|(id, metric)| (id.get().clone(), resolved_metric(metric)));
        metrics.collect()
    }

    pub(super) fn compare(&self) -> ResolvedCompare {
        let Some(compare) = &self.spec.compare else {
            return ResolvedCompare {
                baseline: None,
                pairs: Vec::new(),
                families: Vec::new(),
                level: ResolvedCompare::USUAL_LEVEL,
                resamples: ResolvedCompare::USUAL_RESAMPLES,
            };
        };
        let texts = |texts: &[Text]| -> Vec<String> {
            texts.iter().map(|text| text.get().clone()).collect()
        };
        let family = |id: &str, members: &[Text], adjust: Adjust, per_model: bool| ResolvedFamily {
            id: id.to_owned(),
            members: texts(members),
            adjust,
            per_model,
            lines: members
                .iter()
                .map(|member| self.options.source.line_of(member.span()))
                .collect(),
        };
        let mut families = vec![
            family("family", &compare.family, Adjust::Holm, false),
            family(
                "exploratory",
                &compare.exploratory,
                Adjust::BenjaminiHochberg,
                false,
            ),
        ];
        families.retain(|family| !family.members.is_empty());
        let further = compare
            .families
            .iter()
            .map(|(id, further)| family(id, &further.members, further.adjust, further.per_model));
        families.extend(further);
        ResolvedCompare {
            baseline: Some(compare.baseline.get().clone()),
            pairs: compare
                .pairs
                .iter()
                .map(|[first, second]| (first.get().clone(), second.get().clone()))
                .collect(),
            families,
            level: *compare.level,
            resamples: *compare.resamples,
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

    pub(super) fn charts(&self) -> Vec<ChartRecord> {
        let charts = self.spec.report.charts.iter();
        let found = charts.filter_map(|chart| {
            let path = MetricPath::parse(chart.metric.get())?;
            let of = |text: &Option<Text>| text.as_ref().map(|text| text.get().clone());
            Some(ChartRecord {
                evaluation: path.evaluation.to_owned(),
                metric: full_name(path.metric, path.number),
                x: chart.x.get().clone(),
                lines: of(&chart.lines),
                condition: of(&chart.condition),
            })
        });
        found.collect()
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
                line: self.options.source.line_of(expected.metric.span()),
                evaluation: expected.evaluation.get().clone(),
                condition: expected
                    .condition
                    .as_ref()
                    .map_or(first, |id| id.get().clone()),
                model: expected.model.get().clone(),
                metric: full_name(metric, number),
                baseline: expected.baseline.as_ref().map(|id| id.get().clone()),
                baseline_condition: expected
                    .baseline_condition
                    .as_ref()
                    .map(|id| id.get().clone()),
                statistic: expected.statistic,
                value: *expected.value,
                tolerance: expected.tolerance.as_ref().map(|tolerance| **tolerance),
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
