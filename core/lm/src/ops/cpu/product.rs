//! Small matrix products: attention's blocks and the narrow factors of a low-rank update. Large products go to the
//! tensor library.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::panel::vectors;
use super::{rows_per_piece, vectorized};

/// Columns of a tile: two vectors of sixteen.
pub(in crate::ops) const TILE: usize = 32;

/// `n` rounded up to whole tiles.
pub(in crate::ops) fn padded(n: usize) -> usize {
    n.next_multiple_of(TILE)
}

/// A matrix within a slice: element `(i, j)` is at `i * stride + j`.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Matrix<'a> {
    pub(in crate::ops) data: &'a [f32],
    pub(in crate::ops) stride: usize,
}

impl Matrix<'_> {
    /// Without the rows before this one.
    pub(in crate::ops) fn below(self, row: usize) -> Self {
        Self {
            data: &self.data[row * self.stride..],
            ..self
        }
    }
}

/// `c = a b`, or `c += a b`: `c` is `m` x `n` with rows `c_stride` apart, `a` is `m` x `k`. The rows of `b` hold whole
/// tiles: `padded(n)` elements.
#[inline(always)]
pub(in crate::ops) fn multiply<S: Simd, const ADD: bool>(
    simd: S,
    c: &mut [f32],
    c_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    (m, n, k): (usize, usize, usize),
) {
    // Of few columns more rows at once: as many sums are in the making.
    match n <= S::F32_LANES {
        true => all_rows::<S, 1, ADD>(simd, c, c_stride, a, b, (m, n, k)),
        false => all_rows::<S, 2, ADD>(simd, c, c_stride, a, b, (m, n, k)),
    }
}

/// The same, so many vectors of columns at a time.
#[inline(always)]
fn all_rows<S: Simd, const V: usize, const ADD: bool>(
    simd: S,
    c: &mut [f32],
    c_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    (m, n, k): (usize, usize, usize),
) {
    let mut i = 0;
    while i < m {
        macro_rules! rows {
            ($rows:literal) => {{
                let mut rows: [&[f32]; $rows] = [&[]; $rows];
                for (r, row) in rows.iter_mut().enumerate() {
                    *row = &a.data[(i + r) * a.stride..][..k];
                }
                for j in (0..n).step_by(V * S::F32_LANES) {
                    let mut sums = [[simd.splat_f32s(0.0); V]; $rows];
                    for step in 0..k {
                        let b = vectors::<S, V>(simd, &b.data[step * b.stride + j..]);
                        for r in 0..$rows {
                            let a = simd.splat_f32s(rows[r][step]);
                            for v in 0..V {
                                sums[r][v] = simd.mul_add_f32s(a, b[v], sums[r][v]);
                            }
                        }
                    }
                    store::<S, $rows, V, ADD>(
                        simd,
                        sums,
                        &mut c[i * c_stride + j..],
                        c_stride,
                        n - j,
                    );
                }
                i += $rows;
            }};
        }
        match m - i {
            1 => rows!(1),
            2 => rows!(2),
            3 => rows!(3),
            4 => rows!(4),
            5 => rows!(5),
            12.. if V == 1 => rows!(12),
            _ => rows!(6),
        }
    }
}

