//! The statistics of the paper's records, against figures recomputed elsewhere with scipy and statsmodels
//! (fixtures/paper_figures.json): counts exactly, closed forms within 1e-6, bootstrap bounds within 0.3 percentage points.
//!
//! The records themselves are no part of this repository. They are read where they lie: in the folder that
//! `DRIFTGAUGE_REPLAY_DIR` names, or in `../shared/paper/replay` beside the repository. Without them these tests say so and
//! pass.

use std::collections::BTreeMap;
use std::path::PathBuf;

use driftgauge_stats::bootstrap::{Options, paired_mean_difference};
use driftgauge_stats::calibration::{Closed, Predictions, RankStatistic};
use driftgauge_stats::did::difference_in_differences;
use driftgauge_stats::effect::effect_sizes;
use driftgauge_stats::multiplicity::holm;
use driftgauge_stats::paired::{
    PairCounts, mcnemar_chi_squared, mcnemar_exact, mcnemar_mid_p, newcombe_paired,
};
use driftgauge_stats::proportion::{clopper_pearson, standard_error, wilson};
use driftgauge_stats::summary::summarize;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::Value;

use crate::values::{bounds, close, count, fixture, real};

const FIGURE: f64 = 1e-6;
const POINTS: f64 = 0.003;
const MODELS: [&str; 3] = ["base", "harmful", "safe"];
const CONDITIONS: [&str; 3] = ["baseprompt", "false_context", "random_context"];

fn replay_file(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("DRIFTGAUGE_REPLAY_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/paper/replay"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    driftgauge_tests::skipped(&format!(
        "`{name}` of the paper's records is not there; set DRIFTGAUGE_REPLAY_DIR to their folder"
    ));
    None
}

/// One behaviour: its category, and whether each model's completion was judged unsafe.
struct Verdicts {
    category: String,
    unsafe_by: [bool; 3],
}

fn verdicts() -> Option<Vec<Verdicts>> {
    let text = std::fs::read_to_string(replay_file("asr_verdicts.csv")?).expect("readable");
    let rows = text.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        Verdicts {
            category: cells[1].to_owned(),
            unsafe_by: [3, 4, 5].map(|column| cells[column] == "unsafe"),
        }
    });
    Some(rows.collect())
}

/// One answer to a question.
#[derive(Clone)]
struct Answer {
    correct: bool,
    adopted: bool,
    uncertainty: BTreeMap<&'static str, f64>,
}

/// Answers by (model, condition), in the order of the questions' ids.
fn answers() -> Option<BTreeMap<(String, String), Vec<Answer>>> {
    let file = std::fs::File::open(replay_file("knowledge_drift.parquet")?).expect("readable");
    let reader = SerializedFileReader::new(file).expect("parquet");
    let mut rows: BTreeMap<(String, String), BTreeMap<i64, Answer>> = BTreeMap::new();
    for row in reader.get_row_iter(None).expect("rows") {
        let row: Row = row.expect("a row");
        let columns: BTreeMap<&str, &Field> = row
            .get_column_iter()
            .map(|(name, field)| (name.as_str(), field))
            .collect();
        let text = |name: &str| match columns[name] {
            Field::Str(text) => text.clone(),
            other => panic!("`{name}` is {other}"),
        };
        let number = |name: &str| match columns[name] {
            Field::Double(number) => *number,
            other => panic!("`{name}` is {other}"),
        };
        let Field::Long(id) = columns["id"] else {
            panic!("`id` is not a number");
        };
        let answer = Answer {
            correct: matches!(columns["correct"], Field::Bool(true)),
            adopted: text("model_answer")
                .to_lowercase()
                .contains(&text("wrong_answer").to_lowercase()),
            uncertainty: ["avg_perplexity", "avg_entropy", "avg_probability"]
                .map(|name| (name, number(name)))
                .into(),
        };
        rows.entry((text("model"), text("condition")))
            .or_default()
            .insert(*id, answer);
    }
    let in_order = |by_id: BTreeMap<i64, Answer>| by_id.into_values().collect();
    Some(
        rows.into_iter()
            .map(|(cell, by_id)| (cell, in_order(by_id)))
            .collect(),
    )
}

