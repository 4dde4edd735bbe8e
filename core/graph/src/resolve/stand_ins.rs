//! Texts of another row (`shuffled`) that are the row's own: two rows that say the same stand in for each other, and what is meant to be
//! unrelated is not.

use driftgauge_data::dataset::{Row, derangement};
use driftgauge_data::prompt::Templates;
use indexmap::IndexMap;

use super::Resolver;
use crate::resolved::{ResolvedDataset, ResolvedEvaluation};

impl Resolver<'_> {
    /// Warns of each template in which another row's texts are those of the row itself.
    pub(super) fn same_stand_ins(
        &mut self,
        datasets: &IndexMap<String, ResolvedDataset>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        let spec = self.spec;
        let templates = Templates::default();
        for (id, evaluation) in &spec.evaluations {
            let Some(resolved) = evaluations.get(id.get()) else {
                continue;
            };
            let Some(dataset) = datasets.get(&resolved.dataset) else {
                continue;
            };
            let rows = dataset.rows.len().min(resolved.limit.unwrap_or(usize::MAX));
            let rows = &dataset.rows[..rows];
            let stand_ins = derangement(rows.len(), resolved.shuffle_seed);
            let conditions = evaluation.conditions.values();
            let turns = conditions.flat_map(|condition| &condition.prompt);
            for turn in evaluation.prompt.iter().chain(turns) {
                let text = turn.template();
                if !text.contains("shuffled") {
                    continue;
                }
                let is_own = |(row, stand_in): &(&Row, &usize)| {
                    let other = &dataset.rows[**stand_in];
                    let of = |stand_in| templates.fill_present(text, row, Some(stand_in)).ok();
                    row.id != other.id && of(other).is_some_and(|there| Some(there) == of(*row))
                };
                let pairs = rows.iter().zip(&stand_ins);
                let own: Vec<&str> = pairs
                    .filter(is_own)
                    .map(|(row, _)| row.id.as_str())
                    .collect();
                if let Some(first) = own.first() {
                    let message = format!(
                        "in {} of {} rows of evaluation `{id}` the text of another row (`shuffled`) is the row's own, the first of them `{first}`",
                        own.len(),
                        rows.len()
                    );
                    self.warn(
                        "same-stand-in",
                        text.span(),
                        message,
                        "rows with the same text stand in for each other: name a column that differs between the rows, or another `shuffle_seed`",
                    );
                }
            }
        }
    }
}
