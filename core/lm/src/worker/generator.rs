//! Generation with the batched decoder of this crate.

use std::path::Path;
use std::sync::Arc;

use driftgauge_engine::{BatchGenerator, EngineError, GenerateRequest, LoadModel, Loaded, Witness};
use driftgauge_record::Completion;

use super::agreement::{self, Ask, Proven};
use super::origin::Origin;
use crate::answer::{Asked, Text, checks};
use crate::decode::Batch;
use crate::{Compute, DECODER, Error, GgufFile, Result};

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

/// Loads a model folder or a GGUF file for generation on the processor, and proves what can go wrong silently. `ask` is for models whose witness is
/// mistral.rs.
///
/// # Errors
/// When it is not computed here as its spec asks for, cannot be loaded, or a check failed.
pub fn load_generator(model: &LoadModel, ask: &Ask<'_>) -> Result<FolderGenerator> {
    supported(model)?;
    let origin = Origin::open(model)?;
    let text = Arc::new(origin.text(model)?);
    let end_tokens = origin.end_tokens(&text, model)?;
    let config = origin.config()?;
    let rows = Some(config.vocab_size as u64);
    let mut found = checks::of_text(&text, rows, model.plain_text).map_err(Error::Check)?;
    let questions = agreement::questions(&config, origin.parameters()?, &text, model)?;
    let proof = model.proof.as_deref();
    let Proven {
        batch,
        check,
        proof,
    } = match (proof, model.witness) {
        (Some(proof), _) if agreement::covers(proof, &questions) => {
            agreement::again(&origin, &text, proof)
        }
        // mistral.rs multiplies blocks with other activations, and bears no witness of them.
        (_, Witness::Mistralrs) if !origin.is_gguf() => {
            agreement::against(&origin, &text, &questions, ask)
        }
        _ => agreement::alone(&origin, &text, &questions),
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

/// Bytes that the weights of a model take while it answers, at most: what bf16 holds takes half in a folder, and blocks of a GGUF file
/// take what they take there.
///
/// # Errors
/// When it is no model folder, or no file that the decoder reads.
pub fn weight_bytes(folder: &Path, gguf: Option<&str>) -> Result<u64> {
    match gguf {
        None => {
            let weights = driftgauge_folder::inspect(folder)?;
            Ok(weights.parameters() * size_of::<f32>() as u64)
        }
        Some(name) => Ok(GgufFile::open(&folder.join(name))?.weights()?.bytes()),
    }
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
