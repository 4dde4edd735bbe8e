//! A model that reads given text: many texts side by side on a processor, one after the other elsewhere.

use std::path::PathBuf;

use driftgauge_engine::{LoadModel, Loaded, LocalEngine, Rounding};

use super::agreement::{self, Proven};
use super::generator::{supported, told};
use super::origin::Origin;
use crate::config::DecoderConfig;
use crate::decode::{Batch, Given};
use crate::divergence::Divergence;
use crate::logits::{largest, ln_sum};
use crate::score::{no_numbers, read_for};
use crate::{Compute, Error, Pair, Result, SCORER, Scorer, divergences};

/// A model for given text.
pub(super) struct Texts {
    folder: PathBuf,
    config: DecoderConfig,
    rounding: Rounding,
    reads: Reads,
}

enum Reads {
    /// What is longer than the batch reads goes to the other decoder, which is loaded when it is wanted.
    SideBySide(Box<Batch>, Option<Scorer>),
    OneByOne(Scorer),
}

/// Requests that are taken at a time, each with one text or a few: what a killed run loses at most.
const IN_FLIGHT: usize = 8;

/// Rows of logits that are kept while another model reads the same texts.
const KEPT_ROWS: usize = 256;

impl Texts {
    /// Loads a model folder, and holds the batched decoder against the other one.
    ///
    /// # Errors
    /// When it cannot be loaded, its weights are not plain, or the check failed.
    pub(super) fn load(model: &LoadModel) -> Result<(Self, Loaded)> {
        let native = model.engine == LocalEngine::Native;
        if model.gguf.is_some() || model.quantization.is_some() && !native {
            return Err(Error::Score(
                "scoring needs plain weights, or those that `engine: native` rounds: a GGUF file or a model quantised by \
                 mistral.rs cannot be scored"
                    .to_owned(),
            )
            .hint("score the folder, with `engine: native` where it is to be quantised"));
        }
        let rounding = match native {
            true => supported(model)?,
            false => Rounding::None,
        };
        let compute = Compute {
            device: Some(model.device.clone()),
            dtype: (model.dtype != "auto" && !native).then(|| model.dtype.clone()),
        };
        let device = compute.device_class()?.to_owned();
        let config = DecoderConfig::from_folder(&model.folder)?;
        let loaded = |dtype: &str| Loaded {
            engine: SCORER.to_owned(),
            device,
            dtype: dtype.to_owned(),
            max_in_flight: 1,
            checks: Vec::new(),
            proof: None,
        };
        let texts = |reads| Self {
            folder: model.folder.clone(),
            config: config.clone(),
            rounding,
            reads,
        };
        let (gpu, dtype) = compute.resolve()?;
        if !gpu.is_cpu() || dtype != candle_core::DType::F32 {
            let scorer = Scorer::load(&model.folder, &compute)?;
            let loaded = loaded(scorer.dtype_name());
            return Ok((texts(Reads::OneByOne(scorer)), loaded));
        }
        let origin = Origin::open(model, rounding)?;
        let text = origin.text(model)?;
        let parameters = origin.parameters()?;
        // What is scored needs no chat template.
        let plain = LoadModel {
            plain_text: true,
            ..model.clone()
        };
        let questions = agreement::questions(&config, parameters, &text, &plain)?;
        let Proven {
            batch,
            check,
            proof,
        } = match model.proof.as_deref() {
            Some(proof) if agreement::covers(proof, &questions) => {
                agreement::again(&origin, &text, proof)
            }
            _ => agreement::alone(&origin, &text, &questions),
        }?;
        let loaded = Loaded {
            max_in_flight: IN_FLIGHT,
            checks: vec![check],
            proof,
            ..loaded(&told(rounding))
        };
        Ok((texts(Reads::SideBySide(Box::new(batch), None)), loaded))
    }

    /// The longest prompt and continuation together, in tokens.
    pub(super) fn longest(&self) -> usize {
        self.config.longest_sequence()
    }

    pub(super) fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    /// ln p of each token of the continuations.
    pub(super) fn logprobs(&mut self, pairs: &[Pair]) -> Vec<Result<Vec<f64>>> {
        let scores =
            |scorer: &Scorer, pair: &Pair| scorer.token_logprobs(&pair.prompt, &pair.continuation);
        let (side_by_side, alone) = self.shared_out(pairs);
        let mut found: Vec<Option<Result<Vec<f64>>>> = pairs.iter().map(|_| None).collect();
        if let Reads::SideBySide(batch, _) = &mut self.reads {
            let places: Vec<usize> = side_by_side.iter().map(|(place, _)| *place).collect();
            let texts: Vec<Given> = side_by_side.into_iter().map(|(_, text)| text).collect();
            let rows = batch.read(&texts, |text, token, logits| {
                let pair = &pairs[places[text]];
                let scored = pair.continuation[token + 1 - pair.prompt.len()] as usize;
                ln_p(logits, scored).ok_or(token + 1)
            });
            for (place, row) in places.into_iter().zip(rows) {
                let scores: std::result::Result<Vec<f64>, usize> = row.into_iter().collect();
                found[place] = Some(scores.map_err(no_numbers));
            }
        }
        for place in alone {
            found[place] = Some(
                self.scorer()
                    .and_then(|scorer| scores(scorer, &pairs[place])),
            );
        }
        found
            .into_iter()
            .map(|found| found.unwrap_or_else(|| Err(Error::Score("no score".to_owned()))))
            .collect()
    }

