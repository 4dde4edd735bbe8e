//! From values to numbers: means by condition, and split by correctness.

use std::collections::BTreeMap;

use driftgauge_plugin_sdk::prelude::*;

use super::config::{OF_ANSWERS, OF_TEXTS, RECORDED};
use super::{Gathered, Measure, Uncertainty};
use crate::columns::Column;

/// Numbers whose intervals are drawn alone.
pub(super) const DRAWN: [&str; 4] = ["ece*", "brier", "aurc", "prr"];

/// Every number; which of them stands for the metric is configured.
pub(super) fn listed() -> Vec<String> {
    let ids = Measure::all(RECORDED).map(|measure| match measure {
        Measure::TopEntropy(_) => "top{top_k}_entropy".to_owned(),
        Measure::TopEntropyRenormalised(_) => "top{top_k}_entropy_renormalised".to_owned(),
        other => other.id().into_owned(),
    });
    let measures = ids
        .iter()
        .flat_map(|id| ["", "_correct", "_incorrect"].map(|suffix| format!("{id}{suffix}")));
    let others = ["ece*"].iter().chain(&OF_ANSWERS).chain(&OF_TEXTS);
    measures.chain(others.map(|&id| id.to_owned())).collect()
}

/// What each number is absent without.
pub(super) fn reading(manifest: Manifest) -> Manifest {
    let of_ten = [
        "top{top_k}_entropy*",
        "entropy_lower_bound*",
        "entropy_upper_bound*",
    ];
    let of_tokens = [
        "perplexity*",
        "mean_token_probability*",
        "min_token_probability*",
        "sequence_logprob*",
        "mean_nll*",
        "sequence_probability*",
    ];
    let manifest = of_ten.iter().fold(manifest, |manifest, id| {
        manifest.reads(id, &["token_top10_entropy"])
    });
    let manifest = of_tokens.iter().fold(manifest, |manifest, id| {
        manifest.reads(id, &["token_logprob"])
    });
    let split = listed().into_iter().filter(|id| id.ends_with("correct"));
    let others = OF_ANSWERS.iter().map(|&id| id.to_owned());
    let manifest = split.chain(others).fold(manifest, |manifest, id| {
        manifest.reads(&id, &["value.correct"])
    });
    let manifest = OF_TEXTS.iter().fold(manifest, |manifest, id| {
        manifest.reads(id, &["value.text_logprob"])
    });
    manifest
        .reads("ece*", &["value.correct"])
        .reads("self_inconsistency*", &["sample_index"])
        .reads("token_entropy*", &["token_entropy"])
        .reads("margin*", &["token_margin"])
}

/// What the numbers may be. A measure may have no bound on either side; so may the one that stands for the metric where the
/// configuration does not name it.
pub(super) fn ranged(mut manifest: Manifest) -> Manifest {
    let positive = (0.0, UNBOUNDED);
    let share = (0.0, 1.0);
    for (id, (low, high)) in [
        ("mean_token_probability", share),
        ("min_token_probability", share),
        ("sequence_probability", share),
        ("margin", share),
        ("self_inconsistency", share),
        ("perplexity", (1.0, UNBOUNDED)),
        ("corpus_perplexity", (1.0, UNBOUNDED)),
        ("sequence_logprob", (-UNBOUNDED, 0.0)),
        ("top{top_k}_entropy", positive),
        ("top{top_k}_entropy_renormalised", positive),
        ("mean_nll", positive),
    ] {
        for suffix in ["", "_correct", "_incorrect"] {
            manifest = manifest.range(&format!("{id}{suffix}"), low, high);
        }
    }
    manifest
        .range("ece*", 0.0, 1.0)
        .range("brier", 0.0, 1.0)
        .range("auroc", 0.0, 1.0)
        .range("aurc", 0.0, 1.0)
        .range("overconfidence", -1.0, 1.0)
        // At random it is 0, and there is no limit to how much worse it can be.
        .range("prr", -UNBOUNDED, 1.0)
        .range("loss", 0.0, UNBOUNDED)
        .range("token_loss", 0.0, UNBOUNDED)
        .stands_for("{primary}")
}

