//! The paper replayed from its own records, through the binary: every figure of `tables.json` is looked for in the run folder.
//!
//! The records are no part of this repository. They are read where they lie: in the folder that `DRIFTGAUGE_REPLAY_DIR` names, or
//! in `../shared/paper/replay` beside the repository, with `tables.json` one folder up. Without them the tests say so and pass.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Place, tests_dir, text};

/// Closed forms agree to this; figures are printed to six decimals.
const FIGURE: f64 = 1.5e-6;
/// Bootstrap bounds agree to 0.3 percentage points.
const POINTS: f64 = 0.003;
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
        eprintln!(
            "skipped: the paper's records are not in `{}`\nhint: set DRIFTGAUGE_REPLAY_DIR to their folder",
            folder.display()
        );
    }
    complete.then_some(folder)
}

/// Published and recomputed figures, with a memory of which were looked at.
struct Figures {
    all: Value,
    seen: RefCell<BTreeSet<String>>,
}

impl Figures {
    fn get(&self, path: &str) -> &Value {
        self.seen.borrow_mut().insert(path.to_owned());
        let found = self.all.pointer(path);
        found.unwrap_or_else(|| panic!("tables.json has no `{path}`"))
    }

    fn has(&self, path: &str) -> bool {
        self.all.pointer(path).is_some()
    }

    fn number(&self, path: &str) -> f64 {
        let found = self.get(path);
        found.as_f64().unwrap_or_else(|| panic!("{path}: {found}"))
    }

    #[track_caller]
    fn check(&self, path: &str, ours: &Value, scale: f64, tolerance: f64) {
        let theirs = self.number(path);
        let ours = ours.as_f64().unwrap_or_else(|| panic!("{path}: {ours}"));
        assert!(
            (scale * ours - theirs).abs() <= tolerance,
            "{path} is {theirs}, the run gives {}",
            scale * ours
        );
    }

    /// p-values agree relatively, however small.
    #[track_caller]
    fn check_p(&self, path: &str, ours: &Value) {
        let (theirs, ours) = (self.number(path), ours.as_f64().expect("a p-value"));
        assert!(
            (ours / theirs - 1.0).abs() < 1e-6,
            "{path} is {theirs}, the run gives {ours}"
        );
    }

    #[track_caller]
    fn check_interval(&self, path: &str, ours: &Value, scale: f64, tolerance: f64) {
        let theirs = self.get(path);
        for (index, side) in ["low", "high"].iter().enumerate() {
            let theirs = theirs[index].as_f64().expect("a bound");
            let ours = scale
                * ours[*side]
                    .as_f64()
                    .unwrap_or_else(|| panic!("{path}: {ours}"));
            assert!(
                (ours - theirs).abs() <= tolerance,
                "{path}: the {side} bound is {theirs}, the run gives {ours}"
            );
        }
    }

    /// Paths of all numbers that nobody looked at.
    fn unseen(&self) -> Vec<String> {
        fn walk(value: &Value, path: &str, out: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    for (key, value) in map {
                        walk(value, &format!("{path}/{}", key.replace('/', "~1")), out);
                    }
                }
                Value::Number(_) => out.push(path.to_owned()),
                // Intervals; other lists are remarks in words.
                Value::Array(items) if items.iter().all(Value::is_number) => {
                    out.push(path.to_owned());
                }
                _ => {}
            }
        }
        let mut paths = Vec::new();
        for part in ["tables", "extra"] {
            walk(&self.all[part], &format!("/{part}"), &mut paths);
        }
        let seen = self.seen.borrow();
        paths.retain(|path| !seen.contains(path));
        paths
    }
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

