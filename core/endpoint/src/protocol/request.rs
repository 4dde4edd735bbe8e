//! What is said to a server: bodies of requests, and how they change when a server stumbles over a word.

use driftgauge_engine::{Endpoint, GenerateRequest};
use serde_json::{Value, json};

use crate::logprobs::{FEW, TOP};

/// Words that servers differ in; learned from their complaints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The limit on new tokens is `max_completion_tokens`; servers of newer models refuse `max_tokens`.
    pub(crate) max_completion_tokens: bool,
    /// How many of the most likely tokens are asked for at each position; `None` asks for no log-probabilities.
    pub(crate) top: Option<usize>,
    /// The answer is asked for in pieces; some servers give it no other way.
    pub(crate) stream: bool,
}

impl Dialect {
    /// How a server is spoken to at first.
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        Self {
            max_completion_tokens: false,
            top: endpoint.logprobs.then_some(TOP),
            stream: false,
        }
    }

    /// The dialect to try after a refusal that names the word it stumbled over; `None` when it names none.
    pub(crate) fn after(self, complaint: &str) -> Option<Self> {
        if !self.max_completion_tokens && complaint.contains("max_completion_tokens") {
            return Some(Self {
                max_completion_tokens: true,
                ..self
            });
        }
        if complaint.contains("logprobs") {
            // Many servers give five; the log-probability of the answer's own tokens then stays known.
            let fewer = self.top? > FEW;
            return Some(Self {
                top: fewer.then_some(FEW),
                ..self
            });
        }
        if !self.stream && has_word(complaint, "stream") {
            return Some(Self {
                stream: true,
                ..self
            });
        }
        None
    }
}

/// Whether a text has a word that begins so: `streaming`, and not `upstream`.
fn has_word(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric())
    })
}

/// The setting of the spec that a server refuses, where its complaint names one: every further request has it too.
pub(crate) fn refused_setting(request: &GenerateRequest, complaint: &str) -> Option<&'static str> {
    let sampling = &request.sampling;
    let drawn = sampling.temperature > 0.0;
    let sent = [
        ("top_p", sampling.top_p.is_some()),
        ("top_k", sampling.top_k.is_some()),
        ("min_p", sampling.min_p.is_some()),
        ("seed", drawn),
        ("stop", !request.stop.is_empty()),
        ("temperature", true),
    ];
    // In quotes: as plain words they may stand in a complaint of a prompt.
    let quoted = |name: &str| {
        let marks = ['\'', '"', '`'];
        marks
            .iter()
            .any(|mark| complaint.contains(&format!("{mark}{name}{mark}")))
    };
    let mut named = sent
        .into_iter()
        .filter(|(name, sent)| *sent && quoted(name));
    named.next().map(|(name, _)| name)
}

/// The path below the base address: a conversation is completed by one interface, plain text by the other.
pub(crate) fn path(request: &GenerateRequest) -> &'static str {
    match request.text {
        Some(_) => "completions",
        None => "chat/completions",
    }
}

