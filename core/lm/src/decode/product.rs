//! Products of rows with packed weights.
//!
//! An element of a product is one chain of fused multiplications and additions in the order of the inner dimension; of blocks it is a
//! chain of exact sums (`blocks.rs`). So a row gives the same bytes whatever rows stand beside it, on any number of threads, and with
//! vectors of any width.

use std::cell::Cell;

use candle_core::{DType, Result, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::blocks::{self, Blocks, Fixed};
use super::panels::Panels;
use crate::blocks::Stored;
use crate::ops::kernels::{WIDTH, times_panel, values, vectorized};

/// The transpose of a weight `[out, in]`, packed; its rows may be stored in several ways, one below the other.
#[derive(Debug)]
pub(super) struct Packed {
    parts: Vec<Part>,
    outputs: usize,
    inputs: usize,
}

/// Rows that are stored alike.
#[derive(Debug)]
struct Part {
    panels: Contents,
    outputs: usize,
}

/// What panels are made of.
#[derive(Debug)]
enum Contents {
    Numbers(Panels),
    Blocks(Blocks),
}

impl Packed {
    /// Packs weights `[.., in]` on the processor, one below the other.
    ///
    /// # Errors
    /// When they are no such matrices.
    pub(super) fn new(parts: &[&Tensor]) -> Result<Self> {
        let inputs = parts.first().map_or(Ok(0), |part| part.dim(1))?;
        let whole = |part: &&Tensor| part.to_dtype(DType::F32)?.contiguous();
        let parts = parts.iter().map(whole).collect::<Result<Vec<_>>>()?;
        let read = parts.iter().map(values).collect::<Result<Vec<_>>>()?;
        let rows: Vec<&[f32]> = read
            .iter()
            .flat_map(|part| part.chunks_exact(inputs.max(1)))
            .collect();
        let panels = Panels::of_rows(&rows, inputs, |x| x);
        Ok(Self::of_panels(
            Contents::Numbers(panels),
            rows.len(),
            inputs,
        ))
    }

    /// The same of the bytes of `outputs` rows as they are stored in files. Nothing where a block has a scale that is not finite.
    pub(super) fn of_bytes(
        stored: Stored,
        bytes: &[u8],
        outputs: usize,
        inputs: usize,
    ) -> Option<Self> {
        let panels = match stored {
            Stored::F32 => Contents::Numbers(Panels::of_floats(bytes, inputs)),
            Stored::F16 => Contents::Numbers(Panels::of_halves(bytes, inputs, true)),
            Stored::Bf16 => Contents::Numbers(Panels::of_halves(bytes, inputs, false)),
            Stored::Blocks(format) => Contents::Blocks(Blocks::new(format, bytes, inputs)?),
        };
        Some(Self::of_panels(panels, outputs, inputs))
    }

    fn of_panels(panels: Contents, outputs: usize, inputs: usize) -> Self {
        Self {
            parts: vec![Part { panels, outputs }],
            outputs,
            inputs,
        }
    }

    /// Puts the rows of another weight with as many inputs below these.
    pub(super) fn append(&mut self, other: Self) {
        self.parts.extend(other.parts);
        self.outputs += other.outputs;
    }

    /// Rows of the weight.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |part: &Part| match &part.panels {
            Contents::Numbers(panels) => panels.bytes(),
            Contents::Blocks(blocks) => blocks.bytes(),
        };
        self.parts.iter().map(bytes).sum()
    }

    /// Row `index` of the weight: what an embedding table gives.
    pub(super) fn row(&self, mut index: usize, to: &mut [f32]) {
        for part in &self.parts {
            if index < part.outputs {
                return match &part.panels {
                    Contents::Numbers(panels) => panels.column(index / WIDTH, index % WIDTH, to),
                    Contents::Blocks(blocks) => blocks.row(index, to),
                };
            }
            index -= part.outputs;
        }
    }

    /// `y = x w^T` for rows `x` of `in` numbers; `y` becomes rows of `out` numbers.
    pub(super) fn product(&self, x: &[f32], y: &mut Vec<f32>) {
        let rows = x.len() / self.inputs.max(1);
        y.resize(rows * self.outputs, 0.0);
        if y.is_empty() {
            return;
        }
        let panels: usize = self.parts.iter().map(Part::panels).sum();
        let at_once = panels.div_ceil(LEAST_TASKS).min(MOST_PANELS);
        let mut tasks: Vec<Task> = self
            .parts
            .iter()
            .flat_map(|part| {
                let firsts = (0..part.panels()).step_by(at_once);
                firsts.map(move |first| Task {
                    panels: &part.panels,
                    first,
                    y: Vec::with_capacity(rows),
                })
            })
            .collect();
        for mut row in y.chunks_exact_mut(self.outputs) {
            let mut tasks = tasks.iter_mut();
            for part in &self.parts {
                let (own, behind) = row.split_at_mut(part.outputs);
                row = behind;
                let pieces = own.chunks_mut(at_once * WIDTH);
                for (piece, task) in pieces.zip(&mut tasks) {
                    task.y.push(piece);
                }
            }
        }
        let fixed = self.fixed(x);
        tasks.into_par_iter().for_each(|task| {
            let Task {
                panels,
                first,
                mut y,
            } = task;
            match panels {
                Contents::Numbers(panels) => vectorized(Strip {
                    panels,
                    depth: self.inputs,
                    first,
                    x,
                    y,
                }),
                Contents::Blocks(blocks) => {
                    let kind = blocks.kind();
                    if let Some(rows) = fixed.iter().find(|rows| rows.kind() == kind) {
                        blocks.product(first * WIDTH, rows, &mut y);
                    }
                }
            }
        });
    }

    /// Rows in the whole numbers that blocks are multiplied with, of each kind that a part asks for.
    fn fixed(&self, x: &[f32]) -> Vec<Fixed> {
        let mut kinds: Vec<blocks::Kind> = Vec::new();
        for part in &self.parts {
            if let Contents::Blocks(blocks) = &part.panels
                && !kinds.contains(&blocks.kind())
            {
                kinds.push(blocks.kind());
            }
        }
        let kinds = kinds.into_iter();
        kinds.map(|kind| Fixed::new(x, self.inputs, kind)).collect()
    }
}

