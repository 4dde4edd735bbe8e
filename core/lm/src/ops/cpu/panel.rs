//! Rows times a panel: the innermost loop of every large product.
//!
//! An element of a product is one chain of fused multiplications and additions in the order of the inner dimension. So it is the
//! same bytes whatever rows and panels stand beside it, and with vectors of any width.

use pulp::Simd;

/// Columns of a panel.
pub(crate) const WIDTH: usize = 32;

/// A row of a panel, aligned for the widest vectors.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) [f32; WIDTH]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; WIDTH]);
}

/// Rows that are multiplied at once: as many sums as the registers hold.
const fn rows_at_once<S: Simd>() -> usize {
    if S::F32_LANES >= 16 { 12 } else { 6 }
}

/// Does something with as many of `left` rows as go at once.
macro_rules! some_of {
    ($left:expr, $some:ident) => {
        match $left.min(rows_at_once::<S>()) {
            0 => return,
            1 => $some!(1),
            2 => $some!(2),
            3 => $some!(3),
            4 => $some!(4),
            5 => $some!(5),
            6 | 7 => $some!(6),
            8 | 9 => $some!(8),
            10 | 11 => $some!(10),
            _ => $some!(12),
        }
    };
}

/// Memory that is read behind a panel. It is asked for bit by bit while the panel is multiplied, so that neither waits for the other.
#[derive(Clone, Copy)]
pub(crate) struct Next {
    place: *const i8,
    bytes: usize,
}

impl Next {
    /// What something takes in memory.
    pub(crate) fn of<T>(memory: &[T]) -> Self {
        Self {
            place: memory.as_ptr().cast(),
            bytes: size_of_val(memory),
        }
    }

    /// The part at some place of `parts`, which goes on by as many bytes with each of `lines`.
    fn part(self, at: usize, parts: usize, lines: usize) -> Ahead {
        let step = self.bytes / (parts * lines).max(1);
        Ahead {
            place: self.place.wrapping_add(at * lines * step),
            step,
        }
    }
}

/// A part of what is read next.
#[derive(Clone, Copy)]
struct Ahead {
    place: *const i8,
    step: usize,
}

impl Ahead {
    /// Has the second cache fetch what belongs to a line. Nothing is read.
    #[inline(always)]
    fn ask(self, line: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::core_arch::x86::Sse::try_new() {
            let place = self.place.wrapping_add(line * self.step);
            simd._mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(place);
        }
    }
}

/// For each row, in their order: `begin(row) + row * panel`, handed to `done`. What is read `next` is fetched meanwhile.
#[inline(always)]
pub(crate) fn times_panel<'a, S: Simd>(
    simd: S,
    mut rows: impl ExactSizeIterator<Item = &'a [f32]>,
    (panel, next): (&[Line], Next),
    mut begin: impl FnMut(usize) -> [f32; WIDTH],
    mut done: impl FnMut(usize, &[f32; WIDTH]),
) {
    let tiles = rows.len().div_ceil(rows_at_once::<S>());
    let mut at = 0;
    let mut number = 0;
    macro_rules! some {
        ($count:literal) => {{
            let mut taken: [&[f32]; $count] = [&[]; $count];
            let mut sums = [[0.0; WIDTH]; $count];
            for (r, (taken, sums)) in taken.iter_mut().zip(&mut sums).enumerate() {
                *taken = rows.next().map_or(&[][..], |row| &row[..panel.len()]);
                *sums = begin(at + r);
            }
            if taken.iter().all(|row| row.len() == panel.len()) {
                tile::<S, $count>(
                    simd,
                    #[inline(always)]
                    |r, k| taken[r][k],
                    (panel, next.part(number, tiles, panel.len())),
                    &mut sums,
                );
            }
            for (r, sums) in sums.iter().enumerate() {
                done(at + r, sums);
            }
            at += $count;
            number += 1;
        }};
    }
    loop {
        some_of!(rows.len(), some);
    }
}

/// Numbers of a [`Block`].
pub(crate) const DEPTH: usize = 256;

/// A piece of a row: blocks of several rows lie at one distance from each other, which takes fewer registers.
pub(crate) type Block = [f32; DEPTH];

/// `y[row] = row * panel` for each row, or what it holds and that once the sums have `begun`: in as many columns of `y` as there are
/// from `first` on. The panel is no longer than a block.
#[inline(always)]
pub(super) fn times_blocks<S: Simd>(
    simd: S,
    (rows, panel): (&[Block], &[Line]),
    y: &mut [&mut [f32]],
    first: usize,
    begun: bool,
) {
    let panel = &panel[..panel.len().min(DEPTH)];
    let mut at = 0;
    macro_rules! some {
        ($count:literal) => {{
            let some = at..at + $count;
            if let Some(rows) = rows[some.clone()].first_chunk() {
                tile_of::<S, $count>(simd, (rows, panel), &mut y[some], first, begun);
            }
            at += $count;
        }};
    }
    loop {
        some_of!((rows.len() - at), some);
    }
}

