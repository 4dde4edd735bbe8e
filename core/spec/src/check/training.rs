//! Trainings: their data and their settings.

use super::{Checker, unknown};
use crate::diagnostic::{Diagnostic, nearest};
use crate::located::Text;
use crate::spec::{LAYER_MODULES, Mix, TargetModules, TrainingSettings, Turn};

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
            if let Some(count) = &part.count {
                self.positive(count, "count");
            }
            let Some(ratio) = &part.ratio else { continue };
            if !(ratio.is_finite() && **ratio > 0.0) {
                self.error(
                    Diagnostic::error("out-of-range", format!("`ratio` is {ratio}"))
                        .at(ratio.span(), "has to be above 0"),
                );
            }
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
                    for (value, name) in [
                        (&shape.hidden_size, "hidden_size"),
                        (&shape.intermediate_size, "intermediate_size"),
                        (&shape.num_hidden_layers, "num_hidden_layers"),
                        (&shape.num_attention_heads, "num_attention_heads"),
                    ] {
                        self.positive(value, name);
                    }
                    let heads = *shape.num_attention_heads;
                    if heads > 0 && !shape.hidden_size.is_multiple_of(2 * heads) {
                        self.error(
                            Diagnostic::error(
                                "out-of-range",
                                "`hidden_size` is no even multiple of `num_attention_heads`",
                            )
                            .at(shape.hidden_size.span(), format!("{heads} heads")),
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
        if *settings.learning_rate <= 0.0 {
            self.error(
                Diagnostic::error(
                    "out-of-range",
                    format!("`learning_rate` is {}", settings.learning_rate),
                )
                .at(settings.learning_rate.span(), "has to be above 0"),
            );
        }
        self.positive(&settings.per_device_batch_size, "per_device_batch_size");
        self.positive(
            &settings.gradient_accumulation_steps,
            "gradient_accumulation_steps",
        );
        self.range(&settings.weight_decay, "weight_decay", 0.0, f64::INFINITY);
        self.range(&settings.max_grad_norm, "max_grad_norm", 0.0, f64::INFINITY);
        if let Some(dataset) = &settings.eval_dataset
            && !self.spec.datasets.contains_key(dataset.get().as_str())
        {
            self.error(unknown("dataset", dataset, &self.spec.datasets));
        }
        if let Some(share) = &settings.eval_fraction {
            if !(**share > 0.0 && **share <= 0.5) {
                self.error(
                    Diagnostic::error("out-of-range", format!("`eval_fraction` is {share}"))
                        .at(share.span(), "has to be above 0 and at most 0.5"),
                );
            }
            if let Some(dataset) = &settings.eval_dataset {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        "`eval_fraction` and `eval_dataset` both say what is held out",
                    )
                    .at(share.span(), "")
                    .at(dataset.span(), "keep one"),
                );
            }
        }
        for (value, name) in [
            (&settings.max_steps, "max_steps"),
            (&settings.save_steps, "save_steps"),
            (&settings.eval_steps, "eval_steps"),
            (&settings.max_seq_length, "max_seq_length"),
        ] {
            if let Some(value) = value {
                self.positive(value, name);
            }
        }
        if let Some(epochs) = &settings.epochs
            && !(epochs.is_finite() && **epochs > 0.0)
        {
            self.error(
                Diagnostic::error("out-of-range", format!("`epochs` is {epochs}"))
                    .at(epochs.span(), "has to be above 0"),
            );
        }
        if let Some(ratio) = &settings.warmup_ratio {
            self.range(ratio, "warmup_ratio", 0.0, 0.99);
        }
        for (value, name) in [
            (&settings.adam_beta1, "adam_beta1"),
            (&settings.adam_beta2, "adam_beta2"),
        ] {
            self.range(value, name, 0.0, 0.999_999);
        }
        if let Some(lora) = &settings.lora {
            self.positive(&lora.rank, "rank");
            self.range(&lora.dropout, "dropout", 0.0, 0.99);
            for rank in lora.rank_pattern.values() {
                self.positive(rank, "rank_pattern");
            }
            for alpha in lora.alpha_pattern.values() {
                self.range(alpha, "alpha_pattern", f64::MIN_POSITIVE, f64::MAX);
            }
            if let TargetModules::Modules(names) = &lora.target_modules {
                if names.is_empty() {
                    self.error(
                        Diagnostic::error("unknown-module", "no module gets an adapter")
                            .at(id.span(), "`target_modules` is empty"),
                    );
                }
                for name in names
                    .iter()
                    .filter(|name| !LAYER_MODULES.contains(&name.as_str()))
                {
                    let diagnostic =
                        Diagnostic::error("unknown-module", format!("there is no module `{name}`"))
                            .at(name.span(), "");
                    self.error(match nearest(name, LAYER_MODULES) {
                        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                        None => diagnostic.help(format!(
                            "modules are {}, or `all-linear`",
                            LAYER_MODULES.join(", ")
                        )),
                    });
                }
            }
        }
    }
}
