//! From a typed spec to a plan, and from a plan to artifacts in a store.

pub mod across;
pub mod across_files;
mod across_prompts;
pub mod asked;
pub mod cancel;
pub mod context;
mod earlier;
pub mod event;
pub mod exec;
mod folder;
pub mod forecast;
mod intervals;
mod judge_check;
mod model_files;
mod nodes;
mod only;
pub mod plan;
pub mod remote;
pub mod resolve;
pub mod resolved;
pub mod resolved_comparisons;
pub mod resolved_search;
pub mod results;
pub mod rounds;
pub mod run;
pub mod run_folder;
pub mod same;
pub mod sealing;
pub mod search;
pub mod select;
pub mod training_data;
pub mod why;

pub use judge_check::JUDGE_ERROR;
