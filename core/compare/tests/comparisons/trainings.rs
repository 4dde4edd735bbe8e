//! Means over trainings, and numbers that a spec chose.

use driftgauge_compare::{Between, between_models, between_trainings};
use driftgauge_plugin_protocol::wire::{MetricOutput, Scalar, ScoreKind, Spread};

use crate::{clusters, compared, one, options, output};

fn chosen(id: &str, condition: &str, unit: &str, spread: [f64; 3], mean: f64) -> MetricOutput {
    let [sd_population, min, max] = spread;
    let mut output = MetricOutput::new();
    let spread = Spread {
        sd: Some(sd_population * (5.0_f64 / 4.0).sqrt()),
        se: Some(sd_population / 2.0),
        sd_population,
        se_population: sd_population / 5.0_f64.sqrt(),
        median: mean,
        min,
        max,
    };
    let scalar = Scalar::new(id, "", condition).value(mean, 5).unit(unit);
    output.scalars.push(scalar.spread(Some(spread)).selected());
    output
}

#[test]
fn only_shares_of_ones_and_zeros_have_a_score_interval() {
    // Two ones of five: the population's standard deviation is sqrt(0.4 * 0.6).
    let binomial = 0.24_f64.sqrt();
    for (unit, spread, method) in [
        ("ratio", [binomial, 0.0, 1.0], "newcombe-unpaired"),
        ("nats", [binomial, 0.0, 1.0], "welch-t"),
        ("ratio", [binomial, 0.1, 1.0], "welch-t"),
        ("ratio", [binomial, 0.0, 0.9], "welch-t"),
        ("ratio", [0.3, 0.0, 1.0], "welch-t"),
    ] {
        let side = chosen("x", "default", unit, spread, 0.4);
        let found = one(compared(&side, &side));
        assert_eq!(found.ci.unwrap().method, method, "{unit} {spread:?}");
        assert_eq!(found.n, 0, "nothing is paired");
        // Both sides have the same error.
        let se = spread[0] / 2.0;
        assert!((found.detail.se_unpaired.unwrap() - se * 2.0_f64.sqrt()).abs() < 1e-12);
    }
    let (before, after) = (
        chosen("x", "default", "nats", [0.5, 0.0, 2.0], 1.0),
        chosen("x", "default", "nats", [0.5, 0.0, 2.0], 1.75),
    );
    let found = one(compared(&before, &after));
    assert_eq!(found.delta, Some(0.75));
    assert_eq!(
        (found.detail.baseline_value, found.detail.model_value),
        (Some(1.0), Some(1.75))
    );
    // Welch's t of equal spreads and sizes: 0.75 over sqrt(2 * sd^2 / 5), with sd^2 = 0.25 * 5 / 4.
    let test = found.test.unwrap();
    assert_eq!(test.name, "welch-t");
    assert!((test.statistic.unwrap() - 0.75 / 0.125_f64.sqrt()).abs() < 1e-9);
}

#[test]
fn a_chosen_number_is_compared_unless_it_was_paired_itself() {
    let values = [0.0, 1.0, 0.5];
    let mut output = output(ScoreKind::Real, &values);
    let other = chosen("x", "other", "nats", [0.5, 0.0, 2.0], 1.0);
    output.scalars.extend(other.scalars.clone());
    output
        .scalars
        .extend(chosen("y", "default", "nats", [0.5, 0.0, 2.0], 1.0).scalars);
    // `x` under the first condition has pairs; neither it elsewhere nor `y` has.
    let found = compared(&output, &output);
    let of = |between| found.iter().filter(|f| f.between == between).count();
    assert_eq!((of(Between::Models), of(Between::Selections)), (1, 2));
    // With clusters prompts of two samples are not independent.
    let found = between_models(&output, &output, (options(), &clusters())).unwrap();
    assert_eq!(found.len(), 1);
}

#[test]
fn trainings_that_never_vary_have_the_interval_of_a_share() {
    let of = |value: f64| output(ScoreKind::Real, &[value; 10]);
    let found = one(between_trainings(&[of(1.0)], &[of(1.0), of(1.0)], options()).unwrap());
    assert_eq!(found.ci.unwrap().method, "newcombe-paired");
    let values = (found.detail.baseline_value, found.detail.model_value);
    assert_eq!(values, (Some(1.0), Some(1.0)));
    let found = one(between_trainings(&[of(0.5)], &[of(0.5), of(0.5)], options()).unwrap());
    assert_eq!(found.ci, None, "half a point is neither 0 nor 1");
}
