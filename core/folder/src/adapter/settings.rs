//! `adapter_config.json`, by an allow-list: every key of PEFT's LoRA that changes the arithmetic is either computed here as PEFT
//! computes it, or refused by name. A key that is not known is refused unless it is null or false: PEFT takes what is empty for a
//! setting, too, of most keys.

use regex::Regex;
use serde_json::{Map, Value};

use crate::error::Refusal;

/// What an adapter in PEFT's layout does (LoRA, arXiv 2106.09685, and DoRA, arXiv 2402.09353).
#[derive(Debug, Clone)]
pub struct AdapterSettings {
    /// Rank of the updates, where no pattern says otherwise.
    pub rank: usize,
    /// Updates are scaled by `alpha / rank`, where no pattern says otherwise.
    pub alpha: f64,
    /// Probability that an input element of an update is dropped while training.
    pub dropout: f64,
    /// Scale by `alpha / sqrt(rank)` instead.
    pub rslora: bool,
    /// Updated weights are scaled to learnt lengths of their rows.
    pub dora: bool,
    /// Ends of the names of modules that are trained as a whole.
    pub modules_to_save: Vec<String>,
    targets: Modules,
    exclude: Option<Modules>,
    layers: Option<Layers>,
    ranks: Vec<(Regex, usize)>,
    alphas: Vec<(Regex, f64)>,
    /// Names that no update is given to, since the whole module is trained.
    saved: Vec<Regex>,
}

/// Some modules of a model.
#[derive(Debug, Clone)]
enum Modules {
    /// Every linear module but the output head.
    AllLinear,
    /// Names, or their last parts.
    Names(Vec<String>),
    /// A pattern for whole names.
    Pattern(Regex),
}

impl Modules {
    fn contain(&self, module: &str) -> bool {
        match self {
            Self::AllLinear => module != "lm_head" && !module.ends_with("embed_tokens"),
            Self::Names(names) => names.iter().any(|name| {
                module
                    .strip_suffix(name.as_str())
                    .is_some_and(|head| head.is_empty() || head.ends_with('.'))
            }),
            Self::Pattern(pattern) => pattern.is_match(module),
        }
    }

    /// Whether a module is named in full.
    fn name(&self, module: &str) -> bool {
        matches!(self, Self::Names(names) if names.iter().any(|name| name == module))
    }
}

/// The layers that are changed.
#[derive(Debug, Clone)]
struct Layers {
    numbers: Vec<u64>,
    /// Each finds the number of a layer in a module's name.
    patterns: Vec<Regex>,
}

impl Layers {
    fn contain(&self, module: &str) -> bool {
        let found = self.patterns.iter().find_map(|p| p.captures(module));
        found
            .and_then(|found| found[1].parse().ok())
            .is_some_and(|number| self.numbers.contains(&number))
    }
}

/// Keys that say nothing about what is computed: where the adapter comes from, and settings of what is switched off by
/// another key of this list.
const WITHOUT_EFFECT: [&str; 13] = [
    "auto_mapping",
    "base_model_name_or_path",
    // Its ranks and alphas are written to the patterns.
    "eva_config",
    // Asks for Conv1D layers, which no model here has; PEFT takes it back with a warning.
    "fan_in_fan_out",
    "inference_mode",
    // Of a start that is refused by `init_lora_weights`.
    "corda_config",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "task_type",
];

/// Keys that are computed.
const COMPUTED: [&str; 16] = [
    "alpha_pattern",
    "bias",
    "exclude_modules",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_dora",
    "use_rslora",
    "runtime_config",
];

/// Further keys that change something, and which PEFT asks whether anything is in them: empty, they are off.
const OFF_WHERE_EMPTY: [&str; 3] = ["layer_replication", "megatron_config", "target_parameters"];

/// Keys of which PEFT computes with the value, whatever it is: null is none.
const NO_NULLS: [&str; 6] = [
    "alpha_pattern",
    "bias",
    "lora_alpha",
    "lora_dropout",
    "r",
    "rank_pattern",
];

fn is_off(key: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty() && OFF_WHERE_EMPTY.contains(&key),
        Value::Object(entries) => entries.is_empty() && OFF_WHERE_EMPTY.contains(&key),
        _ => false,
    }
}

/// Says how to make a plain LoRA of an adapter whose start changed the base.
const CONVERT: &str = "PEFT makes a plain LoRA of it with `save_pretrained(FOLDER, \
                       path_initial_model_for_weight_conversion=START)`, or `merge_and_unload()` a plain model folder";

