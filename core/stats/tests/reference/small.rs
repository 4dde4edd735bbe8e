//! Closed forms on few and uneven numbers, against statsmodels, scipy and numpy (fixtures/small.py): where samples are many, a wrong
//! divisor or sign of a correction is lost among them.

use crate::values::{bounds, close, count, fixture, labels, list, real, reals};
use driftgauge_stats::agreement::{Confusion, krippendorff_alpha};
use driftgauge_stats::bootstrap::Options;
use driftgauge_stats::clustered::clustered_mean_interval;
use driftgauge_stats::correction::{Estimated, rogan_gladen, rogan_gladen_share};
use driftgauge_stats::did::clustered_difference_in_differences;
use driftgauge_stats::effect::effect_sizes;
use driftgauge_stats::paired::{PairCounts, newcombe_paired};
use driftgauge_stats::permutation::sign_flip;
use driftgauge_stats::power::{self, PairedVariance, paired_mean_mde, paired_mean_n};
use driftgauge_stats::proportion::{
    clopper_pearson, effective_trials, standard_error, wilson, wilson_share,
};
use driftgauge_stats::regression::slope;
use driftgauge_stats::summary::mean_interval;
use driftgauge_stats::unpaired::{Moments, welch_of};
use driftgauge_stats::{Interval, special};
use serde_json::Value;

const EXACT: f64 = 1e-9;

fn part(name: &str) -> Value {
    fixture("small.json")[name].clone()
}

fn pair_counts(case: &Value) -> PairCounts {
    let [both, baseline_only, model_only, neither] =
        [0, 1, 2, 3].map(|cell| count(&case["counts"][cell]));
    PairCounts {
        both,
        baseline_only,
        model_only,
        neither,
    }
}

#[test]
fn pairs_of_zeros_and_ones() {
    for case in list(&part("paired")) {
        let counts = pair_counts(case);
        let what = format!("{counts:?}");
        let difference = counts.difference().expect("pairs");
        close(difference, real(&case["difference"]), EXACT, &what);
        let se = counts.standard_error().expect("pairs");
        close(se, real(&case["se"]), EXACT, &what);
    }
    // A score counts from above one half on.
    let mut counts = PairCounts::of(&[(0.5, 0.5), (0.5, 0.6), (0.9, 0.5), (1.0, 1.0)]);
    let expected = [1, 1, 1, 1];
    let cells = |c: PairCounts| [c.both, c.baseline_only, c.model_only, c.neither];
    assert_eq!(cells(counts), expected);
    for _ in 0..2 {
        counts.add(true, true);
        counts.add(true, false);
        counts.add(false, true);
        counts.add(false, false);
    }
    assert_eq!(cells(counts), [3, 3, 3, 3]);
    assert_eq!(PairCounts::default().difference(), None);
    let one = PairCounts {
        both: 1,
        ..PairCounts::default()
    };
    assert_eq!((one.difference(), one.standard_error()), (Some(0.0), None));
}

#[test]
fn differences_of_few_pairs() {
    for case in list(&part("newcombe_paired")) {
        let (counts, level) = (pair_counts(case), real(&case["level"]));
        let ours = newcombe_paired(counts, level).expect("pairs");
        bounds(&ours, &case["ci"], EXACT, &format!("{counts:?}"));
    }
}

#[test]
fn judges_measured_on_few_labels() {
    for case in list(&part("rogan_gladen")) {
        let estimated = |name: &str| Estimated {
            value: real(&case[name][0]),
            n: case[name][1].as_u64(),
        };
        let (sensitivity, specificity) = (estimated("sensitivity"), estimated("specificity"));
        let (k, n, level) = (count(&case["k"]), count(&case["n"]), real(&case["level"]));
        let ours = rogan_gladen(k, n, sensitivity, specificity, level).expect("defined");
        close(ours.estimate, real(&case["estimate"]), EXACT, "estimate");
        bounds(
            ours.ci.as_ref().expect("an interval"),
            &case["ci"],
            EXACT,
            &format!("{k} of {n}"),
        );
        assert_eq!(Some(ours.held), case["held"].as_bool());
    }
    // Rates that are none, and shares that are none.
    let known = |value: f64| Estimated { value, n: None };
    for (sensitivity, specificity) in [(1.2, 0.9), (0.9, 1.2), (-0.1, 1.0), (f64::NAN, 0.9)] {
        let ours = rogan_gladen(3, 9, known(sensitivity), known(specificity), 0.95);
        assert_eq!(ours, None, "{sensitivity} {specificity}");
    }
    for p in [-0.1, 1.1, f64::NAN] {
        let ours = rogan_gladen_share(p, 9.0, known(0.9), known(0.9), 0.95);
        assert_eq!(ours, None, "{p}");
    }
}

