//! Many tests at once. A p-value that is not a number counts as 1, so that it cannot help another.

/// Holm's step-down adjustment (Holm 1979), in the order given: controls the chance of any false finding in a declared
/// family. The k-th smallest p-value is multiplied by m - k + 1, and none falls below a smaller one's.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let m = p_values.len();
    let mut adjusted = vec![0.0; m];
    let mut largest: f64 = 0.0;
    for (rank, (index, p)) in ascending(p_values).into_iter().enumerate() {
        largest = largest.max(((m - rank) as f64 * p).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg's step-up adjustment (1995), in the order given: controls the share of false findings, for
/// exploratory tables. The k-th smallest p-value is multiplied by m / k, and none exceeds a larger one's.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let m = p_values.len();
    let mut adjusted = vec![0.0; m];
    let mut smallest: f64 = 1.0;
    for (rank, (index, p)) in ascending(p_values).into_iter().enumerate().rev() {
        smallest = smallest.min(m as f64 / (rank + 1) as f64 * p);
        adjusted[index] = smallest;
    }
    adjusted
}

fn ascending(p_values: &[f64]) -> Vec<(usize, f64)> {
    let usable = |p: f64| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) };
    let mut order: Vec<(usize, f64)> = p_values.iter().copied().map(usable).enumerate().collect();
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_broken_families_are_defined() {
        assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
        assert_eq!(holm(&[0.3]), [0.3]);
        assert_eq!(holm(&[f64::NAN, 0.01]), [1.0, 0.02]);
        assert_eq!(benjamini_hochberg(&[f64::NAN, 2.0]), [1.0, 1.0]);
    }
}
