//! Whether sureness predicts correctness: calibration and ranking of one chosen measure with intervals, and a table of all.

use std::rc::Rc;

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_stats::bootstrap::Options;
use driftgauge_stats::calibration::{Binned, Predictions, Prompted, RankStatistic};
use driftgauge_stats::rank::spearman;
use serde_json::{Value, json};

use super::{Gathered, Measure, Uncertainty, further};
use crate::estimate::{Estimate, SHARE};

/// How many times as often the order is drawn: the prediction rejection ratio has a standard deviation of about 1.4 / sqrt(n), three
/// times that of a share, so that 10,000 replicates of 1,000 answers would leave its bounds an error of 0.12 percentage points.
const RANKS_TIMES: usize = 4;

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

/// The completions of a condition that have a value of a measure and are known to be correct or not.
struct Known {
    prompt: Vec<u32>,
    value: Vec<f64>,
    correct: Vec<bool>,
}

impl Known {
    fn of(gathered: &Gathered, values: &[f64]) -> Self {
        let mut known = Self {
            prompt: Vec::with_capacity(values.len()),
            value: Vec::with_capacity(values.len()),
            correct: Vec::with_capacity(values.len()),
        };
        for ((value, correct), prompt) in values.iter().zip(&gathered.correct).zip(&gathered.prompt)
        {
            if let Some(correct) = correct.filter(|_| value.is_finite()) {
                known.prompt.push(*prompt);
                known.value.push(*value);
                known.correct.push(correct);
            }
        }
        known
    }

    /// A score of each value; `None` where one has none.
    fn scores(&self, score: impl Fn(f64) -> Option<f64>) -> Option<Vec<f64>> {
        let mut scores = Vec::with_capacity(self.value.len());
        for &value in &self.value {
            scores.push(score(value)?);
        }
        Some(scores)
    }
}

impl Uncertainty {
    /// How an interval over the answers is drawn.
    fn drawn(&self, predictions: &Predictions) -> Options {
        let answers = usize::try_from(predictions.n()).unwrap_or(usize::MAX);
        self.estimator.bootstrap(answers)
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
        for (measure, values) in self.measures.iter().zip(&gathered.values) {
            if *measure == Measure::SelfInconsistency && !gathered.repeated {
                continue;
            }
            let known = Known::of(gathered, values);
            let certainty = known
                .scores(|value| Some(measure.certainty(value)))
                .unwrap_or_default();
            let Some(ranked) = Predictions::new(&certainty, &known.correct).map(Rc::new) else {
                continue;
            };
            // A probability is its own certainty: sorted once.
            let calibrated =
                known
                    .scores(|value| measure.confidence(value))
                    .and_then(|confidence| {
                        let predictions = if confidence == certainty {
                            Rc::clone(&ranked)
                        } else {
                            Rc::new(Predictions::new(&confidence, &known.correct)?)
                        };
                        Some((confidence, predictions))
                    });
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
            if *measure == self.confidence {
                if let Some((confidence, predictions)) = &calibrated {
                    let bins = u32::try_from(self.ece_bins).unwrap_or(u32::MAX);
                    let error = PooledNumber {
                        id: format!("ece{}", self.ece_bins),
                        statistic: PooledStatistic::CalibrationError { bins },
                    };
                    let pooled = self.pooled(condition, &known, confidence, vec![error]);
                    output.pooled.extend(pooled);
                    let drawn = gathered.prompted(confidence, &known);
                    self.errors((condition, &basis), predictions, drawn.as_ref(), output);
                    found.reliability = predictions.equal_width(self.ece_bins);
                    self.brier(condition, gathered, predictions, output);
                }
                let ranks = [
                    ("auroc", PooledStatistic::Auroc),
                    ("aurc", PooledStatistic::Aurc),
                    ("prr", PooledStatistic::Prr),
                ];
                let ranks = ranks.map(|(id, statistic)| PooledNumber {
                    id: id.to_owned(),
                    statistic,
                });
                let pooled = self.pooled(condition, &known, &certainty, ranks.to_vec());
                output.pooled.extend(pooled);
                let drawn = gathered.prompted(&certainty, &known);
                self.ranks((condition, &basis), &ranked, drawn.as_ref(), output);
            }
        }
        (!found.rows.is_empty()).then_some(found)
    }

