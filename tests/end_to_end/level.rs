//! One level for every interval of an experiment: those of the metrics and those of the differences, in numbers and in words.

use serde_json::Value;

use crate::planned::Planned;
use crate::support::{Place, text};

fn spec(place: &Place, metric: &str, compare: &str) -> std::path::PathBuf {
    let mut rows = String::from("id,kind,guard,p,right\n");
    for index in 0..40 {
        let word = if index % 4 == 0 { "unsafe" } else { "safe" };
        rows.push_str(&format!(
            "r{index:02},k{},{word},0.{},{}\n",
            index % 2,
            31 + index,
            index % 3 % 2
        ));
    }
    place.write("base.csv", &rows);
    place.write("tuned.csv", &rows.replace(",k0,safe", ",k0,unsafe"));
    let recorded = |id: &str| {
        format!(
            "{id}: {{recorded: {{csv: {id}.csv, columns: {{id: id, verdicts: {{guard: guard}}, correct: right, values: {{mean_token_probability: p}}}}}}}}"
        )
    };
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: level
models:
  {}
  {}
datasets:
  requests: {{csv: base.csv, id: id}}
metrics:
  {metric}
  sure: {{plugin: uncertainty, config: {{primary: mean_token_probability}}}}
evaluations:
  harm: {{models: [base, tuned], dataset: requests, category: kind, metrics: [asr, sure]}}
compare: {compare}
",
            recorded("base"),
            recorded("tuned")
        ),
    )
}

fn levels(value: &Value, found: &mut Vec<f64>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("level").and_then(Value::as_f64));
            fields.values().for_each(|value| levels(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| levels(value, found)),
        _ => {}
    }
}

fn keys(place: &Place, spec: &std::path::Path) -> Vec<(String, String)> {
    Planned::of(place, spec).fields(["id", "key"]).collect()
}

#[test]
fn every_interval_has_the_level_of_the_experiment() {
    let place = Place::new();
    let usual = spec(&place, "asr: {plugin: asr}", "{baseline: base}");
    let before = keys(&place, &usual);
    let said = spec(
        &place,
        "asr: {plugin: asr}",
        "{baseline: base, level: 0.95}",
    );
    assert_eq!(
        keys(&place, &said),
        before,
        "the usual level is in no key of a metric"
    );
    let wide = spec(
        &place,
        "asr: {plugin: asr}",
        "{baseline: base, level: 0.99}",
    );
    for ((id, key), (_, other)) in keys(&place, &wide).iter().zip(&before) {
        let depends = id.starts_with("metric") || id.starts_with("compare");
        assert_eq!(key != other, depends, "{id}");
    }
    place.run(&wide, "run");
    for name in ["run/results.json", "run/metrics.json"] {
        let value: Value = serde_json::from_slice(&place.read(name)).expect("JSON");
        let mut found = Vec::new();
        levels(&value, &mut found);
        assert!(found.len() > 20, "{name}");
        assert!(
            found.iter().all(|level| *level == 0.99),
            "{name}: {found:?}"
        );
    }
    let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    assert!(page.contains("with their 99 % intervals") && !page.contains("95 %"));
    let results: Value = serde_json::from_slice(&place.read("run/results.json")).expect("JSON");
    let asr = &results["metrics"][0];
    // As statsmodels' proportion_confint(10, 40, 0.01, "wilson").
    assert_eq!(asr["value"], 0.25);
    let close =
        |name: &str, value: f64| (asr["ci"][name].as_f64().expect("a bound") - value).abs() < 1e-9;
    assert!(
        close("low", 0.118_411_694_958_972_64) && close("high", 0.452_724_911_794_819_55),
        "{asr}"
    );
}

#[test]
fn another_level_in_a_metric_is_refused() {
    let place = Place::new();
    let spec = spec(
        &place,
        "asr: {plugin: asr, config: {level: 0.9}}",
        "{baseline: base}",
    );
    let output = place.output(&["plan", text(&spec)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["spec.yaml:", "`level: 0.9`", "0.95", "`compare.level`"] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

#[test]
fn the_bounds_of_metrics_are_drawn_as_often_as_is_asked() {
    let place = Place::new();
    let asr = "asr: {plugin: asr}";
    let before = keys(&place, &spec(&place, asr, "{baseline: base}"));
    let usual = spec(&place, asr, "{baseline: base, resamples: 10000}");
    assert_eq!(keys(&place, &usual), before, "in no key of a metric");
    let brier = |path: &std::path::Path, out: &str| {
        place.run(path, out);
        let results = place.results(out);
        let metrics = results["metrics"].as_array().expect("metrics");
        let found = metrics
            .iter()
            .find(|metric| metric["metric"] == "sure.brier");
        found.expect("a Brier score")["ci"].clone()
    };
    let often = brier(&usual, "often");
    let few = spec(&place, asr, "{baseline: base, resamples: 50}");
    assert_ne!(keys(&place, &few), before);
    let rarely = brier(&few, "rarely");
    assert_ne!(often["low"], rarely["low"]);
    let own = "asr: {plugin: asr, config: {resamples: 0}}";
    let output = place.output(&["check", text(&spec(&place, own, "{baseline: base}"))]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() != Some(0) && said.contains("resamples"),
        "{said}"
    );
}
