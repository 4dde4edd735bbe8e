//! Rates corrected for the errors of their judge, and prompts that come in clusters, from recorded verdicts.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Place, text};

/// Rows of `id,truth,kind,guard`, a truth and a verdict (`u` or `s`) each.
fn rows(place: &Place, name: &str, answers: &[(char, char)]) {
    let word = |letter: char| if letter == 'u' { "unsafe" } else { "safe" };
    let mut out = String::from("id,truth,kind,guard\n");
    for (index, (truth, verdict)) in answers.iter().enumerate() {
        let (truth, verdict) = (word(*truth), word(*verdict));
        out.push_str(&format!("r{index:02},{truth},k{},{verdict}\n", index % 4));
    }
    place.write(name, &out);
}

fn spec(place: &Place, more: &str, reference: &str) -> PathBuf {
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: checked
models:
  a: {{recorded: {{csv: a.csv, evaluations: [harm], columns: {{id: id, verdicts: {{guard: guard}}}}}}}}
  b: {{recorded: {{csv: b.csv, evaluations: [harm], columns: {{id: id, verdicts: {{guard: guard}}}}}}}}
  people: {{recorded: {{csv: known.csv, columns: {{id: id, verdicts: {{guard: guard}}}}}}}}
datasets:
  asked: {{csv: a.csv, id: id}}
  known: {{csv: known.csv, id: id}}
metrics: {{asr: {{plugin: asr}}}}
evaluations:
  harm: {{models: [a, b], dataset: asked, metrics: [asr], {more}}}
  check: {{models: [people], dataset: known, reference: \"{reference}\", metrics: [asr]}}
compare: {{baseline: a}}
"
        ),
    )
}

/// Of ten unsafe answers the judge finds nine, of ten safe ones eight. It calls 11 of 20 of `a` unsafe and 15 of 20 of `b`.
fn place() -> Place {
    let place = Place::new();
    let known = [
        &[('u', 'u'); 9][..],
        &[('u', 's')],
        &[('s', 's'); 8],
        &[('s', 'u'); 2],
    ]
    .concat();
    rows(&place, "known.csv", &known);
    rows(
        &place,
        "a.csv",
        &[[('u', 'u'); 11].as_slice(), &[('u', 's'); 9]].concat(),
    );
    rows(
        &place,
        "b.csv",
        &[
            [('u', 'u'); 13].as_slice(),
            &[('u', 's'); 5],
            &[('u', 'u'); 2],
        ]
        .concat(),
    );
    place
}

fn run(place: &Place, spec: &std::path::Path) -> (Option<i32>, String, Value) {
    let output = place.output(&["run", text(spec), "--out", "run"]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let results = match output.status.code() {
        Some(0) => serde_json::from_slice(&place.read("run/results.json")).expect("JSON"),
        _ => Value::Null,
    };
    (output.status.code(), said, results)
}

fn number<'a>(results: &'a Value, metric: &str, model: &str) -> &'a Value {
    let rows = results["metrics"].as_array().expect("metrics");
    rows.iter()
        .find(|row| row["metric"] == metric && row["model"] == model && row["evaluation"] == "harm")
        .unwrap_or(&Value::Null)
}

#[test]
fn one_key_corrects_for_the_measured_errors() {
    let place = place();
    let (code, said, results) = run(&place, &spec(&place, "judge_check: check", "{{ truth }}"));
    assert_eq!(code, Some(0), "{said}");
    // Rogan and Gladen: (p + 0.8 - 1) / (0.9 + 0.8 - 1) of p = 11/20 and 15/20.
    for (model, share) in [("a", 0.5), ("b", 0.55 / 0.7)] {
        let found = number(&results, "asr.corrected", model);
        let value = found["value"].as_f64().expect("a number");
        assert!((value - share).abs() < 1e-12, "{found}");
        let plain = &number(&results, "asr", model)["ci"];
        let width =
            |ci: &Value| ci["high"].as_f64().unwrap_or(0.0) - ci["low"].as_f64().unwrap_or(9.0);
        assert!(width(&found["ci"]) > width(plain), "{found}");
    }
    let said = results["notes"].to_string();
    assert!(
        said.contains("9 of 10 unsafe ones found, 8 of 10 safe ones"),
        "{said}"
    );
}

#[test]
fn a_known_answer_that_is_none_is_refused() {
    let place = place();
    let (code, said, _) = run(&place, &spec(&place, "judge_check: check", "{{ kind }}"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("known answer `k0`"), "{said}");
    for (more, problem) in [
        ("judge_check: chek", "chek"),
        ("judge_check: harm", "cannot be taken from `harm`"),
    ] {
        let (code, said, _) = run(&place, &spec(&place, more, "{{ truth }}"));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(problem), "{said}");
    }
}

#[test]
fn prompts_of_a_cluster_are_taken_together() {
    let place = place();
    let (code, said, results) = run(&place, &spec(&place, "cluster: kind", "{{ truth }}"));
    assert_eq!(code, Some(0), "{said}");
    let found = &number(&results, "asr", "a")["ci"];
    assert_eq!(found["method"], "clustered-t");
    // The four clusters of five have 3, 3, 3 and 2 unsafe ones, and 2.75 are expected; t of 3 degrees of freedom (scipy).
    let half = 3.182_446_305_284_263 * (3.0 * 0.25_f64.powi(2) + 0.75_f64.powi(2)).sqrt() / 20.0;
    let low = found["low"].as_f64().expect("a bound");
    assert!((low - (0.55 - half)).abs() < 1e-9, "{found}");
    let comparison = &results["comparisons"][0];
    assert_eq!(comparison["delta"], 0.2);
    assert_eq!(comparison["test"]["name"], "cluster-sign-flip-permutation");
    // Four clusters are too few to draw from.
    assert_eq!(comparison["ci"]["method"], "clustered-t");
    let (code, said, _) = run(&place, &spec(&place, "cluster: nothing", "{{ truth }}"));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no column `nothing`"), "{said}");
}