    /// The answers that numbers of the chosen measure are computed of, for comparisons.
    fn pooled(
        &self,
        condition: &str,
        known: &Known,
        values: &[f64],
        numbers: Vec<PooledNumber>,
    ) -> Option<Pooled> {
        let id = |prompt: &u32| self.prompts.id(*prompt as usize).to_owned();
        (known.prompt.len() <= MOST_POOLED).then(|| Pooled {
            condition: condition.to_owned(),
            numbers,
            sample_ids: known.prompt.iter().map(id).collect(),
            values: values.to_vec(),
            truths: known.correct.clone(),
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
        let options = self.drawn(predictions);
        let ci = match prompted {
            Some(prompted) => prompted.equal_width_interval(bins, options),
            None => predictions.equal_width_interval(bins, options),
        };
        let scalar = Scalar::new(
            &format!("ece{bins}"),
            &format!("Calibration error of {name} ({bins} bins)"),
            condition,
        )
        .unit("ratio")
        .formula(&format!(
            "{how}sum over {bins} equal-width bins (l, u] of (n_b / n) |accuracy_b - mean confidence_b|; {basis}"
        ))
        .lower_is_better();
        let value = predictions.equal_width(bins).map(|binned| binned.ece);
        output.scalars.push(estimate(value, n, ci).fill(scalar));
        let scalar = Scalar::new(
            "overconfidence",
            &format!("Overconfidence of {name}"),
            condition,
        )
        .unit("ratio")
        .formula(&format!("{how}mean confidence - accuracy; {basis}"));
        output
            .scalars
            .push(estimate(predictions.signed_gap(), n, None).fill(scalar));
    }

    /// The Brier score, a mean over prompts, which can be compared pair by pair.
    fn brier(
        &self,
        condition: &str,
        gathered: &Gathered,
        predictions: &Predictions,
        output: &mut MetricOutput,
    ) {
        let Some(index) = self.measures.iter().position(|m| *m == self.confidence) else {
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
            predictions.brier_interval(self.drawn(predictions))
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
        output.scalars.push(Estimate { ci, ..mean }.fill(scalar));
        column.add_scores("brier", condition, &self.prompts, &mut output.scores);
    }

    /// AUROC, AURC and PRR.
    fn ranks(
        &self,
        (condition, basis): (&str, &str),
        predictions: &Predictions,
        prompted: Option<&Prompted>,
        output: &mut MetricOutput,
    ) {
        let name = self.confidence.title();
        let statistics = [
            RankStatistic::Auroc,
            RankStatistic::Aurc,
            RankStatistic::Prr,
        ];
        let answers = usize::try_from(predictions.n()).unwrap_or(usize::MAX);
        let options = self.estimator.bootstrap_often(answers, RANKS_TIMES);
        let drawn = match prompted {
            Some(prompted) => prompted.rank_intervals(statistics, options),
            None => predictions.rank_intervals(statistics, options),
        };
        let listed = [
            (
                "auroc",
                format!("AUROC of {name} as a predictor of correctness"),
                "P(a correct answer is surer than an incorrect one), ties count half",
                false,
            ),
            (
                "aurc",
                format!("Area under the risk-coverage curve of {name}"),
                "mean over k of the share of errors among the k surest answers, ties by expectation",
                true,
            ),
            (
                "prr",
                format!("Prediction rejection ratio of {name}"),
                "(A - A_random) / (A_oracle - A_random), A the mean over k of the accuracy of the k surest answers",
                false,
            ),
        ];
        let described = statistics.into_iter().zip(listed);
        for ((statistic, (id, title, formula, lower)), drawn) in described.zip(drawn) {
            // DeLong's interval of the AUROC has the bootstrap's beside it.
            let delong = (statistic == RankStatistic::Auroc && prompted.is_none())
                .then(|| predictions.auroc_interval(self.estimator.level()))
                .flatten();
            let (ci, beside) = match delong {
                Some(delong) => (Some(delong), drawn),
                None => (drawn, None),
            };
            let scalar = Scalar::new(id, &title, condition)
                .unit("ratio")
                .formula(&format!("{formula}; {basis}"));
            let scalar = if lower {
                scalar.lower_is_better()
            } else {
                scalar.higher_is_better()
            };
            let value = predictions.rank(statistic);
            let beside = beside.filter(|_| value.is_some());
            let scalar = scalar.intervals(beside);
            // Without a value there is nothing for an interval to hold.
            let ci = ci.filter(|_| value.is_some());
            output
                .scalars
                .push(estimate(value, predictions.n(), ci).fill(scalar));
        }
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

fn estimate(value: Option<f64>, n: u64, ci: Option<driftgauge_stats::Interval>) -> Estimate {
    Estimate {
        value,
        n,
        ci,
        ..Estimate::default()
    }
}
