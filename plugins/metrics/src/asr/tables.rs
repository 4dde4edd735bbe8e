//! Tables: verdicts by judge, rates by category, agreement, disagreements, hazards.

use driftgauge_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use super::agreement::{Agreement, Pair};
use super::report::Words;
use super::{Asr, Verdict};
use crate::estimate::Estimate;

impl Asr {
    pub(super) fn tables(&self, words: &Words, tables: &mut Vec<Table>) {
        tables.push(self.judge_table(words));
        tables.extend(self.agreement_table(words));
        tables.extend(self.confusion_table());
        tables.extend(self.disagreement_table());
        tables.extend(self.category_table(words));
        tables.extend(self.hazard_table());
        tables.extend(self.score_table());
    }

    fn judge_table(&self, words: &Words) -> Table {
        let mut rows = Vec::new();
        for (condition, gathered) in self.conditions.iter() {
            for (judge, counts) in self.judges.iter().zip(&gathered.judges) {
                let mut row = vec![
                    json!(condition),
                    json!(judge.id),
                    json!(gathered.completions),
                    json!(counts.judged()),
                ];
                row.extend(counts.counts().map(|count| json!(count)));
                row.push(json!(gathered.not_made.total()));
                row.extend(bounded(&self.estimator.rate(&counts.hit)));
                row.push(json!(
                    self.estimator.rate(&counts.hit.with_missing_as(0.0)).value
                ));
                row.push(json!(
                    self.estimator.rate(&counts.hit.with_missing_as(1.0)).value
                ));
                row.push(json!(self.estimator.rate(&counts.clean).value));
                rows.push(row);
            }
        }
        let mut columns = vec!["condition", "judge", "completions", "judged"];
        columns.extend(Verdict::CLASS_WORDS);
        columns.push("not made");
        columns.extend(["rate", "low", "high"]);
        columns.extend([
            "unjudged counted out",
            "unjudged counted in",
            "without degenerate",
        ]);
        table(
            "judges",
            &format!("{} by judge", words.title),
            &columns,
            rows,
        )
    }

    /// Every pair of judges.
    fn pairs(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        let pairs =
            (1..self.judges.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
        let pairs: Vec<(usize, usize)> = pairs.collect();
        let conditions = self.conditions.names();
        conditions.flat_map(move |condition| {
            let of_condition = pairs.clone().into_iter();
            of_condition.map(move |(first, second)| (condition, first, second))
        })
    }

    fn agreement_table(&self, words: &Words) -> Option<Table> {
        let rows = self.pairs().filter_map(|(condition, first, second)| {
            let pair = self.conditions.get(condition)?.pair(first, second)?;
            let table = pair.judged(self.config.counted());
            let mut row = vec![
                json!(condition),
                json!(self.judges[first].id),
                json!(self.judges[second].id),
                json!(table.n()),
            ];
            let counts = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| json!(table.count(a, b)));
            row.extend(counts);
            row.extend(Agreement::values(pair).map(|number| json!(number)));
            Some(row)
        });
        let title = format!(
            "Agreement of judges: how often both, one or neither said {}",
            words.counted
        );
        let columns = [
            "condition",
            "judge A",
            "judge B",
            "both judged",
            "both",
            "A only",
            "B only",
            "neither",
            "agreement",
            "kappa",
            "AC1",
        ];
        some(table("agreement", &title, &columns, rows.collect()))
    }

    fn confusion_table(&self) -> Option<Table> {
        let mut rows = Vec::new();
        for (condition, first, second) in self.pairs() {
            let pair = self
                .conditions
                .get(condition)
                .and_then(|g| g.pair(first, second));
            for (said, answered, count) in pair.into_iter().flat_map(Pair::cells) {
                rows.push(vec![
                    json!(condition),
                    json!(self.judges[first].id),
                    json!(said),
                    json!(self.judges[second].id),
                    json!(answered),
                    json!(count),
                ]);
            }
        }
        let columns = [
            "condition",
            "judge A",
            "A said",
            "judge B",
            "B said",
            "completions",
        ];
        some(table(
            "confusion",
            "Words of two judges on the same completions",
            &columns,
            rows,
        ))
    }

    fn disagreement_table(&self) -> Option<Table> {
        let mut columns = vec!["condition", "sample", "completion"];
        columns.extend(self.judges.iter().map(|judge| judge.id.as_str()));
        let kept = &self.disagreements.kept;
        let rows = kept.iter().map(|((place, sample_id, index), verdicts)| {
            let mut row = vec![
                json!(self.conditions.name(*place)),
                json!(sample_id),
                json!(index),
            ];
            let words = (0..self.judges.len()).map(|judge| {
                let verdict = verdicts.get(judge).copied().flatten();
                json!(verdict.map(Verdict::as_str))
            });
            row.extend(words);
            row
        });
        let title = format!(
            "Completions on which judges disagree ({} of {})",
            kept.len(),
            self.disagreements.count
        );
        some(table("disagreements", &title, &columns, rows.collect()))
    }

    fn hazard_table(&self) -> Option<Table> {
        let mut rows = Vec::new();
        for (condition, gathered) in self.conditions.iter() {
            for (judge, counts) in self.judges.iter().zip(&gathered.judges) {
                for (hazard, count) in &counts.hazards {
                    rows.push(vec![
                        json!(condition),
                        json!(judge.id),
                        json!(hazard),
                        json!(count),
                    ]);
                }
            }
        }
        let columns = ["condition", "judge", "hazard", "completions"];
        some(table(
            "hazards",
            "Hazard categories named by judges",
            &columns,
            rows,
        ))
    }
}

/// A table with at least one row.
pub(super) fn some(table: Table) -> Option<Table> {
    (!table.rows.is_empty()).then_some(table)
}

/// An estimate with its bounds, as three cells.
pub(super) fn bounded(estimate: &Estimate) -> [Value; 3] {
    let ci = estimate.ci.as_ref();
    [
        json!(estimate.value),
        json!(ci.map(|ci| ci.low)),
        json!(ci.map(|ci| ci.high)),
    ]
}

pub(super) fn table(id: &str, title: &str, columns: &[&str], rows: Vec<Vec<Value>>) -> Table {
    Table {
        id: id.to_owned(),
        title: title.to_owned(),
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        rows,
    }
}
