//! The paper's figures, recomputed elsewhere: each is looked at once at least.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

/// Closed forms agree to this; figures are printed to six decimals.
pub(super) const FIGURE: f64 = 1.5e-6;

/// Bootstrap bounds agree to 0.3 percentage points.
pub(super) const POINTS: f64 = 0.003;

/// Published and recomputed figures, with a memory of which were looked at.
pub(super) struct Figures {
    pub(super) all: Value,
    pub(super) seen: RefCell<BTreeSet<String>>,
}

impl Figures {
    pub(super) fn get(&self, path: &str) -> &Value {
        self.seen.borrow_mut().insert(path.to_owned());
        let found = self.all.pointer(path);
        found.unwrap_or_else(|| panic!("tables.json has no `{path}`"))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.all.pointer(path).is_some()
    }

    pub(super) fn number(&self, path: &str) -> f64 {
        let found = self.get(path);
        found.as_f64().unwrap_or_else(|| panic!("{path}: {found}"))
    }

    #[track_caller]
    pub(super) fn check(&self, path: &str, ours: &Value, scale: f64, tolerance: f64) {
        let theirs = self.number(path);
        let ours = ours.as_f64().unwrap_or_else(|| panic!("{path}: {ours}"));
        assert!(
            (scale * ours - theirs).abs() <= tolerance,
            "{path} is {theirs}, the run gives {}",
            scale * ours
        );
    }

    /// p-values agree relatively, however small.
    #[track_caller]
    pub(super) fn check_p(&self, path: &str, ours: &Value) {
        let (theirs, ours) = (self.number(path), ours.as_f64().expect("a p-value"));
        assert!(
            (ours / theirs - 1.0).abs() < 1e-6,
            "{path} is {theirs}, the run gives {ours}"
        );
    }

    #[track_caller]
    pub(super) fn check_interval(&self, path: &str, ours: &Value, scale: f64, tolerance: f64) {
        let theirs = self.get(path);
        for (index, side) in ["low", "high"].iter().enumerate() {
            let theirs = theirs[index].as_f64().expect("a bound");
            let ours = scale
                * ours[*side]
                    .as_f64()
                    .unwrap_or_else(|| panic!("{path}: {ours}"));
            assert!(
                (ours - theirs).abs() <= tolerance,
                "{path}: the {side} bound is {theirs}, the run gives {ours}"
            );
        }
    }

    /// Paths of all numbers that nobody looked at.
    pub(super) fn unseen(&self) -> Vec<String> {
        fn walk(value: &Value, path: &str, out: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    for (key, value) in map {
                        walk(value, &format!("{path}/{}", key.replace('/', "~1")), out);
                    }
                }
                Value::Number(_) => out.push(path.to_owned()),
                // Intervals; other lists are remarks in words.
                Value::Array(items) if items.iter().all(Value::is_number) => {
                    out.push(path.to_owned());
                }
                _ => {}
            }
        }
        let mut paths = Vec::new();
        for part in ["tables", "extra"] {
            walk(&self.all[part], &format!("/{part}"), &mut paths);
        }
        let seen = self.seen.borrow();
        paths.retain(|path| !seen.contains(path));
        paths
    }
}

/// Number of ones behind a rate.
pub(super) fn hits(rate: &Value) -> Value {
    Value::from(rate["value"].as_f64().expect("a rate") * rate["n"].as_f64().expect("a count"))
}

pub(super) fn mcnemar(figures: &Figures, at: &str, found: &Value) {
    let detail = &found["detail"];
    for (figure, key) in [
        ("only_first", "baseline_only"),
        ("only_second", "model_only"),
        ("both", "both"),
        ("neither", "neither"),
    ] {
        figures.check(&format!("{at}/{figure}"), &detail["pairs"][key], 1.0, 0.0);
    }
    figures.check_p(&format!("{at}/p_exact"), &found["p"]);
    figures.check_p(&format!("{at}/p_mid"), &detail["tests"][0]["p"]);
    figures.check(
        &format!("{at}/chi2_cc"),
        &detail["tests"][1]["statistic"],
        1.0,
        FIGURE,
    );
}
