//! The draws behind intervals and p-values, against a generator of its own (fixtures/draws.py): the same seed gives the same numbers.

use crate::values::{bounds, close, count, fixture, labels, list, real, reals, truths};
use driftgauge_stats::bootstrap::replicates::Drawn;
use driftgauge_stats::bootstrap::{
    Items, Options, Replicates, Resampler, hierarchical_difference, mean_interval,
    mean_interval_bca,
};
use driftgauge_stats::calibration::{
    Answers, Pooled, Predictions, Prompted, RankStatistic, contrasts, paired_rank_difference,
};
use driftgauge_stats::permutation::sign_flip;
use serde_json::Value;

const EXACT: f64 = 1e-9;

fn part(name: &str) -> Value {
    fixture("draws.json")[name].clone()
}

fn options(level: f64, resamples: usize, seed: u64) -> Options {
    Options {
        level,
        resamples,
        seed,
    }
}

#[test]
fn weights_of_items() {
    for case in list(&part("weights")) {
        let (n, replicate) = (
            count(&case["n"]) as usize,
            count(&case["replicate"]) as usize,
        );
        let mut weights = vec![9; 3];
        let resampler = Resampler::new(n, options(0.95, 1, 6)).expect("items");
        assert_eq!(resampler.n(), n);
        resampler.weights(replicate, &mut weights);
        let what = format!("{n} {replicate}");
        assert_eq!(weights.len(), n, "{what}");
        let as_counts = |weights: &[u32]| -> Vec<usize> {
            weights.iter().map(|&weight| weight as usize).collect()
        };
        let shown = n.min(30);
        assert_eq!(
            as_counts(&weights[..shown]),
            labels(&case["head"]),
            "{what}"
        );
        assert_eq!(
            as_counts(&weights[n - shown..]),
            labels(&case["tail"]),
            "{what}"
        );
        let blocks: Vec<usize> = weights
            .chunks(4096)
            .map(|block| block.iter().sum::<u32>() as usize)
            .collect();
        assert_eq!(blocks, labels(&case["blocks"]), "{what}");
        let squares: u64 = weights.iter().map(|&w| u64::from(w) * u64::from(w)).sum();
        let places: u64 = (0..).zip(&weights).map(|(i, &w)| i * u64::from(w)).sum();
        assert_eq!(squares, count(&case["squares"]), "{what}");
        assert_eq!(places, count(&case["places"]), "{what}");
    }
}

#[test]
fn totals_of_items() {
    let case = part("items");
    let column = |step: u64, size: u64, of: f64| -> Vec<f64> {
        (0..4100_u64)
            .map(|i| (i * step % size) as f64 / of)
            .collect()
    };
    let (first, second) = (column(37, 4111, 64.0), column(53, 4127, 32.0));
    let items = Items::new(&[&first, &second]).expect("finite");
    assert_eq!(items.n(), 4100);
    let totals = items.resample(options(0.9, 130, 11));
    let each: Vec<&[f64]> = totals.each().collect();
    assert_eq!(each.len(), 130);
    for (place, theirs) in [0, 1, 2, 63, 64, 65, 129]
        .into_iter()
        .zip(list(&case["totals"]))
    {
        for (ours, theirs) in each[place].iter().zip(reals(theirs)) {
            close(*ours, theirs, EXACT, &format!("replicate {place}"));
        }
    }
    let ratio = |totals: &[f64], _: f64| Some(totals[0] / totals[1]);
    let replicates = totals.replicates(ratio).expect("defined");
    close(
        replicates.estimate,
        real(&case["estimate"]),
        EXACT,
        "estimate",
    );
    let se = replicates.standard_error().expect("several");
    close(se, real(&case["se"]), EXACT, "se");
    let percentile = totals.percentile(ratio).expect("varies");
    bounds(&percentile, &case["ci"], EXACT, "percentile");
    let drawn = percentile.draws.expect("drawn");
    assert_eq!(
        (drawn.resamples, drawn.seed, percentile.level),
        (130, 11, 0.9)
    );
    let bca = totals.bca(ratio).expect("varies");
    bounds(&bca, &case["bca"], EXACT, "bca");
    assert_eq!(bca.method, "bootstrap-bca");
}

