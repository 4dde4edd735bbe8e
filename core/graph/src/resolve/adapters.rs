//! Adapters in PEFT's layout: pinned by their bytes, held against their base before anything runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use driftgauge_data::PinnedFile;
use driftgauge_data::hub::{HubSource, RepositoryKind};
use driftgauge_engine::training::{LoraConfig, Method, TrainingSettings};
use driftgauge_folder::adapter::Adapter;
use driftgauge_folder::special::{SpecialTokens, largest_token};
use driftgauge_problem::Problem;
use driftgauge_spec::Text;
use driftgauge_spec::spec::{Adapter as AdapterSpec, Lora, TargetModules};
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Resolver;
use super::models::hub_source;
use crate::model_files::{adapter_digest, template_text};
use crate::resolved::{ModelSource, ResolvedModel};

type Models = IndexMap<String, ResolvedModel>;

impl Resolver<'_> {
    /// A model merged with an adapter, and what it is in words. `pinned` becomes the repository of an adapter that comes from
    /// the hub and is here.
    pub(super) fn adapter_source(
        &mut self,
        spec: &AdapterSpec,
        models: &Models,
        pinned: &mut Option<HubSource>,
    ) -> Option<(ModelSource, String)> {
        let base = spec.base.get();
        let source = |adapter, hub| ModelSource::Adapter {
            base: base.clone(),
            adapter,
            hub,
        };
        if let Some(path) = &spec.path {
            let (file, adapter) = self.adapter(path, base, models)?;
            self.takes_effect(path, base, &adapter)?;
            let words = format!("`{base}` with the adapter {path}");
            return Some((source(Some(file), None), words));
        }
        let repository = spec.hub.as_ref()?;
        let wanted = hub_source(RepositoryKind::Adapter, repository, spec.revision.as_ref());
        let mut words = format!(
            "`{base}` with the adapter {repository} at {}",
            wanted.revision
        );
        let Some(snapshot) = wanted.snapshot().filter(|_| wanted.lacks().is_none()) else {
            return Some((source(None, Some(wanted)), words));
        };
        if snapshot.commit != wanted.revision {
            words.push_str(&format!(", commit {}", snapshot.commit));
        }
        let (file, adapter) = self.adapter_at(repository, &snapshot.folder, base, models)?;
        self.takes_effect(repository, base, &adapter)?;
        *pinned = Some(HubSource {
            commit: Some(snapshot.commit),
            ..wanted
        });
        Some((source(Some(file), None), words))
    }

    /// Refuses an adapter that changes nothing or holds what is no number, and says where it names another base than the one that it
    /// is merged into.
    fn takes_effect(&mut self, place: &Text, base: &str, adapter: &Adapter) -> Option<()> {
        let checked = adapter
            .check_effect()
            .and_then(|()| adapter.check_numbers());
        if let Err(problem) = checked {
            self.refuse("bad-adapter", place.span(), problem);
            return None;
        }
        let ours = self
            .spec
            .models
            .get(base)
            .and_then(|base| base.hub.as_ref());
        let theirs = adapter.config["base_model_name_or_path"].as_str();
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && is_repository(theirs)
            && !name_of(theirs).eq_ignore_ascii_case(name_of(ours.get()))
        {
            self.note(format!(
                "the adapter `{place}` says that it was trained on `{theirs}`, and is merged into `{ours}`."
            ));
        }
        Some(())
    }

    /// An adapter folder, or its safetensors file, for the model `base`.
    pub(super) fn adapter(
        &mut self,
        path: &Text,
        base: &str,
        models: &Models,
    ) -> Option<(PinnedFile, Adapter)> {
        let full = self.path(path);
        if !full.exists() {
            let error = std::io::Error::from(std::io::ErrorKind::NotFound);
            self.missing(path, &full, &error);
            return None;
        }
        self.adapter_at(path, &full, base, models)
    }

    fn adapter_at(
        &mut self,
        place: &Text,
        path: &Path,
        base: &str,
        models: &Models,
    ) -> Option<(PinnedFile, Adapter)> {
        let digests = &self.options.digests;
        let opened = || -> Result<_, Problem> {
            let adapter = Adapter::open(path)?;
            if let Some(folder) = root_folder(base, models) {
                adapter.check_base(&driftgauge_folder::inspect(folder)?)?;
            }
            Ok((
                adapter_digest(&adapter.files, &|file| digests.of(file))?,
                adapter,
            ))
        };
        match opened() {
            Ok((digest, adapter)) => {
                self.text_of_its_own(place, &adapter, base, models);
                let path = &adapter.files.weights;
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                Some((PinnedFile { path, digest }, adapter))
            }
            Err(problem) => {
                self.refuse("bad-adapter", place.span(), problem);
                None
            }
        }
    }

    /// Notes what an adapter's folder says of text and the base says otherwise: it is not used.
    fn text_of_its_own(&mut self, place: &Text, adapter: &Adapter, base: &str, models: &Models) {
        let own = adapter.files.settings.parent();
        let (Some(own), Some(base_folder)) = (own, root_folder(base, models)) else {
            return;
        };
        let told = models
            .get(base)
            .is_some_and(|model| model.chat_template.is_some());
        if let (Some(theirs), false) = (template_text(own), told)
            && template_text(base_folder).as_ref() != Some(&theirs)
        {
            self.notes.push(format!(
                "the adapter `{place}` has a chat template of its own beside it, and `{base}` another one, which is used; \
                 `chat_template: FILE` on the model names one to use instead"
            ));
        }
        if let (Ok(theirs), Ok(ours)) = (largest_token(own), largest_token(base_folder))
            && theirs.0 > ours.0
        {
            self.notes.push(format!(
                "the adapter `{place}` has a tokenizer beside it with tokens (`{}`) that `{base}` does not know; the tokenizer of \
                 `{base}` is used",
                theirs.1
            ));
        } else if let Some(what) = other_tokenizer(own, base_folder) {
            self.notes.push(format!(
                "the adapter `{place}` has a tokenizer beside it {what}; the tokenizer of `{base}` is used"
            ));
        }
    }

    /// Gives a training that begins with an adapter the adapter's own settings, and reports those of the spec that say
    /// something else.
    pub(super) fn settings_of_adapter(
        &mut self,
        place: &Text,
        adapter: &Adapter,
        lora: Option<&Lora>,
        training: &mut TrainingSettings,
    ) -> Option<()> {
        let (theirs, config) = (&adapter.settings, &adapter.config);
        let Some(lora) = lora else {
            let message =
                "`init_adapter` needs `lora`: `full: true` trains every weight and no adapter";
            self.problem("bad-adapter", place.span(), message, None);
            return None;
        };
        if let Some((key, said, has)) = contradiction(lora, adapter) {
            self.problem(
                "bad-adapter",
                place.span(),
                format!(
                    "the settings say `{key}: {said}`, and the adapter of `init_adapter` has {has}"
                ),
                Some(format!(
                    "what is trained on has the settings that it was made with; leave `{key}` out"
                )),
            );
            return None;
        }
        let Some(target_modules) = written(config, "target_modules") else {
            let message = "the adapter of `init_adapter` names no modules in `target_modules`";
            self.problem("bad-adapter", place.span(), message, None);
            return None;
        };
        training.method = Method::Lora(LoraConfig {
            rank: theirs.rank,
            alpha: theirs.alpha,
            dropout: if lora.dropout.span().is_none() {
                theirs.dropout
            } else {
                *lora.dropout
            },
            target_modules,
            rslora: theirs.rslora,
            dora: theirs.dora,
            rank_pattern: written(config, "rank_pattern").unwrap_or_default(),
            alpha_pattern: written(config, "alpha_pattern").unwrap_or_default(),
            modules_to_save: theirs.modules_to_save.clone(),
        });
        Some(())
    }
}

