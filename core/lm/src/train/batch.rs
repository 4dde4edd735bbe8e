//! Which rows go into which step, and how they become tensors.

use candle_core::Tensor;
use driftgauge_engine::Packing;
use driftgauge_engine::training::Order;

use super::encode::Encoded;
use crate::error::Result;
use crate::model::{Decoder, Pass};
use crate::random::Stream;

/// How a training walks over its rows. An optimiser step never spans two epochs: the last step of an epoch may be smaller.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    pub(crate) rows: usize,
    pub(crate) batch: usize,
    pub(crate) accumulation: usize,
    pub(crate) order: Order,
    pub(crate) seed: u64,
}

impl Walk {
    /// Optimiser steps in one epoch.
    pub(crate) fn steps_per_epoch(&self) -> u64 {
        self.rows.div_ceil(self.batch * self.accumulation) as u64
    }

    /// The micro-batches of the step after `done` steps, as indices of rows.
    pub(crate) fn step(&self, done: u64) -> Vec<Vec<usize>> {
        let epoch = done / self.steps_per_epoch();
        let within = (done % self.steps_per_epoch()) as usize;
        let order = match self.order {
            Order::Sequential => (0..self.rows).collect(),
            Order::Shuffled => Stream::new(self.seed, "order", &[epoch]).permutation(self.rows),
        };
        let per_step = self.batch * self.accumulation;
        order
            .chunks(per_step)
            .nth(within)
            .unwrap_or_default()
            .chunks(self.batch)
            .map(<[usize]>::to_vec)
            .collect()
    }

    /// Passes over the data after `done` steps.
    pub(crate) fn epoch(&self, done: u64) -> f64 {
        let whole = done / self.steps_per_epoch();
        let rows = (done % self.steps_per_epoch()) as usize * self.batch * self.accumulation;
        whole as f64 + rows.min(self.rows) as f64 / self.rows as f64
    }
}

/// A row of a batch: one sequence, or several packed one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct PackedRow {
    /// Indices of the encoded examples.
    pub(crate) members: Vec<usize>,
}

/// Fills rows of at most `capacity` tokens with sequences in the given order; a new row starts when one does not fit.
pub(crate) fn pack(examples: &[Encoded], capacity: usize) -> Vec<PackedRow> {
    let mut rows: Vec<PackedRow> = Vec::new();
    let mut packing = Packing::new(capacity);
    for (index, example) in examples.iter().enumerate() {
        let begins = packing.begins_row(example.ids.len());
        match rows.last_mut() {
            Some(row) if !begins => row.members.push(index),
            _ => rows.push(PackedRow {
                members: vec![index],
            }),
        }
    }
    rows
}

/// One sequence per row.
pub(crate) fn unpacked(examples: &[Encoded]) -> Vec<PackedRow> {
    (0..examples.len())
        .map(|index| PackedRow {
            members: vec![index],
        })
        .collect()
}

/// A micro-batch on the device.
pub(crate) struct Batch {
    /// Token ids `[batch * time]`, padded on the right.
    pub(crate) ids: Tensor,
    pub(crate) pass: Pass,
    /// Rows of the residual stream whose next token carries loss.
    pub(crate) rows: Tensor,
    /// Those next tokens.
    pub(crate) targets: Tensor,
    /// Tokens without padding.
    pub(crate) tokens: usize,
}

impl Batch {
    /// Lays rows out as one padded rectangle.
    pub(crate) fn new(
        decoder: &Decoder,
        examples: &[Encoded],
        rows: &[&PackedRow],
    ) -> Result<Self> {
        let lengths = rows.iter().map(|row| row.length(examples));
        let time = lengths.max().unwrap_or(0);
        let batch = rows.len();
        let packed = rows.iter().any(|row| row.members.len() > 1);
        let mut ids = vec![0u32; batch * time];
        let mut positions = vec![0u32; batch * time];
        // Padding belongs to a sequence of its own.
        let mut segments = vec![u32::MAX; batch * time];
        let (mut sources, mut targets, mut tokens) = (Vec::new(), Vec::new(), 0);
        for (i, row) in rows.iter().enumerate() {
            let mut at = i * time;
            for (segment, &member) in row.members.iter().enumerate() {
                let example = &examples[member];
                let n = example.ids.len();
                ids[at..at + n].copy_from_slice(&example.ids);
                segments[at..at + n].fill(segment as u32);
                for p in 0..n {
                    positions[at + p] = p as u32;
                    if example.supervised[p] {
                        sources.push((at + p - 1) as u32);
                        targets.push(example.ids[p]);
                    }
                }
                tokens += n;
                at += n;
            }
        }
        let device = decoder.device();
        let supervised = targets.len();
        let pass = if packed {
            let shape = (batch, time);
            let positions = Tensor::from_vec(positions, shape, device)?;
            decoder.packed_pass(&positions, Tensor::from_vec(segments, shape, device)?)?
        } else {
            decoder.pass(batch, time)?
        };
        Ok(Self {
            ids: Tensor::from_vec(ids, batch * time, device)?,
            pass,
            rows: Tensor::from_vec(sources, supervised, device)?,
            targets: Tensor::from_vec(targets, supervised, device)?,
            tokens,
        })
    }
}

impl PackedRow {
    /// Its tokens.
    pub(crate) fn length(&self, examples: &[Encoded]) -> usize {
        self.members.iter().map(|&m| examples[m].ids.len()).sum()
    }

    /// Tokens of the row that carry loss.
    pub(crate) fn targets(&self, examples: &[Encoded]) -> usize {
        self.members.iter().map(|&m| examples[m].targets()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(length: usize) -> Encoded {
        Encoded {
            id: String::new(),
            ids: vec![0; length],
            supervised: vec![true; length],
            truncated: 0,
            closers: Vec::new(),
        }
    }

    #[test]
    fn an_epoch_sees_every_row_once_and_a_step_stays_within_it() {
        let walk = Walk {
            rows: 10,
            batch: 2,
            accumulation: 2,
            order: Order::Shuffled,
            seed: 5,
        };
        assert_eq!(walk.steps_per_epoch(), 3);
        let epoch = |first: u64| -> Vec<usize> {
            (first..first + 3)
                .flat_map(|done| walk.step(done).concat())
                .collect()
        };
        let (first, second) = (epoch(0), epoch(3));
        assert_ne!(first, second);
        for mut seen in [first, second] {
            seen.sort_unstable();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(walk.step(2).len(), 1, "two rows are left: one micro-batch");
        assert_eq!(walk.epoch(2), 0.8);
        assert_eq!(walk.epoch(3), 1.0);
    }

    #[test]
    fn packing_keeps_order_and_capacity() {
        let examples: Vec<Encoded> = [4, 3, 3, 9, 1, 2].into_iter().map(example).collect();
        let rows: Vec<Vec<usize>> = pack(&examples, 10)
            .into_iter()
            .map(|row| row.members)
            .collect();
        assert_eq!(rows, [vec![0, 1, 2], vec![3, 4], vec![5]]);
    }
}
