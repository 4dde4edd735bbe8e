//! Agreement of judges who labelled the same samples.

use serde::{Deserialize, Serialize};

use crate::Interval;
use crate::bootstrap::{Items, Options};

/// How often each pair of labels was given: rows are the first judge's, columns the second's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Number of classes.
    pub classes: usize,
    /// Counts, row by row.
    pub counts: Vec<u64>,
}

impl Confusion {
    /// Of labels `0..classes`, aligned by sample; `None` for unequal lengths or a label out of range.
    #[must_use]
    pub fn of(first: &[usize], second: &[usize], classes: usize) -> Option<Self> {
        if first.len() != second.len() {
            return None;
        }
        let mut counts = vec![0; classes * classes];
        for (&a, &b) in first.iter().zip(second) {
            if a >= classes || b >= classes {
                return None;
            }
            counts[a * classes + b] += 1;
        }
        Some(Self { classes, counts })
    }

    /// Number of samples.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many samples the first judge labelled `first` and the second `second`.
    #[must_use]
    pub fn count(&self, first: usize, second: usize) -> u64 {
        self.counts
            .get(first * self.classes + second)
            .copied()
            .unwrap_or(0)
    }

    /// Share of samples with equal labels; `None` without samples.
    #[must_use]
    pub fn raw_agreement(&self) -> Option<f64> {
        raw_agreement(self.classes, &self.as_weights(), self.n() as f64)
    }

    /// Cohen's kappa (1960), `(p_o - p_e) / (1 - p_e)` with `p_e = Σ_c p₁(c) p₂(c)`; `None` without samples and when `p_e` is
    /// 1 (both judges constant and equal). It is 0 whenever one judge is constant: read [`Self::gwet_ac1`] beside it.
    #[must_use]
    pub fn cohen_kappa(&self) -> Option<f64> {
        cohen_kappa(self.classes, &self.as_weights(), self.n() as f64)
    }

    /// Gwet's AC1 (2008), `(p_o - p_e) / (1 - p_e)` with `p_e = Σ_c π_c (1 - π_c) / (classes - 1)`, π the mean of both judges'
    /// shares: not fooled by a rare class. `None` without samples or with one class.
    #[must_use]
    pub fn gwet_ac1(&self) -> Option<f64> {
        gwet_ac1(self.classes, &self.as_weights(), self.n() as f64)
    }

    /// Bootstrap interval of Cohen's kappa over samples; `None` where the draws do not vary, as with judges who always agree.
    #[must_use]
    pub fn cohen_kappa_interval(&self, options: Options) -> Option<Interval> {
        self.interval(cohen_kappa, options)
    }

    /// Bootstrap interval of Gwet's AC1 over samples; `None` where the draws do not vary, as with judges who always agree.
    #[must_use]
    pub fn gwet_ac1_interval(&self, options: Options) -> Option<Interval> {
        self.interval(gwet_ac1, options)
    }

    fn as_weights(&self) -> Vec<f64> {
        self.counts.iter().map(|&count| count as f64).collect()
    }

    fn interval(
        &self,
        statistic: impl Fn(usize, &[f64], f64) -> Option<f64>,
        options: Options,
    ) -> Option<Interval> {
        let cells = self.counts.len();
        let rows: Vec<Vec<f64>> = (0..cells).map(|cell| vec![cell as f64]).collect();
        Items::from_counts(&rows, &self.counts)?
            .resample_features(cells, |row, out| out[row[0] as usize] = 1.0, options)
            .percentile(|cells, n| statistic(self.classes, cells, n))
    }
}

/// Labels that two judges gave to several completions each of many prompts. Prompts are the items: a prompt counts once, with the
/// shares of its completions that fell into each cell, and the numbers are those of the mean shares. Copying every completion
/// therefore changes neither number nor interval, and with one completion per prompt the numbers are those of [`Confusion`].
#[derive(Debug, Clone, PartialEq)]
pub struct PromptConfusion {
    classes: usize,
    /// The share of each prompt's completions in each cell: a column per cell.
    shares: Vec<Vec<f64>>,
}

/// Intervals of what [`PromptConfusion`] measures.
#[derive(Debug, Clone, PartialEq)]
pub struct AgreementIntervals {
    /// Of Cohen's kappa.
    pub kappa: Option<Interval>,
    /// Of Gwet's AC1.
    pub ac1: Option<Interval>,
}

