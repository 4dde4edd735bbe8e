//! Numbers apart for right and wrong answers, and how well sureness tells them apart.

use serde_json::json;

use super::{close, four, run, sample, scalar};

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
