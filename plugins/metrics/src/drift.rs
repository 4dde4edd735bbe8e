//! Drift: how far a model's next-token distributions have moved from a reference model's, by position of the response.
//!
//! Both models are given the same tokens (the reference's own response, or a given text); the harness records the divergence
//! at each position. Fine-tuning that only bends the first few tokens shows as a curve that falls off fast (Qi and others
//! 2024, arXiv 2406.05946).

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_stats::summary::ExactSum;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::columns::{Column, Conditions, Prompts};
use crate::estimate::{Estimate, Estimator, Level, Resamples, SHARE};

/// Whether the reference's end token counts as a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It counts.
    #[default]
    Keep,
    /// It is dropped where one was produced.
    Drop,
}

/// Configuration of [`Drift`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftConfig {
    /// Whether the reference's end token counts.
    pub eos: End,
    /// How many first tokens the number `kl_first` is taken over.
    pub first: usize,
    /// Positions of the response that the curve and the table show.
    pub positions: usize,
    /// Level of every interval; that of `compare` when absent.
    pub level: Level,
    /// Replicates of every bootstrap interval, fewer of very many samples; those of `compare` when absent.
    pub resamples: Resamples,
}

impl Default for DriftConfig {
    fn default() -> Self {
        Self {
            eos: End::default(),
            first: 5,
            positions: 64,
            level: Level::default(),
            resamples: Resamples::default(),
        }
    }
}

/// The metric `drift`.
#[derive(Debug)]
pub struct Drift {
    config: DriftConfig,
    estimator: Estimator,
    prompts: Prompts,
    conditions: Conditions<Gathered>,
}

/// Divergences of one condition.
#[derive(Debug, Default)]
struct Gathered {
    /// Mean over the positions of a response.
    kl: Column,
    /// Mean over its first positions.
    first: Column,
    /// Share of positions with the same likeliest token.
    top1: Column,
    /// 1 where the greedy outputs are the same.
    exact: Column,
    positions: Vec<Position>,
    samples: u64,
    missing: u64,
}

/// What all responses say at one position.
#[derive(Debug, Default, Clone)]
struct Position {
    kl: ExactSum,
    squares: ExactSum,
    agreed: u64,
}

impl Metric for Drift {
    type Config = DriftConfig;

    fn manifest() -> Manifest {
        Manifest::new("drift", env!("CARGO_PKG_VERSION"), "Drift").describe(
            "How far the next-token distributions have moved from those of the reference model, given the same tokens.",
        )
        .returns(["kl", "kl_first", "top1_agreement", "exact_match"])
        .range("*", 0.0, UNBOUNDED)
        .range("top1_agreement", 0.0, 1.0)
        .range("exact_match", 0.0, 1.0)
    }

    fn new(config: DriftConfig, _: &Host<'_>) -> Result<Self, MetricError> {
        if config.first == 0 || config.positions == 0 {
            return Err(MetricError::config("`first` and `positions` count from 1")
                .help("leave them out for the first 5 tokens and a curve over 64 positions"));
        }
        Ok(Self {
            estimator: config.level.estimator()?.drawn(config.resamples)?,
            config,
            prompts: Prompts::default(),
            conditions: Conditions::default(),
        })
    }

    fn update(&mut self, batch: Batch<'_>) -> Result<(), MetricError> {
        for sample in batch.samples() {
            self.take(&sample)?;
        }
        Ok(())
    }

    fn finish(self, _: &Host<'_>) -> Result<MetricOutput, MetricError> {
        Ok(self.report())
    }
}

