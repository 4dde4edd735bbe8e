//! The metric over samples whose numbers are known by hand.

use driftgauge_plugin_sdk::testing;
use driftgauge_plugin_sdk::wire::{MetricOutput, Scalar};
use serde_json::{Value, json};

use super::Uncertainty;

fn ln(p: f64) -> f64 {
    p.ln()
}

/// An answer of three tokens, the last of which ended it, with another likeliest token in the second place.
fn sample(id: &str, answer: &str, p: [f64; 3]) -> Value {
    json!({
        "sample_id": id,
        "completion": {
            "text": answer,
            "finish_reason": "stop",
            "ends_with_eos": true,
            "token_logprob": p.map(f64::ln),
            "token_top1_logprob": p.map(|p| p.max(0.5).ln()),
            "token_margin": [0.1, 0.2, 0.3],
            "token_top10_entropy": [0.5, 0.7, 0.9],
            "token_top10_mass": [1.0, 1.0, 1.0],
            "token_entropy": [0.6, 0.8, 1.0],
        },
        "references": ["Paris"],
    })
}

fn run(config: &Value, samples: &[Value]) -> MetricOutput {
    let whole = testing::run::<Uncertainty>(config, samples).unwrap();
    let parts = testing::run_in_batches::<Uncertainty>(config, samples, 2).unwrap();
    assert_eq!(whole, parts, "batches change the result");
    whole
}

fn scalar<'a>(output: &'a MetricOutput, id: &str) -> &'a Scalar {
    let found = output.scalars.iter().find(|scalar| scalar.id == id);
    found.unwrap_or_else(|| panic!("no `{id}`"))
}

#[track_caller]
fn close(output: &MetricOutput, id: &str, expected: f64) {
    let value = scalar(output, id).value.unwrap();
    assert!(
        (value - expected).abs() < 1e-6,
        "{id}: {value} is not {expected}"
    );
}

fn four() -> Vec<Value> {
    vec![
        sample("a", "Paris", [0.9, 0.8, 0.9]),
        sample("b", "paris!", [0.8, 0.4, 0.8]),
        sample("c", "Rome", [0.6, 0.2, 0.4]),
        sample("d", "Oslo", [0.9, 0.9, 0.6]),
    ]
}

#[test]
fn the_end_token_and_the_token_meant_are_options() {
    let one = [sample("a", "Paris", [0.8, 0.2, 0.9])];
    let kept = run(&json!({}), &one);
    close(&kept, "mean_token_probability", (0.8 + 0.2 + 0.9) / 3.0);
    close(&kept, "min_token_probability", 0.2);
    close(&kept, "sequence_logprob", ln(0.8 * 0.2 * 0.9));
    close(&kept, "perplexity", (0.8_f64 * 0.2 * 0.9).powf(-1.0 / 3.0));
    close(&kept, "top10_entropy", 0.7);
    close(&kept, "token_entropy", 0.8);
    close(&kept, "margin", 0.2);
    assert!(scalar(&kept, "top10_entropy").primary);

    let dropped = run(&json!({"eos": "drop"}), &one);
    close(&dropped, "mean_token_probability", 0.5);
    close(&dropped, "top10_entropy", 0.6);
    let top1 = run(&json!({"token": "top1"}), &one);
    close(&top1, "mean_token_probability", (0.8 + 0.5 + 0.9) / 3.0);
}

