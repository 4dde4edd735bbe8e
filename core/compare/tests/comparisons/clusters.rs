//! Prompts of one cluster are drawn and flipped together.

use driftgauge_compare::{Clusters, between_models};
use driftgauge_plugin_protocol::wire::{MetricOutput, Scalar, ScoreKind};

use crate::{
    close, clusters, column, expected, forget, ids, interval, numbers, one, options, output, pooled,
};

#[test]
fn clusters_are_drawn_and_flipped_whole() {
    let data = expected();
    for (kind, names, of) in [
        (ScoreKind::Real, ["baseline", "model"], "real"),
        (ScoreKind::Binary, ["ones", "more"], "binary"),
    ] {
        let sides = names.map(|k| output(kind, &numbers(&data[k])));
        let found = one(between_models(&sides[0], &sides[1], (options(), &clusters())).unwrap());
        let theirs = &data[of];
        close(found.delta, &theirs["delta"]);
        close(found.detail.se, &theirs["clustered_se"]);
        close(found.detail.se_unpaired, &theirs["clustered_se_unpaired"]);
        let test = found.test.unwrap();
        assert_eq!(test.name, "cluster-sign-flip-permutation");
        assert_eq!(test.draws.map(|d| (d.resamples, d.seed)), Some((400, 0)));
        let means = names.map(|k| numbers(&data[k]).iter().sum::<f64>() / 12.0);
        close(found.detail.baseline_value, &means[0].into());
        close(found.detail.model_value, &means[1].into());
        assert_eq!(found.detail.left_out, None);
        let ci = found.ci.unwrap();
        assert_eq!(ci.method, "clustered-t", "five are too few to draw from");
        // scipy.stats.t.ppf(0.975, 4)
        let half = 2.776_445_105_197_793 * theirs["clustered_se"].as_f64().unwrap();
        let delta = found.delta.unwrap();
        assert!((ci.low - delta + half).abs() < 1e-9 && (ci.high - delta - half).abs() < 1e-9);
        // The sums of the clusters are all positive: of 32 patterns of signs two are as large. Of the ones and zeros they are
        // 1, 1, 1, 0 and 1: two of 16.
        let share = if kind == ScoreKind::Real {
            2.0 / 32.0
        } else {
            2.0 / 16.0
        };
        assert!((found.p.unwrap() - share).abs() < 0.04, "{:?}", found.p);
        let pairs = found
            .detail
            .pairs
            .map(|c| vec![c.both, c.baseline_only, c.model_only, c.neither]);
        let counts = (kind == ScoreKind::Binary).then(|| vec![3, 1, 5, 3]);
        assert_eq!(pairs, counts);
        assert_eq!(found.detail.flips.is_some(), kind == ScoreKind::Binary);
        // What takes prompts for independent is left out.
        assert!(found.detail.tests.is_empty() && found.detail.intervals.is_empty());
    }
    // One cluster has no spread to speak of; of a number that does not stand for its metric no flips are listed.
    let mut sides = ["ones", "more"].map(|k| output(ScoreKind::Binary, &numbers(&data[k])));
    sides[0].scalars[0].primary = false;
    let single = Clusters::new(ids().into_iter().map(|id| (id, "all".to_owned())));
    let found = one(between_models(&sides[0], &sides[1], (options(), &single)).unwrap());
    assert_eq!((found.detail.se, found.detail.flips), (None, None));
    forget(&mut sides[1], 0);
    let found = one(between_models(&sides[0], &sides[1], (options(), &single)).unwrap());
    assert_eq!(found.detail.left_out.unwrap().model, 1);
    // Two clusters are enough.
    let two = Clusters::new(
        ids()
            .into_iter()
            .enumerate()
            .map(|(i, id)| (id, (i % 2).to_string())),
    );
    let found = one(between_models(&sides[0], &sides[1], (options(), &two)).unwrap());
    assert!(found.detail.se.is_some());
}

#[test]
fn a_prompt_without_a_cluster_stands_alone() {
    // Three prompts in one cluster, and one alone: sums 3 * 0.5 - less the mean 0.25 each - that is deviations 0.75 and -0.75.
    let baseline = output(ScoreKind::Real, &[0.0; 4]);
    let model = output(ScoreKind::Real, &[0.5, 0.5, 0.5, -0.5]);
    let three = Clusters::new(ids()[..3].iter().map(|id| (id.clone(), "k".to_owned())));
    let found = one(between_models(&baseline, &model, (options(), &three)).unwrap());
    // sqrt(0.75^2 + 0.75^2) / 4.
    assert!((found.detail.se.unwrap() - 1.125_f64.sqrt() / 4.0).abs() < 1e-12);
}

