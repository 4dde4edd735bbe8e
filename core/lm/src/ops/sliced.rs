//! Attention where there is no kernel of ours: the composition, for some rows and heads at a time, so that the scores of a
//! whole batch are never held together. On the way back each slice is computed again.

use candle_core::{Result, Tensor};

use super::traced::compose_backward;
use super::{Scores, Traced, plain};

/// Scores held at once: a quarter of a gibibyte per copy in `f32`.
pub(super) const SCORES_AT_ONCE: usize = 1 << 26;

/// Consecutive rows of the batch and consecutive key heads.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slice {
    row: usize,
    rows: usize,
    head: usize,
    heads: usize,
}

/// Whole rows where they fit into `limit` scores, else some key heads of one row; by row, then by head.
fn slices(batch: usize, key_heads: usize, scores_per_head: usize, limit: usize) -> Vec<Slice> {
    let heads_at_once = (limit / scores_per_head.max(1)).clamp(1, key_heads);
    let rows_at_once = match heads_at_once == key_heads {
        true => (limit / (scores_per_head * key_heads).max(1)).clamp(1, batch.max(1)),
        false => 1,
    };
    let mut slices = Vec::new();
    for row in (0..batch).step_by(rows_at_once) {
        for head in (0..key_heads).step_by(heads_at_once) {
            slices.push(Slice {
                row,
                rows: rows_at_once.min(batch - row),
                head,
                heads: heads_at_once.min(key_heads - head),
            });
        }
    }
    slices
}

impl Slice {
    /// This part of `[b, t, key heads * per_key_head, d]`.
    fn of(self, tensor: &Tensor, per_key_head: usize) -> Result<Tensor> {
        let heads = (self.head * per_key_head, self.heads * per_key_head);
        tensor
            .narrow(0, self.row, self.rows)?
            .narrow(2, heads.0, heads.1)?
            .contiguous()
    }
}

/// The whole of parts in the order of their slices.
fn assemble(slices: &[Slice], mut parts: Vec<Tensor>) -> Result<Tensor> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let rows = slices
        .chunk_by(|a, b| a.row == b.row)
        .map(|row| Tensor::cat(&parts.drain(..row.len()).collect::<Vec<_>>(), 2))
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&rows, 0)
}

/// `plain::causal_attention` of queries, keys and values, at most `limit` scores at a time.
pub(super) fn causal_attention(
    inputs: &[&Traced; 3],
    scores: Scores,
    segments: Option<&Tensor>,
    limit: usize,
) -> Result<Traced> {
    let tensors = inputs.map(|input| input.tensor().clone());
    let needed = inputs.map(Traced::requires_grad);
    let (b, t, h, _) = tensors[0].dims4()?;
    let key_heads = tensors[1].dim(2)?;
    let group = h / key_heads;
    let slices = slices(b, key_heads, group * t * t, limit);
    let segments = segments.cloned();
    let attend = move |slice: Slice, parts: &[Tensor]| -> Result<Tensor> {
        let segments = match &segments {
            Some(segments) => Some(segments.narrow(0, slice.row, slice.rows)?),
            None => None,
        };
        plain::causal_attention(&parts[0], &parts[1], &parts[2], scores, segments.as_ref())
    };
    let parts = move |slice: Slice| -> Result<Vec<Tensor>> {
        let [q, k, v] = &tensors;
        Ok(vec![slice.of(q, group)?, slice.of(k, 1)?, slice.of(v, 1)?])
    };
    let outputs = slices
        .iter()
        .map(|&slice| attend(slice, &parts(slice)?))
        .collect::<Result<Vec<_>>>()?;
    let output = assemble(&slices, outputs)?;
    Ok(Traced::record(output, inputs, move |gradient| {
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        for &slice in &slices {
            let gradient = slice.of(&gradient, group)?;
            let function = |inputs: &[Tensor]| attend(slice, inputs);
            let of_slice = compose_backward(parts(slice)?, &needed, &gradient, function)?;
            for (found, gradient) in found.iter_mut().zip(of_slice) {
                found.extend(gradient);
            }
        }
        let whole = |parts: Vec<Tensor>| match parts.is_empty() {
            true => Ok(None),
            false => assemble(&slices, parts).map(Some),
        };
        found.into_iter().map(whole).collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_every_row_and_head_once() {
        for (b, heads, limit) in [
            (3, 4, 100),
            (5, 2, 45),
            (2, 3, 1),
            (1, 1, 1000),
            (4, 4, 160),
        ] {
            let slices = slices(b, heads, 10, limit);
            let mut seen = vec![0; b * heads];
            for slice in &slices {
                assert!(slice.rows * slice.heads * 10 <= limit.max(10));
                for row in slice.row..slice.row + slice.rows {
                    for head in slice.head..slice.head + slice.heads {
                        seen[row * heads + head] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{slices:?}");
        }
    }
}
