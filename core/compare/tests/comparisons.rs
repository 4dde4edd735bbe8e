//! Comparisons against values that `tests/python/make_comparisons.py` computes with numpy and scipy, and small cases by hand.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use driftgauge_compare::{
    Between, Clusters, PairComparison, between_conditions, between_models, between_trainings,
    differences_in_differences, measured_otherwise,
};
use driftgauge_plugin_protocol::wire::{
    Interval, MOST_POOLED, MetricOutput, Pooled, PooledNumber, PooledStatistic, Scalar, ScoreKind,
    Scores, Spread,
};
use driftgauge_stats::bootstrap::Options;
use serde_json::Value;

fn expected() -> Value {
    serde_json::from_str(include_str!("comparisons.json")).unwrap()
}

fn numbers(of: &Value) -> Vec<f64> {
    serde_json::from_value(of.clone()).unwrap()
}

fn ids() -> Vec<String> {
    serde_json::from_value(expected()["ids"].clone()).unwrap()
}

fn options() -> Options {
    Options {
        resamples: 400,
        ..Options::default()
    }
}

fn clusters() -> Clusters {
    let names: Vec<String> = serde_json::from_value(expected()["clusters"].clone()).unwrap();
    Clusters::new(ids().into_iter().zip(names))
}

fn close(ours: Option<f64>, theirs: &Value) {
    match (ours, theirs.as_f64()) {
        (Some(ours), Some(theirs)) => assert!((ours - theirs).abs() < 1e-9, "{ours} for {theirs}"),
        (ours, theirs) => assert_eq!(ours, theirs),
    }
}

fn column(id: &str, condition: &str, kind: ScoreKind, values: &[f64]) -> Scores {
    Scores {
        id: id.into(),
        condition: condition.into(),
        kind,
        sample_ids: ids()[..values.len()].iter().map(String::as_str).collect(),
        values: values.iter().copied().map(Some).collect(),
    }
}

/// An output with one number, primary, of these scores.
fn output(kind: ScoreKind, values: &[f64]) -> MetricOutput {
    let mut output = MetricOutput::new();
    let scalar = Scalar::new("x", "title of x", "default").unit("ratio");
    output.scalars.push(scalar.higher_is_better().primary());
    output.scores.push(column("x", "default", kind, values));
    output
}

fn interval(method: &str) -> Interval {
    Interval {
        level: 0.95,
        low: 0.0,
        high: 1.0,
        method: method.to_owned(),
        draws: None,
    }
}

fn compared(baseline: &MetricOutput, model: &MetricOutput) -> Vec<PairComparison> {
    between_models(baseline, model, (options(), &Clusters::default())).unwrap()
}

