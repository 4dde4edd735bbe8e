//! What the parts of a spec mean together: everything wrong is reported at once, each with its place.
//!
//! Nothing is read but the spec itself; whether files are there is found out when it is resolved.

mod remote;
mod replicates;
mod reporting;

use std::collections::HashSet;

use crate::diagnostic::{Diagnostic, nearest};
use crate::located::{Located, Text};
use crate::spec::{
    Evaluation, ExperimentSpec, Judge, LAYER_MODULES, Mix, Model, ModelSource, Named,
    TargetModules, TrainingSettings, Turn,
};

/// Most likeliest tokens that are recorded at each position.
const MOST_TOP_LOGPROBS: usize = 1000;

/// Checks a spec. No diagnostics means that it can be resolved.
#[must_use]
pub fn check(spec: &ExperimentSpec) -> Vec<Diagnostic> {
    let mut checker = Checker {
        spec,
        found: Vec::new(),
    };
    checker.header();
    checker.datasets();
    checker.models();
    checker.weights_at_hand();
    checker.cycles();
    checker.replicates();
    checker.trainings();
    checker.evaluations();
    checker.compare();
    checker.gates();
    checker.expected();
    checker.found
}

struct Checker<'a> {
    spec: &'a ExperimentSpec,
    found: Vec<Diagnostic>,
}

/// Complains that `written` is not among the ids of a section.
fn unknown<T>(what: &str, written: &Text, section: &Named<T>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        unknown_code(what),
        format!("{what} `{written}` is not defined"),
    )
    .at(written.span(), format!("no {what} with this id"));
    match nearest(written, section.keys().map(|id| id.get().as_str())) {
        Some(id) => {
            let defined = section
                .keys()
                .find(|key| key.get() == id)
                .map(Located::span)
                .unwrap_or_default();
            diagnostic
                .at(defined, "this one is")
                .help(format!("did you mean `{id}`?"))
        }
        None => {
            let ids: Vec<_> = section.keys().map(|id| format!("`{id}`")).collect();
            diagnostic.help(if ids.is_empty() {
                format!("the spec defines no {what}")
            } else {
                format!("defined: {}", ids.join(", "))
            })
        }
    }
}

fn unknown_code(what: &str) -> &'static str {
    match what {
        "model" => "unknown-model",
        "dataset" => "unknown-dataset",
        "metric" => "unknown-metric",
        "evaluation" => "unknown-evaluation",
        "condition" => "unknown-condition",
        _ => "unknown-settings",
    }
}

