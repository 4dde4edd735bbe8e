//! What a panel of a weight is made of.

/// Columns of a panel.
pub(super) const WIDTH: usize = 32;

/// A row of a panel, aligned for the widest vectors.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [f32; WIDTH]);

impl Line {
    pub(super) const ZERO: Self = Self([0.0; WIDTH]);
}