    /// How far a model is from this one, its reference, on each continuation.
    pub(super) fn divergences(
        &mut self,
        model: Option<&mut Self>,
        pairs: &[Pair],
    ) -> Vec<Result<Vec<Divergence>>> {
        let Some(model) = model else {
            let same = |pair: &Pair| {
                let same = Divergence {
                    kl: 0.0,
                    top1_agree: true,
                };
                read_for(&pair.prompt, &pair.continuation, self.vocabulary())
                    .map(|_| vec![same; pair.continuation.len()])
            };
            return pairs.iter().map(same).collect();
        };
        let mut found: Vec<Option<Result<Vec<Divergence>>>> = pairs.iter().map(|_| None).collect();
        let (both, mut alone) = self.shared_out(pairs);
        let batched = matches!(
            (&self.reads, &model.reads),
            (Reads::SideBySide(..), Reads::SideBySide(..))
        );
        let (both, rest): (Vec<_>, Vec<_>) = both
            .into_iter()
            .partition(|(_, text)| batched && text.tokens.len() <= model.fixed());
        alone.extend(rest.into_iter().map(|(place, _)| place));
        if let (Reads::SideBySide(ours, _), Reads::SideBySide(theirs, _)) =
            (&mut self.reads, &mut model.reads)
        {
            for some in chunks_of_rows(&both) {
                let (places, texts): (Vec<usize>, Vec<Given>) = some.iter().cloned().unzip();
                let reference = ours.read(&texts, |_, _, logits| logits.to_vec());
                let rows = theirs.read(&texts, |text, token, logits| {
                    let reference = &reference[text][token - texts[text].first];
                    Divergence::between(reference, logits).map_err(|_| token + 1)
                });
                for (place, row) in places.into_iter().zip(rows) {
                    let row: std::result::Result<Vec<_>, usize> = row.into_iter().collect();
                    found[place] = Some(row.map_err(no_numbers));
                }
            }
        }
        for place in alone {
            let pair = &pairs[place];
            found[place] = Some(self.scorer().and_then(|reference| {
                divergences(reference, model.scorer()?, &pair.prompt, &pair.continuation)
            }));
        }
        found
            .into_iter()
            .map(|found| found.unwrap_or_else(|| Err(Error::Score("no divergence".to_owned()))))
            .collect()
    }

    /// The texts that are read side by side, and the places of those that go alone: what is refused among them.
    fn shared_out(&self, pairs: &[Pair]) -> (Vec<(usize, Given)>, Vec<usize>) {
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for (place, pair) in pairs.iter().enumerate() {
            let read = read_for(&pair.prompt, &pair.continuation, self.vocabulary());
            match (read, &self.reads) {
                (Ok(tokens), Reads::SideBySide(..)) if tokens.len() <= self.fixed() => {
                    let first = pair.prompt.len() - 1;
                    together.push((place, Given { tokens, first }));
                }
                _ => alone.push(place),
            }
        }
        (together, alone)
    }

    /// The longest text that is computed alike whatever comes behind it.
    fn fixed(&self) -> usize {
        self.config.fixed_length()
    }

    /// The decoder that reads one text at a time.
    fn scorer(&mut self) -> Result<&Scorer> {
        match &mut self.reads {
            Reads::OneByOne(scorer) => Ok(scorer),
            Reads::SideBySide(_, Some(scorer)) => Ok(scorer),
            Reads::SideBySide(_, scorer) => {
                Ok(scorer.insert(Scorer::rounded(&self.folder, self.rounding)?))
            }
        }
    }
}

/// Texts cut into runs of so many wanted rows, at least one text each.
fn chunks_of_rows(texts: &[(usize, Given)]) -> Vec<&[(usize, Given)]> {
    let mut chunks = Vec::new();
    let (mut start, mut rows) = (0, 0);
    for (index, (_, text)) in texts.iter().enumerate() {
        let more = text.tokens.len() - text.first;
        if index > start && rows + more > KEPT_ROWS {
            chunks.push(&texts[start..index]);
            (start, rows) = (index, 0);
        }
        rows += more;
    }
    if start < texts.len() {
        chunks.push(&texts[start..]);
    }
    chunks
}

/// ln p of a token; `None` where the logits are no numbers.
fn ln_p(logits: &[f32], token: usize) -> Option<f64> {
    let max = largest(logits, 1).ok()?.first()?.1;
    Some(f64::from(*logits.get(token)?) - ln_sum(logits, max))
}
