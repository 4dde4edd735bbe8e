//! The files of an adapter, held against the model that it was made for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{AdapterSettings, saved_by};
use crate::error::{Error, Refusal, Result};
use crate::header::{Slot, check_types, tensors_of};
use crate::weights::{ADAPTER_CONFIG, Weights};

/// Name of PEFT's settings file.
pub const CONFIG_FILE: &str = ADAPTER_CONFIG;
/// Name of PEFT's weights file.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// Its name in PEFT's older form.
const PICKLE: &str = "adapter_model.bin";

/// Name of PEFT's module around a model, before every name in its file.
pub const PREFIX: &str = "base_model.model.";
const HEAD: &str = "lm_head";

/// The two files of an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterFiles {
    /// The settings.
    pub settings: PathBuf,
    /// The weights.
    pub weights: PathBuf,
}

/// The files of the adapter at `path`: a folder in PEFT's layout, or a weights file with the settings beside it.
///
/// # Errors
/// When one is missing, or the weights are in a form that is not read.
pub fn files(path: &Path) -> Result<AdapterFiles> {
    let is_file = path.is_file();
    let found = if is_file {
        AdapterFiles {
            settings: path.with_file_name(CONFIG_FILE),
            weights: path.to_path_buf(),
        }
    } else {
        AdapterFiles {
            settings: path.join(CONFIG_FILE),
            weights: path.join(WEIGHTS_FILE),
        }
    };
    let pickle = match is_file {
        true => Some(path).filter(|p| p.extension().is_none_or(|e| e != "safetensors")),
        false => Some(path).filter(|p| !found.weights.is_file() && p.join(PICKLE).is_file()),
    };
    if let Some(path) = pickle {
        return Err(Error::content(
            path,
            Refusal::new(
                format!(
                    "an adapter as a pickle (`{PICKLE}`) is not read, since a pickle can run code"
                ),
                format!(
                    "load it with PEFT and save it \
                 again, which writes `{WEIGHTS_FILE}`: `PeftModel.from_pretrained(BASE, FOLDER).save_pretrained(NEW_FOLDER)`"
                ),
            ),
        ));
    }
    for needed in [&found.settings, &found.weights] {
        if !needed.is_file() {
            let name = needed.file_name().unwrap_or_default().to_string_lossy();
            return Err(Error::content(
                path,
                Refusal::new(
                    format!("is no adapter in PEFT's layout: it has no `{name}`"),
                    format!(
                        "`save_pretrained(FOLDER)` of a PEFT model writes \
                     `{CONFIG_FILE}` and `{WEIGHTS_FILE}`"
                    ),
                ),
            ));
        }
    }
    Ok(found)
}

/// What an adapter does to one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A low-rank update, with learnt row lengths (DoRA) where `lengths` names their tensor.
    Update {
        /// `[rank, in]`; of an embedding `[rank, rows]`.
        a: String,
        /// `[out, rank]`; of an embedding `[columns, rank]`.
        b: String,
        /// `[out]`
        lengths: Option<String>,
        /// Whether it changes an embedding, whose weight is the other way round.
        embedding: bool,
        /// The weight that is updated, where the adapter brings it along.
        below: Option<String>,
    },
    /// Another weight in its place, by name.
    Whole(String),
}

/// An adapter whose settings are understood and whose tensors are known by what they change.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Its files.
    pub files: AdapterFiles,
    /// Its settings.
    pub settings: AdapterSettings,
    /// The same as they stand in the file.
    pub config: Value,
    /// What is done to which weight, by the weight's name in the base.
    pub changes: BTreeMap<String, Change>,
    pub(super) tensors: BTreeMap<String, Slot>,
}

/// The parts of an update as they are found.
#[derive(Default)]
struct Parts {
    a: Option<String>,
    b: Option<String>,
    lengths: Option<String>,
    below: Option<String>,
}

