//! The records a run writes and a report reads: samples, verdicts, results, run folders.
//!
//! Everything here is plain data with a documented file format. The crates that make these records (the graph) and the
//! crates that read them (reports, the command line, plugin host) meet here and nowhere else.

mod answer;
pub mod files;
mod folder;
mod results;
mod rows;
mod run_dir;
mod sample;
mod sealed;
mod searched;
mod table;
pub mod thinking;
mod training;
pub mod value;
mod visible;

pub use answer::{answer_start, answer_start_within, answer_text, spells_special_token};
pub use folder::{FolderError, RunFile, Schema, write_whole};
pub use results::{
    Adjustment, Comparison, Draws, EffectSizes, Expected, Flips, FurtherTest, Gate, Interval,
    LeftOut, Metric, PairCounts, PairedDetail, PairedTest, PublishedOutcome, Resampling, Results,
    Sides, Spread, Trainings,
};
pub use rows::{SampleBatches, SampleRows, cell};
pub use run_dir::RunDir;
pub use sample::{
    Completion, Degeneracy, FinishReason, Message, Sample, Verdict, VerdictLabel, is_no_logprob,
};
pub use searched::{Bounded, Searched, Tried};
pub use table::{
    AskedSample, SampleReader, SampleTableError, SampleWriter, TableRows, each_asked, read_samples,
    write_samples,
};
pub use training::{TrainingLog, TrainingStep};
pub use visible::{spreadsheet_cell, visible, visible_json, visible_line};
