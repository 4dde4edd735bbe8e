//! Sizes of an effect between two proportions.

use serde::{Deserialize, Serialize};

/// How far a model's rate is from the baseline's, in the ways that papers print it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EffectSizes {
    /// `model - baseline`: multiply by 100 for percentage points. This is what "by 5 %" should mean.
    pub difference: f64,
    /// `model / baseline - 1`; `None` when the baseline's rate is 0.
    pub relative: Option<f64>,
    /// `model / baseline`; `None` when the baseline's rate is 0.
    pub risk_ratio: Option<f64>,
    /// Ratio of the odds `p / (1 - p)`; `None` when either odds are 0 or unbounded in the wrong place.
    pub odds_ratio: Option<f64>,
    /// Cohen's h, `2 asin √model - 2 asin √baseline` (Cohen 1988).
    pub cohens_h: f64,
}

/// Effect sizes of two rates in [0, 1]; `None` when either is not.
#[must_use]
pub fn effect_sizes(baseline: f64, model: f64) -> Option<EffectSizes> {
    let rate = 0.0..=1.0;
    if !rate.contains(&baseline) || !rate.contains(&model) {
        return None;
    }
    let ratio = |over: f64, under: f64| (under > 0.0).then(|| over / under);
    let risk_ratio = ratio(model, baseline);
    Some(EffectSizes {
        difference: model - baseline,
        relative: risk_ratio.map(|ratio| ratio - 1.0),
        risk_ratio,
        odds_ratio: ratio(model * (1.0 - baseline), baseline * (1.0 - model)),
        cohens_h: 2.0 * (model.sqrt().asin() - baseline.sqrt().asin()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_at_the_ends_are_defined() {
        let from_none = effect_sizes(0.0, 0.5).unwrap();
        assert_eq!((from_none.relative, from_none.odds_ratio), (None, None));
        assert!(effect_sizes(0.2, 1.2).is_none() && effect_sizes(f64::NAN, 0.1).is_none());
    }
}
