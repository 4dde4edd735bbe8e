//! Whether sureness predicts correctness: calibration and ranking of one chosen measure with intervals, and a table of all.

use std::borrow::Cow;
use std::rc::Rc;

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_stats::bootstrap::Options;
use driftgauge_stats::calibration::{Binned, Predictions, Prompted, RankStatistic};
use driftgauge_stats::rank::spearman;
use serde_json::{Value, json};

use super::ranks::{RANK_IDS, estimate};
use super::{Gathered, Measure, Uncertainty, further};
use crate::estimate::{Estimate, SHARE};

/// What the tables and charts show of one condition.
pub(super) struct Calibrated {
    pub(super) condition: String,
    pub(super) reliability: Option<Binned>,
    /// Whether a prompt has several answers, so that those of a bin are not independent.
    pub(super) repeated: bool,
    rows: Vec<Vec<Value>>,
    /// Rows of the table of calibration.
    further: Vec<Vec<Value>>,
}

/// What is computed of the chosen measure.
#[derive(Clone, Copy)]
struct Wanted {
    /// How far confidences are off.
    errors: bool,
    /// Whether surer answers are the right ones.
    ranks: bool,
}

/// The completions of a condition that have a value of a measure and are known to be correct or not.
struct Known<'a> {
    prompt: Cow<'a, [u32]>,
    value: Cow<'a, [f64]>,
    correct: Vec<bool>,
}

impl<'a> Known<'a> {
    fn of(gathered: &'a Gathered, values: &'a [f64]) -> Self {
        // Most often those are all of them.
        let whole = values.iter().zip(&gathered.correct);
        let whole = whole.map(|(value, correct)| correct.filter(|_| value.is_finite()));
        if let Some(correct) = whole.collect() {
            return Self {
                prompt: Cow::Borrowed(&gathered.prompt),
                value: Cow::Borrowed(values),
                correct,
            };
        }
        let (mut prompts, mut kept) = (Vec::new(), Vec::new());
        let mut known = Vec::new();
        for ((value, correct), prompt) in values.iter().zip(&gathered.correct).zip(&gathered.prompt)
        {
            if let Some(correct) = correct.filter(|_| value.is_finite()) {
                prompts.push(*prompt);
                kept.push(*value);
                known.push(correct);
            }
        }
        Self {
            prompt: prompts.into(),
            value: kept.into(),
            correct: known,
        }
    }

    /// How sure each value is, for ranking.
    fn certainty(&self, measure: Measure) -> Cow<'_, [f64]> {
        match measure.is_certainty() {
            true => Cow::Borrowed(&self.value),
            false => self
                .value
                .iter()
                .map(|&value| measure.certainty(value))
                .collect(),
        }
    }

    /// The confidence of each value; `None` where one has none.
    fn confidence(&self, measure: Measure) -> Option<Cow<'_, [f64]>> {
        if measure.is_confidence() {
            return Some(Cow::Borrowed(&self.value));
        }
        let each = self.value.iter().map(|&value| measure.confidence(value));
        each.collect::<Option<Vec<f64>>>().map(Cow::Owned)
    }
}

impl Uncertainty {
    /// How an interval over the answers is drawn; `None` where none is.
    fn drawn(&self, predictions: &Predictions) -> Option<Options> {
        let answers = usize::try_from(predictions.n()).unwrap_or(usize::MAX);
        let drawn = self.estimator.draws();
        drawn.then(|| self.estimator.bootstrap(answers))
    }

    /// The id of the calibration error.
    fn error_id(&self) -> String {
        format!("ece{}", self.ece_bins)
    }

