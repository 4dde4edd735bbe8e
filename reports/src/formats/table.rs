//! CSV: every number and every difference, one a line.

use driftgauge_record::{Interval, spreadsheet_cell};

use crate::Report;

const HEAD: [&str; 18] = [
    "kind",
    "evaluation",
    "condition",
    "baseline_condition",
    "metric",
    "title",
    "unit",
    "model",
    "baseline",
    "value",
    "low",
    "high",
    "level",
    "method",
    "n",
    "p",
    "p_adjusted",
    "effect",
];

pub(super) fn of(report: &Report, spreadsheet_safe: bool) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut line = |cells: [String; 18]| {
        let cells = cells.map(|cell| match spreadsheet_safe {
            true => spreadsheet_cell(&cell).into_owned(),
            false => cell,
        });
        // Writing to memory cannot fail.
        let _ = writer.write_record(cells);
    };
    line(HEAD.map(str::to_owned));
    for section in &report.sections {
        for row in &section.numbers {
            for cell in row.cells.iter().flatten() {
                let [low, high, level, method] = interval(cell.ci.as_ref());
                line([
                    "value".to_owned(),
                    section.evaluation.clone(),
                    row.condition.clone(),
                    String::new(),
                    row.metric.clone(),
                    row.title.clone(),
                    row.unit.clone(),
                    cell.model.clone(),
                    String::new(),
                    number(cell.value),
                    low,
                    high,
                    level,
                    method,
                    cell.n.to_string(),
                    String::new(),
                    String::new(),
                    String::new(),
                ]);
            }
        }
        let kinds = [
            ("difference", &section.comparisons),
            ("condition-difference", &section.condition_comparisons),
            (
                "difference-in-differences",
                &section.differences_in_differences,
            ),
            ("training-difference", &section.training_comparisons),
            ("unpaired-difference", &section.unpaired_comparisons),
        ];
        for (kind, rows) in kinds {
            for row in rows {
                let [low, high, level, method] = interval(row.delta.ci.as_ref());
                line([
                    kind.to_owned(),
                    section.evaluation.clone(),
                    row.condition.clone(),
                    row.baseline_condition.clone(),
                    section.metric.clone(),
                    row.title.clone(),
                    row.unit.clone(),
                    row.model.clone(),
                    row.baseline.clone(),
                    number(row.delta.value),
                    low,
                    high,
                    level,
                    method,
                    row.n.to_string(),
                    number(row.delta.p),
                    number(row.delta.p_adjusted),
                    serde_json::to_value(row.delta.effect)
                        .ok()
                        .and_then(|word| word.as_str().map(str::to_owned))
                        .unwrap_or_default(),
                ]);
            }
        }
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn interval(ci: Option<&Interval>) -> [String; 4] {
    ci.map_or_else(Default::default, |ci| {
        [
            ci.low.to_string(),
            ci.high.to_string(),
            ci.level.to_string(),
            ci.method.clone(),
        ]
    })
}
