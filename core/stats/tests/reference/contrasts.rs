//! Differences of AUROC, calibration error and kappa on the same items, against scikit-learn and plain loops of numpy
//! (fixtures/contrasts.py).

use crate::values::{close, fixture, labels, list, real, reals, truths};
use driftgauge_stats::bootstrap::Options;
use driftgauge_stats::calibration::{Answers, Pooled, RankStatistic, contrasts, delong_test};
use driftgauge_stats::permutation::sign_flip;
use serde_json::Value;

const OPTIONS: Options = Options {
    level: 0.95,
    resamples: 20_000,
    seed: 3,
};

fn side(case: &Value, place: usize, items: &[u32], words: bool) -> Answers {
    let mut values = reals(&case["values"][place]);
    if words {
        for value in &mut values {
            *value = f64::from(u8::from(*value > 0.5));
        }
    }
    Answers::new(&values, &truths(&case["truths"][place]), items).expect("aligned")
}

#[test]
fn differences_of_pooled_numbers() {
    for case in list(&fixture("contrasts.json")["cases"]) {
        let n = reals(&case["values"][0]).len() as u32;
        let alone: Vec<u32> = (0..n).collect();
        let clusters: Vec<u32> = labels(&case["clusters"])
            .iter()
            .map(|&c| c as u32)
            .collect();
        for (key, items) in [("alone", alone), ("clustered", clusters)] {
            let count = items.iter().max().expect("items") + 1;
            for (name, number, words) in [
                ("auroc", Pooled::Rank(RankStatistic::Auroc), false),
                ("ece10", Pooled::CalibrationError { bins: 10 }, false),
                ("kappa", Pooled::Kappa, true),
            ] {
                let what = format!("{} {key} {name}", case["name"]);
                let theirs = &case[key][name];
                let (first, second) = (side(case, 0, &items, words), side(case, 1, &items, words));
                let sides = [(&first, -1.0), (&second, 1.0)];
                let ours = contrasts(&[number], &sides, count as usize, OPTIONS)[0]
                    .clone()
                    .expect("defined");
                close(ours.estimate, real(&theirs["estimate"]), 1e-9, &what);
                let ci = ours.ci.expect("varies");
                // Three standard errors of the difference of two drawn bounds.
                let drawn = 0.08 * real(&theirs["se"]);
                close(ci.low, real(&theirs["ci"][0]), drawn, &what);
                close(ci.high, real(&theirs["ci"][1]), drawn, &what);
                close(
                    ours.se.expect("varies") / real(&theirs["se"]),
                    1.0,
                    0.02,
                    &what,
                );
                close(ours.p.expect("varies"), real(&theirs["p"]), 0.015, &what);
            }
        }
    }
}

#[test]
fn delong_on_the_same_labels() {
    for case in list(&fixture("contrasts.json")["cases"]) {
        let truths = truths(&case["truths"][0]);
        let items: Vec<u32> = (0..truths.len() as u32).collect();
        let answers = |place: usize| {
            Answers::new(&reals(&case["values"][place]), &truths, &items).expect("aligned")
        };
        let test = delong_test(&answers(0), &answers(1), truths.len()).expect("defined");
        close(test.statistic, real(&case["delong"][0]), 1e-9, "z");
        close(test.p, real(&case["delong"][1]), 1e-9, "p");
    }
}

#[test]
fn signs_of_clusters() {
    let fixture = fixture("contrasts.json");
    let case = &fixture["cluster_flips"];
    let ours = sign_flip(&reals(&case["totals"]), 50_000, 1).expect("defined");
    close(ours, real(&case["p"]), 5e-3, "p");
}