fn one(found: Vec<PairComparison>) -> PairComparison {
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

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
fn clusters_are_drawn_and_flipped_whole() {
    let data = expected();
    for (kind, names, of) in [
        (ScoreKind::Real, ["baseline", "model"], "real"),
        (ScoreKind::Binary, ["ones", "more"], "binary"),
    ] {
        let sides = names.map(|k| output(kind, &numbers(&data[k])));
        let found = one(between_models(&sides[0], &sides[1], (options(), &clusters())).unwrap());
        let theirs = &data[of];
        close(found.delta, &theirs["delta"]);
        close(found.detail.se, &theirs["clustered_se"]);
        close(found.detail.se_unpaired, &theirs["clustered_se_unpaired"]);
        let test = found.test.unwrap();
        assert_eq!(test.name, "cluster-sign-flip-permutation");
        assert_eq!(test.draws.map(|d| (d.resamples, d.seed)), Some((400, 0)));
        let means = names.map(|k| numbers(&data[k]).iter().sum::<f64>() / 12.0);
        close(found.detail.baseline_value, &means[0].into());
        close(found.detail.model_value, &means[1].into());
        assert_eq!(found.detail.left_out, None);
        let ci = found.ci.unwrap();
        assert!(ci.method.starts_with("cluster-bootstrap"), "{ci:?}");
        assert!(ci.low < found.delta.unwrap() && found.delta.unwrap() < ci.high);
        // The sums of the clusters are all positive: of 32 patterns of signs two are as large. Of the ones and zeros they are
        // 1, 1, 1, 0 and 1: two of 16.
        let share = if kind == ScoreKind::Real {
            2.0 / 32.0
        } else {
            2.0 / 16.0
        };
        assert!((found.p.unwrap() - share).abs() < 0.04, "{:?}", found.p);
        let pairs = found
            .detail
            .pairs
            .map(|c| vec![c.both, c.baseline_only, c.model_only, c.neither]);
        let counts = (kind == ScoreKind::Binary).then(|| vec![3, 1, 5, 3]);
        assert_eq!(pairs, counts);
        assert_eq!(found.detail.flips.is_some(), kind == ScoreKind::Binary);
        // What takes prompts for independent is left out.
        assert!(found.detail.tests.is_empty() && found.detail.intervals.is_empty());
    }
    // One cluster has no spread to speak of; of a number that does not stand for its metric no flips are listed.
    let mut sides = ["ones", "more"].map(|k| output(ScoreKind::Binary, &numbers(&data[k])));
    sides[0].scalars[0].primary = false;
    let single = Clusters::new(ids().into_iter().map(|id| (id, "all".to_owned())));
    let found = one(between_models(&sides[0], &sides[1], (options(), &single)).unwrap());
    assert_eq!((found.detail.se, found.detail.flips), (None, None));
    sides[1].scores[0].values[0] = None;
    let found = one(between_models(&sides[0], &sides[1], (options(), &single)).unwrap());
    assert_eq!(found.detail.left_out.unwrap().model, 1);
    // Two clusters are enough.
    let two = Clusters::new(
        ids()
            .into_iter()
            .enumerate()
            .map(|(i, id)| (id, (i % 2).to_string())),
    );
    let found = one(between_models(&sides[0], &sides[1], (options(), &two)).unwrap());
    assert!(found.detail.se.is_some());
}

#[test]
fn a_prompt_without_a_cluster_stands_alone() {
    // Three prompts in one cluster, and one alone: sums 3 * 0.5 - less the mean 0.25 each - that is deviations 0.75 and -0.75.
    let baseline = output(ScoreKind::Real, &[0.0; 4]);
    let model = output(ScoreKind::Real, &[0.5, 0.5, 0.5, -0.5]);
    let three = Clusters::new(ids()[..3].iter().map(|id| (id.clone(), "k".to_owned())));
    let found = one(between_models(&baseline, &model, (options(), &three)).unwrap());
    // sqrt(0.75^2 + 0.75^2) / 4.
    assert!((found.detail.se.unwrap() - 1.125_f64.sqrt() / 4.0).abs() < 1e-12);
}

#[test]
fn moves_equal_scipy() {
    let data = expected();
    let sides = [["baseline", "ones"], ["model", "more"]].map(|names| {
        let mut output = MetricOutput::new();
        for (condition, name) in ["plain", "other"].into_iter().zip(names) {
            let values = numbers(&data[name]);
            output
                .scores
                .push(column("x", condition, ScoreKind::Real, &values));
        }
        output
    });
    let did = &data["did"];
    for clustered in [false, true] {
        let by = if clustered {
            clusters()
        } else {
            Clusters::default()
        };
        let found = one(differences_in_differences(
            &sides[0],
            &sides[1],
            "plain",
            (options(), &by),
        ));
        close(found.delta, &did["estimate"]);
        close(found.detail.baseline_value, &did["baseline_move"]);
        close(found.detail.model_value, &did["model_move"]);
        close(
            found.detail.se,
            &did[if clustered { "clustered_se" } else { "se" }],
        );
        if !clustered {
            let test = found.test.unwrap();
            assert_eq!(test.name, "normal");
            close(test.statistic, &did["z"]);
            close(found.p, &did["p"]);
            close(found.detail.detectable, &did["detectable"]);
            assert_eq!(found.detail.needed, did["needed"].as_u64());
        }
        assert_eq!(found.between, Between::DifferenceInDifferences);
        assert_eq!(found.direction, "none");
    }
}

#[test]
fn intervals_of_single_numbers_become_those_of_clusters() {
    let data = expected();
    let mut output = MetricOutput::new();
    let ci = || interval("wilson");
    for (id, values) in [
        ("baseline", numbers(&data["baseline"])),
        ("ones", numbers(&data["ones"])),
        ("all", vec![1.0; 12]),
        // The mean 0.9583 of a share whose interval would reach above 1.
        ("high", [vec![1.0; 11], vec![0.5]].concat()),
        ("none", vec![0.0; 12]),
    ] {
        output.scalars.push(
            Scalar::new(id, "", "default")
                .value(0.5, 12)
                .unit("ratio")
                .ci(ci())
                .intervals([ci()]),
        );
        output
            .scores
            .push(column(id, "default", ScoreKind::Real, &values));
    }
    // The same number under another condition has other scores, and stands before.
    output
        .scores
        .insert(0, column("baseline", "other", ScoreKind::Real, &[0.0, 0.5]));
    output.scores.insert(
        0,
        column("another", "default", ScoreKind::Real, &[0.0, 0.5]),
    );
    output
        .scalars
        .push(Scalar::new("lost", "", "default").value(0.5, 12).ci(ci()));
    output.scalars.push(
        Scalar::new("lost too", "", "default")
            .value(0.5, 12)
            .ci(ci()),
    );
    output
        .scalars
        .push(Scalar::new("never had", "", "default").value(0.5, 12));
    output.scalars.push(
        Scalar::new("same loss", "", "default")
            .value(0.5, 12)
            .unit("nats")
            .ci(ci()),
    );
    output
        .scores
        .push(column("same loss", "default", ScoreKind::Real, &[0.5; 12]));
    clusters().widen(&mut output, options());
    let found = |id: &str| {
        output
            .scalars
            .iter()
            .find(|s| s.id == id)
            .unwrap()
            .ci
            .clone()
    };
    for id in ["baseline", "ones"] {
        let (ci, theirs) = (found(id).unwrap(), numbers(&data["clustered_t"][id]));
        assert!(
            (ci.low - theirs[0]).abs() < 1e-9 && (ci.high - theirs[1]).abs() < 1e-9,
            "{id} {ci:?}"
        );
    }
    let (ci, theirs) = (found("all").unwrap(), numbers(&data["wilson_of_clusters"]));
    assert!(
        (ci.low - theirs[0]).abs() < 1e-9 && ci.high == 1.0,
        "{ci:?}"
    );
    let none = found("none").unwrap();
    assert!(
        none.low == 0.0 && (none.high - (1.0 - theirs[0])).abs() < 1e-9,
        "{none:?}"
    );
    assert_eq!(found("high").unwrap().high, 1.0);
    // Neither scores nor bounds: no interval, and it is said of how many.
    for id in ["lost", "lost too", "never had", "same loss"] {
        assert_eq!(found(id), None, "{id}");
    }
    assert!(output.scalars.iter().all(|s| s.intervals.is_empty()));
    assert!(
        output.notes[1].starts_with("3 numbers keep no scores"),
        "{:?}",
        output.notes
    );
    let mut kept = MetricOutput::new();
    clusters().widen(&mut kept, options());
    assert_eq!(kept.notes.len(), 1, "nothing was lost: {:?}", kept.notes);
}

fn pooled(condition: &str, ids: &[String], values: &[f64], truths: &[bool]) -> Pooled {
    Pooled {
        condition: condition.to_owned(),
        numbers: vec![PooledNumber {
            id: "auroc".to_owned(),
            statistic: PooledStatistic::Auroc,
        }],
        sample_ids: ids.to_vec(),
        values: values.to_vec(),
        truths: truths.to_vec(),
    }
}

fn ranked(of: &[(&str, &str)]) -> MetricOutput {
    let data = expected();
    let truths: Vec<bool> = numbers(&data["ones"])
        .iter()
        .map(|one| *one == 1.0)
        .collect();
    let mut output = MetricOutput::new();
    for (condition, name) in of {
        output
            .pooled
            .push(pooled(condition, &ids(), &numbers(&data[*name]), &truths));
        let ci = interval("bootstrap-percentile");
        output
            .scalars
            .push(Scalar::new("auroc", "", condition).value(0.5, 12).ci(ci));
    }
    output
}

#[test]
fn areas_are_compared_between_models_conditions_and_moves() {
    let data = expected();
    let (first, second) = (
        ranked(&[("plain", "baseline"), ("other", "model")]),
        ranked(&[("plain", "model"), ("other", "baseline")]),
    );
    let areas = ["baseline", "model"].map(|name| data["auroc"][name].as_f64());
    let apart = areas[1].unwrap() - areas[0].unwrap();
    let no = Clusters::default();
    let found = between_models(&first, &second, (options(), &no)).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].detail.baseline_value, found[0].detail.model_value),
        (areas[0], areas[1])
    );
    assert_eq!(found[0].detail.left_out, None);
    let test = found[0].test.as_ref().unwrap();
    assert_eq!(test.name, "paired-bootstrap");
    assert_eq!(test.draws.map(|d| (d.resamples, d.seed)), Some((400, 0)));
    // Of twelve prompts one is out of place: an error between nothing and 0.15.
    let se = found[0].detail.se;
    assert!(se.is_some_and(|se| 0.0 < se && se < 0.15), "{se:?}");
    assert!(
        found[0].detail.tests[0].name.contains("delong"),
        "{:?}",
        found[0].detail.tests
    );
    assert!(
        found[0]
            .ci
            .as_ref()
            .unwrap()
            .method
            .starts_with("bootstrap-")
    );

    let found = one(between_conditions(&first, "plain", (options(), &no)));
    assert_eq!(
        (
            found.condition.as_str(),
            found.baseline_condition.as_deref()
        ),
        ("other", Some("plain"))
    );
    assert!((found.delta.unwrap() - apart).abs() < 1e-12);

    let found = one(differences_in_differences(
        &first,
        &second,
        "plain",
        (options(), &no),
    ));
    // The baseline moves by `apart`, the model back by as much.
    assert!((found.delta.unwrap() + 2.0 * apart).abs() < 1e-12);
    assert!((found.detail.baseline_value.unwrap() - apart).abs() < 1e-12);
    assert!((found.detail.model_value.unwrap() + apart).abs() < 1e-12);
    assert!(
        found.detail.tests.is_empty(),
        "DeLong's test is of two sides"
    );

    let found = between_models(&first, &second, (options(), &clusters())).unwrap();
    assert!(
        found[0].detail.tests.is_empty(),
        "DeLong's test is of independent prompts"
    );
    assert!(
        found[0]
            .ci
            .as_ref()
            .unwrap()
            .method
            .starts_with("cluster-bootstrap-")
    );

    // Clusters of one prompt each are clusters, by name.
    let each = Clusters::new(ids().into_iter().map(|id| (id.clone(), id)));
    let found = between_models(&first, &second, (options(), &each)).unwrap();
    assert!(
        found[0]
            .ci
            .as_ref()
            .unwrap()
            .method
            .starts_with("cluster-bootstrap-")
    );

    let mut widened = second.clone();
    clusters().widen(&mut widened, options());
    let ci = widened.scalars[0].ci.as_ref().unwrap();
    assert!(ci.method.starts_with("cluster-bootstrap-"), "{ci:?}");
    assert!(
        ci.low <= areas[1].unwrap() && areas[1].unwrap() <= ci.high,
        "{ci:?}"
    );
}

