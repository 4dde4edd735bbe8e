//! `config.json` as mistral.rs 0.8.1 has to be given it: it ignores what it does not know, so everything that it would compute
//! otherwise than transformers is refused here, by name.
//!
//! This reader and that of `driftgauge-lm` share nothing but the list of keys without effect: the self-check
//! compares what both engines make of the same file.

mod families;
mod keys;
mod scaling;
mod tensors;

use driftgauge_problem::Problem;
use std::path::Path;

use driftgauge_engine::Reach;
use driftgauge_folder::Refusal;
use driftgauge_folder::class::check_type;
use driftgauge_folder::inert::is_inert;
use driftgauge_folder::nulls;
use serde_json::{Map, Value};

use families::{FAMILIES, Family, HeadDim};
use keys::READ_BY_ALL;
use scaling::{agreed, numbers, object};
pub(crate) use tensors::check_tensors;

/// A configuration that mistral.rs can be shown.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file for mistral.rs.
    pub(crate) json: Value,
    /// Beyond so many tokens mistral.rs would compute something else than transformers, and why.
    pub(crate) reach: Option<Reach>,
    /// mistral.rs runs it on GPUs alone.
    pub(crate) needs_gpu: bool,
}

/// Reads the configuration of a model folder.
///
/// # Errors
/// When it is missing, or is not computed by mistral.rs as by transformers.
pub(crate) fn read(folder: &Path) -> Result<Config, Problem> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Problem::failed(format!("cannot read `{}`: {e}", path.display()))
            .help("a model folder has `config.json`, `tokenizer.json` and safetensors weights")
    })?;
    let json: Value =
        serde_json::from_str(&text).map_err(|e| format!("`{}` is no JSON: {e}", path.display()))?;
    from_json(&json).map_err(|why| why.followed(&format!(" (in `{}`)", path.display())))
}

/// As [`read`], of a file's content.
///
/// # Errors
/// As [`read`].
pub(crate) fn from_json(json: &Value) -> Result<Config, Problem> {
    let family = family_of(json)?;
    check_type(json, family.class).map_err(|Refusal { reason, help }| {
        Problem::failed(reason).help(help.unwrap_or_default())
    })?;
    let mut fields = json
        .as_object()
        .cloned()
        .ok_or("`config.json` is no JSON object")?;
    for key in fields.iter().filter(|(_, value)| value.is_null()) {
        check_null(key.0, family)?;
    }
    fields.retain(|_, value| !value.is_null());
    let nulls = |key: &str| json.get(key).is_some_and(Value::is_null);
    one_name_of_experts(&mut fields)?;
    let ropes = rope(&mut fields, family)?;
    head_dim(&mut fields, family)?;
    for &(key, value) in family.defaults {
        if !fields.contains_key(key) && !nulls(key) {
            fields.insert(key.to_owned(), parsed(value));
        }
    }
    if !fields.contains_key("num_key_value_heads")
        && let Some(heads) = fields.get("num_attention_heads").cloned()
    {
        fields.insert("num_key_value_heads".to_owned(), heads);
    }
    let reach = reach(&mut fields, family, &ropes)?;
    check_keys(&fields, family)?;
    for &(key, values) in family.only {
        if !fields.contains_key(key) {
            fields.insert(key.to_owned(), parsed(values[0]));
        }
    }
    one_activation(&mut fields, family);
    Ok(Config {
        json: Value::Object(fields),
        reach,
        needs_gpu: family.needs_gpu,
    })
}

/// Methods by which stored weights may be quantised, and which mistral.rs reads.
const METHODS: [&str; 6] = ["gptq", "awq", "fp8", "bitsandbytes", "afq", "mxfp4"];

/// Whether weights that are said to be quantised can be: the method is read, and they are not plain.
///
/// # Errors
/// With the method's name.
pub(crate) fn check_quantised(config: &Value, plain: bool) -> Result<(), Problem> {
    let why = match config["quant_method"].as_str() {
        Some(method) if !METHODS.contains(&method) => {
            format!(
                "`quantization_config` names the method `{method}`, which mistral.rs 0.8.1 does not read"
            )
        }
        Some(method) if plain => format!(
            "`quantization_config` says that the weights are quantised by `{method}`, but they are stored as they are, and transformers \
             would quantise them while loading"
        ),
        Some(_) => return Ok(()),
        None => "`quantization_config` names no `quant_method`".to_owned(),
    };
    Err(Problem::failed(why).help(
        "use the unquantised model; `quantization: NAME` on the model quantises it while loading",
    ))
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or(Value::Null)
}

