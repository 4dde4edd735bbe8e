//! Models: folders pinned by their bytes, trainings with every setting filled in.

use std::path::{Path, PathBuf};

use driftgauge_cluster::Resources;
use driftgauge_data::hub::{HubSource, RepositoryKind};
use driftgauge_data::prompt::TurnTemplate;
use driftgauge_engine::{Endpoint, LocalEngine, Witness};
use driftgauge_spec::Text;
use driftgauge_spec::spec::{
    Endpoint as EndpointSpec, Model, ModelEngine, ModelSource as SpecSource,
    Recorded as RecordedSpec, Turn,
};
use driftgauge_store::Digest;
use indexmap::IndexMap;

use super::Resolver;
use crate::model_files::{TOKENIZER, folder_digest, gguf_digest, has_tokenizer, tokenizer_digest};
use crate::resolved::{ModelSource, ResolvedDataset, ResolvedModel};

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
        let used = |(id, _): &(&Text, &Model)| self.used.models.contains(id.get());
        let mut waiting: Vec<(&Text, &Model)> = self.spec.models.iter().filter(used).collect();
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
                    None if self.problems.is_empty() && self.options.sound => {
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
            SpecSource::Path(place) | SpecSource::Gguf(place) | SpecSource::Hub(place)
                if !self.options.models =>
            {
                let unread = hub_source(RepositoryKind::Model, place, None);
                (ModelSource::Hub(unread), place.get().clone())
            }
            SpecSource::Path(path) => (self.folder(path)?, format!("folder {path}")),
            SpecSource::Gguf(path) => (self.gguf(path, model)?, format!("GGUF {path}")),
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
                let settings = self.spec.pretrain.get(pretrain.settings.get().as_str())?;
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
                    None,
                    datasets,
                )?;
                training.chat_template = learnt_template;
                let size = training
                    .architecture
                    .as_ref()
                    .map_or_else(String::new, |shape| {
                        format!(", about {} parameters", in_words(shape.parameters()))
                    });
                (
                    ModelSource::Pretrain(training),
                    format!("trained from scratch with `{}`{size}", pretrain.settings),
                )
            }
            SpecSource::Finetune(finetune) => {
                let settings = self.spec.finetune.get(finetune.settings.get().as_str())?;
                let mut training = self.training(
                    settings,
                    &finetune.settings,
                    &finetune.parts(),
                    finetune.seed.as_ref(),
                    finetune.checkpoint.as_ref(),
                    datasets,
                )?;
                training.chat_template.clone_from(&chat_template);
                let init_adapter = match &finetune.init_adapter {
                    Some(path) if self.options.models => {
                        let (pinned, adapter) = self.adapter(path, finetune.base.get(), made)?;
                        let (lora, training) = (settings.lora.as_ref(), &mut training.settings);
                        self.settings_of_adapter(path, &adapter, lora, training)?;
                        Some(pinned)
                    }
                    _ => None,
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
                        "`{}` fine-tuned with `{}` on {}{}",
                        finetune.base,
                        finetune.settings,
                        data.join(", "),
                        finetune
                            .checkpoint
                            .as_ref()
                            .map_or_else(String::new, |step| format!(", after {step} steps"))
                    ),
                )
            }
            SpecSource::Adapter(adapter) if !self.options.models => {
                let unread = hub_source(RepositoryKind::Model, &adapter.base, None);
                (
                    ModelSource::Hub(unread),
                    format!("`{}` with an adapter", adapter.base),
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
            engine: engine(model),
            witness: match model.engine.as_ref().map(|engine| *engine.get()) {
                Some(ModelEngine::Native) => Witness::Forward,
                None | Some(ModelEngine::Auto | ModelEngine::Mistralrs) => Witness::Mistralrs,
            },
            chat_template,
            resources: model.resources.as_ref().map(resources).unwrap_or_default(),
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
    fn gguf(&mut self, path: &Text, model: &Model) -> Option<ModelSource> {
        let file = self.pin(path)?;
        let beside = file.path.parent()?.to_owned();
        let (place, folder) = match &model.tokenizer {
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
        let engine = engine(model).unwrap_or_else(|| self.engine_of_gguf());
        if let Err(reason) = (self.options.gguf)(&file.path, folder.as_deref(), engine) {
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
        self.tokenizer_built_elsewhere(place, folder);
        let digests = &self.options.digests;
        match tokenizer_digest(folder, &|path| digests.of(path)) {
            Ok(digest) => Some(digest),
            Err(error) => {
                self.missing(place, folder, &error);
                None
            }
        }
    }
}

/// What the spec says that computes a model; nothing where it is left open.
fn engine(model: &Model) -> Option<LocalEngine> {
    match model.engine.as_ref().map(|engine| *engine.get()) {
        None | Some(ModelEngine::Auto) => None,
        Some(ModelEngine::Mistralrs) => Some(LocalEngine::Mistralrs),
        Some(ModelEngine::Native) => Some(LocalEngine::Native),
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

/// What jobs ask for, in the types that queues are asked in; amounts that are none were refused.
fn resources(said: &driftgauge_spec::spec::Resources) -> Resources {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.get().clone());
    Resources {
        cpus: said.cpus.as_ref().map(|cpus| *cpus.get()),
        memory: text(&said.memory).and_then(|text| text.parse().ok()),
        gpus: said.gpus.as_ref().map(|gpus| *gpus.get()),
        time: text(&said.time).and_then(|text| text.parse().ok()),
        constraint: text(&said.constraint),
    }
}
