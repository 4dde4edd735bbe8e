//! Paired proportions, differences in differences, clusters, trainings, corrected rates, agreement and ranks, against statsmodels,
//! scipy, scikit-learn and numpy (fixtures/make.py): closed forms within 1e-9, drawn bounds within 0.3 percentage points.

use driftgauge_stats::agreement::Confusion;
use driftgauge_stats::bootstrap::{Options, hierarchical_difference};
use driftgauge_stats::calibration::{Closed, Predictions, RankStatistic, paired_rank_difference};
use driftgauge_stats::clustered::{clustered_mean_interval, clustered_standard_error};
use driftgauge_stats::correction::{Estimated, rogan_gladen};
use driftgauge_stats::did::difference_in_differences;
use driftgauge_stats::paired::{PairCounts, newcombe_paired};
use driftgauge_stats::power::{PairedVariance, paired_mean_mde, paired_mean_n};
use driftgauge_stats::rank::spearman;
use driftgauge_stats::unpaired::welch_t;
use serde_json::Value;

use crate::values::{bounds, close, count, fixture, labels, list, real, reals, truths};

const EXACT: f64 = 1e-9;
const POINTS: f64 = 0.003;
const OPTIONS: Options = Options {
    level: 0.95,
    resamples: 20_000,
    seed: 12,
};

fn part(name: &str) -> Value {
    fixture("further.json")[name].clone()
}

#[test]
fn paired_proportions() {
    for case in list(&part("newcombe_paired")) {
        let table: Vec<u64> = list(&case["table"]).iter().map(count).collect();
        let counts = PairCounts {
            both: table[0],
            baseline_only: table[1],
            model_only: table[2],
            neither: table[3],
        };
        let ours = newcombe_paired(counts, real(&case["level"])).expect("pairs");
        bounds(&ours, &case["ci"], EXACT, &format!("{table:?}"));
    }
}

#[test]
fn differences_in_differences() {
    let case = part("did");
    let columns: Vec<Vec<f64>> = list(&case["columns"]).iter().map(reals).collect();
    let [base_before, base_after, before, after] = columns.as_slice() else {
        panic!("four columns");
    };
    let ours = difference_in_differences((base_before, base_after), (before, after), OPTIONS)
        .expect("defined");
    close(ours.estimate, real(&case["estimate"]), EXACT, "estimate");
    close(ours.se.expect("spread"), real(&case["se"]), EXACT, "se");
    close(ours.z.expect("spread"), real(&case["z"]), EXACT, "z");
    close(ours.p.expect("spread"), real(&case["p"]), EXACT, "p");
    let ci = ours.ci.expect("spread");
    bounds(&ci, &case["ci"], POINTS, "interval");
}

#[test]
fn clusters() {
    for case in list(&part("clustered")) {
        let (values, clusters) = (reals(&case["values"]), labels(&case["clusters"]));
        let se = clustered_standard_error(&values, &clusters).expect("defined");
        close(se, real(&case["se"]), EXACT, "se");
        let ours =
            clustered_mean_interval(&values, &clusters, real(&case["level"])).expect("defined");
        bounds(&ours, &case["ci"], EXACT, "interval");
    }
}

#[test]
fn trainings_of_two_recipes() {
    let case = part("trainings");
    let side = |name: &str| -> Vec<Vec<f64>> { list(&case[name]).iter().map(reals).collect() };
    let (baseline, model) = (side("baseline"), side("model"));
    let base: Vec<&[f64]> = baseline.iter().map(Vec::as_slice).collect();
    let tuned: Vec<&[f64]> = model.iter().map(Vec::as_slice).collect();
    let ours = hierarchical_difference(&base, &tuned, OPTIONS).expect("defined");
    bounds(&ours, &case["ci"], POINTS, "trainings");
    let means = |side: &[&[f64]]| -> Vec<f64> {
        let mean = |training: &&[f64]| training.iter().sum::<f64>() / training.len() as f64;
        side.iter().map(mean).collect()
    };
    let (test, _) = welch_t(&means(&base), &means(&tuned), 0.95).expect("spread");
    close(test.statistic, real(&case["welch"]["t"]), EXACT, "t");
    close(test.p, real(&case["welch"]["p"]), EXACT, "p");
}

