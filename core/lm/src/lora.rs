//! LoRA adapters: their settings, and PEFT's files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::files;
use crate::model::module_names;
use crate::ranges;
use crate::tensors::{TensorFile, write_atomically};

/// Name of PEFT's settings file.
pub(crate) const CONFIG_FILE: &str = "adapter_config.json";
/// Name of PEFT's weights file.
pub(crate) const WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// Settings of a LoRA adapter (arXiv 2106.09685): `W x + scale * B(A(dropout(x)))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of the update.
    pub rank: usize,
    /// The update is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Probability that an input element of an adapter is dropped while training.
    pub dropout: f64,
    /// Which linear modules get an adapter.
    pub target_modules: TargetModules,
    /// Scale by `alpha / sqrt(rank)` instead (arXiv 2312.03732).
    pub rslora: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 8.0,
            dropout: 0.0,
            target_modules: TargetModules::Named("all-linear".to_owned()),
            rslora: false,
        }
    }
}

/// Module names, or `all-linear` for all seven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetModules {
    /// `all-linear`; no other word means anything.
    Named(String),
    /// Names such as `q_proj`.
    List(Vec<String>),
}

impl LoraConfig {
    /// The targets as a set of known names.
    pub(crate) fn targets(&self) -> Result<BTreeSet<&'static str>> {
        let names = match &self.target_modules {
            TargetModules::Named(word) if word == "all-linear" => {
                return Ok(module_names().collect());
            }
            TargetModules::Named(word) => std::slice::from_ref(word),
            TargetModules::List(names) => names,
        };
        if names.is_empty() {
            return Err(Error::Config(
                "`target_modules` is empty: nothing would be trained".to_owned(),
            ));
        }
        names
            .iter()
            .map(|name| {
                module_names().find(|known| known == name).ok_or_else(|| {
                    let known: Vec<&str> = module_names().collect();
                    Error::Config(format!(
                        "target module `{name}` does not exist; hint: choose from {}, or say `all-linear`",
                        known.join(", ")
                    ))
                })
            })
            .collect()
    }

    /// What the update is multiplied by.
    pub(crate) fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// Checks the numbers.
    pub(crate) fn validate(&self) -> Result<()> {
        self.targets()?;
        let Self {
            rank,
            alpha,
            dropout,
            target_modules: _,
            rslora: _,
        } = self;
        let numbers = [
            ("rank", *rank as f64),
            ("alpha", *alpha),
            ("dropout", *dropout),
        ];
        ranges::hold(ranges::LORA, &numbers)
    }

    /// The content of PEFT's `adapter_config.json`. Targets are sorted: PEFT's own order changes from run to run.
    fn to_peft(&self, base_model: Option<&str>) -> Result<Value> {
        Ok(json!({
            "alpha_pattern": {},
            "base_model_name_or_path": base_model,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "layers_pattern": null,
            "layers_to_transform": null,
            "lora_alpha": whole_number(self.alpha),
            "lora_dropout": self.dropout,
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": self.rank,
            "rank_pattern": {},
            "revision": null,
            "target_modules": self.targets()?,
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": self.rslora,
        }))
    }

    /// Reads PEFT's settings; refuses, by name, what would change the arithmetic.
    fn from_peft(value: &Value) -> Result<Self> {
        let refuse = |what: String| Err(Error::Unsupported(format!("adapter with {what}")));
        let kind = value["peft_type"].as_str().unwrap_or("none");
        if kind != "LORA" {
            return refuse(format!("`peft_type: {kind}`"));
        }
        for switch in ["use_dora", "fan_in_fan_out"] {
            if value[switch].as_bool() == Some(true) {
                return refuse(format!("`{switch}: true`"));
            }
        }
        for key in [
            "rank_pattern",
            "alpha_pattern",
            "modules_to_save",
            "layers_to_transform",
            "target_parameters",
            "trainable_token_indices",
        ] {
            let empty = match &value[key] {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(items) => items.is_empty(),
                _ => false,
            };
            if !empty {
                return refuse(format!("`{key}`"));
            }
        }
        if let Some(bias) = value["bias"].as_str()
            && bias != "none"
        {
            return refuse(format!("`bias: {bias}`"));
        }
        let target_modules = serde_json::from_value(value["target_modules"].clone())
            .map_err(|_| Error::Config("`target_modules` is not a list of names".to_owned()))?;
        let rank = value["r"]
            .as_u64()
            .ok_or_else(|| Error::Config("`r` is missing".to_owned()))?;
        let config = Self {
            rank: rank as usize,
            alpha: value["lora_alpha"]
                .as_f64()
                .ok_or_else(|| Error::Config("`lora_alpha` is missing".to_owned()))?,
            dropout: value["lora_dropout"].as_f64().unwrap_or(0.0),
            target_modules,
            rslora: value["use_rslora"].as_bool().unwrap_or(false),
        };
        config.validate()?;
        Ok(config)
    }
}

