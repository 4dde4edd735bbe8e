//! Models without weights on this machine: servers and recordings. What is asked of them has to be something they can do.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::located::Text;
use crate::spec::{BaseQuantization, Endpoint, Model, ModelDtype, ModelEngine};

impl Checker<'_> {
    /// A server's address, limits and the name of the variable with its key.
    pub(super) fn endpoint(&mut self, endpoint: &Endpoint) {
        if let Some(problem) = address_problem(&endpoint.base_url) {
            self.error(
                Diagnostic::error("bad-endpoint", "`base_url` is no address of a server")
                    .at(endpoint.base_url.span(), problem)
                    .help("for example `http://127.0.0.1:8000/v1`; the key goes into an environment variable"),
            );
        }
        if let Some(name) = &endpoint.api_key_env
            && !is_variable_name(name)
        {
            self.error(
                Diagnostic::error(
                    "bad-endpoint",
                    "`api_key_env` is no name of an environment variable",
                )
                .at(name.span(), "letters, digits and `_` only")
                .help("write the name of the variable that holds the key, never the key itself"),
            );
        }
    }

    /// Keys that say how weights are loaded, on a model that loads none.
    pub(super) fn nothing_to_load(&mut self, model: &Model) {
        if !is_remote(model) {
            return;
        }
        if let Some(resources) = &model.resources {
            let place = resources.place();
            self.error(
                Diagnostic::error(
                    "not-together",
                    "`resources` need a model that a job trains or loads",
                )
                .at(place, "an endpoint and a recording load nothing"),
            );
        }
        for (key, name) in [
            (&model.quantization, "quantization"),
            (&model.chat_template, "chat_template"),
        ] {
            if let Some(key) = key {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        format!("`{name}` needs a model that is loaded here"),
                    )
                    .at(key.span(), "an endpoint and a recording load nothing"),
                );
            }
        }
    }

    /// An engine for a model that it does not compute.
    pub(super) fn engine_fits(&mut self, model: &Model) {
        let Some(engine) = &model.engine else {
            return;
        };
        let refused = match *engine.get() {
            _ if is_remote(model) => Some((
                "an endpoint and a recording compute nothing here",
                "leave `engine` out",
            )),
            ModelEngine::Auto | ModelEngine::Mistralrs => None,
            ModelEngine::Native => not_rounded(model),
        };
        if let Some((why, help)) = refused {
            self.error(
                Diagnostic::error(
                    "not-together",
                    format!(
                        "`engine: {}` does not compute this model",
                        engine.get().as_str()
                    ),
                )
                .at(engine.span(), why)
                .help(help),
            );
        }
    }

    /// Fine-tunes of, and scores by, models whose weights are elsewhere; judges that only ever said what was recorded.
    pub(super) fn weights_at_hand(&mut self) {
        let spec = self.spec;
        let source = |id: &Text| {
            let model = spec.models.get(id.get().as_str())?;
            let source = model.source()?.key();
            is_remote(model).then_some(source)
        };
        for model in spec.models.values() {
            let made = if model.adapter.is_some() {
                "merged with an adapter"
            } else {
                "fine-tuned"
            };
            if let Some(base) = model.base()
                && let Some(source) = source(base)
            {
                self.error(no_weights(base, source, made, HERE));
            }
        }
        for evaluation in spec.evaluations.values() {
            let scored = evaluation.score.is_some()
                || evaluation.perplexity.is_some()
                || evaluation.kl.is_some();
            let reference = evaluation.kl.iter().map(|kl| &kl.reference);
            for id in evaluation.models.iter().chain(reference).filter(|_| scored) {
                // Recorded numbers stand in for scores.
                if source(id) == Some("endpoint") {
                    self.error(no_weights(
                        id,
                        "endpoint",
                        "asked to score given text",
                        HERE,
                    ));
                }
            }
            for judge in evaluation.judges.values() {
                if let Some(id) = judge.model()
                    && source(id) == Some("recorded")
                {
                    self.error(no_weights(id, "recorded", "asked to judge", ANSWERING));
                }
            }
        }
    }
}

/// Sources of models that can be trained and can score.
const HERE: &str =
    "use a model whose weights are on this machine: `path`, `hub`, `pretrain` or `finetune`";
/// Sources of models that can be asked.
const ANSWERING: &str = "a recording answers nothing new; use a model on this machine or an `endpoint`, or record the \
                         verdicts as well, under `columns.verdicts`";

fn no_weights(id: &Text, source: &str, what: &str, help: &str) -> Diagnostic {
    Diagnostic::error("no-weights", format!("model `{id}` cannot be {what}"))
        .at(id.span(), format!("its source is `{source}`"))
        .help(help)
}

/// Why the native decoder does not round the weights of a model as its spec asks for, and what to do.
fn not_rounded(model: &Model) -> Option<(&'static str, &'static str)> {
    let half = match model.dtype {
        ModelDtype::Auto | ModelDtype::F32 => false,
        ModelDtype::Bf16 => true,
        ModelDtype::F16 => {
            return Some((
                "it computes in f32, of weights in f32 or bf16",
                "leave `engine` out",
            ));
        }
    };
    let Some(name) = &model.quantization else {
        return (half && model.gguf.is_some()).then_some((
            "it takes the numbers of a GGUF file as they are",
            "leave `dtype` out",
        ));
    };
    if model.gguf.is_some() {
        return Some((
            "it takes the numbers of a GGUF file as they are",
            "leave `quantization` out, or name the model's folder",
        ));
    }
    if half {
        return Some((
            "it rounds all weights to bf16, or those of the linear modules to blocks",
            "leave `dtype` or `quantization` out",
        ));
    }
    (!BaseQuantization::is_named(name.get())).then_some((
        "it rounds weights to q4_0, q4k, q5k, q6k or q8_0",
        "take one of them, or leave `engine` out",
    ))
}

fn is_remote(model: &Model) -> bool {
    model.endpoint.is_some() || model.recorded.is_some()
}

/// What is wrong with an address. The rest of it is the server's business.
fn address_problem(address: &str) -> Option<&'static str> {
    let Some(rest) = address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"))
    else {
        return Some("has to begin with `http://` or `https://`");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        Some("names no host")
    } else if host.contains('@') {
        Some("holds a name or password")
    } else if address.contains(['?', '#', ' ']) {
        Some("ends before `?`")
    } else {
        None
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_secrets() {
        for good in [
            "http://127.0.0.1:8000/v1",
            "https://api.example.org/v1/",
            "http://[::1]:8000",
        ] {
            assert_eq!(address_problem(good), None, "{good}");
        }
        for bad in [
            "127.0.0.1:8000",
            "ftp://host/v1",
            "http://",
            "http://:8000/v1",
            "http://user:secret@host/v1",
            "https://host/v1?key=secret",
        ] {
            assert!(address_problem(bad).is_some(), "{bad}");
        }
        assert!(is_variable_name("OPENAI_API_KEY") && !is_variable_name("sk-123"));
        assert!(!is_variable_name("") && !is_variable_name("9LIVES"));
    }
}
