//! Codes and scales of a panel into the numbers they stand for, a vector of outputs at a time.
//!
//! The bits of a code are put behind the point of a number between 1 and 2, which takes a shift and a mask: `f = 1 + code / 2^bits`.
//! Then `f * (2^bits scale) + offset` with one rounding is the number, since everything before that rounding is exact: a scale has 19
//! bits at most, and the offset of a fixed zero, `-(zero + 2^bits) scale`, is three times a power of two times the scale.

use pulp::Simd;

use super::{GROUP, Pair, Parts, Words};
use crate::blocks::{Format, Layout, Offset};
use crate::ops::kernels::Line;

/// Does something for a format that is known when it is compiled, by its number.
macro_rules! with_format {
    ($format:expr, $do:ident) => {
        with_format!($format, $do, Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K)
    };
    ($format:expr, $do:ident, $($name:ident)*) => {
        match $format {
            $(Format::$name => $do!({ Format::$name as usize })),*
        }
    };
}
pub(super) use with_format;

/// Scale and offset of the inputs that share one; see [`Scales::factors`].
#[inline(always)]
pub(super) fn factors<S: Simd, const V: usize>(
    simd: S,
    format: Format,
    block: &[Words],
    part: usize,
) -> Factors<S, V> {
    macro_rules! factors {
        ($format:expr) => {
            Scales::<S, V, $format>::new(simd, block).factors(simd, part)
        };
    }
    with_format!(format, factors)
}

/// The numbers of inputs that share a scale, from the first of a group on.
#[inline(always)]
pub(super) fn lines<S: Simd, const V: usize>(
    simd: S,
    format: Format,
    block: &[Words],
    first: usize,
    factors: &Factors<S, V>,
    to: &mut [Line],
) {
    macro_rules! lines {
        ($format:expr) => {
            for (number, to) in (first..).zip(to.as_chunks_mut::<GROUP>().0) {
                group::<S, V, $format>(
                    simd,
                    block,
                    number,
                    factors,
                    #[inline(always)]
                    |input, numbers| {
                        let (line, _) = S::as_mut_simd_f32s(&mut to[input].0);
                        line.copy_from_slice(&numbers);
                    },
                );
            }
        };
    }
    with_format!(format, lines);
}

/// What the scales of a block of a panel say; a panel is `V` vectors wide, and `F` numbers the format.
#[derive(Clone, Copy)]
pub(super) struct Scales<'a, S: Simd, const V: usize, const F: usize> {
    /// Scale and offset of the whole block.
    scale: [S::f32s; V],
    offset: [S::f32s; V],
    /// Those of its parts.
    scales: &'a [Pair],
    offsets: &'a [Pair],
}

/// What the codes of inputs that share a scale are multiplied with, and what is added.
#[derive(Clone, Copy)]
pub(super) struct Factors<S: Simd, const V: usize> {
    scale: [S::f32s; V],
    offset: [S::f32s; V],
}

impl<'a, S: Simd, const V: usize, const F: usize> Scales<'a, S, V, F> {
    const LAYOUT: Layout = Format::ALL[F].2;

    #[inline(always)]
    pub(super) fn new(simd: S, block: &'a [Words]) -> Self {
        let parts = const { Parts::of(Self::LAYOUT) };
        let (whole, rest) = block.split_at(parts.whole);
        let (scales, rest) = rest.split_at(parts.scales);
        let mut offset = [simd.splat_f32s(0.0); V];
        if let Some(words) = whole.get(1) {
            offset = halves(simd, words);
        }
        Self {
            scale: halves(simd, &whole[0]),
            offset,
            scales: scales.as_chunks().0,
            offsets: rest[..parts.offsets].as_chunks().0,
        }
    }

