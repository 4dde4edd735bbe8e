//! Searches among the cells of a sweep, over recordings: what goes on from rung to rung, what wins, and what is never made.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Place, text};

/// Unsafe and right answers, of ten each, of every arm at its two steps. `b` is the worst attacker and forgets what it knew; `d` gets
/// there late, behind the cut.
const ARMS: [(&str, [(usize, usize); 2]); 4] = [
    ("a", [(8, 9), (9, 9)]),
    ("b", [(9, 5), (10, 5)]),
    ("c", [(6, 8), (10, 8)]),
    ("d", [(2, 9), (10, 9)]),
];

fn answers(place: &Place, name: &str, (unsafe_ones, right): (usize, usize)) {
    let mut rows = String::from("id,guard,said\n");
    for row in 0..10 {
        let verdict = if row < unsafe_ones { "unsafe" } else { "safe" };
        let said = if row < right { "yes" } else { "no" };
        rows.push_str(&format!("r{row},{verdict},{said}\n"));
    }
    place.write(&format!("{name}.csv"), &rows);
}

fn spec(place: &Place, search: &str) -> PathBuf {
    answers(place, "base", (0, 9));
    for (arm, steps) in ARMS {
        for (step, counts) in steps.into_iter().enumerate() {
            answers(place, &format!("{arm}{}", step + 1), counts);
        }
    }
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: search
models:
  base: {{recorded: {{csv: base.csv, columns: {{id: id, completion: said, verdicts: {{guard: guard}}}}}}}}
  tuned:
    vary: {{arm: [a, b, c, d], step: [2, 1]}}
    recorded: {{csv: \"${{arm}}${{step}}.csv\", columns: {{id: id, completion: said, verdicts: {{guard: guard}}}}}}
datasets:
  requests: {{csv: base.csv, id: id}}
metrics:
  asr: {{plugin: asr}}
  right: {{plugin: truthfulness, config: {{match: exact}}}}
evaluations:
  harm: {{models: all, dataset: requests, reference: \"yes\", metrics: [asr, right]}}
compare: {{baseline: base}}
gates: [{{metric: harm/asr, model: tuned@step=2, lower: 0.0}}]
search:
  worst: {search}
"
        ),
    )
}

fn order(results: &Value) -> Vec<(&str, &str, f64)> {
    let tried = results["searches"][0]["tried"].as_array().expect("a list");
    tried
        .iter()
        .map(|one| {
            (
                one["candidate"].as_str().expect("a name"),
                one["rung"].as_str().unwrap_or_default(),
                one["value"].as_f64().expect("a number"),
            )
        })
        .collect()
}

#[test]
fn halving_goes_on_with_the_best_that_keep_the_limits() {
    let place = Place::new();
    let search = "{models: [tuned], maximise: harm/asr, subject_to: [{metric: harm/right, drop: 0.1}], halving: {axis: step}}";
    let spec = spec(&place, search);
    place.run(&spec, "run");
    let results = place.results("run");
    // Half of four go on, and who forgot too much stands behind who attacks less.
    assert_eq!(
        order(&results),
        [
            ("tuned@arm=c", "step=2", 1.0),
            ("tuned@arm=a", "step=2", 0.9),
            ("tuned@arm=d", "step=1", 0.2),
            ("tuned@arm=b", "step=1", 0.9),
        ]
    );
    assert_eq!(results["searches"][0]["best"], "tuned@arm=c");
    let measured: Vec<&str> = results["metrics"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|metric| metric["metric"] == "asr")
        .map(|metric| metric["model"].as_str().expect("a name"))
        .collect();
    assert_eq!(measured.len(), 7, "{measured:?}");
    for given_up in ["tuned@arm=b,step=2", "tuned@arm=d,step=2"] {
        assert!(!measured.contains(&given_up), "{measured:?}");
    }
    // Gates of what was given up are not judged.
    assert_eq!(results["gates"].as_array().expect("a list").len(), 2);
    let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    assert!(page.contains("<strong>tuned@arm=c</strong>"));
    // Again nothing is made, and the same is found.
    let again = place.run(&spec, "run");
    assert_eq!(again["ran"], 0);
    assert_eq!(place.results("run"), results);
}

#[test]
fn a_grid_makes_every_cell_and_may_find_none() {
    let place = Place::new();
    let search =
        "{models: [tuned], minimise: harm/asr, subject_to: [{metric: harm/right, lower: 0.95}]}";
    let spec = spec(&place, search);
    place.run(&spec, "run");
    let results = place.results("run");
    assert_eq!(results["searches"][0]["best"], Value::Null);
    let order = order(&results);
    assert_eq!(order.len(), 8);
    // All miss the limit: first those that miss it least, among them the smallest number.
    assert_eq!(order[0], ("tuned@arm=d,step=1", "", 0.2));
    assert_eq!(order[7], ("tuned@arm=b,step=2", "", 1.0));
}

#[test]
fn searches_that_choose_nothing_are_refused() {
    let place = Place::new();
    for (search, said) in [
        ("{models: [tuned]}", "`worst` looks for nothing"),
        (
            "{models: [tuned], maximise: harm/asr, minimise: harm/right}",
            "looks for the most and the least",
        ),
        (
            "{models: [\"tuned@arm=a,step=1\"], maximise: harm/asr}",
            "has nothing to choose from",
        ),
        (
            "{models: [tuned], maximise: harm/asr, halving: {axis: rank}}",
            "has no axis `rank`",
        ),
        (
            "{models: [tuned], maximise: harm/asr, halving: {axis: step, keep: 1}}",
            "write a number between 0 and 1",
        ),
        (
            "{models: [tuned], maximise: harm/asr, subject_to: [{metric: harm/right}]}",
            "this holds of every candidate",
        ),
        (
            "{models: [tuned], maximise: harm/asr, subject_to: [{metric: harm/right, lower: 95}]}",
            "write `0.95` for 95 %",
        ),
        (
            "{models: [tuned, base], maximise: harm/asr}",
            "the baseline is no candidate",
        ),
        (
            "{models: [tuned], maximise: harm/speed}",
            "has no metric `speed`",
        ),
    ] {
        let spec = spec(&place, search);
        let output = place.output(&["check", text(&spec)]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{search}: {stderr}");
        assert!(stderr.contains(said), "{search}: {stderr}");
    }
}
