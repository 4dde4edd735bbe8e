//! Metrics that count some completions alone: whether the evaluations that use them can tell which.

use driftgauge_data::recording::{Recorded, judges_of};
use indexmap::IndexMap;

use super::Resolver;
use crate::only::misfit;
use crate::resolved::{ModelSource, ResolvedDataset, ResolvedEvaluation, ResolvedModel};

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
            let recorded = self.recorded_judges(id, evaluation, models);
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

    /// The recorded models of an evaluation, each with the judges whose verdicts its recording holds.
    fn recorded_judges(
        &self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        models: &IndexMap<String, ResolvedModel>,
    ) -> Vec<(String, Vec<String>)> {
        let of = |model: &String| {
            let ModelSource::Recorded(recordings) = &models.get(model)?.source else {
                return None;
            };
            let recorded = &recordings[Recorded::position(recordings, id)?];
            // A recording that cannot be read was reported by itself.
            let all = self.readings.rows(recorded).ok()?;
            let judges = judges_of(&all, recorded, !evaluation.judges.is_empty()).ok()?;
            Some((model.clone(), judges))
        };
        evaluation.models.iter().filter_map(of).collect()
    }
}