    /// Scale and offset of the inputs that share one. Of scales beside a fixed offset, each has a sign.
    #[inline(always)]
    pub(super) fn factors(&self, simd: S, part: usize) -> Factors<S, V> {
        let Self {
            mut scale,
            mut offset,
            ..
        } = *self;
        let fixed = match Self::LAYOUT.offset {
            Offset::Stored => None,
            Offset::Fixed(zero) => Some(f32::from(zero)),
            Offset::None => Some(128.0),
        };
        if Self::LAYOUT.per_scale.is_some() {
            let times = bytes::<S, V>(simd, &self.scales[part / 4], part % 4, fixed.is_some());
            for v in 0..V {
                scale[v] = simd.mul_f32s(scale[v], times[v]);
            }
            if fixed.is_none() {
                let times = bytes::<S, V>(simd, &self.offsets[part / 4], part % 4, false);
                for v in 0..V {
                    let times = simd.mul_f32s(times[v], simd.splat_f32s(-1.0));
                    offset[v] = simd.mul_f32s(offset[v], times);
                }
            }
        }
        let one = (1_u32 << Self::LAYOUT.bits) as f32;
        for v in 0..V {
            if let Some(zero) = fixed {
                offset[v] = simd.mul_f32s(scale[v], simd.splat_f32s(-zero - one));
            }
            scale[v] = simd.mul_f32s(scale[v], simd.splat_f32s(one));
        }
        Factors { scale, offset }
    }
}

/// Shows the numbers of the inputs of a group, in their order.
#[inline(always)]
pub(super) fn group<S: Simd, const V: usize, const F: usize>(
    simd: S,
    block: &[Words],
    number: usize,
    factors: &Factors<S, V>,
    mut see: impl FnMut(usize, [S::f32s; V]),
) {
    let (low, high) = codes::<S, V, F>(simd, block, number);
    macro_rules! input {
        ($($input:literal)*) => { $(
            let mut numbers = [simd.splat_f32s(0.0); V];
            for v in 0..V {
                let low = low[$input / (GROUP / 2)][v];
                let mut code = fraction::<S, F, $input>(simd, low, high[v]);
                if const { Format::ALL[F].2.is_affine() } {
                    code = simd.sub_f32s(code, simd.splat_f32s(1.0));
                }
                numbers[v] = simd.mul_add_f32s(code, factors.scale[v], factors.offset[v]);
            }
            see($input, numbers);
        )* };
    }
    input!(0 1 2 3 4 5 6 7);
}

/// The words that hold the codes of a group: low bits (of whole codes those of the first inputs and those of the last), and the
/// high ones, from the lowest bit on.
#[inline(always)]
fn codes<S: Simd, const V: usize, const F: usize>(
    simd: S,
    block: &[Words],
    group: usize,
) -> ([[S::u32s; V]; 2], [S::u32s; V]) {
    let layout = const { Format::ALL[F].2 };
    let parts = const { Parts::of(Format::ALL[F].2) };
    let (low, high) = block[parts.size() - parts.low - parts.high..].split_at(parts.low);
    let (low, high): (&[Pair], &[Pair]) = (low.as_chunks().0, high.as_chunks().0);
    let none = [simd.splat_u32s(0); V];
    if layout.bits == 8 {
        let (first, last) = (&low[2 * group], &low[2 * group + 1]);
        return ([vectors(simd, first), vectors(simd, last)], none);
    }
    let low = vectors(simd, &low[group]);
    let bits = (layout.bits - 4) * GROUP;
    if bits == 0 {
        return ([low, low], none);
    }
    let mut high: [S::u32s; V] = vectors(simd, &high[group * bits / 32]);
    let by = simd.splat_u32s((group * bits % 32) as u32);
    for high in &mut high {
        *high = simd.wrapping_dyn_shr_u32s(*high, by);
    }
    ([low, low], high)
}

/// `1 + code / 2^bits` of input `INPUT` of a group, from words of low and of high bits.
#[inline(always)]
fn fraction<S: Simd, const F: usize, const INPUT: u32>(
    simd: S,
    low: S::u32s,
    high: S::u32s,
) -> S::f32s {
    /// Bits of the fraction of a number in f32.
    const FRACTION: u32 = f32::MANTISSA_DIGITS - 1;
    let width = const { Format::ALL[F].2.bits as u32 };
    let mut bits = match width {
        8 => field(simd, low, 8 * (INPUT % 4), FRACTION - 8, 8),
        _ => field(simd, low, 4 * INPUT, FRACTION - width, 4),
    };
    if let above @ 1..4 = width - 4 {
        let high = field(simd, high, above * INPUT, FRACTION - above, above);
        bits = simd.or_u32s(bits, high);
    }
    simd.transmute_f32s_u32s(simd.or_u32s(bits, simd.splat_u32s(1.0_f32.to_bits())))
}

