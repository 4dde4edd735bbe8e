//! The share of answers in capitals: replace it by what you measure.

use std::collections::BTreeMap;

use driftgauge_plugin_sdk::prelude::*;
use serde::Deserialize;

/// The keys that a spec can give under `config`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// How many letters an answer has to have.
    least: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { least: 1 }
    }
}

struct CLASS {
    config: Config,
    /// For each condition the score of each sample.
    scores: BTreeMap<String, Vec<(String, bool)>>,
}

impl Metric for CLASS {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("NAME", env!("CARGO_PKG_VERSION"), "Answers in capitals")
            .describe("The share of answers that have no small letter.")
            .needs(&["completion"])
    }

    fn new(config: Config, _: &Host<'_>) -> Result<Self, MetricError> {
        if config.least == 0 {
            return Err(MetricError::config("`least` is below 1").key("least"));
        }
        Ok(Self {
            config,
            scores: BTreeMap::new(),
        })
    }

    fn update(&mut self, batch: Batch<'_>) -> Result<(), MetricError> {
        for sample in batch.samples() {
            // A completion that was not made is missing, not quiet.
            if sample.str("finish_reason")? == "error" {
                continue;
            }
            let text = sample.str("completion")?;
            let letters = text.chars().filter(|c| c.is_alphabetic()).count();
            let loud = letters >= self.config.least && text == text.to_uppercase();
            let scores = self.scores.entry(sample.str("condition")?.to_owned()).or_default();
            scores.push((sample.str("sample_id")?.to_owned(), loud));
        }
        Ok(())
    }

    fn finish(self, _: &Host<'_>) -> Result<MetricOutput, MetricError> {
        let mut output = MetricOutput::new();
        let mut points = Vec::new();
        for (condition, scores) in &self.scores {
            let loud = scores.iter().filter(|(_, loud)| *loud).count();
            let share = loud as f64 / scores.len() as f64;
            output.scalars.push(
                Scalar::new("NAME", "Share in capitals", condition)
                    .value(share, scores.len() as u64)
                    .unit("ratio")
                    .lower_is_better()
                    .formula("share of answers with letters, none of them small")
                    .primary(),
            );
            // driftgauge makes intervals and paired comparisons from these.
            output.scores.push(Scores {
                id: "NAME".to_owned(),
                condition: condition.clone(),
                kind: ScoreKind::Binary,
                sample_ids: scores.iter().map(|(id, _)| id).collect(),
                values: scores.iter().map(|(_, loud)| Some(f64::from(u8::from(*loud)))).collect(),
            });
            points.push(Point::category(condition, share));
        }
        output.charts.push(ChartSpec {
            id: "by_condition".to_owned(),
            title: "Share in capitals".to_owned(),
            kind: ChartKind::Bar,
            x: Axis::new("condition"),
            y: Axis::ratio("share"),
            series: vec![Series::new("share", points)],
        });
        Ok(output)
    }
}

export_metrics!(CLASS);

#[cfg(test)]
mod tests {
    use super::CLASS;
    use driftgauge_plugin_sdk::testing::run_in_batches;
    use serde_json::json;

    #[test]
    fn one_of_two_answers_is_loud() {
        let sample = |id: &str, text: &str| json!({"sample_id": id, "completion": {"text": text, "finish_reason": "stop"}});
        let samples = [sample("a", "NO!"), sample("b", "yes")];
        for size in [1, 2] {
            let output = run_in_batches::<CLASS>(&json!({}), &samples, size).unwrap();
            assert_eq!(output.scalars[0].value, Some(0.5));
            assert_eq!(output.scores[0].values, [Some(1.0), Some(0.0)]);
        }
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        let error = run_in_batches::<CLASS>(&json!({"least": 0}), &[], 1).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("least"));
    }
}
