//! The loss over given texts (`perplexity` of an evaluation): whether a model still knows the language it spoke.

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_stats::summary::ExactSum;

use super::config::OF_TEXTS;
use super::{ROUNDING, impossible};
use crate::asked::Asked;
use crate::columns::{Column, Prompts};
use crate::estimate::{Estimator, FROM_ZERO};

/// Losses of the texts of one condition.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// -mean l of each text.
    loss: Column,
    /// -sum l over all texts.
    total: ExactSum,
    tokens: u64,
    texts: u64,
}

impl Texts {
    pub(super) fn add(&mut self, row: usize, logprob: &[f64]) -> Result<(), MetricError> {
        let bad = |&l: &f64| !l.is_finite() || l > f64::from(ROUNDING);
        if let Some(place) = logprob.iter().position(bad) {
            return Err(impossible(format!(
                "`text_logprob` is {} at token {place}, which is no logarithm of a possible probability",
                logprob[place]
            )));
        }
        let loss: f64 = -logprob.iter().sum::<f64>();
        self.loss.add(row, Some(loss / logprob.len() as f64));
        self.total.add(loss);
        self.tokens += logprob.len() as u64;
        self.texts += 1;
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    pub(super) fn report(
        &self,
        condition: &str,
        prompts: &Prompts,
        (asked, estimator): (&Asked, Estimator),
        output: &mut MetricOutput,
    ) {
        let main = OF_TEXTS.into_iter().find(|id| asked.has(id));
        let mut push = |mut scalar: Scalar| {
            if asked.has(&scalar.id) {
                scalar.primary = Some(scalar.id.as_str()) == main;
                output.scalars.push(scalar);
            }
        };
        let loss = Scalar::new("loss", "Held-out loss", condition)
            .unit("nats")
            .formula("mean over texts of -(1/T) sum_t ln p_t")
            .lower_is_better();
        push(estimator.mean(&self.loss, FROM_ZERO).fill(loss));
        let per_token = self
            .total
            .value()
            .map(|total| total / self.tokens.max(1) as f64);
        let of_tokens = |id: &str, title: &str, formula: &str, value: Option<f64>, unit: &str| {
            Scalar::new(id, title, condition)
                .value(value.filter(|value| value.is_finite()), self.texts)
                .unit(unit)
                .formula(formula)
                .lower_is_better()
        };
        push(of_tokens(
            "token_loss",
            "Held-out loss per token",
            "-(sum over all tokens of all texts of ln p) / (number of tokens)",
            per_token,
            "nats",
        ));
        push(of_tokens(
            "corpus_perplexity",
            "Perplexity of the texts",
            "exp(held-out loss per token)",
            per_token.map(f64::exp),
            "perplexity",
        ));
        if asked.has("loss") {
            let scores = &mut output.scores;
            self.loss.add_scores("loss", condition, prompts, scores);
        }
    }
}
