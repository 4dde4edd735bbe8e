//! LoRA adapters: their settings, and PEFT's files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use driftgauge_engine::training::{LoraConfig, TargetModules};
use driftgauge_folder::Weights;
use driftgauge_folder::adapter::{Adapter, AdapterSettings, CONFIG_FILE, Change, WEIGHTS_FILE};
use serde_json::{Value, json};

use crate::config::DecoderConfig;
use crate::error::{Error, Result};
use crate::folder;
use crate::model::{Parameters, module_names, modules_of};
use crate::ranges;
use crate::tensors::{TensorFile, write_atomically};

/// The modules of a layer whose weights stand apart. A list of all of them is how `all-linear` comes from a spec.
const APART: [&str; 7] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
];

/// The targets as a set of known names.
fn targets(config: &LoraConfig) -> Result<BTreeSet<&'static str>> {
    let names = match &config.target_modules {
        TargetModules::Named(word) if word == "all-linear" => return Ok(APART.into()),
        TargetModules::Named(word) => std::slice::from_ref(word),
        TargetModules::List(names) => names,
    };
    if names.is_empty() {
        return Err(Error::Config(
            "`target_modules` is empty: nothing would be trained".to_owned(),
        ));
    }
    let known: Vec<&str> = module_names().collect();
    names
        .iter()
        .map(|name| {
            module_names()
                .find(|known| known == name)
                .ok_or_else(|| no_module(name, "exist", &known))
        })
        .collect()
}

fn no_module(name: &str, which: &str, known: &[&str]) -> Error {
    Error::Config(format!("target module `{name}` does not {which}")).hint(format!(
        "choose from {}, or say `all-linear`",
        known.join(", ")
    ))
}

/// The settings for the layers of one model: all of its own modules where all are meant.
///
/// # Errors
/// When a module is named that its layers do not have.
pub(crate) fn of_model(lora: &LoraConfig, model: &DecoderConfig) -> Result<LoraConfig> {
    let (own, asked) = (modules_of(model), targets(lora)?);
    let asked: Vec<&str> = match asked == APART.into() {
        true => own.clone(),
        false => asked.into_iter().collect(),
    };
    let which = format!("exist in `{}`", model.architecture.class_name());
    if let Some(other) = asked.iter().find(|name| !own.contains(name)) {
        return Err(no_module(other, &which, &own));
    }
    Ok(LoraConfig {
        target_modules: TargetModules::List(asked.into_iter().map(str::to_owned).collect()),
        ..lora.clone()
    })
}

/// Checks the numbers.
pub(crate) fn validate(config: &LoraConfig) -> Result<()> {
    targets(config)?;
    let LoraConfig {
        rank,
        alpha,
        dropout,
        rank_pattern,
        alpha_pattern,
        modules_to_save,
        target_modules: _,
        rslora: _,
        dora: _,
    } = config;
    let mut numbers = vec![
        ("rank", *rank as f64),
        ("alpha", *alpha),
        ("dropout", *dropout),
    ];
    let ranks = rank_pattern
        .values()
        .map(|rank| ("rank_pattern", *rank as f64));
    let alphas = alpha_pattern
        .values()
        .map(|alpha| ("alpha_pattern", *alpha));
    numbers.extend(ranks.chain(alphas));
    ranges::hold(ranges::LORA, &numbers)?;
    if modules_to_save.iter().any(String::is_empty) {
        return Err(Error::Config(
            "`modules_to_save` has an entry without a name".to_owned(),
        ));
    }
    settings(config).map(drop)
}

/// What an adapter with these settings does, read as PEFT's files are.
pub(crate) fn settings(config: &LoraConfig) -> Result<AdapterSettings> {
    AdapterSettings::from_json(&to_peft(config, None)?)
        .map_err(|refusal| Error::Config(refusal.reason))
}

/// The content of PEFT's `adapter_config.json`. Targets are sorted: PEFT's own order changes from run to run.
pub(crate) fn to_peft(config: &LoraConfig, base_model: Option<&str>) -> Result<Value> {
    Ok(json!({
        "alpha_pattern": config.alpha_pattern.iter().map(|(name, alpha)| (name.clone(), whole_number(*alpha)))
            .collect::<serde_json::Map<_, _>>(),
        "base_model_name_or_path": base_model,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": null,
        "lora_alpha": whole_number(config.alpha),
        "lora_dropout": config.dropout,
        "modules_to_save": Some(&config.modules_to_save).filter(|names| !names.is_empty()),
        "peft_type": "LORA",
        "r": config.rank,
        "rank_pattern": config.rank_pattern,
        "revision": null,
        "target_modules": targets(config)?,
        "task_type": "CAUSAL_LM",
        "use_dora": config.dora,
        "use_rslora": config.rslora,
    }))
}

