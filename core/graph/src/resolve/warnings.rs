//! What is worth a warning once the rows are known: prompts that say the same of every row, limits beyond the rows, gates that no
//! result of so few prompts can keep.

use std::collections::HashSet;
use std::path::Path;

use driftgauge_data::dataset::derangement;
use driftgauge_data::prompt::Templates;
use driftgauge_spec::spec::{Gate, MetricPath, Turn};
use driftgauge_spec::{Span, Text};
use driftgauge_stats::paired::{PairCounts, newcombe_paired};
use driftgauge_stats::proportion::wilson;
use indexmap::IndexMap;

use super::Resolver;
use crate::resolved::{ModelSource, ResolvedDataset, ResolvedEvaluation, ResolvedModel};

/// The plugins whose own number is a share of the prompts.
const SHARES: [&str; 2] = ["asr", "truthfulness"];
/// More prompts than anybody asks for.
const MANY: u64 = 100_000_000;

impl Resolver<'_> {
    /// Prompts in which a column is put, and which say the same of every row all the same.
    pub(super) fn constant_prompts(
        &mut self,
        datasets: &IndexMap<String, ResolvedDataset>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        let spec = self.spec;
        for (id, evaluation) in &spec.evaluations {
            let scored = evaluation.score.is_some()
                || evaluation.perplexity.is_some()
                || evaluation.kl.as_ref().is_some_and(|kl| kl.text.is_some());
            let resolved = evaluations.get(id.get());
            let Some((resolved, dataset)) = resolved
                .filter(|_| !scored)
                .and_then(|resolved| Some((resolved, datasets.get(&resolved.dataset)?)))
            else {
                continue;
            };
            let rows = dataset.rows.len().min(resolved.limit.unwrap_or(usize::MAX));
            if rows < 2 {
                continue;
            }
            let stand_ins = derangement(rows, resolved.shuffle_seed);
            let conditions = evaluation.conditions.values();
            let prompts = conditions.map(|condition| condition.prompt.as_slice());
            for prompt in prompts.chain([evaluation.prompt.as_slice()]) {
                let templates = Templates::default();
                let Some(last) = prompt
                    .iter()
                    .rev()
                    .find(|turn| !["system", "prefill"].contains(&turn.role()))
                else {
                    continue;
                };
                let text = last.template();
                if !text.contains("{{") && !text.contains("{%") {
                    continue;
                }
                let filled = |row: usize| -> Option<Vec<String>> {
                    let (row, other) = (&dataset.rows[row], &dataset.rows[stand_ins[row]]);
                    let fill = |turn: &Turn| match turn {
                        Turn::System(text) => {
                            let filled = templates.fill_present(text, row, Some(other)).ok()?;
                            Some(filled.unwrap_or_default())
                        }
                        turn => templates.fill(turn.template(), row, Some(other)).ok(),
                    };
                    prompt.iter().map(fill).collect()
                };
                let first = filled(0);
                if first.is_some() && (1..rows).all(|row| filled(row) == first) {
                    self.warn(
                        "constant",
                        text.span(),
                        format!("all {rows} rows of evaluation `{id}` are asked the same"),
                        "put in a column that differs between the rows: `{{ column }}`",
                    );
                }
            }
        }
    }

    /// Trainings that ask for more rows than there are.
    pub(super) fn limits(&mut self, datasets: &IndexMap<String, ResolvedDataset>) {
        let spec = self.spec;
        for model in spec.models.values() {
            let finetune = model.finetune.iter().flat_map(|training| training.parts());
            let pretrain = model.pretrain.iter().flat_map(|training| training.parts());
            for part in finetune.chain(pretrain) {
                let rows = datasets
                    .get(part.dataset.get())
                    .and_then(|d| d.rows_selected);
                if let (Some(limit), Some(rows)) = (part.limit, rows) {
                    self.beyond(limit.span(), **limit, rows);
                }
            }
        }
    }

    /// Says that a limit is beyond the rows that there are.
    pub(super) fn beyond(&mut self, span: Span, limit: usize, rows: usize) {
        if limit > rows && rows > 0 {
            self.warn(
                "no-effect",
                span,
                format!("`limit: {limit}` is beyond the {rows} rows that there are"),
                "all of them are used; lower it, or take it out",
            );
        }
    }

    /// Adapters as wide as the model in a folder.
    pub(super) fn ranks(&mut self, models: &IndexMap<String, ResolvedModel>) {
        let spec = self.spec;
        let mut told = HashSet::new();
        for (id, model) in &spec.models {
            let Some(finetune) = &model.finetune else {
                continue;
            };
            let lora = spec.finetune.get(finetune.settings.get().as_str());
            let Some(lora) = lora.and_then(|settings| settings.lora.as_ref()) else {
                continue;
            };
            let mut root = models.get(id.get());
            while let Some(base) = root.and_then(|model| model.source.base()) {
                root = models.get(base);
            }
            let width = match root.map(|root| &root.source) {
                Some(ModelSource::Folder {
                    path, gguf: None, ..
                }) => width(path),
                _ => None,
            };
            if let Some(width) = width
                && *lora.rank as u64 > width
                && told.insert(lora.rank.span())
            {
                self.warn(
                    "no-effect",
                    lora.rank.span(),
                    format!("`rank: {}` is more than the width of the model that `{id}` is made from, {width}", lora.rank),
                    "an update of a matrix has no higher rank than the matrix: lower it, or train every weight with `full: true`",
                );
            }
        }
    }

    /// Gates on the bound of an interval that so few prompts cannot give, whatever the answers.
    pub(super) fn reachable(
        &mut self,
        datasets: &IndexMap<String, ResolvedDataset>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        let spec = self.spec;
        let level = spec.compare.as_ref().map_or(0.95, |compare| *compare.level);
        for gate in &spec.gates {
            let Some(n) = self.prompts_behind(gate, datasets, evaluations) else {
                continue;
            };
            let at_best = |n: u64, bound: Bound| bound.at_best(n, level);
            for (key, limit, bound) in [
                ("upper", &gate.upper, Bound::Upper),
                ("lower", &gate.lower, Bound::Lower),
                ("drop", &gate.drop, Bound::Difference),
                ("rise", &gate.rise, Bound::Difference),
            ] {
                let Some(limit) = limit else { continue };
                let wanted = **limit;
                if !(wanted > 0.0 && wanted < 1.0) {
                    continue;
                }
                let keeps =
                    |n: u64| at_best(n, bound).is_some_and(|best| bound.keeps(best, wanted));
                if keeps(n) || !keeps(MANY) {
                    continue;
                }
                let needed = least(n, keeps);
                let best = at_best(n, bound).unwrap_or_default();
                self.warn(
                    "too-few-prompts",
                    limit.span(),
                    format!(
                        "`{key}: {wanted}` cannot be kept with {n} prompts: {} at best",
                        bound.told(n, best)
                    ),
                    &format!("{needed} prompts are needed; or loosen the limit"),
                );
            }
        }
    }

    /// The prompts behind the share that a gate limits; `None` for other numbers.
    fn prompts_behind(
        &self,
        gate: &Gate,
        datasets: &IndexMap<String, ResolvedDataset>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) -> Option<u64> {
        let path = MetricPath::parse(gate.metric.get()).filter(|path| path.number.is_none())?;
        let plugin: &Text = self.spec.metrics.get(path.metric)?.plugin.as_ref()?;
        let evaluation = evaluations.get(path.evaluation)?;
        // Several answers to a prompt say more than one.
        if !SHARES.contains(&plugin.get().as_str()) || evaluation.generate.samples > 1 {
            return None;
        }
        let rows = datasets.get(&evaluation.dataset)?.rows_selected?;
        Some(rows.min(evaluation.limit.unwrap_or(usize::MAX)) as u64).filter(|n| *n > 0)
    }
}

