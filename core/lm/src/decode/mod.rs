//! Batched decoding on a processor: many answers at a time from one reading of the weights.
//!
//! Every answer is the same bytes whatever is asked beside it: a row of a product, of a normalisation or of attention is computed
//! in one order of operations, which depends on that row alone.

mod attention;
mod batch;
mod blocks;
mod cache;
mod forward;
mod given;
mod panels;
mod product;
mod rows;
mod stored;
mod weights;

pub(crate) use batch::{Batch, Limits};
pub(crate) use given::Given;
pub(crate) use panels::memory_of;

#[cfg(test)]
mod tests;
