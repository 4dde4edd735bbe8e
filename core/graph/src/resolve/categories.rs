//! Numbers of one category: the category has to be one that a prompt has.

use std::collections::BTreeSet;

use driftgauge_record::value;
use driftgauge_spec::spec::MetricPath;
use driftgauge_spec::{Text, nearest};
use indexmap::IndexMap;
use serde_json::Value;

use super::Resolver;
use crate::resolved::{ResolvedDataset, ResolvedEvaluation};

/// What stands before the category in the name of a number.
const CATEGORY: &str = "category.";

impl Resolver<'_> {
    /// Complains of gates and published values on a category that no prompt of the evaluation has. Rows that are not there yet
    /// are not judged.
    pub(super) fn categories(
        &mut self,
        datasets: &IndexMap<String, ResolvedDataset>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        let spec = self.spec;
        for gate in &spec.gates {
            if let Some(path) = MetricPath::parse(&gate.metric) {
                let of = (path.evaluation, path.number);
                self.category(of, &gate.metric, datasets, evaluations);
            }
        }
        for expected in &spec.expected {
            let (_, number) = expected.metric_parts();
            let of = (expected.evaluation.get().as_str(), number);
            self.category(of, &expected.metric, datasets, evaluations);
        }
    }

    fn category(
        &mut self,
        (evaluation, number): (&str, Option<&str>),
        written: &Text,
        datasets: &IndexMap<String, ResolvedDataset>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        let Some(wanted) = number.and_then(|number| number.strip_prefix(CATEGORY)) else {
            return;
        };
        let Some(evaluation) = evaluations.get(evaluation) else {
            return;
        };
        let Some(dataset) = datasets.get(&evaluation.dataset) else {
            return;
        };
        let Some(names) = category_names(dataset, evaluation) else {
            return;
        };
        // Ids hold `_` and `~` with digits for what they cannot hold.
        let id = |name: &str| -> String {
            let fits = |c: char| !c.is_whitespace() && c != '/' && c != '~';
            name.chars()
                .map(|c| if fits(c) { c } else { '_' })
                .collect()
        };
        let ids: Vec<String> = names.iter().map(|name| id(name)).collect();
        if wanted.contains('~') || ids.iter().any(|id| id == wanted) {
            return;
        }
        let help = match (
            &evaluation.category,
            nearest(wanted, ids.iter().map(String::as_str)),
        ) {
            (None, _) => "the evaluation's key `category` says which column holds them".to_owned(),
            (_, Some(near)) => format!("did you mean `{near}`?"),
            _ => format!("its categories are {}", ids.join(", ")),
        };
        self.problem(
            "unknown-category",
            written.span(),
            format!("no prompt of the evaluation has the category `{wanted}`"),
            Some(help),
        );
    }
}

/// The categories that the prompts of an evaluation have; `None` where its rows are not there yet.
pub(super) fn category_names(
    dataset: &ResolvedDataset,
    evaluation: &ResolvedEvaluation,
) -> Option<BTreeSet<String>> {
    dataset.rows_selected?;
    let category = evaluation.category.as_ref();
    let names =
        dataset
            .rows
            .iter()
            .filter_map(|row| match value::column(&row.columns, category?)? {
                Value::String(text) => Some(text.clone()),
                other => value::scalar_text(other),
            });
    Some(names.collect())
}
