//! Datasets, recordings, prompts, the randomness that orders them, and the cache of the hub.

pub mod dataset;
pub mod degenerate;
pub mod hub;
mod pinned;
pub mod prompt;
mod random;
pub mod recording;
mod sampling;

pub use pinned::PinnedFile;
pub use random::Random;
pub use sampling::sample_seed;
