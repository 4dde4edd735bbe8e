//! Sums and quantiles that do not depend on the order of the samples.

/// Sum of the values, sorted first, so that the order in which they came cannot show.
#[must_use]
pub fn sum(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Neumaier's compensated summation.
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for value in sorted {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() {
            (sum - next) + value
        } else {
            (value - next) + sum
        };
        sum = next;
    }
    sum + lost
}

/// Mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| sum(values) / values.len() as f64)
}

/// Quantile of type 7 (Hyndman and Fan 1996), as numpy's default, of sorted values.
#[must_use]
pub fn quantile_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    // In range: the place is at most the last index.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (place - below as f64) * (sorted[above] - sorted[below]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i).sin() * 1e10).collect();
        let mut reversed = values.clone();
        reversed.reverse();
        assert_eq!(sum(&values), sum(&reversed));
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn quantiles_are_numpys() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile_sorted(&sorted, 0.5), Some(3.0));
        assert!((quantile_sorted(&sorted, 0.9).unwrap() - 6.8).abs() < 1e-12);
        assert_eq!(quantile_sorted(&[], 0.5), None);
    }
}
