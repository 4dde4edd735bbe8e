//! Scores of judges that grade: their means over prompts, on the judge's own scale where it has one, and how often each was given.

use std::collections::BTreeMap;

use driftgauge_plugin_sdk::prelude::*;
use serde_json::json;

use super::Asr;
use crate::columns::Column;
use crate::estimate::SHARE;

/// More different scores than this are no levels that a table could count.
const MOST_LEVELS: usize = 101;

/// A judge that gives scores, and the names of its fields.
#[derive(Debug)]
pub(super) struct ScorerFields {
    id: String,
    score: String,
    points: String,
}

/// The scores of one judge under one condition.
#[derive(Debug, Default)]
pub(super) struct Scored {
    /// From 0 to 1.
    score: Column,
    /// On the judge's own scale.
    points: Column,
    /// How often each was given, by its bits: those of numbers from 0 on are in their order.
    levels: BTreeMap<u64, (f64, u64)>,
    missing: u64,
}

impl Scored {
    fn add(&mut self, row: usize, score: Option<f64>, points: Option<f64>) {
        self.score.add(row, score);
        self.points.add(row, points);
        match points {
            Some(points) => {
                // Ordered as the numbers themselves are.
                let bits = points.to_bits();
                let order = if points < 0.0 { !bits } else { bits | 1 << 63 };
                self.levels.entry(order).or_insert((points, 0)).1 += 1;
            }
            None => self.missing += u64::from(score.is_none()),
        }
    }
}

impl Asr {
    /// Takes the scores of a completion that was made.
    pub(super) fn take_scores(
        scorers: &mut Vec<ScorerFields>,
        scored: &mut Vec<Scored>,
        (row, ids): (usize, &[&str]),
        sample: &Sample<'_>,
    ) -> Result<(), MetricError> {
        for &id in ids {
            if !scorers.iter().any(|scorer| scorer.id == id) {
                scorers.push(ScorerFields {
                    id: id.to_owned(),
                    score: format!("score.{id}"),
                    points: format!("points.{id}"),
                });
            }
        }
        scored.resize_with(scorers.len(), Scored::default);
        for (scorer, scored) in scorers.iter().zip(scored) {
            scored.add(
                row,
                sample.opt_f64(&scorer.score)?,
                sample.opt_f64(&scorer.points)?,
            );
        }
        Ok(())
    }

    /// The mean score by each judge that gives scores.
    pub(super) fn scores(&self, condition: &str, scored: &[Scored], output: &mut MetricOutput) {
        for (scorer, scored) in self.scorers.iter().zip(scored) {
            let name = format!("Mean score by `{}`", scorer.id);
            let formula = "mean over prompts of the mean score of the completions that have one";
            let on_scale = scored.points.total() > 0;
            let (id, unit, column) = match on_scale {
                true => (&scorer.points, "points", &scored.points),
                false => (&scorer.score, "ratio", &scored.score),
            };
            if !self.asked.has(id) {
                continue;
            }
            let estimate = match on_scale {
                true => self.estimator.skewed_mean(column),
                false => self.estimator.mean(column, SHARE),
            };
            column.add_scores(id, condition, &self.prompts, &mut output.scores);
            let scalar = Scalar::new(id, &name, condition)
                .unit(unit)
                .formula(formula);
            output.scalars.push(estimate.fill(scalar));
        }
    }

    /// How often each score was given.
    pub(super) fn score_table(&self) -> Option<Table> {
        let mut rows = Vec::new();
        for (condition, gathered) in self.conditions.iter() {
            for (scorer, scored) in self.scorers.iter().zip(&gathered.scored) {
                if scored.levels.is_empty() || scored.levels.len() > MOST_LEVELS {
                    continue;
                }
                let all: u64 = scored.levels.values().map(|(_, count)| count).sum();
                for (level, count) in scored.levels.values() {
                    let share = self.estimator.share(*count, all);
                    rows.push(vec![
                        json!(condition),
                        json!(scorer.id),
                        json!(level),
                        json!(count),
                        json!(share.value),
                    ]);
                }
                if scored.missing > 0 {
                    let none = serde_json::Value::Null;
                    rows.push(vec![
                        json!(condition),
                        json!(scorer.id),
                        none.clone(),
                        json!(scored.missing),
                        none,
                    ]);
                }
            }
        }
        (!rows.is_empty()).then(|| Table {
            id: "scores".to_owned(),
            title: "How often each score was given; without one, how many completions have none"
                .to_owned(),
            columns: ["condition", "judge", "score", "completions", "share"]
                .map(str::to_owned)
                .to_vec(),
            rows,
        })
    }
}
