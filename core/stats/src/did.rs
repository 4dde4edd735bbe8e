//! Difference in differences: how much further one model moved than another, paired by item.

use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::Interval;
use crate::bootstrap::{Options, cluster_mean_interval, mean_interval};
use crate::clustered::clustered_standard_error;
use crate::special::normal_two_sided;
use crate::summary::{mean, standard_error};

/// A difference in differences over paired items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DifferenceInDifferences {
    /// Number of items.
    pub n: u64,
    /// Mean over items of `(model after - model before) - (baseline after - baseline before)`.
    pub estimate: f64,
    /// Its standard error from the items' own values; `None` for one item.
    pub se: Option<f64>,
    /// `estimate / se`; `None` when there is no spread.
    pub z: Option<f64>,
    /// Two-sided p-value of `z` under the normal distribution.
    pub p: Option<f64>,
    /// Paired bootstrap interval of the estimate; `None` when the items' values are all equal.
    pub ci: Option<Interval>,
}

/// Difference in differences of scores in two conditions: all four columns are aligned by item, so that an item's difficulty
/// cancels twice. `None` without items, for unequal lengths, or when a score is not finite.
#[must_use]
pub fn difference_in_differences(
    baseline: (&[f64], &[f64]),
    model: (&[f64], &[f64]),
    options: Options,
) -> Option<DifferenceInDifferences> {
    let n = baseline.0.len();
    if [baseline.1, model.0, model.1]
        .iter()
        .any(|column| column.len() != n)
    {
        return None;
    }
    let changes: Vec<f64> = (0..n)
        .map(|item| (model.1[item] - model.0[item]) - (baseline.1[item] - baseline.0[item]))
        .collect();
    let estimate = mean(&changes)?;
    let se = standard_error(&changes);
    let z = se.filter(|se| *se > 0.0).map(|se| estimate / se);
    Some(DifferenceInDifferences {
        n: n as u64,
        estimate,
        se,
        z,
        p: z.map(normal_two_sided),
        ci: mean_interval(&changes, options),
    })
}

/// [`difference_in_differences`] of items that come in clusters: the standard error is that of the clusters, which are drawn whole.
#[must_use]
pub fn clustered_difference_in_differences<K: Hash + Eq>(
    baseline: (&[f64], &[f64]),
    model: (&[f64], &[f64]),
    clusters: &[K],
    options: Options,
) -> Option<DifferenceInDifferences> {
    let plain = difference_in_differences(baseline, model, options)?;
    let changes: Vec<f64> = (0..clusters.len())
        .map(|item| {
            Some((model.1.get(item)? - model.0[item]) - (baseline.1[item] - baseline.0[item]))
        })
        .collect::<Option<_>>()?;
    let se = clustered_standard_error(&changes, clusters);
    let z = se.filter(|se| *se > 0.0).map(|se| plain.estimate / se);
    Some(DifferenceInDifferences {
        se,
        z,
        p: z.map(normal_two_sided),
        ci: cluster_mean_interval(&changes, clusters, options),
        ..plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_moves_differ_by_nothing() {
        let options = Options {
            resamples: 100,
            ..Options::default()
        };
        let (before, after) = ([1.0, 0.0, 1.0], [0.0, 0.0, 1.0]);
        let same =
            difference_in_differences((&before, &after), (&before, &after), options).unwrap();
        assert_eq!((same.estimate, same.z, same.p), (0.0, None, None));
        assert_eq!(same.ci, None);
        assert!(difference_in_differences((&[], &[]), (&[], &[]), options).is_none());
        assert!(difference_in_differences((&[1.0], &[]), (&[], &[]), options).is_none());
        let one = difference_in_differences((&[0.0], &[0.0]), (&[0.0], &[1.0]), options).unwrap();
        assert_eq!((one.estimate, one.se), (1.0, None));
    }
}
