//! The table of calibration: the same errors under the conventions that different papers use.

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_stats::calibration::{Closed, Predictions, RankStatistic};
use serde_json::{Value, json};

use super::Measure;

/// Column heads. Bins have equal width and are closed above, as (l, u], unless the head says otherwise.
const COLUMNS: [&str; 14] = [
    "condition",
    "measure",
    "answers",
    "accuracy",
    "mean confidence",
    "overconfidence",
    "ECE, 10 bins",
    "ECE, 15 bins",
    "ECE, 20 bins",
    "ECE, 10 bins of equal mass",
    "MCE, 10 bins",
    "MCE, 10 bins closed below",
    "Brier skill",
    "E-AURC",
];

/// The figures of one measure under one condition.
pub(super) fn row(condition: &str, measure: Measure, predictions: &Predictions) -> Vec<Value> {
    let width = |bins| predictions.equal_width(bins);
    let gap = predictions.signed_gap();
    let below = predictions.equal_width_closed(10, Closed::Lower);
    vec![
        json!(condition),
        json!(measure.title()),
        json!(predictions.n()),
        json!(predictions.accuracy()),
        json!(gap.map(|gap| gap + predictions.accuracy())),
        json!(gap),
        json!(width(10).map(|binned| binned.ece)),
        json!(width(15).map(|binned| binned.ece)),
        json!(width(20).map(|binned| binned.ece)),
        json!(predictions.equal_mass(10).map(|binned| binned.ece)),
        json!(width(10).map(|binned| binned.mce)),
        json!(below.map(|binned| binned.mce)),
        json!(predictions.brier().and_then(|brier| brier.skill)),
        json!(predictions.rank(RankStatistic::EAurc)),
    ]
}

/// The table; none without rows.
pub(super) fn table(rows: Vec<Vec<Value>>) -> Option<Table> {
    (!rows.is_empty()).then(|| Table {
        id: "calibration".to_owned(),
        title: "Calibration under other conventions".to_owned(),
        columns: COLUMNS.map(str::to_owned).to_vec(),
        rows,
    })
}
