//! GGUF files: what their header says of the model, and whether the file is whole.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::json;
use tempfile::TempDir;

use crate::folder;

/// Architectures that mistral.rs 0.8.1 runs from GGUF files.
const ARCHITECTURES: [&str; 8] = [
    "llama",
    "mistral3",
    "phi2",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3moe",
    "starcoder2",
];

/// What the header of a GGUF file says.
pub(crate) struct Header {
    content: Content,
}

impl Header {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// When the file is no GGUF file, ends before its last tensor, or has an architecture that mistral.rs cannot run.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let broken = |why: String| {
            format!(
                "`{}` is no sound GGUF file: {why}; hint: copy or download it again",
                path.display()
            )
        };
        let file =
            File::open(path).map_err(|e| format!("cannot open `{}`: {e}", path.display()))?;
        let length = file.metadata().map_err(|e| broken(e.to_string()))?.len();
        let content =
            Content::read(&mut BufReader::new(file)).map_err(|e| broken(e.to_string()))?;
        for (name, tensor) in &content.tensor_infos {
            let size = tensor.shape.elem_count() / tensor.ggml_dtype.block_size()
                * tensor.ggml_dtype.type_size();
            let end = content.tensor_data_offset + tensor.offset + size as u64;
            if end > length {
                return Err(broken(format!(
                    "tensor `{name}` ends at byte {end} of {length}: the file is truncated"
                )));
            }
        }
        let header = Self { content };
        let architecture = header.string("general.architecture").unwrap_or_default();
        if !ARCHITECTURES.contains(&architecture.as_str()) {
            return Err(format!(
                "mistral.rs 0.8.1 cannot run GGUF files of the architecture `{architecture}`; it runs {}",
                ARCHITECTURES.join(", ")
            ));
        }
        Ok(header)
    }

    /// How many tokens the input embedding has a row for.
    pub(crate) fn embedding_rows(&self) -> Option<u64> {
        let tensor = self.content.tensor_infos.get("token_embd.weight")?;
        tensor.shape.dims().first().map(|&rows| rows as u64)
    }

    /// How many numbers the weights are.
    pub(crate) fn parameters(&self) -> u64 {
        let size = |t: &candle_core::quantized::gguf_file::TensorInfo| t.shape.elem_count() as u64;
        self.content.tensor_infos.values().map(size).sum()
    }

    /// The tokens that end an answer or a turn.
    pub(crate) fn end_tokens(&self) -> Vec<u32> {
        ["eos_token_id", "eot_token_id", "eom_token_id"]
            .iter()
            .filter_map(|key| self.number(&format!("tokenizer.ggml.{key}")))
            .collect()
    }

    /// Makes a folder of what turns text into tokens: the files of the folder that the spec names, else what the header
    /// has. `tokenizer` is the header's, as mistral.rs reads it.
    ///
    /// # Errors
    /// When a file cannot be linked or written.
    pub(crate) fn text_folder(
        &self,
        folder: Option<&Path>,
        chat_template: Option<&Path>,
        tokenizer: Option<&str>,
    ) -> Result<TempDir, String> {
        let dir = folder::prepare_text(folder, chat_template)?;
        let here = |name: &str| dir.path().join(name);
        if let Some(tokenizer) = tokenizer {
            folder::write(&here("tokenizer.json"), tokenizer.as_bytes())?;
        }
        if !here("tokenizer_config.json").exists() {
            let config = json!({
                "bos_token": self.token("tokenizer.ggml.bos_token_id"),
                "eos_token": self.token("tokenizer.ggml.eos_token_id"),
                "chat_template": self.string("tokenizer.chat_template"),
            });
            folder::write(
                &here("tokenizer_config.json"),
                config.to_string().as_bytes(),
            )?;
        }
        Ok(dir)
    }

    fn string(&self, key: &str) -> Option<String> {
        self.content.metadata.get(key)?.to_string().ok().cloned()
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.content.metadata.get(key)?.to_u32().ok()
    }

    /// Spelling of the token whose id is under the key.
    fn token(&self, key: &str) -> Option<String> {
        let id = self.number(key)? as usize;
        let tokens: &Vec<Value> = self
            .content
            .metadata
            .get("tokenizer.ggml.tokens")?
            .to_vec()
            .ok()?;
        tokens.get(id)?.to_string().ok().cloned()
    }
}
