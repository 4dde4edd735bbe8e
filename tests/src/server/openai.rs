//! A server with the OpenAI interface that does as it is told.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex};

use serde_json::{Value, json};

use super::Service;
use super::http::{Request, Response};

/// What the server is told.
pub(super) struct OpenAi {
    settings: Value,
    /// How often each rule was met.
    met: Mutex<HashMap<usize, usize>>,
    /// Requests that wait for another one.
    meeting: (Mutex<usize>, Condvar),
}

impl OpenAi {
    pub(super) fn new(settings: &Value) -> Self {
        Self {
            settings: settings.clone(),
            met: Mutex::default(),
            meeting: (Mutex::new(0), Condvar::new()),
        }
    }

    /// Waits until two requests are here.
    fn meet(&self) {
        let (count, changed) = &self.meeting;
        let mut here = count.lock().expect("the meeting");
        *here += 1;
        changed.notify_all();
        while *here < 2 {
            here = changed.wait(here).expect("the meeting");
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.settings[name].as_bool().unwrap_or(false)
    }

    /// The word of the first rule that fits, and the rule.
    fn rule(&self, question: &str) -> (String, Value) {
        let rules = self.settings["rules"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for (index, rule) in rules.iter().enumerate() {
            if !question.contains(rule["when"].as_str().unwrap_or_default()) {
                continue;
            }
            let mut met = self.met.lock().expect("the counts");
            let times = met.entry(index).or_insert(0);
            let words = rule["then"].as_array().cloned().unwrap_or_default();
            let word = words.get(*times).or(words.last()).cloned();
            *times += 1;
            let word = word.and_then(|word| word.as_str().map(str::to_owned));
            return (word.unwrap_or_else(|| "ok".to_owned()), rule.clone());
        }
        ("ok".to_owned(), Value::Null)
    }
}

fn error(status: u16, message: &str) -> Response {
    Response::json(status, &json!({ "error": { "message": message } }))
}

impl Service for OpenAi {
    fn answer(&self, request: &Request) -> Response {
        let chat = match request.path.as_str() {
            "/v1/chat/completions" => true,
            "/v1/completions" => false,
            _ => return error(404, "no such path"),
        };
        let sent = request.header("authorization");
        if let Some(key) = self.settings["key"].as_str()
            && sent != format!("Bearer {key}")
        {
            // Careless servers repeat the key.
            return error(401, &format!("wrong key: {}", sent.replace("Bearer ", "")));
        }
        let Ok(body) = serde_json::from_str::<Value>(&request.body) else {
            return error(400, "no JSON");
        };
        if self.flag("wants_max_completion_tokens") && !body["max_tokens"].is_null() {
            return error(
                400,
                "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            );
        }
        if self.flag("refuses_logprobs") && !body["logprobs"].is_null() {
            return error(400, "logprobs are not supported by this model");
        }
        if self.flag("wants_stream") && body["stream"] != true {
            return error(400, "this model only supports streaming");
        }
        let unknown = self.settings["unknown_fields"].as_array();
        let unknown = unknown.into_iter().flatten().filter_map(Value::as_str);
        if let Some(field) = unknown.into_iter().find(|field| !body[*field].is_null()) {
            // As transformers' server says it.
            let detail = format!("Unexpected fields in the request: {{'{field}'}}");
            return Response::json(422, &json!({ "detail": detail }));
        }
        let top = body["top_logprobs"].as_u64().unwrap_or(0);
        if let Some(most) = self.settings["most_logprobs"].as_u64()
            && top > most
        {
            return error(400, &format!("top_logprobs must be at most {most}"));
        }
        let question = if chat {
            body["messages"]
                .as_array()
                .and_then(|turns| turns.last())
                .map(|turn| &turn["content"])
        } else {
            Some(&body["prompt"])
        };
        let question = question.and_then(Value::as_str).unwrap_or_default();
        let (word, rule) = self.rule(question);
        let say = rule["say"].as_str().map(str::to_owned);
        let text = say.unwrap_or_else(|| format!("You said: {question}"));
        let mut answer = self.completion(&body, chat, &text, &word);
        if rule["think"].is_string() {
            answer["choices"][0]["message"]["reasoning_content"] = rule["think"].clone();
        }
        if self.flag("parts") {
            let message = &mut answer["choices"][0]["message"];
            message["content"] = json!([{ "type": "text", "text": message["content"] }]);
        }
        if rule["refuse"].is_string() {
            let message = &mut answer["choices"][0]["message"];
            message["content"] = json!("");
            message["refusal"] = rule["refuse"].clone();
        }
        if let Some(made) = self.settings["makes"].as_u64() {
            let limit = &body["max_completion_tokens"];
            let made = limit.as_u64().map_or(made, |limit| made.min(limit));
            answer["usage"] = json!({ "completion_tokens": made });
        }
        let whole = if body["stream"] == true {
            Response::new(200, events(&answer)).with("Content-Type", "text/event-stream")
        } else {
            Response::json(200, &answer)
        };
        match word.as_str() {
            "ok" | "filter" => whole,
            "empty" => Response::json(200, &json!({ "choices": [] })),
            "error in 200" => {
                let error = json!({ "message": "as told", "code": 429 });
                Response::json(200, &json!({ "error": error }))
            }
            "meet" => {
                self.meet();
                whole
            }
            "hang" => Response::never(),
            "drop" => whole.half(),
            "malformed" => Response::new(200, "{\"choices\": [{\"message\": "),
            status => {
                let (status, wait) = status.split_once(':').unwrap_or((status, ""));
                let response = error(status.parse().expect("a status"), "as told");
                if wait.is_empty() {
                    response
                } else {
                    response.with("Retry-After", wait)
                }
            }
        }
    }
}

impl OpenAi {
    fn completion(&self, body: &Value, chat: bool, text: &str, word: &str) -> Value {
        let offered = self.settings["logprobs"].as_bool().unwrap_or(true);
        let wanted = !body["logprobs"].is_null() && offered;
        let top = body["top_logprobs"].as_u64().unwrap_or(0);
        let finish = if word == "filter" {
            "content_filter"
        } else {
            "stop"
        };
        let mut choice = json!({ "index": 0, "finish_reason": finish, "logprobs": null });
        let tokens: Vec<&str> = text.split_inclusive(' ').collect();
        if chat {
            choice["message"] = json!({ "role": "assistant", "content": text });
            if wanted {
                let content: Vec<Value> = tokens.iter().map(|token| position(token, top)).collect();
                choice["logprobs"] = json!({ "content": content });
            }
        } else {
            choice["text"] = json!(text);
            if wanted {
                choice["logprobs"] = json!({
                    "tokens": tokens,
                    "token_logprobs": tokens.iter().map(|_| -0.5).collect::<Vec<f64>>(),
                    "top_logprobs": null,
                });
            }
        }
        json!({
            "id": "x", "object": "chat.completion", "model": "stand-in-2026", "system_fingerprint": "fp-1",
            "choices": [choice],
        })
    }
}

/// The answer of a conversation in pieces of one word each.
fn events(answer: &Value) -> String {
    let choice = &answer["choices"][0];
    let text = choice["message"]["content"].as_str().unwrap_or_default();
    let mut events = String::from(": ping\n\n");
    let mut send = |piece: Value| {
        let event = json!({ "model": answer["model"], "choices": [piece] });
        events.push_str(&format!("data: {event}\n\n"));
    };
    send(json!({ "index": 0, "delta": { "role": "assistant" }, "finish_reason": null }));
    for (index, word) in text.split_inclusive(' ').enumerate() {
        let position = &choice["logprobs"]["content"][index];
        let logprobs = match position.is_null() {
            true => Value::Null,
            false => json!({ "content": [position] }),
        };
        send(
            json!({ "index": 0, "delta": { "content": word }, "logprobs": logprobs, "finish_reason": null }),
        );
    }
    send(json!({ "index": 0, "delta": {}, "finish_reason": choice["finish_reason"] }));
    events.push_str("data: [DONE]\n\n");
    events
}

/// A token with so many likely ones, each half as likely as the one before; the token is the first.
fn position(token: &str, top: u64) -> Value {
    let halves = |rank: i32| 0.5_f64.powi(rank + 1).ln();
    let top: Vec<Value> = (0..i32::try_from(top).unwrap_or(20))
        .map(|rank| {
            let name = if rank == 0 {
                token.to_owned()
            } else {
                format!("other {rank}")
            };
            json!({ "token": name, "logprob": halves(rank) })
        })
        .collect();
    json!({ "token": token, "logprob": halves(0), "top_logprobs": top })
}
