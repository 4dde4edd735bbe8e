//! Small matrix products: attention's blocks and the narrow factors of a low-rank update. Large products go to the
//! tensor library.

use rayon::prelude::*;

use super::{rows_per_piece, simd};

/// Columns of a tile: two vectors of eight.
pub(in crate::ops) const TILE: usize = 16;

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

/// `c = a b`, or `c += a b`: `c` is `m` x `n` with rows `c_stride` apart, `a` is `m` x `k`. The rows of `b` hold whole
/// tiles: `padded(n)` elements.
#[inline(always)]
pub(in crate::ops) fn multiply<const ADD: bool>(
    c: &mut [f32],
    c_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    (m, n, k): (usize, usize, usize),
) {
    each_tile(
        m,
        n,
        #[inline(always)]
        |i, rows, j| {
            macro_rules! tile {
                ($rows:literal) => {{
                    let a: [&[f32]; $rows] =
                        std::array::from_fn(|r| &a.data[(i + r) * a.stride..][..k]);
                    let mut sums = [[0f32; TILE]; $rows];
                    for step in 0..k {
                        let b = &b.data[step * b.stride + j..][..TILE];
                        for r in 0..$rows {
                            for l in 0..TILE {
                                sums[r][l] = a[r][step].mul_add(b[l], sums[r][l]);
                            }
                        }
                    }
                    store::<$rows, ADD>(&sums, &mut c[i * c_stride + j..], c_stride, n - j);
                }};
            }
            match rows {
                6 => tile!(6),
                5 => tile!(5),
                4 => tile!(4),
                3 => tile!(3),
                2 => tile!(2),
                _ => tile!(1),
            }
        },
    );
}

/// `c += a^T b` for `a` of `k` rows and `m` columns; the rows of `b` hold whole tiles.
#[inline(always)]
pub(in crate::ops) fn add_transposed_product(
    c: &mut [f32],
    c_stride: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    (m, n, k): (usize, usize, usize),
) {
    each_tile(
        m,
        n,
        #[inline(always)]
        |i, rows, j| {
            macro_rules! tile {
                ($rows:literal) => {{
                    let mut sums = [[0f32; TILE]; $rows];
                    for step in 0..k {
                        let a = &a.data[step * a.stride + i..][..$rows];
                        let b = &b.data[step * b.stride + j..][..TILE];
                        for r in 0..$rows {
                            for l in 0..TILE {
                                sums[r][l] = a[r].mul_add(b[l], sums[r][l]);
                            }
                        }
                    }
                    store::<$rows, true>(&sums, &mut c[i * c_stride + j..], c_stride, n - j);
                }};
            }
            match rows {
                6 => tile!(6),
                5 => tile!(5),
                4 => tile!(4),
                3 => tile!(3),
                2 => tile!(2),
                _ => tile!(1),
            }
        },
    );
}

/// Calls `tile(first row, rows, first column)` for tiles of up to six rows that cover `m` x `n`.
#[inline(always)]
fn each_tile(m: usize, n: usize, mut tile: impl FnMut(usize, usize, usize)) {
    for i in (0..m).step_by(6) {
        for j in (0..n).step_by(TILE) {
            tile(i, (m - i).min(6), j);
        }
    }
}

#[inline(always)]
fn store<const ROWS: usize, const ADD: bool>(
    sums: &[[f32; TILE]; ROWS],
    c: &mut [f32],
    c_stride: usize,
    columns: usize,
) {
    for (r, sums) in sums.iter().enumerate() {
        let c = &mut c[r * c_stride..];
        let whole: Option<&mut [f32; TILE]> = c.first_chunk_mut();
        match whole {
            Some(c) if columns >= TILE => {
                for l in 0..TILE {
                    c[l] = if ADD { c[l] + sums[l] } else { sums[l] };
                }
            }
            _ => {
                for (c, sum) in c.iter_mut().zip(sums).take(columns) {
                    *c = if ADD { *c + sum } else { *sum };
                }
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

/// `matrix` of rows of `columns` elements, its rows padded to whole tiles.
pub(in crate::ops) fn padded_rows(matrix: &[f32], columns: usize) -> Vec<f32> {
    let stride = padded(columns);
    let mut result = vec![0.0; matrix.len() / columns.max(1) * stride];
    for (to, from) in result
        .chunks_exact_mut(stride)
        .zip(matrix.chunks_exact(columns))
    {
        to[..columns].copy_from_slice(from);
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
            simd(
                #[inline(always)]
                || {
                    let m = y.len() / n;
                    let u = Matrix { data: u, stride: k };
                    let b = Matrix {
                        data: b,
                        stride: padded(n),
                    };
                    multiply::<true>(y, n, u, b, (m, n, k));
                    if let Some(bias) = bias {
                        add_bias(y, bias);
                    }
                },
            );
        });
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

    #[test]
    fn products_of_every_remainder() {
        for (m, n, k) in [(1, 1, 1), (6, 16, 4), (7, 17, 5), (13, 40, 16), (11, 33, 3)] {
            let (a, b) = (numbers(m * k), numbers(k * n));
            let expected =
                |i: usize, j: usize| -> f32 { (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum() };
            let b_tiles = padded_rows(&b, n);
            let b = Matrix {
                data: &b_tiles,
                stride: padded(n),
            };
            let mut c = vec![7.0; m * n];
            let a_rows = Matrix {
                data: &a,
                stride: k,
            };
            multiply::<false>(&mut c, n, a_rows, b, (m, n, k));
            let mut sum = c.clone();
            multiply::<true>(&mut sum, n, a_rows, b, (m, n, k));
            let a_columns = transposed(&a, (m, k), 1.0);
            let a_columns = Matrix {
                data: &a_columns,
                stride: padded(m),
            };
            add_transposed_product(&mut sum, n, a_columns, b, (m, n, k));
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