/// Whether a text names a repository of the hub, and no folder.
fn is_repository(text: &str) -> bool {
    text.matches('/').count() == 1 && !text.starts_with(['/', '.', '~'])
}

/// The name of a repository without its organisation: copies of one model stand under several.
fn name_of(repository: &str) -> &str {
    repository.rsplit('/').next().unwrap_or(repository)
}

/// A setting as the adapter's file has it; the reader of adapters has held it against what such a file may say.
fn written<T: DeserializeOwned>(config: &Value, key: &str) -> Option<T> {
    serde_json::from_value(config[key].clone()).ok()
}

/// The first key of the spec that says something else than the adapter: what it says, and what the adapter has.
fn contradiction(lora: &Lora, adapter: &Adapter) -> Option<(&'static str, String, String)> {
    let (theirs, config) = (&adapter.settings, &adapter.config);
    let given = |span: driftgauge_spec::Span| !span.is_none();
    if given(lora.rank.span()) && *lora.rank != theirs.rank {
        return Some(("rank", lora.rank.to_string(), theirs.rank.to_string()));
    }
    if let Some(alpha) = lora.alpha.as_ref().filter(|alpha| ***alpha != theirs.alpha) {
        return Some(("alpha", alpha.to_string(), theirs.alpha.to_string()));
    }
    for (key, asked, has) in [
        ("rslora", lora.rslora, theirs.rslora),
        ("dora", lora.dora, theirs.dora),
    ] {
        if asked && !has {
            return Some((key, "true".to_owned(), "none".to_owned()));
        }
    }
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        json!(names)
    };
    let listed = |value: &Value| match value.as_array() {
        Some(names) => sorted(
            names
                .iter()
                .filter_map(|n| n.as_str().map(str::to_owned))
                .collect(),
        ),
        None => value.clone(),
    };
    let said =
        |asked: Value, has: &Value| (asked != *has).then(|| (asked.to_string(), has.to_string()));
    let modules = match &lora.target_modules {
        TargetModules::AllLinear => None,
        names => said(sorted(names.names()), &listed(&config["target_modules"])),
    };
    let saved = (!lora.modules_to_save.is_empty()).then(|| {
        let asked = lora.modules_to_save.iter().map(|name| name.get().clone());
        said(sorted(asked.collect()), &listed(&config["modules_to_save"]))
    });
    let ranks = (!lora.rank_pattern.is_empty())
        .then(|| said(json!(lora.rank_pattern), &config["rank_pattern"]));
    // PEFT writes an alpha as it was given, 3 or 3.0.
    let has = &config["alpha_pattern"];
    let as_numbers = |value: &Value| {
        serde_json::from_value::<BTreeMap<String, f64>>(value.clone())
            .map_or_else(|_| value.clone(), |numbers| json!(numbers))
    };
    let alphas = (!lora.alpha_pattern.is_empty())
        .then(|| said(as_numbers(&json!(lora.alpha_pattern)), &as_numbers(has)));
    [
        ("target_modules", modules),
        ("modules_to_save", saved.flatten()),
        ("rank_pattern", ranks.flatten()),
        ("alpha_pattern", alphas.flatten()),
    ]
    .into_iter()
    .find_map(|(key, found)| found.map(|(said, has)| (key, said, has)))
}

