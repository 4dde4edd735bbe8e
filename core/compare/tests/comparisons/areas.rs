//! Areas under curves, which are compared by DeLong over pooled answers.

use driftgauge_compare::{
    Clusters, between_conditions, between_models, differences_in_differences,
};
use driftgauge_plugin_protocol::wire::{Interval, PooledStatistic};

use crate::{clusters, compared, expected, ids, one, options, ranked};

#[test]
fn areas_are_compared_between_models_conditions_and_moves() {
    let data = expected();
    let (first, second) = (
        ranked(&[("plain", "baseline"), ("other", "model")]),
        ranked(&[("plain", "model"), ("other", "baseline")]),
    );
    let areas = ["baseline", "model"].map(|name| data["auroc"][name].as_f64());
    let apart = areas[1].unwrap() - areas[0].unwrap();
    let no = Clusters::default();
    let found = between_models(&first, &second, (options(), &no)).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].detail.baseline_value, found[0].detail.model_value),
        (areas[0], areas[1])
    );
    assert_eq!(found[0].detail.left_out, None);
    let test = found[0].test.as_ref().unwrap();
    assert_eq!(test.name, "paired-bootstrap");
    assert_eq!(test.draws.map(|d| (d.resamples, d.seed)), Some((400, 0)));
    // Of twelve prompts one is out of place: an error between nothing and 0.15.
    let se = found[0].detail.se;
    assert!(se.is_some_and(|se| 0.0 < se && se < 0.15), "{se:?}");
    assert!(
        found[0].detail.tests[0].name.contains("delong"),
        "{:?}",
        found[0].detail.tests
    );
    assert!(
        found[0]
            .ci
            .as_ref()
            .unwrap()
            .method
            .starts_with("bootstrap-")
    );

    let found = one(between_conditions(&first, "plain", (options(), &no)));
    assert_eq!(
        (
            found.condition.as_str(),
            found.baseline_condition.as_deref()
        ),
        ("other", Some("plain"))
    );
    assert!((found.delta.unwrap() - apart).abs() < 1e-12);

    let found = one(differences_in_differences(
        &first,
        &second,
        "plain",
        (options(), &no),
    ));
    // The baseline moves by `apart`, the model back by as much.
    assert!((found.delta.unwrap() + 2.0 * apart).abs() < 1e-12);
    assert!((found.detail.baseline_value.unwrap() - apart).abs() < 1e-12);
    assert!((found.detail.model_value.unwrap() + apart).abs() < 1e-12);
    assert!(
        found.detail.tests.is_empty(),
        "DeLong's test is of two sides"
    );

    let by_cluster = |ci: &Option<Interval>| {
        let ci = ci.as_ref().unwrap();
        assert!(ci.method.starts_with("cluster-bootstrap-"), "{ci:?}");
    };
    let found = between_models(&first, &second, (options(), &clusters())).unwrap();
    assert!(
        found[0].detail.tests.is_empty(),
        "DeLong's test is of independent prompts"
    );
    by_cluster(&found[0].ci);

    // Clusters of one prompt each are clusters, by name.
    let each = Clusters::new(ids().into_iter().map(|id| (id.clone(), id)));
    let found = between_models(&first, &second, (options(), &each)).unwrap();
    by_cluster(&found[0].ci);

    let mut widened = second.clone();
    clusters().widen(&mut widened, options());
    let ci = widened.scalars[0].ci.as_ref().unwrap();
    assert!(ci.method.starts_with("cluster-bootstrap-"), "{ci:?}");
    assert!(
        ci.low <= areas[1].unwrap() && areas[1].unwrap() <= ci.high,
        "{ci:?}"
    );
}

#[test]
fn another_statistic_has_no_delong_test() {
    let sides = [("default", "baseline"), ("default", "model")].map(|of| {
        let mut output = ranked(&[of]);
        output.pooled[0].numbers[0].statistic = PooledStatistic::Aurc;
        output
    });
    assert!(one(compared(&sides[0], &sides[1])).detail.tests.is_empty());
}