/// Table 3 with what the paper leaves out.
fn attack_success(run: &Run, figures: &Figures) {
    for model in MODELS {
        let at = format!("/tables/table3_asr/{model}");
        let number = |metric: &str| run.metric("harmfulness", metric, "default", model);
        let asr = number("asr");
        figures.check(&format!("{at}/n"), &asr["n"], 1.0, 0.0);
        figures.check(
            &format!("{at}/recomputed/asr_pct"),
            &asr["value"],
            100.0,
            FIGURE,
        );
        for part in ["paper", "recomputed"] {
            for word in ["safe", "unsafe"] {
                let count = &number(&format!("asr.n_{word}"))["value"];
                figures.check(&format!("{at}/{part}/{word}"), count, 1.0, 0.0);
            }
        }
        figures.check(
            &format!("{at}/se_binomial"),
            &asr["spread"]["se_population"],
            1.0,
            FIGURE,
        );
        figures.check_interval(&format!("{at}/wilson95"), &asr["ci"], 1.0, FIGURE);
        assert_eq!(asr["intervals"][0]["method"], "clopper-pearson");
        figures.check_interval(
            &format!("{at}/clopper_pearson95"),
            &asr["intervals"][0],
            1.0,
            FIGURE,
        );
        published(figures, &format!("{at}/paper/asr_pct"), run, 100.0, |row| {
            row["metric"] == "asr" && row["model"] == model && row["baseline"].is_null()
        });

        let at = format!("/extra/asr_excluding_copyright/{model}");
        let others = number("asr.excluding");
        figures.check(&format!("{at}/n"), &others["n"], 1.0, 0.0);
        figures.check(&format!("{at}/asr_pct"), &others["value"], 100.0, FIGURE);
        figures.check(&format!("{at}/unsafe"), &hits(others), 1.0, 1e-9);
        figures.check_interval(&format!("{at}/wilson95"), &others["ci"], 1.0, FIGURE);
    }
    for model in ["harmful", "safe"] {
        let found = run.comparison("comparisons", "asr", "default", model);
        let at = format!("/extra/asr_comparisons/base_vs_{model}");
        // The row of the safe model may have been left out of the figures; its statistics are made all the same.
        assert!(found["detail"]["effect"]["cohens_h"].is_number());
        if !figures.has(&at) {
            continue;
        }
        mcnemar(figures, &at, found);
        let detail = &found["detail"];
        figures.check(&format!("{at}/diff_pp"), &found["delta"], 100.0, FIGURE);
        figures.check(
            &format!("{at}/relative_pct"),
            &detail["effect"]["relative"],
            100.0,
            FIGURE,
        );
        for (name, key) in [
            ("risk_ratio", "risk_ratio"),
            ("odds_ratio_marginal", "odds_ratio"),
            ("cohens_h", "cohens_h"),
        ] {
            figures.check(&format!("{at}/{name}"), &detail["effect"][key], 1.0, FIGURE);
        }
        figures.check(&format!("{at}/se_paired"), &detail["se"], 1.0, FIGURE);
        figures.check(
            &format!("{at}/se_unpaired"),
            &detail["se_unpaired"],
            1.0,
            FIGURE,
        );
        assert_eq!(found["ci"]["method"], "newcombe-paired");
        figures.check_interval(
            &format!("{at}/newcombe_paired95"),
            &found["ci"],
            1.0,
            FIGURE,
        );
        figures.check_interval(
            &format!("{at}/paired_bootstrap95"),
            &detail["intervals"][0],
            1.0,
            POINTS,
        );
    }
}

/// The two fine-tuned models against one another, and the whole family of accuracies.
fn other_pairs(run: &Run) {
    let found = run.comparison("further_comparisons", "asr", "default", "harmful");
    assert_eq!(found["baseline"], "safe");
    assert_eq!(found["test"]["baseline_only"], 1);
    assert_eq!(found["test"]["model_only"], 280);
    let p = found["p"].as_f64().expect("a p-value");
    assert!((p / 1.5e-82 - 1.0).abs() < 0.05, "{p}");
    // Less accurate without any context, but not after Holm over the six accuracies.
    let found = run.comparison("comparisons", "truthfulness", "baseprompt", "harmful");
    assert_eq!(found["adjustment"]["size"], 6);
    let p = |name: &str| found[name].as_f64().expect("a p-value");
    assert!((p("p") - 0.028).abs() < 5e-4 && (p("p_adjusted") - 0.084).abs() < 5e-4);
}

fn by_category(run: &Run, figures: &Figures) {
    let at = "/extra/asr_by_category/semantic_category";
    let categories = figures
        .all
        .pointer(at)
        .expect("categories")
        .as_object()
        .expect("a map");
    for category in categories.keys() {
        let at = format!("{at}/{category}");
        let metric = format!("asr.category.{category}");
        for model in MODELS {
            let rate = run.metric("harmfulness", &metric, "default", model);
            figures.check(&format!("{at}/n"), &rate["n"], 1.0, 0.0);
            let at = format!("{at}/{model}");
            figures.check(&format!("{at}/unsafe"), &hits(rate), 1.0, 1e-9);
            figures.check(&format!("{at}/asr_pct"), &rate["value"], 100.0, FIGURE);
            figures.check_interval(&format!("{at}/wilson95"), &rate["ci"], 1.0, FIGURE);
        }
        for model in ["harmful", "safe"] {
            let found = run.comparison("comparisons", &metric, "default", model);
            let at = format!("{at}/mcnemar_base_vs_{model}");
            mcnemar(figures, &at, found);
            assert_eq!(found["adjustment"]["method"], "holm");
            assert_eq!(found["adjustment"]["size"], 7);
            figures.check_p(&format!("{at}/p_holm"), &found["p_adjusted"]);
        }
    }
}