/// How a tokenizer beside an adapter differs from that of the base, with the same tokens: another one ends an answer, or texts are cut
/// otherwise.
fn other_tokenizer(own: &Path, base: &Path) -> Option<String> {
    let ends = [own, base].map(|folder| {
        let tokens = SpecialTokens::read(folder).ok()?;
        tokens.get("eos_token").map(str::to_owned)
    });
    if let [Some(theirs), Some(ours)] = &ends
        && theirs != ours
    {
        return Some(format!(
            "whose `eos_token` is `{theirs}`, and that of the base is `{ours}`"
        ));
    }
    let read = |folder: &Path| std::fs::read(folder.join("tokenizer.json")).ok();
    let (theirs, ours) = (read(own)?, read(base)?);
    if theirs == ours {
        return None;
    }
    let model = |bytes: &[u8]| {
        let mut file: Value = serde_json::from_slice(bytes).ok()?;
        Some(file["model"].take())
    };
    let is_other = model(&theirs)? != model(&ours)?;
    is_other.then(|| "that cuts texts into other tokens than that of the base".to_owned())
}

/// The folder on this machine that a model is made from in the end, where there is one.
pub(super) fn root_folder<'a>(model: &str, models: &'a Models) -> Option<&'a PathBuf> {
    match &models.get(model)?.source {
        ModelSource::Folder {
            path, gguf: None, ..
        } => Some(path),
        source => root_folder(source.base()?, models),
    }
}
