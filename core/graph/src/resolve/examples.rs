//! Answered examples before a prompt: of what they are made, and whether there are enough of them.

use driftgauge_data::prompt::Templates;
use driftgauge_spec::spec::{Evaluation, Turn};
use indexmap::IndexMap;

use super::Resolver;
use super::evaluations::score;
use super::models::turns;
use crate::nodes::example;
use crate::resolved::{ExampleAnswer, ResolvedDataset, ResolvedEvaluation, ResolvedExamples};

impl Resolver<'_> {
    /// The examples before a prompt.
    pub(super) fn examples(
        &self,
        evaluation: &Evaluation,
        prompt: &[Turn],
    ) -> Option<ResolvedExamples> {
        let examples = evaluation.examples.as_ref()?;
        let own: Vec<Turn> = prompt
            .iter()
            .filter(|turn| !matches!(turn, Turn::System(_) | Turn::Prefill(_)))
            .cloned()
            .collect();
        let reference = evaluation
            .reference
            .as_ref()
            .map(|reference| reference.as_slice());
        let reference = reference.and_then(<[_]>::first);
        let answer = match (examples.messages.is_empty(), reference) {
            (false, _) => None,
            (true, Some(template)) => Some(ExampleAnswer::Reference(template.get().clone())),
            (true, None) => score(evaluation).map(ExampleAnswer::Choice),
        };
        Some(ResolvedExamples {
            dataset: examples.dataset.get().clone(),
            count: *examples.count,
            seed: examples
                .seed
                .as_ref()
                .map_or(*self.spec.seed, |seed| **seed),
            turns: turns(match examples.messages.is_empty() {
                true => &own,
                false => &examples.messages,
            }),
            answer,
        })
    }

    /// Fills the turns of every row that may be drawn, and counts them.
    pub(super) fn try_examples(
        &mut self,
        written: &Evaluation,
        evaluation: &ResolvedEvaluation,
        datasets: &IndexMap<String, ResolvedDataset>,
    ) {
        let Some(examples) = &written.examples else {
            return;
        };
        let Some(dataset) = datasets.get(examples.dataset.get()) else {
            return;
        };
        // A dataset that is still to be fetched has no rows yet.
        if dataset.digest.is_none() {
            return;
        }
        let own = *examples.dataset.get() == evaluation.dataset;
        let needed = *examples.count + usize::from(own);
        if dataset.rows.len() < needed {
            let rows = dataset.rows.len();
            let why = if own {
                ", one of which is the one that is asked"
            } else {
                ""
            };
            self.problem(
                "too-few-rows",
                examples.count.span(),
                format!(
                    "{} examples are wanted, and dataset `{}` has {rows} rows{why}",
                    examples.count, examples.dataset
                ),
                Some("lower `count`, or name a dataset with more rows".to_owned()),
            );
            return;
        }
        let templates = Templates::default();
        let shown = evaluation
            .conditions
            .values()
            .filter_map(|condition| condition.examples.as_ref());
        let refused: Vec<_> = shown
            .filter_map(|shown| {
                let mut rows = dataset.rows.iter();
                rows.find_map(|row| example(&templates, shown, row).err())
            })
            .collect();
        for error in refused {
            self.refuse("bad-template", examples.dataset.span(), error);
        }
    }
}