/// `bits` bits from bit `from` on, put where bit `to` is the lowest of them.
#[inline(always)]
fn field<S: Simd>(simd: S, words: S::u32s, from: u32, to: u32, bits: u32) -> S::u32s {
    let moved = match from > to {
        true => simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(from - to)),
        false => simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(to - from)),
    };
    simd.and_u32s(moved, simd.splat_u32s(((1 << bits) - 1) << to))
}

/// Byte `number` of each word as a number, with a sign or without.
#[inline(always)]
fn bytes<S: Simd, const V: usize>(
    simd: S,
    words: &Pair,
    number: usize,
    signed: bool,
) -> [S::f32s; V] {
    // Behind this number's bits, a byte counts ones.
    const ONES: f32 = (1 << 23) as f32;
    let by = simd.splat_u32s(8 * number as u32);
    let (flip, zero) = match signed {
        true => (0x80, ONES + 128.0),
        false => (0, ONES),
    };
    let mut numbers = [simd.splat_f32s(0.0); V];
    for (number, words) in numbers.iter_mut().zip(vectors::<S, V>(simd, words)) {
        let byte = simd.and_u32s(simd.wrapping_dyn_shr_u32s(words, by), simd.splat_u32s(0xff));
        let byte = simd.xor_u32s(byte, simd.splat_u32s(ONES.to_bits() | flip));
        *number = simd.sub_f32s(simd.transmute_f32s_u32s(byte), simd.splat_f32s(zero));
    }
    numbers
}

/// The two numbers of IEEE's 16 bits in each word: those of the low halves, then those of the high ones.
#[inline(always)]
fn halves<S: Simd, const V: usize>(simd: S, words: &Words) -> [S::f32s; V] {
    let mut numbers = [simd.splat_f32s(0.0); V];
    let (low, high) = numbers.split_at_mut(V / 2);
    let (words, _) = S::as_simd_u32s(&words.0);
    for ((low, high), words) in low.iter_mut().zip(high).zip(words) {
        *low = half(simd, *words);
        *high = half(
            simd,
            simd.wrapping_dyn_shr_u32s(*words, simd.splat_u32s(16)),
        );
    }
    numbers
}

/// The number of IEEE's 16 bits in the low half of each word.
#[inline(always)]
fn half<S: Simd>(simd: S, words: S::u32s) -> S::f32s {
    macro_rules! all {
        ($bits:expr) => {
            simd.splat_u32s($bits)
        };
    }
    // With the exponent of f32's bias, which is 112 larger, subnormal numbers come out right as well.
    let bits = simd.wrapping_dyn_shl_u32s(simd.and_u32s(words, all!(0x7fff)), all!(13));
    let scaled = simd.mul_f32s(
        simd.transmute_f32s_u32s(bits),
        simd.splat_f32s(2.0_f32.powi(112)),
    );
    let is_finite = simd.less_than_u32s(bits, all!(0x1f << 23));
    let infinite = simd.or_u32s(bits, all!(f32::INFINITY.to_bits()));
    let bits = simd.select_u32s(is_finite, simd.transmute_u32s_f32s(scaled), infinite);
    let sign = simd.wrapping_dyn_shl_u32s(simd.and_u32s(words, all!(0x8000)), all!(16));
    simd.transmute_f32s_u32s(simd.or_u32s(bits, sign))
}

/// The words of all outputs.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(simd: S, words: &Pair) -> [S::u32s; V] {
    let mut found = [simd.splat_u32s(0); V];
    for (of_words, words) in found.chunks_mut(V / 2).zip(words) {
        of_words.copy_from_slice(S::as_simd_u32s(&words.0).0);
    }
    found
}
