//! A decoder on candle: training, merging and scoring.
//!
//! The way of a fine-tune: [`train::pretrain`] makes a small model folder (or one is at hand), [`train::finetune`] makes an
//! adapter in PEFT's layout from it, [`merge()`] makes a plain model folder of both, which any engine loads. [`Scorer`] says how
//! likely given tokens are, [`divergences`] how far two models are apart on them. [`ChatTemplate`] and [`Tokenizer`] read a
//! model folder's own.
//!
//! All settings are plain data with serde, so that a worker process can be driven by JSON. The same settings, data and seed
//! give the same bytes, on any number of threads.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answer;
mod blocks;
pub mod chat;
mod check;
pub mod compute;
pub mod config;
mod decode;
mod divergence;
mod error;
mod files;
mod folder;
mod gguf;
#[cfg(test)]
mod golden_architectures;
pub mod logits;
mod lora;
mod merge;
mod model;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "kernels offer more than the decoder uses")
)]
mod ops;
mod pair;
mod processor;
mod random;
mod ranges;
mod reading;
mod score;
mod tensors;
pub mod tokenize;
pub mod train;
mod untrained;
pub mod worker;

pub use chat::{ChatTemplate, Message};
pub use check::{check_folder, check_gguf, check_trainable};
pub use compute::{Compute, built_for_gpu};
pub use config::DecoderConfig;
pub use divergence::{Divergence, divergences};
pub use driftgauge_engine::training::{BaseQuantization, LoraConfig, TargetModules};
pub use error::{Error, Result};
pub use gguf::GgufFile;
pub use merge::{merge, take_whole};
pub use pair::Pair;
pub use processor::vectors;
pub use reading::Reader;
pub use score::{Entropies, Scorer};
pub use tokenize::Tokenizer;
pub use untrained::untrained;

/// The trainer and scorer of this build, as keys and provenance name it; raised when the same training would give other bytes.
pub const TRAINER: &str = "driftgauge-lm 5";

/// The batched decoder of this build, as keys and provenance name it; raised when the same request would get another answer.
pub const DECODER: &str = "driftgauge-lm decoder 2";

/// The scorer of this build, as keys and provenance name it; raised when the same text would get another score.
pub const SCORER: &str = "driftgauge-lm scorer 3";

/// The candle whose kernels [`TRAINER`] was last held against. With another one, see whether the golden trainings still give the
/// same bytes, and raise [`TRAINER`] when they do not.
pub const CANDLE: &str = "0.10.2";

#[cfg(test)]
mod tests {
    use super::CANDLE;

    #[test]
    fn candle_is_the_one_that_is_locked() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = lock
            .split("\n\n")
            .find(|entry| entry.contains("name = \"candle-core\"\n"));
        assert!(
            entry
                .unwrap()
                .contains(&format!("version = \"{CANDLE}\"\n"))
        );
    }
}