impl AdapterSettings {
    /// Reads the content of an `adapter_config.json`.
    ///
    /// # Errors
    /// In words, naming the key that is not understood or not computed.
    pub fn from_json(value: &Value) -> Result<Self, Refusal> {
        let Value::Object(keys) = value else {
            return Err("is no JSON object".into());
        };
        let keys = Keys(keys);
        match keys.0.get("peft_type").and_then(Value::as_str) {
            Some("LORA") => {}
            Some(other) => {
                return Err(Refusal::new(
                    format!("`peft_type: {other}` is not computed"),
                    "`LORA` is, and any other kind can be made a plain model folder by \
                     PEFT's `merge_and_unload()` where it can be merged",
                ));
            }
            None => return Err("`peft_type` is missing".into()),
        }
        let null = |key: &&&str| keys.0.get(**key).is_some_and(Value::is_null);
        if let Some(key) = NO_NULLS.iter().find(null) {
            return Err(Refusal::new(
                format!("`{key}` is null, which is no value of it"),
                "write the value that the adapter was trained with",
            ));
        }
        keys.refuse_what_is_not_computed()?;
        let targets = keys
            .modules("target_modules")?
            .ok_or("`target_modules` is missing: it has to name the modules that are changed")?;
        let layers = keys.layers()?;
        if layers.is_some() && !matches!(targets, Modules::Names(_)) {
            return Err(
                "`layers_to_transform` does not go with a pattern in `target_modules`".into(),
            );
        }
        let modules_to_save = keys.names("modules_to_save")?;
        let saved = modules_to_save
            .iter()
            .map(|name| pattern("modules_to_save", &format!(r"^(?:|.*\.){name}(?:$|\..*)")))
            .collect::<Result<_, _>>()?;
        let settings = Self {
            rank: keys.positive("r", keys.0.get("r"))?.unwrap_or(8),
            alpha: keys.number("lora_alpha")?.unwrap_or(8.0),
            dropout: keys.number("lora_dropout")?.unwrap_or(0.0),
            rslora: keys.flag("use_rslora")?,
            dora: keys.flag("use_dora")?,
            modules_to_save,
            targets,
            exclude: keys.modules("exclude_modules")?,
            layers,
            ranks: keys.patterns("rank_pattern", |key, value| {
                keys.positive(key, Some(value))?
                    .ok_or(format!("`rank_pattern` gives `{key}` no rank"))
            })?,
            alphas: keys.patterns("alpha_pattern", |key, value| {
                value
                    .as_f64()
                    .ok_or(format!("`alpha_pattern` gives `{key}` no number"))
            })?,
            saved,
        };
        match settings.dropout {
            p if (0.0..1.0).contains(&p) => Ok(settings),
            p => Err(format!("`lora_dropout` {p} has to lie in [0, 1)").into()),
        }
    }

    /// The same with another dropout.
    #[must_use]
    pub fn with_dropout(&self, dropout: f64) -> Self {
        Self {
            dropout,
            ..self.clone()
        }
    }

    /// Whether a module, by its name in the model (`model.layers.0.self_attn.q_proj`), is given an update.
    #[must_use]
    pub fn targets(&self, module: &str) -> bool {
        let excluded = self.exclude.as_ref().is_some_and(|e| e.contain(module))
            || self.saved.iter().any(|saved| saved.is_match(module));
        !excluded
            && self.targets.contain(module)
            // PEFT asks for the layer only where a part of the name was given.
            && (self.targets.name(module)
                || self.layers.as_ref().is_none_or(|layers| layers.contain(module)))
    }

    /// Whether a module is trained as a whole.
    #[must_use]
    pub fn saves(&self, module: &str) -> bool {
        self.modules_to_save
            .iter()
            .any(|entry| saved_by(entry, module))
    }

    /// Rank of a module's update.
    #[must_use]
    pub fn rank_of(&self, module: &str) -> usize {
        first(&self.ranks, module).unwrap_or(self.rank)
    }

    /// What a module's update is multiplied by.
    #[must_use]
    pub fn scale_of(&self, module: &str) -> f64 {
        let alpha = first(&self.alphas, module).unwrap_or(self.alpha);
        let rank = self.rank_of(module) as f64;
        alpha / if self.rslora { rank.sqrt() } else { rank }
    }
}

/// Whether an entry of `modules_to_save` means a module: it is the end of the module's name, or of that of a module around it.
#[must_use]
pub fn saved_by(entry: &str, module: &str) -> bool {
    let around = module.match_indices('.').map(|(dot, _)| dot);
    around
        .chain([module.len()])
        .any(|end| module[..end].ends_with(entry))
}

/// The value of the first pattern that fits.
fn first<T: Copy>(patterns: &[(Regex, T)], module: &str) -> Option<T> {
    let fits = |(pattern, _): &&(Regex, T)| pattern.is_match(module);
    patterns.iter().find(fits).map(|(_, value)| *value)
}

/// Tells which modules a name or pattern of `rank_pattern` or `alpha_pattern`, whichever `key` is, gives a number.
///
/// # Errors
/// When it is no pattern.
pub fn meant_by(key: &str, name: &str) -> Result<impl Fn(&str) -> bool, Refusal> {
    let pattern = of_names(key, name)?;
    Ok(move |module: &str| pattern.is_match(module))
}

/// The modules that a name or pattern means: by the whole of their names, or an end of it.
fn of_names(key: &str, name: &str) -> Result<Regex, Refusal> {
    pattern(key, &format!(r"^(?:.*\.)?(?:{name})$"))
}

