//! Expected calibration error. The number of bins is part of the metric's name: 10, 15 and 20 are all in use.

use serde::{Deserialize, Serialize};

use super::groups::{Group, share};
use super::predictions::Predictions;

/// Which bin a confidence on a border belongs to. Where all bins err to the same side, only the MCE can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// (l, u], with 0 in the first bin (Guo and others 2017).
    #[default]
    Upper,
    /// [l, u), with 1 in the last bin.
    Lower,
}

/// Answers of one bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Number of answers; fractional where a group of equal confidences lies across two bins of equal mass.
    pub n: f64,
    /// Mean confidence; 0 for an empty bin.
    pub confidence: f64,
    /// Share of correct answers; 0 for an empty bin.
    pub accuracy: f64,
}

/// A reliability table and the calibration errors it gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Binned {
    /// `ece_10`, or `ece_10_equal_mass`: the name that carries the number of bins.
    pub name: String,
    /// The bins, by ascending confidence.
    pub bins: Vec<Bin>,
    /// Expected calibration error `Σ (n_m / n) |accuracy_m - confidence_m|`. Biased upwards when bins hold few answers.
    pub ece: f64,
    /// Maximum calibration error: the largest gap of any bin.
    pub mce: f64,
}

impl Predictions {
    /// Calibration error over bins of equal width, (l, u] with 0 in the first (Guo and others 2017). `None` without bins or
    /// when a confidence is not a probability.
    #[must_use]
    pub fn equal_width(&self, bins: usize) -> Option<Binned> {
        self.equal_width_closed(bins, Closed::Upper)
    }

    /// [`Self::equal_width`] with a choice of which bin a border belongs to.
    #[must_use]
    pub fn equal_width_closed(&self, bins: usize, closed: Closed) -> Option<Binned> {
        if bins == 0 || !self.are_probabilities() {
            return None;
        }
        let mut filling = vec![Filling::default(); bins];
        let mut ascending = Ascending::new(bins, closed);
        for group in self.groups() {
            filling[ascending.bin_of(group.confidence)].add(group, group.n as f64);
        }
        let name = match closed {
            Closed::Upper => format!("ece_{bins}"),
            Closed::Lower => format!("ece_{bins}_lower_closed"),
        };
        Some(Binned::new(name, &filling))
    }

    /// Calibration error over bins of equally many answers; a group of equal confidences that lies across a border is split
    /// in proportion. `None` as [`Self::equal_width`].
    #[must_use]
    pub fn equal_mass(&self, bins: usize) -> Option<Binned> {
        if bins == 0 || !self.are_probabilities() {
            return None;
        }
        let mut filling = vec![Filling::default(); bins];
        let end_of = |bin: usize| ((bin as u128 + 1) * u128::from(self.n()) / bins as u128) as u64;
        let (mut bin, mut at) = (0, 0);
        for group in self.groups() {
            let group_end = at + group.n;
            while at < group_end {
                while end_of(bin) <= at {
                    bin += 1;
                }
                let next = end_of(bin).min(group_end);
                filling[bin].add(group, (next - at) as f64);
                at = next;
            }
        }
        Some(Binned::new(format!("ece_{bins}_equal_mass"), &filling))
    }
}

/// The error of groups of answers over bins of equal width; `None` of none.
pub(super) fn ece_of(groups: &[Group], bins: usize) -> Option<f64> {
    let n: u64 = groups.iter().map(|group| group.n).sum();
    if n == 0 || bins == 0 {
        return None;
    }
    let mut gaps = vec![0.0; bins];
    let mut ascending = Ascending::new(bins, Closed::Upper);
    for group in groups {
        gaps[ascending.bin_of(group.confidence)] +=
            group.correct as f64 - group.n as f64 * group.confidence;
    }
    Some(gaps.iter().map(|gap| gap.abs()).sum::<f64>() / n as f64)
}

/// The bin that a probability falls in.
pub(super) fn bin_of(confidence: f64, bins: usize, closed: Closed) -> usize {
    let border = |bin: usize| bin as f64 / bins as f64;
    // The product may round across a border: the border itself decides.
    let mut bin = ((confidence * bins as f64) as usize).min(bins - 1);
    match closed {
        Closed::Upper => {
            while bin > 0 && confidence <= border(bin) {
                bin -= 1;
            }
        }
        Closed::Lower => {
            while bin > 0 && confidence < border(bin) {
                bin -= 1;
            }
            while bin + 1 < bins && confidence >= border(bin + 1) {
                bin += 1;
            }
        }
    }
    bin
}

/// [`bin_of`] of probabilities in ascending order, which mostly are in the bin of the one before.
pub(super) struct Ascending {
    bins: usize,
    closed: Closed,
    bin: usize,
    /// The upper border of the bin: what is less, and not less than what came before, is within.
    border: f64,
}

impl Ascending {
    pub(super) fn new(bins: usize, closed: Closed) -> Self {
        Self {
            bins,
            closed,
            bin: 0,
            border: f64::NEG_INFINITY,
        }
    }