#[test]
fn another_k_is_taken_from_the_listed_tokens() {
    // Two likeliest tokens each; those of the end token are dropped with it.
    let mut one = sample("a", "Paris", [0.5, 0.25, 0.9]);
    one["completion"]["token_top_logprobs"] =
        json!([0.5, 0.25, 0.25, 0.125, 0.9, 0.1].map(f64::ln));
    let config = json!({"top_k": 2, "eos": "drop", "vocabulary": 6, "measures": ["top2_entropy_renormalised"]});
    let output = run(
        &config,
        &[one.clone(), sample("b", "Rome", [0.5, 0.5, 0.5])],
    );
    let h = |p: f64| -p * p.ln();
    close(
        &output,
        "top2_entropy",
        f64::midpoint(h(0.5) + h(0.25), h(0.25) + h(0.125)),
    );
    let two = |p: f64| h(p) + h(1.0 - p);
    close(&output, "top2_entropy_renormalised", two(2.0 / 3.0));
    let even = |rest: f64| h(0.25) + h(0.125) + rest * (4.0 / rest).ln();
    let upper = f64::midpoint(h(0.5) + h(0.25) + 0.25 * 16_f64.ln(), even(0.625));
    close(&output, "entropy_upper_bound", upper);
    assert!(scalar(&output, "top2_entropy").primary);
    assert!(
        scalar(&output, "top2_entropy")
            .formula
            .contains("the 2 likeliest")
    );
    let notes = output.notes.join(" ");
    assert!(
        notes.contains("1 of 2 completions do not tell their top-2 entropy"),
        "{notes}"
    );

    one["completion"]["token_top_logprobs"] = json!([-0.1, -0.2]);
    let error = testing::run::<Uncertainty>(&config, &[one]).unwrap_err();
    assert!(error.message.contains("2 numbers for 3 tokens"), "{error}");
}

#[test]
fn prompts_without_a_value_keep_their_place_among_the_scores() {
    // The first answer is its end token alone, the second was not made.
    let mut samples = four();
    for list in samples[0]["completion"]
        .as_object_mut()
        .unwrap()
        .values_mut()
    {
        if let Some(list) = list.as_array_mut() {
            list.truncate(1);
        }
    }
    samples[1]["completion"] = json!({ "text": "", "finish_reason": "error" });
    let output = run(&json!({ "eos": "drop" }), &samples);
    let scores = output
        .scores
        .iter()
        .find(|scores| scores.id == "top10_entropy");
    let scores = scores.expect("scores of the primary number");
    let ids: Vec<&str> = scores.sample_ids.iter().collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    let there: Vec<bool> = scores.values.iter().map(|value| value.is_some()).collect();
    assert_eq!(there, [false, false, true, true]);
    assert_eq!(scalar(&output, "top10_entropy").n, 2);
}

#[test]
fn definitions_of_others_are_one_line() {
    let one = [sample("a", "Paris", [0.8, 0.2, 0.9])];
    let paper = run(&json!({"definitions": "paper"}), &one);
    // The last position dropped, the likeliest token, ten likeliest tokens not renormalised.
    close(&paper, "mean_token_probability", f64::midpoint(0.8, 0.5));
    close(&paper, "perplexity", (0.8_f64 * 0.5).powf(-0.5));
    close(&paper, "top10_entropy", 0.6);
    assert!(scalar(&paper, "top10_entropy").primary);
    assert_eq!(scalar(&paper, "ece10").n, 1);

    let polygraph = run(&json!({"definitions": "lm-polygraph"}), &one);
    close(&polygraph, "mean_nll", -ln(0.8 * 0.2 * 0.9) / 3.0);
    assert!(scalar(&polygraph, "mean_nll").primary);
    assert_eq!(scalar(&polygraph, "ece20").n, 1);

    // Single keys outrank them.
    let mixed = run(
        &json!({"definitions": "paper", "eos": "keep", "ece_bins": 15}),
        &one,
    );
    close(&mixed, "top10_entropy", 0.7);
    assert_eq!(scalar(&mixed, "ece15").n, 1);
}

