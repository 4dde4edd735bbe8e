//! A decoder on candle: training, merging and scoring.

pub mod ops;
