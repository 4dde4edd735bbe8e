//! What is kept of an answer while it is written: tokens, their statistics, and where it ends.

use std::sync::Arc;

use driftgauge_engine::Sampling;
use driftgauge_problem::Problem;
use driftgauge_record::FinishReason;

use super::sampling::choose;
use super::statistics::Distribution;
use super::text::Text;
use crate::logits::NotFinite;

/// How one answer is written.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Limit on its tokens.
    pub max_tokens: usize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// Tokens that end it.
    pub end_tokens: Arc<[u32]>,
    /// Strings that end it.
    pub stop: Vec<String>,
    /// Sets of tokens whose ln p together is wanted at every position.
    pub watch: Vec<Vec<u32>>,
    /// How many of the likeliest tokens' ln p are kept at every position.
    pub top_logprobs: usize,
}

impl Plan {
    /// The most likely tokens, so many of them whatever they are.
    #[must_use]
    pub fn probe(tokens: usize) -> Self {
        Self {
            max_tokens: tokens,
            sampling: Sampling::greedy(),
            end_tokens: Arc::new([]),
            stop: Vec::new(),
            watch: Vec::new(),
            top_logprobs: 0,
        }
    }
}

/// What was recorded of one answer. The lists have one entry per token.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Recording {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// ln p of each.
    pub logprob: Vec<f32>,
    /// ln p of the most likely token.
    pub top1_logprob: Vec<f32>,
    /// p of the most likely token minus p of the second.
    pub margin: Vec<f32>,
    /// -sum p ln p over the ten most likely tokens.
    pub top10_entropy: Vec<f32>,
    /// Total probability of the ten most likely tokens.
    pub top10_mass: Vec<f32>,
    /// -sum p ln p over the vocabulary.
    pub entropy: Vec<f32>,
    /// ln p of the likeliest tokens: several entries per token.
    pub top_logprobs: Vec<f32>,
    /// ln p of each watched set: a list per token.
    pub watched: Vec<Vec<f32>>,
    /// Why the answer ended, once it has.
    pub finish: Option<FinishReason>,
    /// Whether the last token is an end token.
    pub ends_with_eos: bool,
    /// Where the text is cut, when a stop string ended it.
    pub cut: Option<usize>,
}

impl Recording {
    /// Reads the logits of the next token, chooses it and finds out whether it is the last.
    ///
    /// # Errors
    /// When the logits are no numbers.
    pub fn read(&mut self, logits: &[f32], plan: &Plan, text: &Text) -> Result<(), Problem> {
        let position = self.tokens.len();
        let distribution = Distribution::of(logits).map_err(|bad| not_finite(bad, position))?;
        let token = choose(logits, &distribution, &plan.sampling, position);
        if !plan.watch.is_empty() {
            let together = |ids: &Vec<u32>| {
                let known = ids.iter().filter_map(|&id| logits.get(id as usize));
                let p: f64 = known.map(|&logit| distribution.ln_p(logit).exp()).sum();
                p.ln().clamp(f64::from(f32::MIN), 0.0) as f32
            };
            self.watched.push(plan.watch.iter().map(together).collect());
        }
        self.push(token, logits[token as usize], &distribution);
        let likeliest = distribution.likeliest(logits, plan.top_logprobs);
        self.top_logprobs.extend(likeliest);
        self.end(token, plan, text);
        Ok(())
    }

    fn push(&mut self, token: u32, logit: f32, distribution: &Distribution) {
        self.tokens.push(token);
        self.logprob.push(distribution.ln_p(logit) as f32);
        self.top1_logprob.push(distribution.top1_ln_p() as f32);
        self.margin.push(distribution.margin() as f32);
        self.top10_entropy.push(distribution.top_entropy() as f32);
        self.top10_mass.push(distribution.top_mass() as f32);
        self.entropy.push(distribution.entropy() as f32);
    }

    /// Decides whether the answer ends with this token.
    fn end(&mut self, token: u32, plan: &Plan, text: &Text) {
        if plan.end_tokens.contains(&token) {
            self.ends_with_eos = true;
            self.finish = Some(FinishReason::Stop);
            return;
        }
        if !plan.stop.is_empty() {
            let text = text.decode(&self.tokens);
            let found = plan.stop.iter().filter_map(|s| text.find(s.as_str()));
            self.cut = found.min();
            if self.cut.is_some() {
                self.finish = Some(FinishReason::Stop);
                return;
            }
        }
        if self.tokens.len() >= plan.max_tokens {
            self.finish = Some(FinishReason::Length);
        }
    }
}

fn not_finite(bad: NotFinite, position: usize) -> Problem {
    Problem::failed(format!(
        "{} of {} logits at token {position} of the answer are NaN or infinite",
        bad.count, bad.of
    ))
    .help("look for NaN in the weights, or for an overflow of f16 (`dtype: f32`)")
}
