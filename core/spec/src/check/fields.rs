//! What the metrics that come with driftgauge cannot work without, and the evaluation does not give; judges that judge
//! themselves; prompts that are answered already.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::located::Text;
use crate::spec::{Evaluation, Judge, Model, Recorded, Turn};

impl Checker<'_> {
    pub(super) fn fields(&mut self) {
        let spec = self.spec;
        for (id, evaluation) in &spec.evaluations {
            self.needed(id, evaluation);
            self.judging_itself(evaluation);
            let conditions = evaluation.conditions.values();
            let prompts = conditions.map(|condition| condition.prompt.as_slice());
            for prompt in prompts.chain([evaluation.prompt.as_slice()]) {
                self.answered(prompt);
                self.prefilled(evaluation, prompt);
            }
            for judge in evaluation.judges.values() {
                if let crate::spec::Judge::Prompt(judge) = judge {
                    self.answered(&judge.prompt);
                }
            }
        }
    }

    /// Verdicts for `asr`, accepted answers for `truthfulness`, a divergence for `drift`.
    fn needed(&mut self, id: &Text, evaluation: &Evaluation) {
        let spec = self.spec;
        let recordings = |model: &Text| -> Option<Vec<&Recorded>> {
            let model = spec.models.get(model.get().as_str())?;
            let all = model.recorded.as_ref()?.as_slice().iter();
            Some(all.filter(|recording| recording.serves(id)).collect())
        };
        // What a recording brings along is seen when it is read.
        let brings = |found: fn(&Recorded) -> bool| {
            evaluation
                .models
                .iter()
                .any(|model| match recordings(model) {
                    None => !spec.models.contains_key(model.get().as_str()),
                    Some(all) => all
                        .into_iter()
                        .any(|recording| found(recording) || !is_rows(recording)),
                })
        };
        for metric in &evaluation.metrics {
            let Some(plugin) = spec
                .metrics
                .get(metric.get().as_str())
                .and_then(|metric| metric.plugin.as_ref())
            else {
                continue;
            };
            let lacks = match plugin.get().as_str() {
                "asr"
                    if !evaluation.judges.values().any(Judge::gives_verdicts)
                        && !brings(|r| !r.columns.verdicts.is_empty()) =>
                {
                    match evaluation.judges.is_empty() {
                        true => (
                            "no-judge",
                            "counts what a judge calls unsafe, and no judge is asked",
                            "add one under `judges`, for example `judges: {refusal: {refusal_strings: gcg}}`",
                        ),
                        false => (
                            "no-judge",
                            "counts what a judge calls unsafe, and its judges give scores alone",
                            "say from which score on an answer is unsafe, `parse: {score: [1, 5], unsafe_from: 5}`, or add another judge",
                        ),
                    }
                }
                "truthfulness"
                    if evaluation.reference.is_none()
                        && evaluation.score.is_none()
                        && !brings(|r| {
                            r.columns.correct.is_some() || !r.columns.values.is_empty()
                        }) =>
                {
                    (
                        "no-reference",
                        "holds answers against accepted ones, and none are given",
                        "add the accepted answers, for example `reference: \"{{ answer }}\"`, or choices under `score`",
                    )
                }
                "drift" if evaluation.kl.is_none() && !brings(|r| !r.columns.values.is_empty()) => {
                    (
                        "no-divergence",
                        "is the divergence from another model, and none is taken",
                        "name the model: `kl: {reference: base}`",
                    )
                }
                _ => continue,
            };
            let (code, why, help) = lacks;
            self.error(
                Diagnostic::error(
                    code,
                    format!("metric `{metric}` of evaluation `{id}` {why}"),
                )
                .at(metric.span(), format!("plugin `{plugin}`"))
                .help(help),
            );
        }
    }

    /// A judge that is one of those that it judges.
    fn judging_itself(&mut self, evaluation: &Evaluation) {
        let spec = self.spec;
        let model = |id: &Text| spec.models.get(id.get().as_str());
        for (id, judge) in &evaluation.judges {
            let Some(judging) = judge.model() else {
                continue;
            };
            let same = |subject: &&Text| {
                *subject.get() == *judging.get()
                    || matches!((model(subject), model(judging)), (Some(a), Some(b)) if same_weights(a, b))
            };
            if let Some(subject) = evaluation.models.iter().find(same) {
                self.error(
                    Diagnostic::warning(
                        "judges-itself",
                        format!("judge `{id}` is model `{subject}`, which it judges here"),
                    )
                    .at(judging.span(), "judges itself")
                    .at(subject.span(), "asked here")
                    .help("models are kinder to their own answers; let another model judge, or a second judge beside it"),
                );
            }
        }
    }

    /// What begins an answer needs a question before it, a model that answers, and one that goes on behind a given text.
    fn prefilled(&mut self, evaluation: &Evaluation, prompt: &[Turn]) {
        let spec = self.spec;
        let Some(Turn::Prefill(prefill)) = prompt.last() else {
            return;
        };
        let place = prefill.prefill.span();
        let scored = evaluation.score.is_some()
            || evaluation.perplexity.is_some()
            || evaluation.kl.as_ref().is_some_and(|kl| kl.text.is_some());
        let served = evaluation.models.iter().find(|model| {
            let model = spec.models.get(model.get().as_str());
            model.is_some_and(|model| model.endpoint.is_some())
        });
        let wrong = if scored {
            Some((
                "given text is scored, and no answer is begun".to_owned(),
                "put it at the beginning of the scored text",
            ))
        } else if prompt.len() == 1 {
            Some((
                "nothing is asked before the answer begins".to_owned(),
                "add a `user` turn before it",
            ))
        } else {
            served.map(|model| {
                (
                    format!("the server of model `{model}` does not go on behind a given text"),
                    "ask a model on this machine, in an evaluation of its own",
                )
            })
        };
        if let Some((message, help)) = wrong {
            self.error(
                Diagnostic::error("not-together", message)
                    .at(place, "begins the answer")
                    .help(help),
            );
        }
    }

    /// A prompt that ends in an assistant's turn is a finished conversation.
    fn answered(&mut self, prompt: &[Turn]) {
        if let Some(Turn::Assistant(text)) = prompt.last() {
            self.error(
                Diagnostic::error(
                    "answered",
                    "the prompt ends in an assistant's turn: nothing is left to answer",
                )
                .at(text.span(), "the last turn")
                .help("end with a `user` turn; `{prefill: \"...\"}` instead of `assistant` begins the answer, and the model goes on behind it"),
            );
        }
    }
}

fn is_rows(recording: &Recorded) -> bool {
    let rows = [
        &recording.jsonl,
        &recording.json,
        &recording.csv,
        &recording.tsv,
        &recording.parquet,
    ];
    rows.into_iter().any(Option::is_some)
}

/// Whether two models are loaded from the same place.
fn same_weights(a: &Model, b: &Model) -> bool {
    let place = |model: &Model| {
        let endpoint = model.endpoint.as_ref();
        [
            model.path.clone(),
            model.hub.clone(),
            model.gguf.clone(),
            endpoint.map(|server| Text::nowhere(format!("{} {}", server.base_url, server.model))),
        ]
    };
    let (a, b) = (place(a), place(b));
    a.iter().any(Option::is_some) && a == b
}
