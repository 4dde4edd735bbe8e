//! Sums, means, spreads and quantiles that do not depend on the order or the sharding of the samples.

mod exact;

use serde::{Deserialize, Serialize};

use crate::special::student_t_two_sided_quantile;
use crate::{Interval, is_open_probability};
pub use exact::ExactSum;

/// Sum of the values; `None` when one of them (or the sum) is not finite, 0 of nothing.
#[must_use]
pub fn sum(values: &[f64]) -> Option<f64> {
    values.iter().copied().collect::<ExactSum>().value()
}

/// Mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    match Binary::of(values) {
        Some(binary) => binary.mean(),
        None => values.iter().copied().collect::<ExactSum>().mean(),
    }
}

/// Sum of the squared differences from `centre`; `None` when it is not finite.
fn squares(values: &[f64], centre: f64) -> Option<f64> {
    let sum: ExactSum = match Binary::of(values) {
        Some(binary) => binary.squares(centre),
        None => values.iter().map(|&value| square(value, centre)).collect(),
    };
    sum.value()
}

fn square(value: f64, centre: f64) -> f64 {
    (value - centre).powi(2)
}

/// How many zeros and ones there are, where there is nothing else: sums over them are exact without adding them up.
#[derive(Clone, Copy)]
struct Binary {
    zeros: u32,
    ones: u32,
}

impl Binary {
    fn new(zeros: u64, ones: u64) -> Option<Self> {
        i32::try_from(zeros.checked_add(ones)?).ok()?;
        Some(Self {
            zeros: zeros as u32,
            ones: ones as u32,
        })
    }

    fn of(values: &[f64]) -> Option<Self> {
        const ONE: u64 = 1.0_f64.to_bits();
        i32::try_from(values.len()).ok()?;
        // A stretch at a time: other values mostly show at once.
        let mut ones = 0;
        for stretch in values.chunks(4096) {
            let bits = || stretch.iter().map(|value| value.to_bits());
            let here = bits().filter(|&bits| bits == ONE).count();
            if here + bits().filter(|&bits| bits == 0).count() < stretch.len() {
                return None;
            }
            ones += here as u64;
        }
        Self::new(values.len() as u64 - ones, ones)
    }

    fn mean(self) -> Option<f64> {
        let n = self.zeros + self.ones;
        (n > 0).then(|| f64::from(self.ones) / f64::from(n))
    }

    /// The sum of the squared differences from `centre`.
    fn squares(self, centre: f64) -> ExactSum {
        let copies = |value, copies| ExactSum::from_iter([square(value, centre)]).times(copies);
        let mut sum = copies(0.0, self.zeros);
        sum.merge(&copies(1.0, self.ones));
        sum
    }

    /// [`order`] of them.
    fn order(self) -> Option<(f64, f64, f64)> {
        let n = self.zeros + self.ones;
        let at = |place| f64::from(u8::from(place >= self.zeros));
        let last = n.checked_sub(1)?;
        let (low, high) = (at(last / 2), at(last.div_ceil(2)));
        Some((at(0), between(low, high, 0.5), at(last)))
    }
}

/// Variance with divisor `n - ddof` (0: population, 1: sample), in two passes; `None` when the divisor is not positive.
#[must_use]
pub fn variance(values: &[f64], ddof: u32) -> Option<f64> {
    let divisor = values.len() as f64 - f64::from(ddof);
    let squares = squares(values, mean(values)?)?;
    (divisor > 0.0).then(|| squares / divisor)
}

/// Standard error of the mean, `sqrt(Σ(x - x̄)² / (n(n-1)))`; `None` for fewer than two values.
#[must_use]
pub fn standard_error(values: &[f64]) -> Option<f64> {
    Some((variance(values, 1)? / values.len() as f64).sqrt())
}