#[test]
fn totals_of_counted_rows() {
    let case = part("counted");
    // In any order, with a row that nobody has.
    let rows = [1.5, 0.25, 9.0, 0.75, 0.5].map(|value| vec![value]);
    let items = Items::from_counts(&rows, &[55, 3, 0, 2, 40]).expect("items");
    let totals = items.resample(options(0.95, 80, 11));
    for (ours, theirs) in totals.each().zip(reals(&case["totals"])) {
        close(ours[0], theirs, EXACT, "total");
    }
    let mean = |totals: &[f64], n: f64| Some(totals[0] / n);
    let percentile = totals.percentile(mean).expect("varies");
    bounds(&percentile, &case["ci"], EXACT, "percentile");
    assert_eq!(percentile.method, "bootstrap-percentile-multinomial");
    let bca = totals.bca(mean).expect("varies");
    bounds(&bca, &case["bca"], EXACT, "bca");
    for (rows, counts) in [
        (vec![vec![1.0], vec![2.0, 3.0]], vec![1, 1]),
        (vec![vec![1.0], vec![f64::NAN]], vec![1, 1]),
        (vec![vec![1.0], vec![2.0]], vec![1]),
        (vec![vec![], vec![]], vec![1, 1]),
    ] {
        assert!(Items::from_counts(&rows, &counts).is_none(), "{rows:?}");
    }
}

#[test]
fn trainings_and_signs() {
    let item: Vec<f64> = (0..30_u32).map(|i| f64::from(i * 7 % 31) / 30.0).collect();
    let of = |change: fn(f64) -> f64| -> Vec<f64> { item.iter().copied().map(change).collect() };
    let base = [of(|x| x), of(|x| x * x)];
    let tuned = [of(|x| x * 0.5), of(|x| x * 0.9), of(|x| 0.2 + 0.6 * x)];
    let base: Vec<&[f64]> = base.iter().map(Vec::as_slice).collect();
    let tuned: Vec<&[f64]> = tuned.iter().map(Vec::as_slice).collect();
    let ours = hierarchical_difference(&base, &tuned, options(0.95, 60, 3)).expect("varies");
    bounds(&ours, &part("trainings"), EXACT, "trainings");
    let many: Vec<f64> = (1..=150).map(|i| f64::from(i).sin() + 0.1).collect();
    let p = sign_flip(&many, 200, 13).expect("finite");
    close(p, real(&part("single_flips")), EXACT, "single flips");
    let few: Vec<f64> = [(1.0, 9), (-1.0, 4), (2.0, 5), (-2.0, 3), (0.0, 6)]
        .into_iter()
        .flat_map(|(value, times)| std::iter::repeat_n(value, times))
        .collect();
    let p = sign_flip(&few, 200, 13).expect("finite");
    close(p, real(&part("counted_flips")), EXACT, "counted flips");
}

#[test]
fn numbers_of_two_sides() {
    let case = part("contrasts");
    let items: Vec<u32> = labels(&case["items"]).iter().map(|&i| i as u32).collect();
    let side = |place: usize| {
        let (values, truths) = (
            reals(&case["values"][place]),
            truths(&case["truths"][place]),
        );
        Answers::new(&values, &truths, &items).expect("aligned")
    };
    let (first, second) = (side(0), side(1));
    let numbers = [
        ("auroc", Pooled::Rank(RankStatistic::Auroc)),
        ("ece4", Pooled::CalibrationError { bins: 4 }),
        ("kappa", Pooled::Kappa),
        ("ac1", Pooled::Ac1),
    ];
    let sides = [(&first, -1.0), (&second, 1.0)];
    let all = numbers.map(|(_, number)| number);
    let found = contrasts(&all, &sides, 24, options(0.95, 90, 21));
    for ((name, _), ours) in numbers.iter().zip(found) {
        let (ours, theirs) = (ours.expect("defined"), &case["numbers"][name]);
        for (ours, theirs) in ours.sides.iter().zip(reals(&theirs["sides"])) {
            close(*ours, theirs, EXACT, name);
        }
        close(ours.estimate, real(&theirs["estimate"]), EXACT, name);
        bounds(&ours.ci.expect("varies"), &theirs["ci"], EXACT, name);
        close(ours.se.expect("varies"), real(&theirs["se"]), EXACT, name);
        close(ours.p.expect("varies"), real(&theirs["p"]), EXACT, name);
    }
}