impl Checker<'_> {
    fn error(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    fn range(&mut self, value: &Located<f64>, name: &str, low: f64, high: f64) {
        if !(low..=high).contains(value.get()) {
            let limits = if high.is_infinite() {
                format!("at least {low}")
            } else {
                format!("from {low} to {high}")
            };
            self.error(
                Diagnostic::error("out-of-range", format!("`{name}` is {value}"))
                    .at(value.span(), format!("has to be {limits}")),
            );
        }
    }

    fn positive(&mut self, value: &Located<usize>, name: &str) {
        if **value == 0 {
            self.error(
                Diagnostic::error("out-of-range", format!("`{name}` is 0"))
                    .at(value.span(), "has to be at least 1"),
            );
        }
    }

    fn header(&mut self) {
        if *self.spec.version != 1 {
            self.error(
                Diagnostic::error(
                    "unknown-version",
                    format!("version {} of the language is not known", self.spec.version),
                )
                .at(self.spec.version.span(), "")
                .help("this driftgauge reads version 1"),
            );
        }
        let name = self.spec.name.get();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(fits) {
            self.error(
                Diagnostic::error("bad-name", format!("`{name}` is no name for an experiment")).at(
                    self.spec.name.span(),
                    "letters, digits, `-`, `_` and `.` only",
                ),
            );
        }
        let spec = self.spec;
        let ids = spec
            .models
            .keys()
            .chain(spec.evaluations.keys())
            .chain(spec.metrics.keys())
            .chain(spec.evaluations.values().flat_map(|evaluation| {
                evaluation.conditions.keys().chain(evaluation.judges.keys())
            }));
        let bad: Vec<&Text> = ids
            .filter(|id| id.is_empty() || !id.chars().all(|c| fits(c) && c != '.'))
            .collect();
        for id in bad {
            self.error(
                Diagnostic::error("bad-id", format!("`{id}` is no id"))
                    .at(id.span(), "letters, digits, `-` and `_` only")
                    .help("ids become file names and parts of metric names"),
            );
        }
    }

    fn datasets(&mut self) {
        for (id, dataset) in &self.spec.datasets {
            if dataset.sources().len() != 1 {
                self.error(
                    Diagnostic::error(
                        "one-source",
                        format!("dataset `{id}` needs exactly one source"),
                    )
                    .at(id.span(), format!("has {}", dataset.sources().len()))
                    .help("one of `jsonl`, `json`, `csv`, `parquet` and `hub`"),
                );
            }
            if dataset.hub.is_none() {
                for key in [&dataset.revision, &dataset.split, &dataset.file]
                    .into_iter()
                    .flatten()
                {
                    self.error(
                        Diagnostic::error("not-together", "this key goes with `hub` only")
                            .at(key.span(), "no repository to read it from"),
                    );
                }
            }
            if let Some(filter) = &dataset.filter {
                self.expression(filter);
            }
            if let Some(limit) = &dataset.limit {
                self.positive(limit, "limit");
            }
        }
    }

    fn models(&mut self) {
        if self.spec.models.is_empty() {
            self.error(
                Diagnostic::error("no-models", "the spec has no models")
                    .help("add at least one under `models`"),
            );
        }
        for (id, model) in &self.spec.models {
            let sources = model.sources();
            if sources.len() != 1 {
                let keys: Vec<_> = sources
                    .iter()
                    .map(|source| format!("`{}`", source.key()))
                    .collect();
                let has = if keys.is_empty() {
                    "has none".to_owned()
                } else {
                    format!("has {}", keys.join(" and "))
                };
                self.error(
                    Diagnostic::error("one-source", format!("model `{id}` needs exactly one source"))
                        .at(id.span(), has)
                        .help("one of `path`, `hub`, `gguf`, `pretrain`, `finetune`, `endpoint` and `recorded`"),
                );
            }
            self.model(model);
        }
    }

    fn model(&mut self, model: &Model) {
        if let Some(pretrain) = &model.pretrain {
            if !self
                .spec
                .pretrain
                .contains_key(pretrain.settings.get().as_str())
            {
                self.error(unknown("settings", &pretrain.settings, &self.spec.pretrain));
            }
            self.training_data(&pretrain.parts(), &pretrain.settings);
            self.mix(&pretrain.mix, pretrain.dataset.is_some());
        }
        if let Some(finetune) = &model.finetune {
            if !self.spec.models.contains_key(finetune.base.get().as_str()) {
                self.error(unknown("model", &finetune.base, &self.spec.models));
            }
            if !self
                .spec
                .finetune
                .contains_key(finetune.settings.get().as_str())
            {
                self.error(unknown("settings", &finetune.settings, &self.spec.finetune));
            }
            self.training_data(&finetune.parts(), &finetune.settings);
            self.mix(&finetune.mix, finetune.dataset.is_some());
        }
        for recorded in model.recorded.iter().flat_map(|parts| parts.as_slice()) {
            for evaluation in &recorded.evaluations {
                if !self
                    .spec
                    .evaluations
                    .contains_key(evaluation.get().as_str())
                {
                    self.error(unknown("evaluation", evaluation, &self.spec.evaluations));
                }
            }
            if recorded.files().len() != 1 {
                self.error(
                    Diagnostic::error("one-source", "a recording needs exactly one file")
                        .at(
                            recorded
                                .files()
                                .first()
                                .map(|(_, path)| path.span())
                                .unwrap_or_default(),
                            "",
                        )
                        .help("one of `jsonl`, `csv`, `parquet`, `harmbench` and `lm_eval`"),
                );
            }
            if let Some(filter) = &recorded.filter {
                self.expression(filter);
            }
        }
        if let Some(endpoint) = &model.endpoint {
            self.endpoint(endpoint);
        }
        self.nothing_to_load(model);
        if model.hub.is_none()
            && let Some(revision) = &model.revision
        {
            self.error(
                Diagnostic::error("not-together", "`revision` goes with `hub` only")
                    .at(revision.span(), ""),
            );
        }
        if model.gguf.is_none()
            && let Some(tokenizer) = &model.tokenizer
        {
            self.error(
                Diagnostic::error("not-together", "`tokenizer` goes with `gguf` only")
                    .at(tokenizer.span(), "")
                    .help("the folder of another model brings its own `tokenizer.json`"),
            );
        }
    }

    fn training_data(&mut self, parts: &[crate::spec::DataPart<'_>], place: &Text) {
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
    fn mix(&mut self, mix: &[Mix], has_dataset: bool) {
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

    /// A fine-tune that is its own ancestor.
    fn cycles(&mut self) {
        let base = |id: &str| -> Option<&Text> {
            match self.spec.models.get(id)?.source()? {
                ModelSource::Finetune(finetune) => Some(&finetune.base),
                _ => None,
            }
        };
        let mut reported: HashSet<&str> = HashSet::new();
        let mut cycles = Vec::new();
        for id in self.spec.models.keys() {
            let mut path: Vec<&str> = vec![id];
            let mut at = base(id);
            while let Some(next) = at {
                if let Some(start) = path.iter().position(|seen| *seen == next.get()) {
                    if path[start..].iter().all(|member| reported.insert(member)) {
                        let mut members: Vec<&str> = path[start..].to_vec();
                        members.push(next);
                        cycles.push((next.span(), members.join(" -> ")));
                    }
                    break;
                }
                path.push(next);
                at = base(next);
            }
        }
        for (span, path) in cycles {
            self.error(
                Diagnostic::error(
                    "cycle",
                    format!("models are fine-tuned from one another in a circle: {path}"),
                )
                .at(span, "closes the circle")
                .help("one of them has to start from a model that is there"),
            );
        }
    }

    fn trainings(&mut self) {
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

    fn evaluations(&mut self) {
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
        if let Some(other) = &evaluation.over_refusal_of
            && !spec.evaluations.contains_key(other.get().as_str())
        {
            self.error(unknown("evaluation", other, &spec.evaluations));
        }
        self.prompts(id, evaluation);
        for (judge_id, judge) in &evaluation.judges {
            if let Some(model) = judge.model()
                && !spec.models.contains_key(model.get().as_str())
            {
                self.error(unknown("model", model, &spec.models));
            }
            if let Judge::Prompt(judge) = judge {
                self.turns(&judge.prompt);
                if judge.prompt.is_empty() {
                    self.error(
                        Diagnostic::error("no-prompt", format!("judge `{judge_id}` asks nothing"))
                            .at(judge_id.span(), ""),
                    );
                }
            }
        }
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
            self.positive(&generate.max_tokens, "max_tokens");
            self.range(&generate.temperature, "temperature", 0.0, 100.0);
            for (value, name) in [(&generate.top_p, "top_p"), (&generate.min_p, "min_p")] {
                if let Some(value) = value {
                    self.range(value, name, 0.0, 1.0);
                }
            }
            if let Some(top) = &generate.top_logprobs
                && !(1..=MOST_TOP_LOGPROBS).contains(&**top)
            {
                self.error(
                    Diagnostic::error("out-of-range", format!("`top_logprobs` is {top}"))
                        .at(top.span(), format!("has to be between 1 and {MOST_TOP_LOGPROBS}"))
                        .help("it is a number of tokens at each position; leave it out to record none"),
                );
            }
            if *generate.samples == 0 {
                self.error(
                    Diagnostic::error("out-of-range", "`samples` is 0")
                        .at(generate.samples.span(), "has to be at least 1"),
                );
            }
            if *generate.samples > 1 && *generate.temperature == 0.0 {
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

    fn turns(&mut self, turns: &[Turn]) {
        for turn in turns {
            self.template(turn.template());
            if let Turn::Text(text) = turn
                && turns.len() > 1
            {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        "plain `text` cannot stand among the turns of a conversation",
                    )
                    .at(text.span(), "")
                    .help(
                        "make it the only turn, or say who speaks: `system`, `user` or `assistant`",
                    ),
                );
            }
        }
    }

    fn template(&mut self, template: &Text) {
        let environment = minijinja::Environment::new();
        if let Err(error) = environment.template_from_str(template) {
            self.error(
                Diagnostic::error(
                    "bad-template",
                    format!("this is no template: {}", first_line(&error)),
                )
                .at(template.span(), "")
                .help("templates are minijinja: `{{ column }}`"),
            );
        }
    }

    fn expression(&mut self, expression: &Text) {
        let environment = minijinja::Environment::new();
        if let Err(error) = environment.compile_expression(expression) {
            self.error(
                Diagnostic::error(
                    "bad-expression",
                    format!("this is no expression: {}", first_line(&error)),
                )
                .at(expression.span(), "")
                .help("for example `category == \"doors\" and n > 3`"),
            );
        }
    }
}

fn first_line(error: &minijinja::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
