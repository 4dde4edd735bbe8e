//! How far two judges agree.

use driftgauge_stats::agreement::{Confusion, PromptConfusion};
use driftgauge_stats::bootstrap::Options;

use super::Verdict;
use crate::columns::Column;
use crate::estimate::{Estimate, Estimator};

/// Prompts times replicates of the bootstrap, where few prompts leave a wide interval: the error of a drawn 2.5 % bound is about
/// 2.7 se / sqrt(replicates). A kappa's se is near 1 / sqrt(prompts), so ten million leave 0.1 percentage points.
const DRAWN: usize = 10_000_000;
/// Most replicates.
const MOST_RESAMPLES: usize = 100_000;

/// Two judges' words on the same completions, `None` where a judge gave no verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pair {
    counts: [[u64; Verdict::CLASSES]; Verdict::CLASSES],
    /// Completions that both called safe or unsafe, by prompt row: (safe, safe), (safe, unsafe), (unsafe, safe), (unsafe, unsafe).
    judged: Vec<[u32; 4]>,
}

impl Pair {
    /// What is known of a judge that had said nothing until now: the words of the first one.
    pub(super) fn missed_by_second(first: [u64; Verdict::CLASSES]) -> Self {
        let mut pair = Self::default();
        for (row, count) in pair.counts.iter_mut().zip(first) {
            row[Verdict::class(None)] = count;
        }
        pair
    }