#[test]
fn very_many_answers() {
    let (mut confidence, mut correct) = (Vec::new(), Vec::new());
    for i in 0..21_000_u32 {
        let (base, right) = match (i % 60, i % 2) {
            (0, _) => (0.05 + f64::from(i % 7) / 100.0, 2),
            (_, 0) => (0.4 + f64::from(i % 11) / 100.0, 5),
            _ => (0.8 + f64::from(i % 11) / 100.0, 8),
        };
        confidence.push(base);
        correct.push(i * 17 % 10 < right);
    }
    let answers = Predictions::new(&confidence, &correct).expect("aligned");
    let ece = answers
        .equal_width_interval(3, options(0.95, 40, 2))
        .expect("varies");
    bounds(&ece, &part("by_bin"), EXACT, "error by bin");
    assert_eq!(ece.method, "bootstrap-percentile-by-bin");
    let brier = answers
        .brier_interval(options(0.95, 40, 2))
        .expect("varies");
    bounds(&brier, &part("many_brier"), EXACT, "brier");
}

#[test]
fn numbers_that_have_no_side_or_no_bins() {
    let answers = Answers::new(&[0.2, 0.7], &[true, false], &[0, 1]).expect("aligned");
    let none = contrasts(
        &[Pooled::CalibrationError { bins: 0 }],
        &[(&answers, 1.0)],
        2,
        options(0.95, 9, 1),
    );
    assert_eq!(none, [None]);
}

const RANKS: [(&str, RankStatistic); 5] = [
    ("auroc", RankStatistic::Auroc),
    ("aurc", RankStatistic::Aurc),
    ("e_aurc", RankStatistic::EAurc),
    ("augrc", RankStatistic::Augrc),
    ("prr", RankStatistic::Prr),
];

#[test]
fn ranks_of_answers_and_of_prompts() {
    let drawn = options(0.95, 70, 9);
    let case = part("ranked");
    let ours = Predictions::new(&reals(&case["values"]), &truths(&case["truths"]));
    let ours = ours.expect("aligned");
    let all = ours.rank_intervals(RANKS.map(|(_, statistic)| statistic), drawn);
    for ((name, _), ci) in RANKS.iter().zip(all) {
        bounds(&ci.expect("varies"), &case["ci"][name], EXACT, name);
    }
    let case = part("prompted");
    let prompts: Vec<u32> = labels(&case["prompts"]).iter().map(|&p| p as u32).collect();
    let (values, truths) = (reals(&case["values"]), truths(&case["truths"]));
    let ours = Prompted::new(&values, &truths, &prompts).expect("aligned");
    for (name, statistic) in RANKS {
        let ci = ours.rank_interval(statistic, drawn).expect("varies");
        bounds(&ci, &case["ci"][name], EXACT, name);
        assert_eq!(ci.method, "cluster-bootstrap-percentile");
    }
    let ece = ours.equal_width_interval(4, drawn).expect("varies");
    bounds(&ece, &case["ece"], EXACT, "error");
    let brier = ours.brier_interval(drawn).expect("varies");
    bounds(&brier, &case["brier"], EXACT, "brier");
}

#[test]
fn ranks_of_two_models() {
    let case = part("two_models");
    let side = |place: usize| {
        (
            reals(&case["values"][place]),
            truths(&case["truths"][place]),
        )
    };
    let (first, second) = (side(0), side(1));
    for (name, statistic) in RANKS {
        let (baseline, model) = ((&first.0[..], &first.1[..]), (&second.0[..], &second.1[..]));
        let drawn = options(0.95, 70, 9);
        let (estimate, ci) =
            paired_rank_difference(baseline, model, statistic, drawn).expect("defined");
        let theirs = &case["numbers"][name];
        close(estimate, real(&theirs["estimate"]), EXACT, name);
        bounds(&ci.expect("varies"), &theirs["ci"], EXACT, name);
        let short = (&first.0[1..], &first.1[..]);
        assert!(paired_rank_difference(short, model, statistic, drawn).is_none());
        assert!(paired_rank_difference(model, short, statistic, drawn).is_none());
    }
}

#[test]
fn bins_of_equally_many_answers() {
    let case = part("prompted");
    let ours = Predictions::new(&reals(&case["values"]), &truths(&case["truths"]));
    let ours = ours.expect("aligned");
    // Over-confident by the mean confidence less the share of right answers.
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let right: Vec<f64> = truths(&case["truths"])
        .iter()
        .map(|&truth| f64::from(u8::from(truth)))
        .collect();
    let gap = mean(&reals(&case["values"])) - mean(&right);
    close(ours.signed_gap().expect("probabilities"), gap, EXACT, "gap");
    for case in list(&part("equal_mass")) {
        let bins = count(&case["bins"]) as usize;
        let found = ours.equal_mass(bins).expect("probabilities");
        let what = format!("{bins} bins");
        close(found.ece, real(&case["ece"]), EXACT, &what);
        close(found.mce, real(&case["mce"]), EXACT, &what);
        let sizes: Vec<f64> = found.bins.iter().map(|bin| bin.n).collect();
        assert_eq!(sizes, reals(&case["n"]), "{what}");
    }
    assert!(ours.equal_mass(0).is_none());
    let scores = Predictions::new(&[-0.1, 1.2], &[true, false]).expect("aligned");
    assert!(scores.equal_mass(2).is_none());
}

