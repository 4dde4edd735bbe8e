//! Trainings: their data and their settings.

use super::{Checker, unknown};
use crate::diagnostic::{Diagnostic, nearest};
use crate::located::Text;
use crate::spec::{Mix, TargetModules, TrainingSettings, Turn, known_modules};

impl Checker<'_> {
    pub(super) fn training_data(&mut self, parts: &[crate::spec::DataPart<'_>], place: &Text) {
        if parts.is_empty() {
            self.error(
                Diagnostic::error("no-data", "a training needs a `dataset`")
                    .at(place.span(), "trains on nothing"),
            );
        }
        for part in parts {
            if !self.spec.datasets.contains_key(part.dataset.get().as_str()) {
                self.error(unknown("dataset", part.dataset, &self.spec.datasets));
            }
            self.turns(part.messages);
            match part.messages.last() {
                Some(Turn::Assistant(_)) => {}
                Some(other) => self.error(
                    Diagnostic::error("no-answer", "an example has to end with an assistant turn")
                        .at(other.template().span(), "the last turn")
                        .help("only what the assistant says carries loss"),
                ),
                None => self.error(
                    Diagnostic::error("no-answer", "a training needs `messages`")
                        .at(part.dataset.span(), "no turns are made of it"),
                ),
            }
            if let Some(filter) = part.filter {
                self.expression(filter);
            }
        }
    }

    /// How many rows the further parts of a training have.
    pub(super) fn mix(&mut self, mix: &[Mix], has_dataset: bool) {
        for part in mix {
            let Some(ratio) = &part.ratio else { continue };
            if let Some(count) = &part.count {
                self.error(
                    Diagnostic::error("not-together", "`count` and `ratio` both say how many rows")
                        .at(count.span(), "")
                        .at(ratio.span(), "keep one"),
                );
            }
            if !has_dataset {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        "`ratio` counts rows for each row of the training's own `dataset`",
                    )
                    .at(ratio.span(), "there is no `dataset`")
                    .help("give the training a `dataset`, or say `count`"),
                );
            }
        }
    }

    pub(super) fn trainings(&mut self) {
        let spec = self.spec;
        for (id, settings) in &spec.finetune {
            let full = settings.full.as_ref().is_some_and(|full| **full);
            if full == settings.lora.is_some() {
                self.error(
                    Diagnostic::error(
                        "one-method",
                        format!("settings `{id}` need exactly one of `lora` and `full: true`"),
                    )
                    .at(id.span(), ""),
                );
            }
            if let (Some(quantization), true) = (&settings.base_quantization, full) {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        "`base_quantization` rounds frozen weights, and `full: true` freezes none",
                    )
                    .at(quantization.span(), "only with `lora`"),
                );
            }
            if settings.architecture.is_some() {
                self.error(
                    Diagnostic::error("not-together", "a fine-tune has the shape of its base")
                        .at(id.span(), "has an `architecture`")
                        .help("trainings from scratch stand under `pretrain`"),
                );
            }
            self.settings(id, settings);
        }
        for (id, settings) in &spec.pretrain {
            match &settings.architecture {
                None => self.error(
                    Diagnostic::error(
                        "missing-key",
                        format!("settings `{id}` need an `architecture`"),
                    )
                    .at(id.span(), "of what shape is the model?"),
                ),
                Some(shape) => {
                    let heads = *shape.num_attention_heads;
                    if !shape.hidden_size.is_multiple_of(2 * heads) {
                        self.error(
                            Diagnostic::error(
                                "out-of-range",
                                "`hidden_size` is no even multiple of `num_attention_heads`",
                            )
                            .at(shape.hidden_size.span(), format!("{heads} heads")),
                        );
                    }
                    if let Some(shared) = &shape.num_key_value_heads
                        && !heads.is_multiple_of(**shared)
                    {
                        self.error(
                            Diagnostic::error(
                                "out-of-range",
                                "`num_attention_heads` is no multiple of `num_key_value_heads`",
                            )
                            .at(shared.span(), format!("{heads} heads share them")),
                        );
                    }
                }
            }
            if let Some(quantization) = &settings.base_quantization {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        "`base_quantization` rounds the weights of a base, and a training from scratch has none",
                    )
                    .at(quantization.span(), "only under `finetune`, with `lora`"),
                );
            }
            if settings.lora.is_some() || settings.full.is_some() {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        "a training from scratch trains every weight",
                    )
                    .at(id.span(), "has `lora` or `full`"),
                );
            }
            self.settings(id, settings);
        }
    }

    fn settings(&mut self, id: &Text, settings: &TrainingSettings) {
        if settings.max_steps.is_some() == settings.epochs.is_some() {
            self.error(
                Diagnostic::error(
                    "not-together",
                    format!("settings `{id}` need exactly one of `max_steps` and `epochs`"),
                )
                .at(id.span(), ""),
            );
        }
        if let (Some(steps), Some(_)) = (&settings.warmup_steps, &settings.warmup_ratio) {
            self.error(
                Diagnostic::error(
                    "not-together",
                    "`warmup_steps` and `warmup_ratio` say the same",
                )
                .at(steps.span(), "keep one"),
            );
        }
        if let Some(dataset) = &settings.eval_dataset
            && !self.spec.datasets.contains_key(dataset.get().as_str())
        {
            self.error(unknown("dataset", dataset, &self.spec.datasets));
        }
        if let (Some(share), Some(dataset)) = (&settings.eval_fraction, &settings.eval_dataset) {
            self.error(
                Diagnostic::error(
                    "not-together",
                    "`eval_fraction` and `eval_dataset` both say what is held out",
                )
                .at(share.span(), "")
                .at(dataset.span(), "keep one"),
            );
        }
        if let Some(lora) = &settings.lora
            && let TargetModules::Modules(names) = &lora.target_modules
        {
            if names.is_empty() {
                self.error(
                    Diagnostic::error("unknown-module", "no module gets an adapter")
                        .at(id.span(), "`target_modules` is empty"),
                );
            }
            for name in names
                .iter()
                .filter(|name| known_modules().all(|known| known != name.as_str()))
            {
                let diagnostic =
                    Diagnostic::error("unknown-module", format!("there is no module `{name}`"))
                        .at(name.span(), "");
                self.error(match nearest(name, known_modules()) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help(format!(
                        "modules are {}, or `all-linear`",
                        known_modules().collect::<Vec<_>>().join(", ")
                    )),
                });
            }
        }
    }
}
