//! Scoring given text with the decoder of `driftgauge-lm`.

use driftgauge_engine::{EngineError, LoadModel, Loaded, ScoreRequest, ScoreResponse, TextScorer};

use super::given::Reader;
use crate::{Compute, Error, Result, Scorer, TRAINER};

/// A model that scores.
pub struct FolderScorer {
    scorer: Scorer,
    reader: Reader,
    loaded: Loaded,
}

/// Loads a model folder for scoring.
///
/// # Errors
/// When it cannot be loaded, or its weights are not plain.
pub fn load_scorer(model: &LoadModel) -> Result<FolderScorer> {
    let (scorer, loaded) = decoder(model)?;
    Ok(FolderScorer {
        scorer,
        reader: Reader::of(model)?,
        loaded,
    })
}

/// The decoder of a model folder, and what provenance says of it.
pub(super) fn decoder(model: &LoadModel) -> Result<(Scorer, Loaded)> {
    if model.gguf.is_some() || model.quantization.is_some() {
        return Err(Error::Score(
            "scoring needs plain weights: a GGUF or quantised model cannot be scored".to_owned(),
        )
        .hint("score the unquantised folder"));
    }
    let compute = Compute {
        device: Some(model.device.clone()),
        dtype: (model.dtype != "auto").then(|| model.dtype.clone()),
    };
    let scorer = Scorer::load(&model.folder, &compute)?;
    let loaded = Loaded {
        engine: TRAINER.to_owned(),
        device: compute.device_class()?.to_owned(),
        dtype: scorer.dtype_name().to_owned(),
        max_in_flight: 1,
        checks: Vec::new(),
    };
    Ok((scorer, loaded))
}

impl TextScorer for FolderScorer {
    fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn score(&mut self, request: &ScoreRequest) -> std::result::Result<ScoreResponse, EngineError> {
        let longest = self.scorer.longest_sequence();
        let mut response = ScoreResponse::default();
        for continuation in &request.continuations {
            let pair = self.reader.tokens_within(
                longest,
                &request.prompt,
                continuation,
                request.choices,
            )?;
            let logprobs = self
                .scorer
                .token_logprobs(&pair.prompt, &pair.continuation)
                .map_err(|error| EngineError::Request(error.into()))?;
            response.token_logprob.push(logprobs);
            response.merged.push(pair.merged);
        }
        Ok(response)
    }
}