impl PromptConfusion {
    /// Of each prompt's counts, row by row as in [`Confusion::counts`]; prompts without completions do not count.
    #[must_use]
    pub fn of<C: AsRef<[u64]>>(classes: usize, prompts: impl IntoIterator<Item = C>) -> Self {
        let mut shares = vec![Vec::new(); classes * classes];
        for prompt in prompts {
            let counts = prompt.as_ref();
            let n: u64 = counts.iter().sum();
            if n > 0 && counts.len() == shares.len() {
                for (column, &count) in shares.iter_mut().zip(counts) {
                    column.push(count as f64 / n as f64);
                }
            }
        }
        Self { classes, shares }
    }

    /// Number of prompts.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.shares.first().map_or(0, |column| column.len() as u64)
    }

    /// Mean share of completions with equal labels; `None` without prompts.
    #[must_use]
    pub fn raw_agreement(&self) -> Option<f64> {
        self.number(raw_agreement)
    }

    /// Cohen's kappa of the mean shares; undefined as [`Confusion::cohen_kappa`].
    #[must_use]
    pub fn cohen_kappa(&self) -> Option<f64> {
        self.number(cohen_kappa)
    }

    /// Gwet's AC1 of the mean shares; undefined as [`Confusion::gwet_ac1`].
    #[must_use]
    pub fn gwet_ac1(&self) -> Option<f64> {
        self.number(gwet_ac1)
    }

    /// Intervals of the cluster bootstrap (Davison and Hinkley 1997, section 3.8): prompts are drawn, each with all its completions,
    /// once for both numbers.
    #[must_use]
    pub fn intervals(&self, options: Options) -> AgreementIntervals {
        let columns: Vec<&[f64]> = self.shares.iter().map(Vec::as_slice).collect();
        let totals = Items::new(&columns).map(|items| items.resample(options));
        let interval = |statistic: Statistic| {
            let mut interval = totals.as_ref()?.percentile(|cells, _| {
                // The shares' own sum, so that a constant judge's share is exactly 1.
                statistic(self.classes, cells, cells.iter().sum())
            })?;
            interval.method = interval.method.replace("bootstrap-", "cluster-bootstrap-");
            Some(interval)
        };
        AgreementIntervals {
            kappa: interval(cohen_kappa),
            ac1: interval(gwet_ac1),
        }
    }

    fn number(&self, statistic: Statistic) -> Option<f64> {
        let total = |column: &Vec<f64>| {
            let mut sum = crate::summary::ExactSum::default();
            column.iter().for_each(|&share| sum.add(share));
            sum.value()
        };
        let cells: Vec<f64> = self.shares.iter().map(total).collect::<Option<_>>()?;
        statistic(self.classes, &cells, cells.iter().sum())
    }
}

/// A number of the cells of a table, their number of classes, and their sum.
type Statistic = fn(usize, &[f64], f64) -> Option<f64>;

fn raw_agreement(classes: usize, cells: &[f64], n: f64) -> Option<f64> {
    let agreed: f64 = (0..classes)
        .map(|class| cells[class * classes + class])
        .sum();
    (n > 0.0).then(|| agreed / n)
}