#[test]
fn pairs_needed_for_a_mean() {
    for case in list(&part("paired_mean_n")) {
        let (delta, power) = (real(&case["delta"]), real(&case["power"]));
        let variance = PairedVariance {
            between_items: real(&case["variance"]),
            within_item: (0.0, 0.0),
            samples: (1, 1),
        };
        let ours = paired_mean_n(delta, variance, 0.05, power).expect("defined");
        // statsmodels counts the far tail too, which is nothing here.
        assert_eq!(ours, real(&case["n"]).ceil() as u64, "{delta}");
        let mde = paired_mean_mde(ours, variance, 0.05, power).expect("defined");
        assert!(mde <= delta && mde > 0.99 * delta, "{mde} for {delta}");
    }
}

#[test]
fn judges_whose_errors_were_measured() {
    for case in list(&part("rogan_gladen")) {
        let estimated = |name: &str| Estimated {
            value: real(&case[name][0]),
            n: Some(count(&case[name][1])),
        };
        let (k, n) = (count(&case["k"]), count(&case["n"]));
        let ours = rogan_gladen(
            k,
            n,
            estimated("sensitivity"),
            estimated("specificity"),
            0.95,
        )
        .expect("defined");
        close(ours.estimate, real(&case["estimate"]), EXACT, "estimate");
        // A formula against 400,000 draws of all three shares.
        bounds(
            ours.ci.as_ref().expect("an interval"),
            &case["ci"],
            2.0 * POINTS,
            "interval",
        );
    }
}

#[test]
fn agreement_of_two_judges() {
    let case = part("agreement");
    let words = |name: &str| -> Vec<usize> {
        truths(&case[name])
            .iter()
            .map(|&word| usize::from(word))
            .collect()
    };
    let table = Confusion::of(&words("first"), &words("second"), 2).expect("aligned");
    close(
        table.cohen_kappa().expect("defined"),
        real(&case["kappa"]),
        EXACT,
        "kappa",
    );
    let kappa = table.cohen_kappa_interval(OPTIONS).expect("defined");
    bounds(&kappa, &case["kappa_ci"], POINTS, "kappa");
    let ac1 = table.gwet_ac1_interval(OPTIONS).expect("defined");
    bounds(&ac1, &case["ac1_ci"], POINTS, "ac1");
}

#[test]
fn rank_correlation() {
    let case = part("spearman");
    let ours = spearman(&reals(&case["a"]), &reals(&case["b"])).expect("spread");
    close(ours, real(&case["rho"]), EXACT, "rho");
}

#[test]
fn ranks_and_bins_of_two_models() {
    let case = part("ranks");
    let arms: Vec<(Vec<f64>, Vec<bool>)> = list(&case["arms"])
        .iter()
        .map(|arm| (reals(&arm["confidence"]), truths(&arm["correct"])))
        .collect();
    for ((confidence, correct), theirs) in arms.iter().zip(list(&case["arms"])) {
        let ours = Predictions::new(confidence, correct).expect("aligned");
        let prr = ours.rank(RankStatistic::Prr).expect("two classes");
        close(prr, real(&theirs["prr"]), EXACT, "prr");
        let mass = ours.equal_mass(10).expect("probabilities");
        close(mass.ece, real(&theirs["ece10_mass"]), EXACT, "equal mass");
        let below = ours
            .equal_width_closed(10, Closed::Lower)
            .expect("probabilities");
        close(
            below.ece,
            real(&theirs["ece10_below"]),
            EXACT,
            "closed below",
        );
        close(
            below.mce,
            real(&theirs["mce10_below"]),
            EXACT,
            "closed below",
        );
    }
    let arm = |index: usize| (arms[index].0.as_slice(), arms[index].1.as_slice());
    let options = Options {
        resamples: 5_000,
        ..OPTIONS
    };
    let (difference, ci) =
        paired_rank_difference(arm(0), arm(1), RankStatistic::Auroc, options).expect("defined");
    close(
        difference,
        real(&case["auroc_difference"]),
        EXACT,
        "difference",
    );
    bounds(&ci.expect("spread"), &case["ci"], POINTS, "difference");
}
