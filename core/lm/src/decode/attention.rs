//! Attention of some tokens to the pages of their sequences. What a token gets depends on the tokens before it alone: what a block
//! of tokens computes beyond has the weight zero.

use std::cell::Cell;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::cache::Cache;
use super::rows::{squeeze, sum};
use crate::ops::kernels::{Next, WIDTH, exp, times_panel, vectorized};

/// Tokens of one sequence that stand one behind the other in a step.
#[derive(Debug, Clone)]
pub(super) struct Span {
    /// Rows of the step.
    pub(super) rows: std::ops::Range<usize>,
    /// Position of the first.
    pub(super) position: usize,
    /// Pages of the sequence.
    pub(super) pages: Vec<usize>,
}

/// How a layer attends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    /// Query heads that read one key head.
    pub(super) group: usize,
    /// Scores are multiplied by it,
    pub(super) scale: f32,
    /// squeezed to `cap * tanh(x / cap)`,
    pub(super) softcap: Option<f32>,
    /// and a position sees so many, itself among them.
    pub(super) window: Option<usize>,
}

/// Tokens of one task.
const BLOCK: usize = 16;

/// Mixes values for queries that begin rows of `stride` numbers; `mixed` becomes rows of `query heads * width`.
pub(super) fn attend(
    cache: &Cache,
    layer: usize,
    heads: Heads,
    spans: &[Span],
    (queries, stride): (&[f32], usize),
    mixed: &mut Vec<f32>,
) {
    let (key_heads, width) = (cache.shape().heads, cache.shape().width);
    let of_key_head = heads.group * width;
    let rows = spans.iter().map(|span| span.rows.len()).sum::<usize>();
    mixed.resize(rows * key_heads * of_key_head, 0.0);
    let mut tasks: Vec<Task> = Vec::new();
    let mut outputs = mixed.chunks_exact_mut(key_heads * of_key_head);
    for span in spans {
        for start in (0..span.rows.len()).step_by(BLOCK) {
            let count = BLOCK.min(span.rows.len() - start);
            let first = tasks.len();
            tasks.extend((0..key_heads).map(|head| Task {
                cache,
                place: (layer, head),
                heads,
                pages: &span.pages,
                position: span.position + start,
                queries: &queries[(span.rows.start + start) * stride..],
                stride,
                outputs: Vec::with_capacity(count),
            }));
            for row in outputs.by_ref().take(count) {
                for (task, output) in tasks[first..]
                    .iter_mut()
                    .zip(row.chunks_exact_mut(of_key_head))
                {
                    task.outputs.push(output);
                }
            }
        }
    }
    tasks.into_par_iter().for_each(vectorized);
}

/// A block of tokens and the query heads that read one key head.
struct Task<'a> {
    cache: &'a Cache,
    place: (usize, usize),
    heads: Heads,
    pages: &'a [usize],
    position: usize,
    queries: &'a [f32],
    stride: usize,
    outputs: Vec<&'a mut [f32]>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            cache,
            place: (layer, head),
            heads,
            pages,
            position,
            queries,
            stride,
            mut outputs,
        } = self;
        let (width, group) = (cache.shape().width, heads.group);
        let count = outputs.len();
        let seen = |token: usize| {
            let end = position + token + 1;
            end.saturating_sub(heads.window.unwrap_or(end))..end
        };
        // Whole pages that no token of the block sees are left out.
        let first = seen(0).start / WIDTH;
        let pages = &pages[first..(position + count).div_ceil(WIDTH)];
        let keys = pages.len() * WIDTH;

        let mut scaled = Vec::with_capacity(count * group * width);
        for row in queries.chunks(stride).take(count) {
            let row = &row[head * group * width..][..group * width];
            scaled.extend(row.iter().map(|q| heads.scale * q));
        }
        let mut scores = vec![0.0_f32; count * group * keys];
        for (number, &page) in pages.iter().enumerate() {
            let (columns, values) = cache.head(page, layer, head);
            let next = pages.get(number + 1);
            let next = next.map_or(values, |&next| cache.head(next, layer, head).0);
            times_panel(
                simd,
                scaled.chunks_exact(width),
                (columns, Next::of(next)),
                |_| [0.0; WIDTH],
                |row, sums| {
                    scores[row * keys + number * WIDTH..][..WIDTH].copy_from_slice(sums);
                },
            );
        }
        let mut inverse = Vec::with_capacity(count * group);
        for (row, scores) in scores.chunks_exact_mut(keys).enumerate() {
            let seen = seen(row / group);
            let seen = seen.start - first * WIDTH..seen.end - first * WIDTH;
            if let Some(cap) = heads.softcap {
                squeeze(&mut scores[seen.clone()], cap);
            }
            scores[..seen.start].fill(f32::NEG_INFINITY);
            scores[seen.end..].fill(f32::NEG_INFINITY);
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for x in scores.iter_mut() {
                *x = exp(*x - highest);
            }
            inverse.push(1.0 / sum(scores));
        }
        for panel in 0..cache.shape().panels() {
            let columns = panel * WIDTH..width.min((panel + 1) * WIDTH);
            let mixed = vec![Cell::new([0.0_f32; WIDTH]); count * group];
            for (number, &page) in pages.iter().enumerate() {
                let values = |page| &cache.head(page, layer, head).1[panel * WIDTH..][..WIDTH];
                let next = values(*pages.get(number + 1).unwrap_or(&page));
                let weights = scores
                    .chunks_exact(keys)
                    .map(|row| &row[number * WIDTH..][..WIDTH]);
                times_panel(
                    simd,
                    weights,
                    (values(page), Next::of(next)),
                    |row| mixed[row].get(),
                    |row, sums| mixed[row].set(*sums),
                );
            }
            for (row, mixed) in mixed.iter().enumerate() {
                let output = &mut outputs[row / group][row % group * width..][columns.clone()];
                for (to, from) in output.iter_mut().zip(mixed.get()) {
                    *to = inverse[row] * from;
                }
            }
        }
    }
}