impl Drift {
    fn take(&mut self, sample: &Sample<'_>) -> Result<(), MetricError> {
        let (_, gathered) = self.conditions.entry(sample.str("condition")?);
        gathered.samples += 1;
        let (kl, agree) = (
            sample.f64s("value.kl")?,
            sample.f64s("value.kl_top1_agree")?,
        );
        if kl.is_empty() {
            gathered.missing += 1;
            return Ok(());
        }
        let sample_id = sample.str("sample_id")?;
        check(kl, agree).map_err(|error| error.sample(sample_id))?;
        let row = self.prompts.of(sample)?;
        if let Some(exact) = sample.opt_f64("value.kl_exact_match")? {
            gathered
                .exact
                .add(row, Some(f64::from(u8::from(exact > 0.5))));
        }
        let ended = sample.opt_f64("value.kl_eos")?.is_some_and(|eos| eos > 0.5);
        let kept = kl.len() - usize::from(ended && self.config.eos == End::Drop);
        let (kl, agree) = (&kl[..kept], &agree[..kept.min(agree.len())]);
        if kl.is_empty() {
            return Ok(());
        }
        let average = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
        gathered.kl.add(row, Some(average(kl)));
        let first = &kl[..kl.len().min(self.config.first)];
        gathered.first.add(row, Some(average(first)));
        if !agree.is_empty() {
            gathered.top1.add(row, Some(average(agree)));
        }
        let shown = kl.len().min(self.config.positions);
        if gathered.positions.len() < shown {
            gathered.positions.resize(shown, Position::default());
        }
        for (place, position) in gathered.positions.iter_mut().enumerate().take(shown) {
            position.kl.add(kl[place]);
            position.squares.add(kl[place] * kl[place]);
            position.agreed += u64::from(agree.get(place).is_some_and(|&agreed| agreed > 0.5));
        }
        Ok(())
    }

    fn report(self) -> MetricOutput {
        let mut output = MetricOutput::new();
        for (condition, gathered) in self.conditions.iter() {
            self.numbers(condition, gathered, &mut output);
            if gathered.missing > 0 {
                output.notes.push(format!(
                    "Condition `{condition}`: {} of {} samples have no divergence, because a completion was not made or the \
                     evaluation declares no `kl`; they are left out.",
                    gathered.missing, gathered.samples
                ));
            }
        }
        output.scalars.sort_by_key(|scalar| !scalar.primary);
        output.tables.extend(self.table());
        output.charts.extend(self.chart(
            "kl",
            "Divergence from the reference by position",
            Axis::new("KL(reference || model)").unit("nats"),
            Position::divergence,
        ));
        output.charts.extend(self.chart(
            "top1",
            "Agreement on the likeliest token by position",
            Axis::ratio("same likeliest token"),
            Position::agreement,
        ));
        output
    }

    fn numbers(&self, condition: &str, gathered: &Gathered, output: &mut MetricOutput) {
        let new = |id: &str, title: &str, unit: &str, formula: &str| {
            Scalar::new(id, title, condition)
                .unit(unit)
                .formula(formula)
        };
        let first = self.config.first;
        let kl = new(
            "kl",
            "Divergence from the reference",
            "nats",
            "mean over prompts of (1/T) sum_t KL_t, KL_t = sum_v p_ref(v) (ln p_ref(v) - ln p_model(v)) given the same tokens",
        )
        .primary();
        self.push(
            &gathered.kl,
            self.estimator.skewed_mean(&gathered.kl),
            kl,
            output,
        );
        let start = new(
            "kl_first",
            &format!("Divergence over the first {first} tokens"),
            "nats",
            &format!("mean over prompts of the mean of KL_t over the first {first} positions"),
        );
        self.push(
            &gathered.first,
            self.estimator.skewed_mean(&gathered.first),
            start,
            output,
        );
        if gathered.top1.total() > 0 {
            let top1 = new(
                "top1_agreement",
                "Agreement on the likeliest token",
                "ratio",
                "mean over prompts of the share of positions where both models' likeliest token is the same",
            );
            self.push(
                &gathered.top1,
                self.estimator.mean(&gathered.top1, SHARE),
                top1,
                output,
            );
        }
        if gathered.exact.total() > 0 {
            let exact = new(
                "exact_match",
                "Same greedy output",
                "ratio",
                "share of prompts whose greedy completions are the same tokens",
            );
            self.push(
                &gathered.exact,
                self.estimator.rate(&gathered.exact),
                exact,
                output,
            );
        }
    }

    fn push(&self, column: &Column, estimate: Estimate, scalar: Scalar, output: &mut MetricOutput) {
        let (id, condition) = (&scalar.id, &scalar.condition);
        column.add_scores(id, condition, &self.prompts, &mut output.scores);
        output.scalars.push(estimate.fill(scalar));
    }

    fn table(&self) -> Option<Table> {
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for (condition, gathered) in self.conditions.iter() {
            for (place, position) in gathered.positions.iter().enumerate() {
                let kl = position.divergence(self.estimator);
                rows.push(vec![
                    json!(condition),
                    json!(place + 1),
                    json!(position.n()),
                    json!(kl.value),
                    json!(kl.ci.as_ref().map(|ci| ci.low)),
                    json!(kl.ci.as_ref().map(|ci| ci.high)),
                    json!(position.agreement(self.estimator).value),
                ]);
            }
        }
        let columns = [
            "condition",
            "position",
            "responses",
            "KL",
            "low",
            "high",
            "same likeliest token",
        ];
        (!rows.is_empty()).then(|| Table {
            id: "positions".to_owned(),
            title: "By position of the response".to_owned(),
            columns: columns.map(str::to_owned).to_vec(),
            rows,
        })
    }

