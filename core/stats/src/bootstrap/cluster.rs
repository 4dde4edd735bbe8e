//! The cluster bootstrap: items that share a context, a prompt or a document are drawn together.

use std::collections::HashMap;
use std::hash::Hash;

use super::Options;
use super::items::Items;
use crate::Interval;
use crate::summary::ExactSum;

/// Percentile interval of the mean over items, when whole clusters are drawn with replacement (Davison and Hinkley 1997,
/// section 3.8): each replicate's mean is the drawn clusters' total over their number of items. `clusters` names the cluster of
/// each value. `None` of nothing, for unequal lengths, when a value is not finite, and for a single cluster or clusters of
/// the same mean, which say nothing about the spread.
#[must_use]
pub fn cluster_mean_interval<K: Hash + Eq>(
    values: &[f64],
    clusters: &[K],
    options: Options,
) -> Option<Interval> {
    let (totals, sizes) = cluster_totals(values, clusters)?;
    Items::new(&[&totals, &sizes])?
        .resample(options)
        .percentile(|totals, _| Some(totals[0] / totals[1]))
        .map(|mut interval| {
            interval.method = interval.method.replace("bootstrap-", "cluster-bootstrap-");
            interval
        })
}

/// The total and the number of items of each cluster.
fn cluster_totals<K: Hash + Eq>(values: &[f64], clusters: &[K]) -> Option<(Vec<f64>, Vec<f64>)> {
    if values.len() != clusters.len() {
        return None;
    }
    let mut places: HashMap<&K, usize> = HashMap::new();
    let mut sums: Vec<ExactSum> = Vec::new();
    for (&value, cluster) in values.iter().zip(clusters) {
        let place = *places.entry(cluster).or_insert_with(|| {
            sums.push(ExactSum::default());
            sums.len() - 1
        });
        sums[place].add(value);
    }
    let totals = sums.iter().map(ExactSum::value).collect::<Option<_>>()?;
    Some((totals, sums.iter().map(|sum| sum.count() as f64).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_widen_the_interval() {
        // 40 clusters of 10 equal values: the mean is as uncertain as one of 40 values.
        let values: Vec<f64> = (0..400).map(|i| f64::from(i / 10 % 2)).collect();
        let clusters: Vec<usize> = (0..400).map(|i| i / 10).collect();
        let ci = cluster_mean_interval(&values, &clusters, Options::default()).unwrap();
        let half = 1.96 * (0.25_f64 / 40.0).sqrt();
        assert!(((ci.high - ci.low) / 2.0 - half).abs() < 0.02, "{ci:?}");
        assert!(ci.method.starts_with("cluster-bootstrap-percentile"));
        let one = cluster_mean_interval(&values, &[0; 400], Options::default());
        assert_eq!(one, None);
        assert_eq!(
            cluster_mean_interval::<u8>(&[], &[], Options::default()),
            None
        );
    }
}
