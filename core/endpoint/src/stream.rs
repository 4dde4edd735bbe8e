//! Answers that come in pieces: server-sent events, put together to the answer that the server would have given at once.

use serde_json::{Map, Value, json};

/// Ends a stream.
const DONE: &str = "[DONE]";

/// Whether a body is a stream of events and no JSON document: some servers stream whatever they are asked for.
pub(crate) fn is_stream(body: &str) -> bool {
    let first = body.trim_start();
    ["data:", "event:", "id:", ":"]
        .iter()
        .any(|field| first.starts_with(field))
}

/// The whole answer of a stream.
///
/// # Errors
/// When an event cannot be read, or the stream ends before the answer does.
pub(crate) fn whole(body: &str) -> Result<Value, String> {
    let mut answer = Map::new();
    let mut choice = Choice::default();
    let mut done = false;
    for event in events(body) {
        if event == DONE {
            done = true;
            break;
        }
        let event: Value = serde_json::from_str(&event)
            .map_err(|error| format!("a piece of the server's answer is unreadable: {error}"))?;
        if !event["error"].is_null() {
            // What came before it is no answer.
            return Ok(json!({ "error": event["error"] }));
        }
        for name in [
            "model",
            "system_fingerprint",
            "usage",
            "prompt_filter_results",
        ] {
            if !event[name].is_null() {
                answer.insert(name.to_owned(), event[name].clone());
            }
        }
        for piece in event["choices"].as_array().into_iter().flatten() {
            if piece["index"].as_u64().unwrap_or(0) != 0 {
                return Err(
                    "the server's answer holds several completions where one was asked for"
                        .to_owned(),
                );
            }
            choice.add(piece);
        }
    }
    if !done && choice.finish_reason.as_ref().is_none_or(Value::is_null) {
        return Err("the server's answer breaks off before its end".to_owned());
    }
    answer.insert("choices".to_owned(), json!([choice.whole()]));
    Ok(Value::Object(answer))
}

/// The data of each event.
fn events(body: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut data: Vec<&str> = Vec::new();
    for line in body.lines().chain([""]) {
        if let Some(more) = line.strip_prefix("data:") {
            data.push(more.strip_prefix(' ').unwrap_or(more));
        } else if line.is_empty() && !data.is_empty() {
            events.push(data.join("\n"));
            data.clear();
        }
    }
    events
}

/// What the pieces of the first choice come to.
#[derive(Default)]
struct Choice {
    message: Map<String, Value>,
    /// Of a plain completion.
    text: Option<String>,
    logprobs: Map<String, Value>,
    /// Null as long as the pieces say that the answer goes on; nothing where none has the key.
    finish_reason: Option<Value>,
    /// What each filter said of a piece.
    filters: Vec<Value>,
}

impl Choice {
    fn add(&mut self, piece: &Value) {
        let delta = piece["delta"].as_object().into_iter().flatten();
        for (name, value) in delta {
            join(&mut self.message, name, value);
        }
        if let Some(text) = piece["text"].as_str() {
            self.text.get_or_insert_default().push_str(text);
        }
        for (name, value) in piece["logprobs"].as_object().into_iter().flatten() {
            join(&mut self.logprobs, name, value);
        }
        if !piece["content_filter_results"].is_null() {
            self.filters.push(piece["content_filter_results"].clone());
        }
        if let Some(reason) = piece.get("finish_reason")
            && (!reason.is_null() || self.finish_reason.is_none())
        {
            self.finish_reason = Some(reason.clone());
        }
    }

    fn whole(self) -> Value {
        let logprobs = match self.logprobs.is_empty() {
            true => Value::Null,
            false => Value::Object(self.logprobs),
        };
        let mut choice = json!({ "logprobs": logprobs });
        if let Some(reason) = self.finish_reason {
            choice["finish_reason"] = reason;
        }
        if !self.filters.is_empty() {
            choice["content_filter_results"] = Value::Array(self.filters);
        }
        match self.text {
            Some(text) => choice["text"] = json!(text),
            None => choice["message"] = Value::Object(self.message),
        }
        choice
    }
}

