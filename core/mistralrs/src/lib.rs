//! Generation through mistral.rs 0.8.1, with every number computed from the raw logits.
//!
//! mistral.rs does the forward passes. Everything that a result rests on is done around it (`driftgauge-lm`): the chat template
//! and the tokenizer, the choice of each token, its statistics, and the end of an answer. See `ARCHITECTURE.md`
//! for the bugs of mistral.rs that this avoids.

mod config;
mod device;
mod end_tokens;
mod engine;
mod folder;
#[cfg(test)]
mod golden_architectures;
mod load;
mod quantization;
mod reading;
mod recorder;
mod runtime;
mod selfcheck;
mod witness;

pub use engine::MistralRsEngine;
pub use folder::check as check_folder;
pub use load::load;
pub use reading::{reader, unproven};
pub use witness::testify;

/// The engine of this build, as keys and provenance name it.
pub const ENGINE: &str = "mistral.rs 0.8.1";

#[cfg(test)]
mod tests {
    use super::ENGINE;

    /// A key that names another engine than the one that is built would reuse its answers.
    #[test]
    fn the_engine_is_the_one_that_is_locked() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = lock
            .split("\n\n")
            .find(|entry| entry.contains("name = \"mistralrs-core\"\n"));
        let version = ENGINE.strip_prefix("mistral.rs ").unwrap();
        assert!(
            entry
                .unwrap()
                .contains(&format!("version = \"{version}\"\n"))
        );
    }
}