/// Student's interval of the mean: `x̄ ± t se`, with t the quantile of Student's t with n - 1 degrees of freedom and se
/// [`standard_error`] (Student 1908). `None` for fewer than two values, values without spread, or a level outside (0, 1).
#[must_use]
pub fn mean_interval(values: &[f64], level: f64) -> Option<Interval> {
    let centre = mean(values)?;
    interval_about(centre, squares(values, centre)?, values.len(), level)
}

/// Whether a standard error about this mean is none: equal values leave the rounding of their mean.
pub(crate) fn is_rounding(se: f64, mean: f64) -> bool {
    se <= 1e-14 * mean.abs()
}

/// [`mean_interval`] of so many values with this mean and sum of squared differences from it.
fn interval_about(centre: f64, squares: f64, items: usize, level: f64) -> Option<Interval> {
    let n = items as f64;
    if !is_open_probability(level) || n < 2.0 {
        return None;
    }
    let se = (squares / (n - 1.0) / n).sqrt();
    if is_rounding(se, centre) {
        return None;
    }
    let half = student_t_two_sided_quantile(1.0 - level, n - 1.0) * se;
    Some(Interval::new(
        level,
        centre - half,
        centre + half,
        "student-t",
    ))
}

/// The median; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Quantile of type 7 (Hyndman and Fan 1996), as numpy's default; `None` of nothing or when a value is not finite.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    if !crate::all_finite(values) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile_sorted(&sorted, q)
}

/// [`quantile`] of values that are sorted already.
#[must_use]
pub fn quantile_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    // In range: the place is at most the last index.
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    Some(between(sorted[below], sorted[above], place - below as f64))
}

fn between(low: f64, high: f64, part: f64) -> f64 {
    low + part * (high - low)
}

/// Smallest value, median and largest value of numbers; `None` of nothing.
fn order(values: &[f64]) -> Option<(f64, f64, f64)> {
    if let Some(binary) = Binary::of(values) {
        return binary.order();
    }
    let last = values.len().checked_sub(1)?;
    let (below, above) = (last / 2, last.div_ceil(2));
    let part = if below == above { 0.0 } else { 0.5 };
    let mut values = values.to_vec();
    let (lower, &mut high, upper) = values.select_nth_unstable_by(above, f64::total_cmp);
    let largest = |values: &[f64]| values.iter().copied().max_by(f64::total_cmp);
    let smallest = lower.iter().copied().min_by(f64::total_cmp);
    let low = if below == above {
        Some(high)
    } else {
        largest(lower)
    };
    Some((
        smallest.unwrap_or(high),
        between(low?, high, part),
        largest(upper).unwrap_or(high),
    ))
}

/// What a table says about one column of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values.
    pub n: u64,
    /// Mean.
    pub mean: f64,
    /// Median (type 7).
    pub median: f64,
    /// Sample standard deviation (divisor n - 1); `None` for one value.
    pub sd: Option<f64>,
    /// Standard error of the mean, `sd / sqrt(n)`; `None` for one value.
    pub se: Option<f64>,
    /// Population standard deviation (divisor n).
    pub sd_population: f64,
    /// `sd_population / sqrt(n)`: what numpy's default `std` over `sqrt(n)` gives.
    pub se_population: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

/// Summarises a column; `None` of nothing or when a value is not finite.
#[must_use]
pub fn summarize(values: &[f64]) -> Option<Summary> {
    let (mean, squares) = moments(values)?;
    Some(summary(values.len() as u64, mean, squares, order(values)?))
}

/// [`summarize`], and [`mean_interval`] of the same values, from sums that both need.
#[must_use]
pub fn summarize_mean(values: &[f64], level: f64) -> Option<(Summary, Option<Interval>)> {
    let (mean, squares) = moments(values)?;
    let interval = interval_about(mean, squares, values.len(), level);
    let summary = summary(values.len() as u64, mean, squares, order(values)?);
    Some((summary, interval))
}

/// Mean, and sum of the squared differences from it.
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    if !crate::all_finite(values) {
        return None;
    }
    let mean = mean(values)?;
    Some((mean, squares(values, mean)?))
}

