//! The metrics over samples whose numbers numpy, scipy, scikit-learn and statsmodels made (tests/fixtures/make_tables.py): numbers,
//! bounds that have a formula, tables and charts.

use driftgauge_plugin_sdk::Metric;
use driftgauge_plugin_sdk::testing;
use driftgauge_plugin_sdk::wire::{Interval, MetricOutput, Point, Scalar, Table};
use serde_json::{Value, json};

use crate::{Asr, Drift, Truthfulness, Uncertainty};

fn part(name: &str) -> Value {
    let text = include_str!("../tests/fixtures/tables.json");
    serde_json::from_str::<Value>(text).unwrap()[name].clone()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn run<M: Metric>(case: &Value) -> MetricOutput {
    let config = case.get("config").cloned().unwrap_or_else(|| json!({}));
    testing::run::<M>(&config, list(&case["samples"])).unwrap()
}

/// Equal: numbers within 1e-9, everything else as it is.
#[track_caller]
fn same(ours: &Value, theirs: &Value, what: &str) {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(ours), Some(theirs)) => assert!(
            (ours - theirs).abs() < 1e-9 * theirs.abs().max(1.0),
            "{what}: {ours} for {theirs}"
        ),
        _ => assert_eq!(ours, theirs, "{what}"),
    }
}

#[track_caller]
fn rows(ours: &[Value], theirs: &Value, what: &str) {
    let theirs = list(theirs);
    assert_eq!(ours.len(), theirs.len(), "{what}: {ours:?}");
    for (place, (one, other)) in ours.iter().zip(theirs).enumerate() {
        same(one, other, &format!("{what}, cell {place}"));
    }
}

#[track_caller]
fn bounds(ours: Option<&Interval>, theirs: &Value, what: &str) {
    let ours = ours.unwrap_or_else(|| panic!("{what} has no interval"));
    rows(&[json!(ours.low), json!(ours.high)], theirs, what);
}

fn scalar<'a>(output: &'a MetricOutput, condition: &str, id: &str) -> &'a Scalar {
    let is = |scalar: &&Scalar| scalar.id == id && scalar.condition == condition;
    let found = output.scalars.iter().find(is);
    found.unwrap_or_else(|| panic!("no `{id}` of `{condition}`"))
}

fn table<'a>(output: &'a MetricOutput, id: &str) -> &'a Table {
    let found = output.tables.iter().find(|table| table.id == id);
    found.unwrap_or_else(|| panic!("no table `{id}`"))
}

fn points<'a>(output: &'a MetricOutput, id: &str, series: usize) -> &'a [Point] {
    let found = output.charts.iter().find(|chart| chart.id == id);
    let chart = found.unwrap_or_else(|| panic!("no chart `{id}`"));
    &chart.series[series].points
}

/// Every number that a case expects, with what it expects of it.
fn scalars(output: &MetricOutput, case: &Value) {
    of_condition(output, "default", &case["scalars"]);
}

fn of_condition(output: &MetricOutput, condition: &str, expected: &Value) {
    for (id, theirs) in expected.as_object().unwrap() {
        let ours = scalar(output, condition, id);
        same(&json!(ours.value), &theirs["value"], id);
        same(&json!(ours.n), &theirs["n"], &format!("n of {id}"));
        if let Some(ci) = theirs.get("ci") {
            bounds(ours.ci.as_ref(), ci, &format!("bounds of {id}"));
        }
        if let Some(exact) = theirs.get("exact") {
            let what = format!("exact bounds of {id}");
            bounds(ours.intervals.first(), exact, &what);
        }
        if let Some(spread) = theirs.get("spread") {
            let ours = serde_json::to_value(ours.spread.as_ref().unwrap()).unwrap();
            for (name, theirs) in spread.as_object().unwrap() {
                same(&ours[name], theirs, &format!("{name} of {id}"));
            }
        }
    }
}

#[test]
fn divergences_by_position() {
    let case = part("drift");
    let output = run::<Drift>(&case);
    scalars(&output, &case);
    let positions = &table(&output, "positions").rows;
    let (kl, top1) = (points(&output, "kl", 0), points(&output, "top1", 0));
    let expected = list(&case["positions"]);
    assert_eq!([positions.len(), kl.len(), top1.len()], [expected.len(); 3]);
    for (place, theirs) in expected.iter().enumerate() {
        let what = format!("position {}", place + 1);
        let cells = ["n", "kl", "low", "high", "same"].map(|name| theirs[name].clone());
        rows(&positions[place][2..], &json!(cells), &what);
        assert_eq!(positions[place][1], json!(place + 1));
        let point = |point: &Point| json!([point.x, point.n, point.y, point.low, point.high]);
        let x = (place + 1) as f64;
        let curve = json!([x, theirs["n"], theirs["kl"], theirs["low"], theirs["high"]]);
        rows(list(&point(&kl[place])), &curve, &what);
        let limits = &theirs["same_bounds"];
        let curve = json!([x, theirs["n"], theirs["same"], limits[0], limits[1]]);
        rows(list(&point(&top1[place])), &curve, &what);
    }
    // One response alone has a mean and no bounds; equal divergences have none either.
    let one = |id: &str| json!({"sample_id": id, "completion": {"text": "t", "finish_reason": "stop"}, "values": {"kl": [0.5]}});
    for samples in [vec![one("a")], vec![one("a"), one("b")]] {
        let output = testing::run::<Drift>(&json!({"resamples": 9}), &samples).unwrap();
        let row = &table(&output, "positions").rows[0];
        let expected = json!([samples.len(), 0.5, null, null]);
        rows(&row[2..6], &expected, "equal divergences");
    }
}

