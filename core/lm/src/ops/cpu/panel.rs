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
            0 => break,
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

/// Memory that is read next: pieces at one distance from each other. It is asked for bit by bit while something is multiplied, so that
/// neither waits for the other.
#[derive(Clone, Copy)]
pub(crate) struct Next {
    place: *const i8,
    bytes: usize,
    /// A piece takes two to the power of it bytes.
    piece: u32,
    distance: usize,
}

impl Next {
    /// What something takes in memory.
    pub(crate) fn of<T>(memory: &[T]) -> Self {
        Self {
            place: memory.as_ptr().cast(),
            bytes: size_of_val(memory),
            piece: usize::BITS - 1,
            distance: 0,
        }
    }

    /// The first `width` numbers, or some more, of each of `count` rows of `stride` numbers.
    pub(super) fn of_rows<T>(rows: &[T], stride: usize, (count, width): (usize, usize)) -> Self {
        let piece = (width * size_of::<T>()).next_power_of_two();
        Self {
            place: rows.as_ptr().cast(),
            bytes: piece * count,
            piece: piece.ilog2(),
            distance: stride * size_of::<T>(),
        }
    }

    /// To be asked for in so many steps.
    pub(super) fn over(self, steps: usize) -> Ahead {
        Ahead {
            next: self,
            at: 0,
            step: self.bytes / steps.max(1),
        }
    }
}

/// How far what is read next was asked for.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    next: Next,
    at: usize,
    step: usize,
}

impl Ahead {
    /// Behind so many steps.
    #[inline(always)]
    pub(super) fn behind(self, steps: usize) -> Self {
        Self {
            at: self.at + steps * self.step,
            ..self
        }
    }

    /// Has the second cache fetch what belongs to a step. Nothing is read.
    #[inline(always)]
    pub(super) fn ask(self, step: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::core_arch::x86::Sse::try_new() {
            let Self { next, at, .. } = self;
            let at = at + step * self.step;
            let (piece, within) = (at >> next.piece, at & ((1 << next.piece) - 1));
            let place = next.place.wrapping_add(piece * next.distance + within);
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
    let mut ahead = next.over(tiles * panel.len());
    let mut at = 0;
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
                    (panel, ahead),
                    &mut sums,
                );
            }
            for (r, sums) in sums.iter().enumerate() {
                done(at + r, sums);
            }
            at += $count;
            ahead = ahead.behind(panel.len());
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

/// `sums[row] += row * panel` for each row, in the first `columns`, or some more. The panel is no longer than a block. Gives how far what
/// is read next was asked for.
#[inline(always)]
pub(super) fn add_blocks<S: Simd>(
    simd: S,
    (rows, panel, columns): (&[Block], &[Line], usize),
    sums: &mut [Line],
    mut ahead: Ahead,
) -> Ahead {
    let panel = &panel[..panel.len().min(DEPTH)];
    for start in (0..columns).step_by(2 * S::F32_LANES) {
        let mut at = 0;
        macro_rules! some {
            ($count:literal) => {{
                let some = at..at + $count;
                let rows = rows[some.clone()].first_chunk();
                if let (Some(rows), Some(sums)) = (rows, sums[some].first_chunk_mut()) {
                    add_tile::<S, $count>(simd, (rows, panel), sums, start, ahead);
                }
                ahead = ahead.behind(panel.len());
                at += $count;
            }};
        }
        loop {
            some_of!((rows.len() - at), some);
        }
    }
    ahead
}

/// Steps of [`add_blocks`].
pub(super) const fn steps<S: Simd>((rows, depth, columns): (usize, usize, usize)) -> usize {
    // Of the rows that are left, six or more may take two tiles.
    let tiles = rows.div_ceil(rows_at_once::<S>());
    tiles * columns.div_ceil(2 * S::F32_LANES) * depth
}

/// One tile of [`add_blocks`], in two vectors of columns. The sums wait in memory and not in registers, where some would be spilled.
#[inline(always)]
fn add_tile<S: Simd, const R: usize>(
    simd: S,
    (rows, panel): (&[Block; R], &[Line]),
    sums: &mut [Line; R],
    start: usize,
    ahead: Ahead,
) {
    let mut chains = [[simd.splat_f32s(0.0); 2]; R];
    for (chains, sums) in chains.iter_mut().zip(sums.iter()) {
        *chains = vectors::<S, 2>(simd, &sums.0[start..]);
    }
    for (k, line) in panel.iter().enumerate() {
        ahead.ask(k);
        let line = vectors::<S, 2>(simd, &line.0[start..]);
        for (row, chains) in rows.iter().zip(&mut chains) {
            let x = simd.splat_f32s(row[k]);
            for v in 0..2 {
                chains[v] = simd.mul_add_f32s(x, line[v], chains[v]);
            }
        }
    }
    for (chains, sums) in chains.iter().zip(sums) {
        let chains: &[f32] = pulp::bytemuck::cast_slice(chains);
        sums.0[start..start + 2 * S::F32_LANES].copy_from_slice(chains);
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
