//! Adapters in PEFT's layout: which of them do here what they do in PEFT, and what they do to which weight.

mod effect;
mod files;
mod settings;

pub use files::{Adapter, AdapterFiles, CONFIG_FILE, Change, PREFIX, WEIGHTS_FILE, files};
pub use settings::{AdapterSettings, meant_by, saved_by};
