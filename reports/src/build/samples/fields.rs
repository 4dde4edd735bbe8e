//! The fields of samples that metrics have shown.

use std::collections::BTreeSet;

use driftgauge_plugin_protocol::field::{Field, Tokens};
use driftgauge_record::Sample;
use driftgauge_record::files::resolved::SampleMode;
use serde_json::Value;

use super::super::context::Context;
use super::cells::{mean, shortened};

/// What the metrics of an evaluation have shown.
pub(super) fn of(context: &Context<'_>, evaluation: &str) -> Vec<String> {
    let ours = context.index.outputs_of(evaluation).iter();
    let fields: BTreeSet<&String> = ours.flat_map(|output| &output.plugin.shows).collect();
    fields.into_iter().cloned().collect()
}

/// What they say of a sample, as far as the mode allows; nothing when none says anything.
pub(super) fn values(sample: &Sample, fields: &[String], mode: SampleMode) -> Vec<Option<String>> {
    let values: Vec<_> = fields
        .iter()
        .map(|field| shown(sample, Field::parse(field)?, mode))
        .collect();
    if values.iter().all(Option::is_none) {
        Vec::new()
    } else {
        values
    }
}

fn shown(sample: &Sample, field: Field<'_>, mode: SampleMode) -> Option<String> {
    if mode == SampleMode::Hidden {
        return None;
    }
    let full = mode == SampleMode::Full;
    let number = |value: Option<f64>| value.filter(|v| v.is_finite()).map(rounded);
    let made = &sample.completion;
    match field {
        Field::Value(name) => number(sample.values.get(name)?.first().copied()),
        Field::Score(judge) => number(sample.verdicts.get(judge)?.score),
        Field::PUnsafe(judge) => number(sample.verdicts.get(judge)?.p_unsafe),
        Field::Tokens(tokens) => number(mean(match tokens {
            Tokens::Logprob => &made.token_logprob,
            Tokens::Top1Logprob => &made.token_top1_logprob,
            Tokens::Margin => &made.token_margin,
            Tokens::Top10Entropy => &made.token_top10_entropy,
            Tokens::Top10Mass => &made.token_top10_mass,
            Tokens::Entropy => &made.token_entropy,
            // Several numbers for each token have no mean that says anything.
            Tokens::TopLogprobs => return None,
        })),
        Field::Row(column) => match sample.row.get(column)? {
            Value::Number(value) => number(value.as_f64()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Null => None,
            Value::String(text) => full.then(|| shortened(text)),
            other => full.then(|| shortened(&other.to_string())),
        },
        Field::Categories(judge) => {
            let named = sample.verdicts.get(judge)?.categories.join(", ");
            (full && !named.is_empty()).then(|| shortened(&named))
        }
        _ => None,
    }
}

/// Four digits say enough beside a completion; the table has all.
fn rounded(value: f64) -> String {
    let digits = 3 - value.abs().max(1e-9).log10().floor().clamp(-4.0, 3.0) as i32;
    let scale = 10_f64.powi(digits);
    let value = (value * scale).round() / scale;
    // No minus before a nought.
    format!("{}", if value == 0.0 { 0.0 } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let text = serde_json::json!({
            "evaluation": "e", "condition": "c", "model": "m", "sample_id": "1", "sample_index": 0, "messages": [],
            "completion": {"prompt_token_ids": [], "completion_token_ids": [], "text": "", "finish_reason": "stop",
                "ends_with_eos": false, "token_logprob": [-1.0, -2.0], "token_top1_logprob": [], "token_margin": [],
                "token_top10_entropy": [], "token_top10_mass": [], "token_entropy": []},
            "values": {"surprise": [12.34567]}, "row": {"topic": "rivers", "year": 1984, "asked": true, "none": null},
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn numbers_are_shown_unless_all_is_hidden_and_texts_only_in_full() {
        let fields: Vec<String> = [
            "value.surprise",
            "row.topic",
            "row.year",
            "row.asked",
            "row.none",
            "token_logprob",
            "value.other",
        ]
        .map(str::to_owned)
        .to_vec();
        let said = |mode| values(&sample(), &fields, mode);
        let text = |text: &str| Some(text.to_owned());
        assert!(said(SampleMode::Hidden).is_empty());
        assert_eq!(
            said(SampleMode::Redacted),
            [
                text("12.35"),
                None,
                text("1984"),
                text("true"),
                None,
                text("-1.5"),
                None
            ]
        );
        assert_eq!(said(SampleMode::Full)[1], text("rivers"));
    }

    #[test]
    fn four_digits() {
        for (value, shown) in [
            (0.000_123_456, "0.0001235"),
            (-0.0, "0"),
            (123_456.0, "123456"),
            (1.0, "1"),
        ] {
            assert_eq!(rounded(value), shown);
        }
    }
}
