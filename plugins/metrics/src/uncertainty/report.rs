//! From values to numbers: means by condition, split by correctness, and how well a measure predicts correctness.

use std::collections::BTreeMap;

use driftgauge_plugin_sdk::prelude::*;

use super::{Gathered, Measure, Uncertainty};
use crate::columns::Column;
use crate::estimate::{Estimate, mean};

impl Uncertainty {
    pub(super) fn report(&self) -> MetricOutput {
        let mut output = MetricOutput::new();
        for (condition, gathered) in self.conditions.iter() {
            for (index, measure) in self.measures.iter().enumerate() {
                self.measure(condition, gathered, index, *measure, &mut output);
            }
            self.consistency(condition, gathered, &mut output);
            self.calibration(condition, gathered, &mut output);
            if gathered.without > 0 {
                output.notes.push(format!(
                    "Condition `{condition}`: {} of {} completions have no token statistics; they are left out.",
                    gathered.without,
                    gathered.answer.len()
                ));
            }
            if gathered.failed > 0 {
                output.notes.push(format!(
                    "Condition `{condition}`: {} completions were not made; they are left out.",
                    gathered.failed
                ));
            }
        }
        output.scalars.sort_by_key(|scalar| !scalar.primary);
        output
    }

    /// The mean of one measure, over all answers and over the correct and the incorrect ones.
    fn measure(
        &self,
        condition: &str,
        gathered: &Gathered,
        index: usize,
        measure: Measure,
        output: &mut MetricOutput,
    ) {
        let Some(values) = gathered.values.get(index) else {
            return;
        };
        let column = |wanted: Option<bool>| {
            let mut column = Column::default();
            for ((value, row), correct) in
                values.iter().zip(&gathered.prompt).zip(&gathered.correct)
            {
                if value.is_finite() && (wanted.is_none() || *correct == wanted) {
                    column.add(*row as usize, Some(*value));
                }
            }
            column
        };
        for (suffix, words, wanted) in [
            ("", "", None),
            ("_correct", ", correct answers", Some(true)),
            ("_incorrect", ", incorrect answers", Some(false)),
        ] {
            let column = column(wanted);
            if column.total() == 0 && wanted.is_some() {
                continue;
            }
            let mut scalar = Scalar::new(
                &format!("{}{suffix}", measure.id()),
                &format!("{}{words}", measure.title()),
                condition,
            )
            .unit(measure.unit())
            .formula(measure.formula());
            if wanted.is_none() && measure == self.primary {
                scalar = scalar.primary();
            }
            if wanted.is_none() {
                output
                    .scores
                    .push(column.scores(measure.id(), condition, &self.prompts));
            }
            output.scalars.push(mean(&column).fill(scalar));
        }
    }

    /// `1 - max_a freq(a)` over the normalised answers of a prompt, where several were sampled.
    fn consistency(&self, condition: &str, gathered: &Gathered, output: &mut MetricOutput) {
        if !gathered.repeated {
            return;
        }
        let mut answers: BTreeMap<u32, BTreeMap<u64, u32>> = BTreeMap::new();
        for (row, answer) in gathered.prompt.iter().zip(&gathered.answer) {
            *answers.entry(*row).or_default().entry(*answer).or_default() += 1;
        }
        let mut column = Column::default();
        for (row, counts) in &answers {
            let total: u32 = counts.values().sum();
            let most = counts.values().copied().max().unwrap_or(0);
            column.add(
                *row as usize,
                Some(1.0 - f64::from(most) / f64::from(total)),
            );
        }
        let scalar = Scalar::new(
            "self_inconsistency",
            "Disagreement among samples",
            condition,
        )
        .unit("ratio")
        .formula("mean over prompts of 1 - (share of the most frequent normalised answer)");
        output
            .scores
            .push(column.scores("self_inconsistency", condition, &self.prompts));
        output.scalars.push(mean(&column).fill(scalar));
    }

