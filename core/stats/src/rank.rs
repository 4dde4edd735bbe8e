//! Whether two measures put the same items in the same order.

use crate::summary::mean;

/// Spearman's rank correlation: Pearson's of the midranks, so that ties count half. `None` for fewer than two items, unequal
/// lengths, a value that is not finite, or a column without any spread.
#[must_use]
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 2 || !crate::all_finite(a) || !crate::all_finite(b) {
        return None;
    }
    if a == b {
        // Pearson's of a column with itself, whatever its ranks.
        return a.iter().any(|value| *value != a[0]).then_some(1.0);
    }
    let (a, b) = (midranks(a), midranks(b));
    // Ranks add up to the same in both columns.
    let middle = mean(&a)?;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter()
            .zip(y)
            .map(|(x, y)| (x - middle) * (y - middle))
            .sum()
    };
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    (spread > 0.0).then(|| (product(&a, &b) / spread).clamp(-1.0, 1.0))
}

/// Ranks from 1, equal values sharing the middle of theirs.
fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(f64, usize)> = values.iter().copied().zip(0..).collect();
    order.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|(a, _), (b, _)| a == b) {
        let middle = start as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|&(_, item)| ranks[item] = middle);
        start += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_scipys() {
        // scipy.stats.spearmanr of the same lists.
        let found = spearman(
            &[1.0, 2.0, 2.0, 3.0, 5.0, 4.0],
            &[3.0, 1.0, 2.0, 2.0, 6.0, 5.0],
        );
        assert!((found.unwrap() - 0.602_941_176_470_588_5).abs() < 1e-12);
    }

    #[test]
    fn orders_and_edges() {
        assert_eq!(spearman(&[1.0, 5.0, 9.0], &[0.1, 0.2, 7.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 5.0], &[2.0, -2.0]), Some(-1.0));
        assert_eq!(spearman(&[1.0], &[2.0]), None);
        assert_eq!(spearman(&[1.0, 1.0], &[2.0, 3.0]), None);
        assert_eq!(spearman(&[1.0, f64::NAN], &[2.0, 3.0]), None);
        assert_eq!(spearman(&[1.0, 2.0], &[2.0]), None);
    }
}