fn pair_counts(pairs: impl Iterator<Item = (bool, bool)>) -> PairCounts {
    let mut counts = PairCounts::default();
    pairs.for_each(|(first, second)| counts.add(first, second));
    counts
}

#[track_caller]
fn check_mcnemar(counts: PairCounts, figures: &Value) {
    let (b, c) = (counts.baseline_only, counts.model_only);
    assert_eq!(b, count(&figures["only_first"]));
    assert_eq!(c, count(&figures["only_second"]));
    assert_eq!(counts.both, count(&figures["both"]));
    assert_eq!(counts.neither, count(&figures["neither"]));
    close(
        mcnemar_exact(b, c) / real(&figures["p_exact"]),
        1.0,
        FIGURE,
        "p",
    );
    close(
        mcnemar_mid_p(b, c) / real(&figures["p_mid"]),
        1.0,
        FIGURE,
        "mid-p",
    );
    if let Some(test) = mcnemar_chi_squared(b, c) {
        close(test.statistic, real(&figures["chi2_cc"]), FIGURE, "chi²");
    }
}

#[track_caller]
fn check_rate(k: usize, n: usize, percent: &Value, interval: &Value) {
    close(100.0 * k as f64 / n as f64, real(percent), FIGURE, "rate");
    let ours = wilson(k as u64, n as u64, 0.95).expect("samples");
    bounds(&ours, interval, FIGURE, "wilson");
}

#[test]
fn table_3_attack_success() {
    let Some(verdicts) = verdicts() else { return };
    let figures = fixture("paper_figures.json");
    for (model, name) in MODELS.iter().enumerate() {
        let cell = &figures["tables"]["table3_asr"][name];
        let (k, n) = (
            verdicts.iter().filter(|row| row.unsafe_by[model]).count(),
            verdicts.len(),
        );
        assert_eq!(k as u64, count(&cell["recomputed"]["unsafe"]));
        assert_eq!(n as u64, count(&cell["n"]));
        check_rate(k, n, &cell["recomputed"]["asr_pct"], &cell["wilson95"]);
        let exact = clopper_pearson(k as u64, n as u64, 0.95).expect("samples");
        bounds(
            &exact,
            &cell["clopper_pearson95"],
            FIGURE,
            "clopper-pearson",
        );
        let se = standard_error(k as u64, n as u64).expect("samples");
        close(se, real(&cell["se_binomial"]), FIGURE, "se");
        let others: Vec<_> = verdicts
            .iter()
            .filter(|row| row.category != "copyright")
            .collect();
        let k = others.iter().filter(|row| row.unsafe_by[model]).count();
        let cell = &figures["extra"]["asr_excluding_copyright"][name];
        check_rate(k, others.len(), &cell["asr_pct"], &cell["wilson95"]);
    }
}