    fn chart(
        &self,
        id: &str,
        title: &str,
        y: Axis,
        estimate: fn(&Position, Estimator) -> Estimate,
    ) -> Option<ChartSpec> {
        let series: Vec<Series> = self
            .conditions
            .iter()
            .filter(|(_, gathered)| !gathered.positions.is_empty())
            .map(|(condition, gathered)| {
                let points = gathered
                    .positions
                    .iter()
                    .enumerate()
                    .map(|(place, position)| {
                        let found = estimate(position, self.estimator);
                        Point {
                            x: Some((place + 1) as f64),
                            y: found.value,
                            ..Point::default()
                        }
                        .bounds(found.ci.as_ref())
                        .samples(found.n)
                    });
                Series::new(condition, points.collect())
            })
            .collect();
        (!series.is_empty()).then(|| ChartSpec {
            id: id.to_owned(),
            title: title.to_owned(),
            kind: ChartKind::Line,
            x: Axis::new("position in the response"),
            y,
            series,
        })
    }
}

impl Position {
    fn n(&self) -> u64 {
        self.kl.count()
    }

    /// Mean divergence, with Student's interval, which does not reach below 0.
    fn divergence(&self, estimator: Estimator) -> Estimate {
        let n = self.n() as f64;
        let Some(mean) = self.kl.mean() else {
            return Estimate::default();
        };
        let spread = self
            .squares
            .mean()
            .map_or(0.0, |squares| (squares - mean * mean).max(0.0));
        let se = (spread / (n - 1.0).max(1.0)).sqrt();
        Estimate {
            value: Some(mean),
            n: self.n(),
            ci: (self.n() > 1 && se > 0.0).then(|| {
                let half = estimator.t(n - 1.0) * se;
                estimator.interval((mean - half).max(0.0), mean + half, "student-t")
            }),
            ..Estimate::default()
        }
    }

    fn agreement(&self, estimator: Estimator) -> Estimate {
        estimator.share(self.agreed, self.n())
    }
}

