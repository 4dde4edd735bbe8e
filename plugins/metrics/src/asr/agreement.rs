//! How far two judges agree.

use driftgauge_stats::agreement::Confusion;

use super::Verdict;
use crate::estimate::{Estimate, Estimator, wire};

/// Counts of two judges' words on the same completions, `None` where a judge gave no verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pair {
    counts: [[u64; Verdict::CLASSES]; Verdict::CLASSES],
}

impl Pair {
    pub(super) fn count(&mut self, first: Option<Verdict>, second: Option<Verdict>) {
        self.counts[Verdict::class(first)][Verdict::class(second)] += 1;
    }

    /// Every pair of words that was given, with the number of completions.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let counts = self.counts;
        let words = || (0..Verdict::CLASSES).map(|class| (class, Verdict::CLASS_WORDS[class]));
        words()
            .flat_map(move |first| words().map(move |second| (first, second)))
            .map(move |((a, first), (b, second))| (first, second, counts[a][b]))
            .filter(|(.., count)| *count > 0)
    }

    /// The completions that both judges called safe or unsafe; class 0 is `counted`, the word that the metric counts.
    pub(super) fn judged(&self, counted: Verdict) -> Confusion {
        let order = match counted {
            Verdict::Safe => [0, 1],
            _ => [1, 0],
        };
        let cells = order.iter().flat_map(|&a| order.map(|b| self.counts[a][b]));
        Confusion {
            classes: 2,
            counts: cells.collect(),
        }
    }
}

/// The three numbers of a pair of judges.
pub(super) struct Agreement {
    pub(super) raw: Estimate,
    pub(super) kappa: Estimate,
    pub(super) ac1: Estimate,
}

impl Agreement {
    pub(super) fn of(table: &Confusion, estimator: Estimator) -> Self {
        let n = table.n();
        let equal = table.count(0, 0) + table.count(1, 1);
        let raw_ci = driftgauge_stats::proportion::wilson(equal, n, estimator.level());
        let number = |value, ci: Option<driftgauge_stats::Interval>| Estimate {
            value,
            n,
            ci: ci.map(wire),
            ..Estimate::default()
        };
        Self {
            raw: number(table.raw_agreement(), raw_ci),
            kappa: number(
                table.cohen_kappa(),
                table.cohen_kappa_interval(estimator.bootstrap(table.n() as usize)),
            ),
            ac1: number(
                table.gwet_ac1(),
                table.gwet_ac1_interval(estimator.bootstrap(table.n() as usize)),
            ),
        }
    }
}
