//! Products of rows with packed weights.
//!
//! An element of a product is one chain of fused multiplications and additions in the order of the inner dimension. So a row
//! gives the same bytes whatever rows stand beside it, on any number of threads, and with vectors of any width.

use candle_core::{DType, Result, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::ops::kernels::{values, vectorized};

/// Columns of a panel.
pub(super) const WIDTH: usize = 32;

/// A row of a panel, aligned for the widest vectors.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [f32; WIDTH]);

impl Line {
    pub(super) const ZERO: Self = Self([0.0; WIDTH]);
}

/// A row of a panel in numbers of 16 bits.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct HalfLine([u16; WIDTH]);

/// The transpose of a weight `[out, in]`, in panels of [`WIDTH`] outputs: each is `in` lines.
#[derive(Debug)]
pub(super) struct Packed {
    panels: Panels,
    outputs: usize,
    inputs: usize,
}

#[derive(Debug)]
enum Panels {
    Whole(Vec<Vec<Line>>),
    /// Every number is one of bf16, as most models are stored: half of the memory, and no other result.
    Half(Vec<Vec<HalfLine>>),
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
        Ok(Self::of_rows(&rows, inputs, |x| x))
    }

    /// The same of the bytes of numbers of `bf16`, the lowest first.
    pub(super) fn of_halves(bytes: &[u8], inputs: usize) -> Self {
        let (numbers, _) = bytes.as_chunks::<2>();
        let rows: Vec<_> = numbers.chunks_exact(inputs.max(1)).collect();
        let set = |line: &mut HalfLine, j: usize, x| line.0[j] = u16::from_le_bytes(x);
        Self {
            panels: Panels::Half(pack(&rows, inputs, HalfLine([0; WIDTH]), set)),
            outputs: rows.len(),
            inputs,
        }
    }

    /// The same of the bytes of numbers of `f32`.
    pub(super) fn of_floats(bytes: &[u8], inputs: usize) -> Self {
        let (numbers, _) = bytes.as_chunks::<4>();
        let rows: Vec<_> = numbers.chunks_exact(inputs.max(1)).collect();
        Self::of_rows(&rows, inputs, f32::from_le_bytes)
    }

    fn of_rows<X: Copy + Sync>(
        rows: &[&[X]],
        inputs: usize,
        number: impl Fn(X) -> f32 + Sync,
    ) -> Self {
        let is_half = |x: &X| number(*x).to_bits().trailing_zeros() >= 16;
        let panels = match rows.par_iter().all(|row| row.iter().all(is_half)) {
            true => Panels::Half(pack(rows, inputs, HalfLine([0; WIDTH]), |line, j, x| {
                line.0[j] = (number(x).to_bits() >> 16) as u16;
            })),
            false => Panels::Whole(pack(rows, inputs, Line::ZERO, |line, j, x| {
                line.0[j] = number(x);
            })),
        };
        Self {
            panels,
            outputs: rows.len(),
            inputs,
        }
    }

    /// Rows of the weight.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        match &self.panels {
            Panels::Whole(panels) => panels.iter().map(|lines| size_of_val(&lines[..])).sum(),
            Panels::Half(panels) => panels.iter().map(|lines| size_of_val(&lines[..])).sum(),
        }
    }

    /// Row `index` of the weight: what an embedding table gives.
    pub(super) fn row(&self, index: usize, to: &mut [f32]) {
        let (panel, column) = (index / WIDTH, index % WIDTH);
        match &self.panels {
            Panels::Whole(panels) => {
                for (to, line) in to.iter_mut().zip(&panels[panel]) {
                    *to = line.0[column];
                }
            }
            Panels::Half(panels) => {
                for (to, line) in to.iter_mut().zip(&panels[panel]) {
                    *to = widened(line.0[column]);
                }
            }
        }
    }

    /// `y = x w^T` for rows `x` of `in` numbers; `y` becomes rows of `out` numbers.
    pub(super) fn product(&self, x: &[f32], y: &mut Vec<f32>) {
        let rows = x.len() / self.inputs.max(1);
        y.resize(rows * self.outputs, 0.0);
        if y.is_empty() {
            return;
        }
        let panels = self.outputs.div_ceil(WIDTH);
        let at_once = panels.div_ceil(LEAST_TASKS).min(MOST_PANELS);
        let mut tasks: Vec<Vec<&mut [f32]>> = (0..panels.div_ceil(at_once))
            .map(|_| Vec::with_capacity(rows))
            .collect();
        for row in y.chunks_exact_mut(self.outputs) {
            let pieces = row.chunks_mut(at_once * WIDTH);
            for (task, piece) in tasks.iter_mut().zip(pieces) {
                task.push(piece);
            }
        }
        tasks.into_par_iter().enumerate().for_each(|(task, y)| {
            vectorized(Strip {
                weight: self,
                first: task * at_once,
                x,
                y,
            });
        });
    }
}

/// A product is cut into so many tasks at least, where it has so many panels.
const LEAST_TASKS: usize = 16;

/// Panels of one task at most.
const MOST_PANELS: usize = 8;

