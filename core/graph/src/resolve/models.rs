//! Models: folders pinned by their bytes, trainings with every setting filled in.

use std::path::{Path, PathBuf};

use driftgauge_data::hub::{HubSource, RepositoryKind};
use driftgauge_data::prompt::TurnTemplate;
use driftgauge_engine::Endpoint;
use driftgauge_spec::spec::{
    DataPart, Endpoint as EndpointSpec, Model, ModelSource as SpecSource, Recorded as RecordedSpec,
    TrainingSettings, Turn,
};
use driftgauge_spec::{Located, Text};
use driftgauge_store::Digest;
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::Resolver;
use crate::model_files::{TOKENIZER, folder_digest, gguf_digest, has_tokenizer, tokenizer_digest};
use crate::resolved::{ModelSource, ResolvedDataset, ResolvedModel, Training, TrainingData};
use crate::training_data::{DataError, examples};

type Datasets = IndexMap<String, ResolvedDataset>;

/// The turns of the spec as templates.
pub(super) fn turns(turns: &[Turn]) -> Vec<TurnTemplate> {
    turns
        .iter()
        .map(|turn| TurnTemplate {
            role: turn.role().to_owned(),
            template: turn.template().get().clone(),
        })
        .collect()
}

impl Resolver<'_> {
    /// Bases come before their fine-tunes, whatever the order in the spec.
    pub(super) fn models(&mut self, datasets: &Datasets) -> IndexMap<String, ResolvedModel> {
        let mut out = IndexMap::new();
        let mut waiting: Vec<(&Text, &Model)> = self.spec.models.iter().collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            for (id, model) in waiting {
                if model
                    .base()
                    .is_some_and(|base| !out.contains_key(base.get()))
                {
                    later.push((id, model));
                    continue;
                }
                match self.model(model, &out, datasets) {
                    Some(resolved) => {
                        out.insert(id.get().clone(), resolved);
                    }
                    None if self.problems.is_empty() => {
                        self.problem(
                            "bad-model",
                            id.span(),
                            format!("model `{id}` has no source"),
                            None,
                        );
                    }
                    None => {}
                }
            }
            waiting = later;
            // A base with a problem of its own keeps its fine-tunes waiting; the problem is reported once.
            if waiting.len() == before {
                break;
            }
        }
        out
    }

    fn model(
        &mut self,
        model: &Model,
        made: &IndexMap<String, ResolvedModel>,
        datasets: &Datasets,
    ) -> Option<ResolvedModel> {
        let base = model.base().and_then(|base| made.get(base.get()));
        // A fine-tune speaks as its base does, unless the spec says otherwise.
        let chat_template = match &model.chat_template {
            Some(path) => Some(self.pin(path)?),
            None => base.and_then(|base| base.chat_template.clone()),
        };
        let mut hub = None;
        let (source, mut description) = match model.source()? {
            SpecSource::Path(path) => (self.folder(path)?, format!("folder {path}")),
            SpecSource::Gguf(path) => (
                self.gguf(path, model.tokenizer.as_ref())?,
                format!("GGUF {path}"),
            ),
            SpecSource::Hub(repository) => {
                let revision = model.revision.as_ref();
                let wanted = hub_source(RepositoryKind::Model, repository, revision);
                let mut description = format!("hub {repository} at {}", wanted.revision);
                let source = match wanted.snapshot().filter(|_| wanted.lacks().is_none()) {
                    Some(snapshot) => {
                        if snapshot.commit != wanted.revision {
                            description.push_str(&format!(", commit {}", snapshot.commit));
                        }
                        hub = Some(HubSource {
                            commit: Some(snapshot.commit),
                            ..wanted
                        });
                        self.found_folder(snapshot.folder, repository)?
                    }
                    None => ModelSource::Hub(wanted),
                };
                (source, description)
            }
            SpecSource::Pretrain(pretrain) => {
                let settings = &self.spec.pretrain[pretrain.settings.get().as_str()];
                let seed = pretrain.seed.as_ref();
                let learnt_template = match &pretrain.chat_template {
                    Some(path) => Some(self.pin(path)?),
                    None => None,
                };
                let mut training = self.training(
                    settings,
                    &pretrain.settings,
                    &pretrain.parts(),
                    seed,
                    datasets,
                )?;
                training.chat_template = learnt_template;
                let size = training.parameters.map_or_else(String::new, |count| {
                    format!(", about {} parameters", in_words(count))
                });
                (
                    ModelSource::Pretrain(training),
                    format!("trained from scratch with `{}`{size}", pretrain.settings),
                )
            }
            SpecSource::Finetune(finetune) => {
                let settings = &self.spec.finetune[finetune.settings.get().as_str()];
                let mut training = self.training(
                    settings,
                    &finetune.settings,
                    &finetune.parts(),
                    finetune.seed.as_ref(),
                    datasets,
                )?;
                training.chat_template.clone_from(&chat_template);
                let init_adapter = match &finetune.init_adapter {
                    Some(path) => {
                        let (pinned, adapter) = self.adapter(path, finetune.base.get(), made)?;
                        let (lora, training) = (settings.lora.as_ref(), &mut training.settings);
                        self.settings_of_adapter(path, &adapter, lora, training)?;
                        Some(pinned)
                    }
                    None => None,
                };
                let data: Vec<_> = training
                    .data
                    .iter()
                    .map(|part| part.dataset.clone())
                    .collect();
                (
                    ModelSource::Finetune {
                        base: finetune.base.get().clone(),
                        training,
                        init_adapter,
                    },
                    format!(
                        "`{}` fine-tuned with `{}` on {}",
                        finetune.base,
                        finetune.settings,
                        data.join(", ")
                    ),
                )
            }
            SpecSource::Adapter(adapter) => self.adapter_source(adapter, made, &mut hub)?,
            SpecSource::Endpoint(server) => (
                ModelSource::Endpoint(endpoint(server)),
                format!("`{}` at {}", server.model, server.base_url),
            ),
            SpecSource::Recorded(recordings) => {
                let recordings = recordings.as_slice();
                let resolved = recordings
                    .iter()
                    .map(|recorded| self.recorded(recorded))
                    .collect::<Option<Vec<_>>>()?;
                let names: Vec<&str> = recordings
                    .iter()
                    .filter_map(RecordedSpec::file)
                    .map(|(_, path)| path.get().as_str())
                    .collect();
                (
                    ModelSource::Recorded(resolved),
                    format!("recorded in {}", names.join(" and ")),
                )
            }
        };
        if let Some(text) = &model.description {
            description = format!("{text} ({description})");
        }
        if let Some(first) = &model.replicate_of {
            description = format!("{description}; another training of `{first}`");
        }
        Some(ResolvedModel {
            source,
            hub,
            quantization: model.quantization.as_ref().map(|name| name.get().clone()),
            dtype: model.dtype.as_str().to_owned(),
            chat_template,
            replicate_of: model.replicate_of.as_ref().map(|id| id.get().clone()),
            description,
        })
    }

    fn folder(&mut self, path: &Text) -> Option<ModelSource> {
        let folder = self.path(path);
        if !folder.join("config.json").is_file() {
            let help = format!(
                "a model folder holds config.json, tokenizer.json and safetensors; `{}` was looked at",
                folder.display()
            );
            self.problem(
                "bad-model",
                path.span(),
                format!("`{path}` is no model folder: it has no config.json"),
                Some(help),
            );
            return None;
        }
        self.found_folder(folder, path)
    }

    fn found_folder(&mut self, folder: PathBuf, place: &Text) -> Option<ModelSource> {
        self.sound_folder(place, &folder)?;
        match folder_digest(&folder, &|path| self.options.digests.of(path)) {
            Ok(digest) => Some(ModelSource::Folder {
                path: std::path::absolute(&folder).unwrap_or(folder),
                gguf: None,
                tokenizer: None,
                digest,
            }),
            Err(error) => {
                self.problem(
                    "bad-model",
                    place.span(),
                    format!(
                        "cannot read the model folder `{}`: {error}",
                        folder.display()
                    ),
                    None,
                );
                None
            }
        }
    }

    /// A GGUF file with its tokenizer: that of the folder which the spec names, else the one inside, else the one that
    /// lies beside a file that has none.
    fn gguf(&mut self, path: &Text, tokenizer: Option<&Text>) -> Option<ModelSource> {
        let file = self.pin(path)?;
        let beside = file.path.parent()?.to_owned();
        let (place, folder) = match tokenizer {
            Some(tokenizer) => (tokenizer, Some(self.path(tokenizer))),
            None if beside.join(TOKENIZER).is_file() && !has_tokenizer(&file.path) => {
                (path, Some(beside))
            }
            None => (path, None),
        };
        let tokenizer = match &folder {
            Some(folder) => Some(self.tokenizer(place, folder)?),
            None => None,
        };
        if let Err(reason) = (self.options.gguf)(&file.path, folder.as_deref()) {
            self.refuse(
                "not-runnable",
                path.span(),
                reason.while_doing(format!("`{path}` cannot be run")),
            );
            return None;
        }
        let name = file.path.file_name()?.to_string_lossy().into_owned();
        Some(ModelSource::Folder {
            path: std::path::absolute(file.path.parent()?).ok()?,
            gguf: Some(name),
            tokenizer: folder.map(|folder| std::path::absolute(&folder).unwrap_or(folder)),
            digest: gguf_digest(file.digest, tokenizer),
        })
    }

    /// Digest of what is read of a tokenizer's folder.
    fn tokenizer(&mut self, place: &Text, folder: &Path) -> Option<Digest> {
        if !folder.join(TOKENIZER).is_file() {
            let help = format!(
                "name a folder with `tokenizer.json`, `tokenizer_config.json` and a chat template; `{}` was looked at",
                folder.display()
            );
            let message = format!("`{place}` is no tokenizer folder: it has no {TOKENIZER}");
            self.problem("bad-model", place.span(), message, Some(help));
            return None;
        }
        let digests = &self.options.digests;
        match tokenizer_digest(folder, &|path| digests.of(path)) {
            Ok(digest) => Some(digest),
            Err(error) => {
                self.missing(place, folder, &error);
                None
            }
        }
    }

    fn training(
        &mut self,
        settings: &TrainingSettings,
        settings_id: &Text,
        parts: &[DataPart<'_>],
        seed: Option<&Located<u64>>,
        datasets: &Datasets,
    ) -> Option<Training> {
        let seed = seed
            .or(settings.seed.as_ref())
            .map_or(*self.spec.seed, |seed| **seed);
        let mut data = Vec::new();
        for part in parts {
            data.push(TrainingData {
                dataset: part.dataset.get().clone(),
                turns: turns(part.messages),
                filter: part.filter.map(|filter| filter.get().clone()),
                limit: part.limit.map(|limit| **limit),
                count: part.count.map(|count| **count),
                ratio: part.ratio.map(|ratio| **ratio),
                shuffle: part
                    .shuffle
                    .map(|shuffle| shuffle.seed.as_ref().map_or(*self.spec.seed, |seed| **seed)),
            });
        }
        let architecture = settings.architecture.as_ref().map(|shape| {
            json!({
                "hidden_size": shape.hidden_size,
                "intermediate_size": shape.intermediate_size,
                "num_hidden_layers": shape.num_hidden_layers,
                "num_attention_heads": shape.num_attention_heads,
                "num_key_value_heads": shape.num_key_value_heads.as_ref().unwrap_or(&shape.num_attention_heads),
                "vocab_size": shape.vocab_size,
                "max_position_embeddings": shape.max_position_embeddings,
                "tie_word_embeddings": shape.tie_word_embeddings,
                "rope_theta": shape.rope_theta,
            })
        });
        let training = Training {
            settings: training_settings(settings, seed),
            parameters: architecture.as_ref().map(parameters),
            architecture,
            data,
            eval_fraction: settings.eval_fraction.as_ref().map(|share| **share),
            eval_dataset: settings.eval_dataset.as_ref().map(|id| id.get().clone()),
            save_steps: settings.save_steps.as_ref().map(|steps| **steps as u64),
            chat_template: None,
        };
        self.try_training_data(&training, settings_id, parts, datasets);
        Some(training)
    }

    /// Makes the examples once, so that wrong data is found before anything runs.
    fn try_training_data(
        &mut self,
        training: &Training,
        settings: &Text,
        parts: &[DataPart<'_>],
        datasets: &Datasets,
    ) {
        let names = training.data.iter().map(|part| &part.dataset);
        // A dataset that has a problem of its own, or is not on this machine yet, cannot be looked at.
        let all_there = names.chain(&training.eval_dataset).all(|name| {
            datasets
                .get(name)
                .is_some_and(|d| d.rows_selected.is_some())
        });
        if !all_there {
            return;
        }
        let Err(error) = examples(training, datasets) else {
            return;
        };
        let answer = |part: usize, turn: usize| parts[part].messages[turn].template().span();
        let (code, span) = match &error {
            DataError::Template {
                part,
                turn: Some(turn),
                ..
            } => ("bad-template", answer(*part, *turn)),
            DataError::Template { part, .. } => (
                "bad-template",
                parts[*part].filter.map_or(settings.span(), Located::span),
            ),
            DataError::EmptyAnswer { part, turn, .. } => ("no-answer", answer(*part, *turn)),
            DataError::TooFewRows { part, .. } => {
                let part = &parts[*part];
                let count = part.count.map(Located::span);
                (
                    "too-few-rows",
                    count
                        .or(part.ratio.map(Located::span))
                        .unwrap_or(part.dataset.span()),
                )
            }
            DataError::Nothing => ("empty-dataset", settings.span()),
            DataError::BatchTooLarge { .. } => ("out-of-range", settings.span()),
        };
        self.refuse(code, span, error);
    }
}

pub(super) fn hub_source(
    kind: RepositoryKind,
    repository: &Text,
    revision: Option<&Text>,
) -> HubSource {
    HubSource {
        kind,
        repository: repository.get().clone(),
        revision: revision.map_or_else(|| "main".to_owned(), |revision| revision.get().clone()),
        split: None,
        file: None,
        commit: None,
    }
}

fn endpoint(server: &EndpointSpec) -> Endpoint {
    Endpoint {
        // With or without the last slash, it is the same server.
        base_url: server.base_url.get().trim_end_matches('/').to_owned(),
        model: server.model.get().clone(),
        api_key_env: server.api_key_env.as_ref().map(|name| name.get().clone()),
        concurrency: *server.concurrency,
        requests_per_minute: server.requests_per_minute.as_ref().map(|rate| **rate),
        timeout_seconds: *server.timeout,
        retries: *server.retries,
        logprobs: server.logprobs,
    }
}

/// Settings in the trainer's own names, all of them that decide the result.
fn training_settings(settings: &TrainingSettings, seed: u64) -> Value {
    let mut method = match &settings.lora {
        Some(lora) => json!({ "lora": {
            "rank": lora.rank,
            "alpha": lora.alpha.as_ref().map_or(*lora.rank as f64, |alpha| **alpha),
            "dropout": lora.dropout,
            "target_modules": lora.target_modules.names(),
            "rslora": lora.rslora,
        }}),
        None => json!("full"),
    };
    if let Some(lora) = &settings.lora {
        // What is not asked for is no part of the key.
        let further = [
            ("dora", lora.dora.then(|| json!(true))),
            (
                "rank_pattern",
                Some(json!(lora.rank_pattern)).filter(|_| !lora.rank_pattern.is_empty()),
            ),
            (
                "alpha_pattern",
                Some(json!(lora.alpha_pattern)).filter(|_| !lora.alpha_pattern.is_empty()),
            ),
            (
                "modules_to_save",
                Some(json!(lora.modules_to_save)).filter(|_| !lora.modules_to_save.is_empty()),
            ),
        ];
        for (key, value) in further {
            if let Some(value) = value {
                method["lora"][key] = value;
            }
        }
    }
    let mut value = json!({
        "method": method,
        "learning_rate": settings.learning_rate,
        "lr_scheduler": settings.lr_scheduler,
        "warmup_steps": settings.warmup_steps,
        "warmup_ratio": settings.warmup_ratio,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "adam_beta1": settings.adam_beta1,
        "adam_beta2": settings.adam_beta2,
        "adam_epsilon": settings.adam_epsilon,
        "per_device_batch_size": settings.per_device_batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "epochs": settings.epochs,
        "max_steps": settings.max_steps,
        "max_seq_length": settings.max_seq_length,
        "packing": settings.packing,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "order": settings.order,
        "seed": seed,
        "train_on": settings.train_on,
        "eval_steps": settings.eval_steps,
        "compute": { "dtype": settings.dtype },
    });
    if let Some(quantization) = &settings.base_quantization {
        value["base_quantization"] = json!(quantization);
    }
    value
}

/// Parameters of a Llama-family decoder of this shape.
fn parameters(shape: &Value) -> u64 {
    let number = |name: &str| shape[name].as_u64().unwrap_or(0);
    let (hidden, inner) = (number("hidden_size"), number("intermediate_size"));
    let head = hidden / number("num_attention_heads").max(1);
    let kv = head * number("num_key_value_heads");
    let layer = 2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * inner + 2 * hidden;
    let embeddings = number("vocab_size") * hidden;
    let tied = shape["tie_word_embeddings"].as_bool().unwrap_or(false);
    let heads = if tied { 1 } else { 2 };
    number("num_hidden_layers") * layer + heads * embeddings + hidden
}

/// A count with two digits that matter: `8.0 B`, `1.2 M`, `15 k`.
fn in_words(count: u64) -> String {
    let (size, unit) = match count {
        0..1_000 => return count.to_string(),
        1_000..1_000_000 => (count as f64 / 1e3, "k"),
        1_000_000..1_000_000_000 => (count as f64 / 1e6, "M"),
        _ => (count as f64 / 1e9, "B"),
    };
    let decimals = usize::from(size < 9.95);
    format!("{size:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_parameters_are_counted() {
        // Llama 3.1 8B: 8,030,261,248 parameters.
        let shape = json!({
            "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
            "num_key_value_heads": 8, "vocab_size": 128_256, "tie_word_embeddings": false
        });
        assert_eq!(parameters(&shape), 8_030_261_248);
    }
}