/// Table 4, the drops it shows, and whether one model drops further than another.
fn accuracy(run: &Run, figures: &Figures) {
    for model in MODELS {
        for condition in CONDITIONS {
            let at = format!("/tables/table4_accuracy/{model}/{condition}");
            let rate = run.metric("knowledge-drift", "truthfulness", condition, model);
            figures.check(&format!("{at}/n"), &rate["n"], 1.0, 0.0);
            figures.check(&format!("{at}/correct"), &hits(rate), 1.0, 1e-9);
            figures.check(
                &format!("{at}/recomputed_pct"),
                &rate["value"],
                100.0,
                FIGURE,
            );
            figures.check(
                &format!("{at}/se"),
                &rate["spread"]["se_population"],
                1.0,
                FIGURE,
            );
            figures.check_interval(&format!("{at}/wilson95"), &rate["ci"], 1.0, FIGURE);
            published(figures, &format!("{at}/paper_pct"), run, 100.0, |row| {
                row["metric"] == "truthfulness"
                    && row["model"] == model
                    && row["condition"] == condition
                    && row["baseline"].is_null()
                    && row["baseline_condition"].is_null()
            });
        }
        for condition in &CONDITIONS[1..] {
            let found = run.comparison("condition_comparisons", "truthfulness", condition, model);
            assert_eq!(found["baseline_condition"], "baseprompt");
            let (detail, intervals) = (&found["detail"], &found["detail"]["intervals"]);
            assert!(detail["effect"]["relative"].is_number() && intervals[1].is_object());
            let at = format!("/extra/accuracy_drop_vs_baseprompt/{model}/{condition}");
            if !figures.has(&at) {
                continue;
            }
            // A drop is a fall: the sides of its interval change places.
            figures.check(&format!("{at}/drop_pp"), &found["delta"], -100.0, FIGURE);
            figures.check(
                &format!("{at}/relative_drop_pct"),
                &detail["effect"]["relative"],
                -100.0,
                FIGURE,
            );
            figures.check(&format!("{at}/se_paired_pp"), &detail["se"], 100.0, FIGURE);
            fall(
                figures,
                &format!("{at}/paired_bootstrap95_pp"),
                &intervals[0],
            );
            fall(figures, &format!("{at}/bca95_pp"), &intervals[1]);
            mcnemar(figures, &format!("{at}/mcnemar"), found);
        }
    }
    for model in ["harmful", "safe"] {
        for condition in &CONDITIONS[1..] {
            let found = run.comparison(
                "differences_in_differences",
                "truthfulness",
                condition,
                model,
            );
            assert!(found["test"]["statistic"].is_number() && found["p"].is_number());
            let at = format!("/extra/diff_in_diff_accuracy_drop/{model}~1{condition}");
            if !figures.has(&at) {
                continue;
            }
            figures.check(
                &format!("{at}/extra_drop_pp"),
                &found["delta"],
                -100.0,
                FIGURE,
            );
            fall(figures, &format!("{at}/boot95_pp"), &found["ci"]);
            figures.check(
                &format!("{at}/z"),
                &found["test"]["statistic"],
                -1.0,
                5.1e-5,
            );
            figures.check_p(&format!("{at}/p_normal"), &found["p"]);
        }
    }
}