fn family_of(config: &Value) -> Result<&'static Family, Problem> {
    let names: Vec<&str> = config["architectures"]
        .as_array()
        .map(|a| a.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let known = |name: &str| FAMILIES.iter().find(|family| family.class == name);
    match names.as_slice() {
        [] => Err(Problem::failed("`config.json` names no model class".to_owned()).help("add `\"architectures\": [\"LlamaForCausalLM\"]` or \
                   whatever the model is")),
        [name] => known(name).ok_or_else(|| {
            let classes: Vec<&str> = FAMILIES.iter().map(|family| family.class).collect();
            Problem::failed(format!("mistral.rs 0.8.1 cannot run the architecture `{name}` as transformers does; of it are known {}", classes.join(", "))).help("for another \
                 model, serve it with any OpenAI-compatible server and use an `endpoint` source")
        }),
        several => Err(Problem::failed(format!("`config.json` names several model classes ({})", several.join(", "))).help("keep the one that the weights belong to")),
    }
}

/// Refuses a null of a key that is read and of which it is no value: mistral.rs would take a default of its own.
fn check_null(key: &str, family: &Family) -> Result<(), Problem> {
    let read = READ_BY_ALL.contains(&key)
        || family.reads.contains(&key)
        || family.defaults.iter().any(|(default, _)| *default == key)
        || family.only.iter().any(|(only, _)| *only == key)
        || ROPE_KEYS.contains(&key);
    match read.then(|| nulls::check(key, key)) {
        Some(Err(Refusal { reason, help })) => {
            Err(Problem::failed(reason).help(help.unwrap_or_default()))
        }
        _ => Ok(()),
    }
}

/// What mistral.rs does not do for a class.
fn not_computed(family: &Family, what: &str) -> Problem {
    Problem::failed(format!(
        "mistral.rs 0.8.1 does not compute {what} of `{}` as transformers does",
        family.class
    ))
    .help(
        "serve the model with another engine and use \
         an `endpoint` source",
    )
}

