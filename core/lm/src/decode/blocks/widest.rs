//! The vectors of this processor, and products in them.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::kernel::product;
use super::{Fixed, Panel};
use crate::blocks::Format;

/// The widest vectors of a processor that whole numbers are multiplied in.
#[derive(Clone, Copy)]
pub(super) enum Widest {
    #[cfg(target_arch = "x86_64")]
    V3(V3),
    #[cfg(target_arch = "x86_64")]
    V4(V4),
}

impl Widest {
    /// None where the processor has none, or none that we know.
    pub(super) fn of_this_processor() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = V4::try_new() {
            return Some(Self::V4(simd));
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = V3::try_new() {
            return Some(Self::V3(simd));
        }
        None
    }

    /// See [`super::Blocks::product`].
    pub(super) fn product<'a>(
        self,
        format: Format,
        panels: impl Iterator<Item = Panel<'a>>,
        rows: &Fixed,
        y: &mut [&mut [f32]],
    ) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::V3(simd) => product(simd, format, panels, rows, y),
            #[cfg(target_arch = "x86_64")]
            Self::V4(simd) => product(simd, format, panels, rows, y),
        }
    }
}