#[test]
fn another_statistic_has_no_delong_test() {
    let sides = [("default", "baseline"), ("default", "model")].map(|of| {
        let mut output = ranked(&[of]);
        output.pooled[0].numbers[0].statistic = PooledStatistic::Aurc;
        output
    });
    assert!(one(compared(&sides[0], &sides[1])).detail.tests.is_empty());
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
        output.scores[0].values = vec![Some(value); 1500];
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
    baseline.scores[0].values[0] = None;
    baseline.scores[0].values[1] = None;
    baseline.scores[0].values[2] = None;
    model.scores[0].values[2] = None;
    let left_out = one(compared(&baseline, &model)).detail.left_out.unwrap();
    assert_eq!(
        (left_out.prompts, left_out.baseline, left_out.model),
        (3, 3, 1)
    );
}

#[test]
fn a_prompt_without_all_four_scores_is_left_out_of_the_moves() {
    let mut sides = [0.0, 0.5].map(|value| {
        let mut output = MetricOutput::new();
        for condition in ["plain", "other"] {
            output
                .scores
                .push(column("x", condition, ScoreKind::Real, &[value; 4]));
        }
        output
    });
    sides[1].scores[0].values[3] = None;
    let how = (options(), &Clusters::default());
    let found = one(differences_in_differences(
        &sides[0], &sides[1], "plain", how,
    ));
    let left_out = found.detail.left_out.unwrap();
    assert_eq!(
        (left_out.prompts, left_out.baseline, left_out.model, found.n),
        (1, 0, 1, 3)
    );
}