/// A pattern as Python writes it.
fn pattern(key: &str, source: &str) -> Result<Regex, Refusal> {
    Regex::new(source).map_err(|_| {
        Refusal::new(
            format!("`{key}` has the pattern `{source}`, which is not understood"),
            "list the names of the modules",
        )
    })
}

/// Typed access to the keys, where null means absent, but for those of [`NO_NULLS`].
struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    fn refuse_what_is_not_computed(&self) -> Result<(), Refusal> {
        match self.0.get("init_lora_weights") {
            None | Some(Value::Null | Value::Bool(_)) => {}
            // They leave the base as it is, and training goes on from the stored factors.
            Some(Value::String(start))
                if ["gaussian", "eva", "orthogonal"].contains(&start.as_str()) => {}
            Some(Value::String(start)) if start == "mica" => {
                return Err(Refusal::new(
                    "`init_lora_weights: mica` freezes one of the two factors, which is not computed",
                    "PEFT's `merge_and_unload()` makes a plain model folder of it",
                ));
            }
            Some(start) => {
                let start = start
                    .as_str()
                    .map_or_else(|| start.to_string(), str::to_owned);
                return Err(Refusal::new(
                    format!(
                        "`init_lora_weights: {start}` changes the base's weights before training, so the factors alone are not \
                         the fine-tune"
                    ),
                    CONVERT,
                ));
            }
        }
        match self.0.get("bias") {
            None | Some(Value::Null) => {}
            Some(Value::String(bias)) if bias == "none" => {}
            Some(bias) => {
                return Err(format!("`bias: {bias}` trains biases, which is not computed").into());
            }
        }
        for (key, value) in self.0 {
            let known = WITHOUT_EFFECT.contains(&key.as_str()) || COMPUTED.contains(&key.as_str());
            if !known && !is_off(key, value) {
                let shown: String = value.to_string().chars().take(60).collect();
                return Err(Refusal::new(
                    format!("`{key}: {shown}` is not computed"),
                    "PEFT's `merge_and_unload()` makes a plain model folder of an adapter \
                     that can be merged",
                ));
            }
        }
        Ok(())
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(format!("`{key}: {other}` is neither true nor false")),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(format!("`{key}: {value}` is no number")),
            },
        }
    }

    fn positive(&self, key: &str, value: Option<&Value>) -> Result<Option<usize>, String> {
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|&n| n > 0) {
                Some(number) => Ok(Some(number as usize)),
                None => Err(format!("`{key}: {value}` is no whole number above 0")),
            },
        }
    }

    fn names(&self, key: &str) -> Result<Vec<String>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(value) => strings(value).ok_or(format!("`{key}: {value}` is no list of names")),
        }
    }

    fn modules(&self, key: &str) -> Result<Option<Modules>, Refusal> {
        let modules = match self.0.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(word)) if word.eq_ignore_ascii_case("all-linear") => {
                Modules::AllLinear
            }
            Some(Value::String(source)) if source.is_empty() => return Ok(None),
            Some(Value::String(source)) => {
                Modules::Pattern(pattern(key, &format!("^(?:{source})$"))?)
            }
            Some(_) => Modules::Names(self.names(key)?),
        };
        Ok(match modules {
            Modules::Names(names) if names.is_empty() => None,
            modules => Some(modules),
        })
    }

    fn layers(&self) -> Result<Option<Layers>, Refusal> {
        let numbers = match self.0.get("layers_to_transform") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(list)) if list.is_empty() => return Ok(None),
            Some(Value::Array(list)) => list.iter().map(Value::as_u64).collect(),
            Some(one) => one.as_u64().map(|n| vec![n]),
        };
        let numbers = numbers.ok_or("`layers_to_transform` is no list of whole numbers")?;
        let names = match self.0.get("layers_pattern") {
            Some(Value::String(name)) if name.is_empty() => Vec::new(),
            Some(Value::String(name)) => vec![name.clone()],
            _ => self.names("layers_pattern")?,
        };
        let sources = match names.as_slice() {
            [] => vec![r"^.*?\.[^.]*\.(\d+)\.".to_owned()],
            names => names
                .iter()
                .map(|name| format!(r"^(?:|.*?\.)(?:{name})\.(\d+)\."))
                .collect(),
        };
        let patterns = sources
            .iter()
            .map(|source| pattern("layers_pattern", source))
            .collect::<Result<_, _>>()?;
        Ok(Some(Layers { numbers, patterns }))
    }

    fn patterns<T>(
        &self,
        key: &str,
        value_of: impl Fn(&str, &Value) -> Result<T, String>,
    ) -> Result<Vec<(Regex, T)>, Refusal> {
        let entries = match self.0.get(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(entries)) => entries,
            Some(other) => return Err(format!("`{key}: {other}` is no mapping of names").into()),
        };
        entries
            .iter()
            .map(|(name, value)| {
                let pattern = of_names(key, name)?;
                Ok((pattern, value_of(name, value)?))
            })
            .collect()
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?;
    list.iter().map(|v| v.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests;
