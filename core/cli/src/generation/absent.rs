//! A build that leaves mistral.rs out: whatever would need it is refused by name, before anything is loaded.

use std::path::Path;

use driftgauge_engine::{
    EngineError, GenerateRequest, Generator, LoadModel, Loaded, Probes, PromptReader, Testimony,
    TextFiles,
};
use driftgauge_lm::Reader;
use driftgauge_problem::Problem;
use driftgauge_record::Completion;

/// What stands for the engine where versions are told. No key has it: nothing is generated with it.
pub(crate) const ENGINE: &str = "no mistral.rs";

/// Says that mistral.rs is not there.
///
/// # Errors
/// Always.
pub(crate) fn built() -> Result<(), Problem> {
    Err(absent())
}

fn absent() -> Problem {
    Problem::failed("this build has no mistral.rs, which alone could answer for it").help(
        "build without `--no-default-features`; on a processor the native decoder answers for folders and GGUF files; with `dtype: bf16` or `quantization` of a folder where the spec says `engine: native`",
    )
}

/// As [`built`], of the model in a folder.
///
/// # Errors
/// Always.
pub(crate) fn check_folder(_folder: &Path) -> Result<(), Problem> {
    built()
}

/// An engine that no build without mistral.rs has.
pub(crate) enum MistralRsEngine {}

impl Generator for MistralRsEngine {
    fn loaded(&self) -> &Loaded {
        match *self {}
    }

    fn generate(&mut self, _: &[GenerateRequest]) -> Vec<Result<Completion, EngineError>> {
        match *self {}
    }
}

/// Loads nothing.
///
/// # Errors
/// Always.
pub(crate) fn load(_model: &LoadModel) -> Result<MistralRsEngine, EngineError> {
    Err(EngineError::Model(absent()))
}

/// Says that no answer can be had: the native decoder is then held against an independent forward pass.
///
/// # Errors
/// Never; with mistral.rs there are some.
pub(crate) fn testify(_model: &LoadModel, _probes: &Probes) -> Result<Testimony, Problem> {
    Ok(Testimony::NotComputed(
        "this build has no mistral.rs".to_owned(),
    ))
}

/// How a model reads prompts; `None` where its files do not tell.
///
/// # Errors
/// When its tokenizer is there and cannot be used.
pub(crate) fn reader(files: &TextFiles) -> Result<Option<Box<dyn PromptReader>>, Problem> {
    let reader = Reader::open(files)?;
    Ok(reader.map(|reader| Box::new(reader) as Box<dyn PromptReader>))
}

/// Nothing: the native decoder proves at load what it computes, and there is no other one.
#[must_use]
pub(crate) fn unproven(_files: &TextFiles, _quantization: Option<&str>) -> Option<String> {
    None
}
