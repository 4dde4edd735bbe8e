//! The folder that mistral.rs is shown: links to the user's files under the names it expects, with the one file that
//! has to be different.
//!
//! mistral.rs 0.8.1 loads every weight file whose name matches, cannot read configurations saved by transformers 5, and
//! panics on end tokens or chat templates that it does not understand. We do the chat template and the end of an answer
//! ourselves, so it gets neither; and it gets exactly one set of weights. Nothing is copied, and the user's folder is
//! never written to.

use std::path::{Path, PathBuf};

use driftgauge_lm::DecoderConfig;
use driftgauge_lm::config::normalise_config_json;
use serde_json::Value;
use tempfile::TempDir;

use crate::weights::{self, Weights};

/// A private folder of links, removed when dropped.
#[derive(Debug)]
pub(crate) struct Prepared {
    dir: TempDir,
    /// What the weight files hold.
    pub(crate) weights: Weights,
    /// The configuration as mistral.rs is given it.
    pub(crate) config: Value,
    /// How many tokens the model reads, where mistral.rs is told that it were more.
    pub(crate) context: Option<usize>,
}

impl Prepared {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Links a model folder for mistral.rs.
///
/// # Errors
/// When a file is missing or unsound, or the architecture is one that mistral.rs does not know.
pub(crate) fn prepare(folder: &Path) -> Result<Prepared, String> {
    let mut config = read_config(folder)?;
    check_architecture(&config)?;
    let context = in_whole_blocks(&mut config);
    let weights = weights::inspect(folder)?;
    let dir = private_folder()?;
    for (i, file) in weights.files.iter().enumerate() {
        let name = match weights.files.len() {
            1 => "model.safetensors".to_owned(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        link(file, &dir.path().join(name))?;
    }
    let tokenizer = folder.join("tokenizer.json");
    if !tokenizer.exists() {
        return Err(format!(
            "`{}` has no `tokenizer.json`; hint: save the fast tokenizer with \
             `AutoTokenizer.from_pretrained(...).save_pretrained(...)`",
            folder.display()
        ));
    }
    link(&tokenizer, &dir.path().join("tokenizer.json"))?;
    let text = serde_json::to_vec(&config).map_err(|e| e.to_string())?;
    write(&dir.path().join("config.json"), &text)?;
    Ok(Prepared {
        dir,
        weights,
        config,
        context,
    })
}

/// Tokens by which the cache of mistral.rs 0.8.1 grows.
const BLOCK: usize = 512;

/// As much of a context as whole blocks of the cache fill: what can be used where mistral.rs cannot be told that it is longer.
pub(crate) fn whole_blocks(context: usize) -> usize {
    match context {
        0..=BLOCK | usize::MAX => context,
        _ => context - context % BLOCK,
    }
}

/// Rounds the context up to whole blocks of 512 tokens, and gives what it was: the cache of mistral.rs 0.8.1 grows by
/// such blocks, and refuses one that goes beyond the context. Only for models whose forward pass knows nothing of the
/// context but how far its table of positions has to go.
fn in_whole_blocks(config: &mut Value) -> Option<usize> {
    let context = DecoderConfig::from_json(config)
        .ok()?
        .max_position_embeddings;
    if context <= BLOCK || context.is_multiple_of(BLOCK) {
        return None;
    }
    config["max_position_embeddings"] = context.next_multiple_of(BLOCK).into();
    Some(context)
}

/// Makes a folder of what turns text into tokens: the model's own files where it has a folder of them, with another chat
/// template when one is given.
///
/// # Errors
/// When a file cannot be linked.
pub(crate) fn prepare_text(
    folder: Option<&Path>,
    chat_template: Option<&Path>,
) -> Result<TempDir, String> {
    let dir = private_folder()?;
    let own = |name: &str| Some(folder?.join(name)).filter(|file| file.exists());
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        if let Some(file) = own(name) {
            link(&file, &dir.path().join(name))?;
        }
    }
    let template = own("chat_template.jinja");
    match chat_template.or(template.as_deref()) {
        Some(file) if !file.exists() => {
            return Err(format!(
                "the chat template `{}` does not exist",
                file.display()
            ));
        }
        Some(file) => link(file, &dir.path().join("chat_template.jinja"))?,
        None => {}
    }
    Ok(dir)
}

/// Writes a file of a private folder.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    std::fs::write(path, content).map_err(|e| format!("cannot write `{}`: {e}", path.display()))
}

/// A temporary folder that only this process uses.
pub(crate) fn private_folder() -> Result<TempDir, String> {
    tempfile::Builder::new()
        .prefix("driftgauge-model-")
        .tempdir()
        .map_err(|e| format!("cannot make a temporary folder: {e}"))
}

/// Makes `to` name the file `from`, without copying it.
pub(crate) fn link(from: &Path, to: &Path) -> Result<(), String> {
    // Absolute, because a relative link would be looked up from the temporary folder.
    let from: PathBuf = std::path::absolute(from).unwrap_or_else(|_| from.to_owned());
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(&from, to);
    #[cfg(not(unix))]
    let linked = std::fs::hard_link(&from, to);
    linked.map_err(|e| format!("cannot link `{}`: {e}", from.display()))
}

fn read_config(folder: &Path) -> Result<Value, String> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|e| {
        format!(
            "cannot read `{}`: {e}; hint: a model folder has `config.json`, `tokenizer.json` and safetensors weights",
            path.display()
        )
    })?;
    let config: Value =
        serde_json::from_str(&text).map_err(|e| format!("`{}` is no JSON: {e}", path.display()))?;
    Ok(normalise_config_json(&config))
}

/// Model classes that mistral.rs 0.8.1 loads as text models.
const ARCHITECTURES: [&str; 21] = [
    "DeepseekV2ForCausalLM",
    "DeepseekV3ForCausalLM",
    "Gemma2ForCausalLM",
    "GemmaForCausalLM",
    "Glm4ForCausalLM",
    "Glm4MoeForCausalLM",
    "Glm4MoeLiteForCausalLM",
    "GptOssForCausalLM",
    "GraniteMoeHybridForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Phi3ForCausalLM",
    "PhiForCausalLM",
    "PhiMoEForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
    "Qwen3NextForCausalLM",
    "SmolLM3ForCausalLM",
    "Starcoder2ForCausalLM",
];

fn check_architecture(config: &Value) -> Result<(), String> {
    let names: Vec<&str> = config["architectures"]
        .as_array()
        .map(|a| a.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    match names.as_slice() {
        [name] if ARCHITECTURES.contains(name) => Ok(()),
        [] => Err("`config.json` names no model class; hint: add `\"architectures\": [\"LlamaForCausalLM\"]` or \
                   whatever the model is"
            .to_owned()),
        [name] => Err(format!(
            "mistral.rs 0.8.1 cannot run the architecture `{name}`; it runs {}; hint: for another model, serve it with \
             any OpenAI-compatible server and use an `endpoint` source",
            ARCHITECTURES.join(", ")
        )),
        several => Err(format!(
            "`config.json` names several model classes ({}); hint: keep the one that the weights belong to",
            several.join(", ")
        )),
    }
}
