//! A decoder on candle: training, merging and scoring.