fn false_answers(run: &Run, figures: &Figures) {
    let at = "/extra/false_answer_adoption";
    for model in MODELS {
        let rate = run.metric(
            "knowledge-drift",
            "truthfulness.adoption",
            "false_context",
            model,
        );
        let at = format!("{at}/{model}");
        if figures.has(&at) {
            figures.check(&format!("{at}/n"), &rate["n"], 1.0, 0.0);
            figures.check(&format!("{at}/adopted"), &hits(rate), 1.0, 1e-9);
            figures.check(&format!("{at}/pct"), &rate["value"], 100.0, FIGURE);
            figures.check_interval(&format!("{at}/wilson95"), &rate["ci"], 1.0, FIGURE);
        }
    }
    for model in ["harmful", "safe"] {
        let found = run.comparison(
            "comparisons",
            "truthfulness.adoption",
            "false_context",
            model,
        );
        let at = format!("{at}/{model}_vs_base");
        figures.check(&format!("{at}/diff_pp"), &found["delta"], 100.0, FIGURE);
        let drawn = &found["detail"]["intervals"][0];
        figures.check_interval(
            &format!("{at}/paired_bootstrap95_pp"),
            drawn,
            100.0,
            100.0 * POINTS,
        );
        mcnemar(figures, &format!("{at}/mcnemar"), found);
    }
    for model in MODELS {
        for condition in &CONDITIONS[1..] {
            let number = |id: &str| {
                run.metric(
                    "knowledge-drift",
                    &format!("truthfulness.{id}"),
                    condition,
                    model,
                )
            };
            let (flips, adopted, rescued) = (
                number("flip_rate"),
                number("adoption_of_correct"),
                number("rescue_rate"),
            );
            let at = format!("/extra/drift_conditional_on_initially_correct/{model}~1{condition}");
            if !figures.has(&at) {
                continue;
            }
            figures.check(
                &format!("{at}/n_correct_at_baseprompt"),
                &flips["n"],
                1.0,
                0.0,
            );
            figures.check(&format!("{at}/flip_to_incorrect"), &hits(flips), 1.0, 1e-9);
            figures.check(
                &format!("{at}/flip_rate_pct"),
                &flips["value"],
                100.0,
                FIGURE,
            );
            figures.check_interval(&format!("{at}/wilson95"), &flips["ci"], 1.0, FIGURE);
            figures.check(
                &format!("{at}/adopted_wrong_answer"),
                &hits(adopted),
                1.0,
                1e-9,
            );
            figures.check(
                &format!("{at}/adopt_rate_pct"),
                &adopted["value"],
                100.0,
                FIGURE,
            );
            figures.check(
                &format!("{at}/rescued_from_incorrect"),
                &hits(rescued),
                1.0,
                1e-9,
            );
            figures.check(
                &format!("{at}/n_incorrect_at_baseprompt"),
                &rescued["n"],
                1.0,
                0.0,
            );
        }
    }
}

/// Table 5.
fn uncertainty(run: &Run, figures: &Figures) {
    let measures = [
        ("avg_perplexity", "perplexity"),
        ("avg_entropy", "top10_entropy"),
        ("avg_probability", "mean_token_probability"),
    ];
    for model in MODELS {
        for condition in CONDITIONS {
            for part in ["correct", "incorrect"] {
                let at = format!("/tables/table5_uncertainty/{model}/{condition}/{part}");
                for (name, measure) in measures {
                    let metric = format!("uncertainty.{measure}_{part}");
                    let number = run.metric("knowledge-drift", &metric, condition, model);
                    figures.check(&format!("{at}/n"), &number["n"], 1.0, 0.0);
                    let at = format!("{at}/{name}");
                    figures.check(&format!("{at}/mean"), &number["value"], 1.0, FIGURE);
                    for (figure, key) in [
                        ("se_pop", "se_population"),
                        ("se_sample", "se"),
                        ("std_pop", "sd_population"),
                        ("median", "median"),
                    ] {
                        figures.check(
                            &format!("{at}/{figure}"),
                            &number["spread"][key],
                            1.0,
                            FIGURE,
                        );
                    }
                    for (figure, statistic) in
                        [("paper_mean", "value"), ("paper_se", "standard-error")]
                    {
                        let at = format!("{at}/{figure}");
                        if !figures.get(&at).is_null() {
                            published(figures, &at, run, 1.0, |row| {
                                row["metric"] == metric.as_str()
                                    && row["model"] == model
                                    && row["condition"] == condition
                                    && row["statistic"] == statistic
                            });
                        }
                    }
                }
            }
        }
    }
}

/// "More confident when wrong": incorrect answers are of other questions for each model, so they are compared without pairs.
/// p-values and bounds from scipy's `ttest_ind(equal_var=False)` over the records.
fn incorrect_answers(run: &Run) {
    for (measure, delta, p, low, high) in [
        (
            "perplexity_incorrect",
            -0.132_588_418_150_737_74,
            0.000_333_333_176_670_855_14,
            -0.204_798_222_835_315_26,
            -0.060_378_613_466_160_22,
        ),
        (
            "mean_token_probability_incorrect",
            0.021_855_674_688_020_188,
            0.016_703_504_884_482_162,
            0.003_965_845_999_939_731,
            0.039_745_503_376_100_645,
        ),
    ] {
        let metric = format!("uncertainty.{measure}");
        let found = run.comparison("unpaired_comparisons", &metric, "false_context", "harmful");
        let close = |value: &Value, expected: f64| {
            let value = value.as_f64().expect("a number");
            assert!(
                (value - expected).abs() < 1e-9,
                "{metric}: {value} for {expected}"
            );
        };
        close(&found["delta"], delta);
        close(&found["p"], p);
        close(&found["ci"]["low"], low);
        close(&found["ci"]["high"], high);
        assert_eq!(found["test"]["name"], "welch-t");
        let sides = &found["detail"]["sides"];
        assert_eq!(
            (&sides["baseline"], &sides["model"]),
            (&508.into(), &709.into())
        );
    }
}

