//! Codes and scales of a block of a panel, a vector of outputs at a time.

use pulp::Simd;

use super::lanes::Lanes;
use super::{OUTPUTS, Parts, Words};
use crate::blocks::{Format, Layout, Offset};

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

/// What is taken away from each code before it is multiplied, so that sums stay small: the format's fixed zero, or where the block has
/// an offset the middle of the codes, which is added again.
pub(super) const fn zero(layout: Layout) -> u32 {
    match (layout.offset, layout.bits) {
        (Offset::Fixed(zero), _) => zero as u32,
        (Offset::None, _) => 128,
        (Offset::Stored, 5) => 16,
        (Offset::Stored, _) => 0,
    }
}

/// What a part's sum of codes is multiplied with, and its sum of inputs: nothing where the block's scale is all.
#[derive(Clone, Copy)]
pub(super) struct OfPart<S: Simd, const V: usize> {
    pub(super) scale: [S::f32s; V],
    pub(super) offset: [S::f32s; V],
}

/// The words of a block; `F` numbers the format.
#[derive(Clone, Copy)]
pub(super) struct Codes<'a, const F: usize> {
    scales: &'a [Words],
    offsets: &'a [Words],
    codes: &'a [Words],
}

impl<'a, const F: usize> Codes<'a, F> {
    pub(super) const LAYOUT: Layout = Format::ALL[F].2;

    #[inline(always)]
    pub(super) fn new(block: &'a [Words]) -> Self {
        let parts = const { Parts::of(Self::LAYOUT) };
        let (scales, block) = block.split_at(parts.scales);
        let (offsets, codes) = block.split_at(parts.offsets);
        Self {
            scales,
            offsets,
            codes,
        }
    }

    /// The words of a part.
    #[inline(always)]
    pub(super) fn part(&self, part: usize) -> Part<'a, F> {
        let parts = const { Parts::of(Self::LAYOUT) };
        let words = parts.low + parts.high;
        let words = &self.codes[part * words..][..words];
        let (low, high) = words.split_at(parts.low);
        Part { low, high }
    }

    /// Scale and offset of a part, where it has them.
    #[inline(always)]
    pub(super) fn of_part<S: Lanes, const V: usize>(
        &self,
        simd: S,
        part: usize,
        first: usize,
    ) -> OfPart<S, V> {
        let nothing = [simd.splat_f32s(0.0); V];
        let (mut scale, mut offset) = (nothing, nothing);
        if const { Self::LAYOUT.per_scale.is_some() } {
            let is_affine = const { Self::LAYOUT.is_affine() };
            scale = bytes::<S, V>(simd, &self.scales[part / 4].0, part % 4, first, !is_affine);
            if is_affine {
                offset = bytes::<S, V>(simd, &self.offsets[part / 4].0, part % 4, first, false);
            }
        }
        OfPart { scale, offset }
    }
}

/// The codes of the inputs that share a scale.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, const F: usize> {
    low: &'a [Words],
    /// A word has the bits above the low ones of all of them.
    high: &'a [Words],
}

impl<const F: usize> Part<'_, F> {
    /// Has words fetched that lie so far behind these, which will be read next.
    #[inline(always)]
    pub(super) fn fetch<S: Lanes>(&self, simd: S, ahead: usize) {
        for words in self.low.iter().chain(self.high) {
            simd.fetch(words, ahead);
        }
    }

    /// Codes of the inputs `8 eight` to `8 eight + 3` and of the four behind them, a byte each, for `V` vectors of outputs from vector
    /// `first` on.
    #[inline(always)]
    pub(super) fn eight<S: Simd, const V: usize>(
        &self,
        simd: S,
        eight: usize,
        first: usize,
    ) -> [[S::u32s; V]; 2] {
        let bits = const { Format::ALL[F].2.bits };
        if bits == 8 {
            return [
                vectors::<S, V>(simd, &self.low[2 * eight].0, first),
                vectors::<S, V>(simd, &self.low[2 * eight + 1].0, first),
            ];
        }
        let low = vectors::<S, V>(simd, &self.low[eight].0, first);
        let mut codes = [low; 2];
        for v in 0..V {
            codes[0][v] = field(simd, low[v], 0, 0, 4);
            codes[1][v] = field(simd, low[v], 4, 0, 4);
        }
        let above = bits - 4;
        if above > 0 {
            let high = vectors::<S, V>(simd, &self.high[0].0, first);
            let by = simd.splat_u32s((eight * 2 * above) as u32);
            for v in 0..V {
                let high = simd.wrapping_dyn_shr_u32s(high[v], by);
                for (half, codes) in codes.iter_mut().enumerate() {
                    let high = field(simd, high, half * above, 4, above);
                    codes[v] = simd.or_u32s(codes[v], high);
                }
            }
        }
        codes
    }
}