/// Which end of which interval a gate looks at.
#[derive(Clone, Copy)]
enum Bound {
    Upper,
    Lower,
    Difference,
}

impl Bound {
    /// The bound where every answer is as the gate wants it.
    fn at_best(self, n: u64, level: f64) -> Option<f64> {
        match self {
            Self::Upper => Some(wilson(0, n, level)?.high),
            Self::Lower => Some(wilson(n, n, level)?.low),
            Self::Difference => {
                let same = PairCounts {
                    neither: n,
                    ..PairCounts::default()
                };
                Some(newcombe_paired(same, level)?.high)
            }
        }
    }

    fn keeps(self, best: f64, wanted: f64) -> bool {
        match self {
            Self::Lower => best >= wanted,
            Self::Upper | Self::Difference => best <= wanted,
        }
    }

    fn told(self, n: u64, best: f64) -> String {
        match self {
            Self::Upper => format!("0 of {n} have an upper bound of {best:.3}"),
            Self::Lower => format!("{n} of {n} have a lower bound of {best:.3}"),
            Self::Difference => format!("answers that are all as before have a bound of {best:.3}"),
        }
    }
}

/// The least number of prompts from `n` on that keeps a limit which many keep.
fn least(n: u64, keeps: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (n, MANY);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if keeps(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

fn width(folder: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(folder.join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    config["hidden_size"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_needed_number_of_prompts_is_the_least() {
        // 0 of 34 has 0.1016, 0 of 35 has 0.0989 (z² / (n + z²), z = 1.959964).
        let keeps = |n| {
            Bound::Upper
                .at_best(n, 0.95)
                .is_some_and(|best| Bound::Upper.keeps(best, 0.1))
        };
        assert!(!keeps(34) && keeps(35));
        assert_eq!(least(12, keeps), 35);
    }
}