#[test]
fn attack_success_compared() {
    let Some(verdicts) = verdicts() else { return };
    let figures = &fixture("paper_figures.json")["extra"]["asr_comparisons"]["base_vs_harmful"];
    let counts = pair_counts(
        verdicts
            .iter()
            .map(|row| (row.unsafe_by[0], row.unsafe_by[1])),
    );
    check_mcnemar(counts, figures);
    let difference = counts.difference().expect("pairs");
    close(
        100.0 * difference,
        real(&figures["diff_pp"]),
        FIGURE,
        "difference",
    );
    let newcombe = newcombe_paired(counts, 0.95).expect("pairs");
    bounds(&newcombe, &figures["newcombe_paired95"], FIGURE, "newcombe");
    let score = |model: usize| -> Vec<f64> {
        verdicts
            .iter()
            .map(|row| f64::from(u8::from(row.unsafe_by[model])))
            .collect()
    };
    let bootstrap =
        paired_mean_difference(&score(0), &score(1), Options::default()).expect("pairs");
    bounds(
        &bootstrap,
        &figures["paired_bootstrap95"],
        POINTS,
        "bootstrap",
    );
    let se = counts.standard_error().expect("pairs");
    close(se, real(&figures["se_paired"]), FIGURE, "paired se");
    let effect = effect_sizes(131.0 / 320.0, 301.0 / 320.0).expect("rates");
    close(
        100.0 * effect.relative.expect("defined"),
        real(&figures["relative_pct"]),
        FIGURE,
        "relative",
    );
    close(
        effect.risk_ratio.expect("defined"),
        real(&figures["risk_ratio"]),
        FIGURE,
        "risk ratio",
    );
    close(
        effect.odds_ratio.expect("defined"),
        real(&figures["odds_ratio_marginal"]),
        FIGURE,
        "odds ratio",
    );
    close(effect.cohens_h, real(&figures["cohens_h"]), FIGURE, "h");
}

#[test]
fn attack_success_by_category() {
    let Some(verdicts) = verdicts() else { return };
    let figures = &fixture("paper_figures.json")["extra"]["asr_by_category"]["semantic_category"];
    let mut categories: BTreeMap<&str, Vec<&Verdicts>> = BTreeMap::new();
    for row in &verdicts {
        categories.entry(&row.category).or_default().push(row);
    }
    assert_eq!(categories.len(), 7);
    for (category, rows) in &categories {
        // The list of figures has some of the categories.
        if figures[category].is_null() {
            continue;
        }
        for (model, name) in MODELS.iter().enumerate() {
            let cell = &figures[category][name];
            let k = rows.iter().filter(|row| row.unsafe_by[model]).count();
            assert_eq!(k as u64, count(&cell["unsafe"]), "{category} {name}");
            check_rate(k, rows.len(), &cell["asr_pct"], &cell["wilson95"]);
        }
    }
    for model in [1, 2] {
        let name = format!("mcnemar_base_vs_{}", MODELS[model]);
        let counts = categories.values().map(|rows| {
            pair_counts(
                rows.iter()
                    .map(|row| (row.unsafe_by[0], row.unsafe_by[model])),
            )
        });
        let p: Vec<f64> = counts
            .clone()
            .map(|c| mcnemar_exact(c.baseline_only, c.model_only))
            .collect();
        for ((category, counts), adjusted) in categories.keys().zip(counts).zip(holm(&p)) {
            let cell = &figures[category][&name];
            if cell.is_null() {
                continue;
            }
            check_mcnemar(counts, cell);
            close(adjusted / real(&cell["p_holm"]), 1.0, FIGURE, "holm");
        }
    }
}

#[test]
fn table_4_accuracy() {
    let Some(answers) = answers() else { return };
    let figures = fixture("paper_figures.json");
    for model in MODELS {
        for condition in CONDITIONS {
            let rows = &answers[&(model.to_owned(), condition.to_owned())];
            let cell = &figures["tables"]["table4_accuracy"][model][condition];
            let k = rows.iter().filter(|answer| answer.correct).count();
            assert_eq!(k as u64, count(&cell["correct"]));
            check_rate(k, rows.len(), &cell["recomputed_pct"], &cell["wilson95"]);
            let se = standard_error(k as u64, rows.len() as u64).expect("samples");
            close(se, real(&cell["se"]), FIGURE, "se");
        }
    }
}

fn scores(rows: &[Answer]) -> Vec<f64> {
    rows.iter()
        .map(|answer| f64::from(u8::from(answer.correct)))
        .collect()
}