/// [`summarize`] of so many zeros and ones; `None` of nothing, or of more than 2^31 - 1.
#[must_use]
pub fn summarize_binary(zeros: u64, ones: u64) -> Option<Summary> {
    let binary = Binary::new(zeros, ones)?;
    let mean = binary.mean()?;
    let squares = binary.squares(mean).value()?;
    Some(summary(zeros + ones, mean, squares, binary.order()?))
}

fn summary(items: u64, mean: f64, squares: f64, (min, median, max): (f64, f64, f64)) -> Summary {
    let n = items as f64;
    let root_n = n.sqrt();
    let sd = (n > 1.0).then(|| (squares / (n - 1.0)).sqrt());
    let sd_population = (squares / n).sqrt();
    Summary {
        n: items,
        mean,
        median,
        sd,
        se: sd.map(|sd| sd / root_n),
        sd_population,
        se_population: sd_population / root_n,
        min,
        max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_are_defined() {
        assert_eq!(mean(&[]), None);
        assert_eq!(summarize(&[]), None);
        assert_eq!(summarize(&[1.0, f64::INFINITY]), None);
        let one = summarize(&[2.0]).unwrap();
        assert_eq!((one.mean, one.sd, one.sd_population), (2.0, None, 0.0));
        assert_eq!(standard_error(&[3.0; 5]), Some(0.0));
        for values in [[].as_slice(), &[0.1], &[0.1; 33], &[0.0; 2]] {
            assert_eq!(mean_interval(values, 0.95), None);
        }
        assert_eq!(mean_interval(&[0.0, 1.0], 1.0), None);
    }

    #[test]
    fn what_is_counted_is_what_is_added_up() {
        for (n, every) in [(1, 1), (2, 2), (5, 3), (1000, 7), (1001, 13), (5000, 5001)] {
            let values: Vec<f64> = (0..n)
                .map(|i| f64::from(u8::from(i % every == 0)))
                .collect();
            assert!(Binary::of(&values).is_some());
            let added: ExactSum = values.iter().copied().collect();
            assert_eq!(mean(&values), added.mean());
            let centre = added.mean().unwrap();
            let added: ExactSum = values.iter().map(|x| (x - centre).powi(2)).collect();
            assert_eq!(squares(&values, centre), added.value());
            let summary = summarize(&values).unwrap();
            assert_eq!(Some(summary.median), median(&values));
            let largest = values.iter().copied().reduce(f64::max);
            assert_eq!(Some(summary.max), largest);
        }
        assert!(Binary::of(&[0.0, 1.0, 0.5]).is_none());
        assert!(Binary::of(&[-0.0]).is_none());
    }

    /// Eight values around 5 whose squared distances add up to 32.
    #[test]
    fn a_column_in_numbers() {
        let found = summarize(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        let root_n = 8_f64.sqrt();
        assert_eq!((found.n, found.mean, found.median), (8, 5.0, 4.5));
        assert_eq!((found.min, found.max), (2.0, 9.0));
        assert_eq!(found.sd_population, 2.0);
        assert!((found.se_population - 2.0 / root_n).abs() < 1e-15);
        let sd = (32.0 / 7.0_f64).sqrt();
        assert!((found.sd.unwrap() - sd).abs() < 1e-15);
        assert!((found.se.unwrap() - sd / root_n).abs() < 1e-15);
    }

    #[test]
    fn the_middle_needs_no_sorting() {
        for n in 1..40 {
            let values: Vec<f64> = (0..n).map(|i| f64::from(i * 17 % 23).sin()).collect();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let expected = (sorted[0], median(&values).unwrap(), sorted[n as usize - 1]);
            assert_eq!(order(&values), Some(expected));
        }
    }

    #[test]
    fn quantiles_are_numpys() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile_sorted(&sorted, 0.5), Some(3.0));
        assert!((quantile_sorted(&sorted, 0.9).unwrap() - 6.8).abs() < 1e-12);
        assert_eq!(quantile_sorted(&[], 0.5), None);
    }
}
