//! What a worker process does with this crate: generation, scoring, divergence, training and merging, behind the traits of
//! `driftgauge-engine`.

mod agreement;
mod divergence;
mod generator;
mod given;
mod origin;
mod scorer;
mod texts;
mod training;

pub use agreement::Ask;
pub use divergence::{FolderPair, load_pair};
pub use generator::{FolderGenerator, load_generator, weight_bytes};
pub use scorer::{FolderScorer, load_scorer};
pub use training::train;

use std::path::Path;

use crate::{Error, Result};

/// Reads a whole file, naming it when that fails.
fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io("read", path))
}