impl Uncertainty {
    /// Every number that is asked for, and where all are, tables and charts.
    pub(super) fn report(mut self) -> MetricOutput {
        self.conditions
            .values_mut()
            .for_each(|gathered| gathered.fill_inconsistency(&self.measures));
        let mut output = MetricOutput::new();
        let mut calibration = Vec::new();
        for (condition, gathered) in self.conditions.iter() {
            if !gathered.texts.is_empty() {
                let how = (&self.asked, self.estimator);
                gathered
                    .texts
                    .report(condition, &self.prompts, how, &mut output);
                continue;
            }
            for (index, measure) in self.measures.iter().enumerate() {
                self.measure(condition, gathered, index, *measure, &mut output);
            }
            calibration.extend(self.calibration(condition, gathered, &mut output));
            self.notes(condition, gathered, &mut output.notes);
        }
        if output.scalars.is_empty() && !self.conditions.is_empty() && !self.asked.is_all() {
            output.notes.push(self.nothing_asked());
        }
        self.calibration_parts(&calibration, &mut output);
        output.scalars.sort_by_key(|scalar| !scalar.primary);
        output
    }

    /// What is said where the samples are of the other kind than the numbers that are asked for.
    fn nothing_asked(&self) -> String {
        let ids: Vec<String> = self.asked.listed().map(|id| format!("`{id}`")).collect();
        format!(
            "None of the numbers that `statistics` asks for is one of these samples: {}. {} are numbers of given texts, the others of answers.",
            ids.join(", "),
            OF_TEXTS.map(|id| format!("`{id}`")).join(", ")
        )
    }

    fn notes(&self, condition: &str, gathered: &Gathered, notes: &mut Vec<String>) {
        if gathered.without > 0 {
            notes.push(format!(
                "Condition `{condition}`: {} of {} completions have no token statistics; they are left out.",
                gathered.without,
                gathered.prompt.len()
            ));
        }
        let unknown = gathered.unknown(self.primary, &self.measures);
        if unknown > gathered.without {
            notes.push(format!(
                "Condition `{condition}`: {} of {} completions do not tell their {}; they are left out of it.",
                unknown - gathered.without,
                gathered.prompt.len(),
                self.primary.title().to_lowercase()
            ));
        }
        if gathered.undropped > 0 {
            notes.push(format!(
                "Condition `{condition}`: nothing was dropped of {} of {} completions by `eos: drop`, though they stopped: their last \
                 token is not marked as the end token (a recording says it in the column `ends_with_eos`).",
                gathered.undropped,
                gathered.prompt.len()
            ));
        }
        notes.extend(gathered.basis.notes(condition, self.marker));
        if !gathered.failed.is_empty() {
            notes.push(format!(
                "Condition `{condition}`: {} completions were not made; they are left out.",
                gathered.failed.len()
            ));
        }
    }

    /// The mean of one measure, over all answers and over the correct and the incorrect ones.
    fn measure(
        &self,
        condition: &str,
        gathered: &Gathered,
        index: usize,
        measure: Measure,
        output: &mut MetricOutput,
    ) {
        let Some(values) = gathered.values.get(index) else {
            return;
        };
        // It is the same for all completions of a prompt, and nothing where each has one.
        if measure == Measure::SelfInconsistency && !gathered.repeated {
            return;
        }
        for (suffix, words, wanted) in [
            ("", "", None),
            ("_correct", ", correct answers", Some(true)),
            ("_incorrect", ", incorrect answers", Some(false)),
        ] {
            let id = format!("{}{suffix}", measure.id());
            if !self.asked.has(&id) {
                continue;
            }
            let column = gathered.column(values, wanted);
            if column.total() == 0 && wanted.is_some() {
                continue;
            }
            let mut scalar = Scalar::new(&id, &format!("{}{words}", measure.title()), condition)
                .unit(measure.unit())
                .formula(&self.formula(gathered, index, measure, wanted));
            if wanted.is_some() {
                scalar = scalar.selected();
            } else {
                let scores = &mut output.scores;
                column.add_scores(&id, condition, &self.prompts, scores);
            }
            let estimate = self.estimator.mean(&column, measure.range());
            self.push(estimate.fill(scalar), output);
        }
    }
}

impl Uncertainty {
    /// Adds a number, marked where it is the one that stands for the metric.
    pub(super) fn push(&self, mut scalar: Scalar, output: &mut MetricOutput) {
        scalar.primary = scalar.id == self.main;
        output.scalars.push(scalar);
    }