fn calibration(run: &Run, figures: &Figures) {
    let cells = "/extra/calibration_of_avg_probability/cells";
    for model in MODELS {
        for condition in CONDITIONS {
            let number = |id: &str| {
                run.metric(
                    "knowledge-drift",
                    &format!("uncertainty.{id}"),
                    condition,
                    model,
                )
            };
            let chosen = "Mean token probability";
            let further = |column: &str| run.cell("calibration", model, condition, chosen, column);
            let auroc = |measure: &str| run.cell("predictors", model, condition, measure, "AUROC");
            // Rows of some models are left out of the figures; theirs are made all the same.
            assert!(number("auroc")["ci"].is_object() && further("E-AURC").is_number());
            let at = format!("{cells}/{model}~1{condition}");
            if !figures.has(&at) {
                continue;
            }
            figures.check(&format!("{at}/n"), &number("auroc")["n"], 1.0, 0.0);
            for (figure, ours) in [
                ("accuracy", further("accuracy")),
                ("mean_probability", further("mean confidence")),
                ("overconfidence", &number("overconfidence")["value"]),
                ("ece10", &number("ece10")["value"]),
                ("ece10_right_closed", further("ECE, 10 bins")),
                ("ece15", further("ECE, 15 bins")),
                ("mce10", further("MCE, 10 bins closed below")),
                ("ece10_equal_mass", further("ECE, 10 bins of equal mass")),
                ("brier", &number("brier")["value"]),
                ("brier_skill", further("Brier skill")),
                ("auroc_prob", &number("auroc")["value"]),
                ("auroc_inv_ppl", auroc("Perplexity")),
                ("auroc_neg_entropy", auroc("Top-10 entropy")),
                ("aurc_prob", &number("aurc")["value"]),
                ("eaurc_prob", further("E-AURC")),
                ("prr_prob", &number("prr")["value"]),
                (
                    "spearman_prob_ppl",
                    run.cell(
                        "predictors",
                        model,
                        condition,
                        "Perplexity",
                        "rank correlation",
                    ),
                ),
            ] {
                // The figures' random order of rejection is a mean over shuffles; ours is its expectation.
                let tolerance = if figure == "prr_prob" { 5e-3 } else { FIGURE };
                figures.check(&format!("{at}/{figure}"), ours, 1.0, tolerance);
            }
            figures.check_interval(
                &format!("{at}/ece10_boot95"),
                &number("ece10")["ci"],
                1.0,
                POINTS,
            );
            figures.check_interval(
                &format!("{at}/auroc_prob_boot95"),
                &number("auroc")["ci"],
                1.0,
                POINTS,
            );
        }
    }
}

/// Number of ones behind a rate.
fn hits(rate: &Value) -> Value {
    Value::from(rate["value"].as_f64().expect("a rate") * rate["n"].as_f64().expect("a count"))
}

fn mcnemar(figures: &Figures, at: &str, found: &Value) {
    let detail = &found["detail"];
    for (figure, key) in [
        ("only_first", "baseline_only"),
        ("only_second", "model_only"),
        ("both", "both"),
        ("neither", "neither"),
    ] {
        figures.check(&format!("{at}/{figure}"), &detail["pairs"][key], 1.0, 0.0);
    }
    figures.check_p(&format!("{at}/p_exact"), &found["p"]);
    figures.check_p(&format!("{at}/p_mid"), &detail["tests"][0]["p"]);
    figures.check(
        &format!("{at}/chi2_cc"),
        &detail["tests"][1]["statistic"],
        1.0,
        FIGURE,
    );
}

fn fall(figures: &Figures, at: &str, interval: &Value) {
    let bound = |side: &str| -interval[side].as_f64().expect("a bound");
    let turned = serde_json::json!({"low": bound("high"), "high": bound("low")});
    figures.check_interval(at, &turned, 100.0, 100.0 * POINTS);
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