/// `bits` bits of each byte from bit `from` of it on, put where bit `to` is the lowest of them.
#[inline(always)]
fn field<S: Simd>(simd: S, words: S::u32s, from: usize, to: usize, bits: usize) -> S::u32s {
    let by = |by: usize| simd.splat_u32s(by as u32);
    let moved = match from > to {
        true => simd.wrapping_dyn_shr_u32s(words, by(from - to)),
        false if from == to => words,
        false => simd.wrapping_dyn_shl_u32s(words, by(to - from)),
    };
    let of_byte = ((1 << bits) - 1) << to;
    simd.and_u32s(moved, simd.splat_u32s(0x0101_0101 * of_byte))
}

/// Byte `number` of each word as a number, with a sign or without.
#[inline(always)]
fn bytes<S: Lanes, const V: usize>(
    simd: S,
    words: &[u32; OUTPUTS],
    number: usize,
    first: usize,
    signed: bool,
) -> [S::f32s; V] {
    let by = simd.splat_u32s(8 * number as u32);
    let byte = simd.splat_u32s(0xff);
    let mut numbers = [simd.splat_f32s(0.0); V];
    for (number, words) in numbers.iter_mut().zip(vectors::<S, V>(simd, words, first)) {
        let code = simd.and_u32s(simd.wrapping_dyn_shr_u32s(words, by), byte);
        *number = match signed {
            // The sign is the byte's highest bit.
            true => {
                let sign = simd.splat_u32s(0x80);
                let flipped = simd.floats(simd.xor_u32s(code, sign));
                simd.sub_f32s(flipped, simd.splat_f32s(128.0))
            }
            false => simd.floats(code),
        };
    }
    numbers
}

/// `V` vectors of the numbers of IEEE's 16 bits that block `number` has, from vector `first` on; all of them are finite.
#[inline(always)]
pub(super) fn halves<S: Lanes, const V: usize, const F: usize>(
    simd: S,
    words: &[Words],
    number: usize,
    first: usize,
) -> [S::f32s; V] {
    let by = simd.splat_u32s(16 * (1 - number as u32 % 2));
    let mut numbers = [simd.splat_f32s(0.0); V];
    let words = vectors::<S, V>(simd, &words[number / 2].0, first);
    for (number, word) in numbers.iter_mut().zip(words) {
        let word = simd.wrapping_dyn_shl_u32s(word, by);
        *number = match const { Format::ALL[F].2.per_scale.is_some() } {
            true => half_of_block(simd, word),
            false => half(simd, word),
        };
    }
    numbers
}

/// The number of IEEE's 16 bits in the high half of each word.
#[inline(always)]
fn half<S: Lanes>(simd: S, word: S::u32s) -> S::f32s {
    // With the exponent of f32's bias, which is 112 larger, subnormal numbers come out right as well.
    let sign = simd.and_u32s(word, simd.splat_u32s(1 << 31));
    let rest = simd.and_u32s(word, simd.splat_u32s(0x7fff << 16));
    let rest = simd.wrapping_dyn_shr_u32s(rest, simd.splat_u32s(3));
    let number = simd.transmute_f32s_u32s(simd.or_u32s(sign, rest));
    simd.mul_f32s(number, simd.splat_f32s(2.0_f32.powi(112)))
}

/// The same, without a product of what is subnormal in f32: of blocks of 256 the scales often are in 16 bits, and it costs some
/// processors hundreds of cycles.
#[inline(always)]
fn half_of_block<S: Lanes>(simd: S, word: S::u32s) -> S::f32s {
    let sign = simd.and_u32s(word, simd.splat_u32s(1 << 31));
    let rest = simd.wrapping_dyn_shr_u32s(word, simd.splat_u32s(16));
    let rest = simd.and_u32s(rest, simd.splat_u32s(0x7fff));
    let normal = simd.wrapping_dyn_shl_u32s(rest, simd.splat_u32s(13));
    let normal = simd.add_u32s(normal, simd.splat_u32s(112 << 23));
    let subnormal = simd.mul_f32s(simd.floats(rest), simd.splat_f32s(2.0_f32.powi(-24)));
    let is_subnormal = simd.less_than_u32s(rest, simd.splat_u32s(0x400));
    let number = simd.select_u32s(is_subnormal, simd.transmute_u32s_f32s(subnormal), normal);
    simd.transmute_f32s_u32s(simd.or_u32s(number, sign))
}

/// `V` vectors of words from vector `first` on.
#[inline(always)]
pub(super) fn vectors<S: Simd, const V: usize>(
    simd: S,
    words: &[u32; OUTPUTS],
    first: usize,
) -> [S::u32s; V] {
    let mut found = [simd.splat_u32s(0); V];
    found.copy_from_slice(&S::as_simd_u32s(words).0[first..][..V]);
    found
}

/// The same of numbers.
#[inline(always)]
pub(super) fn floats<S: Simd, const V: usize>(
    simd: S,
    numbers: &[f32; OUTPUTS],
    first: usize,
) -> [S::f32s; V] {
    let mut found = [simd.splat_f32s(0.0); V];
    found.copy_from_slice(&S::as_simd_f32s(numbers).0[first..][..V]);
    found
}
