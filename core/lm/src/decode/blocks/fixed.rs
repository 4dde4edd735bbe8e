//! Rows of numbers as whole numbers of 24 bits, with one power of two for neighbours whose weights share a scale, in digits that
//! processors multiply at once.
//!
//! What is rounded is at most half of the last of 23 bits of the largest of them, as in f32.

use std::hint::black_box;

use pulp::bytemuck::cast;
use rayon::prelude::*;

use crate::ops::kernels::{rows_per_piece, simd};

/// No whole number is larger: three digits of [`BASE`] hold it.
const MOST: f32 = 127.0 * BASE * BASE + 120.0 * BASE;

/// Base of three digits from -127 to 127: a code of six bits, less its zero, times each of eight of them is a number of 16 bits.
pub(super) const BASE: f32 = 254.0;

/// Base of two digits from -2048 to 2048.
pub(super) const LARGE: f32 = 4096.0;

/// How whole numbers are made of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Kind {
    pub(super) digits: Digits,
    /// Neighbours that share a power of two: 16 or 32.
    pub(super) shared: usize,
    /// What is taken away from the codes that they are multiplied with.
    pub(super) zero: u32,
}

/// Which digits are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    Three,
    Two,
}

/// Rows in whole numbers.
#[derive(Debug)]
pub(in super::super) struct Fixed {
    kind: Kind,
    inputs: usize,
    shared: Vec<Shared>,
    /// One of these, by the kind.
    three: Vec<Three>,
    two: Vec<Two>,
}

/// What neighbours have in common that share a power of two.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shared {
    /// The power of two; not a number where one of them is not finite.
    pub(super) scale: f32,
    /// Their sum.
    pub(super) sum: f32,
    /// What the sums of codes times digits begin with: the digits times the codes' zero, taken away. Of three digits these are of every
    /// first and second, and of every third and fourth neighbour.
    pub(super) of_three: [u32; 3],
    pub(super) of_two: [u32; 2],
}

/// Three digits of four neighbours, the highest first, for codes of up to six bits: a byte each of a word.
pub(super) type Three = [u32; 3];

/// Two digits, the higher first, of the first two of four neighbours, and of the last two: halves of a word.
pub(super) type Two = [[u32; 2]; 2];

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) shared: &'a [Shared],
    pub(super) three: &'a [Three],
    pub(super) two: &'a [Two],
}

impl Fixed {
    /// Rows of `inputs` numbers, a multiple of those that share a power of two.
    pub(in super::super) fn new(x: &[f32], inputs: usize, kind: Kind) -> Self {
        let fours = |digits| match kind.digits == digits {
            true => x.len() / 4,
            false => 0,
        };
        let mut fixed = Self {
            kind,
            inputs,
            shared: vec![Shared::default(); x.len() / kind.shared],
            three: vec![Three::default(); fours(Digits::Three)],
            two: vec![Two::default(); fours(Digits::Two)],
        };
        match kind.shared {
            16 => fixed.read::<16>(x),
            _ => fixed.read::<32>(x),
        }
        fixed
    }

    /// Reads rows whose numbers share a power of two with so many others.
    fn read<const SHARED: usize>(&mut self, x: &[f32]) {
        let (x, _) = x.as_chunks::<SHARED>();
        let zero = self.kind.zero as i32;
        match self.kind.digits {
            Digits::Three => write(&mut self.shared, x, &mut self.three, zero),
            Digits::Two => write(&mut self.shared, x, &mut self.two, zero),
        }
    }

    pub(in super::super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn row(&self, index: usize) -> Row<'_> {
        let all = Row {
            shared: &self.shared,
            three: &self.three,
            two: &self.two,
        };
        all.some(index * self.inputs, self.inputs, self.kind.shared)
    }
}

/// Writes whole numbers and their digits.
fn write<T: Four, const SHARED: usize>(
    shared: &mut [Shared],
    x: &[[f32; SHARED]],
    fours: &mut [T],
    zero: i32,
) {
    let at_once = rows_per_piece(SHARED);
    let pieces = (
        shared.par_chunks_mut(at_once),
        x.par_chunks(at_once),
        fours.par_chunks_mut(at_once * SHARED / 4),
    );
    pieces.into_par_iter().for_each(|(shared, x, fours)| {
        simd(
            #[inline(always)]
            || {
                let fours = fours.chunks_exact_mut(SHARED / 4);
                for ((shared, x), fours) in shared.iter_mut().zip(x).zip(fours) {
                    // Neighbours are a vector: several of their groups at a time would be gathered and scattered.
                    let (power, whole) = whole_numbers(black_box(x));
                    shared.scale = power;
                    let sum = T::write(fours, &whole, shared, zero);
                    shared.sum = sum as f32 * power;
                }
            },
        );
    });
}

/// Digits of four whole numbers.
trait Four: Sized + Send {
    /// Writes whole numbers that share a power of two, and what their sums begin with. Returns their sum.
    fn write<const SHARED: usize>(
        fours: &mut [Self],
        whole: &[f32; SHARED],
        shared: &mut Shared,
        zero: i32,
    ) -> i32;
}

