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
    fields(scales, j, 8, &block.scales);
    let (offsets, to) = to.split_at_mut(parts.offsets);
    fields(offsets, j, 8, &block.offsets);
    let (low, high) = to.split_at_mut(parts.low);
    let codes = &block.codes[..layout.numbers];
    match layout.offset {
        // A code with a sign is stored as what it is above the smallest one.
        Offset::None => fields(
            low,
            j,
            8,
            &codes.iter().map(|code| code ^ 0x80).collect::<Vec<_>>(),
        ),
        Offset::Fixed(_) | Offset::Stored => {
            fields(
                low,
                j,
                4,
                &codes.iter().map(|code| code & 15).collect::<Vec<_>>(),
            );
            let above: Vec<u8> = codes.iter().map(|code| code >> 4).collect();
            fields(high, j, layout.bits - 4, &above);
        }
    }
}

/// Writes values of `bits` bits into the words of output `j`, the first into the lowest bits.
fn fields(to: &mut [Words], j: usize, bits: usize, values: &[u8]) {
    let Some(of_word) = 32_usize.checked_div(bits) else {
        return;
    };
    for (pair, values) in to
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(values.chunks(of_word))
    {
        for (number, value) in values.iter().enumerate() {
            pair[j / 16].0[j % 16] |= u32::from(*value) << (bits * number);
        }
    }
}