impl Part {
    fn panels(&self) -> usize {
        self.outputs.div_ceil(WIDTH)
    }
}

/// A product is cut into so many tasks at least, where it has so many panels.
const LEAST_TASKS: usize = 16;

/// Panels of one task at most.
const MOST_PANELS: usize = 8;

/// Some panels of a product: `y` are the pieces of its rows.
struct Task<'a> {
    panels: &'a Contents,
    first: usize,
    y: Vec<&'a mut [f32]>,
}

/// Some panels of numbers.
struct Strip<'a> {
    panels: &'a Panels,
    depth: usize,
    first: usize,
    x: &'a [f32],
    y: Vec<&'a mut [f32]>,
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            panels,
            depth,
            first,
            x,
            mut y,
        } = self;
        let width = y.first().map_or(0, |piece| piece.len());
        let mut wide = Vec::new();
        let sums = vec![Cell::new([0.0; WIDTH]); y.len()];
        for (index, start) in (first..).zip((0..width).step_by(WIDTH)) {
            times_panel(
                simd,
                x.chunks_exact(depth),
                (panels.lines(index, &mut wide), panels.behind(index)),
                |_| [0.0; WIDTH],
                |row, of_row| sums[row].set(*of_row),
            );
            let end = (start + WIDTH).min(width);
            for (row, sums) in y.iter_mut().zip(&sums) {
                row[start..end].copy_from_slice(&sums.get()[..end - start]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::decode::panels::widened;

    /// Scattered numbers, all of them exact in bf16 or none.
    fn numbers(n: usize, half: bool) -> Vec<f32> {
        let number = |i: usize| {
            let x = ((i * 37 % 1009) as f32 - 504.0) / 701.0;
            match half {
                true => widened((x.to_bits() >> 16) as u16),
                false => x,
            }
        };
        (0..n).map(number).collect()
    }

    fn product_of(rows: &[f32], weight: &Packed) -> Vec<f32> {
        let mut y = Vec::new();
        weight.product(rows, &mut y);
        y
    }

    #[test]
    fn an_element_is_one_chain_of_fused_operations() {
        for half in [false, true] {
            for (m, n, k) in [(1, 1, 1), (5, 33, 7), (12, 64, 40), (29, 300, 17)] {
                let (x, w) = (numbers(m * k, false), numbers(n * k, half));
                let tensor = Tensor::from_slice(&w, (n, k), &Device::Cpu).unwrap();
                let packed = Packed::new(&[&tensor]).unwrap();
                let y = product_of(&x, &packed);
                for i in 0..m {
                    for j in 0..n {
                        let chain =
                            (0..k).fold(0.0_f32, |sum, l| x[i * k + l].mul_add(w[j * k + l], sum));
                        assert_eq!(y[i * n + j], chain, "{half} {m} {n} {k}");
                    }
                }
                // Alone, a row gives what it gives beside others.
                for (x, y) in x.chunks_exact(k).zip(y.chunks_exact(n)) {
                    assert_eq!(product_of(x, &packed), y);
                }
                let mut row = vec![0.0; k];
                packed.row(n - 1, &mut row);
                assert_eq!(row, w[(n - 1) * k..]);
            }
        }
    }

    /// The product of one strip with vectors of a given width.
    fn strip<S: Simd>(simd: S, x: &[f32], weight: &Packed) -> Vec<f32> {
        let [
            Part {
                panels: Contents::Numbers(panels),
                ..
            },
        ] = weight.parts.as_slice()
        else {
            panic!("one part of numbers")
        };
        let mut y = vec![0.0; x.len() / weight.inputs * weight.outputs];
        simd.vectorize(Strip {
            panels,
            depth: weight.inputs,
            first: 0,
            x,
            y: y.chunks_exact_mut(weight.outputs).collect(),
        });
        y
    }

    #[test]
    fn vectors_of_any_width_give_the_same_bytes() {
        let (n, k) = (77, 96);
        let w = numbers(n * k, false);
        let tensor = Tensor::from_slice(&w, (n, k), &Device::Cpu).unwrap();
        let weight = Packed::new(&[&tensor]).unwrap();
        for rows in [1, 2, 3, 12, 13] {
            let x = numbers(rows * k, false);
            let expected = product_of(&x, &weight);
            assert_eq!(strip(pulp::Scalar::new(), &x, &weight), expected, "{rows}");
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                assert_eq!(strip(simd, &x, &weight), expected, "{rows}");
            }
        }
    }

    #[test]
    fn weights_that_bf16_holds_take_half_the_memory() {
        let bytes = |half| {
            let tensor = Tensor::from_slice(&numbers(64 * 32, half), (64, 32), &Device::Cpu);
            Packed::new(&[&tensor.unwrap()]).unwrap().bytes()
        };
        assert_eq!((bytes(false), bytes(true)), (64 * 32 * 4, 64 * 32 * 2));
    }

    #[test]
    fn weights_in_their_files_are_packed_as_those_in_memory() {
        let x = numbers(3 * 40, false);
        for half in [true, false] {
            let w = numbers(70 * 40, half);
            let tensor = Tensor::from_slice(&w, (70, 40), &Device::Cpu).unwrap();
            let memory = Packed::new(&[&tensor]).unwrap();
            let floats: Vec<u8> = w.iter().flat_map(|x| x.to_le_bytes()).collect();
            let mut stored = vec![Packed::of_bytes(Stored::F32, &floats, 70, 40).unwrap()];
            if half {
                let bytes = w
                    .iter()
                    .flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes());
                let bytes: Vec<u8> = bytes.collect();
                stored.push(Packed::of_bytes(Stored::Bf16, &bytes, 70, 40).unwrap());
            }
            for stored in stored {
                assert_eq!(product_of(&x, &stored), product_of(&x, &memory));
                assert_eq!(stored.bytes(), memory.bytes());
                assert_eq!(stored.outputs(), 70);
            }
        }
    }

    #[test]
    fn matrices_are_packed_one_below_the_other() {
        let tensor = |from: usize, rows: usize| {
            let all = numbers(50 * 9, false);
            Tensor::from_slice(&all[from * 9..(from + rows) * 9], (rows, 9), &Device::Cpu).unwrap()
        };
        let x = numbers(3 * 9, true);
        let whole = product_of(&x, &Packed::new(&[&tensor(0, 50)]).unwrap());
        let parts = [tensor(0, 7), tensor(7, 40), tensor(47, 3)];
        let parts: Vec<&Tensor> = parts.iter().collect();
        assert_eq!(product_of(&x, &Packed::new(&parts).unwrap()), whole);
    }
}
