//! Items with their columns side by side, and the totals of each replicate's draw of them.
//!
//! A statistic of means, rates or ratios needs only totals over the drawn items. Drawing them costs
//! - one multinomial draw per replicate over the distinct rows, when few rows are distinct (verdicts and categories are);
//! - else item by item: the draws are first split among blocks of 4,096 items (again multinomial), then places are drawn
//!   within each block, which stays in the first-level cache meanwhile.
//!
//! Both are the bootstrap's distribution exactly. Rows are sorted first, so the order of the items cannot show.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rayon::prelude::*;

use super::Options;
use super::draw::{BLOCK, multinomial, places, stream};
use super::replicates::{Drawn, Replicates};
use crate::Interval;
use crate::summary::ExactSum;

/// Replicates that one thread draws together, block by block.
const TOGETHER: usize = 64;
/// Counts are drawn when there are at least this many items for each distinct row.
const ITEMS_PER_ROW: usize = 16;

/// The scores of the items, one row each: a column per model, condition or category.
#[derive(Debug, Clone)]
pub struct Items {
    columns: usize,
    /// Sorted, row by row: distinct rows with their counts, or every row.
    rows: Vec<f64>,
    counts: Option<Vec<u64>>,
    n: u64,
}

impl Items {
    /// Of columns that are aligned by item; `None` without items or columns, for columns of unequal length, or when a value
    /// is not finite.
    #[must_use]
    pub fn new(columns: &[&[f64]]) -> Option<Self> {
        let n = columns.first()?.len();
        if n == 0
            || columns
                .iter()
                .any(|column| column.len() != n || !crate::all_finite(column))
        {
            return None;
        }
        if let Some((rows, counts)) = distinct_rows(columns, n / ITEMS_PER_ROW) {
            return Some(Self {
                columns: columns.len(),
                rows,
                counts: Some(counts),
                n: n as u64,
            });
        }
        Some(Self {
            columns: columns.len(),
            rows: sorted_rows(columns),
            counts: None,
            n: n as u64,
        })
    }

    /// Of distinct rows and how many items have each; `None` without items, for rows of unequal length, or when a value is
    /// not finite.
    #[must_use]
    pub fn from_counts(rows: &[Vec<f64>], counts: &[u64]) -> Option<Self> {
        let columns = rows.first()?.len();
        let n: u64 = counts.iter().sum();
        let usable = |row: &Vec<f64>| row.len() == columns && crate::all_finite(row);
        if columns == 0 || n == 0 || rows.len() != counts.len() || !rows.iter().all(usable) {
            return None;
        }
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| compare_rows(&rows[a], &rows[b]));
        Some(Self {
            columns,
            rows: order.iter().flat_map(|&row| rows[row].clone()).collect(),
            counts: Some(order.iter().map(|&row| counts[row]).collect()),
            n,
        })
    }

    /// Number of items.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Whether so few rows are distinct that they are drawn as counts.
    pub(crate) fn are_counted(&self) -> bool {
        self.counts.is_some()
    }

    /// Draws the replicates; the totals are those of the columns themselves.
    #[must_use]
    pub fn resample(&self, options: Options) -> Totals {
        self.resample_features(self.columns, |row, out| out.copy_from_slice(row), options)
    }

    /// Draws the replicates; the totals are those of `features` numbers that `derive` writes for each row (zeroed before):
    /// say, the score where the category is one of seven, and 0 elsewhere.
    #[must_use]
    pub fn resample_features(
        &self,
        features: usize,
        derive: impl Fn(&[f64], &mut [f64]),
        options: Options,
    ) -> Totals {
        let mut derived = vec![0.0; self.rows.len() / self.columns * features];
        let each = self.rows.chunks_exact(self.columns);
        if features > 0 {
            for (row, out) in each.zip(derived.chunks_exact_mut(features)) {
                derive(row, out);
            }
        }
        let mut observed = vec![ExactSum::default(); features];
        let mut totals = Totals {
            features,
            n: self.n,
            observed: Vec::new(),
            rows: derived,
            counts: self.counts.clone(),
            replicates: Vec::new(),
            level: options.level,
            seed: options.seed,
        };
        for (row, count) in totals.weighted_rows() {
            for (sum, value) in observed.iter_mut().zip(row) {
                sum.add(value * count as f64);
            }
        }
        totals.observed = observed
            .iter()
            .map(|sum| sum.value().unwrap_or(f64::NAN))
            .collect();
        totals.replicates = match &self.counts {
            Some(counts) => totals.draw_counts(counts, options),
            None => totals.draw_items(options),
        };
        totals
    }
}

