//! Datasets, prompts, the randomness that orders them, and the cache of the hub.

pub mod dataset;
pub mod hub;
pub mod prompt;
mod random;
mod sampling;

pub use random::Random;
pub use sampling::sample_seed;
