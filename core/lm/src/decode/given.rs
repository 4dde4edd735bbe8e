//! Given text, read side by side: what the model says after each of some tokens.

use std::collections::VecDeque;

use candle_core::Device;
use rayon::prelude::*;

use super::Batch;
use super::attention::Span;
use super::cache::Pages;
use super::forward::Rows;
use crate::ops::on_pool;

/// Tokens of a text.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) tokens: Vec<u32>,
    /// Of those from here on, the logits of what follows are wanted.
    pub(crate) first: usize,
}

/// A text that is being read.
struct Reading<'a> {
    text: usize,
    given: &'a Given,
    read: usize,
    pages: Pages,
}

impl Batch {
    /// Reads texts, of which those with the same beginning share it, and collects what `of_row` makes of the logits after each wanted
    /// token: in the order of the texts and their tokens. `of_row` is told the text and the token.
    pub(crate) fn read<T: Send>(
        &mut self,
        texts: &[Given],
        of_row: impl Fn(usize, usize, &[f32]) -> T + Sync,
    ) -> Vec<Vec<T>> {
        let mut found: Vec<Vec<T>> = texts.iter().map(|_| Vec::new()).collect();
        let mut waiting: VecDeque<(usize, &Given)> = texts.iter().enumerate().collect();
        let mut running: Vec<Reading> = Vec::new();
        while !(waiting.is_empty() && running.is_empty()) {
            let (rows, wanted) = self.rows_of_texts(&mut waiting, &mut running);
            if rows.tokens.is_empty() {
                break;
            }
            let of_rows: Vec<T> = on_pool(&Device::Cpu, || {
                let logits = self.network.read(&rows, &mut self.cache, &mut self.scratch);
                wanted
                    .par_iter()
                    .zip(logits.par_chunks_exact(self.network.config.vocab_size))
                    .map(|(&(text, token), logits)| of_row(text, token, logits))
                    .collect()
            });
            for ((text, _), of_row) in wanted.into_iter().zip(of_rows) {
                found[text].push(of_row);
            }
            for reading in std::mem::take(&mut running) {
                match reading.read < reading.given.tokens.len() {
                    true => running.push(reading),
                    false => self.cache.close(reading.pages),
                }
            }
        }
        found
    }

    /// The rows of the next step, and which text and token those belong to whose logits are wanted.
    fn rows_of_texts<'a>(
        &mut self,
        waiting: &mut VecDeque<(usize, &'a Given)>,
        running: &mut Vec<Reading<'a>>,
    ) -> (Rows, Vec<(usize, usize)>) {
        let mut rows = Rows::default();
        let mut wanted = Vec::new();
        let mut left = self.limits.tokens;
        for reading in running.iter_mut() {
            reading.plan(&mut self.cache, &mut rows, &mut wanted, &mut left);
        }
        while left > 0 {
            let Some(&(text, given)) = waiting.front() else {
                break;
            };
            // A token whose logits are wanted is read by everybody.
            let shared = &given.tokens[..(given.first + 1).min(given.tokens.len())];
            let alone = running.is_empty();
            let Some(pages) = self.cache.open(shared, given.tokens.len(), alone) else {
                break;
            };
            waiting.pop_front();
            let mut reading = Reading {
                text,
                given,
                read: pages.tokens(),
                pages,
            };
            reading.plan(&mut self.cache, &mut rows, &mut wanted, &mut left);
            running.push(reading);
        }
        (rows, wanted)
    }
}

impl Reading<'_> {
    /// Puts its next tokens into the step, as many as are `left`.
    fn plan(
        &mut self,
        cache: &mut super::cache::Cache,
        rows: &mut Rows,
        wanted: &mut Vec<(usize, usize)>,
        left: &mut usize,
    ) {
        let tokens = &self.given.tokens;
        let count = (tokens.len() - self.read).min(*left);
        if count == 0 {
            return;
        }
        *left -= count;
        let (first, until) = (self.read, self.read + count);
        cache.extend(&mut self.pages, until);
        cache.show(&mut self.pages, tokens, until);
        let start = rows.tokens.len();
        rows.tokens.extend_from_slice(&tokens[first..until]);
        rows.positions.extend(first..until);
        rows.spans.push(Span {
            rows: start..rows.tokens.len(),
            position: first,
            pages: self.pages.ids.clone(),
        });
        for token in first.max(self.given.first)..until {
            rows.wanted.push(start + token - first);
            wanted.push((self.text, token));
        }
        self.read = until;
    }
}