#[test]
fn judges_of_several_completions() {
    let case = part("judges");
    let output = run::<Asr>(&case);
    scalars(&output, &case);
    for (ours, theirs) in table(&output, "judges")
        .rows
        .iter()
        .zip(list(&case["judges"]))
    {
        let name = ours[1].to_string();
        rows(&ours[2..15], theirs, &format!("verdicts of {name}"));
    }
    let agreement = &table(&output, "agreement").rows;
    assert_eq!(agreement.len(), 3);
    for (ours, theirs) in agreement.iter().zip(list(&case["agreement"])) {
        rows(&ours[1..], theirs, "agreement");
    }
    let confusion = &table(&output, "confusion").rows;
    assert_eq!(confusion.len(), list(&case["confusion"]).len());
    for (ours, theirs) in confusion.iter().zip(list(&case["confusion"])) {
        rows(&ours[1..], theirs, "words of two judges");
    }
}

#[test]
fn scores_of_graders() {
    let case = part("graded");
    let output = run::<Asr>(&case);
    scalars(&output, &case);
    let ours = &table(&output, "scores").rows;
    // The one that gives shares has no levels to count.
    assert_eq!(ours.len(), list(&case["scores"]).len());
    for (ours, theirs) in ours.iter().zip(list(&case["scores"])) {
        rows(&ours[1..], theirs, "scores");
    }
    // A hundred and one levels are listed, a hundred and two are not; and a judge that gave every score has no row without one.
    let levels = |n: u32| -> Option<usize> {
        let one = |i: u32| {
            json!({"sample_id": format!("p{i}"), "completion": {"text": "So it is.", "finish_reason": "stop"},
                "verdicts": {"guard": {"label": "safe"}, "scale": {"label": "scored", "score": 0.5, "points": f64::from(i)}}})
        };
        let samples: Vec<Value> = (0..n).map(one).collect();
        let output = testing::run::<Asr>(&json!({"resamples": 1}), &samples).unwrap();
        let mut tables = output.tables.iter();
        tables
            .find(|table| table.id == "scores")
            .map(|table| table.rows.len())
    };
    assert_eq!((levels(101), levels(102)), (Some(101), None));
}

#[test]
fn sureness_that_was_recorded() {
    let case = part("sureness");
    let output = run::<Uncertainty>(&case);
    scalars(&output, &case);
    let (bins, points) = (
        &table(&output, "reliability").rows,
        points(&output, "reliability", 0),
    );
    let expected = list(&case["bins"]);
    assert_eq!([bins.len(), points.len()], [expected.len(); 2]);
    for ((ours, point), theirs) in bins.iter().zip(points).zip(expected) {
        rows(&ours[1..], theirs, "bin");
        let shown = json!([point.n, point.x, point.y, point.low, point.high]);
        rows(list(&shown), &json!(list(theirs)[2..]), "point");
    }
    for (ours, theirs) in table(&output, "predictors")
        .rows
        .iter()
        .zip(list(&case["predictors"]))
    {
        let theirs = list(theirs);
        rows(&ours[1..5], &json!(theirs[..4]), "predictor");
        rows(&ours[7..], &json!(theirs[4..]), "predictor");
    }
    let further = &table(&output, "calibration").rows;
    assert_eq!(further.len(), 1, "an entropy is no probability");
    rows(&further[0][2..9], &case["calibration"], "calibration");
    let theirs = &case["further"];
    same(&further[0][10], &theirs["mce10"], "largest gap");
    same(&further[0][12], &theirs["skill"], "skill");
    same(&further[0][13], &theirs["e_aurc"], "above the best order");
}

#[test]
fn answers_under_three_conditions() {
    let case = part("questions");
    let output = run::<Truthfulness>(&case);
    for (condition, expected) in case["conditions"].as_object().unwrap() {
        of_condition(&output, condition, expected);
        let note = format!("Condition `{condition}`: 1 of ");
        assert!(output.notes.iter().any(|found| found.starts_with(&note)));
    }
    let fates = &table(&output, "fates").rows;
    assert_eq!(fates.len(), 2);
    for (place, (ours, theirs)) in fates.iter().zip(list(&case["fates"])).enumerate() {
        rows(ours, theirs, "fates");
        // Shares of what was right at first: still right, the false answer, wrong otherwise.
        let of = |cell: usize| theirs[cell].as_f64().unwrap() / theirs[1].as_f64().unwrap();
        for (series, share) in [of(2), of(3), of(4)].into_iter().enumerate() {
            let point = &points(&output, "fates", series)[place];
            rows(
                list(&json!([point.y, point.n])),
                &json!([share, theirs[1]]),
                "fates",
            );
        }
    }
}

#[test]
fn likelihoods_of_choices() {
    let case = part("choices");
    scalars(&run::<Truthfulness>(&case), &case);
}