#[test]
fn rates_and_their_effects() {
    for case in list(&part("standard_error")) {
        let (k, n) = (count(&case[0]), count(&case[1]));
        let ours = standard_error(k, n).expect("trials");
        close(ours, real(&case[2]), EXACT, &format!("{k} of {n}"));
    }
    assert_eq!(standard_error(4, 3), None);
    // No interval has the level 0 or 1.
    for level in [0.0, 1.0, f64::NAN] {
        assert_eq!(wilson(1, 2, level), None, "{level}");
        assert_eq!(clopper_pearson(1, 2, level), None, "{level}");
    }
    for case in list(&part("effect")) {
        let ours = effect_sizes(real(&case["baseline"]), real(&case["model"])).expect("rates");
        close(ours.difference, real(&case["difference"]), EXACT, "points");
        let relative = ours.relative.expect("a baseline above 0");
        close(relative, real(&case["relative"]), EXACT, "relative");
    }
}

#[test]
fn means_of_small_numbers_and_of_one() {
    // Two numbers: Student's quantile of one degree of freedom is 12.706, their standard error half of what they differ by.
    let ci = mean_interval(&[1e-9, 3e-9], 0.95).expect("spread");
    close(
        ci.high / 1e-9,
        2.0 + 12.706_204_736_174_7,
        EXACT,
        "small numbers",
    );
    // One value says nothing about its spread, whatever is said of it.
    let moments = |n| Moments {
        n,
        mean: 1.0,
        sd: 0.5,
    };
    assert_eq!(welch_of(moments(1), moments(9), 0.95), None);
    assert_eq!(welch_of(moments(9), moments(1), 0.95), None);
    assert!(welch_of(moments(2), moments(2), 0.95).is_some());
}

#[test]
fn what_shares_are_worth() {
    // Four items, p = 1/2 and a variance of 1/20 between them: 4 (1/4) / (1/20) = 20 trials.
    let even = [0.2, 0.4, 0.6, 0.8];
    close(effective_trials(&even, 40), 20.0, EXACT, "trials");
    // Never more than there were, nor fewer than there are items.
    close(effective_trials(&even, 12), 12.0, EXACT, "at most");
    // p = 0.55 and a variance of 0.2025 - 2 (0.2025) / 4 ...: of [0.1, 1, 1, 0.1] it is 0.45^2, and 4 (0.2475) / 0.2025 = 4.889.
    let wide = effective_trials(&[0.1, 1.0, 1.0, 0.1], 40);
    close(wide, 4.0 * 0.2475 / 0.2025, EXACT, "hardly more than items");
    // Items that are all right are items, however often each was tried.
    assert_eq!(effective_trials(&[1.0; 5], 50), 5.0);
    assert_eq!(effective_trials(&[0.0; 5], 50), 5.0);
    for (p, n) in [
        (-0.1, 10.0),
        (0.5, f64::INFINITY),
        (0.5, f64::NAN),
        (0.5, -1.0),
    ] {
        assert_eq!(wilson_share(p, n, 0.95), None, "{p} {n}");
    }
}