/// `c += a^T b` for `a` of `k` rows and `m` columns, of which row `i` is zero behind column `seen + i`; the rows of `b` hold whole tiles.
#[inline(always)]
pub(in crate::ops) fn add_transposed_product<S: Simd>(
    simd: S,
    c: &mut [f32],
    c_stride: usize,
    (a, seen): (Matrix<'_>, usize),
    b: Matrix<'_>,
    (m, n, k): (usize, usize, usize),
) {
    for i in (0..m).step_by(6) {
        let first = i.saturating_sub(seen);
        macro_rules! rows {
            ($rows:literal) => {{
                for j in (0..n).step_by(2 * S::F32_LANES) {
                    let mut sums = [[simd.splat_f32s(0.0); 2]; $rows];
                    for step in first..k {
                        let a = &a.data[step * a.stride + i..][..$rows];
                        let b = vectors::<S, 2>(simd, &b.data[step * b.stride + j..]);
                        for r in 0..$rows {
                            let a = simd.splat_f32s(a[r]);
                            sums[r][0] = simd.mul_add_f32s(a, b[0], sums[r][0]);
                            sums[r][1] = simd.mul_add_f32s(a, b[1], sums[r][1]);
                        }
                    }
                    store::<S, $rows, 2, true>(
                        simd,
                        sums,
                        &mut c[i * c_stride + j..],
                        c_stride,
                        n - j,
                    );
                }
            }};
        }
        match m - i {
            1 => rows!(1),
            2 => rows!(2),
            3 => rows!(3),
            4 => rows!(4),
            5 => rows!(5),
            _ => rows!(6),
        }
    }
}

#[inline(always)]
fn store<S: Simd, const ROWS: usize, const V: usize, const ADD: bool>(
    simd: S,
    sums: [[S::f32s; V]; ROWS],
    c: &mut [f32],
    c_stride: usize,
    columns: usize,
) {
    let tile = V * S::F32_LANES;
    for (r, sums) in sums.into_iter().enumerate() {
        let c = &mut c[r * c_stride..];
        if columns >= tile {
            let (vectors, _) = S::as_mut_simd_f32s(&mut c[..tile]);
            for (c, sum) in vectors.iter_mut().zip(sums) {
                *c = if ADD { simd.add_f32s(*c, sum) } else { sum };
            }
        } else {
            let sums: &[f32] = pulp::bytemuck::cast_slice(&sums);
            for (c, sum) in c[..columns].iter_mut().zip(sums) {
                *c = if ADD { *c + sum } else { *sum };
            }
        }
    }
}

/// `factor * transpose(matrix)` of a `rows` x `columns` matrix, its rows padded to whole tiles.
pub(in crate::ops) fn transposed(
    matrix: &[f32],
    (rows, columns): (usize, usize),
    factor: f32,
) -> Vec<f32> {
    let stride = padded(rows);
    let mut result = vec![0.0; columns * stride];
    for (i, row) in matrix.chunks_exact(columns).enumerate() {
        for (j, x) in row.iter().enumerate() {
            result[j * stride + i] = factor * x;
        }
    }
    result
}

/// `factor * matrix` for rows of `columns` elements, its rows padded to whole tiles.
pub(in crate::ops) fn padded_rows(matrix: &[f32], columns: usize, factor: f32) -> Vec<f32> {
    let stride = padded(columns);
    let mut result = vec![0.0; matrix.len() / columns.max(1) * stride];
    for (to, from) in result
        .chunks_exact_mut(stride)
        .zip(matrix.chunks_exact(columns))
    {
        for (to, from) in to.iter_mut().zip(from) {
            *to = factor * from;
        }
    }
    result
}

/// `y += u b` for `y` of rows of `n` elements, narrow rows `u` of `k`, and `b` of `k` rows padded to whole tiles; `bias`
/// is added to every row of `y`.
pub(in crate::ops) fn add_narrow_product(
    y: &mut [f32],
    n: usize,
    u: &[f32],
    b: &[f32],
    bias: Option<&[f32]>,
) {
    let rows = rows_per_piece(n);
    let k = b.len() / padded(n).max(1);
    y.par_chunks_mut(rows * n)
        .zip(u.par_chunks(rows * k))
        .for_each(|(y, u)| {
            let u = Matrix { data: u, stride: k };
            let b = Matrix {
                data: b,
                stride: padded(n),
            };
            vectorized(NarrowProduct {
                y,
                n,
                u,
                b,
                k,
                bias,
            });
        });
}

/// One piece of [`add_narrow_product`].
struct NarrowProduct<'a> {
    y: &'a mut [f32],
    n: usize,
    u: Matrix<'a>,
    b: Matrix<'a>,
    k: usize,
    bias: Option<&'a [f32]>,
}