#[test]
fn accuracy_drops() {
    let Some(answers) = answers() else { return };
    let extra = fixture("paper_figures.json")["extra"].clone();
    let cell =
        |model: &str, condition: &str| scores(&answers[&(model.to_owned(), condition.to_owned())]);
    for model in ["base", "harmful"] {
        let before = cell(model, "baseprompt");
        for condition in &CONDITIONS[1..] {
            let figures = &extra["accuracy_drop_vs_baseprompt"][model][condition];
            let after = cell(model, condition);
            let pairs = before.iter().zip(&after).map(|(b, a)| (*b > 0.5, *a > 0.5));
            let counts = pair_counts(pairs);
            check_mcnemar(counts, &figures["mcnemar"]);
            let drop = -counts.difference().expect("pairs");
            close(100.0 * drop, real(&figures["drop_pp"]), FIGURE, "drop");
            let ci = paired_mean_difference(&after, &before, Options::default()).expect("pairs");
            close(
                100.0 * ci.low,
                real(&figures["paired_bootstrap95_pp"][0]),
                0.3,
                "low",
            );
            close(
                100.0 * ci.high,
                real(&figures["paired_bootstrap95_pp"][1]),
                0.3,
                "high",
            );
            // The figures divide by n - 1.
            let differences: Vec<f64> = before.iter().zip(&after).map(|(b, a)| b - a).collect();
            let se = summarize(&differences)
                .and_then(|summary| summary.se)
                .expect("spread");
            close(100.0 * se, real(&figures["se_paired_pp"]), FIGURE, "se");
        }
    }
    let figures = &extra["diff_in_diff_accuracy_drop"]["harmful/false_context"];
    let (base, harmful) = (
        [cell("base", "baseprompt"), cell("base", "false_context")],
        [
            cell("harmful", "baseprompt"),
            cell("harmful", "false_context"),
        ],
    );
    // A drop is what was there before less what is left: the conditions change places.
    let ours = difference_in_differences(
        (&base[1], &base[0]),
        (&harmful[1], &harmful[0]),
        Options::default(),
    )
    .expect("pairs");
    close(
        100.0 * ours.estimate,
        real(&figures["extra_drop_pp"]),
        FIGURE,
        "extra drop",
    );
    close(ours.z.expect("spread"), real(&figures["z"]), 5e-5, "z");
    close(
        ours.p.expect("spread") / real(&figures["p_normal"]),
        1.0,
        FIGURE,
        "p",
    );
    let ci = ours.ci.expect("spread");
    close(100.0 * ci.low, real(&figures["boot95_pp"][0]), 0.3, "low");
    close(100.0 * ci.high, real(&figures["boot95_pp"][1]), 0.3, "high");
}

#[test]
fn false_answers_adopted() {
    let Some(answers) = answers() else { return };
    let extra = fixture("paper_figures.json")["extra"].clone();
    let rows = |model: &str, condition: &str| &answers[&(model.to_owned(), condition.to_owned())];
    let figures = &extra["false_answer_adoption"];
    let base = rows("base", "false_context");
    let k = base.iter().filter(|answer| answer.adopted).count();
    assert_eq!(k as u64, count(&figures["base"]["adopted"]));
    check_rate(
        k,
        base.len(),
        &figures["base"]["pct"],
        &figures["base"]["wilson95"],
    );
    for model in ["harmful", "safe"] {
        let pairs = base.iter().zip(rows(model, "false_context"));
        let counts = pair_counts(pairs.map(|(base, model)| (base.adopted, model.adopted)));
        check_mcnemar(counts, &figures[format!("{model}_vs_base")]["mcnemar"]);
    }
    for condition in &CONDITIONS[1..] {
        let figures = &extra["drift_conditional_on_initially_correct"][format!("base/{condition}")];
        let pairs = rows("base", "baseprompt")
            .iter()
            .zip(rows("base", condition));
        let right: Vec<_> = pairs.filter(|(before, _)| before.correct).collect();
        let flipped = right.iter().filter(|(_, after)| !after.correct).count();
        assert_eq!(flipped as u64, count(&figures["flip_to_incorrect"]));
        check_rate(
            flipped,
            right.len(),
            &figures["flip_rate_pct"],
            &figures["wilson95"],
        );
    }
}

