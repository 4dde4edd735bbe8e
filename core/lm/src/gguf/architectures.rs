//! What mistral.rs 0.8.1 and the native decoder honour of a GGUF file, by architecture: keys, tensors, and what they need.

use driftgauge_engine::LocalEngine;
use driftgauge_problem::Problem;
use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};
use std::path::Path;

use super::header::{Header, Kind, Value};
use crate::config;

/// What is known of a key.
#[derive(Clone, Copy)]
enum Rule {
    /// mistral.rs reads it, as this type alone; in another it takes a default without a word.
    Read(Kind),
    /// It follows from the tensors, or describes.
    Told,
    /// It is not read: the value that means nothing.
    Whole(i128),
    Real(f64),
    Flag(bool),
    Text(&'static str),
    /// It is not read: nothing, or no less than the context.
    Window,
    /// It is not read: the context itself.
    Context,
    /// It is not read: the width of a head.
    HeadWidth,
}

use Rule::{Context, Flag, HeadWidth, Read, Real, Text, Told, Whole, Window};

/// Keys of any architecture, behind its name.
const SHARED: [(&str, Rule); 34] = [
    ("block_count", Read(Kind::U32)),
    ("context_length", Told),
    ("embedding_length", Read(Kind::U32)),
    ("feed_forward_length", Told),
    ("vocab_size", Told),
    ("attention.head_count", Read(Kind::U32)),
    ("attention.head_count_kv", Read(Kind::U32)),
    ("tensor_data_layout", Told),
    ("rope.dimension_count", HeadWidth),
    ("rope.scaling.type", Text("none")),
    ("rope.scaling.factor", Real(1.0)),
    ("rope.scale_linear", Real(1.0)),
    ("rope.scaling.attn_factor", Real(1.0)),
    ("rope.scaling.original_context_length", Context),
    ("rope.scaling.finetuned", Flag(false)),
    ("attention.sliding_window", Window),
    ("attention.causal", Flag(true)),
    ("attention.clamp_kqv", Real(0.0)),
    ("attention.max_alibi_bias", Real(0.0)),
    ("attention.temperature_scale", Real(0.0)),
    ("attn_logit_softcapping", Real(0.0)),
    ("final_logit_softcapping", Real(0.0)),
    ("logit_scale", Real(1.0)),
    ("residual_scale", Real(1.0)),
    ("embedding_scale", Real(1.0)),
    ("use_parallel_residual", Flag(false)),
    ("pooling_type", Whole(0)),
    ("expert_count", Whole(0)),
    ("expert_used_count", Whole(0)),
    ("expert_shared_count", Whole(0)),
    ("expert_weights_scale", Real(1.0)),
    ("expert_gating_func", Whole(1)),
    ("leading_dense_block_count", Whole(0)),
    ("nextn_predict_layers", Whole(0)),
];

/// An architecture that mistral.rs runs from GGUF files.
struct Architecture {
    name: &'static str,
    /// Keys that differ from the shared ones.
    keys: &'static [(&'static str, Rule)],
    /// Keys without which it does not load, beside those that all need.
    needs: &'static [&'static str],
    /// Tensors of every layer that have to be there.
    layer: &'static [&'static str],
    /// Tensors of a layer that may be there.
    may: &'static [&'static str],
    /// Tensors beside the layers.
    whole: &'static [&'static str],
    /// Whether the head may be the embedding.
    tied: bool,
}

const NEEDED: [&str; 5] = [
    "block_count",
    "context_length",
    "embedding_length",
    "attention.head_count",
    "attention.head_count_kv",
];
const RMS: (&str, Rule) = ("attention.layer_norm_rms_epsilon", Read(Kind::F32));
const BASE: (&str, Rule) = ("rope.freq_base", Read(Kind::F32));
const KEY_WIDTH: (&str, Rule) = ("attention.key_length", Read(Kind::U32));
const VALUE_WIDTH: (&str, Rule) = ("attention.value_length", Read(Kind::U32));
const EMBEDDING: &[&str] = &["token_embd.weight", "output_norm.weight"];
const ATTENTION: [&str; 5] = [
    "attn_norm.weight",
    "attn_q.weight",
    "attn_k.weight",
    "attn_v.weight",
    "attn_output.weight",
];

