//! A block of a file into the words of a panel, and a code out of them.

use super::{Panel, Parts, Words};
use crate::blocks::{Block, Layout};

/// Where the codes of eight bits that a word has are looked for: the first two stand in its even bytes, the last two in its odd ones, so
/// that each half is two numbers of 16 bits.
const BYTES: [usize; 4] = [0, 2, 1, 3];

/// Writes a block into column `j` of block `number` of a panel of so many blocks, whose words are zero there.
pub(super) fn write(block: &Block, layout: Layout, j: usize, to: (&mut [Words], usize, usize)) {
    let (panel, number, blocks) = to;
    let (scales, offsets) = Panel::whole(layout, blocks);
    let (whole, words) = panel.split_at_mut(offsets);
    let (scales, offsets) = whole.split_at_mut(scales);
    let half = |to: &mut [Words], bytes| {
        to[number / 2].0[j] |= u32::from(u16::from_le_bytes(bytes)) << (16 * (number % 2));
    };
    half(scales, block.scale);
    if layout.is_affine() {
        half(offsets, block.offset);
    }
    let parts = Parts::of(layout);
    let words = &mut words[number * parts.size()..][..parts.size()];
    let (scales, words) = words.split_at_mut(parts.scales);
    let (offsets, words) = words.split_at_mut(parts.offsets);
    for (to, bytes) in scales.iter_mut().zip(block.scales.as_chunks().0) {
        to.0[j] = u32::from_le_bytes(*bytes);
    }
    for (to, bytes) in offsets.iter_mut().zip(block.offsets.as_chunks().0) {
        to.0[j] = u32::from_le_bytes(*bytes);
    }
    let codes = block.codes.chunks_exact(layout.of_scale());
    for (words, codes) in words.chunks_exact_mut(parts.low + parts.high).zip(codes) {
        let (low, high) = words.split_at_mut(parts.low);
        if layout.bits == 8 {
            // A code with a sign is stored as what it is above the smallest one.
            for (to, codes) in low.iter_mut().zip(codes.as_chunks::<4>().0) {
                to.0[j] = u32::from_le_bytes(BYTES.map(|byte| codes[byte] ^ 0x80));
            }
            continue;
        }
        for (to, codes) in low.iter_mut().zip(codes.as_chunks::<8>().0) {
            let byte = |i: usize| codes[i] & 15 | codes[i + 4] << 4;
            to.0[j] = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]);
        }
        for to in high {
            let mut bytes = [0; 4];
            for (four, codes) in codes.as_chunks::<4>().0.iter().enumerate() {
                for (byte, code) in bytes.iter_mut().zip(codes) {
                    *byte |= code >> 4 << (four * (layout.bits - 4));
                }
            }
            to.0[j] = u32::from_le_bytes(bytes);
        }
    }
}

/// The code of an input of column `j`, in the words of its block that hold codes.
pub(super) fn code(words: &[Words], layout: Layout, j: usize, input: usize) -> u32 {
    let parts = Parts::of(layout);
    let (part, input) = (input / layout.of_scale(), input % layout.of_scale());
    let (low, high) = words[part * (parts.low + parts.high)..].split_at(parts.low);
    let byte = 8 * (input % 4);
    if layout.bits == 8 {
        return low[input / 4].0[j] >> (8 * BYTES[input % 4]) & 0xff;
    }
    let code = low[input / 8].0[j] >> (byte + input / 4 % 2 * 4) & 15;
    let above = layout.bits - 4;
    if above == 0 {
        return code;
    }
    let above_code = high[0].0[j] >> (byte + input / 4 * above) & ((1 << above) - 1);
    code | above_code << 4
}
