//! Tests of `statistics`: what is asked for is what stands in the full output, and nothing else comes.

use driftgauge_plugin_sdk::testing;
use driftgauge_plugin_sdk::wire::{MetricOutput, Scores};
use serde_json::{Value, json};

use super::{Uncertainty, report};

/// Forty answers, of which the surer ones are right more often; `repeats` for every prompt.
fn samples(repeats: usize) -> Vec<Value> {
    let one = |i: usize| {
        let p = 0.2 + 0.75 * ((i * 17 % 40) as f64 / 40.0);
        let right = (i * 7 % 10) as f64 / 10.0 < p;
        json!({
            "sample_id": format!("p{}", i / repeats),
            "sample_index": i % repeats,
            "completion": {
                "text": if right { "Paris" } else { "Rome" },
                "finish_reason": "stop",
                "token_logprob": [p.ln(), (p * 0.9).ln()],
                "token_margin": [p / 2.0, p / 3.0],
                "token_top10_entropy": [1.0 - p, 1.1 - p],
                "token_top10_mass": [1.0, 1.0],
                "token_entropy": [1.2 - p, 1.3 - p],
            },
            "references": ["Paris"],
        })
    };
    (0..40).map(one).collect()
}

fn run(config: &Value, samples: &[Value]) -> MetricOutput {
    testing::run::<Uncertainty>(config, samples).unwrap()
}

/// Holds what a list of statistics gives against the same numbers of the full output.
fn hold(full: &MetricOutput, ids: &[String], samples: &[Value]) {
    let few = run(&json!({"statistics": ids, "resamples": 200}), samples);
    let expected: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut found: Vec<&str> = few.scalars.iter().map(|scalar| &*scalar.id).collect();
    // The first one asked for stands for the metric.
    assert_eq!(found[0], expected[0]);
    assert!(few.scalars[0].primary && few.scalars[1..].iter().all(|scalar| !scalar.primary));
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, sorted);
    for mut ours in few.scalars {
        let theirs = full.scalars.iter().find(|theirs| theirs.id == ours.id);
        let theirs = theirs.unwrap();
        ours.primary = theirs.primary;
        assert_eq!(ours, *theirs);
    }
    let wanted = |scores: &&Scores| expected.contains(&&*scores.id);
    assert!(few.scores.iter().eq(full.scores.iter().filter(wanted)));
    for ours in &few.pooled {
        let theirs = full.pooled.iter().find(|theirs| {
            let number = |one: &&_| ours.numbers.contains(one);
            theirs.numbers.iter().any(|one| number(&one))
        });
        let theirs = theirs.unwrap();
        assert_eq!(ours.sample_ids, theirs.sample_ids);
        assert_eq!(
            (&ours.values, &ours.truths),
            (&theirs.values, &theirs.truths)
        );
    }
    let pooled = few.pooled.iter().flat_map(|pooled| &pooled.numbers);
    assert!(
        pooled
            .into_iter()
            .all(|number| expected.contains(&&*number.id))
    );
    assert!(few.tables.is_empty() && few.charts.is_empty());
}

#[test]
fn numbers_that_are_asked_for_are_those_of_the_full_output() {
    for repeats in [1, 2] {
        let samples = samples(repeats);
        let measures = ["token_entropy", "margin", "perplexity", "mean_nll"];
        let full = run(&json!({"measures": measures, "resamples": 200}), &samples);
        let words = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        for ids in [
            &["auroc", "ece10"][..],
            &["ece10"],
            &["prr", "aurc"],
            &["aurc", "brier", "auroc", "prr", "overconfidence"],
            &["perplexity_correct", "perplexity"],
            &["mean_nll", "auroc"],
        ] {
            hold(&full, &words(ids), &samples);
        }
        let all: Vec<String> = full
            .scalars
            .iter()
            .map(|scalar| scalar.id.clone())
            .collect();
        hold(&full, &all, &samples);
    }
}

#[test]
fn what_stands_for_the_metric_can_be_said() {
    let samples = samples(1);
    let config = json!({"statistics": ["auroc", "margin"], "primary": "margin"});
    let output = run(&config, &samples);
    let first = &output.scalars[0];
    assert!(first.id == "margin" && first.primary && !output.scalars[1].primary);
    // Bins and the number of likeliest tokens are in the names.
    let config = json!({"statistics": ["ece20", "brier"], "definitions": "lm-polygraph"});
    assert_eq!(run(&config, &samples).scalars[0].id, "ece20");
    let config = json!({"statistics": ["margin"], "confidence": "margin"});
    assert_eq!(run(&config, &samples).scalars.len(), 1);
}

