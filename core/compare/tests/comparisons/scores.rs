//! Scores of two models on the same prompts: tests, intervals, flips, and what is missing.

use driftgauge_compare::{Clusters, between_models, between_trainings, measured_otherwise};
use driftgauge_plugin_protocol::wire::{MOST_POOLED, MetricOutput, Scalar, ScoreKind};
use driftgauge_stats::bootstrap::Options;

use crate::{close, compared, expected, forget, numbers, one, options, output, pooled, ranked};

#[test]
fn real_scores_equal_scipy() {
    let data = expected();
    let sides = ["baseline", "model"].map(|k| output(ScoreKind::Real, &numbers(&data[k])));
    let found = one(compared(&sides[0], &sides[1]));
    let real = &data["real"];
    close(found.delta, &real["delta"]);
    close(found.detail.se, &real["se"]);
    close(found.detail.se_unpaired, &real["se_unpaired"]);
    close(found.detail.detectable, &real["detectable"]);
    assert_eq!(found.detail.needed, real["needed"].as_u64());
    assert_eq!((found.n, found.direction.as_str()), (12, "higher"));
    assert_eq!(found.title, "title of x");
    let test = found.test.unwrap();
    assert_eq!(test.name, "sign-flip-permutation");
    assert_eq!(test.draws.map(|d| (d.resamples, d.seed)), Some((400, 0)));
    // Of every draw the mean lies between the least and the largest change, -0.1 and 0.5.
    let bca = &found.detail.intervals[0];
    assert!(-0.1 < bca.low && bca.low < 0.18 && 0.18 < bca.high && bca.high < 0.5);
}

#[test]
fn binary_scores_equal_scipy() {
    let data = expected();
    let sides = ["ones", "more"].map(|k| output(ScoreKind::Binary, &numbers(&data[k])));
    let found = one(compared(&sides[0], &sides[1]));
    let binary = &data["binary"];
    close(found.p, &binary["p"]);
    let test = found.test.unwrap();
    let told = (test.name.as_str(), test.baseline_only, test.model_only);
    assert_eq!(told, ("mcnemar-exact", Some(1), Some(5)));
    close(found.detail.se, &binary["se"]);
    close(found.detail.detectable, &binary["detectable"]);
    assert_eq!(found.detail.needed, binary["needed"].as_u64());
    let c = found.detail.pairs.unwrap();
    let counts = [c.both, c.baseline_only, c.model_only, c.neither];
    assert_eq!(
        counts.to_vec(),
        serde_json::from_value::<Vec<u64>>(binary["counts"].clone()).unwrap()
    );
    let flips = found.detail.flips.unwrap();
    assert_eq!(flips.baseline_only, ["p09"]);
    assert_eq!(flips.model_only, ["p01", "p03", "p06", "p08", "p11"]);
    // Two percentile-like intervals of the mean difference 1/3: no draw is outside [-1, 1], and these are not near it.
    for interval in &found.detail.intervals {
        assert!(-0.3 < interval.low && interval.low < 0.34, "{interval:?}");
        assert!(0.34 < interval.high && interval.high < 0.8, "{interval:?}");
    }
    assert_eq!(found.detail.intervals.len(), 2);
}

#[test]
fn answers_that_one_side_lacks_and_answers_twice() {
    let (base, mut model) = (
        ranked(&[("default", "baseline")]),
        ranked(&[("default", "model")]),
    );
    let mut less = base.clone();
    // The baseline lacks the last two, the model none.
    for _ in 0..2 {
        less.pooled[0].sample_ids.pop();
        less.pooled[0].values.pop();
        less.pooled[0].truths.pop();
    }
    let found = one(compared(&less, &model));
    let left_out = found.detail.left_out.unwrap();
    assert_eq!(
        (left_out.prompts, left_out.baseline, left_out.model, found.n),
        (2, 2, 0, 10)
    );
    // A prompt with two answers is drawn as one, which is no draw of single answers.
    let again = &mut model.pooled[0];
    again.sample_ids.push("p00".to_owned());
    again.values.push(0.85);
    again.truths.push(true);
    let found = one(compared(&base, &model));
    assert_eq!(found.n, 12);
    assert!(found.detail.tests.is_empty());
    assert!(found.ci.unwrap().method.starts_with("cluster-bootstrap-"));
}

#[test]
fn very_many_answers_are_not_drawn() {
    let few = Options {
        resamples: 2,
        ..Options::default()
    };
    for (n, compared) in [(MOST_POOLED, true), (MOST_POOLED + 1, false)] {
        let ids: Vec<String> = (0..n).map(|i| format!("{i:06}")).collect();
        let values: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let truths: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
        let mut output = MetricOutput::new();
        output
            .pooled
            .push(pooled("default", &ids, &values, &truths));
        let found = between_models(&output, &output, (few, &Clusters::default())).unwrap();
        assert_eq!(!found.is_empty(), compared, "{n} answers");
    }
}