/// Totals over the items: of the data, and of every replicate.
#[derive(Debug, Clone)]
pub struct Totals {
    features: usize,
    n: u64,
    observed: Vec<f64>,
    rows: Vec<f64>,
    counts: Option<Vec<u64>>,
    /// Replicate by replicate.
    replicates: Vec<f64>,
    level: f64,
    seed: u64,
}

impl Totals {
    /// The totals of the data.
    #[must_use]
    pub fn observed(&self) -> &[f64] {
        &self.observed
    }

    /// The totals of each replicate.
    pub fn each(&self) -> impl Iterator<Item = &[f64]> {
        self.replicates.chunks_exact(self.features.max(1))
    }

    /// How the items were drawn.
    #[must_use]
    pub fn drawn(&self) -> Drawn {
        if self.counts.is_some() {
            Drawn::Multinomial
        } else {
            Drawn::Items
        }
    }

    /// The replicates of a statistic, which is given the totals and the number of items; `None` where it is undefined.
    #[must_use]
    pub fn replicates(&self, statistic: impl Fn(&[f64], f64) -> Option<f64>) -> Option<Replicates> {
        let n = self.n as f64;
        let values = self.each().map(|totals| statistic(totals, n)).collect();
        Replicates::new(
            statistic(&self.observed, n),
            values,
            self.drawn(),
            self.seed,
        )
    }

    /// Percentile interval of a statistic.
    #[must_use]
    pub fn percentile(&self, statistic: impl Fn(&[f64], f64) -> Option<f64>) -> Option<Interval> {
        self.replicates(statistic)?.percentile(self.level)
    }

    /// BCa interval of a statistic; the jackknife leaves out one item at a time.
    #[must_use]
    pub fn bca(&self, statistic: impl Fn(&[f64], f64) -> Option<f64>) -> Option<Interval> {
        let n = self.n as f64;
        let replicates = self.replicates(&statistic)?;
        let mut left = vec![0.0; self.features];
        let mut jackknife = Vec::new();
        for (row, count) in self.weighted_rows() {
            for ((left, total), value) in left.iter_mut().zip(&self.observed).zip(row) {
                *left = total - value;
            }
            // Without any defined leave-one-out value the correction is undefined too.
            jackknife.push((statistic(&left, n - 1.0).unwrap_or(f64::NAN), count));
        }
        replicates.bca(self.level, &jackknife)
    }

    fn weighted_rows(&self) -> impl Iterator<Item = (&[f64], u64)> {
        let counts = (0..).map(|row| self.counts.as_ref().map_or(1, |counts| counts[row]));
        self.rows.chunks_exact(self.features.max(1)).zip(counts)
    }

    fn draw_counts(&self, counts: &[u64], options: Options) -> Vec<f64> {
        let width = self.features.max(1);
        let mut replicates = vec![0.0; options.resamples.max(1) * self.features];
        replicates
            .par_chunks_exact_mut(width)
            .enumerate()
            .for_each(|(replicate, totals)| {
                let mut generator = stream(options.seed, replicate as u64, 0);
                let each = counts.iter().copied();
                multinomial(&mut generator, self.n, each, self.n, |row, drawn| {
                    let row = &self.rows[row * width..][..width];
                    for (total, value) in totals.iter_mut().zip(row) {
                        *total += drawn as f64 * value;
                    }
                });
            });
        replicates
    }

