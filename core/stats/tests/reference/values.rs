//! Reading fixtures.

use std::path::PathBuf;

use serde_json::Value;

/// A fixture beside the tests.
pub(crate) fn fixture(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let text = std::fs::read_to_string(&path).expect("the fixture is there");
    serde_json::from_str(&text).expect("the fixture is JSON")
}

/// The elements of an array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

/// A number.
pub(crate) fn real(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// A count.
pub(crate) fn count(value: &Value) -> u64 {
    value.as_u64().expect("a count")
}

/// Numbers.
pub(crate) fn reals(value: &Value) -> Vec<f64> {
    list(value).iter().map(real).collect()
}

/// Labels or indices.
pub(crate) fn labels(value: &Value) -> Vec<usize> {
    list(value)
        .iter()
        .map(|label| count(label) as usize)
        .collect()
}

/// Truth values.
pub(crate) fn truths(value: &Value) -> Vec<bool> {
    list(value)
        .iter()
        .map(|truth| truth.as_bool().expect("true or false"))
        .collect()
}

/// Fails unless `ours` is within `tolerance` of `theirs`: absolutely, or relatively for numbers above 1.
#[track_caller]
pub(crate) fn close(ours: f64, theirs: f64, tolerance: f64, what: &str) {
    let allowed = tolerance * theirs.abs().max(1.0);
    assert!(
        (ours - theirs).abs() <= allowed,
        "{what}: {ours} for {theirs}"
    );
}

/// [`close`] for both bounds.
#[track_caller]
pub(crate) fn bounds(
    ours: &driftgauge_stats::Interval,
    theirs: &Value,
    tolerance: f64,
    what: &str,
) {
    close(ours.low, real(&theirs[0]), tolerance, what);
    close(ours.high, real(&theirs[1]), tolerance, what);
}