    /// How well the chosen measure predicts that an answer is correct.
    fn calibration(&self, condition: &str, gathered: &Gathered, output: &mut MetricOutput) {
        let Some(index) = self
            .measures
            .iter()
            .position(|measure| *measure == self.confidence)
        else {
            return;
        };
        let Some(values) = gathered.values.get(index) else {
            return;
        };
        let pairs: Vec<(f64, bool)> = values
            .iter()
            .zip(&gathered.correct)
            .filter_map(|(value, correct)| {
                Some((
                    self.confidence
                        .confidence(*value)
                        .filter(|c| c.is_finite())?,
                    (*correct)?,
                ))
            })
            .collect();
        if pairs.is_empty() {
            return;
        }
        let name = self.confidence.title();
        let n = pairs.len() as u64;
        let bins = self.ece_bins;
        let numbers = [
            (
                format!("ece{bins}"),
                format!("Calibration error of {name} ({bins} bins)"),
                "sum over equal-width bins of (n_b / n) |accuracy_b - mean confidence_b|",
                Some(calibration_error(&pairs, bins)),
                true,
            ),
            (
                "brier".to_owned(),
                format!("Brier score of {name}"),
                "mean (confidence - correct)^2",
                Some(
                    pairs
                        .iter()
                        .map(|(p, y)| (p - f64::from(u8::from(*y))).powi(2))
                        .sum::<f64>()
                        / n as f64,
                ),
                true,
            ),
            (
                "auroc".to_owned(),
                format!("AUROC of {name} as a predictor of correctness"),
                "P(confidence of a correct answer > that of an incorrect one), ties count half",
                auroc(&pairs),
                false,
            ),
        ];
        for (id, title, formula, value, lower) in numbers {
            let scalar = Scalar::new(&id, &title, condition)
                .unit("ratio")
                .formula(formula);
            let scalar = if lower {
                scalar.lower_is_better()
            } else {
                scalar.higher_is_better()
            };
            let estimate = Estimate { value, n, ci: None };
            output.scalars.push(estimate.fill(scalar));
        }
    }
}

/// Expected calibration error over bins `(l, u]` of equal width, 0 in the first one (Guo et al. 2017).
fn calibration_error(pairs: &[(f64, bool)], bins: usize) -> f64 {
    let mut sums = vec![(0.0, 0.0); bins.max(1)];
    for (confidence, correct) in pairs {
        // Confidences lie in [0, 1], so the bin is in range.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bin = ((confidence * bins as f64).ceil() as usize)
            .saturating_sub(1)
            .min(sums.len() - 1);
        sums[bin].0 += confidence;
        sums[bin].1 += f64::from(u8::from(*correct));
    }
    sums.iter()
        .map(|(confidence, correct)| (confidence - correct).abs())
        .sum::<f64>()
        / pairs.len() as f64
}

/// Mann-Whitney with midranks; undefined with one class only.
fn auroc(pairs: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = sorted.iter().filter(|(_, correct)| *correct).count() as f64;
    let negatives = sorted.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut rank_sum = 0.0;
    let mut start = 0;
    while start < sorted.len() {
        let end = start
            + sorted[start..]
                .iter()
                .take_while(|pair| pair.0 == sorted[start].0)
                .count();
        let midrank = (start + end + 1) as f64 / 2.0;
        rank_sum += midrank
            * sorted[start..end]
                .iter()
                .filter(|(_, correct)| *correct)
                .count() as f64;
        start = end;
    }
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_is_numpys() {
        // Ten answers in two bins: 0.25 (one of four correct) and 0.85 (five of six).
        let mut pairs = vec![(0.25, false); 3];
        pairs.push((0.25, true));
        pairs.extend([(0.85, true); 5]);
        pairs.push((0.85, false));
        let expected = (4.0 * 0.0 + (6.0 * 0.85 - 5.0_f64).abs()) / 10.0;
        assert!((calibration_error(&pairs, 10) - expected).abs() < 1e-12);
        // 24 pairs of a correct and an incorrect one: 5*3 won, 5*1 and 1*3 tied, 1*1 lost.
        assert!((auroc(&pairs).unwrap() - (15.0 + 4.0) / 24.0).abs() < 1e-12);
        assert_eq!(auroc(&[(0.5, true)]), None);
    }
}