    fn draw_items(&self, options: Options) -> Vec<f64> {
        let width = self.features.max(1);
        let block_values = BLOCK * width;
        let mut replicates = vec![0.0; options.resamples.max(1) * self.features];
        replicates
            .par_chunks_mut(TOGETHER * width)
            .enumerate()
            .for_each(|(chunk, together)| {
                let first = chunk * TOGETHER;
                let shares: Vec<Vec<usize>> = (0..together.len() / width)
                    .map(|offset| block_shares(self.n, options.seed, (first + offset) as u64))
                    .collect();
                let mut drawn = Vec::new();
                for (block, rows) in self.rows.chunks(block_values).enumerate() {
                    let columns = block_columns(rows, width);
                    let len = rows.len() / width;
                    for (offset, totals) in together.chunks_exact_mut(width).enumerate() {
                        let replicate = (first + offset) as u64;
                        let mut generator = stream(options.seed, replicate, block as u64 + 1);
                        places(&mut generator, len, shares[offset][block], &mut drawn);
                        for (total, column) in totals.iter_mut().zip(&columns) {
                            *total += column.total_at(&drawn);
                        }
                    }
                }
            });
        replicates
    }
}

/// How many of `n` draws fall into each block of items.
pub(crate) fn block_shares(n: u64, seed: u64, replicate: u64) -> Vec<usize> {
    let block = BLOCK as u64;
    let lengths = (0..n.div_ceil(block)).map(|index| block.min(n - index * block));
    let mut shares = Vec::new();
    let mut generator = stream(seed, replicate, 0);
    multinomial(&mut generator, n, lengths, n, |_, drawn| {
        shares.push(drawn as usize);
    });
    shares
}

/// One column of a block.
enum BlockColumn {
    Constant(f64),
    Varying(Box<[f64; BLOCK]>),
}

impl BlockColumn {
    fn total_at(&self, places: &[u16]) -> f64 {
        match self {
            Self::Constant(value) => value * places.len() as f64,
            Self::Varying(values) => {
                // Four sums that do not wait for one another. The mask shows the compiler that no place is out of range.
                let at = |place: u16| values[usize::from(place) & (BLOCK - 1)];
                let mut sums = [0.0; 4];
                let fours = places.chunks_exact(4);
                let rest: f64 = fours.remainder().iter().map(|&place| at(place)).sum();
                for four in fours {
                    for (sum, &place) in sums.iter_mut().zip(four) {
                        *sum += at(place);
                    }
                }
                sums.iter().sum::<f64>() + rest
            }
        }
    }
}

fn block_columns(rows: &[f64], width: usize) -> Vec<BlockColumn> {
    (0..width)
        .map(|column| {
            let values = rows[column..].iter().step_by(width).copied();
            if values.clone().all(|value| value == rows[column]) {
                return BlockColumn::Constant(rows[column]);
            }
            let mut padded = Box::new([0.0; BLOCK]);
            padded
                .iter_mut()
                .zip(values)
                .for_each(|(to, from)| *to = from);
            BlockColumn::Varying(padded)
        })
        .collect()
}

fn compare_rows(a: &[f64], b: &[f64]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(a, b)| a.total_cmp(b))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The distinct rows, sorted, with their counts; `None` as soon as there are more than `limit`.
fn distinct_rows(columns: &[&[f64]], limit: usize) -> Option<(Vec<f64>, Vec<u64>)> {
    let mut counts: HashMap<Box<[u64]>, u64, BuildHasherDefault<RowHasher>> = HashMap::default();
    let mut row = vec![0; columns.len()];
    for item in 0..columns[0].len() {
        for (bits, column) in row.iter_mut().zip(columns) {
            // Adding zero makes -0 and 0 one value.
            *bits = (column[item] + 0.0).to_bits();
        }
        if let Some(count) = counts.get_mut(row.as_slice()) {
            *count += 1;
        } else if counts.len() < limit {
            counts.insert(row.clone().into_boxed_slice(), 1);
        } else {
            return None;
        }
    }
    let mut distinct: Vec<(Vec<f64>, u64)> = counts
        .into_iter()
        .map(|(bits, count)| (bits.iter().copied().map(f64::from_bits).collect(), count))
        .collect();
    distinct.sort_unstable_by(|(a, _), (b, _)| compare_rows(a, b));
    let counts = distinct.iter().map(|(_, count)| *count).collect();
    Some((
        distinct.into_iter().flat_map(|(row, _)| row).collect(),
        counts,
    ))
}