#[test]
fn numbers_are_split_by_correctness_and_predict_it() {
    let output = run(&json!({}), &four());
    let means = [2.6 / 3.0, 2.0 / 3.0, 0.4, 0.8];
    close(
        &output,
        "mean_token_probability",
        means.iter().sum::<f64>() / 4.0,
    );
    close(
        &output,
        "mean_token_probability_correct",
        f64::midpoint(means[0], means[1]),
    );
    close(
        &output,
        "mean_token_probability_incorrect",
        f64::midpoint(means[2], means[3]),
    );
    // Correct: .867 and .667; incorrect: .4 and .8. Three of the four pairs are in order.
    close(&output, "auroc", 0.75);
    let brier =
        ((1.0 - means[0]).powi(2) + (1.0 - means[1]).powi(2) + means[2].powi(2) + means[3].powi(2))
            / 4.0;
    close(&output, "brier", brier);
    let gaps = (1.0 - means[0]) + (1.0 - means[1]) + means[2] + means[3];
    close(&output, "ece10", gaps / 4.0);
    close(
        &output,
        "overconfidence",
        means.iter().sum::<f64>() / 4.0 - 0.5,
    );
    // Surest first: correct, wrong, correct, wrong.
    close(&output, "aurc", (0.0 + 0.5 + 1.0 / 3.0 + 0.5) / 4.0);
    let oracle = (1.0 / 3.0 + 0.5) / 4.0;
    close(&output, "prr", (0.5 - 4.0 / 3.0 / 4.0) / (0.5 - oracle));
    for id in ["ece10", "brier", "auroc", "aurc", "prr"] {
        let found = scalar(&output, id);
        let ci = found
            .ci
            .as_ref()
            .unwrap_or_else(|| panic!("no interval of {id}"));
        assert!(ci.low <= ci.high, "{id}");
        assert!(!found.formula.is_empty(), "{id}");
    }
    // Four squared errors are drawn, as those of a mean of real scores are not.
    let brier = scalar(&output, "brier").ci.as_ref().unwrap();
    assert_eq!(brier.method, "bootstrap-percentile");
    let table = output
        .tables
        .iter()
        .find(|table| table.id == "predictors")
        .unwrap();
    assert_eq!(table.rows.len(), 7);
    assert_eq!(table.rows[3][1], "Mean token probability");
    // DeLong's bounds: one answer of each prompt.
    assert!(table.rows[3][5].is_f64() && table.rows[3][6].is_f64());
    // The columns of which other models' numbers are taken: confidences for the calibration error, certainties for the ranks.
    assert_eq!(output.pooled.len(), 2);
    for pooled in &output.pooled {
        assert_eq!(pooled.sample_ids, ["a", "b", "c", "d"]);
        assert_eq!(pooled.truths, [true, true, false, false]);
        for (value, mean) in pooled.values.iter().zip(means) {
            assert!((value - mean).abs() < 1e-6, "{value} is not {mean}");
        }
    }
    let chart = output
        .charts
        .iter()
        .find(|chart| chart.id == "reliability")
        .unwrap();
    let points = &chart.series[0].points;
    assert_eq!(points.len(), 4);
    assert_eq!(points[0].y, Some(0.0));
    // statsmodels 0.14: proportion_confint(0, 1, method="wilson").
    let bounds = (points[0].low.unwrap(), points[0].high.unwrap());
    assert!(
        bounds.0.abs() < 1e-9 && (bounds.1 - 0.793_450_685_6).abs() < 1e-9,
        "{bounds:?}"
    );
    let table = output
        .tables
        .iter()
        .find(|table| table.id == "reliability")
        .unwrap();
    assert_eq!(table.rows.len(), 4);
    assert_eq!(
        table
            .rows
            .iter()
            .filter_map(|row| row[3].as_u64())
            .sum::<u64>(),
        4
    );
}

#[test]
fn any_measure_can_be_the_predictor() {
    let samples = four();
    for (measure, has_confidence) in [
        ("perplexity", true),
        ("sequence_logprob", true),
        ("token_entropy", false),
        ("margin", true),
    ] {
        let output = run(&json!({"confidence": measure}), &samples);
        assert!(scalar(&output, "auroc").value.is_some(), "{measure}");
        let ece = output.scalars.iter().any(|scalar| scalar.id == "ece10");
        assert_eq!(ece, has_confidence, "{measure}");
    }
    // 1/perplexity ranks as the geometric mean probability does.
    let output = run(&json!({"confidence": "perplexity"}), &samples);
    close(&output, "auroc", 0.75);
    // Each in a bin of its own, so the error is the mean of the four gaps.
    let root = |product: f64| product.cbrt();
    let confidences = [
        root(0.9 * 0.8 * 0.9),
        root(0.8 * 0.4 * 0.8),
        root(0.6 * 0.2 * 0.4),
        root(0.9 * 0.9 * 0.6),
    ];
    let [a, b, c, d] = confidences;
    close(&output, "ece10", ((1.0 - a) + (1.0 - b) + c + d) / 4.0);
    close(&output, "overconfidence", (a + b + c + d) / 4.0 - 0.5);
    let (error, ranks) = (&output.pooled[0].values, &output.pooled[1].values);
    assert!((error[2] - c).abs() < 1e-6 && (ranks[2] + 1.0 / c).abs() < 1e-5);
}

