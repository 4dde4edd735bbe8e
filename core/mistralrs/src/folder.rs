//! The folder that mistral.rs is shown: links to the user's files under the names it expects, with the one file that
//! has to be different.
//!
//! mistral.rs 0.8.1 loads every weight file whose name matches, cannot read configurations saved by transformers 5, and
//! panics on end tokens or chat templates that it does not understand. We do the chat template and the end of an answer
//! ourselves, so it gets neither; and it gets exactly one set of weights. Nothing is copied, and the user's folder is
//! never written to.

use driftgauge_problem::{Context as _, Problem};
use std::path::{Path, PathBuf};

use driftgauge_engine::Reach;
use driftgauge_folder::Weights;
use driftgauge_lm::Tokenizer;
use serde_json::Value;
use tempfile::TempDir;

use crate::config;

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
    /// How far mistral.rs computes the model as transformers does.
    pub(crate) reach: Option<Reach>,
    /// Why mistral.rs computes it on GPUs alone, where it does.
    pub(crate) gpu_alone: Option<Problem>,
    /// The folder that the links lead to.
    pub(crate) origin: PathBuf,
}

impl Prepared {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Says, from configuration and headers alone, why mistral.rs would not compute the model of a folder as transformers does.
///
/// # Errors
/// With the reason.
pub fn check(folder: &Path) -> Result<(), Problem> {
    let (config, _) = inspect(folder)?;
    match gpu_alone(folder, &config) {
        Some(problem) if !driftgauge_lm::built_for_gpu() => Err(problem),
        _ => Ok(()),
    }
}

/// Why mistral.rs computes a model on GPUs alone, where it does.
fn gpu_alone(folder: &Path, config: &config::Config) -> Option<Problem> {
    let method = config
        .json
        .get("quantization_config")
        .map(|quantised| &quantised["quant_method"]);
    let (why, help) = match method.map(|method| method.as_str().unwrap_or("?")) {
        Some(method) => {
            let why = match method {
                // The scale of each block is taken for the next one as well.
                "bitsandbytes" => "computes weights quantised by `bitsandbytes` wrongly on a processor, and is asked for them on GPUs alone".to_owned(),
                _ => format!("computes weights quantised by `{method}` on GPUs alone"),
            };
            (
                why,
                "use the unquantised model (transformers makes it with `model.dequantize()`); `quantization: NAME` quantises it while loading",
            )
        }
        None if config.needs_gpu => (
            "runs the experts of this architecture on GPUs alone".to_owned(),
            "`--device cuda`, or serve the model with another engine and use an `endpoint` source",
        ),
        None => return None,
    };
    let why = format!("`{}`: mistral.rs 0.8.1 {why}", folder.display());
    Some(Problem::failed(why).help(help))
}

fn inspect(folder: &Path) -> Result<(config::Config, Weights), Problem> {
    let config = config::read(folder)?;
    let weights = driftgauge_folder::inspect(folder)?;
    let plain = config::check_tensors(&config.json, &weights.shapes());
    let quantised = config.json.get("quantization_config");
    match quantised {
        // Names of quantised weights are those of their method.
        Some(quantised) => config::check_quantised(quantised, plain.is_ok()),
        None => plain,
    }
    .map_err(|why| why.followed(&format!(" (in `{}`)", folder.display())))?;
    if quantised.is_none() {
        known_by_the_other(folder, &config.json)?;
    }
    Ok((config, weights))
}

/// Where our own decoder knows the architecture, it knows what may stand in the configuration, and every weight with its shape:
/// what it refuses would run unproven.
fn known_by_the_other(folder: &Path, config: &Value) -> Result<(), Problem> {
    match driftgauge_lm::DecoderConfig::knows(config) {
        true => Ok(driftgauge_lm::check_folder(folder)?),
        false => Ok(()),
    }
}

/// Links a model folder for mistral.rs.
///
/// # Errors
/// When a file is missing or unsound, or mistral.rs would not compute the model as transformers does.
pub(crate) fn prepare(folder: &Path) -> Result<Prepared, Problem> {
    let (config, weights) = inspect(folder)?;
    let gpu_alone = gpu_alone(folder, &config);
    let reach = config.reach;
    let mut config = config.json;
    let context = in_whole_blocks(&mut config);
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
        return Err(
            Problem::failed(format!("`{}` has no `tokenizer.json`", folder.display())).help(
                "save the fast tokenizer with \
             `AutoTokenizer.from_pretrained(...).save_pretrained(...)`",
            ),
        );
    }
    let completed = Tokenizer::from_folder(folder)
        .and_then(|tokenizer| tokenizer.completed_json())
        .map_err(|e| e.to_string())?;
    let to = dir.path().join("tokenizer.json");
    match completed {
        Some(json) => write(&to, json.as_bytes())?,
        None => link(&tokenizer, &to)?,
    }
    let text = serde_json::to_vec(&config)?;
    write(&dir.path().join("config.json"), &text)?;
    Ok(Prepared {
        dir,
        weights,
        config,
        context,
        reach,
        gpu_alone,
        origin: folder.to_owned(),
    })
}

/// Tokens by which the cache of mistral.rs 0.8.1 grows.
const BLOCK: usize = 512;

/// As much of a context as whole blocks of the cache fill: what can be used where mistral.rs cannot be told that it is longer.
#[must_use]
pub(crate) fn whole_blocks(context: usize) -> usize {
    match context {
        0..=BLOCK | usize::MAX => context,
        _ => context - context % BLOCK,
    }
}

/// Rounds the context up to whole blocks of 512 tokens, and gives what it was: the cache of mistral.rs 0.8.1 grows by
/// such blocks, and refuses one that goes beyond the context. Not where the scaling of positions depends on the context.
fn in_whole_blocks(config: &mut Value) -> Option<usize> {
    let context = usize::try_from(config["max_position_embeddings"].as_u64()?).ok()?;
    let stretched = config["rope_scaling"]["type"] == "longrope";
    if stretched || context <= BLOCK || context.is_multiple_of(BLOCK) {
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
) -> Result<TempDir, Problem> {
    let dir = private_folder()?;
    let own = |name: &str| Some(folder?.join(name)).filter(|file| file.exists());
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ] {
        if let Some(file) = own(name) {
            link(&file, &dir.path().join(name))?;
        }
    }
    let template = own("chat_template.jinja");
    match chat_template.or(template.as_deref()) {
        Some(file) if !file.exists() => {
            return Err(format!("the chat template `{}` does not exist", file.display()).into());
        }
        Some(file) => link(file, &dir.path().join("chat_template.jinja"))?,
        None => {}
    }
    Ok(dir)
}

/// Writes a file of a private folder.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Problem> {
    std::fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}

/// A temporary folder that only this process uses.
pub(crate) fn private_folder() -> Result<TempDir, Problem> {
    tempfile::Builder::new()
        .prefix("driftgauge-model-")
        .tempdir()
        .context("cannot make a temporary folder")
}

/// Makes `to` name the file `from`, without copying it.
pub(crate) fn link(from: &Path, to: &Path) -> Result<(), Problem> {
    // Absolute, because a relative link would be looked up from the temporary folder.
    let from: PathBuf = std::path::absolute(from).unwrap_or_else(|_| from.to_owned());
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(&from, to);
    #[cfg(not(unix))]
    let linked = std::fs::hard_link(&from, to);
    linked.with_context(|| format!("cannot link `{}`", from.display()))
}
