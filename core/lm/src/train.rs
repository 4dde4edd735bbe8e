//! Training: fine-tuning with LoRA or in full, and from nothing.

mod batch;
mod checkpoint;
mod config;
mod data;
mod encode;
mod ends;
mod event;
mod finetune;
mod gradients;
mod optimizer;
mod parts;
mod pretrain;
mod run;
mod schedule;

pub use config::TrainConfig;
pub use data::TrainData;
pub use driftgauge_engine::training::{LrScheduler, Method, Order, TrainOn, TrainingSettings};
pub use encode::Example;
pub use event::{PreviewPiece, StepRecord, StepTiming, TrainEvent, TrainSummary};
pub use finetune::finetune;
pub(crate) use pretrain::{CHAT_TEMPLATE, special_tokens, tokenizer_of};
pub use pretrain::{PretrainConfig, pretrain};
pub use run::{LOG_FILE, TIMING_FILE};