#[test]
fn intervals_of_single_numbers_become_those_of_clusters() {
    let data = expected();
    let mut output = MetricOutput::new();
    let ci = || interval("wilson");
    for (id, values) in [
        ("baseline", numbers(&data["baseline"])),
        ("ones", numbers(&data["ones"])),
        ("all", vec![1.0; 12]),
        // The mean 0.9583 of a share whose interval would reach above 1.
        ("high", [vec![1.0; 11], vec![0.5]].concat()),
        ("none", vec![0.0; 12]),
    ] {
        output.scalars.push(
            Scalar::new(id, "", "default")
                .value(0.5, 12)
                .unit("ratio")
                .ci(ci())
                .intervals([ci()]),
        );
        output
            .scores
            .push(column(id, "default", ScoreKind::Real, &values));
    }
    // The same number under another condition has other scores, and stands before.
    output
        .scores
        .insert(0, column("baseline", "other", ScoreKind::Real, &[0.0, 0.5]));
    output.scores.insert(
        0,
        column("another", "default", ScoreKind::Real, &[0.0, 0.5]),
    );
    output
        .scalars
        .push(Scalar::new("lost", "", "default").value(0.5, 12).ci(ci()));
    output.scalars.push(
        Scalar::new("lost too", "", "default")
            .value(0.5, 12)
            .ci(ci()),
    );
    output
        .scalars
        .push(Scalar::new("never had", "", "default").value(0.5, 12));
    output.scalars.push(
        Scalar::new("same loss", "", "default")
            .value(0.5, 12)
            .unit("nats")
            .ci(ci()),
    );
    output
        .scores
        .push(column("same loss", "default", ScoreKind::Real, &[0.5; 12]));
    clusters().widen(&mut output, options());
    let found = |id: &str| {
        output
            .scalars
            .iter()
            .find(|s| s.id == id)
            .unwrap()
            .ci
            .clone()
    };
    for id in ["baseline", "ones"] {
        let (ci, theirs) = (found(id).unwrap(), numbers(&data["clustered_t"][id]));
        assert!(
            (ci.low - theirs[0]).abs() < 1e-9 && (ci.high - theirs[1]).abs() < 1e-9,
            "{id} {ci:?}"
        );
    }
    let (ci, theirs) = (found("all").unwrap(), numbers(&data["wilson_of_clusters"]));
    assert!(
        (ci.low - theirs[0]).abs() < 1e-9 && ci.high == 1.0,
        "{ci:?}"
    );
    let none = found("none").unwrap();
    assert!(
        none.low == 0.0 && (none.high - (1.0 - theirs[0])).abs() < 1e-9,
        "{none:?}"
    );
    assert_eq!(found("high").unwrap().high, 1.0);
    // Neither scores nor bounds: no interval, and it is said of how many.
    for id in ["lost", "lost too", "never had", "same loss"] {
        assert_eq!(found(id), None, "{id}");
    }
    assert!(output.scalars.iter().all(|s| s.intervals.is_empty()));
    assert!(
        output.notes[1].starts_with("3 numbers keep no scores"),
        "{:?}",
        output.notes
    );
    let mut kept = MetricOutput::new();
    clusters().widen(&mut kept, options());
    assert_eq!(kept.notes.len(), 1, "nothing was lost: {:?}", kept.notes);
}

#[test]
fn the_last_cluster_is_drawn_too() {
    // In four clusters the correct answer is the surer one, in the last it is not.
    let ids: Vec<String> = (0..10).map(|i| format!("p{i:02}")).collect();
    let of = |i: usize| (ids[i].clone(), (i / 2).to_string());
    let by = Clusters::new((0..10).map(of));
    let values = [0.9, 0.1, 0.8, 0.2, 0.9, 0.3, 0.8, 0.1, 0.05, 0.95];
    let truths = [true, false].repeat(5);
    let mut output = MetricOutput::new();
    output
        .pooled
        .push(pooled("default", &ids, &values, &truths));
    let scalar = Scalar::new("auroc", "", "default").value(0.5, 10);
    output
        .scalars
        .push(scalar.ci(interval("bootstrap-percentile")));
    by.widen(&mut output, options());
    let ci = output.scalars[0].ci.clone().unwrap();
    assert!(ci.low < 0.9, "{ci:?}");
}