/// Panels of [`WIDTH`] rows, each written by one thread into memory of its own.
fn pack<L: Copy + Send + Sync, X: Copy + Sync>(
    rows: &[&[X]],
    inputs: usize,
    zero: L,
    set: impl Fn(&mut L, usize, X) + Sync,
) -> Vec<Vec<L>> {
    rows.par_chunks(WIDTH)
        .map(|rows| {
            let mut panel = vec![zero; inputs];
            for (j, row) in rows.iter().enumerate() {
                for (line, x) in panel.iter_mut().zip(*row) {
                    set(line, j, *x);
                }
            }
            panel
        })
        .collect()
}

#[inline(always)]
fn widened(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// Some panels of a product: `y` are the pieces of its rows.
struct Strip<'a> {
    weight: &'a Packed,
    first: usize,
    x: &'a [f32],
    y: Vec<&'a mut [f32]>,
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            weight,
            first,
            x,
            mut y,
        } = self;
        let depth = weight.inputs;
        let width = y.first().map_or(0, |piece| piece.len());
        let mut wide = match weight.panels {
            Panels::Whole(_) => Vec::new(),
            Panels::Half(_) => vec![Line::ZERO; depth],
        };
        for (index, start) in (first..).zip((0..width).step_by(WIDTH)) {
            let panel = match &weight.panels {
                Panels::Whole(panels) => panels[index].as_slice(),
                Panels::Half(panels) => {
                    for (wide, half) in wide.iter_mut().zip(&panels[index]) {
                        for (wide, half) in wide.0.iter_mut().zip(&half.0) {
                            *wide = widened(*half);
                        }
                    }
                    wide.as_slice()
                }
            };
            let end = (start + WIDTH).min(width);
            let mut rows = y.iter_mut();
            times_panel(
                simd,
                x.chunks_exact(depth),
                panel,
                |_| [0.0; WIDTH],
                |_, sums| {
                    if let Some(row) = rows.next() {
                        row[start..end].copy_from_slice(&sums[..end - start]);
                    }
                },
            );
        }
    }
}

/// Rows that are multiplied at once: as many sums as the registers hold.
const fn rows_at_once<S: Simd>() -> usize {
    if S::F32_LANES >= 16 { 12 } else { 6 }
}

/// For each row, in their order: `begin(row) + row * panel`, handed to `done`.
#[inline(always)]
pub(super) fn times_panel<'a, S: Simd>(
    simd: S,
    mut rows: impl ExactSizeIterator<Item = &'a [f32]>,
    panel: &[Line],
    mut begin: impl FnMut(usize) -> [f32; WIDTH],
    mut done: impl FnMut(usize, &[f32; WIDTH]),
) {
    let mut at = 0;
    macro_rules! some {
        ($count:literal) => {{
            let taken: [&[f32]; $count] =
                std::array::from_fn(|_| rows.next().map_or(&[][..], |row| &row[..panel.len()]));
            let mut sums: [[f32; WIDTH]; $count] = std::array::from_fn(|r| begin(at + r));
            tile::<S, $count>(simd, taken, panel, &mut sums);
            for (r, sums) in sums.iter().enumerate() {
                done(at + r, sums);
            }
            at += $count;
        }};
    }
    loop {
        match rows.len().min(rows_at_once::<S>()) {
            0 => return,
            1 => some!(1),
            2 => some!(2),
            3 => some!(3),
            4 => some!(4),
            5 => some!(5),
            6 | 7 => some!(6),
            8 | 9 => some!(8),
            10 | 11 => some!(10),
            _ => some!(12),
        }
    }
}

/// `sums[r] += sum over k of rows[r][k] * panel[k]`
#[inline(always)]
fn tile<S: Simd, const R: usize>(
    simd: S,
    rows: [&[f32]; R],
    panel: &[Line],
    sums: &mut [[f32; WIDTH]; R],
) {
    let depth = panel.len();
    if rows.iter().any(|row| row.len() != depth) {
        return;
    }
    for start in (0..WIDTH).step_by(2 * S::F32_LANES) {
        let mut pairs: [[S::f32s; 2]; R] =
            std::array::from_fn(|r| pair::<S>(&sums[r][start..start + 2 * S::F32_LANES]));
        for (k, line) in panel.iter().enumerate() {
            let line = pair::<S>(&line.0[start..start + 2 * S::F32_LANES]);
            for r in 0..R {
                let x = simd.splat_f32s(rows[r][k]);
                pairs[r][0] = simd.mul_add_f32s(x, line[0], pairs[r][0]);
                pairs[r][1] = simd.mul_add_f32s(x, line[1], pairs[r][1]);
            }
        }
        for (sums, pair) in sums.iter_mut().zip(&pairs) {
            let pair: &[f32] = pulp::bytemuck::cast_slice(pair);
            sums[start..start + 2 * S::F32_LANES].copy_from_slice(pair);
        }
    }
}

/// The two vectors of a row.
#[inline(always)]
fn pair<S: Simd>(row: &[f32]) -> [S::f32s; 2] {
    let (vectors, _) = S::as_simd_f32s(row);
    [vectors[0], vectors[1]]
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

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
            let mut stored = vec![Packed::of_floats(&floats, 40)];
            if half {
                let bytes = w
                    .iter()
                    .flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes());
                stored.push(Packed::of_halves(&bytes.collect::<Vec<u8>>(), 40));
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