#[test]
fn nothing_is_drawn_where_no_replicates_are_asked_for() {
    let samples = samples(1);
    let ci = |resamples: u32, id: &str| {
        let config = json!({"statistics": ["auroc", "aurc", "prr", "ece10", "brier"], "resamples": resamples});
        let output = run(&config, &samples);
        let scalar = output.scalars.into_iter().find(|scalar| scalar.id == id);
        scalar.and_then(|scalar| scalar.ci).map(|ci| ci.method)
    };
    for id in ["aurc", "prr", "ece10", "brier"] {
        assert!(ci(50, id).is_some() && ci(0, id).is_none(), "{id}");
    }
    // DeLong's has a formula.
    assert_eq!(ci(0, "auroc").as_deref(), Some("delong"));
    let full = run(&json!({"resamples": 0}), &samples);
    assert_eq!(full.scalars.len(), run(&json!({}), &samples).scalars.len());
    let mean = &full.scalars[0];
    assert_eq!(mean.ci.as_ref().map(|ci| &*ci.method), Some("student-t"));
}

#[test]
fn numbers_of_texts_are_asked_for_like_others() {
    let text = |id: &str, l: [f64; 2]| json!({"sample_id": id, "values": {"text_logprob": l}, "completion": {"text": "", "finish_reason": "stop"}});
    let texts = [text("a", [-1.0, -2.0]), text("b", [-0.5, -0.25])];
    let ids = |config: Value| {
        let output = run(&config, &texts);
        let ids = output.scalars.iter().map(|scalar| scalar.id.clone());
        (ids.collect::<Vec<_>>(), output.scores.len(), output.notes)
    };
    let (found, scores, _) = ids(json!({"statistics": ["corpus_perplexity", "loss"]}));
    assert_eq!(
        (found, scores),
        (vec!["loss".to_owned(), "corpus_perplexity".to_owned()], 1)
    );
    let (found, scores, _) = ids(json!({"statistics": ["token_loss"]}));
    assert_eq!((found, scores), (vec!["token_loss".to_owned()], 0));
    let (found, _, notes) = ids(json!({"statistics": ["auroc"]}));
    assert!(
        found.is_empty() && notes[0].contains("None of the numbers"),
        "{notes:?}"
    );
    let none = run(&json!({"statistics": ["loss"]}), &samples(1));
    assert!(
        none.scalars.is_empty() && none.notes.len() == 1,
        "{:?}",
        none.notes
    );
}

#[test]
fn statistics_that_cannot_be_are_refused_by_name() {
    let fails = |config: Value| testing::run::<Uncertainty>(&config, &[]).unwrap_err();
    let error = fails(json!({"statistics": ["auroc", "ece15"]}));
    assert!(error.message.contains("no number: `ece15`"), "{error}");
    assert_eq!(error.key.as_deref(), Some("statistics[1]"));
    let help = error.help.unwrap();
    assert!(
        help.starts_with("did you mean `ece10`? it is some of `top10_entropy`"),
        "{help}"
    );
    assert!(
        fails(json!({"statistics": ["top10_entropy"], "top_k": 5}))
            .message
            .contains("top10")
    );
    let both = fails(json!({"statistics": ["auroc"], "measures": ["margin"]}));
    assert!(both.message.contains("both given"), "{both}");
    let other = fails(json!({"statistics": ["auroc"], "primary": "margin"}));
    assert!(
        other.message.contains("`margin`, which `statistics`"),
        "{other}"
    );
    assert!(
        fails(json!({"statistics": []}))
            .message
            .contains("no number at all")
    );
}

#[test]
fn the_manifest_follows_what_is_asked_for() {
    let manifest = driftgauge_plugin_sdk::export::full_manifest::<Uncertainty>();
    assert_eq!(manifest.numbers, report::listed());
    let few = manifest.configured(&json!({"statistics": ["auroc", "ece10"]}));
    assert_eq!(
        (few.main.as_deref(), &few.numbers[..]),
        (Some("auroc"), &["auroc".to_owned(), "ece10".to_owned()][..])
    );
    assert_eq!(few.range_of_named(None), Some([0.0, 1.0]));
}
