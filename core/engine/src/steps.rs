//! How many rows and steps a training takes: what a plan tells and the trainer does.

use crate::training::TrainingSettings;

/// Passes over the data where neither passes nor steps are given.
const EPOCHS: f64 = 3.0;

impl TrainingSettings {
    /// Rows that one optimiser step takes.
    #[must_use]
    pub fn rows_per_step(&self) -> usize {
        self.per_device_batch_size * self.gradient_accumulation_steps
    }

    /// Optimiser steps of a whole training on so many rows. A step never spans two passes: the last one of a pass may be smaller.
    #[must_use]
    pub fn steps(&self, rows: usize) -> u64 {
        self.max_steps.unwrap_or_else(|| {
            let per_epoch = rows.div_ceil(self.rows_per_step().max(1));
            let epochs = self.epochs.unwrap_or(EPOCHS);
            ((epochs * per_epoch as f64).ceil() as u64).max(1)
        })
    }
}

/// Fills rows of at most `capacity` tokens with sequences in their order: a new row begins where one does not fit.
#[derive(Debug, Clone)]
pub struct Packing {
    capacity: usize,
    /// Tokens that the last row has left; nothing before the first.
    free: Option<usize>,
}

impl Packing {
    /// Before the first sequence.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            free: None,
        }
    }

    /// Puts a sequence of so many tokens behind those before. Whether it begins a row.
    pub fn begins_row(&mut self, length: usize) -> bool {
        let fits = self.free.filter(|free| length <= *free);
        let free = fits.unwrap_or(self.capacity);
        self.free = Some(free.saturating_sub(length));
        fits.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_whole_passes_or_what_is_asked_for() {
        let mut settings = TrainingSettings {
            per_device_batch_size: 2,
            gradient_accumulation_steps: 2,
            ..TrainingSettings::default()
        };
        // Three steps of at most four rows in a pass over ten.
        assert_eq!(settings.steps(10), 9);
        settings.epochs = Some(0.5);
        assert_eq!(settings.steps(10), 2);
        settings.epochs = Some(0.01);
        assert_eq!(settings.steps(10), 1);
        settings.max_steps = Some(70);
        assert_eq!(settings.steps(10), 70);
    }

    #[test]
    fn a_row_begins_where_a_sequence_does_not_fit() {
        let mut packing = Packing::new(10);
        let begins = [4, 3, 3, 9, 1, 2].map(|length| packing.begins_row(length));
        assert_eq!(begins, [true, false, false, true, false, true]);
    }
}
