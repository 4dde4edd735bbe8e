//! Blocks of a matrix turned around, in registers where the processor has vectors of a block's width.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

/// Rows and columns of a block.
pub(super) const SIDE: usize = 16;

/// So many rows of so many numbers.
pub(super) type Block = [[f32; SIDE]; SIDE];

/// How blocks are turned around on this processor.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    #[cfg(target_arch = "x86_64")]
    wide: Option<V4>,
    #[cfg(target_arch = "x86_64")]
    narrow: Option<V3>,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            wide: V4::try_new(),
            #[cfg(target_arch = "x86_64")]
            narrow: V3::try_new(),
        }
    }

    /// The columns of a block as rows.
    #[inline]
    pub(super) fn block(self, rows: &Block) -> Block {
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = self.wide {
            return pulp::Simd::vectorize(wide, Wide(wide, rows));
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(narrow) = self.narrow {
            return pulp::Simd::vectorize(narrow, Narrow(narrow, rows));
        }
        std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]))
    }
}

#[cfg(target_arch = "x86_64")]
struct Wide<'a>(V4, &'a Block);

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for Wide<'_> {
    type Output = Block;

    /// Numbers, pairs of them, quarters and halves change places: four rounds, in each of which vectors meet in pairs.
    #[inline(always)]
    fn call(self) -> Block {
        use std::arch::x86_64::{__m512, __m512d};
        let Self(simd, rows) = self;
        let f = simd.avx512f;
        let doubled = |x: __m512| -> __m512d { pulp::cast(x) };
        let single = |x: __m512d| -> __m512 { pulp::cast(x) };
        macro_rules! round {
            ($from:ident, $first:expr, $second:expr, $(($a:literal, $b:literal))*) => {
                [$($first($from[$a], $from[$b]), $second($from[$a], $from[$b])),*]
            };
        }
        let rows: [__m512; SIDE] = pulp::cast(*rows);
        let low = |a, b| f._mm512_unpacklo_ps(a, b);
        let high = |a, b| f._mm512_unpackhi_ps(a, b);
        let numbers: [__m512; SIDE] = round!(
            rows,
            low,
            high,
            (0, 1)(2, 3)(4, 5)(6, 7)(8, 9)(10, 11)(12, 13)(14, 15)
        );
        let low = |a, b| single(f._mm512_unpacklo_pd(doubled(a), doubled(b)));
        let high = |a, b| single(f._mm512_unpackhi_pd(doubled(a), doubled(b)));
        let pairs: [__m512; SIDE] = round!(
            numbers,
            low,
            high,
            (0, 2)(1, 3)(4, 6)(5, 7)(8, 10)(9, 11)(12, 14)(13, 15)
        );
        let even = |a, b| f._mm512_shuffle_f32x4::<0x88>(a, b);
        let odd = |a, b| f._mm512_shuffle_f32x4::<0xdd>(a, b);
        let quarters: [__m512; SIDE] = round!(
            pairs,
            even,
            odd,
            (0, 4)(1, 5)(2, 6)(3, 7)(8, 12)(9, 13)(10, 14)(11, 15)
        );
        let o: [__m512; SIDE] = round!(
            quarters,
            even,
            odd,
            (0, 8)(1, 9)(2, 10)(3, 11)(4, 12)(5, 13)(6, 14)(7, 15)
        );
        pulp::cast([
            o[0], o[4], o[8], o[12], o[2], o[6], o[10], o[14], o[1], o[5], o[9], o[13], o[3], o[7],
            o[11], o[15],
        ])
    }
}

#[cfg(target_arch = "x86_64")]
struct Narrow<'a>(V3, &'a Block);

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for Narrow<'_> {
    type Output = Block;

    /// Quarters of a block, eight rows of eight numbers, each turned around in three rounds and put in the place of its mirror image.
    #[inline(always)]
    fn call(self) -> Block {
        use std::arch::x86_64::__m256;
        let Self(simd, rows) = self;
        let f = simd.avx;
        let mut turned = [[0.0; SIDE]; SIDE];
        for (down, across) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
            let row = |i: usize| -> __m256 {
                let mut eight = [0.0f32; 8];
                eight.copy_from_slice(&rows[down + i][across..across + 8]);
                pulp::cast(eight)
            };
            let r: [__m256; 8] = std::array::from_fn(row);
            let low = |a, b| f._mm256_unpacklo_ps(a, b);
            let high = |a, b| f._mm256_unpackhi_ps(a, b);
            let t = [
                low(r[0], r[1]),
                high(r[0], r[1]),
                low(r[2], r[3]),
                high(r[2], r[3]),
                low(r[4], r[5]),
                high(r[4], r[5]),
                low(r[6], r[7]),
                high(r[6], r[7]),
            ];
            let first = |a, b| f._mm256_shuffle_ps::<0x44>(a, b);
            let second = |a, b| f._mm256_shuffle_ps::<0xee>(a, b);
            let p = [
                first(t[0], t[2]),
                second(t[0], t[2]),
                first(t[1], t[3]),
                second(t[1], t[3]),
                first(t[4], t[6]),
                second(t[4], t[6]),
                first(t[5], t[7]),
                second(t[5], t[7]),
            ];
            let even = |a, b| f._mm256_permute2f128_ps::<0x20>(a, b);
            let odd = |a, b| f._mm256_permute2f128_ps::<0x31>(a, b);
            let q: [[f32; 8]; 8] = pulp::cast([
                even(p[0], p[4]),
                even(p[1], p[5]),
                even(p[2], p[6]),
                even(p[3], p[7]),
                odd(p[0], p[4]),
                odd(p[1], p[5]),
                odd(p[2], p[6]),
                odd(p[3], p[7]),
            ]);
            for (i, q) in q.iter().enumerate() {
                turned[across + i][down..down + 8].copy_from_slice(q);
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        let block: Block = std::array::from_fn(|i| std::array::from_fn(|j| (100 * i + j) as f32));
        let turned = Turn::new().block(&block);
        for (i, row) in turned.iter().enumerate() {
            for (j, x) in row.iter().enumerate() {
                assert_eq!(*x, (100 * j + i) as f32, "{i} {j}");
            }
        }
    }
}