    /// The numbers of the chosen measure, and a row of the table for every measure.
    pub(super) fn calibration(
        &self,
        condition: &str,
        gathered: &Gathered,
        output: &mut MetricOutput,
    ) -> Option<Calibrated> {
        let mut found = Calibrated {
            condition: condition.to_owned(),
            reliability: None,
            repeated: gathered.repeated,
            rows: Vec::new(),
            further: Vec::new(),
        };
        let basis = gathered.basis.words(self.marker.rule());
        let wanted = self.wanted();
        for (measure, values) in self.measures.iter().zip(&gathered.values) {
            if *measure == Measure::SelfInconsistency && !gathered.repeated {
                continue;
            }
            // Of other measures there are only rows of tables.
            let is_behind = *measure == self.confidence && (wanted.errors || wanted.ranks);
            if !is_behind && !self.asked.is_all() {
                continue;
            }
            let known = Known::of(gathered, values);
            let certainty = known.certainty(*measure);
            let Some(ranked) = Predictions::new(&certainty, &known.correct).map(Rc::new) else {
                continue;
            };
            // A probability is its own certainty: sorted once.
            let calibrated = known.confidence(*measure).and_then(|confidence| {
                let predictions = if confidence == certainty {
                    Rc::clone(&ranked)
                } else {
                    Rc::new(Predictions::new(&confidence, &known.correct)?)
                };
                Some((confidence, predictions))
            });
            if self.asked.is_all() {
                // Of several completions of a prompt, DeLong's interval would be too narrow.
                let auroc_ci = ranked
                    .auroc_interval(self.estimator.level())
                    .filter(|_| !gathered.repeated);
                let calibrated_by = calibrated.as_ref().map(|(_, predictions)| &**predictions);
                let mut row = self.row(condition, *measure, &ranked, auroc_ci, calibrated_by);
                row.push(json!(self.rank_correlation(gathered, *measure, values)));
                found.rows.push(row);
                if let Some((_, predictions)) = &calibrated {
                    found
                        .further
                        .push(further::row(condition, *measure, predictions));
                }
            }
            if *measure != self.confidence {
                continue;
            }
            if let (true, Some((confidence, predictions))) = (wanted.errors, &calibrated) {
                let bins = u32::try_from(self.ece_bins).unwrap_or(u32::MAX);
                let error = (self.error_id(), PooledStatistic::CalibrationError { bins });
                let pooled = self.pooled(condition, &known, confidence, [error]);
                output.pooled.extend(pooled);
                let drawn = gathered.prompted(confidence, &known);
                self.errors((condition, &basis), predictions, drawn.as_ref(), output);
                if self.asked.is_all() {
                    found.reliability = predictions.equal_width(self.ece_bins);
                }
                self.brier(condition, gathered, predictions, output);
            }
            if wanted.ranks {
                let statistics = [
                    PooledStatistic::Auroc,
                    PooledStatistic::Aurc,
                    PooledStatistic::Prr,
                ];
                let ranks = RANK_IDS.map(str::to_owned).into_iter().zip(statistics);
                let pooled = self.pooled(condition, &known, &certainty, ranks);
                output.pooled.extend(pooled);
                let drawn = gathered.prompted(&certainty, &known);
                self.ranks((condition, &basis), &ranked, drawn.as_ref(), output);
            }
        }
        (!found.rows.is_empty()).then_some(found)
    }

    /// Which kinds of numbers of the chosen measure are asked for.
    fn wanted(&self) -> Wanted {
        let errors = ["overconfidence", "brier", &self.error_id()];
        Wanted {
            errors: self.asked.has_any(&errors),
            ranks: self.asked.has_any(&RANK_IDS),
        }
    }

    /// The answers that numbers of the chosen measure are computed of, for comparisons.
    fn pooled(
        &self,
        condition: &str,
        known: &Known,
        values: &[f64],
        numbers: impl IntoIterator<Item = (String, PooledStatistic)>,
    ) -> Option<Pooled> {
        let numbers = numbers.into_iter().filter(|(id, _)| self.asked.has(id));
        let numbers: Vec<_> = numbers
            .map(|(id, statistic)| PooledNumber { id, statistic })
            .collect();
        let few = known.prompt.len() <= MOST_POOLED && !numbers.is_empty();
        few.then(|| {
            let (sample_ids, prompts) = self.prompts.pooled(&known.prompt);
            Pooled {
                condition: condition.to_owned(),
                numbers,
                sample_ids,
                prompts,
                values: values.to_vec(),
                truths: known.correct.clone(),
            }
        })
    }

    /// Calibration error and signed gap under a condition; `basis` says what correctness rests on.
    fn errors(
        &self,
        (condition, basis): (&str, &str),
        predictions: &Predictions,
        prompted: Option<&Prompted>,
        output: &mut MetricOutput,
    ) {
        let (bins, name, n) = (self.ece_bins, self.confidence.title(), predictions.n());
        let how = self.confidence.confidence_formula();
        if self.asked.has(&self.error_id()) {
            let drawn = |options| match prompted {
                Some(prompted) => prompted.equal_width_interval(bins, options),
                None => predictions.equal_width_interval(bins, options),
            };
            let ci = self.drawn(predictions).and_then(drawn);
            let scalar = Scalar::new(
                &self.error_id(),
                &format!("Calibration error of {name} ({bins} bins)"),
                condition,
            )
            .unit("ratio")
            .formula(&format!(
                "{how}sum over {bins} equal-width bins (l, u] of (n_b / n) |accuracy_b - mean confidence_b|; {basis}"
            ))
            .lower_is_better();
            let value = predictions.equal_width(bins).map(|binned| binned.ece);
            self.push(estimate(value, n, ci).fill(scalar), output);
        }
        if !self.asked.has("overconfidence") {
            return;
        }
        let scalar = Scalar::new(
            "overconfidence",
            &format!("Overconfidence of {name}"),
            condition,
        )
        .unit("ratio")
        .formula(&format!("{how}mean confidence - accuracy; {basis}"));
        let gap = estimate(predictions.signed_gap(), n, None);
        self.push(gap.fill(scalar), output);
    }

