//! Random draws that resampling is made of: streams, places, binomial and multinomial counts.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::special::{normal_quantile, stirling_tail};

/// Items per block. A block of one column fits the first-level cache, and a place in it takes 12 bits.
pub(crate) const BLOCK: usize = 4096;

/// The generator of one section (0: how many items each block gives; 1 + i: the places in block i) of one replicate.
/// Sections are 2^24 words apart, which is more than any of them uses.
pub(crate) fn stream(seed: u64, replicate: u64, section: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(replicate);
    generator.set_word_pos(u128::from(section) << 24);
    generator
}

/// Draws `count` places in `0..len`, each equally likely; `len` is 1..=[`BLOCK`].
pub(crate) fn places(generator: &mut ChaCha8Rng, len: usize, count: usize, out: &mut Vec<u16>) {
    out.clear();
    out.reserve(count + 5);
    if len == BLOCK {
        while out.len() < count {
            let bits = generator.next_u64();
            out.extend([0, 12, 24, 36, 48].map(|shift| (bits >> shift & 0xfff) as u16));
        }
        out.truncate(count);
        return;
    }
    // Lemire's multiplication on 16 bits, with rejection so that no place is favoured.
    let (len, threshold) = (len as u32, (1_u32 << 16) % len as u32);
    while out.len() < count {
        let bits = generator.next_u64();
        for shift in [0, 16, 32, 48] {
            let product = (bits >> shift & 0xffff) as u32 * len;
            if product & 0xffff >= threshold {
                out.push((product >> 16) as u16);
            }
        }
    }
    out.truncate(count);
}

/// A place in `0..bound` for a bound of any size (Lemire's multiplication on 64 bits; its bias is below 2^-40 for bounds up
/// to 2^24).
pub(crate) fn below(generator: &mut ChaCha8Rng, bound: usize) -> usize {
    let product = u128::from(generator.next_u64()) * bound as u128;
    (product >> 64) as usize
}

/// A number in the open interval (0, 1).
fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    ((generator.next_u64() >> 11) as f64 + 0.5) * 2_f64.powi(-53)
}

/// A standard normal draw, by inversion.
pub(crate) fn normal(generator: &mut ChaCha8Rng) -> f64 {
    normal_quantile(uniform(generator))
}

/// A multinomial draw: of `n` draws, how many fall on each of `counts` (their chances are proportional to the counts), by
/// conditional binomials. `each` is told (index, how many) for every index, in order.
pub(crate) fn multinomial(
    generator: &mut ChaCha8Rng,
    n: u64,
    counts: impl Iterator<Item = u64>,
    total: u64,
    mut each: impl FnMut(usize, u64),
) {
    let (mut left, mut rest) = (n, total);
    for (index, count) in counts.enumerate() {
        let drawn = if count == rest {
            left
        } else {
            binomial(generator, left, count as f64 / rest as f64)
        };
        each(index, drawn);
        left -= drawn;
        rest -= count;
    }
}

/// A binomial draw: inversion for small means, else the transformed rejection BTRS (Hörmann 1993, Journal of Statistical
/// Computation and Simulation 46:101), both exact up to the rounding of f64.
pub(crate) fn binomial(generator: &mut ChaCha8Rng, n: u64, p: f64) -> u64 {
    if n == 0 || p <= 0.0 {
        return 0;
    }
    if p >= 1.0 {
        return n;
    }
    if p > 0.5 {
        return n - binomial(generator, n, 1.0 - p);
    }
    if n as f64 * p < 10.0 {
        binomial_by_inversion(generator, n, p)
    } else {
        binomial_by_rejection(generator, n, p)
    }
}

fn binomial_by_inversion(generator: &mut ChaCha8Rng, n: u64, p: f64) -> u64 {
    let odds = p / (1.0 - p);
    let none = (n as f64 * (-p).ln_1p()).exp();
    let mut left = uniform(generator);
    let mut chance = none;
    let mut k = 0;
    while left > chance && k < n {
        left -= chance;
        k += 1;
        chance *= (n - k + 1) as f64 / k as f64 * odds;
        // Beyond any mass that f64 can tell from 0: rounding left the search over the end.
        if chance < 1e-300 {
            break;
        }
    }
    k
}

