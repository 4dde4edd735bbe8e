//! The paper replayed from its own records, through the binary: every figure of `tables.json` is looked for in the run folder.
//!
//! The records are no part of this repository. They are read where they lie: in the folder that `DRIFTGAUGE_REPLAY_DIR` names, or
//! in `../shared/paper/replay` beside the repository, with `tables.json` one folder up. Without them the tests say so and pass.

mod answers;
mod attack;
mod certainty;
mod figures;

use std::cell::RefCell;
use std::path::PathBuf;

use serde_json::Value;

use self::answers::{accuracy, false_answers};
use self::attack::{attack_success, by_category, other_pairs};
use self::certainty::{calibration, incorrect_answers, uncertainty};
use self::figures::Figures;
use crate::support::{Place, tests_dir, text};

const MODELS: [&str; 3] = ["base", "harmful", "safe"];
const CONDITIONS: [&str; 3] = ["baseprompt", "false_context", "random_context"];

fn replay_dir() -> Option<PathBuf> {
    let folder = std::env::var_os("DRIFTGAUGE_REPLAY_DIR").map_or_else(
        || tests_dir().join("../../shared/paper/replay"),
        PathBuf::from,
    );
    let complete = [
        "asr_verdicts.csv",
        "knowledge_drift.parquet",
        "../tables.json",
    ]
    .iter()
    .all(|name| folder.join(name).is_file());
    if !complete {
        driftgauge_tests::skipped(&format!(
            "the paper's records are not in `{}`; set DRIFTGAUGE_REPLAY_DIR to their folder",
            folder.display()
        ));
    }
    complete.then_some(folder)
}

/// A run folder's numbers.
struct Run {
    results: Value,
    outputs: Value,
}

impl Run {
    fn metric(&self, evaluation: &str, metric: &str, condition: &str, model: &str) -> &Value {
        let found = self.results["metrics"]
            .as_array()
            .expect("metrics")
            .iter()
            .find(|row| {
                row["evaluation"] == evaluation
                    && row["metric"] == metric
                    && row["condition"] == condition
                    && row["model"] == model
            });
        found.unwrap_or_else(|| panic!("no {evaluation}/{metric} of {model} under {condition}"))
    }

    fn comparison(&self, list: &str, metric: &str, condition: &str, model: &str) -> &Value {
        let found = self.results[list]
            .as_array()
            .expect("comparisons")
            .iter()
            .find(|row| {
                row["metric"] == metric && row["condition"] == condition && row["model"] == model
            });
        found.unwrap_or_else(|| panic!("no {metric} of {model} under {condition} in {list}"))
    }

    /// A cell of a table that the uncertainty metric makes.
    fn cell(
        &self,
        table: &str,
        model: &str,
        condition: &str,
        measure: &str,
        column: &str,
    ) -> &Value {
        let outputs = self.outputs["outputs"].as_array().expect("outputs");
        let output = outputs
            .iter()
            .find(|output| output["metric"] == "uncertainty" && output["model"] == model)
            .expect("the metric");
        let tables = output["output"]["tables"].as_array().expect("tables");
        let table = tables
            .iter()
            .find(|found| found["id"] == table)
            .expect("the table");
        let columns = table["columns"].as_array().expect("columns");
        let position = columns
            .iter()
            .position(|name| name == column)
            .unwrap_or_else(|| panic!("no column `{column}`"));
        let rows = table["rows"].as_array().expect("rows");
        let row = rows
            .iter()
            .find(|row| row[0] == condition && row[1] == measure)
            .expect("the row");
        &row[position]
    }
}

fn replayed() -> Option<(Place, Run, Figures)> {
    let folder = replay_dir()?;
    let place = Place::new();
    let spec = tests_dir().join("../specs/paper/replay.yaml");
    let folder = folder.canonicalize().expect("a folder");
    let set = format!("replay_dir={}", text(&folder));
    let output = place.output(&["run", text(&spec), "--set", &set, "--out", "run"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json = |name: &str| serde_json::from_slice(&place.read(name)).expect("JSON");
    let run = Run {
        results: json("run/results.json"),
        outputs: json("run/metrics.json"),
    };
    let tables = std::fs::read(folder.join("../tables.json")).expect("the figures");
    let figures = Figures {
        all: serde_json::from_slice(&tables).expect("JSON"),
        seen: RefCell::default(),
    };
    Some((place, run, figures))
}

/// What the report says: five of the paper's headline numbers are not those of its records, and six standard errors.
fn headline_numbers(place: &Place, run: &Run, figures: &Figures) {
    let expected = run.results["expected"].as_array().expect("expected");
    // Tables 3, 4 and 5: 9 + 9 + 54 means + 53 standard errors; and 6 differences of the text.
    assert_eq!(expected.len(), 131);
    let contradicted: Vec<(f64, &str)> = expected
        .iter()
        .filter(|row| row["verdict"] != "agrees")
        .map(|row| {
            (
                row["published"].as_f64().expect("a number"),
                row["verdict"].as_str().expect("a word"),
            )
        })
        .collect();
    assert_eq!(
        contradicted,
        [
            (0.35, "outside"),
            (-0.5168, "outside"),
            (0.5906, "outside"),
            (0.0738, "differs"),
            (0.551, "differs"),
            (0.01, "differs"),
            (0.04, "differs"),
            (0.02, "differs"),
            (0.01, "differs"),
            (0.03, "differs"),
            (0.02, "differs"),
        ]
    );
    let errors = expected
        .iter()
        .filter(|row| row["statistic"] == "standard-error" && row["verdict"] == "differs");
    let found: Vec<String> = errors
        .map(|row| {
            let part = |name: &str| row[name].as_str().expect("a word").to_owned();
            [part("model"), part("condition"), part("metric")].join(" ")
        })
        .collect();
    let mismatches = figures.get("/tables/table5_mismatches").as_array();
    let theirs: Vec<String> = mismatches
        .expect("a list")
        .iter()
        .map(|cell| {
            let part = |name: &str| cell[name].as_str().expect("a word");
            let measure = match part("metric") {
                "avg_perplexity" => "perplexity",
                "avg_entropy" => "top10_entropy",
                _ => "mean_token_probability",
            };
            format!(
                "{} {} uncertainty.{measure}_{}",
                part("model"),
                part("condition"),
                part("split")
            )
        })
        .collect();
    assert_eq!(found.len(), 6);
    assert!(
        found.iter().all(|cell| theirs.contains(cell)),
        "{found:?} {theirs:?}"
    );
    let page = String::from_utf8(place.read("run/report.html")).expect("a page");
    assert!(page.contains("11 of 131 published values are not those of the records"));
}

/// A printed figure is one of the spec's published values.
#[track_caller]
fn published(figures: &Figures, at: &str, run: &Run, scale: f64, wanted: impl Fn(&Value) -> bool) {
    let expected = run.results["expected"].as_array().expect("expected");
    let row = expected.iter().find(|row| wanted(row));
    let row = row.unwrap_or_else(|| panic!("the spec does not publish {at}"));
    figures.check(at, &row["published"], scale, 1e-9);
}

#[test]
fn the_records_give_every_figure() {
    let Some((place, run, figures)) = replayed() else {
        return;
    };
    attack_success(&run, &figures);
    other_pairs(&run);
    by_category(&run, &figures);
    accuracy(&run, &figures);
    false_answers(&run, &figures);
    uncertainty(&run, &figures);
    incorrect_answers(&run);
    calibration(&run, &figures);
    assert_eq!(
        figures.unseen(),
        Vec::<String>::new(),
        "nobody looked at these"
    );
    headline_numbers(&place, &run, &figures);
}
