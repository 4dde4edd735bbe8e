//! From a model's files to a running engine that passed its checks.

use driftgauge_problem::{Context as _, Problem};
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use driftgauge_engine::{EngineError, LoadModel, Loaded, LocalEngine};
use driftgauge_folder::ends;
use driftgauge_lm::GgufFile;
use driftgauge_lm::answer::{Text, checks};

use crate::ENGINE;
use crate::engine::MistralRsEngine;
use crate::folder;
use crate::runtime::{Runtime, Source};
use crate::selfcheck::{self, Facts};
use crate::{device, end_tokens, quantization};

/// Loads a model and proves what can go wrong silently. A process should load one model.
///
/// # Errors
/// [`EngineError::Model`] when a file is missing or broken, mistral.rs cannot run the model, or a check failed.
pub fn load(model: &LoadModel) -> Result<MistralRsEngine, EngineError> {
    let engine = match &model.gguf {
        Some(file) => load_gguf(model, file),
        None => load_folder(model),
    };
    engine.map_err(EngineError::Model)
}

fn load_folder(model: &LoadModel) -> Result<MistralRsEngine, Problem> {
    let device = device::device(&model.device)?;
    let (dtype, dtype_name) = device::dtype(&model.dtype, &device)?;
    let quantization = model.quantization.as_deref();
    let isq = quantization.map(quantization::parse).transpose()?;

    let folder = folder::prepare(&model.folder)?;
    if let Some(problem) = folder.gpu_alone.clone().filter(|_| device.is_cpu()) {
        return Err(problem);
    }
    let text_folder = folder::prepare_text(Some(&model.folder), model.chat_template.as_deref())?;
    let text = Arc::new(Text::load(text_folder.path())?);
    let end_tokens = ends::declared(&model.folder, &folder.config, text.eos_id())?;
    let rows = folder.weights.embedding_rows();
    let mut found = checks::of_text(&text, rows, model.plain_text)?;

    let source = Source::Folder(folder.path());
    let mut runtime = Runtime::start(&source, dtype, &device, isq)
        .with_context(|| format!("mistral.rs cannot load `{}`", model.folder.display()))?;
    runtime.context = folder.context.unwrap_or(runtime.context);
    let mut engine = assemble(runtime, text, end_tokens, &device, dtype_name);
    engine.reach = folder.reach.clone();
    let facts = Facts {
        folder: Some(&folder),
        parameters: folder.weights.parameters(),
        quantization,
        plain_text: model.plain_text,
        longest: model.longest,
        tokens: tokens(&engine.text, rows),
    };
    found.extend(selfcheck::of_engine(&mut engine, &facts)?);
    if model.strict {
        checks::nothing_unproven(&found)?;
    }
    engine.loaded.checks = found;
    engine.folder = Some(folder);
    Ok(engine)
}

fn load_gguf(model: &LoadModel, file: &str) -> Result<MistralRsEngine, Problem> {
    if let Some(name) = &model.quantization {
        return Err(Problem::failed(format!(
            "`quantization: {name}` with the GGUF file `{file}`"
        ))
        .help("its weights are quantised already, leave it out"));
    }
    let device = device::device(&model.device)?;
    let (dtype, dtype_name) = device::dtype(&model.dtype, &device)?;
    let path = model.folder.join(file);
    let header = GgufFile::open(&path)?;
    header.check(LocalEngine::Mistralrs)?;
    let tokenizer = model.tokenizer.as_deref();
    let text = Text::of_gguf(&header, tokenizer, model.chat_template.as_deref())?;
    let text = Arc::new(text);
    // mistral.rs is shown the GGUF file and, where the spec names one, the tokenizer: nothing else that lies beside it.
    let folder = folder::private_folder()?;
    let name = Path::new(file).file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| format!("`{file}` is no file name"))?;
    folder::link(&path, &folder.path().join(name))?;
    if let Some(tokenizer) = tokenizer {
        let from = tokenizer.join("tokenizer.json");
        folder::link(&from, &folder.path().join("tokenizer.json"))?;
    }

    let source = Source::Gguf {
        folder: folder.path(),
        file: name,
        tokenizer: tokenizer.is_some(),
    };
    let mut runtime = Runtime::start(&source, dtype, &device, None)
        .with_context(|| format!("mistral.rs cannot load `{file}`"))?;
    let end_tokens = text.ends_of_gguf(&header, tokenizer)?;

    let rows = header.embedding_rows();
    let mut found = checks::of_text(&text, rows, model.plain_text)?;
    let whole = folder::whole_blocks(runtime.context);
    if whole < runtime.context {
        found.push(selfcheck::context(whole, runtime.context));
        runtime.context = whole;
    }
    let mut engine = assemble(runtime, text, end_tokens, &device, dtype_name);
    let facts = Facts {
        folder: None,
        parameters: header.parameters(),
        quantization: None,
        plain_text: model.plain_text,
        longest: model.longest,
        tokens: tokens(&engine.text, rows),
    };
    found.extend(selfcheck::of_engine(&mut engine, &facts)?);
    if model.strict {
        checks::nothing_unproven(&found)?;
    }
    engine.loaded.checks = found;
    Ok(engine)
}

/// Ids below it are tokens with a row in the embedding.
fn tokens(text: &Text, embedding_rows: Option<u64>) -> u32 {
    let rows = embedding_rows.and_then(|rows| u32::try_from(rows).ok());
    let known = text.vocabulary().largest.0 + 1;
    rows.map_or(known, |rows| rows.min(known))
}

fn assemble(
    runtime: Runtime,
    text: Arc<Text>,
    end_tokens: Vec<u32>,
    device: &Device,
    dtype: &str,
) -> MistralRsEngine {
    MistralRsEngine {
        runtime,
        ending: end_tokens::ending(&end_tokens, &text.vocabulary().special),
        end_tokens: end_tokens.into(),
        text,
        reach: None,
        loaded: Loaded {
            engine: ENGINE.to_owned(),
            device: device::name(device).to_owned(),
            dtype: dtype.to_owned(),
            max_in_flight: 1,
            checks: Vec::new(),
            proof: None,
        },
        folder: None,
    }
}
