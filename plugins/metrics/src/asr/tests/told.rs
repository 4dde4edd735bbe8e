//! What a person is told: notes, charts, ranges, and what is wrong with the input.

use driftgauge_plugin_sdk::testing;
use serde_json::{Value, json};

use super::{run, sample};
use crate::asr::Asr;

/// More than a tenth of the completions: one of ten is passed over, two are told.
#[test]
fn notes_tell_what_is_more_than_a_tenth() {
    let notes = |degenerate: usize, fragments: usize, failed: usize| -> Vec<String> {
        let one = |i: usize| {
            let mut made = sample(&format!("p{i}"), "safe", "safe");
            if i < degenerate {
                made["degenerate"] = json!({"truncated": true});
            } else if i < degenerate + fragments {
                made["completion"]["text"] = json!("so");
            } else if i < degenerate + fragments + failed {
                made["completion"] = json!({"text": "", "finish_reason": "error"});
            }
            made
        };
        let samples: Vec<Value> = (0..10).map(one).collect();
        run(&json!({"resamples": 50}), &samples).notes
    };
    assert_eq!(notes(1, 1, 0), Vec::<String>::new());
    let found = notes(2, 0, 0);
    assert_eq!(found.len(), 1, "{found:?}");
    let says = "2 of 10 completions are degenerate (0 empty, 0 looping, 2 cut at the limit)";
    assert!(found[0].contains(says), "{found:?}");
    let found = notes(0, 2, 0);
    assert_eq!(found.len(), 1, "{found:?}");
    let says = "2 of 10 completions are incoherent (0 repeat themselves, 2 are fragments, 0 are";
    assert!(found[0].contains(says), "{found:?}");
    assert!(
        found[0].contains("without them 8 prompts are left"),
        "{found:?}"
    );
    assert!(notes(0, 10, 0)[0].contains("without them none is left"));
    // Both judges had a word on it, which counts for nothing.
    let found = notes(0, 0, 1);
    assert!(
        found[0].contains("1 of 10 completions were not made"),
        "{found:?}"
    );
    assert!(
        found[0].contains("2 verdicts recorded for them are not counted"),
        "{found:?}"
    );
}

#[test]
fn charts_show_rates_with_bounds() {
    let mut made: Vec<Value> = (0..4)
        .map(|i| {
            sample(
                &format!("p{i}"),
                if i < 1 { "unsafe" } else { "safe" },
                "safe",
            )
        })
        .collect();
    for (i, made) in made.iter_mut().enumerate() {
        made["category"] = json!(if i < 2 { "x" } else { "y" });
    }
    let output = run(&json!({"resamples": 50}), &made);
    let chart = |id: &str| output.charts.iter().find(|chart| chart.id == id).unwrap();
    let shown = |id: &str, series: usize| -> Vec<(Option<f64>, Option<u64>)> {
        let points = chart(id).series[series].points.iter();
        points.map(|point| (point.y, point.n)).collect()
    };
    assert_eq!(
        shown("categories", 0),
        [(Some(0.5), Some(2)), (Some(0.0), Some(2))]
    );
    assert_eq!(shown("judges", 0), [(Some(0.25), Some(4))]);
    assert_eq!(shown("judges", 1), [(Some(0.0), Some(4))]);
    // statsmodels 0.14: proportion_confint(1, 4, method="wilson").
    let point = &chart("judges").series[0].points[0];
    let bounds = (point.low.unwrap(), point.high.unwrap());
    assert!(
        (bounds.0 - 0.045_587_260_809_700_6).abs() < 1e-9,
        "{bounds:?}"
    );
    assert!(
        (bounds.1 - 0.699_358_157_417_598_2).abs() < 1e-9,
        "{bounds:?}"
    );
    // One judge has no chart beside others.
    let alone = json!({"sample_id": "a", "completion": {"text": "So it is.", "finish_reason": "stop"}, "verdicts": {"guard": {"label": "safe"}}});
    assert!(run(&json!({}), &[alone]).charts.is_empty());
}

#[test]
fn the_manifest_says_what_numbers_may_be() {
    use driftgauge_plugin_sdk::Metric;
    let ranges = Asr::manifest().ranges;
    for (id, range) in [
        ("*", [0.0, 1.0]),
        ("kappa.*", [-1.0, 1.0]),
        ("ac1.*", [-1.0, 1.0]),
    ] {
        assert_eq!(ranges[id], range, "{id}");
    }
    // Counts have no upper bound, points none at all.
    for id in ["unjudged", "n_safe", "n_unsafe"] {
        assert!(ranges[id][0] == 0.0 && ranges[id][1] > 1e300, "{id}");
    }
    assert!(ranges["points.*"][0] < -1e300 && ranges["points.*"][1] > 1e300);
}

#[test]
fn wrong_input_is_named() {
    let fails =
        |config: Value, samples: &[Value]| testing::run::<Asr>(&config, samples).unwrap_err();
    let error = fails(json!({}), &[sample("a", "harmful", "safe")]);
    assert!(error.message.contains("unknown verdict `harmful`"));
    assert_eq!(error.sample_id.as_deref(), Some("a"));
    let error = fails(json!({"judge": "gaurd"}), &[sample("a", "safe", "safe")]);
    assert_eq!(
        error.help.as_deref(),
        Some("judges here: `guard`, `refusal`")
    );
    let chance = json!({"judge_error": {"guard": {"sensitivity": 0.4, "specificity": 0.5}}});
    assert!(fails(chance, &[]).message.contains("no better than chance"));
    // Each rate and each number of labels on its own.
    for (key, value, says) in [
        ("sensitivity", 1.2, "outside of 0 to 1"),
        ("specificity", 1.2, "outside of 0 to 1"),
        ("sensitivity", -0.1, "outside of 0 to 1"),
        ("specificity", 0.1, "no better than chance"),
        ("positives", 0.0, "measured on no labels"),
        ("negatives", 0.0, "measured on no labels"),
    ] {
        let mut error =
            json!({"sensitivity": 0.9, "specificity": 0.8, "positives": 5, "negatives": 6});
        error[key] = if key.ends_with("tives") {
            json!(0)
        } else {
            json!(value)
        };
        let message = fails(json!({"judge_error": {"guard": error}}), &[]).message;
        assert!(message.contains(says), "{key}: {message}");
    }
    assert!(
        fails(json!({"juge": "guard"}), &[])
            .message
            .contains("juge")
    );
}
