//! Generation with the batched decoder of this crate.

use std::path::Path;
use std::sync::Arc;

use driftgauge_engine::{
    BatchGenerator, EngineError, GenerateRequest, LoadModel, Loaded, Rounding, Witness,
};
use driftgauge_record::Completion;

use super::agreement::{self, Ask, Proven};
use super::origin::Origin;
use crate::answer::{Asked, Text, checks};
use crate::decode::{Batch, memory_of};
use crate::model::expected_weights;
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
    let rounding = supported(model)?;
    let origin = Origin::open(model, rounding)?;
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
        // mistral.rs rounds activations as well, and bears no witness of rounded weights.
        (_, Witness::Mistralrs) if origin.is_plain() => {
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
            dtype: told(rounding),
            max_in_flight: IN_FLIGHT,
            checks: found,
            proof,
        },
        refused: Vec::new(),
    })
}

/// How the decoder rounds the weights that a spec asks for, or why it does not compute that, from the spec alone.
///
/// # Errors
/// With the reason.
pub(super) fn supported(model: &LoadModel) -> Result<Rounding> {
    let rounding =
        Rounding::of(model.quantization.as_deref(), &model.dtype).map_err(Error::Check)?;
    let compute = Compute {
        device: Some(model.device.clone()),
        dtype: None,
    };
    match compute.device_class()? {
        "cpu" => Ok(rounding),
        other => {
            let refused = format!("the device `{other}` with `engine: native`");
            Err(Error::Unsupported(refused).hint("`engine: mistralrs`"))
        }
    }
}

/// What is computed in, as a report says it.
pub(super) fn told(rounding: Rounding) -> String {
    match rounding {
        Rounding::None => "f32".to_owned(),
        Rounding::Bf16 => "f32, weights rounded to bf16".to_owned(),
        Rounding::Blocks(format) => format!("f32, linear modules rounded to {format}"),
    }
}

/// Bytes that the weights of a model take while it answers, at most: what bf16 holds takes half in a folder, and blocks of a GGUF file
/// take what they take there, but for scales of six bits. `rounding` is that of a folder.
///
/// # Errors
/// When it is no model folder, or no file that the decoder reads.
pub fn weight_bytes(folder: &Path, gguf: Option<&str>, rounding: Rounding) -> Result<u64> {
    match gguf {
        None => Ok(rounding.bytes_of(&driftgauge_folder::inspect(folder)?.shapes())),
        Some(name) => {
            let weights = GgufFile::open(&folder.join(name))?.weights()?;
            let mut bytes = 0;
            for (name, shape) in expected_weights(weights.config())? {
                bytes += match shape[..] {
                    [rows, inputs] => memory_of(weights.stored(&name)?, rows, inputs),
                    _ => shape.iter().product::<usize>() * size_of::<f32>(),
                };
            }
            Ok(bytes as u64)
        }
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