const ARCHITECTURES: [Architecture; 8] = [
    Architecture {
        name: "llama",
        keys: &[
            RMS,
            BASE,
            KEY_WIDTH,
            VALUE_WIDTH,
            ("expert_count", Read(Kind::U32)),
            ("expert_used_count", Read(Kind::U32)),
        ],
        needs: &["rope.dimension_count", "attention.layer_norm_rms_epsilon"],
        layer: &["ffn_norm.weight"],
        // And the MLP or the experts: `in_llama_mlp`.
        may: &[],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "mistral3",
        keys: &[RMS, BASE, KEY_WIDTH, VALUE_WIDTH],
        needs: &["rope.dimension_count", "attention.layer_norm_rms_epsilon"],
        layer: &[
            "ffn_norm.weight",
            "ffn_gate.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ],
        may: &[],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "phi2",
        // The converters write `attention.layer_norm_epsilon`, which mistral.rs does not look for.
        keys: &[
            RMS,
            ("rope.dimension_count", Read(Kind::U32)),
            ("rope.freq_base", Real(10000.0)),
        ],
        needs: &["rope.dimension_count", "attention.layer_norm_rms_epsilon"],
        layer: &[
            "attn_norm.bias",
            "attn_qkv.weight",
            "attn_qkv.bias",
            "attn_output.bias",
            "ffn_up.weight",
            "ffn_up.bias",
            "ffn_down.weight",
            "ffn_down.bias",
        ],
        may: &[],
        whole: &[
            "token_embd.weight",
            "output_norm.weight",
            "output_norm.bias",
            "output.bias",
        ],
        tied: false,
    },
    Architecture {
        name: "phi3",
        keys: &[
            RMS,
            ("feed_forward_length", Read(Kind::U32)),
            ("rope.freq_base", Real(10000.0)),
        ],
        needs: &[
            "rope.dimension_count",
            "attention.layer_norm_rms_epsilon",
            "feed_forward_length",
        ],
        layer: &[
            "attn_qkv.weight",
            "ffn_norm.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ],
        may: &[],
        whole: EMBEDDING,
        tied: false,
    },
    Architecture {
        name: "qwen2",
        keys: &[RMS, BASE, KEY_WIDTH, VALUE_WIDTH],
        needs: &["attention.layer_norm_rms_epsilon"],
        layer: &[
            "ffn_norm.weight",
            "ffn_gate.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ],
        may: &["attn_q.bias", "attn_k.bias", "attn_v.bias"],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "qwen3",
        keys: &[RMS, BASE, KEY_WIDTH, VALUE_WIDTH],
        needs: &["attention.layer_norm_rms_epsilon"],
        layer: &[
            "attn_q_norm.weight",
            "attn_k_norm.weight",
            "ffn_norm.weight",
            "ffn_gate.weight",
            "ffn_up.weight",
            "ffn_down.weight",
        ],
        may: &[],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "qwen3moe",
        keys: &[
            RMS,
            BASE,
            KEY_WIDTH,
            VALUE_WIDTH,
            ("expert_count", Read(Kind::U32)),
            ("expert_used_count", Read(Kind::U32)),
            ("expert_feed_forward_length", Read(Kind::U32)),
            ("expert_weights_norm", Flag(true)),
        ],
        needs: &[
            "attention.layer_norm_rms_epsilon",
            "expert_count",
            "expert_used_count",
            "expert_feed_forward_length",
        ],
        layer: &[
            "attn_q_norm.weight",
            "attn_k_norm.weight",
            "ffn_norm.weight",
            "ffn_gate_inp.weight",
            "ffn_gate_exps.weight",
            "ffn_up_exps.weight",
            "ffn_down_exps.weight",
        ],
        may: &[],
        whole: EMBEDDING,
        tied: true,
    },
    Architecture {
        name: "starcoder2",
        keys: &[("attention.layer_norm_epsilon", Read(Kind::F32)), BASE],
        // Without it mistral.rs takes 100,000, and llama.cpp 10,000.
        needs: &["attention.layer_norm_epsilon", "rope.freq_base"],
        layer: &[
            "attn_norm.bias",
            "attn_q.bias",
            "attn_k.bias",
            "attn_v.bias",
            "attn_output.bias",
            "ffn_norm.weight",
            "ffn_norm.bias",
            "ffn_up.weight",
            "ffn_up.bias",
            "ffn_down.weight",
            "ffn_down.bias",
        ],
        may: &[],
        whole: &[
            "token_embd.weight",
            "output_norm.weight",
            "output_norm.bias",
        ],
        tied: false,
    },
];

/// What to do with a file that is refused.
const INSTEAD: &str = "make a model folder of it (docs/gguf.md), or serve the file with llama.cpp and use an `endpoint` source";

/// The same where positions are scaled: transformers makes a folder of the file that computes another model.
const INSTEAD_OF_SCALING: &str = "take the model's original folder (transformers drops the scaling when it makes a folder of the file, docs/gguf.md), or serve \
                                  the file with llama.cpp and use an `endpoint` source";

fn refused(why: String) -> Problem {
    Problem::failed(why).help(INSTEAD)
}

/// What is refused of a key or tensor, by its name without the architecture's or the layer's.
fn refused_for(short: &str, why: String) -> Problem {
    match short.starts_with("rope") {
        true => Problem::failed(why).help(INSTEAD_OF_SCALING),
        false => refused(why),
    }
}

/// Name of an engine in what is said.
fn name_of(engine: LocalEngine) -> &'static str {
    match engine {
        LocalEngine::Mistralrs => "mistral.rs 0.8.1",
        LocalEngine::Native => "the native decoder",
    }
}

/// The family of an architecture that our own decoder computes.
pub(super) fn family(architecture: &str) -> Option<config::Architecture> {
    match architecture {
        "llama" => Some(config::Architecture::Llama),
        "qwen2" => Some(config::Architecture::Qwen2),
        "qwen3" => Some(config::Architecture::Qwen3),
        _ => None,
    }
}

/// Of each architecture that it knows, our own decoder honours the same keys and tensors, and factors of the rotary frequencies beside
/// them.
fn runs(engine: LocalEngine, architecture: &str) -> bool {
    engine == LocalEngine::Mistralrs || family(architecture).is_some()
}

/// Whether all that the header says is computed.
pub(super) fn check(header: &Header, path: &Path, engine: LocalEngine) -> Result<(), Problem> {
    let who = name_of(engine);
    let name = header.text("general.architecture").unwrap_or_default();
    let known = ARCHITECTURES
        .iter()
        .filter(|known| runs(engine, known.name));
    let Some(architecture) = known.clone().find(|known| known.name == name) else {
        let known: Vec<&str> = known.map(|known| known.name).collect();
        return Err(refused(format!(
            "{who} cannot run GGUF files of the architecture `{name}`; it runs {}",
            known.join(", ")
        )));
    };
    file_as_a_whole(header)?;
    for need in NEEDED.iter().chain(architecture.needs) {
        if !header.metadata.contains_key(&format!("{name}.{need}")) {
            return Err(refused(format!(
                "the key `{name}.{need}` is missing, and {who} needs it"
            )));
        }
    }
    let prefix = format!("{name}.");
    for (key, value) in &header.metadata {
        let Some(short) = key.strip_prefix(&prefix) else {
            continue;
        };
        let rules = architecture.keys.iter().chain(&SHARED);
        let held = match rules.clone().find(|(known, _)| *known == short) {
            Some((_, rule)) => holds(header, name, *rule, value),
            None => Err("is not honoured".to_owned()),
        };
        held.map_err(|why| refused_for(short, format!("`{key}: {value}` {why} by {who}")))?;
    }
    tensors(header, architecture, path, engine)
}

fn file_as_a_whole(header: &Header) -> Result<(), Problem> {
    if let Some(kind) = header.text("general.type").filter(|kind| *kind != "model") {
        let message = format!("the file is of the type `{kind}`, not a model");
        return Err(Problem::failed(message));
    }
    match header.whole("split.count") {
        Some(count) if count > 1 => Err(Problem::failed(format!(
            "the model is split into {count} files"
        ))
        .help("join them with llama.cpp's `llama-gguf-split --merge`")),
        _ => Ok(()),
    }
}

/// Whether a key's value is what is computed; else what becomes of it.
fn holds(header: &Header, name: &str, rule: Rule, value: &Value) -> Result<(), String> {
    let whole = |key: &str| header.whole(&format!("{name}.{key}"));
    let not_honoured = |held: bool| match held {
        true => Ok(()),
        false => Err("is not honoured".to_owned()),
    };
    match rule {
        Told => Ok(()),
        Read(wanted) => match value {
            Value::Whole(_, kind) | Value::Real(_, kind) if *kind == wanted => Ok(()),
            Value::Whole(_, kind) | Value::Real(_, kind) => {
                Err(format!("is a {kind:?}, and only a {wanted:?} is read"))
            }
            _ => Err("is not one number, and is not read".to_owned()),
        },
        Whole(neutral) => not_honoured(value.whole() == Some(neutral)),
        Real(neutral) => not_honoured(
            value
                .real()
                .is_some_and(|number| (number - neutral).abs() < 1e-9),
        ),
        Flag(neutral) => not_honoured(*value == Value::Flag(neutral)),
        Text(neutral) => not_honoured(value.text() == Some(neutral)),
        Context => not_honoured(
            value
                .whole()
                .is_some_and(|n| Some(n) == whole("context_length")),
        ),
        Window => not_honoured(value.whole().is_some_and(|window| {
            window == 0 || whole("context_length").is_some_and(|context| window >= context)
        })),
        HeadWidth => {
            let width = whole("attention.key_length")
                .or_else(|| whole("embedding_length")?.checked_div(whole("attention.head_count")?));
            not_honoured(value.whole().is_some_and(|n| Some(n) == width))?;
            holds(header, name, Read(Kind::U32), value)
        }
    }
}

fn tensors(
    header: &Header,
    architecture: &Architecture,
    path: &Path,
    engine: LocalEngine,
) -> Result<(), Problem> {
    let who = name_of(engine);
    let layers = header
        .whole(&format!("{}.block_count", architecture.name))
        .unwrap_or(0);
    let present = |name: &str| header.tensors.contains_key(name);
    let fused = architecture.layer.contains(&"attn_qkv.weight");
    let attention: &[&str] = match fused {
        true => &["attn_norm.weight", "attn_output.weight"],
        false => &ATTENTION,
    };
    let missing = |name: &str| {
        Problem::failed(format!(
            "the tensor `{name}` is missing, and {who} needs it"
        ))
    };
    for name in architecture.whole {
        if !present(name) {
            return Err(missing(name));
        }
    }
    if !architecture.tied && !present("output.weight") {
        return Err(missing("output.weight"));
    }
    for layer in 0..layers {
        for part in attention.iter().chain(architecture.layer) {
            let name = format!("blk.{layer}.{part}");
            if !present(&name) {
                return Err(missing(&name));
            }
        }
    }
    let llama = architecture.name == "llama";
    let experts = header.whole("llama.expert_count").unwrap_or(0) > 1;
    for layer in (0..layers).filter(|_| llama) {
        let router = experts.then_some(("ffn_gate_inp.weight", "ffn_gate_inp.weight"));
        let projections = match experts {
            true => [
                ("ffn_gate_exps.weight", "ffn_gate.0.weight"),
                ("ffn_up_exps.weight", "ffn_up.0.weight"),
                ("ffn_down_exps.weight", "ffn_down.0.weight"),
            ],
            false => ["ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"].map(|p| (p, p)),
        };
        for (name, or) in projections.into_iter().chain(router) {
            let name = format!("blk.{layer}.{name}");
            if !present(&name) && !present(&format!("blk.{layer}.{or}")) {
                return Err(missing(&name));
            }
        }
    }
    for name in header.tensors.keys() {
        let read = architecture.whole.contains(&name.as_str())
            || name == "output.weight"
            || in_layer(name, layers).is_some_and(|part| {
                attention.contains(&part)
                    || architecture.layer.contains(&part)
                    || architecture.may.contains(&part)
                    || llama && in_llama_mlp(part, experts)
            });
        let honoured = llama && engine == LocalEngine::Native;
        let factors = name == "rope_freqs.weight" && (honoured || changes_nothing(header, path)?);
        if read || factors {
            continue;
        }
        let why = format!("the tensor `{name}` is read by no one: {who} would leave it out");
        return Err(refused_for(name, why));
    }
    Ok(())
}

/// The name inside a layer, where there is such a layer.
fn in_layer(name: &str, layers: i128) -> Option<&str> {
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: i128 = layer.parse().ok()?;
    (layer < layers).then_some(part)
}

/// Whether the MLP of a Llama layer has the tensor: one projection of each kind, or experts with their router, whose tensors are
/// joined, or apart in older files (`ffn_gate.3.weight`).
fn in_llama_mlp(part: &str, experts: bool) -> bool {
    let parts: Vec<&str> = part.split('.').collect();
    let number = |text: &str| text.parse::<u32>().is_ok();
    match (parts.as_slice(), experts) {
        (["ffn_gate" | "ffn_up" | "ffn_down", "weight"], false) => true,
        (["ffn_gate" | "ffn_up" | "ffn_down", n, "weight"], true) => number(n),
        (
            [
                "ffn_gate_inp" | "ffn_gate_exps" | "ffn_up_exps" | "ffn_down_exps",
                "weight",
            ],
            true,
        ) => true,
        _ => false,
    }
}

/// Whether the file's factors of the rotary frequencies are all 1.
fn changes_nothing(header: &Header, path: &Path) -> Result<bool, String> {
    let factors = rope_freqs(header, path)?;
    Ok(factors.is_some_and(|factors| factors.iter().all(|&factor| factor == 1.0)))
}

/// The file's factors of the rotary frequencies, where it has some in f32.
pub(super) fn rope_freqs(header: &Header, path: &Path) -> Result<Option<Vec<f32>>, String> {
    let Some(tensor) = header
        .tensors
        .get("rope_freqs.weight")
        .filter(|tensor| tensor.kind == 0)
    else {
        return Ok(None);
    };
    let count = usize::try_from(tensor.shape.iter().product::<u64>()).unwrap_or(usize::MAX);
    let failed = |error: std::io::Error| format!("cannot read `rope_freqs.weight`: {error}");
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(tensor.start)).map_err(failed)?;
    let mut bytes = vec![0; count.saturating_mul(4).min(1 << 20)];
    file.read_exact(&mut bytes).map_err(failed)?;
    let (numbers, _) = bytes.as_chunks::<4>();
    let factors = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes));
    Ok(Some(factors.collect()))
}