#[test]
fn several_samples_give_consistency_by_prompt() {
    let mut samples = Vec::new();
    for (id, answers) in [
        ("a", ["Paris", "the paris", "Rome"]),
        ("b", ["Oslo", "Rome", "Bern"]),
    ] {
        for (index, answer) in answers.into_iter().enumerate() {
            let mut made = sample(id, answer, [0.9, 0.8, 0.7]);
            made["sample_index"] = json!(index);
            samples.push(made);
        }
    }
    let output = run(&json!({"confidence": "self_inconsistency"}), &samples);
    let found = scalar(&output, "self_inconsistency");
    assert_eq!((found.value, found.n), (Some(0.5), 2));
    close(&output, "self_inconsistency_correct", 1.0 / 3.0);
    close(&output, "self_inconsistency_incorrect", 0.5);
    // Two correct answers of `a`; its third and those of `b` are wrong: 2 x (1/2 + 3) of 8 pairs.
    close(&output, "auroc", 7.0 / 8.0);
    let ci = scalar(&output, "auroc").ci.as_ref().unwrap();
    assert_eq!(ci.method, "cluster-bootstrap-percentile");
    // DeLong's interval would take answers of one prompt for independent ones.
    let table = output.tables.iter().find(|table| table.id == "predictors");
    assert!(table.unwrap().rows.iter().all(|row| row[5].is_null()));
    assert_eq!(
        scalar(&run(&json!({}), &samples), "self_inconsistency").n,
        2
    );

    let mut shuffled = samples.clone();
    shuffled.reverse();
    let again = run(&json!({"confidence": "self_inconsistency"}), &shuffled);
    assert_eq!(output.scalars, again.scalars);
}

#[test]
fn given_texts_have_a_loss() {
    let text = |id: &str, l: &[f64]| json!({"sample_id": id, "completion": {"text": "", "finish_reason": "error"}, "values": {"text_logprob": l}});
    let output = run(&json!({}), &[text("a", &[-1.0, -2.0]), text("b", &[-0.5])]);
    assert!(output.scalars[0].primary);
    assert_eq!(output.scalars[0].id, "loss");
    close(&output, "loss", 1.0);
    close(&output, "token_loss", 3.5 / 3.0);
    close(&output, "corpus_perplexity", (3.5_f64 / 3.0).exp());
    assert_eq!(scalar(&output, "token_loss").n, 2, "samples, not tokens");
    let error = testing::run::<Uncertainty>(&json!({}), &[text("a", &[0.5])]).unwrap_err();
    assert_eq!(error.sample_id.as_deref(), Some("a"));
}

#[test]
fn recorded_values_stand_in_for_tokens() {
    let recorded = |id: &str, p: f64| json!({"sample_id": id, "completion": {"text": "", "finish_reason": "stop"}, "values": {"avg_probability": [p], "correct": [1.0]}});
    let config = json!({"recorded": {"mean_token_probability": "avg_probability"}});
    let output = run(&config, &[recorded("a", 0.25), recorded("b", 0.75)]);
    close(&output, "mean_token_probability", 0.5);
    close(&output, "brier", f64::midpoint(0.5625, 0.0625));
    // One class only: no AUROC, and no interval of one.
    let auroc = scalar(&output, "auroc");
    assert!(auroc.value.is_none() && auroc.ci.is_none());

    let error = testing::run::<Uncertainty>(&config, &[recorded("b", 1.5)]).unwrap_err();
    assert!(
        error.message.contains("`avg_probability` is 1.5"),
        "{error}"
    );
    assert_eq!(error.sample_id.as_deref(), Some("b"));
    assert!(error.help.unwrap().contains("between 0 and 1"));
}

