//! Bootstrap and permutation, against scipy (fixtures/make.py): bounds within 0.3 percentage points.

use crate::values::{bounds, close, fixture, labels, list, real, reals, truths};
use driftgauge_stats::bootstrap::{
    Items, Options, cluster_mean_interval, hierarchical_mean, mean_interval, mean_interval_bca,
};
use driftgauge_stats::calibration::{Predictions, RankStatistic};
use driftgauge_stats::permutation::sign_flip;

const POINTS: f64 = 0.003;
const OPTIONS: Options = Options {
    level: 0.95,
    resamples: 20_000,
    seed: 11,
};

#[test]
fn means() {
    for case in list(&fixture("resampling.json")["means"]) {
        let values = reals(&case["values"]);
        let name = case["name"].as_str().expect("a name");
        let percentile = mean_interval(&values, OPTIONS).expect("defined");
        bounds(&percentile, &case["percentile"], POINTS, name);
        let bca = mean_interval_bca(&values, OPTIONS).expect("defined");
        assert!(bca.method.starts_with("bootstrap-bca"));
        bounds(&bca, &case["bca"], POINTS, name);
        let replicates = Items::new(&[&values])
            .expect("finite")
            .resample(OPTIONS)
            .replicates(|total, n| Some(total[0] / n))
            .expect("defined");
        let se = replicates.standard_error().expect("defined");
        close(se / real(&case["se"]), 1.0, 0.02, name);
    }
}

#[test]
fn bca_follows_the_skew() {
    let fixture = fixture("resampling.json");
    let skewed = &fixture["means"][2];
    let values = reals(&skewed["values"]);
    let percentile = mean_interval(&values, OPTIONS).expect("defined");
    let bca = mean_interval_bca(&values, OPTIONS).expect("defined");
    // scipy's BCa moves both bounds up by about as much.
    let theirs = real(&skewed["bca"][1]) - real(&skewed["percentile"][1]);
    assert!(theirs > 0.0 && bca.low > percentile.low);
    close((bca.high - percentile.high) / theirs, 1.0, 0.4, "shift");
}

#[test]
fn clusters_and_seeds() {
    let fixture = fixture("resampling.json");
    let case = &fixture["cluster"];
    let clusters = labels(&case["clusters"]);
    let ours = cluster_mean_interval(&reals(&case["values"]), &clusters, OPTIONS).expect("defined");
    bounds(&ours, &case["ci"], POINTS, "clusters");
    let case = &fixture["hierarchical"];
    let seeds: Vec<Vec<f64>> = list(&case["seeds"]).iter().map(reals).collect();
    let seeds: Vec<&[f64]> = seeds.iter().map(Vec::as_slice).collect();
    let ours = hierarchical_mean(&seeds, OPTIONS).expect("defined");
    bounds(&ours, &case["ci"], POINTS, "seeds");
}

#[test]
fn sign_flips() {
    let case = &fixture("resampling.json")["sign_flip"];
    let ours = sign_flip(&reals(&case["differences"]), 50_000, 1).expect("defined");
    close(ours, real(&case["p"]), 5e-3, "p");
}

#[test]
fn calibration_intervals() {
    let case = &fixture("resampling.json")["calibration"];
    let ours =
        Predictions::new(&reals(&case["confidence"]), &truths(&case["correct"])).expect("aligned");
    let options = Options {
        resamples: 5_000,
        ..OPTIONS
    };
    let ece = ours.equal_width_interval(10, options).expect("defined");
    bounds(&ece, &case["ece10"], POINTS, "ece");
    let brier = ours.brier_interval(options).expect("defined");
    bounds(&brier, &case["brier"], POINTS, "brier");
    let auroc = ours
        .rank_interval(RankStatistic::Auroc, options)
        .expect("defined");
    bounds(&auroc, &case["auroc"], POINTS, "auroc");
}
