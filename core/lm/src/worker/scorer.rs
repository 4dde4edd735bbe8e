//! Scoring given text with the decoder of `driftgauge-lm`.

use driftgauge_engine::{EngineError, LoadModel, Loaded, ScoreRequest, ScoreResponse, TextScorer};

use super::given::Reader;
use super::texts::Texts;
use crate::{Pair, Result};

/// A model that scores.
pub struct FolderScorer {
    texts: Texts,
    reader: Reader,
    loaded: Loaded,
}

/// Loads a model folder for scoring.
///
/// # Errors
/// When it cannot be loaded, or its weights are not plain.
pub fn load_scorer(model: &LoadModel) -> Result<FolderScorer> {
    let (texts, loaded) = Texts::load(model)?;
    Ok(FolderScorer {
        texts,
        reader: Reader::of(model)?,
        loaded,
    })
}

impl TextScorer for FolderScorer {
    fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn score(
        &mut self,
        requests: &[ScoreRequest],
    ) -> Vec<std::result::Result<ScoreResponse, EngineError>> {
        let read: Vec<_> = requests.iter().map(|request| self.pairs(request)).collect();
        let pairs: Vec<Pair> = read.iter().flatten().flatten().cloned().collect();
        let mut scored = self.texts.logprobs(&pairs).into_iter();
        read.into_iter()
            .map(|pairs| {
                let pairs = pairs?;
                // Taken whole, so that the next request finds its own.
                let scored: Vec<_> = scored.by_ref().take(pairs.len()).collect();
                let scored = scored.into_iter().collect::<Result<Vec<_>>>();
                Ok(ScoreResponse {
                    token_logprob: scored.map_err(|e| EngineError::Request(e.into()))?,
                    merged: pairs.iter().map(|pair| pair.merged).collect(),
                })
            })
            .collect()
    }
}

impl FolderScorer {
    fn pairs(&self, request: &ScoreRequest) -> std::result::Result<Vec<Pair>, EngineError> {
        let ScoreRequest {
            prompt,
            continuations,
            choices,
        } = request;
        let longest = self.texts.longest();
        continuations
            .iter()
            .map(|continuation| {
                self.reader
                    .tokens_within(longest, prompt, continuation, *choices)
            })
            .collect()
    }
}
