//! The reliability diagram: confidence against the share of correct answers, bin by bin.

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_stats::proportion::wilson;
use serde_json::json;

use super::Uncertainty;
use super::calibration::Calibrated;

/// Answers of like confidence.
struct Bin {
    /// Where the bin lies.
    range: [f64; 2],
    n: u64,
    confidence: f64,
    accuracy: f64,
    /// Wilson's; none where a prompt has several answers.
    ci: Option<driftgauge_stats::Interval>,
}

impl Uncertainty {
    /// The diagram, and a table of its bins.
    pub(super) fn reliability_parts(&self, found: &[Calibrated], output: &mut MetricOutput) {
        let series: Vec<Series> = found
            .iter()
            .filter_map(|c| {
                let points = self.bins(c).map(|bin| Point {
                    x: Some(bin.confidence),
                    y: Some(bin.accuracy),
                    n: Some(bin.n),
                    low: bin.ci.as_ref().map(|ci| ci.low),
                    high: bin.ci.as_ref().map(|ci| ci.high),
                    ..Point::default()
                });
                Some(Series::new(&c.condition, points.collect()))
                    .filter(|_| c.reliability.is_some())
            })
            .collect();
        if !series.is_empty() {
            output.tables.push(self.bin_table(found));
            output.charts.push(ChartSpec {
                id: "reliability".to_owned(),
                title: format!("Reliability of {}", self.confidence.title()),
                kind: ChartKind::Reliability,
                x: Axis::ratio(&format!("confidence ({})", self.confidence.title())),
                y: Axis::ratio("share of correct answers"),
                series,
            });
        }
    }

    /// The bins that hold answers.
    fn bins<'c>(&'c self, found: &'c Calibrated) -> impl Iterator<Item = Bin> + 'c {
        let bins = found.reliability.iter().flat_map(|table| &table.bins);
        let width = 1.0 / self.ece_bins as f64;
        let filled = bins.enumerate().filter(|(_, bin)| bin.n > 0.0);
        filled.map(move |(place, bin)| {
            // Bins of equal width hold whole answers.
            let (n, correct) = (bin.n as u64, (bin.accuracy * bin.n).round() as u64);
            let ci = wilson(correct, n, self.estimator.level());
            Bin {
                range: [place as f64 * width, (place + 1) as f64 * width],
                n,
                confidence: bin.confidence,
                accuracy: bin.accuracy,
                ci: ci.filter(|_| !found.repeated),
            }
        })
    }

    fn bin_table(&self, found: &[Calibrated]) -> Table {
        let rows = found.iter().flat_map(|c| {
            self.bins(c).map(|bin| {
                vec![
                    json!(c.condition),
                    json!(bin.range[0]),
                    json!(bin.range[1]),
                    json!(bin.n),
                    json!(bin.confidence),
                    json!(bin.accuracy),
                    json!(bin.ci.as_ref().map(|ci| ci.low)),
                    json!(bin.ci.as_ref().map(|ci| ci.high)),
                ]
            })
        });
        let columns = [
            "condition",
            "above",
            "up to",
            "answers",
            "mean confidence",
            "share correct",
            "low",
            "high",
        ];
        Table {
            id: "reliability".to_owned(),
            title: format!("Bins of {}", self.confidence.title()),
            columns: columns.map(str::to_owned).to_vec(),
            rows: rows.collect(),
        }
    }
}
