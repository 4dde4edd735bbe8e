//! Two models on the same tokens, both in this process: their distributions never leave it.

use std::path::Path;

use driftgauge_engine::{
    DivergenceMeter, DivergenceRequest, DivergenceResponse, EngineError, LoadPair, Loaded,
};
use driftgauge_problem::Problem;
use serde_json::Value;

use super::given::Reader;
use super::scorer::decoder;
use crate::{Error, Result, Scorer, divergences};

/// A model and its reference.
pub struct FolderPair {
    reference: Scorer,
    /// Absent when the model is its own reference.
    model: Option<Scorer>,
    reader: Reader,
    loaded: Loaded,
}

/// Loads two model folders.
///
/// # Errors
/// When one cannot be loaded, or they have different vocabularies.
pub fn load_pair(pair: &LoadPair) -> Result<FolderPair> {
    let own = pair.reference == pair.model;
    if !own {
        check_same_tokens(&pair.reference.folder, &pair.model.folder)?;
    }
    let (reference, loaded) = decoder(&pair.reference)?;
    let (model, loaded) = if own {
        (None, loaded)
    } else {
        let (model, loaded) = decoder(&pair.model)?;
        (Some(model), loaded)
    };
    Ok(FolderPair {
        reference,
        model,
        reader: Reader::of(&pair.reference)?,
        loaded,
    })
}

impl DivergenceMeter for FolderPair {
    fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn compare(
        &mut self,
        request: &DivergenceRequest,
    ) -> std::result::Result<DivergenceResponse, EngineError> {
        let model = self.model.as_ref().unwrap_or(&self.reference);
        let longest = model
            .longest_sequence()
            .min(self.reference.longest_sequence());
        let pair =
            self.reader
                .tokens_within(longest, &request.prompt, &request.continuation, false)?;
        let positions = divergences(&self.reference, model, &pair.prompt, &pair.continuation)
            .map_err(|error| EngineError::Request(error.into()))?;
        if let Some(position) = positions.iter().position(|at| !at.kl.is_finite()) {
            return Err(EngineError::Request(Problem::failed(format!(
                "the divergence at position {position} is not finite: the model gives probability 0 to a token that the \
                 reference does not"
            ))));
        }
        Ok(DivergenceResponse {
            kl: positions.iter().map(|at| at.kl).collect(),
            top1_agree: positions.iter().map(|at| at.top1_agree).collect(),
            merged: pair.merged,
        })
    }
}

/// Distributions are over token ids, so an id has to mean the same token to both.
fn check_same_tokens(reference: &Path, model: &Path) -> Result<()> {
    let read = |folder: &Path| -> Result<Value> {
        let path = folder.join("tokenizer.json");
        let text = super::read(&path)?;
        serde_json::from_str(&text).map_err(|error| Error::file(&path, error))
    };
    let (ours, theirs) = (read(reference)?, read(model)?);
    let added = |file: &Value| -> Vec<(Value, Value)> {
        let tokens = file["added_tokens"].as_array();
        let tokens = tokens.into_iter().flatten();
        tokens
            .map(|token| (token["id"].clone(), token["content"].clone()))
            .collect()
    };
    if ours["model"]["vocab"] != theirs["model"]["vocab"] || added(&ours) != added(&theirs) {
        return Err(Error::Score(format!(
            "`{}` and `{}` have different vocabularies, so `kl` cannot compare their distributions",
            reference.display(),
            model.display()
        ))
        .hint(
            "name a reference \
             that the model was tuned from",
        ));
    }
    Ok(())
}
