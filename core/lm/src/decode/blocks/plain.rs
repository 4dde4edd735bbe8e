//! What blocks stand for, and products with them, without a processor's own vectors: on other processors, and what tests hold the
//! vectors against.

use half::f16;
use pulp::bytemuck::cast;

use super::codes::zero;
use super::fixed::{LARGE, Two};
use super::{Fixed, OUTPUTS, Panel, Parts, Words, pack};
use crate::blocks::{Layout, Offset};

/// One column of a panel: the numbers that the blocks stand for.
pub(super) fn column(layout: Layout, panel: Panel<'_>, column: usize, to: &mut [f32]) {
    let size = Parts::of(layout).size();
    let blocks = to.chunks_exact_mut(layout.numbers);
    for (number, (to, words)) in blocks.zip(panel.words.chunks_exact(size)).enumerate() {
        let of_block = OfBlock::new(panel, number, column);
        for (part, to) in to.chunks_exact_mut(layout.of_scale()).enumerate() {
            let (scale, offset) = of_part(layout, words, part, column);
            let (scale, offset) = (scale * of_block.scale, offset * of_block.offset);
            let fixed = match layout.offset {
                Offset::Stored => 0,
                Offset::Fixed(_) | Offset::None => zero(layout),
            };
            for (input, to) in (part * layout.of_scale()..).zip(to) {
                let code = pack::code(codes(layout, words), layout, column, input);
                let whole = code as f32 - fixed as f32;
                *to = whole.mul_add(scale, offset);
            }
        }
    }
}

/// Rows times some panels; `y` are the pieces of the product's rows.
pub(super) fn product<'a>(
    layout: Layout,
    panels: impl Iterator<Item = Panel<'a>>,
    rows: &Fixed,
    y: &mut [&mut [f32]],
) {
    let size = Parts::of(layout).size();
    let (numbers, shared) = (layout.numbers, layout.of_scale());
    let mut of_block = vec![[0_i32; OUTPUTS]; numbers];
    let width = y.first().map_or(0, |y| y.len());
    for (panel, start) in panels.zip((0..width).step_by(OUTPUTS)) {
        let end = (start + OUTPUTS).min(width);
        for y in y.iter_mut() {
            y[start..end].fill(0.0);
        }
        for (number, words) in panel.words.chunks_exact(size).enumerate() {
            for (input, codes_of) in of_block.iter_mut().enumerate() {
                for (j, code) in codes_of.iter_mut().enumerate() {
                    let found = pack::code(codes(layout, words), layout, j, input);
                    *code = found as i32 - zero(layout) as i32;
                }
            }
            for (row, y) in y.iter_mut().enumerate() {
                let row = rows.row(row).some(number * numbers, numbers, shared);
                let mut scaled = [0.0_f32; OUTPUTS];
                let mut added = [0.0_f32; OUTPUTS];
                for (part, codes) in of_block.chunks_exact(shared).enumerate() {
                    let of_row = row.shared[part];
                    let digits = &row.two[part * shared / 4..][..shared / 4];
                    let [high, low] = [0, 1].map(|k| sums(codes, digits, k));
                    let taken = zero(layout) as f32 * of_row.sum;
                    for j in 0..OUTPUTS {
                        let sum = (high[j] as f32).mul_add(LARGE, low[j] as f32);
                        if layout.per_scale.is_none() {
                            scaled[j] = match layout.is_affine() {
                                true => sum.mul_add(of_row.scale, taken),
                                false => sum * of_row.scale,
                            };
                            added[j] = of_row.sum;
                            continue;
                        }
                        let (scale, offset) = of_part(layout, words, part, j);
                        scaled[j] = sum.mul_add(scale * of_row.scale, scaled[j]);
                        if layout.is_affine() {
                            if zero(layout) > 0 {
                                scaled[j] = scale.mul_add(taken, scaled[j]);
                            }
                            added[j] = offset.mul_add(of_row.sum, added[j]);
                        }
                    }
                }
                for (j, y) in y[start..end].iter_mut().enumerate() {
                    let of_block = OfBlock::new(panel, number, j);
                    *y = of_block.scale.mul_add(scaled[j], *y);
                    if layout.is_affine() {
                        *y = of_block.offset.mul_add(added[j], *y);
                    }
                }
            }
        }
    }
}

/// Sums of codes times digits of one kind, for each output.
fn sums(codes: &[[i32; OUTPUTS]], digits: &[Two], kind: usize) -> [i32; OUTPUTS] {
    let digits = digits.iter().flatten();
    let digits = digits.flat_map(|digits| cast::<u32, [i16; 2]>(digits[kind]));
    let mut sums = [0; OUTPUTS];
    for (codes, digit) in codes.iter().zip(digits) {
        for (sum, code) in sums.iter_mut().zip(codes) {
            *sum += code * i32::from(digit);
        }
    }
    sums
}

/// What a block of one output says.
struct OfBlock {
    scale: f32,
    offset: f32,
}

impl OfBlock {
    fn new(panel: Panel<'_>, number: usize, j: usize) -> Self {
        let half = |words: &[Words]| {
            words.get(number / 2).map_or(0.0, |words| {
                let bits = words.0[j] >> (16 * (number % 2));
                f16::from_bits(bits as u16).to_f32()
            })
        };
        Self {
            scale: half(panel.scales),
            offset: half(panel.offsets),
        }
    }
}

/// What the block's scale and offset are multiplied with in a part.
fn of_part(layout: Layout, words: &[Words], part: usize, j: usize) -> (f32, f32) {
    if layout.per_scale.is_none() {
        return (1.0, 1.0);
    }
    let byte = |words: &[Words]| (words[part / 4].0[j] >> (8 * (part % 4))) as u8;
    match layout.is_affine() {
        // What is stored is taken away.
        true => {
            let offset = byte(&words[Parts::of(layout).scales..]);
            (f32::from(byte(words)), -f32::from(offset))
        }
        false => (f32::from(byte(words).cast_signed()), 1.0),
    }
}

/// The words of a block that hold codes.
fn codes(layout: Layout, words: &[Words]) -> &[Words] {
    let parts = Parts::of(layout);
    &words[parts.scales + parts.offsets..]
}
