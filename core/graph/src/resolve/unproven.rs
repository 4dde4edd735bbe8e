//! What the self-checks of an experiment's models will not prove: known from files and settings, said before anything runs.

use std::collections::BTreeSet;

use super::ResolveOptions;
use super::readers::text_files;
use crate::resolved::ResolvedExperiment;

/// A model whose answers will not be held against an independent computation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// Its id.
    pub model: String,
    /// Why.
    pub why: String,
}

/// Of every model that answers or judges, and whose files are here.
pub(super) fn unproven(experiment: &ResolvedExperiment, options: &ResolveOptions) -> Vec<Unproven> {
    let mut asked: BTreeSet<&String> = BTreeSet::new();
    for evaluation in experiment.evaluations.values() {
        // Scored text is not generated.
        asked.extend(
            evaluation
                .models
                .iter()
                .filter(|_| evaluation.score.is_none()),
        );
        let judges = evaluation.judges.values();
        asked.extend(judges.filter_map(|judge| judge.model.as_ref()));
    }
    let models = experiment.models.iter();
    models
        .filter(|(id, _)| asked.contains(id))
        .filter_map(|(id, model)| {
            let files = text_files(experiment, id)?;
            let why = (options.unproven)(&files, model.quantization.as_deref())?;
            Some(Unproven {
                model: id.clone(),
                why,
            })
        })
        .collect()
}
