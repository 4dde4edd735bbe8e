//! Slopes and their intervals, against statsmodels (fixtures/regression.py).

use crate::values::{close, fixture, list, real, reals};
use driftgauge_stats::regression::slope;

#[test]
fn slopes_of_lines() {
    let cases = fixture("regression.json");
    for case in list(&cases["cases"]) {
        let points: Vec<(f64, f64)> = reals(&case["x"])
            .into_iter()
            .zip(reals(&case["y"]))
            .collect();
        let what = format!("{} at {}", case["name"], case["level"]);
        let ours = slope(&points, real(&case["level"])).expect("a line");
        let size = real(&case["se"]);
        close(
            ours.estimate / size,
            real(&case["slope"]) / size,
            1e-8,
            &what,
        );
        close(ours.se.expect("spread") / size, 1.0, 1e-8, &what);
        let ci = ours.ci.expect("an interval");
        close(ci.low / size, real(&case["ci"][0]) / size, 1e-8, &what);
        close(ci.high / size, real(&case["ci"][1]) / size, 1e-8, &what);
    }
}
