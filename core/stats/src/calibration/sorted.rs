//! Scores in ascending order, of the right answers and of the wrong ones.
//!
//! Numbers are sorted by their bits, digit after digit: of very many, that takes a fraction of the time of comparing them.

/// A digit is so many bits.
const BITS: u32 = 8;
const DIGITS: usize = (u64::BITS / BITS) as usize;
const VALUES: usize = 1 << BITS;
/// Fewer than these are compared.
const FEW: usize = 2_000;

/// Finite numbers as whole ones in the same order; 0 and -0 are one.
fn key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    match bits >> 63 {
        0 => bits | 1 << 63,
        _ => !bits,
    }
}

/// The number of a [`key`].
fn value(key: u64) -> f64 {
    f64::from_bits(match key >> 63 {
        0 => !key,
        _ => key & !(1 << 63),
    })
}

/// Keys of the right answers' scores and of the wrong ones', in the order of the answers.
fn parted(scores: &[f64], correct: &[bool]) -> [Vec<u64>; 2] {
    let mut parts = [vec![0; scores.len()], vec![0; scores.len()]];
    let mut ends = [0, 0];
    for (&score, &correct) in scores.iter().zip(correct) {
        // Written to both: which of them counts is no branch that a processor would have to guess.
        let key = key(score);
        parts[0][ends[0]] = key;
        parts[1][ends[1]] = key;
        ends[0] += usize::from(correct);
        ends[1] += usize::from(!correct);
    }
    for (part, end) in parts.iter_mut().zip(ends) {
        part.truncate(end);
    }
    parts
}

/// Keys in ascending order.
fn sorted(mut keys: Vec<u64>) -> Vec<u64> {
    if keys.len() < FEW {
        keys.sort_unstable();
        return keys;
    }
    let digit = |key: u64, place: usize| (key >> (place as u32 * BITS)) as usize % VALUES;
    let mut counts = vec![[0_usize; VALUES]; DIGITS];
    for &key in &keys {
        for (place, counts) in counts.iter_mut().enumerate() {
            counts[digit(key, place)] += 1;
        }
    }
    let mut other = vec![0; keys.len()];
    for (place, counts) in counts.iter().enumerate() {
        // A digit that all have in common puts nothing in order.
        if counts.contains(&keys.len()) {
            continue;
        }
        let mut starts = [0; VALUES];
        let mut start = 0;
        for (at, count) in starts.iter_mut().zip(counts) {
            *at = start;
            start += count;
        }
        for &key in &keys {
            let at = &mut starts[digit(key, place)];
            other[*at] = key;
            *at += 1;
        }
        std::mem::swap(&mut keys, &mut other);
    }
    keys
}

/// Each different score in ascending order, with how many answers have it and how many of those are right.
pub(super) fn tallied(scores: &[f64], correct: &[bool]) -> impl Iterator<Item = (f64, u64, u64)> {
    let [right, wrong] = parted(scores, correct).map(sorted);
    let (mut next_right, mut next_wrong) = (0, 0);
    let take = |keys: &[u64], next: &mut usize, key: u64| {
        let from = *next;
        while keys.get(*next) == Some(&key) {
            *next += 1;
        }
        (*next - from) as u64
    };
    std::iter::from_fn(move || {
        let key = match (right.get(next_right), wrong.get(next_wrong)) {
            (Some(&one), Some(&other)) => one.min(other),
            (one, other) => *one.or(other)?,
        };
        let correct = take(&right, &mut next_right, key);
        let n = correct + take(&wrong, &mut next_wrong, key);
        Some((value(key), n, correct))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::draw::{below, stream};

    #[test]
    fn bits_are_in_the_order_of_their_numbers() {
        let ascending = [
            f64::MIN,
            -2.5,
            -1e-300,
            0.0,
            5e-324,
            0.1,
            0.1_f64.next_up(),
            1.0,
            1e300,
            f64::MAX,
        ];
        for pair in ascending.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        for number in ascending {
            assert_eq!(value(key(number)).to_bits(), number.to_bits());
        }
        assert_eq!((key(-0.0), value(key(-0.0)).to_bits()), (key(0.0), 0));
    }

    /// Against a comparison of the numbers themselves, few and many of them, with ties and without.
    #[test]
    fn answers_are_tallied_by_their_scores() {
        let mut generator = stream(3, 0, 0);
        let mut draw = |n: usize| below(&mut generator, n);
        for (n, levels) in [
            (1, 5),
            (40, 7),
            (FEW - 1, 50),
            (5_000, 1 << 40),
            (9_000, 600),
        ] {
            let scores: Vec<f64> = (0..n)
                .map(|_| draw(levels) as f64 / levels as f64 - 0.25)
                .collect();
            let correct: Vec<bool> = (0..n).map(|_| draw(3) > 0).collect();
            let mut answers: Vec<(f64, bool)> = scores
                .iter()
                .copied()
                .zip(correct.iter().copied())
                .collect();
            answers.sort_by(|a, b| a.0.total_cmp(&b.0));
            let expected = answers.chunk_by(|a, b| a.0 == b.0).map(|tie| {
                let right = tie.iter().filter(|answer| answer.1).count();
                (tie[0].0, tie.len() as u64, right as u64)
            });
            assert!(
                tallied(&scores, &correct).eq(expected),
                "{n} answers of {levels} levels"
            );
        }
        assert_eq!(
            tallied(&[0.5; 3], &[true; 3]).collect::<Vec<_>>(),
            [(0.5, 3, 3)]
        );
        assert_eq!(tallied(&[], &[]).count(), 0);
    }
}
