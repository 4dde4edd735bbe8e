//! Agreement, against scikit-learn, statsmodels, irrCAC and krippendorff (fixtures/make.py).

use crate::values::{bounds, close, count, fixture, labels, list, real};
use driftgauge_stats::agreement::{Confusion, PromptConfusion, krippendorff_alpha};
use driftgauge_stats::bootstrap::Options;

#[test]
fn two_judges() {
    for case in list(&fixture("agreement.json")["pairs"]) {
        let classes = count(&case["classes"]) as usize;
        let (first, second) = (labels(&case["first"]), labels(&case["second"]));
        let table = Confusion::of(&first, &second, classes).expect("aligned");
        let what = format!("{classes} classes");
        close(
            table.raw_agreement().expect("defined"),
            real(&case["raw"]),
            1e-12,
            &what,
        );
        close(
            table.cohen_kappa().expect("defined"),
            real(&case["kappa"]),
            1e-9,
            &what,
        );
        close(
            table.cohen_kappa().expect("defined"),
            real(&case["kappa_statsmodels"]),
            1e-9,
            &what,
        );
        close(
            table.gwet_ac1().expect("defined"),
            real(&case["ac1"]),
            1e-9,
            &what,
        );
        let ci = table
            .cohen_kappa_interval(Default::default())
            .expect("defined");
        assert!(ci.contains(real(&case["kappa"])) && ci.high - ci.low < 0.5);
    }
}

/// fixtures/prompt_agreement.py: scikit-learn's weighted kappa, and numpy's bootstrap over prompts.
#[test]
fn several_completions_of_a_prompt() {
    for case in list(&fixture("prompt_agreement.json")["cases"]) {
        let name = case["name"].as_str().expect("a name");
        let counts = list(&case["counts"]).iter();
        let counts: Vec<Vec<u64>> = counts
            .map(|cells| list(cells).iter().map(count).collect())
            .collect();
        let table = PromptConfusion::of(2, &counts);
        assert_eq!(table.n(), counts.len() as u64);
        for (ours, key) in [
            (table.raw_agreement(), "raw"),
            (table.cohen_kappa(), "kappa"),
            (table.gwet_ac1(), "ac1"),
        ] {
            close(ours.expect("defined"), real(&case[key]), 1e-9, name);
        }
        // Sixty prompts leave kappa a standard error of five points: 10,000 draws would not be enough for 0.3.
        let options = Options {
            resamples: 100_000,
            ..Options::default()
        };
        let drawn = table.intervals(options);
        for (ours, key) in [(drawn.kappa, "kappa_ci"), (drawn.ac1, "ac1_ci")] {
            let ours = ours.expect("prompts differ");
            assert!(ours.method.starts_with("cluster-bootstrap-percentile"));
            bounds(&ours, &case[key], 0.003, name);
        }
    }
}

#[test]
fn many_judges() {
    let case = &fixture("agreement.json")["krippendorff"];
    let samples: Vec<Vec<usize>> = list(&case["samples"]).iter().map(labels).collect();
    let ours = krippendorff_alpha(&samples).expect("defined");
    close(ours, real(&case["alpha"]), 1e-9, "alpha");
}