/// Texts are strung together, and so are lists; of anything else the last counts.
fn join(into: &mut Map<String, Value>, name: &str, value: &Value) {
    match (into.get_mut(name), value) {
        (_, Value::Null) => {}
        // The role is said once, or with every piece.
        (Some(Value::String(text)), Value::String(more)) if name != "role" => text.push_str(more),
        (Some(Value::Array(list)), Value::Array(more)) => list.extend(more.iter().cloned()),
        _ => {
            into.insert(name.to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_conversation_are_one_answer() {
        // As llama.cpp's server sends them, with a comment that keeps the connection alive.
        let body = concat!(
            ": ping\n\n",
            "data: {\"choices\": [{\"finish_reason\": null, \"index\": 0, \"delta\": {\"role\": \"assistant\", \"content\": null}}], \"model\": \"m\"}\n\n",
            "data: {\"choices\": [{\"finish_reason\": null, \"index\": 0, \"delta\": {\"content\": \"The\", \"reasoning_content\": \"h\"}, ",
            "\"logprobs\": {\"content\": [{\"token\": \"The\", \"logprob\": -0.5}]}}]}\r\n\r\n",
            "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \" queen\", \"reasoning_content\": \"m\"}, ",
            "\"logprobs\": {\"content\": [{\"token\": \" queen\", \"logprob\": -0.25}]}}]}\n\n",
            "data: {\"choices\": [{\"finish_reason\": \"length\", \"index\": 0, \"delta\": {}}]}\n\n",
            "data: {\"choices\": [], \"usage\": {\"completion_tokens\": 2}}\n\n",
            "data: [DONE]\n\n"
        );
        assert!(is_stream(body));
        let answer = whole(body).unwrap();
        let expected = json!({
            "model": "m", "usage": { "completion_tokens": 2 },
            "choices": [{
                "finish_reason": "length",
                "message": { "role": "assistant", "content": "The queen", "reasoning_content": "hm" },
                "logprobs": { "content": [{ "token": "The", "logprob": -0.5 }, { "token": " queen", "logprob": -0.25 }] },
            }],
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn pieces_of_a_plain_text_are_one_answer() {
        let body = "data: {\"choices\": [{\"text\": \"a\", \"index\": 0}]}\n\ndata: {\"choices\": [{\"text\": \"b\", \"finish_reason\": \"stop\"}]}\n\n";
        let answer = whole(body).unwrap();
        assert_eq!(answer["choices"][0]["text"], "ab");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }

    /// As in an answer that is not streamed: without the key, the tokens that were counted tell.
    #[test]
    fn a_key_that_no_piece_has_is_not_null() {
        let reason = |said: &str| {
            let body = format!(
                "data: {{\"choices\": [{{\"text\": \"a\"{said}}}]}}\n\ndata: {{\"choices\": [{{\"text\": \"b\"}}]}}\n\ndata: [DONE]\n\n"
            );
            whole(&body).unwrap()["choices"][0]
                .get("finish_reason")
                .cloned()
        };
        assert_eq!(reason(""), None);
        assert_eq!(reason(", \"finish_reason\": null"), Some(Value::Null));
        assert_eq!(reason(", \"finish_reason\": \"stop\""), Some(json!("stop")));
    }

    #[test]
    fn a_stream_that_breaks_off_is_no_answer() {
        let body = "data: {\"choices\": [{\"delta\": {\"content\": \"The\"}}]}\n\n";
        assert!(whole(body).unwrap_err().contains("breaks off"));
        let half = "data: {\"choices\": [{\"delta\": {\"content\": \"The\"}, \"finish_reason\": \"stop\"}]}\n\ndata: {\"cho";
        assert!(whole(half).unwrap_err().contains("unreadable"));
        let two = "data: {\"choices\": [{\"index\": 1, \"delta\": {\"content\": \"The\"}}]}\n\n";
        assert!(whole(two).unwrap_err().contains("several"));
        let failed = whole(
            "data: {\"choices\": [{\"delta\": {\"content\": \"The\"}}]}\n\ndata: {\"error\": {\"message\": \"gone\"}}\n\n",
        );
        assert_eq!(failed.unwrap()["error"]["message"], "gone");
        assert!(!is_stream("{\"data:\": 1}") && !is_stream("<html>"));
    }
}