fn binomial_by_rejection(generator: &mut ChaCha8Rng, n: u64, p: f64) -> u64 {
    let trials = n as f64;
    let sd = (trials * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * sd;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let centre = trials * p + 0.5;
    let inner = 0.92 - 4.2 / b;
    loop {
        let v = uniform(generator);
        let u = uniform(generator) - 0.5;
        let to_edge = 0.5 - u.abs();
        let k = ((2.0 * a / to_edge + b) * u + centre).floor();
        if to_edge >= 0.07 && v <= inner {
            return k as u64;
        }
        if k < 0.0 || k > trials {
            continue;
        }
        let alpha = (2.83 + 5.1 / b) * sd;
        let mode = ((trials + 1.0) * p).floor();
        let odds = p / (1.0 - p);
        let height = (v * alpha / (a / (to_edge * to_edge) + b)).ln();
        let bound = (mode + 0.5) * ((mode + 1.0) / (odds * (trials - mode + 1.0))).ln()
            + (trials + 1.0) * ((trials - mode + 1.0) / (trials - k + 1.0)).ln()
            + (k + 0.5) * (odds * (trials - k + 1.0) / (k + 1.0)).ln()
            + factorial_tail(mode)
            + factorial_tail(trials - mode)
            - factorial_tail(k)
            - factorial_tail(trials - k);
        if height <= bound {
            return k as u64;
        }
    }
}

/// `ln k! - ((k + 1/2) ln(k + 1) - (k + 1) + ln(2π)/2)`.
fn factorial_tail(k: f64) -> f64 {
    const SMALL: [f64; 10] = [
        0.081_061_466_795_327_26,
        0.041_340_695_955_409_29,
        0.027_677_925_684_998_34,
        0.020_790_672_103_765_09,
        0.016_644_691_189_821_19,
        0.013_876_128_823_070_75,
        0.011_896_709_945_891_77,
        0.010_411_265_261_972_1,
        0.009_255_462_182_712_733,
        0.008_330_563_433_362_87,
    ];
    SMALL
        .get(k as usize)
        .copied()
        .unwrap_or_else(|| stirling_tail(k + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::ln_choose;

    /// Chi-squared statistic of 200,000 draws against the exact probabilities, over cells that expect at least 20.
    fn chi_squared(n: u64, p: f64) -> (f64, f64) {
        let mut generator = stream(1, 0, 0);
        let draws = 200_000;
        let mut seen = vec![0_u32; n as usize + 1];
        for _ in 0..draws {
            seen[binomial(&mut generator, n, p) as usize] += 1;
        }
        let (mut statistic, mut cells) = (0.0, 0.0);
        for (k, &count) in seen.iter().enumerate() {
            let k = k as u64;
            let ln = ln_choose(n, k) + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln();
            let expected = f64::from(draws) * ln.exp();
            if expected >= 20.0 {
                statistic += (f64::from(count) - expected).powi(2) / expected;
                cells += 1.0;
            }
        }
        (statistic, cells)
    }

    #[test]
    fn binomial_draws_have_the_binomial_distribution() {
        for (n, p) in [
            (1, 0.3),
            (20, 0.1),
            (40, 0.5),
            (300, 0.2),
            (1000, 0.97),
            (50, 0.75),
        ] {
            let (statistic, cells) = chi_squared(n, p);
            // Five standard deviations of chi-squared above its mean.
            assert!(
                statistic < cells + 5.0 * (2.0_f64 * cells).sqrt(),
                "n={n} p={p}: {statistic} over {cells}"
            );
        }
    }

    /// Factorials multiplied out, as far as f64 holds them.
    #[test]
    fn what_stirling_leaves_out_of_a_factorial() {
        let mut factorial = 1.0_f64;
        for k in 0..=170_i32 {
            let k = f64::from(k);
            factorial *= k.max(1.0);
            let stirling =
                (k + 0.5) * (k + 1.0).ln() - (k + 1.0) + 0.5 * std::f64::consts::TAU.ln();
            let left = factorial.ln() - stirling;
            assert!((factorial_tail(k) - left).abs() < 1e-11, "{k}: {left}");
        }
    }

    #[test]
    fn places_are_uniform_and_in_range() {
        for len in [1, 3, 1000, 4095, BLOCK] {
            let mut out = Vec::new();
            places(&mut stream(2, 0, 0), len, 100 * len, &mut out);
            assert_eq!(out.len(), 100 * len);
            let mut seen = vec![0.0; len];
            out.iter()
                .for_each(|&place| seen[usize::from(place)] += 1.0);
            let statistic: f64 = seen
                .iter()
                .map(|count: &f64| (count - 100.0).powi(2) / 100.0)
                .sum();
            let df = len as f64 - 1.0;
            assert!(
                statistic <= df + 5.0 * (2.0 * df).sqrt(),
                "{len}: {statistic}"
            );
        }
    }

    /// A generator and draws written apart from these (tests/fixtures/draws.py).
    #[test]
    fn draws_are_those_of_another_hand() {
        let text = include_str!("../../tests/fixtures/draws.json");
        let theirs: serde_json::Value = serde_json::from_str(text).unwrap();
        let list = |value: &serde_json::Value| value.as_array().unwrap().clone();
        let whole = |value: &serde_json::Value| value.as_u64().unwrap();
        for case in list(&theirs["words"]) {
            let [seed, replicate, section] = [0, 1, 2].map(|place| whole(&case[place]));
            let word = stream(seed, replicate, section).next_u64();
            assert_eq!(word.to_string(), case[3].as_str().unwrap(), "{case}");
        }
        for case in list(&theirs["places"]) {
            let mut found = Vec::new();
            places(
                &mut stream(4, 2, 1),
                whole(&case[0]) as usize,
                23,
                &mut found,
            );
            let expected: Vec<u16> = list(&case[1]).iter().map(|v| whole(v) as u16).collect();
            assert_eq!(found, expected, "{}", case[0]);
        }
        for case in list(&theirs["binomial"]) {
            let (n, p) = (whole(&case[0]), case[1].as_f64().unwrap());
            let mut generator = stream(8, 1, 0);
            let found: Vec<u64> = (0..60).map(|_| binomial(&mut generator, n, p)).collect();
            let expected: Vec<u64> = list(&case[2]).iter().map(whole).collect();
            assert_eq!(found, expected, "{n} {p}");
        }
        assert_eq!(binomial(&mut stream(0, 0, 0), 0, 0.5), 0);
        assert_eq!(binomial(&mut stream(0, 0, 0), 9, 0.0), 0);
        assert_eq!(binomial(&mut stream(0, 0, 0), 9, 1.0), 9);
    }

    #[test]
    fn a_multinomial_draw_keeps_its_total() {
        let mut drawn = Vec::new();
        multinomial(
            &mut stream(3, 0, 0),
            1000,
            [5, 0, 20, 75].into_iter(),
            100,
            |_, k| drawn.push(k),
        );
        assert_eq!(drawn.len(), 4);
        assert_eq!(drawn.iter().sum::<u64>(), 1000);
        assert_eq!(drawn[1], 0);
    }
}
