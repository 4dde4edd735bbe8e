//! Products of whole numbers, in vectors of words: what no other kernel needs.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use pulp::{NullaryFnOnce, Simd};

use super::Words;

/// Vectors in which whole numbers of 8 and of 16 bits stand beside each other in words.
pub(super) trait Lanes: Simd {
    /// Runs something compiled for these vectors.
    fn run<K: NullaryFnOnce>(self, kernel: K) -> K::Output;
    /// Each two bytes without a sign times two with one, added: numbers of 16 bits.
    fn times_bytes(self, codes: Self::u32s, digits: Self::u32s) -> Self::u32s;
    /// Each two numbers of 16 bits times two, added: whole words.
    fn times_halves(self, a: Self::u32s, b: Self::u32s) -> Self::u32s;
    /// Numbers of 16 bits added.
    fn add_halves(self, a: Self::u32s, b: Self::u32s) -> Self::u32s;
    /// Has words fetched into the nearest cache that lie so far behind these.
    fn fetch(self, words: &Words, ahead: usize);
    /// Words with a sign as numbers in f32.
    fn floats(self, words: Self::u32s) -> Self::f32s;
}

macro_rules! lanes {
    ($simd:ty, $narrow:ident, $bytes:ident, $halves:ident, $add:ident, $($convert:ident).*) => {
        #[cfg(target_arch = "x86_64")]
        impl Lanes for $simd {
            #[inline(always)]
            fn run<K: NullaryFnOnce>(self, kernel: K) -> K::Output {
                self.vectorize(kernel)
            }

            #[inline(always)]
            fn times_bytes(self, codes: Self::u32s, digits: Self::u32s) -> Self::u32s {
                pulp::cast(self.$narrow.$bytes(pulp::cast(codes), pulp::cast(digits)))
            }

            #[inline(always)]
            fn times_halves(self, a: Self::u32s, b: Self::u32s) -> Self::u32s {
                pulp::cast(self.$narrow.$halves(pulp::cast(a), pulp::cast(b)))
            }

            #[inline(always)]
            fn add_halves(self, a: Self::u32s, b: Self::u32s) -> Self::u32s {
                pulp::cast(self.$narrow.$add(pulp::cast(a), pulp::cast(b)))
            }

            #[inline(always)]
            fn fetch(self, words: &Words, ahead: usize) {
                // Nothing is read: it may lie behind the end.
                let place = std::ptr::from_ref(words).wrapping_add(ahead);
                self.sse._mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
            }

            #[inline(always)]
            fn floats(self, words: Self::u32s) -> Self::f32s {
                pulp::cast(self.$($convert).*(pulp::cast(words)))
            }
        }
    };
}

lanes!(
    V3,
    avx2,
    _mm256_maddubs_epi16,
    _mm256_madd_epi16,
    _mm256_add_epi16,
    avx._mm256_cvtepi32_ps
);
lanes!(
    V4,
    avx512bw,
    _mm512_maddubs_epi16,
    _mm512_madd_epi16,
    _mm512_add_epi16,
    avx512f._mm512_cvtepi32_ps
);