/// One tile of [`times_blocks`]. The sums wait in `y` and not in registers, where half of them would be spilled.
#[inline(always)]
fn tile_of<S: Simd, const R: usize>(
    simd: S,
    (rows, panel): (&[Block; R], &[Line]),
    y: &mut [&mut [f32]],
    first: usize,
    begun: bool,
) {
    let width = 2 * S::F32_LANES;
    for start in (0..WIDTH).step_by(width) {
        let mut chains = [[simd.splat_f32s(0.0); 2]; R];
        if begun {
            for (chains, y) in chains.iter_mut().zip(y.iter()) {
                let y = y.get(first + start..).unwrap_or_default();
                let mut padded = [0.0; WIDTH];
                let whole = match y.len() < width {
                    true => {
                        padded[..y.len()].copy_from_slice(y);
                        &padded[..]
                    }
                    false => y,
                };
                *chains = vectors::<S, 2>(simd, whole);
            }
        }
        for (k, line) in panel.iter().enumerate() {
            let line = vectors::<S, 2>(simd, &line.0[start..]);
            for (row, chains) in rows.iter().zip(&mut chains) {
                let x = simd.splat_f32s(row[k]);
                for v in 0..2 {
                    chains[v] = simd.mul_add_f32s(x, line[v], chains[v]);
                }
            }
        }
        for (chains, y) in chains.iter().zip(y.iter_mut()) {
            let chains: &[f32] = pulp::bytemuck::cast_slice(chains);
            let y = y.get_mut(first + start..).unwrap_or_default();
            match y.get_mut(..width) {
                Some(y) => y.copy_from_slice(chains),
                None => y.copy_from_slice(&chains[..y.len()]),
            }
        }
    }
}

/// `sums[r] += sum over k of number(r, k) * panel[k]`
#[inline(always)]
fn tile<S: Simd, const R: usize>(
    simd: S,
    number: impl Fn(usize, usize) -> f32,
    (panel, ahead): (&[Line], Ahead),
    sums: &mut [[f32; WIDTH]; R],
) {
    // One or two rows have few chains, each of which waits for itself: more columns at a time, where vectors are narrow.
    match R <= 2 && S::F32_LANES <= 8 {
        true => columns::<S, R, 4>(simd, number, (panel, ahead), sums),
        false => columns::<S, R, 2>(simd, number, (panel, ahead), sums),
    }
}

/// The same, as many vectors of columns at a time. The chains stay in registers as long as nothing takes their address: they are not
/// made by a function that may not be inlined.
#[inline(always)]
fn columns<S: Simd, const R: usize, const V: usize>(
    simd: S,
    number: impl Fn(usize, usize) -> f32,
    (panel, ahead): (&[Line], Ahead),
    sums: &mut [[f32; WIDTH]; R],
) {
    for start in (0..WIDTH).step_by(V * S::F32_LANES) {
        let columns = start..start + V * S::F32_LANES;
        // The sums of the other columns wait in memory: in registers they would take the place of these.
        let sums = match V * S::F32_LANES < WIDTH {
            true => std::hint::black_box(&mut *sums),
            false => &mut *sums,
        };
        let mut chains = [[simd.splat_f32s(0.0); V]; R];
        for (chains, sums) in chains.iter_mut().zip(sums.iter()) {
            *chains = vectors::<S, V>(simd, &sums[columns.clone()]);
        }
        for (k, line) in panel.iter().enumerate() {
            // One or two rows read their panel as fast as memory gives it, and processors go on behind it by themselves.
            if R > 2 {
                ahead.ask(k);
            }
            let line = vectors::<S, V>(simd, &line.0[columns.clone()]);
            for (r, chains) in chains.iter_mut().enumerate() {
                let x = simd.splat_f32s(number(r, k));
                for v in 0..V {
                    chains[v] = simd.mul_add_f32s(x, line[v], chains[v]);
                }
            }
        }
        for (sums, chains) in sums.iter_mut().zip(&chains) {
            let chains: &[f32] = pulp::bytemuck::cast_slice(chains);
            sums[columns.clone()].copy_from_slice(chains);
        }
    }
}

/// The first vectors of a row.
#[inline(always)]
pub(super) fn vectors<S: Simd, const V: usize>(simd: S, row: &[f32]) -> [S::f32s; V] {
    let (vectors, _) = S::as_simd_f32s(&row[..V * S::F32_LANES]);
    let mut found = [simd.splat_f32s(0.0); V];
    for (found, vector) in found.iter_mut().zip(vectors) {
        *found = *vector;
    }
    found
}
