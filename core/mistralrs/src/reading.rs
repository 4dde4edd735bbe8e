//! What the files of a model tell before it is loaded: how long prompts may be, and what the self-check will not prove.

use std::path::Path;

use driftgauge_engine::{LocalEngine, PromptReader, TextFiles};
use driftgauge_lm::Reader;
use driftgauge_problem::Problem;

use crate::{config, folder};

/// How a model reads prompts, as far as mistral.rs computes it; `None` where its files do not tell.
///
/// # Errors
/// When its tokenizer is there and cannot be used.
pub fn reader(files: &TextFiles) -> Result<Option<Box<dyn PromptReader>>, Problem> {
    let Some(mut reader) = Reader::open(files)? else {
        return Ok(None);
    };
    match files.gguf {
        _ if files.engine == LocalEngine::Native => {}
        Some(_) => {
            let whole = folder::whole_blocks(reader.limits.context);
            (reader.limits.context, reader.limits.scored) = (whole, whole);
        }
        None => {
            let config = config::read(&files.folder).ok();
            reader.limits.reach = config.and_then(|config| config.reach);
        }
    }
    Ok(Some(Box::new(reader)))
}

/// Larger models would take longer to load twice than the check is worth.
const MOST_PARAMETERS: u64 = 200_000_000;

/// Why the self-check will not hold mistral.rs against our own decoder, told from files and settings.
#[must_use]
pub fn unproven(files: &TextFiles, quantization: Option<&str>) -> Option<String> {
    // Our decoder proves at load what it computes.
    if files.engine == LocalEngine::Native {
        return None;
    }
    let folder = (files.gguf.is_none()).then_some(files.folder.as_path());
    // A folder that cannot be read is refused by itself.
    let parameters = match folder {
        Some(folder) => driftgauge_folder::inspect(folder).ok()?.parameters(),
        None => 0,
    };
    not_compared(folder, quantization, parameters)
}

/// As [`unproven`], of a model with so many numbers in its weights; a GGUF file has no folder.
pub(crate) fn not_compared(
    folder: Option<&Path>,
    quantization: Option<&str>,
    parameters: u64,
) -> Option<String> {
    let Some(folder) = folder else {
        return Some("a GGUF file has no weights that the other decoder reads".to_owned());
    };
    if let Some(name) = quantization {
        return Some(format!(
            "the weights are quantised to `{name}` while loading"
        ));
    }
    if parameters > MOST_PARAMETERS {
        return Some(format!(
            "{parameters} parameters are more than {MOST_PARAMETERS}: loading them twice is not worth it"
        ));
    }
    let error = driftgauge_lm::check_folder(folder).err()?;
    Some(format!(
        "the other decoder does not compute this model: {error}"
    ))
}
