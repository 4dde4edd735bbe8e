//! Generation with the batched decoder of this crate.

use std::path::Path;
use std::sync::Arc;

use driftgauge_engine::{BatchGenerator, EngineError, GenerateRequest, LoadModel, Loaded, Witness};
use driftgauge_folder::ends;
use driftgauge_record::Completion;
use serde_json::Value;

use super::agreement::{self, Ask, Proven};
use crate::answer::{Asked, Text, checks};
use crate::config::DecoderConfig;
use crate::decode::Batch;
use crate::{Compute, DECODER, Error, Result};

/// A model that answers many prompts at a time.
pub struct FolderGenerator {
    batch: Batch,
    text: Arc<Text>,
    end_tokens: Arc<[u32]>,
    loaded: Loaded,
    /// What cannot be worked on.
    refused: Vec<(u64, EngineError)>,
}

/// Questions that are taken at a time: those that are answered, and as many that wait.
const IN_FLIGHT: usize = 128;

/// Loads a model folder for generation on the processor, and proves what can go wrong silently. `ask` is for models whose witness is
/// mistral.rs.
///
/// # Errors
/// When it is not computed here as its spec asks for, cannot be loaded, or a check failed.
pub fn load_generator(model: &LoadModel, ask: &Ask<'_>) -> Result<FolderGenerator> {
    supported(model)?;
    let text = Text::of_model(&model.folder, model.chat_template.as_deref());
    let text = Arc::new(text.map_err(Error::Check)?);
    let end_tokens = ends::declared(&model.folder, &read_config(&model.folder)?, text.eos_id())?;
    let config = DecoderConfig::from_folder(&model.folder)?;
    let parameters = driftgauge_folder::inspect(&model.folder)?.parameters();
    let rows = Some(config.vocab_size as u64);
    let mut found = checks::of_text(&text, rows, model.plain_text).map_err(Error::Check)?;
    let questions = agreement::questions(&config, parameters as usize, &text, model)?;
    let proof = model.proof.as_deref();
    let Proven {
        batch,
        check,
        proof,
    } = match (proof, model.witness) {
        (Some(proof), _) if agreement::covers(proof, &questions) => {
            agreement::again(&model.folder, &text, proof)
        }
        (_, Witness::Mistralrs) => agreement::against(&model.folder, &text, &questions, ask),
        (_, Witness::Forward) => agreement::alone(&model.folder, &text, &questions),
    }?;
    found.push(check);
    if model.strict {
        checks::nothing_unproven(&found).map_err(Error::Check)?;
    }
    Ok(FolderGenerator {
        batch,
        text,
        end_tokens: end_tokens.into(),
        loaded: Loaded {
            engine: DECODER.to_owned(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            max_in_flight: IN_FLIGHT,
            checks: found,
            proof,
        },
        refused: Vec::new(),
    })
}

/// Says why the decoder does not compute what a spec asks for, from the spec alone.
///
/// # Errors
/// With the reason.
pub fn supported(model: &LoadModel) -> Result<()> {
    let refused = |what: String| {
        let refused = Error::Unsupported(format!("{what} with `engine: native`"));
        Err(refused.hint("`engine: mistralrs`"))
    };
    if let Some(file) = &model.gguf {
        return refused(format!("the GGUF file `{file}`"));
    }
    if let Some(name) = &model.quantization {
        return refused(format!("`quantization: {name}`"));
    }
    if !matches!(model.dtype.as_str(), "auto" | "f32") {
        return refused(format!("`dtype: {}`", model.dtype));
    }
    let compute = Compute {
        device: Some(model.device.clone()),
        dtype: None,
    };
    match compute.device_class()? {
        "cpu" => Ok(()),
        other => refused(format!("the device `{other}`")),
    }
}

/// Bytes that the weights of a model folder take while it answers, at most: what bf16 holds takes half.
///
/// # Errors
/// When it is no model folder.
pub fn weight_bytes(folder: &Path) -> Result<u64> {
    let weights = driftgauge_folder::inspect(folder)?;
    Ok(weights.parameters() * size_of::<f32>() as u64)
}

fn read_config(folder: &Path) -> Result<Value> {
    let path = folder.join("config.json");
    serde_json::from_str(&super::read(&path)?).map_err(|e| Error::file(&path, e))
}

impl BatchGenerator for FolderGenerator {
    fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn pending(&self) -> usize {
        self.batch.pending() + self.refused.len()
    }

    fn put(&mut self, id: u64, request: &GenerateRequest) {
        let context = self.batch.context();
        match Asked::new(request, &self.text, &self.end_tokens, context) {
            Ok(asked) => self.batch.put(id, asked),
            Err(why) => self.refused.push((id, EngineError::Request(why))),
        }
    }

    fn advance(&mut self) -> Vec<(u64, std::result::Result<Completion, EngineError>)> {
        let mut answers: Vec<_> = self
            .refused
            .drain(..)
            .map(|(id, error)| (id, Err(error)))
            .collect();
        if !self.batch.is_idle() {
            for finished in self.batch.step(&self.text) {
                let completion = match finished.outcome {
                    Ok(recording) => match recording.finish {
                        Some(finish) => {
                            Ok(finished.asked.completion(recording, finish, &self.text))
                        }
                        None => Err(EngineError::Request("the answer has no end".into())),
                    },
                    Err(why) => Err(EngineError::Request(why)),
                };
                answers.push((finished.id, completion));
            }
        }
        answers
    }
}
