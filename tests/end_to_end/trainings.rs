//! A model that was trained several times is compared as a recipe: the training is a source of chance like the prompts.

use serde_json::Value;

use crate::support::{Place, text};

/// Verdicts on two hundred requests, of which so many in ten are unsafe.
fn verdicts(place: &Place, name: &str, tenths: usize) {
    let mut rows = String::from("id,guard\n");
    for index in 0..200 {
        let word = if index % 10 < tenths {
            "unsafe"
        } else {
            "safe"
        };
        rows.push_str(&format!("r{index:03},{word}\n"));
    }
    place.write(name, &rows);
}

fn recorded(id: &str, more: &str) -> String {
    format!(
        "  {id}: {{{more}recorded: {{csv: {id}.csv, columns: {{id: id, verdicts: {{guard: guard}}}}}}}}\n"
    )
}

fn place() -> (Place, std::path::PathBuf) {
    let place = Place::new();
    for (name, tenths) in [
        ("base", 2),
        ("tuned", 4),
        ("second", 6),
        ("third", 8),
        ("once", 6),
    ] {
        verdicts(&place, &format!("{name}.csv"), tenths);
    }
    let models: String = [
        recorded("base", ""),
        recorded("tuned", ""),
        recorded("second", "replicate_of: tuned, "),
        recorded("third", "replicate_of: tuned, "),
        recorded("once", ""),
    ]
    .concat();
    let spec = place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: trainings
models:
{models}datasets:
  requests: {{csv: base.csv, id: id}}
metrics:
  asr: {{plugin: asr}}
evaluations:
  harm: {{models: [base, tuned, second, third, once], dataset: requests, metrics: [asr]}}
compare: {{baseline: base, resamples: 4000}}
"
        ),
    );
    (place, spec)
}

fn results(place: &Place) -> Value {
    serde_json::from_slice(&place.read("run/results.json")).expect("JSON")
}

fn width(comparison: &Value) -> f64 {
    let bound = |name: &str| comparison["ci"][name].as_f64().expect("a bound");
    bound("high") - bound("low")
}

#[test]
fn all_trainings_are_compared_together() {
    let (place, spec) = place();
    place.run(&spec, "run");
    let results = results(&place);
    let together = results["training_comparisons"]
        .as_array()
        .expect("comparisons");
    let found = together
        .iter()
        .find(|found| found["metric"] == "asr")
        .expect("the primary number");
    // The model that was trained once has no recipe to speak of.
    assert!(together.iter().all(|found| found["model"] == "tuned"));
    assert_eq!(
        (&found["baseline"], &found["n"]),
        (&"base".into(), &200.into())
    );
    assert!((found["delta"].as_f64().expect("a difference") - 0.4).abs() < 1e-12);
    assert_eq!(
        found["detail"]["trainings"]["model"],
        serde_json::json!([0.4, 0.6, 0.8])
    );
    assert_eq!(
        found["detail"]["trainings"]["baseline"],
        serde_json::json!([0.2])
    );
    let method = found["ci"]["method"].as_str().expect("a method");
    assert!(
        method.starts_with("hierarchical-bootstrap-percentile"),
        "{method}"
    );
    // The means of three draws from 0.4, 0.6 and 0.8 span 0.4 to 0.8; the prompts add their own spread.
    let alone = results["comparisons"]
        .as_array()
        .expect("comparisons")
        .iter()
        .find(|found| found["metric"] == "asr" && found["model"] == "once")
        .expect("a comparison");
    assert!((alone["delta"].as_f64().expect("a difference") - 0.4).abs() < 1e-12);
    assert!(width(found) > 2.0 * width(alone), "{found} against {alone}");

    let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    assert!(page.contains("Over all trainings"));
    assert!(page.contains("another training of <code>tuned</code>"));
    assert!(page.contains("tuned (3 trainings) against base (1)"));
    // The plan shows the comparison, and a second run has nothing to do.
    let plan = place.output(&["plan", text(&spec)]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        plan.contains("compare harm/asr/tuned over its trainings"),
        "{plan}"
    );
    assert_eq!(place.run(&spec, "run")["ran"], 0);
}

#[test]
fn the_order_of_trainings_does_not_show() {
    let (place, spec) = place();
    place.run(&spec, "run");
    let before = results(&place);
    let turned = std::fs::read_to_string(&spec).expect("the spec").replace(
        "[base, tuned, second, third, once]",
        "[third, once, second, tuned, base]",
    );
    let turned = place.write("spec.yaml", &turned);
    place.run(&turned, "run");
    let after = results(&place);
    let interval = |results: &Value| results["training_comparisons"][0]["ci"].clone();
    assert_eq!(interval(&before), interval(&after));
}

#[test]
fn without_replicates_nothing_is_added() {
    let (place, spec) = place();
    let plain = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace("replicate_of: tuned, ", "");
    let plain = place.write("spec.yaml", &plain);
    place.run(&plain, "run");
    assert!(results(&place)["training_comparisons"].is_null());
    let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    assert!(!page.contains("Over all trainings"));
}
