//! Between text and tokens: the chat template and the tokenizer of the model folder.

use std::path::Path;

use driftgauge_record::Message;
use tokenizers::Tokenizer;

/// The tokenizer and chat template of a model.
pub(crate) struct Text {
    tokenizer: Tokenizer,
    template: Option<String>,
    bos: Option<String>,
    eos: Option<String>,
}

impl Text {
    pub(crate) fn load(folder: &Path, template: Option<&Path>) -> Result<Self, String> {
        let tokenizer =
            Tokenizer::from_file(folder.join("tokenizer.json")).map_err(|e| e.to_string())?;
        let config: serde_json::Value = std::fs::read(folder.join("tokenizer_config.json"))
            .ok()
            .and_then(|t| serde_json::from_slice(&t).ok())
            .unwrap_or_default();
        let word = |key: &str| {
            let v = &config[key];
            v.as_str().or(v["content"].as_str()).map(str::to_owned)
        };
        let jinja = folder.join("chat_template.jinja");
        let file = template.or(jinja.exists().then_some(jinja.as_path()));
        let template = match file {
            Some(f) => Some(std::fs::read_to_string(f).map_err(|e| e.to_string())?),
            None => word("chat_template"),
        };
        Ok(Self {
            tokenizer,
            template,
            bos: word("bos_token"),
            eos: word("eos_token"),
        })
    }

    pub(crate) fn render(&self, messages: &[Message]) -> Result<String, String> {
        let mut env = minijinja::Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        let template = self.template.as_deref().ok_or("no chat template")?;
        env.render_str(template, minijinja::context! { messages, bos_token => self.bos, eos_token => self.eos, add_generation_prompt => true })
            .map_err(|e| e.to_string())
    }

    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let e = self
            .tokenizer
            .encode(text, false)
            .map_err(|e| e.to_string())?;
        Ok(e.get_ids().to_vec())
    }

    /// Tokens of plain text: with the special tokens that the tokenizer adds, unless the text begins with BOS itself.
    pub(crate) fn encode_plain(&self, text: &str) -> Result<Vec<u32>, String> {
        let begins = self.bos.as_deref().is_some_and(|bos| text.starts_with(bos));
        let e = self
            .tokenizer
            .encode(text, !begins)
            .map_err(|e| e.to_string())?;
        Ok(e.get_ids().to_vec())
    }

    pub(crate) fn decode(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens, true).unwrap_or_default()
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub(crate) fn eos(&self) -> Option<&str> {
        self.eos.as_deref()
    }
}