/// Refuses divergences that cannot be; rounding may leave one a little below 0.
fn check(kl: &[f64], agree: &[f64]) -> Result<(), MetricError> {
    let bad = |message: String| {
        MetricError::data(message)
            .help("`kl` has one divergence in nats per position, `kl_top1_agree` as many zeros and ones")
            .code("bad-divergence")
    };
    if let Some(place) = kl.iter().position(|kl| !kl.is_finite() || *kl < -1e-6) {
        return Err(bad(format!(
            "`kl` is {} at position {}, which is no divergence",
            kl[place],
            place + 1
        )));
    }
    if !agree.is_empty() && agree.len() != kl.len() {
        return Err(bad(format!(
            "`kl` has {} positions and `kl_top1_agree` {}",
            kl.len(),
            agree.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_plugin_sdk::testing;

    fn sample(id: &str, kl: &[f64], agree: &[f64], eos: f64, exact: f64) -> Value {
        json!({"sample_id": id, "completion": {"text": "t", "finish_reason": "stop"}, "values": {
            "kl": kl, "kl_top1_agree": agree, "kl_eos": [eos], "kl_exact_match": [exact]}})
    }

    fn run(config: &Value, samples: &[Value]) -> MetricOutput {
        let whole = testing::run::<Drift>(config, samples).unwrap();
        let parts = testing::run_in_batches::<Drift>(config, samples, 1).unwrap();
        assert_eq!(whole, parts, "batches change the result");
        whole
    }

    fn value(output: &MetricOutput, id: &str) -> Option<f64> {
        let found = output.scalars.iter().find(|scalar| scalar.id == id);
        found.unwrap_or_else(|| panic!("no `{id}`")).value
    }

    fn two() -> [Value; 2] {
        [
            sample("a", &[1.0, 0.5, 0.0], &[0.0, 1.0, 1.0], 1.0, 0.0),
            sample("b", &[0.5, 0.0], &[1.0, 1.0], 0.0, 1.0),
        ]
    }

    #[test]
    fn the_manifest_and_the_defaults_are_as_documented() {
        let ranges = Drift::manifest().ranges;
        assert_eq!(ranges["top1_agreement"], [0.0, 1.0]);
        assert_eq!(ranges["exact_match"], [0.0, 1.0]);
        assert_eq!(ranges["*"][0], 0.0);
        let config = DriftConfig::default();
        assert_eq!((config.first, config.positions), (5, 64));
    }

    #[test]
    fn by_hand() {
        let output = run(&json!({"first": 1}), &two());
        assert!(output.scalars[0].primary);
        assert_eq!(value(&output, "kl"), Some(0.375));
        assert_eq!(value(&output, "kl_first"), Some(0.75));
        assert_eq!(
            value(&output, "top1_agreement"),
            Some(f64::midpoint(2.0 / 3.0, 1.0))
        );
        assert_eq!(value(&output, "exact_match"), Some(0.5));
        let curve = &output.charts[0].series[0].points;
        let heights: Vec<Option<f64>> = curve.iter().map(|point| point.y).collect();
        assert_eq!(heights, [Some(0.75), Some(0.25), Some(0.0)]);
        assert_eq!((curve[0].x, curve[2].n), (Some(1.0), Some(1)));
        assert_eq!(output.charts[1].series[0].points[0].y, Some(0.5));
        assert_eq!(output.tables[0].rows.len(), 3);
    }

    #[test]
    fn the_end_token_can_be_dropped() {
        let output = run(&json!({"eos": "drop"}), &two());
        // Only the first response ended with one.
        assert_eq!(value(&output, "kl"), Some(f64::midpoint(0.75, 0.25)));
        assert_eq!(output.tables[0].rows.len(), 2);
        let short = run(&json!({"positions": 1}), &two());
        assert_eq!(short.tables[0].rows.len(), 1);
        assert_eq!(value(&short, "kl"), Some(0.375));
    }

    #[test]
    fn missing_divergences_are_no_zeros() {
        let missing =
            json!({"sample_id": "c", "completion": {"text": "", "finish_reason": "error"}});
        let output = run(&json!({}), &[two()[0].clone(), missing.clone()]);
        assert_eq!((value(&output, "kl"), output.scalars[0].n), (Some(0.5), 1));
        assert!(output.notes[0].contains("1 of 2 samples"));
        assert_eq!(run(&json!({}), &[]).scalars, []);
        let none = run(&json!({}), &[missing]);
        assert_eq!((none.scalars[0].value, none.scalars[0].n), (None, 0));
    }

    #[test]
    fn the_reference_itself_has_not_moved() {
        let same = [
            sample("a", &[0.0, 0.0], &[1.0, 1.0], 0.0, 1.0),
            sample("b", &[0.0], &[1.0], 0.0, 1.0),
        ];
        let output = run(&json!({}), &same);
        assert_eq!(value(&output, "kl"), Some(0.0));
        // Nothing varies: a divergence has no upper bound then, a share has one.
        assert_eq!(output.scalars[0].ci, None);
        assert_eq!(value(&output, "top1_agreement"), Some(1.0));
        let agreement = output.scalars.iter().find(|s| s.id == "top1_agreement");
        let ci = agreement.unwrap().ci.as_ref().unwrap();
        assert!(ci.low < 0.4 && ci.high == 1.0, "{ci:?}");
    }

    #[test]
    fn what_is_not_told_is_no_number() {
        let one = json!({"sample_id": "a", "completion": {"text": "t", "finish_reason": "stop"}, "values": {"kl": [0.5, -1e-6]}});
        let output = run(&json!({"resamples": 9}), &[one]);
        let ids: Vec<&str> = output.scalars.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, ["kl", "kl_first"]);
    }

    #[test]
    fn impossible_divergences_are_named() {
        let fails = |made: Value| testing::run::<Drift>(&json!({}), &[made]).unwrap_err();
        let error = fails(sample("a", &[0.1, -0.5], &[1.0, 1.0], 0.0, 0.0));
        assert!(error.message.contains("-0.5 at position 2"), "{error}");
        assert_eq!(error.sample_id.as_deref(), Some("a"));
        let error = fails(sample("a", &[0.1, 0.5], &[1.0], 0.0, 0.0));
        assert!(error.message.contains("2 positions and `kl_top1_agree` 1"));
        let error = testing::run::<Drift>(&json!({"first": 0}), &[]).unwrap_err();
        assert!(error.message.contains("count from 1"));
    }
}
