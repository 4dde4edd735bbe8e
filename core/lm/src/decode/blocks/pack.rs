//! A block of a file into the words of a panel.

use super::{Parts, Words};
use crate::blocks::{Block, Layout, Offset};

/// Writes a block into column `j` of a block of a panel, whose words are zero there.
pub(super) fn write(block: &Block, layout: Layout, j: usize, to: &mut [Words]) {
    let parts = Parts::of(layout);
    let (whole, to) = to.split_at_mut(parts.whole);
    for (words, bytes) in whole.iter_mut().zip([block.scale, block.offset]) {
        words.0[j % 16] |= u32::from(u16::from_le_bytes(bytes)) << (16 * (j / 16));
    }
    let (scales, to) = to.split_at_mut(parts.scales);
    fields(
        scales,
        j,
        8,
        block.scales[..layout.scales()].iter().copied(),
    );
    let (offsets, to) = to.split_at_mut(parts.offsets);
    if layout.is_affine() {
        let values = &block.offsets[..layout.scales()];
        fields(offsets, j, 8, values.iter().copied());
    }
    let (low, high) = to.split_at_mut(parts.low);
    let codes = block.codes[..layout.numbers].iter();
    match layout.offset {
        // A code with a sign is stored as what it is above the smallest one.
        Offset::None => fields(low, j, 8, codes.map(|code| code ^ 0x80)),
        Offset::Fixed(_) | Offset::Stored => {
            fields(low, j, 4, codes.clone().map(|code| code & 15));
            if !high.is_empty() {
                fields(high, j, layout.bits - 4, codes.map(|code| code >> 4));
            }
        }
    }
}

/// Writes values of `bits` bits into the words of output `j`, the first into the lowest bits.
fn fields(to: &mut [Words], j: usize, bits: usize, values: impl Iterator<Item = u8>) {
    let of_word = 32 / bits;
    for (number, value) in values.enumerate() {
        let words = &mut to[2 * (number / of_word) + j / 16];
        words.0[j % 16] |= u32::from(value) << (bits * (number % of_word));
    }
}
