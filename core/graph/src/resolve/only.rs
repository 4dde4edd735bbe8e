//! Metrics that count some completions alone: whether the evaluations that use them can tell which.

use indexmap::IndexMap;

use super::Resolver;
use super::named::recorded_judges;
use crate::only::misfit;
use crate::resolved::{ResolvedDataset, ResolvedEvaluation, ResolvedModel};

impl Resolver<'_> {
    pub(super) fn only(
        &mut self,
        datasets: &IndexMap<String, ResolvedDataset>,
        models: &IndexMap<String, ResolvedModel>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        for (id, evaluation) in evaluations {
            let row = datasets
                .get(&evaluation.dataset)
                .and_then(|dataset| dataset.rows.first());
            let Some(row) = row else { continue };
            let recorded = recorded_judges(&self.readings, id, evaluation, models);
            for metric in &evaluation.metrics {
                let written = self.spec.metrics.get(metric.as_str());
                let Some(only) = written.and_then(|metric| metric.only.as_ref()) else {
                    continue;
                };
                if let Some((problem, help)) = misfit(only, evaluation, row, &recorded) {
                    self.problem(
                        "bad-expression",
                        only.span(),
                        format!("`only` of metric `{metric}` cannot be asked of evaluation `{id}`: {problem}"),
                        Some(help),
                    );
                }
            }
        }
    }
}
