//! Intervals of numbers whose plugin returns scores and no interval: an author writes what is measured, not statistics.

use driftgauge_plugin_protocol::wire::{Interval, MetricOutput, ScoreKind};
use driftgauge_stats::proportion::wilson;
use driftgauge_stats::summary::mean_interval;

/// Fills in what is missing: Wilson's interval for rates, Student's for means whose scores differ.
pub(crate) fn fill(output: &mut MetricOutput, level: f64) {
    for scalar in &mut output.scalars {
        if scalar.ci.is_some() || scalar.value.is_none() {
            continue;
        }
        let mut scores = output.scores.iter();
        let Some(scores) =
            scores.find(|scores| scores.id == scalar.id && scores.condition == scalar.condition)
        else {
            continue;
        };
        let values: Vec<f64> = scores.values.iter().flatten().collect();
        let made = match scores.kind {
            ScoreKind::Binary => {
                let successes = values.iter().filter(|&&value| value == 1.0).count();
                wilson(successes as u64, values.len() as u64, level)
            }
            ScoreKind::Real => mean_interval(&values, level).filter(|ci| ci.low < ci.high),
        };
        scalar.ci = made.map(|ci| Interval {
            level: ci.level,
            low: ci.low,
            high: ci.high,
            method: ci.method,
            draws: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_plugin_protocol::wire::{SampleIds, Scalar, Scores};

    fn filled(kind: ScoreKind, values: &[f64]) -> Option<Interval> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let mut output = MetricOutput::new();
        let scalar = Scalar::new("m", "M", "default");
        output.scalars.push(scalar.value(mean, values.len() as u64));
        output.scores.push(Scores {
            id: "m".to_owned(),
            condition: "default".to_owned(),
            kind,
            sample_ids: SampleIds::from_iter((0..values.len()).map(|i| i.to_string())),
            values: values.iter().copied().map(Some).collect(),
        });
        fill(&mut output, 0.95);
        output.scalars.remove(0).ci
    }

    #[test]
    fn rates_have_wilsons_interval_and_means_students() {
        // statsmodels 0.14: proportion_confint(3, 10, method="wilson").
        let ci = filled(
            ScoreKind::Binary,
            &[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        )
        .unwrap();
        assert!(
            (ci.low - 0.107_791_3).abs() < 1e-6 && (ci.high - 0.603_221_9).abs() < 1e-6,
            "{ci:?}"
        );
        // scipy 1.14: t.interval(0.95, 3, loc=2.5, scale=sem([1, 2, 3, 4])).
        let ci = filled(ScoreKind::Real, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!(
            (ci.low - 0.445_739_7).abs() < 1e-6 && (ci.high - 4.554_260_3).abs() < 1e-6,
            "{ci:?}"
        );
        assert_eq!(filled(ScoreKind::Real, &[2.0, 2.0]), None);
    }
}
