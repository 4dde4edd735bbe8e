//! Whether outputs measured the same thing: nothing is held against a number that was made in another way.

use driftgauge_plugin_protocol::wire::{MetricOutput, Scalar};
use serde::{Deserialize, Serialize};

use super::PairComparison;

/// What came of a comparison: its pairs, or why there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The comparisons, one per condition and number.
    pub pairs: Vec<PairComparison>,
    /// Why the sides were not held against each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Why these outputs of one metric are not of the same measure: the formula of a number that stands for it differs, since
/// other judges gave the verdicts, or some answers were marked elsewhere. `None` where all are alike.
pub fn measured_otherwise<'a>(
    outputs: impl IntoIterator<Item = &'a MetricOutput>,
) -> Option<String> {
    let mut outputs = outputs.into_iter();
    let first = outputs.next()?;
    let primary = || first.scalars.iter().filter(|scalar| scalar.primary);
    outputs.find_map(|other| {
        primary().find_map(|ours| {
            let same = |theirs: &&Scalar| {
                theirs.primary && theirs.id == ours.id && theirs.condition == ours.condition
            };
            let theirs = other.scalars.iter().find(same)?;
            // Where one side measured nothing there is nothing to hold against each other, whatever it would have been.
            let measured = ours.n > 0 && theirs.n > 0;
            (measured && ours.formula != theirs.formula).then(|| {
                format!(
                    "they were measured in different ways: {}; and: {}",
                    ours.formula, theirs.formula
                )
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use driftgauge_plugin_protocol::wire::OUTPUT_SCHEMA;

    use super::*;

    fn output(formula: &str) -> MetricOutput {
        MetricOutput {
            schema: OUTPUT_SCHEMA,
            scalars: vec![
                Scalar::new("asr", "", "default")
                    .value(0.5, 2)
                    .formula(formula)
                    .primary(),
                Scalar::new("category.a", "", "default").formula("of a category"),
            ],
            ..MetricOutput::default()
        }
    }

    #[test]
    fn another_formula_is_another_measure() {
        let (one, same, other) = (output("by `g`"), output("by `g`"), output("by `h`"));
        assert_eq!(measured_otherwise([&one, &same]), None);
        assert_eq!(measured_otherwise([]), None);
        // Where a side measured nothing, nothing was measured otherwise.
        let mut nothing = other.clone();
        nothing.scalars[0].n = 0;
        assert_eq!(measured_otherwise([&one, &nothing]), None);
        assert_eq!(measured_otherwise([&nothing, &one]), None);
        let reason = measured_otherwise([&one, &same, &other]).unwrap();
        assert!(reason.ends_with("by `g`; and: by `h`"), "{reason}");
    }
}