impl Row<'_> {
    /// `count` inputs from `first` on, of which so many share a power of two.
    #[inline(always)]
    pub(super) fn some(self, first: usize, count: usize, shared: usize) -> Self {
        #[inline(always)]
        fn some<T>(all: &[T], first: usize, count: usize, of_one: usize) -> &[T] {
            match all.is_empty() {
                true => all,
                false => &all[first / of_one..][..count / of_one],
            }
        }
        Self {
            shared: some(self.shared, first, count, shared),
            three: some(self.three, first, count, 4),
            two: some(self.two, first, count, 4),
        }
    }
}

/// The whole numbers of neighbours in f32, which holds them exactly, and their power of two.
#[inline(always)]
fn whole_numbers<const SHARED: usize>(x: &[f32; SHARED]) -> (f32, [f32; SHARED]) {
    const SIGN: u32 = 1 << 31;
    /// Bits of the fraction of a number in f32.
    const FRACTION: u32 = f32::MANTISSA_DIGITS - 1;
    let mut most = 0;
    for x in x {
        most = most.max(x.to_bits() & !SIGN);
    }
    if most >= f32::INFINITY.to_bits() {
        return (f32::NAN, [0.0; SHARED]);
    }
    // The power of two above the largest number has a fraction of no bits; a smaller one than this would have no inverse.
    let mut exponent = (most >> FRACTION).max(FRACTION);
    let power = |exponent: u32| f32::from_bits(exponent << FRACTION);
    // 2^(127 - 22 - exponent) of a bias of 127: the exponent of the inverse.
    let inverse = |exponent: u32| power(2 * 127 + FRACTION - 1 - exponent);
    if f32::from_bits(most) * inverse(exponent) > MOST {
        exponent += 1;
    }
    let inverse = inverse(exponent);
    let mut whole = [0.0; SHARED];
    for (whole, x) in whole.iter_mut().zip(x) {
        *whole = (x * inverse).round_ties_even();
    }
    (power(exponent - (FRACTION - 1)), whole)
}

/// A whole number below 2^22, without the checks of a cast.
#[inline(always)]
fn small(whole: f32) -> i32 {
    // Behind this number's bits, a word counts ones.
    const ONES: f32 = (3 << 22) as f32;
    (whole + ONES).to_bits() as i32 - ONES.to_bits() as i32
}

/// `whole = high * base + low`, with `low` no further from zero than half the base and some.
#[inline(always)]
fn split(whole: f32, base: f32) -> (f32, f32) {
    let high = (whole * (1.0 / base)).round_ties_even();
    (high, whole - high * base)
}

impl Four for Three {
    #[inline(always)]
    fn write<const SHARED: usize>(
        fours: &mut [Self],
        whole: &[f32; SHARED],
        shared: &mut Shared,
        zero: i32,
    ) -> i32 {
        let mut digits = [[0_i32; SHARED]; 3];
        for (i, whole) in whole.iter().enumerate() {
            let (high, rest) = split(*whole, BASE * BASE);
            let (middle, low) = split(rest, BASE);
            digits[0][i] = small(high);
            digits[1][i] = small(middle);
            digits[2][i] = small(low);
        }
        let mut sum = 0;
        for (k, digits) in digits.iter().enumerate() {
            let mut bytes = [0_i8; SHARED];
            for (byte, digit) in bytes.iter_mut().zip(digits) {
                *byte = *digit as i8;
            }
            for (to, bytes) in fours.iter_mut().zip(bytes.as_chunks::<4>().0) {
                to[k] = cast(*bytes);
            }
            let mut sums = [0_i32; 4];
            for four in digits.as_chunks::<4>().0 {
                for (sum, digit) in sums.iter_mut().zip(four) {
                    *sum += digit;
                }
            }
            let sums = [sums[0] + sums[1], sums[2] + sums[3]];
            sum = sum * BASE as i32 + sums[0] + sums[1];
            shared.of_three[k] = cast(sums.map(|sum| (-zero * sum) as i16));
        }
        sum
    }
}

impl Four for Two {
    #[inline(always)]
    fn write<const SHARED: usize>(
        fours: &mut [Self],
        whole: &[f32; SHARED],
        shared: &mut Shared,
        zero: i32,
    ) -> i32 {
        let mut digits = [[0_i32; SHARED]; 2];
        for (i, whole) in whole.iter().enumerate() {
            let (high, low) = split(*whole, LARGE);
            digits[0][i] = small(high);
            digits[1][i] = small(low);
        }
        let mut sum = 0;
        for (k, digits) in digits.iter().enumerate() {
            for (four, to) in digits.as_chunks::<4>().0.iter().zip(fours.iter_mut()) {
                for (two, to) in four.as_chunks::<2>().0.iter().zip(to) {
                    to[k] = cast(two.map(|digit| digit as i16));
                }
            }
            let of_digits: i32 = digits.iter().sum();
            sum = sum * LARGE as i32 + of_digits;
            shared.of_two[k] = (-zero * of_digits) as u32;
        }
        sum
    }
}
