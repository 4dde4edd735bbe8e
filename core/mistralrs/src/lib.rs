//! Generation through mistral.rs 0.8.1, with every number computed from the raw logits.
//!
//! mistral.rs does the forward passes. Everything that a result rests on is done around it: the chat template and the
//! tokenizer (`driftgauge-lm`), the choice of each token, its statistics, and the end of an answer. See `ARCHITECTURE.md`
//! for the bugs of mistral.rs that this avoids.

mod device;
mod end_tokens;
mod engine;
mod folder;
mod gguf;
mod load;
mod quantization;
mod recorder;
mod runtime;
mod sampling;
mod selfcheck;
mod statistics;
mod text;
mod weights;

pub use engine::MistralRsEngine;
pub use load::load;

/// The engine of this build, as keys and provenance name it.
pub const ENGINE: &str = "mistral.rs 0.8.1";