#[test]
fn what_was_recorded_is_within_its_range_but_for_rounding() {
    let recorded = |name: &str, value: f64| {
        let mut made = json!({"sample_id": "a", "completion": {"text": "", "finish_reason": "stop"}, "values": {"correct": [1.0]}});
        made["values"][name] = json!([value]);
        testing::run::<Uncertainty>(&json!({"resamples": 9}), &[made])
    };
    for (value, held) in [(-5e-7, 0.0), (1.0 + 5e-7, 1.0), (0.25, 0.25)] {
        let output = recorded("mean_token_probability", value).unwrap();
        assert_eq!(scalar(&output, "mean_token_probability").value, Some(held));
    }
    for (name, value, says) in [
        ("mean_token_probability", -0.1, "at least 0"),
        ("mean_token_probability", 1.1, "at most 1"),
        ("perplexity", 0.9, "at least 1"),
        ("sequence_logprob", 0.2, "at most 0"),
    ] {
        let error = recorded(name, value).unwrap_err();
        assert!(error.message.contains(says), "{error}");
    }
    // As many tokens as are likeliest are a vocabulary; one fewer is none.
    let of = |size: u32| testing::run::<Uncertainty>(&json!({"top_k": 5, "vocabulary": size}), &[]);
    assert!(of(5).is_ok() && of(4).is_err());
}

#[test]
fn every_number_is_announced() {
    let listed = super::report::listed();
    for id in [
        "top{top_k}_entropy",
        "perplexity_correct",
        "margin_incorrect",
        "ece*",
        "corpus_perplexity",
    ] {
        assert!(listed.iter().any(|one| one == id), "{id}");
    }
    // Thirteen measures, each thrice, and nine more.
    assert_eq!(listed.len(), 13 * 3 + 9);
}

#[test]
fn impossible_tokens_are_named() {
    let mut wrong = sample("a", "Paris", [0.5, 0.5, 0.5]);
    wrong["completion"]["token_logprob"] = json!([-0.1, 0.7, -0.1]);
    let error = testing::run::<Uncertainty>(&json!({}), &[wrong]).unwrap_err();
    assert!(error.message.contains("0.7 at token 1"), "{error}");
    assert_eq!(error.sample_id.as_deref(), Some("a"));
}

#[test]
fn the_columns_of_a_recording_need_no_second_key() {
    let recorded = |id: &str, p: f64, h: f64| json!({"sample_id": id, "completion": {"text": "", "finish_reason": "stop"}, "values": {"probability": [p], "entropy": [h], "correct": [1.0]}});
    let samples = [recorded("a", 0.25, 1.5), recorded("b", 0.75, 0.5)];
    let number = |config: &serde_json::Value, id: &str| {
        let output = run(config, &samples);
        assert!(
            output
                .notes
                .iter()
                .all(|note| !note.contains("no token statistics"))
        );
        let found = output.scalars.iter().find(|scalar| scalar.id == id);
        found.and_then(|scalar| scalar.value)
    };
    assert_eq!(number(&json!({}), "mean_token_probability"), Some(0.5));
    assert_eq!(number(&json!({}), "token_entropy"), Some(1.0));
    // What the configuration gives to another measure is that one alone.
    let named = json!({"recorded": {"top10_entropy": "entropy"}});
    assert_eq!(number(&named, "top10_entropy"), Some(1.0));
    assert_eq!(number(&named, "token_entropy"), None);
}

#[test]
fn nothing_and_one_are_defined() {
    assert_eq!(run(&json!({}), &[]).scalars, []);
    let mut empty = sample("a", "", [0.5, 0.5, 0.5]);
    for list in [
        "token_logprob",
        "token_top1_logprob",
        "token_margin",
        "token_top10_entropy",
        "token_top10_mass",
        "token_entropy",
    ] {
        empty["completion"][list] = json!([]);
    }
    let output = run(&json!({}), &[empty]);
    assert_eq!((output.scalars[0].value, output.scalars[0].n), (None, 0));
    assert!(output.notes[0].contains("1 of 1 completions have no token statistics"));
    let one = run(&json!({}), &[sample("a", "Paris", [0.5, 0.5, 0.5])]);
    assert!(
        one.scalars
            .iter()
            .all(|s| s.value.is_none_or(f64::is_finite))
    );
}