#[test]
fn sizes_of_studies() {
    for case in list(&part("paired_mean")) {
        let pair = |name: &str| (real(&case[name][0]), real(&case[name][1]));
        let variance = PairedVariance {
            between_items: real(&case["between"]),
            within_item: pair("within"),
            samples: (count(&case["samples"][0]), count(&case["samples"][1])),
        };
        let ours = paired_mean_n(0.1, variance, 0.05, 0.8).expect("defined");
        assert_eq!(ours, count(&case["n"]), "{variance:?}");
        let mde = paired_mean_mde(60, variance, 0.05, 0.8).expect("defined");
        close(mde, real(&case["mde_60"]), EXACT, "least difference");
        assert_eq!(paired_mean_mde(0, variance, 0.05, 0.8), None);
        let bad = |change: fn(&mut PairedVariance)| {
            let mut variance = variance;
            change(&mut variance);
            paired_mean_n(0.1, variance, 0.05, 0.8)
        };
        assert_eq!(bad(|v| v.samples.0 = 0), None);
        assert_eq!(bad(|v| v.samples.1 = 0), None);
        assert_eq!(bad(|v| v.within_item.0 = -0.01), None);
        assert_eq!(bad(|v| v.within_item.1 = -0.01), None);
        assert_eq!(bad(|v| v.between_items = -0.01), None);
        assert_eq!(bad(|v| v.between_items = f64::INFINITY), None);
    }
    for case in list(&part("unpaired_mde")).iter().map(reals) {
        let ours = power::unpaired_mde(case[0] as u64, case[1], 0.05, 0.8).expect("seen");
        close(ours, case[2], EXACT, &format!("{case:?}"));
    }
    for case in list(&part("mcnemar_mde")).iter().map(reals) {
        let ours = power::mcnemar_mde(case[0] as u64, case[1], 0.05, 0.8).expect("seen");
        close(ours, case[2], EXACT, &format!("{case:?}"));
    }
    for (baseline, model) in [(-0.1, 0.3), (0.3, 1.1), (1.1, 0.3), (0.3, -0.1)] {
        let ours = power::unpaired_n(baseline, model, 0.05, 0.8);
        assert_eq!(ours, None, "{baseline} {model}");
    }
}

#[test]
fn differences_in_differences_of_clusters() {
    let case = part("clustered_did");
    let columns: Vec<Vec<f64>> = list(&case["columns"]).iter().map(reals).collect();
    let [base_before, base_after, before, after] = columns.as_slice() else {
        panic!("four columns");
    };
    let clusters = labels(&case["clusters"]);
    let options = Options {
        resamples: 40_000,
        ..Options::default()
    };
    let (baseline, model) = (
        (&base_before[..], &base_after[..]),
        (&before[..], &after[..]),
    );
    let ours = clustered_difference_in_differences(baseline, model, &clusters, options)
        .expect("aligned columns");
    assert_eq!(ours.n, 14);
    close(ours.estimate, real(&case["estimate"]), EXACT, "estimate");
    close(ours.se.expect("spread"), real(&case["se"]), EXACT, "se");
    close(ours.z.expect("spread"), real(&case["z"]), EXACT, "z");
    close(ours.p.expect("spread"), real(&case["p"]), EXACT, "p");
    let ci = ours.ci.expect("spread");
    assert!(ci.method.starts_with("cluster-bootstrap-"), "{}", ci.method);
    bounds(&ci, &case["ci"], 0.01, "interval");
    // Clusters that moved by the same leave nothing between them: no statistic, and no interval.
    let even = [0.0, 1.0, 0.0, 1.0];
    let same = clustered_difference_in_differences(
        (&[0.0; 4], &[0.0; 4]),
        (&[0.0; 4], &even),
        &[0, 0, 1, 1],
        options,
    )
    .expect("aligned columns");
    assert_eq!((same.se, same.z, same.ci), (Some(0.0), None, None));
    // More names of clusters than items.
    let long = clustered_difference_in_differences(baseline, model, &[0; 15], options);
    assert_eq!(long, None);
}

#[test]
fn clusters_of_the_same_mean_have_no_interval() {
    let ours = clustered_mean_interval(&[1.0, 0.0, 1.0, 0.0], &[0, 0, 1, 1], 0.95);
    assert_eq!(ours, None);
}

#[test]
fn tables_and_lone_labels() {
    let table = Confusion::of(&[0, 0, 1, 2, 2, 2], &[0, 1, 1, 2, 2, 0], 3).expect("aligned");
    let cells = [[1, 1, 0], [0, 1, 0], [1, 0, 2]];
    for (first, row) in cells.iter().enumerate() {
        for (second, expected) in row.iter().enumerate() {
            assert_eq!(table.count(first, second), *expected, "{first} {second}");
        }
    }
    assert_eq!(table.count(3, 0), 0);
    // Labels of one judge alone pair with nothing: 1 - (6 - 1) 2 / (3 · 3 + 3 · 3) = 4/9 with them and without.
    let pairs = [vec![0, 0], vec![0, 1], vec![1, 1]];
    let with_lone = [vec![0, 0], vec![1], vec![0, 1], vec![0], vec![1, 1]];
    for samples in [&pairs[..], &with_lone[..]] {
        let alpha = krippendorff_alpha(samples).expect("two classes");
        close(alpha, 4.0 / 9.0, EXACT, "alpha");
    }
}

