//! Settings that cannot matter beside others.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::located::{Span, Text};
use crate::spec::{Evaluation, Model, TrainingSettings};

impl Checker<'_> {
    pub(super) fn effects(&mut self) {
        let spec = self.spec;
        for settings in spec.finetune.values().chain(spec.pretrain.values()) {
            self.training_effects(settings);
        }
        for (id, evaluation) in &spec.evaluations {
            self.evaluation_effects(id, evaluation);
        }
        for (id, model) in &spec.models {
            self.rank_of(id, model);
        }
        if let Some(compare) = &spec.compare {
            let asks = |evaluation: &Evaluation| evaluation.models.contains(&compare.baseline);
            if !spec.evaluations.is_empty() && !spec.evaluations.values().any(asks) {
                self.error(
                    Diagnostic::warning(
                        "no-comparison",
                        format!(
                            "no evaluation asks `{}`, so nothing is compared with it",
                            compare.baseline
                        ),
                    )
                    .at(compare.baseline.span(), "never asked")
                    .help("add it to the `models` of the evaluations"),
                );
            }
        }
    }

    fn no_effect(&mut self, span: Span, what: String, why: &str, help: &str) {
        // A default that nobody wrote is no mistake.
        if !span.is_none() {
            self.error(
                Diagnostic::warning("no-effect", what)
                    .at(span, why)
                    .help(help),
            );
        }
    }

    fn training_effects(&mut self, settings: &TrainingSettings) {
        let end = settings.max_steps.as_ref().map(|steps| **steps);
        let beyond = [
            (
                "warmup_steps",
                &settings.warmup_steps,
                "the learning rate never reaches its peak",
            ),
            (
                "save_steps",
                &settings.save_steps,
                "no checkpoint is written before the end",
            ),
            (
                "eval_steps",
                &settings.eval_steps,
                "the held-out loss is taken at the end alone",
            ),
        ];
        for (key, steps, why) in beyond {
            if let (Some(steps), Some(end)) = (steps, end)
                && **steps >= end
                && (**steps > end || key == "warmup_steps")
            {
                self.no_effect(
                    steps.span(),
                    format!("`{key}: {steps}` is not before the end of the training, which takes {end} steps"),
                    why,
                    "lower it, or raise `max_steps`",
                );
            }
        }
        if let Some(steps) = &settings.eval_steps
            && settings.eval_fraction.is_none()
            && settings.eval_dataset.is_none()
        {
            self.no_effect(
                steps.span(),
                "`eval_steps` takes a held-out loss, and nothing is held out".to_owned(),
                "has no effect",
                "add `eval_fraction` or `eval_dataset`, or take it out",
            );
        }
    }

    fn evaluation_effects(&mut self, id: &Text, evaluation: &Evaluation) {
        if evaluation.metrics.is_empty() {
            self.error(
                Diagnostic::warning("no-metrics", format!("evaluation `{id}` measures nothing"))
                    .at(id.span(), "has no metrics")
                    .help("name at least one of the section `metrics` under `metrics`"),
            );
        }
        if let Some(seed) = &evaluation.shuffle_seed
            && !mentions_shuffled(evaluation)
        {
            self.no_effect(
                seed.span(),
                "`shuffle_seed` chooses the `shuffled` rows, which no prompt names".to_owned(),
                "has no effect",
                "take it out, or write `{{ shuffled.column }}`",
            );
        }
        let Some(generate) = &evaluation.generate else {
            return;
        };
        let drawing = [
            ("top_p", generate.top_p.as_ref().map(|p| p.span())),
            ("top_k", generate.top_k.as_ref().map(|k| k.span())),
            ("min_p", generate.min_p.as_ref().map(|p| p.span())),
            ("seed", generate.seed.as_ref().map(|seed| seed.span())),
        ];
        let drawing = drawing
            .into_iter()
            .filter_map(|(key, span)| Some((key, span?)));
        if *generate.temperature == 0.0 {
            for (key, span) in drawing {
                self.no_effect(
                    span,
                    format!("`{key}` has no effect at `temperature: 0`, which takes the likeliest token each time"),
                    "nothing is drawn",
                    "set a `temperature` above 0, or take it out",
                );
            }
        }
        if evaluation.score.is_some() || evaluation.perplexity.is_some() {
            for (key, span) in [
                ("max_tokens", generate.max_tokens.span()),
                ("temperature", generate.temperature.span()),
                (
                    "stop",
                    generate
                        .stop
                        .as_slice()
                        .first()
                        .map(|stop| stop.span())
                        .unwrap_or_default(),
                ),
            ] {
                self.no_effect(
                    span,
                    format!("`{key}` has no effect where given text is scored"),
                    "nothing is generated",
                    "take it out; answers are generated in an evaluation of their own",
                );
            }
        }
    }

    /// An adapter as wide as the model, whose shape the spec says.
    fn rank_of(&mut self, id: &Text, model: &Model) {
        let spec = self.spec;
        let Some(lora) = model.finetune.as_ref().and_then(|finetune| {
            spec.finetune
                .get(finetune.settings.get().as_str())?
                .lora
                .as_ref()
        }) else {
            return;
        };
        let mut root = model;
        for _ in 0..=spec.models.len() {
            match root
                .base()
                .and_then(|base| spec.models.get(base.get().as_str()))
            {
                Some(base) => root = base,
                None => break,
            }
        }
        let shape = root.pretrain.as_ref().and_then(|made| {
            spec.pretrain
                .get(made.settings.get().as_str())?
                .architecture
                .as_ref()
        });
        if let Some(shape) = shape
            && *lora.rank > *shape.hidden_size
        {
            self.no_effect(
                lora.rank.span(),
                format!(
                    "`rank: {}` is more than the width of the model that `{id}` is made from, {}",
                    lora.rank, shape.hidden_size
                ),
                "an update of a matrix has no higher rank than the matrix",
                "lower it, or train every weight with `full: true`",
            );
        }
    }
}

fn mentions_shuffled(evaluation: &Evaluation) -> bool {
    let conditions = evaluation.conditions.values();
    let turns = conditions.flat_map(|condition| &condition.prompt);
    let mut turns = evaluation.prompt.iter().chain(turns);
    turns.any(|turn| turn.template().contains("shuffled"))
}
