//! Evaluations: what is asked of whom, how it is generated, judged and scored, and the templates in it.

use std::collections::HashSet;

use super::{Checker, unknown};
use crate::diagnostic::Diagnostic;
use crate::located::Text;
use crate::spec::{Evaluation, Metric};

impl Checker<'_> {
    pub(super) fn evaluations(&mut self) {
        let spec = self.spec;
        for (id, evaluation) in &spec.evaluations {
            self.evaluation(id, evaluation);
        }
    }

    fn evaluation(&mut self, id: &Text, evaluation: &Evaluation) {
        let spec = self.spec;
        if evaluation.models.is_empty() {
            self.error(
                Diagnostic::error("no-models", format!("evaluation `{id}` asks no model"))
                    .at(id.span(), ""),
            );
        }
        let mut seen = HashSet::new();
        for model in &evaluation.models {
            if !spec.models.contains_key(model.get().as_str()) {
                self.error(unknown("model", model, &spec.models));
            }
            self.recording(id, model);
            if !seen.insert(model.get()) {
                self.error(
                    Diagnostic::error("twice", format!("model `{model}` is listed twice"))
                        .at(model.span(), "again"),
                );
            }
        }
        if !spec
            .datasets
            .contains_key(evaluation.dataset.get().as_str())
        {
            self.error(unknown("dataset", &evaluation.dataset, &spec.datasets));
        }
        for metric in &evaluation.metrics {
            if !spec.metrics.contains_key(metric.get().as_str()) {
                self.error(unknown("metric", metric, &spec.metrics));
            }
        }
        self.twin(id, evaluation);
        self.refusals(id, evaluation);
        if let Some(other) = &evaluation.over_refusal_of
            && !spec.evaluations.contains_key(other.get().as_str())
        {
            self.error(unknown("evaluation", other, &spec.evaluations));
        }
        self.prompts(id, evaluation);
        for (judge_id, judge) in &evaluation.judges {
            self.judge(judge_id, judge);
        }
        if let Some(examples) = &evaluation.examples {
            self.examples(evaluation, examples);
        }
        self.judge_check(id, evaluation);
        self.divergence(evaluation);
        let templates = evaluation
            .reference
            .iter()
            .flat_map(|reference| reference.as_slice())
            .chain(&evaluation.wrong_answer)
            .chain(&evaluation.behavior)
            .chain(evaluation.kl.as_ref().and_then(|kl| kl.text.as_ref()))
            .chain(
                evaluation
                    .perplexity
                    .as_ref()
                    .map(|perplexity| &perplexity.text),
            );
        for template in templates {
            self.template(template);
        }
        if let Some(generate) = &evaluation.generate {
            if *generate.samples > 1
                && let Some(key) = scored_by(evaluation)
            {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        format!("`samples` does not go with `{key}`"),
                    )
                    .at(generate.samples.span(), "nothing is drawn here")
                    .help("given text has one probability; leave `samples` out, or draw answers in an evaluation of their own"),
                );
            }
            let recorded = |model: &Text| {
                let found = spec.models.get(model.get().as_str());
                found.is_some_and(|model| model.recorded.is_some())
            };
            let generated = !evaluation.models.iter().all(recorded);
            if *generate.samples > 1 && *generate.temperature == 0.0 && generated {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        "several greedy samples of one prompt are all the same",
                    )
                    .at(generate.samples.span(), "")
                    .help("set a `temperature` above 0, or drop `samples`"),
                );
            }
        }
    }

    /// An over-refusal twin measures refusals, not attacks.
    fn twin(&mut self, id: &Text, evaluation: &Evaluation) {
        let Some(of) = &evaluation.over_refusal_of else {
            return;
        };
        let spec = self.spec;
        let metrics = || {
            let ids = evaluation.metrics.iter();
            ids.filter_map(|id| spec.metrics.get(id.get().as_str()))
        };
        let counts_refusals = |metric: &Metric| {
            let config = metric.config.as_ref();
            config.is_some_and(|config| config["over_refusal"] == true)
        };
        // Another plugin may count refusals under a name of its own.
        let is_asr = |metric: &Metric| metric.plugin.as_ref().is_some_and(|id| *id == *"asr");
        if metrics().any(is_asr) && !metrics().any(counts_refusals) {
            self.error(
                Diagnostic::error(
                    "no-twin",
                    format!("evaluation `{id}` stands for over-refusal, and none of its metrics counts refusals"),
                )
                .at(of.span(), "")
                .help("give it a metric of its own: `{plugin: asr, config: {over_refusal: true}}`"),
            );
        }
    }

    /// A judge of harm calls a helpful answer safe, which would be counted as a refusal.
    fn refusals(&mut self, id: &Text, evaluation: &Evaluation) {
        let spec = self.spec;
        for metric in &evaluation.metrics {
            let Some(config) = spec.metrics.get(metric.get().as_str()).and_then(asr_config) else {
                continue;
            };
            if config["over_refusal"] != true {
                continue;
            }
            let named = config["judge"].as_str();
            let asked = |judge: &&Text| named.is_none_or(|named| **judge == *named);
            let mut judges = evaluation.judges.iter().filter(|(id, _)| asked(id));
            let Some((judge, kind)) = judges.next() else {
                continue;
            };
            if !kind.is_of_harm() || judges.any(|(_, kind)| !kind.is_of_harm()) {
                continue;
            }
            self.error(
                Diagnostic::error(
                    "harm-judge",
                    format!(
                        "metric `{metric}` of evaluation `{id}` counts refusals, and `{judge}` ({}) judges harm: it calls a helpful answer safe",
                        kind.key()
                    ),
                )
                .at(judge.span(), "")
                .help("ask a judge of refusals, as `{refusal_strings: gcg}` or a `prompt` whose `safe` words say that it refused"),
            );
        }
    }

    /// A recorded model needs exactly one recording that serves the evaluation.
    fn recording(&mut self, evaluation: &Text, model: &Text) {
        let spec = self.spec;
        let found = spec.models.get(model.get().as_str());
        let Some(recordings) = found.and_then(|model| model.recorded.as_ref()) else {
            return;
        };
        let serving = recordings
            .as_slice()
            .iter()
            .filter(|recording| recording.serves(evaluation))
            .count();
        let judges = spec.evaluations.get(evaluation.get().as_str());
        let judges = judges.into_iter().flat_map(|asked| asked.judges.keys());
        for judge in judges {
            let twice = recordings
                .as_slice()
                .iter()
                .filter(|recording| recording.serves(evaluation));
            let mut ids = twice.flat_map(|recording| recording.columns.verdicts.keys());
            if let Some(recorded) = ids.find(|id| id.get() == judge.get()) {
                self.error(
                    Diagnostic::error(
                        "two-judges",
                        format!("verdicts of judge `{judge}` on model `{model}` are recorded, and would be made anew"),
                    )
                    .at(judge.span(), "this judge is asked")
                    .at(recorded.span(), "these are recorded")
                    .help("give one of them another id; both are then reported, with their agreement"),
                );
            }
        }
        if serving != 1 {
            let problem = match serving {
                0 => format!("no recording of model `{model}` serves evaluation `{evaluation}`"),
                _ => format!(
                    "{serving} recordings of model `{model}` serve evaluation `{evaluation}`"
                ),
            };
            self.error(
                Diagnostic::error("one-source", problem)
                    .at(model.span(), "")
                    .help("say which evaluations each recording serves with `evaluations: [...]`"),
            );
        }
    }

    /// A divergence needs a reference, and tokens to compare on.
    fn divergence(&mut self, evaluation: &Evaluation) {
        let Some(kl) = &evaluation.kl else { return };
        if !self.spec.models.contains_key(kl.reference.get().as_str()) {
            self.error(unknown("model", &kl.reference, &self.spec.models));
        }
        let scored = evaluation.score.is_some() || evaluation.perplexity.is_some();
        if scored && kl.text.is_none() {
            self.error(
                Diagnostic::error(
                    "not-together",
                    "an evaluation that scores given text has no completions to compare on",
                )
                .at(kl.reference.span(), "")
                .help("give `kl` a `text`, or move it to an evaluation that generates"),
            );
        }
    }

    fn prompts(&mut self, id: &Text, evaluation: &Evaluation) {
        let recorded = |model: &Text| {
            let model = self.spec.models.get(model.get().as_str());
            model.is_none_or(|model| model.recorded.is_some())
        };
        let all_recorded = evaluation.models.iter().all(recorded);
        if !evaluation.prompt.is_empty() && !evaluation.conditions.is_empty() {
            self.error(
                Diagnostic::error(
                    "not-together",
                    format!("evaluation `{id}` has both `prompt` and `conditions`"),
                )
                .at(id.span(), "")
                .help("a single prompt needs no conditions"),
            );
        }
        let kl_text = evaluation.kl.as_ref().is_some_and(|kl| kl.text.is_some());
        let only_scored = kl_text && evaluation.generate.is_none() && evaluation.judges.is_empty();
        let given = evaluation.perplexity.is_some() || only_scored || all_recorded;
        if evaluation.prompt.is_empty() && evaluation.conditions.is_empty() && !given {
            self.error(
                Diagnostic::error("no-prompt", format!("evaluation `{id}` asks nothing"))
                    .at(id.span(), "needs `prompt` or `conditions`"),
            );
        }
        self.turns(&evaluation.prompt);
        for (condition_id, condition) in &evaluation.conditions {
            if condition.prompt.is_empty() && !given {
                self.error(
                    Diagnostic::error(
                        "no-prompt",
                        format!("condition `{condition_id}` asks nothing"),
                    )
                    .at(condition_id.span(), "needs a `prompt`"),
                );
            }
            self.turns(&condition.prompt);
        }
    }
}

/// The key by which given text is scored instead of anything being generated.
fn scored_by(evaluation: &Evaluation) -> Option<&'static str> {
    if evaluation.score.is_some() {
        return Some("score");
    }
    evaluation.perplexity.is_some().then_some("perplexity")
}

/// Settings of a metric of the plugin `asr`.
fn asr_config(metric: &Metric) -> Option<&serde_json::Value> {
    let is_asr = metric.plugin.as_ref().is_some_and(|id| *id == *"asr");
    metric.config.as_deref().filter(|_| is_asr)
}