#[test]
fn flips_are_counted_where_sizes_are_few() {
    // 20,000 differences: of two sizes and of sixty-four they are counted, so that the p-value is a number of flips over all of them.
    let flips = 499;
    for sizes in [2, 64] {
        let values: Vec<f64> = (0..20_480_i32)
            .map(|i| f64::from(1 + i % sizes) * if i % 1000 < 493 { -1.0 } else { 1.0 })
            .collect();
        let p = sign_flip(&values, flips, 2).expect("finite");
        let counted = p * (flips + 1) as f64;
        close(counted, counted.round(), 1e-7, "a number of flips");
        assert!(p > 0.0 && p < 0.9, "{p}");
    }
    // Of twenty thousand sizes the normal tail stands in for the count: scipy's.
    let many: Vec<f64> = (0..20_000).map(|i| f64::from(i).sin() + 0.01).collect();
    let share = real(&part("normal_flips"));
    let p = sign_flip(&many, 2_000, 4).expect("finite");
    close(p, (1.0 + 2_000.0 * share) / 2_001.0, EXACT, "normal tail");
}

#[test]
fn lines_that_leave_only_rounding_have_no_spread() {
    // Neither are these numbers held exactly, nor do the largest ones keep their digits below 1e-10.
    for scale in [0.1, 1e6 / 3.0] {
        let points: Vec<(f64, f64)> = (1..=7)
            .map(|i| (f64::from(i) * 0.1, f64::from(i) * scale))
            .collect();
        let line = slope(&points, 0.95).expect("different numbers");
        close(line.estimate, scale * 10.0, EXACT, "slope");
        assert_eq!((line.se, line.ci), (None, None), "{scale}");
    }
    let flat = slope(&[(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)], 0.95).expect("different numbers");
    assert_eq!((flat.estimate, flat.se), (0.0, None));
    for bad in [f64::NAN, f64::INFINITY] {
        assert_eq!(slope(&[(1.0, 2.0), (2.0, bad), (3.0, 5.0)], 0.95), None);
        assert_eq!(slope(&[(1.0, 2.0), (bad, 4.0), (3.0, 5.0)], 0.95), None);
    }
}

#[test]
fn special_functions_at_their_ends_and_joins() {
    for pair in list(&part("normal_quantile")).iter().map(reals) {
        let ours = special::normal_quantile(pair[0]);
        close(ours, pair[1], EXACT, &format!("quantile of {}", pair[0]));
    }
    for pair in list(&part("normal_cdf")).iter().map(reals) {
        let ratio = special::normal_cdf(pair[0]) / pair[1];
        close(ratio, 1.0, EXACT, &format!("below {}", pair[0]));
    }
    for pair in list(&part("ln_gamma")).iter().map(reals) {
        let what = format!("ln gamma of {}", pair[0]);
        close(special::ln_gamma(pair[0]), pair[1], 1e-13, &what);
    }
    for case in list(&part("ln_choose")).iter().map(reals) {
        let ours = special::ln_choose(case[0] as u64, case[1] as u64);
        close(ours, case[2], 1e-11, &format!("{case:?}"));
    }
    for case in list(&part("beta_regularized")).iter().map(reals) {
        let ours = special::beta_regularized(case[0], case[1], case[2]);
        close(ours, case[3], 1e-12, &format!("{case:?}"));
    }
    for case in list(&part("beta_quantile")).iter().map(reals) {
        let ours = special::beta_quantile(case[0], case[1], case[2]);
        close(ours, case[3], 1e-12, &format!("{case:?}"));
    }
}

#[test]
fn both_bounds_belong_to_an_interval() {
    let interval = Interval {
        level: 0.9,
        low: -1.0,
        high: 2.0,
        method: "by hand".to_owned(),
        draws: None,
    };
    for (value, within) in [
        (-1.0, true),
        (2.0, true),
        (0.3, true),
        (-1.1, false),
        (2.1, false),
        (f64::NAN, false),
    ] {
        assert_eq!(interval.contains(value), within, "{value}");
    }
}
