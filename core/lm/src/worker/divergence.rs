//! Two models on the same tokens, both in this process: their distributions never leave it.

use std::path::Path;

use driftgauge_engine::{
    DivergenceMeter, DivergenceRequest, DivergenceResponse, EngineError, LoadPair, Loaded,
};
use driftgauge_problem::Problem;
use serde_json::Value;

use super::given::Reader;
use super::texts::Texts;
use crate::{Divergence, Error, Pair, Result};

/// A model and its reference.
pub struct FolderPair {
    reference: Texts,
    /// Absent when the model is its own reference.
    model: Option<Texts>,
    reader: Reader,
    loaded: Loaded,
}

/// Loads two model folders.
///
/// # Errors
/// When one cannot be loaded, or they have different vocabularies.
pub fn load_pair(pair: &LoadPair) -> Result<FolderPair> {
    let own = pair.reference.is_same_model(&pair.model);
    if !own {
        check_same_tokens(&pair.reference.folder, &pair.model.folder)?;
    }
    let (reference, loaded) = Texts::load(&pair.reference)?;
    let (model, loaded) = if own {
        (None, loaded)
    } else {
        let (model, loaded) = Texts::load(&pair.model)?;
        (Some(model), loaded)
    };
    if let Some(model) = &model
        && model.vocabulary() != reference.vocabulary()
    {
        return Err(Error::Score(format!(
            "the reference gives probabilities to {} tokens and the model to {}: their distributions cannot be compared",
            reference.vocabulary(),
            model.vocabulary()
        )));
    }
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
        requests: &[DivergenceRequest],
    ) -> Vec<std::result::Result<DivergenceResponse, EngineError>> {
        let model = self.model.as_ref().unwrap_or(&self.reference);
        let longest = model.longest().min(self.reference.longest());
        let read = requests.iter().map(|request| {
            self.reader
                .tokens_within(longest, &request.prompt, &request.continuation, false)
        });
        let read: Vec<std::result::Result<Pair, EngineError>> = read.collect();
        let pairs: Vec<Pair> = read.iter().flatten().cloned().collect();
        let compared = self.reference.divergences(self.model.as_mut(), &pairs);
        let mut compared = compared.into_iter();
        read.into_iter()
            .map(|pair| {
                let pair = pair?;
                let positions = compared.next().unwrap_or_else(|| Ok(Vec::new()));
                response(&pair, positions)
            })
            .collect()
    }
}

fn response(
    pair: &Pair,
    positions: Result<Vec<Divergence>>,
) -> std::result::Result<DivergenceResponse, EngineError> {
    let positions = positions.map_err(|error| EngineError::Request(error.into()))?;
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