/// The body of a request. Settings that the spec leaves open are not sent, so that the server's defaults hold.
pub(crate) fn body(endpoint: &Endpoint, request: &GenerateRequest, dialect: Dialect) -> Value {
    let sampling = &request.sampling;
    let limit = if dialect.max_completion_tokens && request.text.is_none() {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    let mut body = json!({
        "model": endpoint.model,
        limit: request.max_tokens,
        "temperature": sampling.temperature,
    });
    match &request.text {
        Some(text) => body["prompt"] = json!(text),
        None => body["messages"] = json!(request.messages),
    }
    if let Some(top_p) = sampling.top_p {
        body["top_p"] = json!(top_p);
    }
    // No part of the original interface, but of most open servers.
    if let Some(top_k) = sampling.top_k {
        body["top_k"] = json!(top_k);
    }
    if let Some(min_p) = sampling.min_p {
        body["min_p"] = json!(min_p);
    }
    if sampling.temperature > 0.0 {
        // A number that fits in 31 bits: some servers keep 32 of a longer one, and draw by the clock where these are all ones.
        body["seed"] = json!(sampling.seed >> 33);
    }
    if !request.stop.is_empty() {
        body["stop"] = json!(request.stop);
    }
    if dialect.stream {
        body["stream"] = json!(true);
    }
    if let Some(top) = dialect.top {
        if request.text.is_some() {
            // The older interface allows no more.
            body["logprobs"] = json!(top.min(FEW));
        } else {
            body["logprobs"] = json!(true);
            body["top_logprobs"] = json!(top);
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fixture::{endpoint, request};

    #[test]
    fn a_conversation_asks_the_chat_interface() {
        let body = body(&endpoint(), &request(), Dialect::of(&endpoint()));
        let expected = json!({
            "model": "m", "max_tokens": 5, "temperature": 0.0,
            "messages": [{ "role": "user", "content": "hello" }],
            "logprobs": true, "top_logprobs": 20,
        });
        assert_eq!(body, expected);
        assert_eq!(path(&request()), "chat/completions");
    }

    #[test]
    fn plain_text_asks_the_older_interface() {
        let request = GenerateRequest {
            text: Some("[INST]".to_owned()),
            ..request()
        };
        let body = body(&endpoint(), &request, Dialect::of(&endpoint()));
        assert_eq!(body["prompt"], "[INST]");
        assert_eq!(body["logprobs"], 5);
        assert!(body["messages"].is_null());
        assert_eq!(path(&request), "completions");
    }

    #[test]
    fn a_refused_word_is_replaced_once() {
        let first = Dialect::of(&endpoint());
        let second = first
            .after("Unsupported parameter: use 'max_completion_tokens' instead")
            .unwrap();
        assert!(second.max_completion_tokens && second.top == Some(20));
        assert!(body(&endpoint(), &request(), second)["max_tokens"].is_null());
        assert_eq!(second.after("use 'max_completion_tokens'"), None);
        let third = second.after("top_logprobs must be at most 5").unwrap();
        assert_eq!(third.top, Some(5));
        let fourth = third.after("logprobs are not supported").unwrap();
        assert_eq!(fourth.top, None);
        assert_eq!(fourth.after("logprobs are not supported"), None);
        assert_eq!(first.after("prompt too long"), None);
        let pieces = first.after("This model only supports streaming").unwrap();
        assert!(pieces.stream && body(&endpoint(), &request(), pieces)["stream"] == true);
        assert_eq!(pieces.after("set `stream` to true"), None);
        assert_eq!(first.after("upstream connect error"), None);
    }

    #[test]
    fn draws_are_seeded_and_greedy_answers_are_not() {
        let mut request = request();
        assert!(body(&endpoint(), &request, Dialect::of(&endpoint()))["seed"].is_null());
        request.sampling.temperature = 0.7;
        request.sampling.seed = u64::MAX;
        let seed = &body(&endpoint(), &request, Dialect::of(&endpoint()))["seed"];
        assert_eq!(seed.as_i64(), Some(i64::from(i32::MAX)));
    }

    #[test]
    fn a_setting_that_a_server_refuses_is_named() {
        let mut request = request();
        request.sampling.top_k = Some(5);
        // In the words of transformers' server, and of OpenAI's.
        let unexpected = "Unexpected fields in the request: {'min_p', 'top_k'}";
        assert_eq!(refused_setting(&request, unexpected), Some("top_k"));
        let fixed = "Unsupported value: 'temperature' does not support 0 with this model.";
        assert_eq!(refused_setting(&request, fixed), Some("temperature"));
        assert_eq!(
            refused_setting(&request, "the words top_k and stop are in the prompt"),
            None
        );
        assert_eq!(
            refused_setting(&request, "Unknown parameter: 'seed'"),
            None,
            "it was not sent"
        );
    }
}