#[test]
fn numbers_that_do_not_stand_for_a_metric_may_lack_pairs() {
    let [baseline, model] = [&[0.0, 1.0, 1.0][..], &[1.0, 1.0]].map(|v| output(ScoreKind::Real, v));
    assert!(between_models(&baseline, &model, (options(), &Clusters::default())).is_err());
    let side = std::slice::from_ref(&baseline);
    assert!(between_trainings(side, std::slice::from_ref(&model), options()).is_err());
    // Neither of a number that does not stand for its metric, nor of one over prompts that a model chose.
    for change in [
        |scalar: &mut Scalar| scalar.primary = false,
        |scalar: &mut Scalar| scalar.selected = true,
    ] {
        let (mut baseline, mut model) = (baseline.clone(), model.clone());
        change(&mut baseline.scalars[0]);
        change(&mut model.scalars[0]);
        assert!(compared(&baseline, &model).is_empty());
        let found = between_trainings(&[baseline], &[model], options()).unwrap();
        assert!(found.is_empty());
    }
}

#[test]
fn equal_differences_have_an_interval_where_scores_have_bounds() {
    let of = |kind, unit: &str, values: &[f64]| {
        let mut output = output(kind, values);
        output.scalars[0] = output.scalars[0].clone().unit(unit).lower_is_better();
        output
    };
    let (half, quarter) = ([0.5; 4], [0.25; 4]);
    let shares = one(compared(
        &of(ScoreKind::Real, "ratio", &half),
        &of(ScoreKind::Real, "ratio", &quarter),
    ));
    assert_eq!(shares.ci.unwrap().method, "newcombe-means");
    assert_eq!(shares.direction, "lower");
    let losses = one(compared(
        &of(ScoreKind::Real, "nats", &half),
        &of(ScoreKind::Real, "nats", &quarter),
    ));
    assert_eq!(losses.ci, None);
    let above = one(compared(
        &of(ScoreKind::Real, "ratio", &[1.5; 4]),
        &of(ScoreKind::Real, "ratio", &[1.25; 4]),
    ));
    assert_eq!(above.ci, None);
    // Scores of 0 and 1 on one side only are no pairs of McNemar's.
    let mixed = one(compared(
        &of(ScoreKind::Binary, "ratio", &[1.0, 0.0]),
        &of(ScoreKind::Real, "ratio", &[0.5, 1.0]),
    ));
    assert_eq!(mixed.test.unwrap().name, "sign-flip-permutation");
}

#[test]
fn a_number_is_found_by_id_and_condition() {
    let values = [0.0, 1.0, 1.0];
    let mut baseline = output(ScoreKind::Binary, &values);
    for (id, condition) in [("x", "other"), ("y", "default")] {
        baseline
            .scalars
            .insert(0, Scalar::new(id, "wrong", condition));
    }
    let found = one(compared(&baseline, &output(ScoreKind::Binary, &values)));
    assert_eq!(
        (found.title.as_str(), found.direction.as_str()),
        ("title of x", "higher")
    );
}

#[test]
fn at_most_a_thousand_flips_are_listed() {
    let ids: Vec<String> = (0..1500).map(|i| format!("{i:04}")).collect();
    let side = |value: f64| {
        let mut output = output(ScoreKind::Binary, &[]);
        output.scores[0].sample_ids = ids.iter().map(String::as_str).collect();
        output.scores[0].values = vec![Some(value); 1500].into();
        output
    };
    let flips = one(compared(&side(0.0), &side(1.0))).detail.flips.unwrap();
    assert_eq!(
        (flips.model_only.len(), flips.baseline_only.len()),
        (1000, 0)
    );
    let flips = one(compared(&side(1.0), &side(0.0))).detail.flips.unwrap();
    assert_eq!(
        (flips.model_only.len(), flips.baseline_only.len()),
        (0, 1000)
    );
}

#[test]
fn scores_that_are_missing_are_counted_by_side() {
    let mut baseline = output(ScoreKind::Real, &[0.0, 0.5, 0.25, 1.0]);
    let mut model = output(ScoreKind::Real, &[1.0, 0.5, 0.5, 1.0]);
    assert_eq!(one(compared(&baseline, &model)).detail.left_out, None);
    forget(&mut baseline, 0);
    forget(&mut baseline, 1);
    forget(&mut baseline, 2);
    forget(&mut model, 2);
    let left_out = one(compared(&baseline, &model)).detail.left_out.unwrap();
    assert_eq!(
        (left_out.prompts, left_out.baseline, left_out.model),
        (3, 3, 1)
    );
}

#[test]
fn formulas_are_held_against_each_other_number_by_number() {
    let of = |id: &str, condition: &str, formula: &str| {
        Scalar::new(id, "", condition)
            .value(0.5, 4)
            .formula(formula)
            .primary()
    };
    let output = |scalars: &[Scalar]| {
        let mut output = MetricOutput::new();
        output.scalars = scalars.to_vec();
        output
    };
    let first = output(&[of("a", "x", "f")]);
    let others = [of("a", "y", "g"), of("b", "x", "h")];
    assert_eq!(measured_otherwise([&first, &output(&others)]), None);
    // One that does not stand for the metric on the other side is not the same number.
    let mut further = of("a", "x", "g");
    further.primary = false;
    assert_eq!(measured_otherwise([&first, &output(&[further])]), None);
}
