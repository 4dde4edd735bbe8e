//! Calibration and ranking, against scikit-learn, pandas and confidenceinterval's DeLong (fixtures/make.py).

use crate::values::{close, fixture, list, real, reals, truths};
use driftgauge_stats::calibration::{Predictions, RankStatistic};

#[test]
fn errors_and_ranks() {
    for case in list(&fixture("calibration.json")["cases"]) {
        let ours = Predictions::new(&reals(&case["confidence"]), &truths(&case["correct"]))
            .expect("aligned");
        for bins in [10, 15] {
            let binned = ours.equal_width(bins).expect("probabilities");
            close(
                binned.ece,
                real(&case[format!("ece{bins}")]),
                1e-9,
                &binned.name,
            );
            close(
                binned.mce,
                real(&case[format!("mce{bins}")]),
                1e-9,
                &binned.name,
            );
        }
        let brier = ours.brier().expect("probabilities");
        close(brier.score, real(&case["brier"]), 1e-9, "brier");
        close(
            brier.skill.expect("two classes"),
            real(&case["brier_skill"]),
            1e-9,
            "skill",
        );
        close(
            ours.auroc().expect("two classes"),
            real(&case["auroc"]),
            1e-9,
            "auroc",
        );
        let delong = ours.auroc_interval(0.95).expect("two classes");
        assert_eq!(delong.method, "delong");
        // That package keeps its midranks in single precision, and does not hold the bounds to [0, 1].
        close(
            delong.low,
            real(&case["delong"][0]).max(0.0),
            1e-7,
            "delong",
        );
        close(
            delong.high,
            real(&case["delong"][1]).min(1.0),
            1e-7,
            "delong",
        );
        // Ties by expectation were averaged over random orders there.
        let tolerance = real(&case["curve_tolerance"]);
        let rank = |statistic| ours.rank(statistic).expect("two classes");
        let (aurc, oracle) = (real(&case["aurc"]), real(&case["oracle"]));
        let risk = 1.0 - ours.accuracy();
        close(rank(RankStatistic::Aurc), aurc, tolerance, "aurc");
        close(
            rank(RankStatistic::Augrc),
            real(&case["augrc"]),
            tolerance,
            "augrc",
        );
        close(
            rank(RankStatistic::EAurc),
            aurc - oracle,
            tolerance,
            "e-aurc",
        );
        let prr = (risk - aurc) / (risk - oracle);
        close(rank(RankStatistic::Prr), prr, 10.0 * tolerance, "prr");
    }
}