impl Adapter {
    /// Opens an adapter in PEFT's layout, or a weights file with its settings beside it. Reads headers only.
    ///
    /// # Errors
    /// When a file is missing, a setting is not computed, or a tensor is not known or holds other numbers than weights are.
    pub fn open(path: &Path) -> Result<Self> {
        let files = files(path)?;
        let bytes = std::fs::read(&files.settings).map_err(Error::io(&files.settings))?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|e| Error::content(&files.settings, format!("is no JSON: {e}")))?;
        let settings = AdapterSettings::from_json(&value).map_err(|why| {
            let reason = format!("this adapter cannot be taken: {}", why.reason);
            Error::content(&files.settings, Refusal { reason, ..why })
        })?;
        let tensors = tensors_of(&files.weights)?;
        check_types(&files.weights, &tensors)?;
        let changes = changes(&files.weights, tensors.keys())?;
        Ok(Self {
            files,
            settings,
            config: value,
            changes,
            tensors,
        })
    }

    /// Holds the adapter against its base: every tensor has a place and a shape that fits, and every module that the settings
    /// name has its tensors.
    ///
    /// # Errors
    /// Naming the first that does not fit.
    pub fn check_base(&self, base: &Weights) -> Result<()> {
        let refuse = |refusal: Refusal| Err(Error::content(&self.files.weights, refusal));
        let tied = !base.tensors.contains_key("lm_head.weight");
        for (weight, change) in &self.changes {
            let module = module_of(weight);
            let shape = match (base.shape(weight), base.embedding()) {
                (Some(shape), _) => shape,
                (None, Some(embedding)) if tied && module == HEAD => {
                    if matches!(change, Change::Update { .. }) || !self.settings.saves(module) {
                        return refuse(Refusal::new(
                            format!(
                                "changes `{HEAD}`, which the base does not have: its output head is the embedding"
                            ),
                            "PEFT's \
                             `merge_and_unload()` makes a plain model folder of both",
                        ));
                    }
                    base.shape(embedding).unwrap_or_default()
                }
                _ => {
                    return refuse(Refusal::new(
                        format!("changes `{weight}`, which the base does not have"),
                        "it was made for another model",
                    ));
                }
            };
            self.check_change(weight, change, shape)?;
            let is_embedding = base.embedding() == Some(weight.as_str());
            let shared = tied && is_embedding && !self.settings.saves(module);
            if shared && matches!(change, Change::Update { .. }) {
                return refuse(Refusal::new(
                    format!(
                        "updates `{weight}`, which is the base's output head as well, and PEFT updates only one of both"
                    ),
                    "PEFT's \
                     `merge_and_unload()` makes a plain model folder as it understands it",
                ));
            }
        }
        self.check_settings(base)
    }

    fn check_change(&self, weight: &str, change: &Change, shape: &[u64]) -> Result<()> {
        let rank = self.settings.rank_of(module_of(weight)) as u64;
        let expected = match (change, shape) {
            (
                Change::Update {
                    lengths: Some(name),
                    embedding: true,
                    ..
                },
                _,
            ) => {
                return Err(Error::content(
                    &self.files.weights,
                    format!("`{name}`: DoRA of an embedding is not computed"),
                ));
            }
            (Change::Whole(name), _) => vec![(name, shape.to_vec())],
            (
                Change::Update {
                    a,
                    b,
                    lengths,
                    embedding,
                    below,
                },
                &[rows, columns],
            ) => {
                let (inputs, outputs) = match embedding {
                    true => (rows, columns),
                    false => (columns, rows),
                };
                let factors = [(a, vec![rank, inputs]), (b, vec![outputs, rank])];
                let lengths = lengths.iter().map(|name| (name, vec![outputs]));
                let below = below.iter().map(|name| (name, vec![rows, columns]));
                factors.into_iter().chain(lengths).chain(below).collect()
            }
            _ => {
                return Err(Error::content(
                    &self.files.weights,
                    format!("updates `{weight}`, which is no matrix"),
                ));
            }
        };
        for (name, expected) in expected {
            let found = &self.tensors[name].shape;
            if *found != expected {
                return Err(Error::content(
                    &self.files.weights,
                    Refusal::new(
                        format!(
                            "tensor `{name}` has shape {found:?}, the base model and `{CONFIG_FILE}` ask for {expected:?}"
                        ),
                        "it \
                         was made for another model, or one whose vocabulary was resized",
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Every module that the settings change is changed, and no other: else part of the fine-tune would be lost, or something
    /// else put into the model.
    fn check_settings(&self, base: &Weights) -> Result<()> {
        let refuse = |refusal: Refusal| Err(Error::content(&self.files.weights, refusal));
        for (weight, (_, slot)) in &base.tensors {
            let module = module_of(weight);
            let matrix = slot.shape.len() == 2 && weight.ends_with(".weight");
            let (updated, saved) = (
                matrix && self.settings.targets(module),
                self.settings.saves(module),
            );
            let found = self.changes.get(weight);
            match (found, updated, saved) {
                (_, true, true) => {
                    return refuse(format!(
                        "`{CONFIG_FILE}` both updates and replaces `{module}`, which is not computed"
                    ).into());
                }
                (None | Some(Change::Whole(_)), true, _) | (None, _, true) => {
                    return refuse(Refusal::new(
                        format!(
                            "has nothing for `{module}`, which `{CONFIG_FILE}` says it changes"
                        ),
                        "save the adapter again",
                    ));
                }
                (Some(Change::Update { lengths, .. }), true, _)
                    if lengths.is_some() != self.settings.dora =>
                {
                    return refuse(
                        format!(
                            "`use_dora: {}` and the tensors of `{module}` do not agree",
                            self.settings.dora
                        )
                        .into(),
                    );
                }
                (Some(Change::Update { .. }), false, _) => {
                    return refuse(format!(
                        "updates `{module}`, which is none of the modules that `{CONFIG_FILE}` names"
                    ).into());
                }
                (Some(Change::Whole(name)), _, false) if !saved_beside(weight, base) => {
                    return refuse(Refusal::new(
                        format!(
                            "`{name}` replaces a weight of the base, and its module is none of `modules_to_save` in `{CONFIG_FILE}`"
                        ),
                        "take the tensor out, or save the adapter again with the settings that it was trained with",
                    ));
                }
                _ => {}
            }
        }
        self.check_names(base)
    }

    /// The settings name modules that the base has.
    fn check_names(&self, base: &Weights) -> Result<()> {
        let refuse = |refusal: Refusal| Err(Error::content(&self.files.settings, refusal));
        let modules = || base.tensors.keys().map(|weight| module_of(weight));
        for entry in &self.settings.modules_to_save {
            if !modules()
                .chain([HEAD])
                .any(|module| saved_by(entry, module))
            {
                return refuse(Refusal::new(
                    format!(
                        "`modules_to_save` names `{entry}`, and no module of the base is called so"
                    ),
                    "it was made for another model; PEFT passes over the name, so take it out if nothing was trained there",
                ));
            }
        }
        let head = format!("{HEAD}.weight");
        let stands = base.tensors.contains_key(&head) || self.changes.contains_key(&head);
        if self.settings.saves(HEAD) && !stands {
            return refuse(Refusal::new(
                format!("`modules_to_save` names `{HEAD}`, and the adapter has nothing for it"),
                "save the adapter again",
            ));
        }
        if !modules().any(|module| self.settings.targets(module)) {
            return refuse(Refusal::new(
                "`target_modules` names no module of the base",
                "it was made for another model",
            ));
        }
        Ok(())
    }
}

/// Whether PEFT saves a weight beside an adapter although it was not trained: those of a vocabulary that was resized.
fn saved_beside(weight: &str, base: &Weights) -> bool {
    base.embedding() == Some(weight) || weight == "lm_head.weight"
}

/// The module that a weight belongs to.
fn module_of(weight: &str) -> &str {
    weight
        .strip_suffix(".weight")
        .or_else(|| weight.strip_suffix(".bias"))
        .unwrap_or(weight)
}

/// What tensors of these names do to which weight of the base.
fn changes<'a>(
    path: &Path,
    names: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, Change>> {
    let mut updates = BTreeMap::<String, (Parts, bool)>::new();
    let mut changes = BTreeMap::new();
    for name in names {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            return Err(Error::content(
                path,
                Refusal::new(
                    format!("tensor `{name}` is not named as PEFT names it"),
                    format!(
                        "names begin with `{PREFIX}`; save the adapter again with \
                     PEFT"
                    ),
                ),
            ));
        };
        type End = (&'static str, fn(&mut Parts) -> &mut Option<String>, bool);
        let ends: [End; 7] = [
            (".base_layer.weight", |p| &mut p.below, false),
            (".lora_A.weight", |p| &mut p.a, false),
            (".lora_B.weight", |p| &mut p.b, false),
            (".lora_embedding_A", |p| &mut p.a, true),
            (".lora_embedding_B", |p| &mut p.b, true),
            (".lora_magnitude_vector", |p| &mut p.lengths, false),
            (".lora_magnitude_vector.weight", |p| &mut p.lengths, false),
        ];
        let part = ends
            .into_iter()
            .find_map(|(end, slot, embedding)| Some((rest.strip_suffix(end)?, slot, embedding)));
        match part {
            Some((module, slot, embedding)) => {
                let (parts, is_embedding) = updates.entry(module.to_owned()).or_default();
                *slot(parts) = Some(name.clone());
                *is_embedding |= embedding;
            }
            None if rest.contains("lora_") => {
                return Err(Error::content(
                    path,
                    format!("tensor `{name}` belongs to a kind of adapter that is not computed"),
                ));
            }
            None => {
                changes.insert(rest.to_owned(), Change::Whole(name.clone()));
            }
        }
    }
    for (module, (parts, embedding)) in updates {
        let (Some(a), Some(b)) = (parts.a, parts.b) else {
            return Err(Error::content(
                path,
                format!("the update of `{module}` lacks one of its two factors"),
            ));
        };
        let update = Change::Update {
            a,
            b,
            lengths: parts.lengths,
            embedding,
            below: parts.below,
        };
        let weight = format!("{module}.weight");
        if changes.insert(weight, update).is_some() {
            return Err(Error::content(
                path,
                Refusal::new(
                    format!("both updates and replaces `{module}`, which is not computed"),
                    "PEFT's `merge_and_unload()` makes a \
                     plain model folder of it",
                ),
            ));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests;