#[test]
fn wrong_configuration_is_named() {
    let fails = |config: Value| {
        testing::run::<Uncertainty>(&config, &[])
            .unwrap_err()
            .message
    };
    assert!(fails(json!({"top_k": 0})).contains("`top_k` is 0"));
    assert!(fails(json!({"top_k": 5, "primary": "top10_entropy"})).contains("`top10_entropy`"));
    assert!(fails(json!({"ece_bins": 0})).contains("`ece_bins` is 0"));
    assert!(fails(json!({"recorded": {"entropie": "x"}})).contains("`entropie`"));
    assert!(fails(json!({"eos": "dropp"})).contains("dropp"));
}

#[test]
fn the_formula_says_what_was_configured() {
    let formula = |config: Value, id: &str| scalar(&run(&config, &four()), id).formula.clone();
    assert_eq!(
        formula(json!({}), "perplexity"),
        "exp(-(1/T) sum_t ln p_t); p_t of the emitted token; end token kept; mean over prompts"
    );
    let top1 = formula(json!({"token": "top1", "eos": "drop"}), "perplexity");
    assert!(
        top1.contains("p_t of the likeliest token; end token dropped"),
        "{top1}"
    );
    let paper = formula(json!({"definitions": "paper"}), "top10_entropy_correct");
    assert!(
        paper.ends_with(
            "; last position dropped; mean over prompts, of answers correct by substring"
        ),
        "{paper}"
    );
    let mut again = sample("a", "Paris", [0.9, 0.8, 0.7]);
    again["sample_index"] = json!(1);
    let output = run(&json!({}), &[sample("a", "Paris", [0.9, 0.8, 0.9]), again]);
    assert!(
        scalar(&output, "perplexity")
            .formula
            .ends_with("; mean over prompts of the mean over a prompt's completions")
    );
    let recorded = json!({"sample_id": "a", "completion": {"text": "", "finish_reason": "stop"}, "values": {"p": [0.5], "correct": [1.0]}});
    let config = json!({"recorded": {"mean_token_probability": "p"}});
    let output = run(&config, &[recorded]);
    assert_eq!(
        scalar(&output, "mean_token_probability_correct").formula,
        "(1/T) sum_t p_t; as recorded in `p`; mean over prompts, of answers correct as recorded in `correct`"
    );
    assert!(
        scalar(&output, "ece10")
            .formula
            .ends_with("; correct as recorded in `correct`")
    );
}

#[test]
fn an_end_token_that_is_not_marked_is_not_dropped_in_silence() {
    let mut unmarked = sample("a", "Paris", [0.8, 0.2, 0.9]);
    unmarked["completion"]["ends_with_eos"] = json!(false);
    let mut cut = unmarked.clone();
    cut["sample_id"] = json!("b");
    cut["completion"]["finish_reason"] = json!("length");
    let samples = [unmarked, cut, sample("c", "Rome", [0.8, 0.2, 0.9])];
    let output = run(&json!({"eos": "drop"}), &samples);
    assert!(
        output.notes[0].contains("nothing was dropped of 1 of 3 completions"),
        "{:?}",
        output.notes
    );
    assert!(run(&json!({}), &samples).notes.is_empty());
}

/// Logarithms have no lower bound and overconfidence has a sign; a share has neither.
#[test]
fn ranges_are_told_by_the_manifest() {
    use driftgauge_plugin_sdk::Metric;
    let ranges = Uncertainty::manifest().ranges;
    let ends = |id: &str| ranges[id];
    assert_eq!(ends("margin_correct"), [0.0, 1.0]);
    assert_eq!(ends("overconfidence"), [-1.0, 1.0]);
    assert_eq!(ends("brier"), [0.0, 1.0]);
    let [low, high] = ends("sequence_logprob_incorrect");
    assert!(low < -1e300 && high == 0.0);
    let [low, high] = ends("perplexity");
    assert!(low == 1.0 && high > 1e300);
    let [low, high] = ends("prr");
    assert!(low < -1e300 && high == 1.0);
}