    /// The Brier score, a mean over prompts, which can be compared pair by pair.
    fn brier(
        &self,
        condition: &str,
        gathered: &Gathered,
        predictions: &Predictions,
        output: &mut MetricOutput,
    ) {
        let index = self.measures.iter().position(|m| *m == self.confidence);
        let Some(index) = index.filter(|_| self.asked.has("brier")) else {
            return;
        };
        let squares: Vec<f64> = gathered.values[index]
            .iter()
            .zip(&gathered.correct)
            .map(
                |(value, correct)| match (self.confidence.confidence(*value), correct) {
                    (Some(confidence), Some(correct)) => {
                        (confidence - f64::from(u8::from(*correct))).powi(2)
                    }
                    _ => f64::NAN,
                },
            )
            .collect();
        let column = gathered.column(&squares, None);
        let mean = self.estimator.mean(&column, SHARE);
        let ci = if gathered.repeated {
            mean.ci.clone()
        } else {
            let drawn = |options| predictions.brier_interval(options);
            self.drawn(predictions).and_then(drawn)
        };
        let scalar = Scalar::new(
            "brier",
            &format!("Brier score of {}", self.confidence.title()),
            condition,
        )
        .unit("ratio")
        .formula(&format!(
            "{}mean (confidence - correct)^2; {}",
            self.confidence.confidence_formula(),
            gathered.basis.words(self.marker.rule())
        ))
        .lower_is_better();
        self.push(Estimate { ci, ..mean }.fill(scalar), output);
        column.add_scores("brier", condition, &self.prompts, &mut output.scores);
    }

    /// Spearman's rank correlation of a measure's certainty with that of the chosen measure.
    fn rank_correlation(
        &self,
        gathered: &Gathered,
        measure: Measure,
        values: &[f64],
    ) -> Option<f64> {
        let chosen = self.measures.iter().position(|m| *m == self.confidence)?;
        if measure == self.confidence {
            let ours = values.iter().copied().filter(|value| value.is_finite());
            let ours: Vec<f64> = ours.map(|value| measure.certainty(value)).collect();
            return spearman(&ours, &ours);
        }
        let both = values.iter().zip(gathered.values.get(chosen)?);
        let (ours, theirs): (Vec<f64>, Vec<f64>) = both
            .filter(|(ours, theirs)| ours.is_finite() && theirs.is_finite())
            .map(|(ours, theirs)| (measure.certainty(*ours), self.confidence.certainty(*theirs)))
            .unzip();
        spearman(&ours, &theirs)
    }

    fn row(
        &self,
        condition: &str,
        measure: Measure,
        ranked: &Predictions,
        auroc: Option<driftgauge_stats::Interval>,
        calibrated: Option<&Predictions>,
    ) -> Vec<Value> {
        vec![
            json!(condition),
            json!(measure.title()),
            json!(ranked.n()),
            json!(ranked.accuracy()),
            json!(ranked.auroc()),
            json!(auroc.as_ref().map(|ci| ci.low)),
            json!(auroc.as_ref().map(|ci| ci.high)),
            json!(ranked.rank(RankStatistic::Aurc)),
            json!(ranked.rank(RankStatistic::Prr)),
            json!(calibrated.and_then(|c| Some(c.equal_width(self.ece_bins)?.ece))),
            json!(calibrated.and_then(|c| Some(c.brier()?.score))),
        ]
    }

    /// The table of all measures and the reliability diagram.
    pub(super) fn calibration_parts(&self, found: &[Calibrated], output: &mut MetricOutput) {
        let rows: Vec<Vec<Value>> = found.iter().flat_map(|c| c.rows.clone()).collect();
        if !rows.is_empty() {
            let ece = format!("ECE, {} bins", self.ece_bins);
            let columns = [
                "condition",
                "measure",
                "answers",
                "accuracy",
                "AUROC",
                "low",
                "high",
                "AURC",
                "PRR",
                &ece,
                "Brier",
                "rank correlation",
            ];
            output.tables.push(Table {
                id: "predictors".to_owned(),
                title: "Each measure as a predictor of correctness".to_owned(),
                columns: columns.map(str::to_owned).to_vec(),
                rows,
            });
        }
        let rows: Vec<Vec<Value>> = found.iter().flat_map(|c| c.further.clone()).collect();
        output.tables.extend(further::table(rows));
        self.reliability_parts(found, output);
    }
}

impl Gathered {
    /// The answers by prompt, where a prompt has several.
    fn prompted(&self, scores: &[f64], known: &Known) -> Option<Prompted> {
        self.repeated
            .then(|| Prompted::new(scores, &known.correct, &known.prompt))?
    }
}