impl WithSimd for NarrowProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            y,
            n,
            u,
            b,
            k,
            bias,
        } = self;
        multiply::<S, true>(simd, y, n, u, b, (y.len() / n, n, k));
        if let Some(bias) = bias {
            add_bias(y, bias);
        }
    }
}

/// `x b` for `x` of rows of `k` elements and a narrow `b` of `k` rows of `n`, padded to whole tiles.
pub(in crate::ops) fn narrow_product(x: &[f32], k: usize, b: &[f32], n: usize) -> Vec<f32> {
    let rows = rows_per_piece(k);
    let mut y = vec![0.0; x.len() / k.max(1) * n];
    y.par_chunks_mut(rows * n)
        .zip(x.par_chunks(rows * k))
        .for_each(|(y, x)| {
            let x = Matrix { data: x, stride: k };
            let b = Matrix {
                data: b,
                stride: padded(n),
            };
            vectorized(ToNarrow { y, x, b, n, k });
        });
    y
}

/// One piece of [`narrow_product`].
struct ToNarrow<'a> {
    y: &'a mut [f32],
    x: Matrix<'a>,
    b: Matrix<'a>,
    n: usize,
    k: usize,
}

impl WithSimd for ToNarrow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { y, x, b, n, k } = self;
        multiply::<S, false>(simd, y, n, x, b, (y.len() / n, n, k));
    }
}

/// Adds `bias` to every row of `y`.
#[inline(always)]
pub(in crate::ops) fn add_bias(y: &mut [f32], bias: &[f32]) {
    for row in y.chunks_exact_mut(bias.len()) {
        for (y, bias) in row.iter_mut().zip(bias) {
            *y += bias;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 % 19) as f32 - 9.0) / 8.0).collect()
    }

    /// `c = a b` and `sum = c + a b + a b`, by all three functions.
    struct Products<'a> {
        c: &'a mut [f32],
        sum: &'a mut [f32],
        operands: [Matrix<'a>; 3],
        sizes: (usize, usize, usize),
    }

    impl WithSimd for Products<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let ([a_rows, a_columns, b], n) = (self.operands, self.sizes.1);
            multiply::<S, false>(simd, self.c, n, a_rows, b, self.sizes);
            self.sum.copy_from_slice(self.c);
            multiply::<S, true>(simd, self.sum, n, a_rows, b, self.sizes);
            add_transposed_product(simd, self.sum, n, (a_columns, usize::MAX), b, self.sizes);
        }
    }

    #[test]
    fn products_of_every_remainder() {
        for (m, n, k) in [
            (1, 1, 1),
            (6, 16, 4),
            (7, 17, 5),
            (13, 40, 16),
            (11, 33, 3),
            (31, 16, 7),
        ] {
            let (a, b) = (numbers(m * k), numbers(k * n));
            let expected =
                |i: usize, j: usize| -> f32 { (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum() };
            let b_tiles = padded_rows(&b, n, 1.0);
            let b = Matrix {
                data: &b_tiles,
                stride: padded(n),
            };
            let a_rows = Matrix {
                data: &a,
                stride: k,
            };
            let a_columns = transposed(&a, (m, k), 1.0);
            let a_columns = Matrix {
                data: &a_columns,
                stride: padded(m),
            };
            let (mut c, mut sum) = (vec![7.0; m * n], vec![0.0; m * n]);
            vectorized(Products {
                c: &mut c,
                sum: &mut sum,
                operands: [a_rows, a_columns, b],
                sizes: (m, n, k),
            });
            let narrow = narrow_product(&a, k, &b_tiles, n);
            assert_eq!(narrow, c, "{m} {n} {k}");
            for i in 0..m {
                for j in 0..n {
                    let expected = expected(i, j);
                    assert!((c[i * n + j] - expected).abs() < 1e-4, "{m} {n} {k}");
                    assert!((sum[i * n + j] - 3.0 * expected).abs() < 1e-4);
                }
            }
        }
    }
}