/// An adapter on disk: settings, and factors by their name in PEFT's file.
pub(crate) struct AdapterFolder {
    pub(crate) config: LoraConfig,
    weights: TensorFile,
}

/// Settings and weights of the adapter at `path`: a folder in PEFT's layout, or a weights file with the settings beside it.
pub(crate) fn adapter_files(path: &Path) -> (PathBuf, PathBuf) {
    if path.is_file() {
        (path.with_file_name(CONFIG_FILE), path.to_path_buf())
    } else {
        (path.join(CONFIG_FILE), path.join(WEIGHTS_FILE))
    }
}

impl AdapterFolder {
    /// Opens an adapter in PEFT's layout, or a weights file with its settings beside it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (path, weights) = adapter_files(path);
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| Error::file(&path, e))?;
        let config = LoraConfig::from_peft(&value).map_err(|e| Error::file(&path, e))?;
        let weights = TensorFile::open(&weights)?;
        Ok(Self { config, weights })
    }

    /// Reads one factor and checks its shape.
    pub(crate) fn read(&self, name: &str, shape: (usize, usize)) -> Result<Tensor> {
        let tensor = self.weights.read(name, &Device::Cpu)?;
        if tensor.dims() != [shape.0, shape.1] {
            return Err(Error::file(
                self.weights.path(),
                format!(
                    "`{name}` has shape {:?}, the base model asks for {shape:?}",
                    tensor.dims()
                ),
            ));
        }
        Ok(tensor)
    }

    /// Names of all factors.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.weights.tensors().keys().map(String::as_str)
    }

    /// Errors when the file holds a factor that `used` does not name: it would be lost silently.
    pub(crate) fn check_all_used<T>(&self, used: &BTreeMap<String, T>) -> Result<()> {
        match self.names().find(|name| !used.contains_key(*name)) {
            Some(name) => Err(Error::file(
                self.weights.path(),
                format!("`{name}` belongs to no target module of the base model"),
            )),
            None => Ok(()),
        }
    }
}

/// Writes an adapter in PEFT's layout into an existing folder.
pub(crate) fn write_adapter(
    folder: &Path,
    config: &LoraConfig,
    base_model: Option<&str>,
    factors: &[(String, Tensor)],
) -> Result<()> {
    let mut text = serde_json::to_string_pretty(&config.to_peft(base_model)?)
        .map_err(|e| Error::Config(e.to_string()))?;
    text.push('\n');
    files::write_bytes(&folder.join(CONFIG_FILE), text.as_bytes())?;
    write_atomically(&folder.join(WEIGHTS_FILE), factors)
}

/// PEFT writes whole alphas as integers.
fn whole_number(x: f64) -> Value {
    if x.fract() == 0.0 && x.abs() < 1e15 {
        json!(x as i64)
    } else {
        json!(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_peft() {
        let config = LoraConfig {
            rank: 4,
            alpha: 8.0,
            dropout: 0.05,
            target_modules: TargetModules::List(vec!["v_proj".into(), "q_proj".into()]),
            rslora: true,
        };
        let peft = config.to_peft(None).unwrap();
        assert_eq!(peft["target_modules"], json!(["q_proj", "v_proj"]));
        assert_eq!(peft["lora_alpha"].to_string(), "8");
        let back = LoraConfig::from_peft(&peft).unwrap();
        assert_eq!(back.targets().unwrap(), config.targets().unwrap());
        assert_eq!(back.scale(), 4.0);
        let mut dora = peft.clone();
        dora["use_dora"] = json!(true);
        let error = LoraConfig::from_peft(&dora).unwrap_err().to_string();
        assert!(error.contains("use_dora"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        let named = |word: &str| LoraConfig {
            target_modules: TargetModules::Named(word.into()),
            ..LoraConfig::default()
        };
        assert_eq!(named("all-linear").targets().unwrap().len(), 7);
        let error = named("q_porj").validate().unwrap_err().to_string();
        assert!(
            error.contains("`q_porj`") && error.contains("q_proj, k_proj"),
            "{error}"
        );
        let zero = LoraConfig {
            rank: 0,
            ..LoraConfig::default()
        };
        assert!(
            zero.validate()
                .unwrap_err()
                .to_string()
                .contains("`rank` 0")
        );
    }
}