    pub(super) fn bin_of(&mut self, confidence: f64) -> usize {
        if confidence >= self.border {
            self.bin = bin_of(confidence, self.bins, self.closed);
            self.border = (self.bin + 1) as f64 / self.bins as f64;
        }
        self.bin
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Filling {
    n: f64,
    confidence: f64,
    correct: f64,
}

impl Filling {
    fn add(&mut self, group: &Group, n: f64) {
        self.n += n;
        self.confidence += n * group.confidence;
        self.correct += n * share(group);
    }
}

impl Binned {
    fn new(name: String, filling: &[Filling]) -> Self {
        let n: f64 = filling.iter().map(|bin| bin.n).sum();
        let per = |total: f64, n: f64| if n > 0.0 { total / n } else { 0.0 };
        let bins: Vec<Bin> = filling
            .iter()
            .map(|bin| Bin {
                n: bin.n,
                confidence: per(bin.confidence, bin.n),
                accuracy: per(bin.correct, bin.n),
            })
            .collect();
        let gap = |bin: &Bin| (bin.accuracy - bin.confidence).abs();
        Self {
            name,
            ece: bins.iter().map(|bin| bin.n / n * gap(bin)).sum(),
            mce: bins.iter().map(gap).fold(0.0, f64::max),
            bins,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::Options;

    #[test]
    fn borders_belong_where_they_should() {
        for (confidence, upper, lower) in [
            (0.0, 0, 0),
            (0.1, 0, 1),
            (0.3, 2, 3),
            (0.7, 6, 7),
            (1.0, 9, 9),
            (0.700_000_1, 7, 7),
        ] {
            assert_eq!(bin_of(confidence, 10, Closed::Upper), upper, "{confidence}");
            assert_eq!(bin_of(confidence, 10, Closed::Lower), lower, "{confidence}");
        }
    }

    /// k of n is the upper border of the bin before and the lower border of the bin at k; nothing rounds across.
    #[test]
    fn every_border_of_every_number_of_bins() {
        for bins in 1..60_usize {
            for k in 0..=bins {
                let border = k as f64 / bins as f64;
                let below = bin_of(border, bins, Closed::Upper);
                assert_eq!(below, k.saturating_sub(1), "{k} of {bins}");
                let above = bin_of(border, bins, Closed::Lower);
                assert_eq!(above, k.min(bins - 1), "{k} of {bins}");
                // The next numbers on either side are within, however the product of border and bins rounds.
                if k > 0 {
                    let just_below = border.next_down();
                    for closed in [Closed::Upper, Closed::Lower] {
                        assert_eq!(bin_of(just_below, bins, closed), k - 1, "{k} of {bins}");
                    }
                }
                if k < bins {
                    let just_above = border.next_up();
                    for closed in [Closed::Upper, Closed::Lower] {
                        assert_eq!(bin_of(just_above, bins, closed), k, "{k} of {bins}");
                    }
                    let inside = (k as f64 + 0.5) / bins as f64;
                    for closed in [Closed::Upper, Closed::Lower] {
                        assert_eq!(bin_of(inside, bins, closed), k, "{k} of {bins}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_ascending_walk_falls_into_the_same_bins() {
        for bins in 1..60_usize {
            let borders = (0..=bins).map(|k| k as f64 / bins as f64);
            let around = |border: f64| [border.next_down(), border, border.next_up()];
            let places = borders
                .flat_map(around)
                .chain((0..500).map(|i| f64::from(i) / 499.0));
            let mut places: Vec<f64> = places.map(|place| place.clamp(0.0, 1.0)).collect();
            places.sort_by(f64::total_cmp);
            for closed in [Closed::Upper, Closed::Lower] {
                let mut ascending = Ascending::new(bins, closed);
                for &place in &places {
                    let expected = bin_of(place, bins, closed);
                    assert_eq!(ascending.bin_of(place), expected, "{place} of {bins}");
                }
            }
        }
    }

    #[test]
    fn one_answer_and_one_value_are_defined() {
        let one = Predictions::new(&[0.8], &[true]).unwrap();
        let binned = one.equal_width(10).unwrap();
        assert!((binned.ece - 0.2).abs() < 1e-12 && (binned.mce - 0.2).abs() < 1e-12);
        assert_eq!(binned.name, "ece_10");
        assert!((one.equal_mass(10).unwrap().ece - 0.2).abs() < 1e-12);
        let options = Options::default();
        assert_eq!(one.equal_width_interval(10, options), None);
        let alike = Predictions::new(&[0.8; 6], &[true; 6]).unwrap();
        let ci = alike.equal_width_interval(10, options).unwrap();
        assert!(ci.low < 0.1 && ci.high > 0.5 && ci.method == "wilson-bounded");
        assert!(Predictions::new(&[], &[]).is_none());
        assert!(Predictions::new(&[0.5], &[]).is_none());
        assert!(Predictions::new(&[f64::NAN], &[true]).is_none());
        let score = Predictions::new(&[-3.0, 2.0], &[true, false]).unwrap();
        assert!(score.equal_width(10).is_none() && score.signed_gap().is_none());
        assert!(one.equal_width(0).is_none());
    }

    #[test]
    fn equal_mass_splits_ties_in_proportion() {
        let confidence = [0.5; 10];
        let correct: Vec<bool> = (0..10).map(|i| i < 4).collect();
        let binned = Predictions::new(&confidence, &correct)
            .unwrap()
            .equal_mass(2)
            .unwrap();
        assert!(
            binned
                .bins
                .iter()
                .all(|bin| bin.n == 5.0 && (bin.accuracy - 0.4).abs() < 1e-12)
        );
    }
}