fn chance_corrected(observed: f64, expected: f64) -> Option<f64> {
    (expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
}

/// Both judges' shares of each class.
fn margins(classes: usize, cells: &[f64], n: f64) -> impl Iterator<Item = (f64, f64)> {
    (0..classes).map(move |class| {
        let row: f64 = cells[class * classes..][..classes].iter().sum();
        let column: f64 = cells[class..].iter().step_by(classes).sum();
        (row / n, column / n)
    })
}

pub(crate) fn cohen_kappa(classes: usize, cells: &[f64], n: f64) -> Option<f64> {
    let observed = raw_agreement(classes, cells, n)?;
    let expected = margins(classes, cells, n)
        .map(|(row, column)| row * column)
        .sum();
    chance_corrected(observed, expected)
}

pub(crate) fn gwet_ac1(classes: usize, cells: &[f64], n: f64) -> Option<f64> {
    let observed = raw_agreement(classes, cells, n)?;
    if classes < 2 {
        return None;
    }
    let spread: f64 = margins(classes, cells, n)
        .map(|(row, column)| f64::midpoint(row, column))
        .map(|share| share * (1.0 - share))
        .sum();
    chance_corrected(observed, spread / (classes as f64 - 1.0))
}

/// Krippendorff's alpha for nominal labels of any number of judges, some of whom may have skipped a sample:
/// `1 - D_o / D_e` from the coincidences of labels within samples (Krippendorff 2011, "Computing Krippendorff's
/// Alpha-Reliability"). `samples[i]` holds sample i's labels, in any order; samples with fewer than two do not count. `None`
/// when nothing pairs or only one class occurs.
#[must_use]
pub fn krippendorff_alpha<L: AsRef<[usize]>>(samples: &[L]) -> Option<f64> {
    let pairable = || {
        samples
            .iter()
            .map(AsRef::as_ref)
            .filter(|labels| labels.len() > 1)
    };
    let classes = pairable().flatten().max()? + 1;
    let mut totals = vec![0_u64; classes];
    let mut disagreement = crate::summary::ExactSum::default();
    let mut counts = vec![0_u64; classes];
    for labels in pairable() {
        counts.fill(0);
        labels.iter().for_each(|&label| counts[label] += 1);
        let judges = labels.len() as u64;
        let differing: u64 = counts.iter().map(|count| count * (judges - count)).sum();
        disagreement.add(differing as f64 / (judges - 1) as f64);
        totals
            .iter_mut()
            .zip(&counts)
            .for_each(|(total, count)| *total += count);
    }
    let n: u64 = totals.iter().sum();
    let expected: f64 = totals
        .iter()
        .map(|&total| total as f64 * (n - total) as f64)
        .sum();
    (expected > 0.0)
        .then(|| Some(1.0 - (n as f64 - 1.0) * disagreement.value()? / expected))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_one_class_are_defined() {
        let none = Confusion::of(&[], &[], 2).unwrap();
        assert_eq!(
            (none.raw_agreement(), none.cohen_kappa(), none.gwet_ac1()),
            (None, None, None)
        );
        assert_eq!(none.cohen_kappa_interval(Options::default()), None);
        assert!(Confusion::of(&[0], &[2], 2).is_none());
        assert!(Confusion::of(&[0], &[], 2).is_none());
        let same = Confusion::of(&[1; 9], &[1; 9], 2).unwrap();
        assert_eq!(same.cohen_kappa(), None);
        assert_eq!(same.gwet_ac1(), Some(1.0));
        let options = Options {
            resamples: 50,
            ..Options::default()
        };
        assert_eq!(same.gwet_ac1_interval(options), None);
        let two = Confusion::of(&[0, 1], &[0, 1], 2).unwrap();
        assert_eq!(two.cohen_kappa_interval(options), None);
        assert_eq!(krippendorff_alpha::<Vec<usize>>(&[]), None);
        assert_eq!(krippendorff_alpha(&[vec![1], vec![2]]), None);
        assert_eq!(krippendorff_alpha(&[vec![1, 1], vec![1, 1, 1]]), None);
    }

    #[test]
    fn copies_of_completions_change_nothing() {
        let options = Options {
            resamples: 500,
            ..Options::default()
        };
        let cells = [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]];
        let prompts: Vec<[u64; 4]> = (0..40).map(|i| cells[i * i % 7 % 4]).collect();
        let copied = prompts.iter().map(|counts| counts.map(|count| 7 * count));
        let once = PromptConfusion::of(2, &prompts);
        let copied = PromptConfusion::of(2, copied);
        assert_eq!(once, copied);
        let table = Confusion {
            classes: 2,
            counts: (0..4)
                .map(|cell| prompts.iter().map(|counts| counts[cell]).sum())
                .collect(),
        };
        assert_eq!(once.cohen_kappa(), table.cohen_kappa());
        assert_eq!(once.gwet_ac1(), table.gwet_ac1());
        assert_eq!(once.n(), 40);
        assert!(copied.intervals(options).kappa.is_some());
    }

    #[test]
    fn prompts_without_completions_do_not_count() {
        let none = PromptConfusion::of(2, [[0_u64; 4]]);
        assert_eq!(
            (none.n(), none.cohen_kappa(), none.raw_agreement()),
            (0, None, None)
        );
        let nothing = none.intervals(Options::default());
        assert_eq!((nothing.kappa, nothing.ac1), (None, None));
        // One judge constant, in shares of thirds.
        let thirds = PromptConfusion::of(2, [[0, 0, 1, 2_u64], [0, 0, 2, 1], [0, 0, 0, 3]]);
        assert_eq!(thirds.cohen_kappa(), Some(0.0));
    }

    #[test]
    fn a_constant_judge_has_no_kappa_but_agreement() {
        // The paper's harmful model: one judge says unsafe to all, the other to 301 of 320.
        let first = vec![1; 320];
        let second: Vec<usize> = (0..320).map(|i| usize::from(i < 301)).collect();
        let table = Confusion::of(&first, &second, 2).unwrap();
        assert_eq!(table.cohen_kappa(), Some(0.0));
        assert!((table.raw_agreement().unwrap() - 0.940_625).abs() < 1e-12);
        assert!(table.gwet_ac1().unwrap() > 0.9);
    }
}