#[test]
fn means_whose_distribution_is_computed() {
    for case in list(&part("exact")) {
        let (values, level) = (reals(&case["values"]), real(&case["level"]));
        let what = format!("{values:?} {level}");
        let percentile = mean_interval(&values, options(level, 9, 0)).expect("varies");
        bounds(&percentile, &case["percentile"], EXACT, &what);
        assert_eq!(percentile.method, "bootstrap-percentile-exact");
        let bca = mean_interval_bca(&values, options(level, 9, 0)).expect("varies");
        bounds(&bca, &case["bca"], EXACT, &what);
        assert_eq!(bca.method, "bootstrap-bca-exact");
    }
    // Whole numbers that span more than eight, or whose totals are more than 8,192, are drawn.
    let ten: Vec<f64> = (0..10).map(f64::from).collect();
    let drawn = mean_interval(&ten, options(0.9, 50, 0)).expect("varies");
    assert!(drawn.draws.is_some(), "{}", drawn.method);
    for (n, computed) in [(8192, true), (8193, false)] {
        let verdicts: Vec<f64> = (0..n).map(|i| f64::from(i % 2)).collect();
        let ci = mean_interval(&verdicts, options(0.9, 50, 0)).expect("varies");
        assert_eq!(ci.draws.is_none(), computed, "{n}");
    }
    let skewed: Vec<f64> = (0..20_000)
        .map(|i| -((f64::from(i) + 0.5) / 20_000.0).ln())
        .collect();
    for case in list(&part("expansion")) {
        let level = real(&case["level"]);
        let percentile = mean_interval(&skewed, options(level, 9, 0)).expect("varies");
        bounds(&percentile, &case["ci"][0], EXACT, "expansion");
        let bca = mean_interval_bca(&skewed, options(level, 9, 0)).expect("varies");
        bounds(&bca, &case["ci"][1], EXACT, "expansion");
    }
}

#[test]
fn intervals_of_given_replicates() {
    let case = part("replicates");
    let mut values: Vec<Option<f64>> = reals(&case["values"]).into_iter().map(Some).collect();
    values.extend([None, Some(f64::NAN)]);
    let ours = Replicates::new(Some(0.35), values, Drawn::Items, 4).expect("defined");
    assert_eq!((ours.undefined, ours.sorted().len()), (2, 10));
    close(
        ours.standard_error().expect("several"),
        real(&case["se"]),
        EXACT,
        "se",
    );
    let percentile = ours.percentile(0.7).expect("varies");
    bounds(&percentile, &case["percentile"], EXACT, "percentile");
    assert_eq!(percentile.draws.expect("drawn").resamples, 12);
    let jackknife: Vec<(f64, u64)> = reals(&case["left_out"])
        .into_iter()
        .map(|v| (v, 1))
        .collect();
    let bca = ours.bca(0.7, &jackknife).expect("varies");
    bounds(&bca, &case["bca"], EXACT, "bca");
    // Without a correction it is the percentile interval, under its own name.
    for jackknife in [&[][..], &[(0.3, 1)], &[(0.3, 2), (f64::NAN, 1)]] {
        assert_eq!(ours.bca(0.7, jackknife), Some(percentile.clone()));
    }
    // Leave-one-out values that do not vary correct the bias alone.
    let even = ours.bca(0.7, &[(0.3, 9)]).expect("varies");
    assert_eq!(even.method, "bootstrap-bca");
    for level in [0.0, 1.0, -0.5, f64::NAN] {
        assert_eq!(ours.percentile(level), None);
        assert_eq!(ours.bca(level, &jackknife), None);
    }
    assert!(Replicates::new(None, vec![Some(1.0)], Drawn::Items, 4).is_none());
    assert!(Replicates::new(Some(1.0), vec![None], Drawn::Items, 4).is_none());
    assert!(Replicates::new(Some(f64::NAN), vec![Some(1.0)], Drawn::Items, 4).is_none());
    let one = Replicates::new(Some(1.0), vec![Some(1.0)], Drawn::Items, 4).expect("defined");
    assert_eq!((one.standard_error(), one.percentile(0.9)), (None, None));
}
