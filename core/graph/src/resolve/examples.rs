//! Answered examples before a prompt: of what they are made, and whether there are enough of them.

use driftgauge_data::dataset::{Row, shuffled};
use driftgauge_data::prompt::{TEXT_ROLE, Templates, TurnTemplate};
use driftgauge_problem::Problem;
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
                let wrong = rows.find_map(|row| example(&templates, shown, row).err());
                let known = |turn: &TurnTemplate| {
                    let known = templates.knows(&turn.template, &dataset.rows);
                    known.err().map(Problem::from)
                };
                wrong.or_else(|| shown.turns.iter().find_map(known))
            })
            .collect();
        if refused.is_empty() {
            self.asked_examples(written, evaluation, datasets);
        }
        for error in refused {
            self.refuse("bad-template", examples.dataset.span(), error);
        }
    }

    /// Refuses examples that show the answer to a question which is asked behind them. The asked row itself is never one of them where
    /// both are rows of one dataset; the same question may stand in another row, or in another dataset.
    fn asked_examples(
        &mut self,
        written: &Evaluation,
        evaluation: &ResolvedEvaluation,
        datasets: &IndexMap<String, ResolvedDataset>,
    ) {
        let (Some(examples), Some(asked)) = (&written.examples, datasets.get(&evaluation.dataset))
        else {
            return;
        };
        let rows = asked.rows.len().min(evaluation.limit.unwrap_or(usize::MAX));
        let rows = &asked.rows[..rows];
        for condition in evaluation.conditions.values() {
            let Some(shown) = &condition.examples else {
                continue;
            };
            let own = shown.dataset == evaluation.dataset;
            let drawn = drawn(shown, &datasets[&shown.dataset].rows, own);
            let Some((example, row)) = shown_twice(&condition.turns, shown, &drawn, rows, own)
            else {
                continue;
            };
            let of = &shown.dataset;
            self.problem(
                "example-asked",
                examples.dataset.span(),
                format!("example `{example}` of dataset `{of}` is the question that row `{row}` asks"),
                Some("the answer would stand before the question: filter one of the two out, or draw the examples from rows that are not asked".to_owned()),
            );
            return;
        }
    }
}

/// The rows that examples are made of: one more than are shown where the asked row may be one of them.
fn drawn(shown: &ResolvedExamples, rows: &[Row], own: bool) -> Vec<Row> {
    let needed = shown.count + usize::from(own);
    let mut drawn = shuffled(rows.to_vec(), shown.seed);
    drawn.truncate(needed);
    drawn
}

/// An example and an asked row that are one question: the same row, or the same words of the user.
fn shown_twice(
    turns: &[TurnTemplate],
    shown: &ResolvedExamples,
    drawn: &[Row],
    rows: &[Row],
    own: bool,
) -> Option<(String, String)> {
    let templates = Templates::default();
    let questions: Vec<(&Row, Option<Vec<String>>)> = drawn
        .iter()
        .map(|row| (row, question(&templates, &shown.turns, row)))
        .collect();
    let asked = rows
        .iter()
        .map(|row| (row, question(&templates, turns, row)));
    let asked: Vec<(&Row, Option<Vec<String>>)> = asked.collect();
    // Where every row asks the same words, they are no question.
    let constant = asked.iter().all(|(_, said)| *said == asked[0].1);
    asked.iter().find_map(|(row, said)| {
        let others = questions.iter();
        let mut others = others
            .filter(|(example, _)| !(own && example.id == row.id))
            .take(shown.count);
        let same = others.find(|(example, words)| {
            let same_words = !constant && said.is_some() && said == words;
            same_words || example.columns == row.columns
        });
        same.map(|(example, _)| (example.id.clone(), row.id.clone()))
    })
}

/// What the user says in a prompt; `None` where that is nothing.
fn question(templates: &Templates, turns: &[TurnTemplate], row: &Row) -> Option<Vec<String>> {
    let of_user = turns
        .iter()
        .filter(|turn| ["user", TEXT_ROLE].contains(&turn.role.as_str()));
    let said: Vec<String> = of_user
        .map(|turn| {
            Some(
                templates
                    .fill(&turn.template, row, Some(row))
                    .ok()?
                    .trim()
                    .to_owned(),
            )
        })
        .collect::<Option<_>>()?;
    said.iter().any(|text| !text.is_empty()).then_some(said)
}