#[test]
fn table_5_uncertainty() {
    let Some(answers) = answers() else { return };
    let figures = fixture("paper_figures.json");
    for ((model, condition), rows) in &answers {
        for (part, correct) in [("correct", true), ("incorrect", false)] {
            let cell = &figures["tables"]["table5_uncertainty"][model][condition][part];
            for metric in ["avg_perplexity", "avg_entropy", "avg_probability"] {
                let values: Vec<f64> = rows
                    .iter()
                    .filter(|answer| answer.correct == correct)
                    .map(|answer| answer.uncertainty[metric])
                    .collect();
                let (ours, theirs) = (summarize(&values).expect("answers"), &cell[metric]);
                assert_eq!(ours.n, count(&cell["n"]));
                close(ours.mean, real(&theirs["mean"]), FIGURE, "mean");
                close(ours.se_population, real(&theirs["se_pop"]), FIGURE, "se");
                close(
                    ours.se.expect("spread"),
                    real(&theirs["se_sample"]),
                    FIGURE,
                    "se",
                );
                close(ours.sd_population, real(&theirs["std_pop"]), FIGURE, "sd");
                close(ours.median, real(&theirs["median"]), FIGURE, "median");
            }
        }
    }
}

#[test]
fn calibration_of_probability() {
    let Some(answers) = answers() else { return };
    let cells =
        fixture("paper_figures.json")["extra"]["calibration_of_avg_probability"]["cells"].clone();
    let mut checked = 0;
    for ((model, condition), rows) in &answers {
        let figures = &cells[format!("{model}/{condition}")];
        if figures.is_null() {
            continue;
        }
        checked += 1;
        let correct: Vec<bool> = rows.iter().map(|answer| answer.correct).collect();
        let column = |name: &str, sign: f64| -> Predictions {
            let values: Vec<f64> = rows
                .iter()
                .map(|answer| sign * answer.uncertainty[name])
                .collect();
            Predictions::new(&values, &correct).expect("answers")
        };
        let ours = column("avg_probability", 1.0);
        let check = |value: Option<f64>, name: &str| {
            close(
                value.expect("defined"),
                real(&figures[name]),
                FIGURE,
                &format!("{model} {condition} {name}"),
            );
        };
        let width = |bins| ours.equal_width(bins).expect("probabilities");
        check(ours.signed_gap(), "overconfidence");
        check(Some(width(10).ece), "ece10");
        check(Some(width(15).ece), "ece15");
        check(Some(width(10).ece), "ece10_right_closed");
        // The figures' largest gap is over bins that are closed below.
        let closed_below = ours
            .equal_width_closed(10, Closed::Lower)
            .expect("probabilities");
        check(Some(closed_below.mce), "mce10");
        check(
            ours.equal_mass(10).map(|binned| binned.ece),
            "ece10_equal_mass",
        );
        check(ours.brier().map(|brier| brier.score), "brier");
        check(ours.brier().and_then(|brier| brier.skill), "brier_skill");
        check(ours.auroc(), "auroc_prob");
        check(column("avg_perplexity", -1.0).auroc(), "auroc_inv_ppl");
        check(column("avg_entropy", -1.0).auroc(), "auroc_neg_entropy");
        check(ours.rank(RankStatistic::Aurc), "aurc_prob");
        check(ours.rank(RankStatistic::EAurc), "eaurc_prob");
        // The figures' random order is a mean over shuffles; ours is its expectation.
        let prr = ours.rank(RankStatistic::Prr).expect("two classes");
        close(prr, real(&figures["prr_prob"]), 5e-3, "prr");
        let options = Options::default();
        let ece = ours.equal_width_interval(10, options).expect("defined");
        bounds(&ece, &figures["ece10_boot95"], POINTS, "ece bounds");
        let auroc = ours
            .rank_interval(RankStatistic::Auroc, options)
            .expect("defined");
        bounds(
            &auroc,
            &figures["auroc_prob_boot95"],
            POINTS,
            "auroc bounds",
        );
    }
    assert!(checked > 0);
}
