//! Everything with a formula, against scipy and statsmodels (fixtures/make.py): within 1e-9.

use crate::values::{bounds, close, count, fixture, list, real, reals};
use driftgauge_stats::clustered::clustered_standard_error;
use driftgauge_stats::correction::{Estimated, rogan_gladen};
use driftgauge_stats::effect::effect_sizes;
use driftgauge_stats::multiplicity::{benjamini_hochberg, holm};
use driftgauge_stats::paired::{mcnemar_chi_squared, mcnemar_exact, mcnemar_mid_p};
use driftgauge_stats::proportion::{clopper_pearson, wilson};
use driftgauge_stats::summary::{mean_interval, quantile, summarize};
use driftgauge_stats::unpaired::{newcombe_unpaired, welch_t};
use driftgauge_stats::{power, special};
use serde_json::Value;

const EXACT: f64 = 1e-9;

fn part(name: &str) -> Value {
    fixture("closed_forms.json")[name].clone()
}

#[test]
fn special_functions() {
    for pair in list(&part("normal_quantile")).iter().map(reals) {
        close(
            special::normal_quantile(pair[0]),
            pair[1],
            EXACT,
            "normal quantile",
        );
    }
    for pair in list(&part("normal_two_sided")).iter().map(reals) {
        let ratio = special::normal_two_sided(pair[0]) / pair[1];
        close(ratio, 1.0, EXACT, "normal tail");
    }
    for pair in list(&part("ln_gamma")).iter().map(reals) {
        close(special::ln_gamma(pair[0]), pair[1], 1e-13, "ln gamma");
    }
    for case in list(&part("beta_regularized")).iter().map(reals) {
        let ours = special::beta_regularized(case[0], case[1], case[2]);
        close(ours, case[3], EXACT, "incomplete beta");
    }
    for case in list(&part("student_t")).iter().map(reals) {
        let (t, df) = (case[0], case[1]);
        let ratio = special::student_t_two_sided(t, df) / case[2];
        close(ratio, 1.0, EXACT, "t tail");
        let quantile = special::student_t_two_sided_quantile(0.05, df);
        close(quantile, case[3], EXACT, "t quantile");
    }
}

#[test]
fn proportions() {
    for case in list(&part("proportions")) {
        let (k, n, level) = (count(&case["k"]), count(&case["n"]), real(&case["level"]));
        let what = format!("{k} of {n} at {level}");
        let ours = wilson(k, n, level).expect("defined");
        bounds(&ours, &case["wilson"], EXACT, &what);
        let ours = clopper_pearson(k, n, level).expect("defined");
        bounds(&ours, &case["clopper_pearson"], EXACT, &what);
    }
}

#[test]
fn mcnemar() {
    for case in list(&part("mcnemar")) {
        let (b, c) = (count(&case["b"]), count(&case["c"]));
        let what = format!("{b} against {c}");
        close(mcnemar_exact(b, c).ln(), real(&case["ln_p"]), EXACT, &what);
        close(
            mcnemar_mid_p(b, c).ln(),
            real(&case["ln_mid_p"]),
            EXACT,
            &what,
        );
        let chi_squared = mcnemar_chi_squared(b, c).expect("discordant pairs");
        close(
            chi_squared.statistic,
            real(&case["chi_squared"]),
            EXACT,
            &what,
        );
        close(chi_squared.p, real(&case["chi_squared_p"]), EXACT, &what);
    }
}

#[test]
fn independent_samples() {
    for case in list(&part("newcombe_unpaired")) {
        let arm = |name: &str| (count(&case[name][0]), count(&case[name][1]));
        let ours = newcombe_unpaired(arm("baseline"), arm("model"), 0.95).expect("defined");
        bounds(&ours, &case["ci"], EXACT, "newcombe");
    }
    let case = part("welch");
    let (test, ci) =
        welch_t(&reals(&case["baseline"]), &reals(&case["model"]), 0.95).expect("defined");
    close(test.statistic, real(&case["t"]), EXACT, "t");
    close(
        test.degrees_of_freedom.expect("given"),
        real(&case["df"]),
        EXACT,
        "df",
    );
    close(test.p, real(&case["p"]), EXACT, "p");
    bounds(&ci, &case["ci"], EXACT, "welch");
}

