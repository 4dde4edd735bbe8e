//! From divergences to the output: numbers, the table by position, the charts.

use driftgauge_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use super::{Drift, Gathered, Position};
use crate::estimate::{Estimate, Estimator, SHARE};

impl Drift {
    pub(super) fn report(self) -> MetricOutput {
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
        if !self.asked.is_all() {
            return output;
        }
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
        self.asked.push(
            (&gathered.kl, &self.prompts),
            || self.estimator.skewed_mean(&gathered.kl),
            kl,
            output,
        );
        let start = new(
            "kl_first",
            &format!("Divergence over the first {first} tokens"),
            "nats",
            &format!("mean over prompts of the mean of KL_t over the first {first} positions"),
        );
        self.asked.push(
            (&gathered.first, &self.prompts),
            || self.estimator.skewed_mean(&gathered.first),
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
            self.asked.push(
                (&gathered.top1, &self.prompts),
                || self.estimator.mean(&gathered.top1, SHARE),
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
            self.asked.push(
                (&gathered.exact, &self.prompts),
                || self.estimator.rate(&gathered.exact),
                exact,
                output,
            );
        }
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
