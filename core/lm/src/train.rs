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
mod pretrain;
mod run;
mod schedule;

pub use batch::Order;
pub use config::{Method, TrainConfig};
pub use data::TrainData;
pub use encode::{Example, TrainOn};
pub use event::{PreviewPiece, StepRecord, StepTiming, TrainEvent, TrainSummary};
pub use finetune::finetune;
pub use pretrain::{PretrainConfig, pretrain};
pub use run::{LOG_FILE, TIMING_FILE};
pub use schedule::LrScheduler;