    /// The formula as it was configured: whose probability, which positions, averaged how, over which answers.
    fn formula(
        &self,
        gathered: &Gathered,
        index: usize,
        measure: Measure,
        wanted: Option<bool>,
    ) -> String {
        let mut parts = vec![measure.formula().into_owned()];
        let (recorded, computed) = gathered.told.get(index).copied().unwrap_or_default();
        // What has no value at all would have had one from tokens.
        let of_tokens = computed > 0 || recorded == 0;
        if of_tokens && measure != Measure::SelfInconsistency {
            if measure.is_of_token() {
                parts.push(self.token.words().to_owned());
            }
            parts.push(self.eos.words().to_owned());
        }
        if recorded > 0 {
            let place = gathered.named.get(index).copied().unwrap_or_default();
            let field = &self.fields[index][place];
            let name = field.strip_prefix("value.").unwrap_or(field);
            let part = if computed > 0 { "partly " } else { "" };
            parts.push(format!("{part}as recorded in `{name}`"));
        }
        // It is one number for all completions of a prompt.
        let over = if gathered.asked_again && measure != Measure::SelfInconsistency {
            "mean over prompts of the mean over a prompt's completions"
        } else {
            "mean over prompts"
        };
        let rule = self.marker.rule();
        parts.push(match wanted {
            None => over.to_owned(),
            Some(true) => format!("{over}, of answers {}", gathered.basis.words(rule)),
            Some(false) => format!("{over}, of answers not {}", gathered.basis.words(rule)),
        });
        parts.join("; ")
    }
}

impl Gathered {
    /// How many completions have no value of the measure. What only several completions tell is none of a single one.
    fn unknown(&self, measure: Measure, measures: &[Measure]) -> u64 {
        let place = measures.iter().position(|other| *other == measure);
        match place.and_then(|place| self.values.get(place)) {
            Some(values) if measure != Measure::SelfInconsistency => {
                values.iter().filter(|value| value.is_nan()).count() as u64
            }
            _ => 0,
        }
    }

    /// The values by prompt, all of them or those of answers that are correct or not. Among all of them stand also the
    /// prompts without a value: models are compared on the same prompts.
    pub(super) fn column(&self, values: &[f64], wanted: Option<bool>) -> Column {
        let answers = values.iter().zip(&self.prompt).zip(&self.correct);
        let kept = answers
            .map(|((value, row), correct)| (*row, value.is_finite().then_some(*value), *correct))
            .filter(|(_, value, correct)| wanted.is_none() || value.is_some() && *correct == wanted)
            .map(|(row, value, _)| (row, value));
        let failed = self.failed.iter().filter(|_| wanted.is_none());
        let kept = kept.chain(failed.map(|row| (*row, None)));
        let mut column = Column::default();
        let mut add = |(row, value): (u32, Option<f64>)| column.add(row as usize, value);
        if self.repeated {
            // Sums of several values must not depend on the order in which completions came.
            let last = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
            let mut kept: Vec<_> = kept.collect();
            kept.sort_by(|a, b| a.0.cmp(&b.0).then(last(a.1).total_cmp(&last(b.1))));
            kept.into_iter().for_each(add);
        } else {
            kept.for_each(&mut add);
        }
        column
    }

    /// `1 - max_a freq(a)` over the normalised answers of each prompt, where several were sampled.
    fn fill_inconsistency(&mut self, measures: &[Measure]) {
        let wanted = |measure: &Measure| *measure == Measure::SelfInconsistency;
        let Some(index) = measures.iter().position(wanted) else {
            return;
        };
        if !self.repeated {
            return;
        }
        let mut answers: BTreeMap<u32, BTreeMap<u64, u32>> = BTreeMap::new();
        for (row, answer) in self.prompt.iter().zip(&self.answer) {
            *answers.entry(*row).or_default().entry(*answer).or_default() += 1;
        }
        let inconsistency = |counts: &BTreeMap<u64, u32>| {
            let total: u32 = counts.values().sum();
            let most = counts.values().copied().max().unwrap_or(0);
            1.0 - f64::from(most) / f64::from(total)
        };
        self.values[index] = self
            .prompt
            .iter()
            .map(|row| inconsistency(&answers[row]))
            .collect();
    }
}