    /// Counts one completion of a prompt.
    pub(super) fn count(&mut self, row: usize, first: Option<Verdict>, second: Option<Verdict>) {
        let (a, b) = (Verdict::class(first), Verdict::class(second));
        self.counts[a][b] += 1;
        if a < 2 && b < 2 {
            if self.judged.len() <= row {
                self.judged.resize(row + 1, [0; 4]);
            }
            self.judged[row][2 * a + b] += 1;
        }
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

    /// The shares of each prompt's completions that fell into each cell; `None` where every prompt has one completion at most, so
    /// that completions are prompts.
    fn by_prompt(&self) -> Option<PromptConfusion> {
        let judged = self.judged.iter().map(|cells| cells.map(u64::from));
        let repeats = judged.clone().any(|cells| cells.iter().sum::<u64>() > 1);
        repeats.then(|| PromptConfusion::of(2, judged))
    }

    /// Rows of the prompts that both judged, and the word of each: 1 and true for unsafe. `None` where prompts have several
    /// completions.
    pub(super) fn words(&self) -> Option<(Vec<u32>, Vec<f64>, Vec<bool>)> {
        let (mut rows, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
        for (cells, row) in self.judged.iter().zip(0..) {
            match cells.iter().sum::<u32>() {
                0 => {}
                1 => {
                    let cell = cells.iter().position(|&count| count == 1)?;
                    rows.push(row);
                    first.push(f64::from(u8::from(cell >= 2)));
                    second.push(cell % 2 == 1);
                }
                _ => return None,
            }
        }
        Some((rows, first, second))
    }

    /// The share of each prompt's completions on which both agree, among those that both judged.
    pub(super) fn equal(&self) -> Column {
        let of = |count: fn(&[u32; 4]) -> u32| self.judged.iter().map(count).collect::<Vec<_>>();
        let equal = of(|cells| cells[0] + cells[3]);
        Column::shares(&equal, &of(|cells| cells.iter().sum()))
    }
}

/// The three numbers of a pair of judges. Prompts are what they count: several completions of one prompt are one item, with the
/// shares of them that fell into each cell of the table.
pub(super) struct Agreement {
    pub(super) raw: Estimate,
    pub(super) kappa: Estimate,
    pub(super) ac1: Estimate,
}

impl Agreement {
    /// The numbers alone, without their intervals: agreement, kappa, AC1.
    pub(super) fn values(pair: &Pair) -> [Option<f64>; 3] {
        numbers(&pair.judged(Verdict::Unsafe), pair.by_prompt().as_ref())
    }

    pub(super) fn of(pair: &Pair, counted: Verdict, estimator: Estimator) -> Self {
        let (table, prompts) = (pair.judged(counted), pair.by_prompt());
        let [raw, kappa, ac1] = numbers(&table, prompts.as_ref());
        let n = prompts.as_ref().map_or(table.n(), PromptConfusion::n);
        let number = |value, ci: Option<driftgauge_stats::Interval>| Estimate {
            value,
            n,
            ci,
            ..Estimate::default()
        };
        let options = draws(estimator, n);
        if let Some(prompts) = prompts {
            let drawn = prompts.intervals(options);
            return Self {
                raw: estimator.rate(&pair.equal()),
                kappa: number(kappa, drawn.kappa),
                ac1: number(ac1, drawn.ac1),
            };
        }
        let equal = table.count(0, 0) + table.count(1, 1);
        let raw_ci = driftgauge_stats::proportion::wilson(equal, n, estimator.level());
        Self {
            raw: number(raw, raw_ci),
            kappa: number(kappa, table.cohen_kappa_interval(options)),
            ac1: number(ac1, table.gwet_ac1_interval(options)),
        }
    }
}

/// Agreement, kappa and AC1, by prompt where prompts have several completions.
fn numbers(table: &Confusion, prompts: Option<&PromptConfusion>) -> [Option<f64>; 3] {
    match prompts {
        Some(prompts) => [
            prompts.raw_agreement(),
            prompts.cohen_kappa(),
            prompts.gwet_ac1(),
        ],
        None => [table.raw_agreement(), table.cohen_kappa(), table.gwet_ac1()],
    }
}

/// How intervals over `n` prompts are drawn: as often as the experiment asks, or else more often where there are few.
fn draws(estimator: Estimator, n: u64) -> Options {
    let usual = estimator.bootstrap(n as usize);
    let asked = estimator.bootstrap(1).resamples;
    if asked != Options::default().resamples {
        return usual;
    }
    let many = (DRAWN / (n as usize).max(1)).min(MOST_RESAMPLES);
    Options {
        resamples: usual.resamples.max(many),
        ..usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::{Level, Resamples};

    #[test]
    fn few_prompts_are_drawn_more_often() {
        let usual = Level::default().estimator().unwrap();
        // Ten million draws over the prompts, between the usual 10,000 and 100,000 replicates; fifty million at most.
        for (prompts, resamples) in [
            (0, 100_000),
            (1, 100_000),
            (100, 100_000),
            (101, 99_009),
            (400, 25_000),
            (1_000, 10_000),
            (5_000, 10_000),
            (10_000, 5_000),
        ] {
            assert_eq!(draws(usual, prompts).resamples, resamples, "{prompts}");
        }
        // As often as was asked for, however few they are.
        let asked: Resamples = serde_json::from_str("700").unwrap();
        let asked = usual.drawn(asked).unwrap();
        assert_eq!(draws(asked, 40).resamples, 700);
    }

    #[test]
    fn words_and_cells_of_two_judges() {
        use Verdict::{Error, Safe, Unsafe};
        let mut pair = Pair::default();
        for (row, first, second) in [
            (3, Some(Safe), Some(Unsafe)),
            (0, Some(Unsafe), Some(Unsafe)),
            (1, Some(Unsafe), None),
            (2, Some(Error), Some(Safe)),
            (5, Some(Unsafe), Some(Safe)),
            (6, Some(Safe), Some(Safe)),
        ] {
            pair.count(row, first, second);
        }
        // By prompt, those that both judged: 1 and true for unsafe.
        let expected = (
            vec![0, 3, 5, 6],
            vec![1.0, 0.0, 1.0, 0.0],
            vec![true, true, false, false],
        );
        assert_eq!(pair.words(), Some(expected));
        let table = pair.judged(Unsafe);
        assert_eq!(table.counts, [1, 1, 1, 1]);
        pair.count(9, Some(Unsafe), Some(Safe));
        // The counted word stands first.
        assert_eq!(pair.judged(Unsafe).counts, [1, 2, 1, 1]);
        assert_eq!(pair.judged(Safe).counts, [1, 1, 2, 1]);
        let equal = pair.equal();
        let means = [0, 1, 3, 5, 6, 9].map(|row| equal.mean(row));
        assert_eq!(
            means,
            [Some(1.0), None, Some(0.0), Some(0.0), Some(1.0), Some(0.0)]
        );
        assert!(pair.by_prompt().is_none());
        pair.count(9, Some(Unsafe), Some(Unsafe));
        // A prompt with two completions has no one word.
        assert_eq!(pair.words(), None);
        let prompts = pair.by_prompt().unwrap();
        assert_eq!((prompts.n(), prompts.raw_agreement()), (5, Some(0.5)));
    }
}
