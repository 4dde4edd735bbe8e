//! Which of the processor's vectors the kernels use: chosen at run time, for ours and those of candle alike.

use pulp::{Arch, Simd, WithSimd};

/// Instruction set and width of the vectors, for example `AVX-512, 512 bits`.
#[must_use]
pub fn vectors() -> String {
    let bits = 32 * Arch::new().dispatch(Lanes);
    let name = match (std::env::consts::ARCH, bits) {
        ("x86_64", 512) => "AVX-512",
        ("x86_64", 256) => "AVX2",
        ("aarch64", 128) => "NEON",
        _ => "scalar",
    };
    format!("{name}, {bits} bits")
}

/// Numbers in a vector.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}