/// An adapter on disk: settings, and tensors by their name in PEFT's file.
pub(crate) struct AdapterFolder {
    adapter: Adapter,
    weights: TensorFile,
}

impl AdapterFolder {
    /// Opens an adapter in PEFT's layout, or a weights file with its settings beside it, made for a base with these weights.
    pub(crate) fn open(path: &Path, base: &Weights) -> Result<Self> {
        let adapter = Adapter::open(path)?;
        adapter.check_base(base)?;
        let weights = TensorFile::open(&adapter.files.weights)?;
        Ok(Self { adapter, weights })
    }

    /// What it does.
    pub(crate) fn settings(&self) -> &AdapterSettings {
        &self.adapter.settings
    }

    /// Its settings as they are written again after a training that began with it.
    pub(crate) fn config(&self) -> Value {
        let mut config = self.adapter.config.clone();
        config["inference_mode"] = true.into();
        config
    }

    /// What it does to a weight of the base.
    pub(crate) fn change(&self, weight: &str) -> Option<&Change> {
        self.adapter.changes.get(weight)
    }

    /// Reads one tensor.
    pub(crate) fn read(&self, name: &str) -> Result<Tensor> {
        self.weights.read(name, &Device::Cpu)
    }

    /// Sets the modules that are trained as a whole, by their names in the base, to what the adapter has; they are added to
    /// `parameters` under the names in its file.
    pub(crate) fn take_whole(&self, whole: Parameters, parameters: &mut Parameters) -> Result<()> {
        for (weight, parameter) in whole {
            let Some(Change::Whole(name)) = self.change(&weight) else {
                return Err(Error::file(
                    self.weights.path(),
                    format!("has nothing for `{weight}`, which it says it replaces"),
                ));
            };
            let value = self.read(name)?.to_dtype(DType::F32)?;
            let value = value.to_device(parameter.tensor().device())?;
            parameter.tensor().slice_set(&value, 0, 0)?;
            parameters.insert(name.clone(), parameter);
        }
        Ok(())
    }

    /// The type in which a tensor is stored.
    pub(crate) fn dtype(&self, name: &str) -> Result<DType> {
        let slot = self.weights.tensors().get(name);
        let missing = || Error::file(self.weights.path(), format!("tensor `{name}` is missing"));
        Ok(slot.ok_or_else(missing)?.dtype)
    }

    /// Names of the tensors.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.weights.tensors().keys().map(String::as_str)
    }

    /// Errors when the file holds a tensor that `used` does not name: it would be lost silently.
    pub(crate) fn check_all_used<T>(&self, used: &BTreeMap<String, T>) -> Result<()> {
        match self.names().find(|name| !used.contains_key(*name)) {
            Some(name) => Err(Error::file(
                self.weights.path(),
                format!("`{name}` belongs to no module that can be trained here"),
            )),
            None => Ok(()),
        }
    }
}

/// Writes an adapter in PEFT's layout into an existing folder.
pub(crate) fn write_adapter(
    folder: &Path,
    config: &Value,
    factors: &[(String, Tensor)],
) -> Result<()> {
    folder::write_json(&folder.join(CONFIG_FILE), config)?;
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
            dora: true,
            rank_pattern: [("v_proj".to_owned(), 16)].into(),
            alpha_pattern: [("v_proj".to_owned(), 2.0)].into(),
            modules_to_save: vec!["lm_head".to_owned()],
        };
        let peft = to_peft(&config, None).unwrap();
        assert_eq!(peft["target_modules"], json!(["q_proj", "v_proj"]));
        assert_eq!(peft["lora_alpha"].to_string(), "8");
        assert_eq!(peft["alpha_pattern"].to_string(), r#"{"v_proj":2}"#);
        let back = settings(&config).unwrap();
        assert!(back.dora && back.saves("lm_head"));
        let (q, v) = (
            "model.layers.0.self_attn.q_proj",
            "model.layers.0.self_attn.v_proj",
        );
        assert!(back.targets(q) && !back.targets("model.layers.0.self_attn.k_proj"));
        assert_eq!((back.scale_of(q), back.scale_of(v)), (4.0, 0.5));
    }

    #[test]
    fn nonsense_is_refused() {
        let named = |word: &str| LoraConfig {
            target_modules: TargetModules::Named(word.into()),
            ..LoraConfig::default()
        };
        assert_eq!(targets(&named("all-linear")).unwrap().len(), 7);
        let error =
            driftgauge_problem::Problem::from(validate(&named("q_porj")).unwrap_err()).to_string();
        assert!(
            error.contains("`q_porj`") && error.contains("q_proj, k_proj"),
            "{error}"
        );
        let zero = LoraConfig {
            rank: 0,
            ..LoraConfig::default()
        };
        assert!(
            validate(&zero)
                .unwrap_err()
                .to_string()
                .contains("`rank` 0")
        );
    }
}
