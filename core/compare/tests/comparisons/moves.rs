//! Differences of differences: how far one model moves between conditions, beside another.

use driftgauge_compare::{Between, Clusters, differences_in_differences};
use driftgauge_plugin_protocol::wire::{MetricOutput, ScoreKind};

use crate::{close, clusters, column, expected, forget, numbers, one, options};

#[test]
fn moves_equal_scipy() {
    let data = expected();
    let sides = [["baseline", "ones"], ["model", "more"]].map(|names| {
        let mut output = MetricOutput::new();
        for (condition, name) in ["plain", "other"].into_iter().zip(names) {
            let values = numbers(&data[name]);
            output
                .scores
                .push(column("x", condition, ScoreKind::Real, &values));
        }
        output
    });
    let did = &data["did"];
    for clustered in [false, true] {
        let by = if clustered {
            clusters()
        } else {
            Clusters::default()
        };
        let found = one(differences_in_differences(
            &sides[0],
            &sides[1],
            "plain",
            (options(), &by),
        ));
        close(found.delta, &did["estimate"]);
        close(found.detail.baseline_value, &did["baseline_move"]);
        close(found.detail.model_value, &did["model_move"]);
        close(
            found.detail.se,
            &did[if clustered { "clustered_se" } else { "se" }],
        );
        if !clustered {
            let test = found.test.unwrap();
            assert_eq!(test.name, "normal");
            close(test.statistic, &did["z"]);
            close(found.p, &did["p"]);
            close(found.detail.detectable, &did["detectable"]);
            assert_eq!(found.detail.needed, did["needed"].as_u64());
        }
        assert_eq!(found.between, Between::DifferenceInDifferences);
        assert_eq!(found.direction, "none");
    }
}

#[test]
fn a_prompt_without_all_four_scores_is_left_out_of_the_moves() {
    let mut sides = [0.0, 0.5].map(|value| {
        let mut output = MetricOutput::new();
        for condition in ["plain", "other"] {
            output
                .scores
                .push(column("x", condition, ScoreKind::Real, &[value; 4]));
        }
        output
    });
    forget(&mut sides[1], 3);
    let how = (options(), &Clusters::default());
    let found = one(differences_in_differences(
        &sides[0], &sides[1], "plain", how,
    ));
    let left_out = found.detail.left_out.unwrap();
    assert_eq!(
        (left_out.prompts, left_out.baseline, left_out.model, found.n),
        (1, 0, 1, 3)
    );
}
