//! Standard errors when items come in clusters: paraphrases, a shared context, several samples of one prompt.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::special::student_t_two_sided_quantile;
use crate::summary::{ExactSum, is_rounding, mean};
use crate::{Interval, is_open_probability};

/// Clustered standard error of the mean (Miller 2024, arXiv 2411.00640):
/// `SE² = n⁻² Σ_c Σ_{i,j ∈ c} (s_i - s̄)(s_j - s̄)`, that is n⁻² times the sum over clusters of their squared totals of
/// deviations. With every item its own cluster this is the standard error with divisor n². `None` of nothing, for unequal
/// lengths, or when a value is not finite.
#[must_use]
pub fn clustered_standard_error<K: Hash + Eq>(values: &[f64], clusters: &[K]) -> Option<f64> {
    if values.len() != clusters.len() {
        return None;
    }
    let centre = mean(values)?;
    let mut deviations: HashMap<&K, ExactSum> = HashMap::new();
    for (value, cluster) in values.iter().zip(clusters) {
        deviations.entry(cluster).or_default().add(value - centre);
    }
    let squares: ExactSum = deviations
        .values()
        .map(|total| total.value().map(|total| total * total))
        .collect::<Option<Vec<f64>>>()?
        .into_iter()
        .collect();
    Some(squares.value()?.sqrt() / values.len() as f64)
}

/// Interval of the mean with the clustered standard error, by Student's t with as many degrees of freedom as there are clusters
/// less one (Cameron and Miller 2015, section VI.D, advise it over the normal quantile); fair with 30 clusters or more. `None` as
/// [`clustered_standard_error`], and with fewer than two clusters or no spread between them.
#[must_use]
pub fn clustered_mean_interval<K: Hash + Eq>(
    values: &[f64],
    clusters: &[K],
    level: f64,
) -> Option<Interval> {
    let distinct = clusters.iter().collect::<HashSet<_>>().len();
    if distinct < 2 || !is_open_probability(level) {
        return None;
    }
    let centre = mean(values)?;
    let se = clustered_standard_error(values, clusters)?;
    if is_rounding(se, centre) {
        return None;
    }
    let half = student_t_two_sided_quantile(1.0 - level, distinct as f64 - 1.0) * se;
    Some(Interval::new(
        level,
        centre - half,
        centre + half,
        "clustered-t",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cluster_each_is_the_plain_error() {
        let values = [0.0, 1.0, 1.0, 0.0, 1.0];
        let alone = clustered_standard_error(&values, &[0, 1, 2, 3, 4]).unwrap();
        assert!((alone - (0.24_f64 / 5.0).sqrt()).abs() < 1e-15);
        assert_eq!(clustered_standard_error::<u8>(&[], &[]), None);
        assert_eq!(clustered_standard_error(&[1.0], &[0]), Some(0.0));
        assert_eq!(clustered_mean_interval(&values, &[0; 5], 0.95), None);
        assert!(clustered_mean_interval(&values, &[0, 0, 1, 1, 1], 0.95).is_some());
    }

    #[test]
    fn clusters_with_one_mean_have_no_interval_whatever_it_is() {
        for ones in 0..=20 {
            let cluster: Vec<f64> = (0..20)
                .map(|item| f64::from(u8::from(item < ones)))
                .collect();
            let values = cluster.repeat(3);
            let clusters: Vec<usize> = (0..60).map(|item| item / 20).collect();
            let interval = clustered_mean_interval(&values, &clusters, 0.95);
            assert_eq!(interval, None, "{ones} of 20");
        }
    }
}