fn sorted_rows(columns: &[&[f64]]) -> Vec<f64> {
    if let [column] = columns {
        let mut values = column.to_vec();
        values.par_sort_unstable_by(f64::total_cmp);
        return values;
    }
    let mut order: Vec<usize> = (0..columns[0].len()).collect();
    order.par_sort_unstable_by(|&a, &b| {
        columns
            .iter()
            .map(|column| column[a].total_cmp(&column[b]))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    let row = |item: usize| columns.iter().map(move |column| column[item]);
    order.into_iter().flat_map(row).collect()
}

/// Multiply and fold: rows are short and their keys are not chosen by an adversary.
#[derive(Default)]
struct RowHasher(u64);

impl Hasher for RowHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64 ^ (product >> 64) as u64).rotate_left(23) ^ word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options {
        level: 0.95,
        resamples: 4000,
        seed: 7,
    };

    #[test]
    fn counts_and_items_draw_the_same_distribution() {
        // A binary column of 320 items is drawn by counts; a tiny second column makes every row distinct.
        let score: Vec<f64> = (0..320).map(|i| f64::from(u8::from(i % 5 == 0))).collect();
        let unique: Vec<f64> = (0..320).map(f64::from).collect();
        let few = Items::new(&[&score]).unwrap().resample(OPTIONS);
        let many = Items::new(&[&score, &unique]).unwrap().resample(OPTIONS);
        assert_eq!(
            (few.drawn(), many.drawn()),
            (Drawn::Multinomial, Drawn::Items)
        );
        let mean = |totals: &[f64], n: f64| Some(totals[0] / n);
        let exact = (0.2_f64 * 0.8 / 320.0).sqrt();
        for totals in [few, many] {
            let se = totals.replicates(mean).unwrap().standard_error().unwrap();
            assert!((se / exact - 1.0).abs() < 0.05, "{se} for {exact}");
        }
    }

    #[test]
    fn blocks_draw_the_right_spread() {
        // 10,000 items: two full blocks and a part.
        let values: Vec<f64> = (0..10_000).map(f64::from).collect();
        let totals = Items::new(&[&values]).unwrap().resample(OPTIONS);
        let se = totals
            .replicates(|totals, n| Some(totals[0] / n))
            .unwrap()
            .standard_error()
            .unwrap();
        let exact = (1e8_f64 - 1.0).sqrt() / 12_f64.sqrt() / 100.0;
        assert!((se / exact - 1.0).abs() < 0.05, "{se} for {exact}");
    }

    #[test]
    fn the_order_of_items_does_not_show() {
        let a: Vec<f64> = (0..500).map(|i| f64::from(i * 37 % 101)).collect();
        let b: Vec<f64> = (0..500).map(|i| f64::from(i * 53 % 89)).collect();
        let (mut c, mut d) = (a.clone(), b.clone());
        c.reverse();
        d.reverse();
        let forward = Items::new(&[&a, &b]).unwrap().resample(OPTIONS);
        let backward = Items::new(&[&c, &d]).unwrap().resample(OPTIONS);
        assert_eq!(forward.replicates, backward.replicates);
    }

    #[test]
    fn one_thread_draws_what_many_draw() {
        let values: Vec<f64> = (0..9000).map(|i| f64::from(i).sqrt()).collect();
        let items = Items::new(&[&values]).unwrap();
        let one = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let three = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let options = Options {
            resamples: 200,
            ..OPTIONS
        };
        let alone = one.install(|| items.resample(options));
        let together = three.install(|| items.resample(options));
        assert_eq!(alone.replicates, together.replicates);
    }

    #[test]
    fn what_cannot_be_drawn_is_none() {
        assert!(Items::new(&[]).is_none());
        assert!(Items::new(&[&[]]).is_none());
        assert!(Items::new(&[&[1.0], &[1.0, 2.0]]).is_none());
        assert!(Items::new(&[&[f64::NAN]]).is_none());
        assert!(Items::from_counts(&[], &[]).is_none());
        assert!(Items::from_counts(&[vec![1.0]], &[0]).is_none());
    }
}