/// Every key is read, has a value that mistral.rs takes for granted, or changes nothing.
fn check_keys(fields: &Map<String, Value>, family: &Family) -> Result<(), Problem> {
    for (key, value) in fields {
        let name = key.as_str();
        if let Some((_, values)) = family.only.iter().find(|(only, _)| *only == name) {
            if !values.iter().any(|allowed| same(&parsed(allowed), value)) {
                return Err(not_computed(family, &format!("`{key}: {value}`")));
            }
        } else if !(READ_BY_ALL.contains(&name)
            || (name == "head_dim" && family.head_dim == HeadDim::Read)
            || (window_by_switch(family) && WINDOW_KEYS.contains(&name))
            || family.reads.contains(&name)
            || family.defaults.iter().any(|(default, _)| *default == name)
            || ROPE_KEYS.contains(&name)
            || is_inert(name, value))
        {
            return Err(Problem::failed(format!("`{key}: {}` is nothing that `{}` is known to have, and mistral.rs 0.8.1 ignores it", short(value), family.class)).help("if it changes nothing of \
                 what the model computes, take it out of the file"));
        }
    }
    Ok(())
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// mistral.rs refuses Gemma's two names of the activation side by side, and takes `gelu` for another function than Gemma's.
fn one_activation(fields: &mut Map<String, Value>, family: &Family) {
    if family
        .only
        .iter()
        .any(|(key, _)| *key == "hidden_activation")
    {
        fields.remove("hidden_act");
    }
}

/// Transformers 5 calls the experts of some classes by the name that others have for them.
fn one_name_of_experts(fields: &mut Map<String, Value>) -> Result<(), Problem> {
    let class = fields["architectures"][0].as_str().unwrap_or_default();
    if !["Qwen3MoeForCausalLM", "Qwen3NextForCausalLM"].contains(&class) {
        return Ok(());
    }
    let Some(local) = fields.remove("num_local_experts") else {
        return Ok(());
    };
    match fields.get("num_experts") {
        Some(experts) if !same(experts, &local) => Err(format!(
            "`num_experts: {experts}` and `num_local_experts: {local}` contradict each other"
        )
        .into()),
        _ => {
            fields.insert("num_experts".to_owned(), local);
            Ok(())
        }
    }
}

fn head_dim(fields: &mut Map<String, Value>, family: &Family) -> Result<(), Problem> {
    let number = |key: &str| fields.get(key).and_then(Value::as_u64);
    let derived = number("hidden_size")
        .zip(number("num_attention_heads").filter(|&heads| heads > 0))
        .map(|(hidden, heads)| hidden / heads);
    match (&family.head_dim, number("head_dim"), derived) {
        (HeadDim::Derived, Some(width), Some(derived)) if width != derived => Err(not_computed(
            family,
            &format!("`head_dim: {width}` beside {derived}, the hidden size by the heads,"),
        )),
        (HeadDim::Derived, ..) => {
            fields.remove("head_dim");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Keys about rotary positions, which [`rope`] has looked at.
const ROPE_KEYS: [&str; 4] = [
    "rope_theta",
    "rope_scaling",
    "partial_rotary_factor",
    "original_max_position_embeddings",
];

/// Puts what transformers 5 nests in `rope_parameters` where mistral.rs looks for it, and checks that it computes it.
fn rope(fields: &mut Map<String, Value>, family: &Family) -> Result<String, Problem> {
    let new = fields.remove("rope_parameters");
    let old = fields.remove("rope_scaling");
    let given = new.is_some();
    let mut scaling = match (new, old) {
        (None, None) => Map::new(),
        (Some(one), None) | (None, Some(one)) => object(one)?,
        (Some(new), Some(old)) => agreed(object(new)?, &object(old)?)?,
    };
    let place = if given {
        "rope_parameters"
    } else {
        "rope_scaling"
    };
    for (key, _) in scaling.iter().filter(|(_, value)| value.is_null()) {
        nulls::check(key, &format!("{place}.{key}")).map_err(|refusal| {
            Problem::failed(refusal.reason).help(refusal.help.unwrap_or_default())
        })?;
    }
    scaling.retain(|_, value| !value.is_null());
    for key in ["rope_theta", "partial_rotary_factor"] {
        let Some(value) = scaling.remove(key) else {
            continue;
        };
        match fields.get(key) {
            Some(beside) if !same(beside, &value) => {
                return Err(Problem::failed(format!(
                    "`{place}.{key}: {value}` and `{key}: {beside}` contradict each other"
                ))
                .help(
                    "keep in `config.json` the one that \
                     the model was trained with",
                ));
            }
            _ => fields.insert(key.to_owned(), value),
        };
    }
    partial(fields, family)?;
    let (named, typed) = (scaling.remove("rope_type"), scaling.remove("type"));
    if let (Some(named), Some(typed)) = (&named, &typed)
        && named != typed
    {
        return Err(format!(
            "`{place}.rope_type: {named}` and `{place}.type: {typed}` contradict each other"
        )
        .into());
    }
    let kind = named.or(typed).unwrap_or_else(|| "default".into());
    let kind = kind.as_str().unwrap_or_default().to_owned();
    if !family.ropes.contains(&kind.as_str()) {
        return Err(not_computed(family, &format!("rope type `{kind}`")));
    }
    if let Some(original) = scaling.get("original_max_position_embeddings")
        && let Some(beside) = fields.get("original_max_position_embeddings")
        && !same(original, beside)
    {
        return Err(format!(
            "`{place}.original_max_position_embeddings: {original}` and `original_max_position_embeddings: {beside}` contradict \
             each other"
        ).into());
    }
    let known: &[&str] = match kind.as_str() {
        "default" => &["factor"],
        "linear" => &["factor"],
        "llama3" => &[
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
        ],
        "yarn" => &[
            "factor",
            "original_max_position_embeddings",
            "beta_fast",
            "beta_slow",
            "truncate",
        ],
        _ => &[
            "short_factor",
            "long_factor",
            "original_max_position_embeddings",
        ],
    };
    if let Some((key, value)) = scaling
        .iter()
        .find(|(key, _)| !known.contains(&key.as_str()))
    {
        return Err(not_computed(
            family,
            &format!("`{place}.{key}: {}` of rope type `{kind}`", short(value)),
        ));
    }
    if kind == "default" {
        return Ok(kind);
    }
    numbers(&scaling, place)?;
    let by_default = family
        .defaults
        .iter()
        .find(|(key, _)| *key == "original_max_position_embeddings")
        .map(|(_, value)| parsed(value));
    let original = fields.get("original_max_position_embeddings").cloned();
    let positions = fields.get("max_position_embeddings").cloned();
    if let Some(original) = original.or(by_default).or(positions) {
        scaling
            .entry("original_max_position_embeddings")
            .or_insert(original);
    }
    if matches!(kind.as_str(), "longrope" | "su") {
        if let Some(original) = scaling.get("original_max_position_embeddings").cloned() {
            fields.insert("original_max_position_embeddings".to_owned(), original);
        }
        scaling.insert("type".to_owned(), "longrope".into());
    }
    scaling.insert("rope_type".to_owned(), kind.clone().into());
    fields.insert("rope_scaling".to_owned(), Value::Object(scaling));
    Ok(kind)
}

fn partial(fields: &mut Map<String, Value>, family: &Family) -> Result<(), Problem> {
    match (family.partial_rotary, fields.get("partial_rotary_factor")) {
        (Some(default), None) => {
            fields.insert("partial_rotary_factor".to_owned(), parsed(default));
            Ok(())
        }
        (None, Some(part)) if part.as_f64() != Some(1.0) => Err(not_computed(
            family,
            &format!("`partial_rotary_factor: {part}`"),
        )),
        (None, _) => {
            fields.remove("partial_rotary_factor");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Keys about windows, which [`reach`] has looked at.
const WINDOW_KEYS: [&str; 2] = ["use_sliding_window", "max_window_layers"];

/// Whether a class has a window only where another key says so.
fn window_by_switch(family: &Family) -> bool {
    let named = [
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "Qwen3MoeForCausalLM",
        "SmolLM3ForCausalLM",
    ];
    named.contains(&family.class)
}

/// Whether any layer of a class whose windows are optional has one, as transformers settles it.
fn slides(fields: &Map<String, Value>, family: &Family, types: &[Value]) -> bool {
    let on = fields.get("use_sliding_window") == Some(&Value::Bool(true));
    let number = |key: &str| fields.get(key).and_then(Value::as_u64);
    let beyond_the_first = || {
        let (first, layers) = (number("max_window_layers"), number("num_hidden_layers"));
        layers.is_none_or(|layers| first.unwrap_or(28) < layers)
    };
    if !types.is_empty() {
        return types.iter().any(|kind| kind == "sliding_attention");
    }
    match family.class {
        "Qwen2ForCausalLM" | "Qwen3ForCausalLM" => on && beyond_the_first(),
        _ => on,
    }
}

/// How far the attention of mistral.rs is that of transformers: its sliding windows are one token wider, and it does not
/// apply them to the layers that transformers does. Within the window both see everything.
fn reach(
    fields: &mut Map<String, Value>,
    family: &Family,
    rope: &str,
) -> Result<Option<Reach>, Problem> {
    let mut reach = None;
    let mut shorten = |tokens: usize, key: &str| {
        if reach.as_ref().is_none_or(|r: &Reach| tokens < r.tokens) {
            reach = Some(Reach {
                tokens,
                key: format!("{key}: {tokens}"),
            });
        }
    };
    let types = match family.reads.contains(&"layer_types") {
        true => Vec::new(),
        false => {
            let types = fields.remove("layer_types");
            let types = types.as_ref().and_then(Value::as_array).cloned();
            types.unwrap_or_default()
        }
    };
    let odd = |kind: &&Value| *kind != "full_attention" && *kind != "sliding_attention";
    if let Some(odd) = types.iter().find(odd) {
        return Err(not_computed(family, &format!("layer type {odd}")));
    }
    let optional = window_by_switch(family);
    let used = slides(fields, family, &types);
    if optional && !used {
        fields.remove("sliding_window");
    }
    if optional {
        fields.remove("use_sliding_window");
        fields.insert("use_sliding_window".to_owned(), used.into());
        let layers = fields.get("num_hidden_layers").cloned();
        let last = fields.remove("max_window_layers").or(layers);
        fields.extend(last.map(|last| ("max_window_layers".to_owned(), last)));
    }
    if let Some(window) = fields.get("sliding_window") {
        let window = window
            .as_u64()
            .ok_or("`sliding_window` is no whole number")?;
        let positions = fields
            .get("max_position_embeddings")
            .and_then(Value::as_u64);
        if positions.is_none_or(|positions| window < positions) {
            shorten(window as usize, "sliding_window");
        }
    }
    // Beyond the original context transformers turns every key by the other divisors, also those that it has read already;
    // mistral.rs leaves those as they are.
    if matches!(rope, "longrope" | "su")
        && let Some(original) = fields
            .get("original_max_position_embeddings")
            .and_then(Value::as_u64)
    {
        shorten(original as usize, "original_max_position_embeddings");
    }
    Ok(reach)
}