#[test]
fn the_last_cluster_is_drawn_too() {
    // In four clusters the correct answer is the surer one, in the last it is not.
    let ids: Vec<String> = (0..10).map(|i| format!("p{i:02}")).collect();
    let of = |i: usize| (ids[i].clone(), (i / 2).to_string());
    let by = Clusters::new((0..10).map(of));
    let values = [0.9, 0.1, 0.8, 0.2, 0.9, 0.3, 0.8, 0.1, 0.05, 0.95];
    let truths = [true, false].repeat(5);
    let mut output = MetricOutput::new();
    output
        .pooled
        .push(pooled("default", &ids, &values, &truths));
    let scalar = Scalar::new("auroc", "", "default").value(0.5, 10);
    output
        .scalars
        .push(scalar.ci(interval("bootstrap-percentile")));
    by.widen(&mut output, options());
    let ci = output.scalars[0].ci.clone().unwrap();
    assert!(ci.low < 0.9, "{ci:?}");
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

fn chosen(id: &str, condition: &str, unit: &str, spread: [f64; 3], mean: f64) -> MetricOutput {
    let [sd_population, min, max] = spread;
    let mut output = MetricOutput::new();
    let spread = Spread {
        sd: Some(sd_population * (5.0_f64 / 4.0).sqrt()),
        se: Some(sd_population / 2.0),
        sd_population,
        se_population: sd_population / 5.0_f64.sqrt(),
        median: mean,
        min,
        max,
    };
    let scalar = Scalar::new(id, "", condition).value(mean, 5).unit(unit);
    output.scalars.push(scalar.spread(Some(spread)).selected());
    output
}

#[test]
fn only_shares_of_ones_and_zeros_have_a_score_interval() {
    // Two ones of five: the population's standard deviation is sqrt(0.4 * 0.6).
    let binomial = 0.24_f64.sqrt();
    for (unit, spread, method) in [
        ("ratio", [binomial, 0.0, 1.0], "newcombe-unpaired"),
        ("nats", [binomial, 0.0, 1.0], "welch-t"),
        ("ratio", [binomial, 0.1, 1.0], "welch-t"),
        ("ratio", [binomial, 0.0, 0.9], "welch-t"),
        ("ratio", [0.3, 0.0, 1.0], "welch-t"),
    ] {
        let side = chosen("x", "default", unit, spread, 0.4);
        let found = one(compared(&side, &side));
        assert_eq!(found.ci.unwrap().method, method, "{unit} {spread:?}");
        assert_eq!(found.n, 0, "nothing is paired");
        // Both sides have the same error.
        let se = spread[0] / 2.0;
        assert!((found.detail.se_unpaired.unwrap() - se * 2.0_f64.sqrt()).abs() < 1e-12);
    }
    let (before, after) = (
        chosen("x", "default", "nats", [0.5, 0.0, 2.0], 1.0),
        chosen("x", "default", "nats", [0.5, 0.0, 2.0], 1.75),
    );
    let found = one(compared(&before, &after));
    assert_eq!(found.delta, Some(0.75));
    assert_eq!(
        (found.detail.baseline_value, found.detail.model_value),
        (Some(1.0), Some(1.75))
    );
    // Welch's t of equal spreads and sizes: 0.75 over sqrt(2 * sd^2 / 5), with sd^2 = 0.25 * 5 / 4.
    let test = found.test.unwrap();
    assert_eq!(test.name, "welch-t");
    assert!((test.statistic.unwrap() - 0.75 / 0.125_f64.sqrt()).abs() < 1e-9);
}

#[test]
fn a_chosen_number_is_compared_unless_it_was_paired_itself() {
    let values = [0.0, 1.0, 0.5];
    let mut output = output(ScoreKind::Real, &values);
    let other = chosen("x", "other", "nats", [0.5, 0.0, 2.0], 1.0);
    output.scalars.extend(other.scalars.clone());
    output
        .scalars
        .extend(chosen("y", "default", "nats", [0.5, 0.0, 2.0], 1.0).scalars);
    // `x` under the first condition has pairs; neither it elsewhere nor `y` has.
    let found = compared(&output, &output);
    let of = |between| found.iter().filter(|f| f.between == between).count();
    assert_eq!((of(Between::Models), of(Between::Selections)), (1, 2));
    // With clusters prompts of two samples are not independent.
    let found = between_models(&output, &output, (options(), &clusters())).unwrap();
    assert_eq!(found.len(), 1);
}

#[test]
fn trainings_that_never_vary_have_the_interval_of_a_share() {
    let of = |value: f64| output(ScoreKind::Real, &[value; 10]);
    let found = one(between_trainings(&[of(1.0)], &[of(1.0), of(1.0)], options()).unwrap());
    assert_eq!(found.ci.unwrap().method, "newcombe-paired");
    let values = (found.detail.baseline_value, found.detail.model_value);
    assert_eq!(values, (Some(1.0), Some(1.0)));
    let found = one(between_trainings(&[of(0.5)], &[of(0.5), of(0.5)], options()).unwrap());
    assert_eq!(found.ci, None, "half a point is neither 0 nor 1");
}