#[test]
fn summaries() {
    let case = part("summary");
    let values = reals(&case["values"]);
    let ours = summarize(&values).expect("defined");
    close(ours.mean, real(&case["mean"]), 1e-15, "mean");
    close(ours.median, real(&case["median"]), EXACT, "median");
    close(ours.sd.expect("defined"), real(&case["sd"]), EXACT, "sd");
    close(ours.se.expect("defined"), real(&case["se"]), EXACT, "se");
    close(
        ours.sd_population,
        real(&case["sd_population"]),
        EXACT,
        "population sd",
    );
    for pair in list(&case["quantiles"]).iter().map(reals) {
        let ours = quantile(&values, pair[0]).expect("defined");
        close(ours, pair[1], EXACT, "quantile");
    }
}

#[test]
fn means_by_student() {
    for case in list(&part("student_mean")) {
        let (values, level) = (reals(&case["values"]), real(&case["level"]));
        let ours = mean_interval(&values, level).expect("spread");
        bounds(
            &ours,
            &case["ci"],
            EXACT,
            &format!("mean of {}", values.len()),
        );
    }
}

#[test]
fn multiplicity() {
    let case = part("multiplicity");
    let p = reals(&case["p"]);
    for (ours, theirs) in [
        (holm(&p), reals(&case["holm"])),
        (benjamini_hochberg(&p), reals(&case["bh"])),
    ] {
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            close(*ours, *theirs, EXACT, "adjusted p");
        }
    }
}

#[test]
fn effects() {
    for case in list(&part("effect")) {
        let ours = effect_sizes(real(&case["baseline"]), real(&case["model"])).expect("defined");
        close(ours.cohens_h, real(&case["cohens_h"]), EXACT, "h");
        close(
            ours.risk_ratio.expect("defined"),
            real(&case["risk_ratio"]),
            EXACT,
            "risk ratio",
        );
        close(
            ours.odds_ratio.expect("defined"),
            real(&case["odds_ratio"]),
            EXACT,
            "odds ratio",
        );
    }
}

#[test]
fn clustered_errors() {
    let case = part("clustered");
    let clusters = crate::values::labels(&case["clusters"]);
    let ours = clustered_standard_error(&reals(&case["values"]), &clusters).expect("defined");
    close(ours, real(&case["se"]), EXACT, "clustered se");
}

#[test]
fn sample_sizes() {
    for case in list(&part("power_unpaired")) {
        let (p, q, target) = (
            real(&case["baseline"]),
            real(&case["model"]),
            real(&case["power"]),
        );
        let ours = power::unpaired_n(p, q, 0.05, target).expect("defined");
        assert_eq!(ours, real(&case["n"]).ceil() as u64, "{p} {q}");
    }
    for case in list(&part("power_mcnemar")) {
        let (delta, psi, target) = (
            real(&case["delta"]),
            real(&case["discordance"]),
            real(&case["power"]),
        );
        let ours = power::mcnemar_n(delta, psi, 0.05, target).expect("defined");
        assert_eq!(ours, count(&case["n"]), "{delta} {psi}");
        // The effect that this many pairs can see is the one asked for, up to rounding n up.
        let mde = power::mcnemar_mde(ours, psi, 0.05, target).expect("defined");
        assert!(mde <= delta && mde > 0.995 * delta, "{mde} for {delta}");
    }
    let n = power::unpaired_n(0.1, 0.2, 0.05, 0.8).expect("defined");
    let mde = power::unpaired_mde(n, 0.1, 0.05, 0.8).expect("defined");
    assert!(mde <= 0.1 && mde > 0.0995, "{mde}");
}

#[test]
fn correction_with_known_errors() {
    let case = part("rogan_gladen_known");
    let known = |name: &str| Estimated {
        value: real(&case[name]),
        n: None,
    };
    let (sensitivity, specificity) = (known("sensitivity"), known("specificity"));
    let (k, n) = (count(&case["k"]), count(&case["n"]));
    let ours = rogan_gladen(k, n, sensitivity, specificity, 0.95).expect("defined");
    close(ours.estimate, real(&case["estimate"]), EXACT, "estimate");
    bounds(
        ours.ci.as_ref().expect("an interval"),
        &case["ci"],
        EXACT,
        "interval",
    );
}
