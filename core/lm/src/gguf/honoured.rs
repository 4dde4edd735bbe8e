//! Whether an engine honours all that a GGUF file says: an allow-list of keys, values and tensors.

use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};
use std::path::Path;

use driftgauge_engine::LocalEngine;
use driftgauge_folder::positions;
use driftgauge_problem::Problem;

use super::architectures::Rule::{
    Context, Flag, HeadWidth, Positions, Positive, Read, Real, Size, Text, Told, Whole, Window,
};
use super::architectures::{ARCHITECTURES, ATTENTION, Architecture, NEEDED, Rule, SHARED, family};
use super::header::{Header, Kind, Value};
use super::shapes;

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
    tensors(header, architecture, path, engine)?;
    // The native decoder holds them against its own modules, with the formats that it reads.
    if engine == LocalEngine::Mistralrs {
        shapes::check(header, name).map_err(refused)?;
    }
    special_tokens(header).map_err(refused)
}

/// Whether the tokens that the file names are tokens of its model: no answer would end with another one.
fn special_tokens(header: &Header) -> Result<(), String> {
    let embedding = header.tensors.get("token_embd.weight");
    let rows = embedding.and_then(|tensor| tensor.shape.last().copied());
    let listed = header
        .list("tokenizer.ggml.tokens")
        .map(|tokens| tokens.len() as u64);
    if let (Some(rows), Some(listed)) = (rows, listed)
        && listed > rows
    {
        return Err(format!(
            "the file lists {listed} tokens, and its embedding has {rows} rows"
        ));
    }
    let tokens = listed.or(rows).unwrap_or(0);
    let named = header
        .metadata
        .iter()
        .filter(|(key, _)| key.starts_with("tokenizer.ggml.") && key.ends_with("_token_id"));
    for (key, value) in named {
        let id = value.whole().and_then(|id| u64::try_from(id).ok());
        if id.is_none_or(|id| id >= tokens) {
            return Err(format!(
                "`{key}: {value}` is none of the {tokens} tokens of the file"
            ));
        }
    }
    Ok(())
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
        Size => {
            holds(header, name, Read(Kind::U32), value)?;
            match value.whole() {
                Some(0) => Err("counts nothing, and is not computed".to_owned()),
                _ => Ok(()),
            }
        }
        Positive => {
            holds(header, name, Read(Kind::F32), value)?;
            match value.real() {
                Some(number) if number.is_finite() && number > 0.0 => Ok(()),
                _ => Err("is no number above 0, and is not computed".to_owned()),
            }
        }
        Positions => {
            let tokens = value.whole().map_or(f64::NAN, |tokens| tokens as f64);
            positions::check("context_length", tokens).map_err(|_| {
                format!(
                    "is no context of 1 to {} tokens, and is not computed",
                    positions::MOST
                )
            })
        }
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
