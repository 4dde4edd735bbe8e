//! Agreement, against scikit-learn, statsmodels, irrCAC and krippendorff (fixtures/make.py).

use crate::values::{close, count, fixture, labels, list, real};
use driftgauge_stats::agreement::{Confusion, krippendorff_alpha};

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

#[test]
fn many_judges() {
    let case = &fixture("agreement.json")["krippendorff"];
    let samples: Vec<Vec<usize>> = list(&case["samples"]).iter().map(labels).collect();
    let ours = krippendorff_alpha(&samples).expect("defined");
    close(ours, real(&case["alpha"]), 1e-9, "alpha");
}
