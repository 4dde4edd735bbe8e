//! What a message of an answer says, in each of the forms that servers have for it.

use serde::Deserialize;
use serde_json::Value;

/// A message.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ChoiceMessage {
    /// Whose turn it is.
    #[serde(default)]
    role: Value,
    /// A text, or a list of parts.
    #[serde(default)]
    content: Value,
    /// Some servers carry the model's refusal apart from its answers; it is what the model said.
    #[serde(default)]
    refusal: Value,
    /// Reasoning that the server took out of the answer, by the names that servers have for it.
    #[serde(default)]
    reasoning_content: Value,
    #[serde(default)]
    reasoning: Value,
    #[serde(default)]
    thinking: Value,
    #[serde(default)]
    reasoning_details: Value,
    /// What a model asks for instead of an answer. No tools are offered.
    #[serde(default)]
    tool_calls: Value,
    #[serde(default)]
    function_call: Value,
}

/// What a message comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The answer, with the refusal; `None` where the message holds neither.
    pub(crate) text: Option<String>,
    /// The reasoning before it.
    pub(crate) reasoning: Option<String>,
}

impl ChoiceMessage {
    /// # Errors
    /// When it holds something of a kind that is not known here: what was said is not known then.
    pub(crate) fn said(&self) -> Result<Said, String> {
        match &self.role {
            Value::Null => {}
            Value::String(role) if matches!(role.as_str(), "assistant" | "model" | "") => {}
            other => return Err(format!("its `role` is {other}, not `assistant`")),
        }
        let calls = self
            .tool_calls
            .as_array()
            .is_some_and(|all| !all.is_empty());
        if calls || self.function_call.is_object() {
            return Err("it calls a tool, and none was offered".to_owned());
        }
        let mut said = Parts::default();
        match &self.content {
            Value::Null => {}
            Value::String(text) => said.text(text),
            Value::Array(parts) => parts.iter().try_for_each(|part| said.add(part))?,
            other => return Err(format!("its `content` is {}", kind(other))),
        }
        if let Some(refusal) = self.refusal.as_str() {
            said.refusal(refusal);
        }
        let named = [&self.reasoning_content, &self.reasoning, &self.thinking];
        let named = named.into_iter().filter_map(Value::as_str);
        let details = texts(&self.reasoning_details);
        let mut apart = named.map(str::to_owned).chain([details]);
        let apart = apart.find(|text| !text.trim().is_empty());
        let reasoning = apart.unwrap_or(said.reasoning);
        let reasoning = reasoning.trim();
        Ok(Said {
            text: said.text,
            reasoning: (!reasoning.is_empty()).then(|| reasoning.to_owned()),
        })
    }
}

/// The parts of a message so far.
#[derive(Default)]
struct Parts {
    text: Option<String>,
    reasoning: String,
}

impl Parts {
    fn text(&mut self, more: &str) {
        self.text.get_or_insert_default().push_str(more);
    }

    /// A refusal beside a text is said after it; servers also repeat it there.
    fn refusal(&mut self, refusal: &str) {
        let text = self.text.get_or_insert_default();
        if text.trim().is_empty() {
            refusal.clone_into(text);
        } else if !refusal.trim().is_empty() && !text.contains(refusal) {
            text.push_str("\n\n");
            text.push_str(refusal);
        }
    }

    fn add(&mut self, part: &Value) -> Result<(), String> {
        if let Some(text) = part.as_str() {
            self.text(text);
            return Ok(());
        }
        let named = |name: &str| match part[name].as_str() {
            Some(text) => Ok(text),
            None => Err(format!("a part of its `content` has no `{name}`")),
        };
        match part["type"].as_str() {
            Some("text" | "output_text") | None => self.text(named("text")?),
            Some("refusal") => {
                let refusal = named("refusal")?.to_owned();
                self.refusal(&refusal);
            }
            Some(name @ ("thinking" | "reasoning")) => {
                let within = match &part[name] {
                    Value::Null => &part["text"],
                    within => within,
                };
                self.reasoning.push_str(&texts(within));
            }
            Some(other) => {
                return Err(format!(
                    "a part of its `content` is of a kind that is not known here: `{other}`"
                ));
            }
        }
        Ok(())
    }
}

/// A text, or the texts of a list of parts.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().map(|part| match part {
                Value::String(text) => text.as_str(),
                part => {
                    let named = ["text", "summary"];
                    let mut named = named.iter().filter_map(|name| part[*name].as_str());
                    named.next().unwrap_or_default()
                }
            });
            texts.collect()
        }
        _ => String::new(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "an object",
        Value::Number(_) => "a number",
        _ => "no text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(message: Value) -> Result<(Option<String>, Option<String>), String> {
        let message: ChoiceMessage = serde_json::from_value(message).unwrap();
        message.said().map(|said| (said.text, said.reasoning))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn content_is_a_text_or_a_list() {
        assert_eq!(said(json!({ "content": "a" })), Ok((some("a"), None)));
        let parts = json!({ "content": [{ "type": "text", "text": "a " }, { "type": "output_text", "text": "b" }, { "text": "c" }] });
        assert_eq!(said(parts), Ok((some("a bc"), None)));
        assert_eq!(said(json!({ "content": [] })), Ok((None, None)));
        assert_eq!(said(json!({ "content": null })), Ok((None, None)));
        let thinking = json!({ "content": [
            { "type": "thinking", "thinking": [{ "type": "text", "text": "hm" }] }, { "type": "text", "text": "yes" },
        ] });
        assert_eq!(said(thinking), Ok((some("yes"), some("hm"))));
    }

    #[test]
    fn a_kind_that_is_not_known_is_named() {
        let picture = json!({ "content": [{ "type": "image_url", "image_url": {} }] });
        assert!(said(picture).unwrap_err().contains("`image_url`"));
        assert!(
            said(json!({ "content": { "text": "a" } }))
                .unwrap_err()
                .contains("an object")
        );
        let empty = json!({ "content": [{ "type": "text" }] });
        assert!(said(empty).unwrap_err().contains("no `text`"));
    }

    #[test]
    fn a_refusal_is_what_the_model_said() {
        let refused = |content: Value| said(json!({ "content": content, "refusal": "I cannot." }));
        assert_eq!(refused(json!(null)), Ok((some("I cannot."), None)));
        assert_eq!(refused(json!("")), Ok((some("I cannot."), None)));
        assert_eq!(refused(json!([])), Ok((some("I cannot."), None)));
        assert_eq!(refused(json!("I cannot.")), Ok((some("I cannot."), None)));
        assert_eq!(
            refused(json!("Well.")),
            Ok((some("Well.\n\nI cannot."), None))
        );
        let part = json!({ "content": [{ "type": "refusal", "refusal": "no" }] });
        assert_eq!(said(part), Ok((some("no"), None)));
        assert_eq!(
            said(json!({ "content": "a", "refusal": null })),
            Ok((some("a"), None))
        );
    }

    #[test]
    fn reasoning_has_many_names() {
        for name in ["reasoning_content", "reasoning", "thinking"] {
            let message = json!({ "content": "a", name: "\nhm\n" });
            assert_eq!(said(message), Ok((some("a"), some("hm"))), "{name}");
        }
        let details = json!({ "content": "a", "reasoning": null, "reasoning_details": [
            { "type": "reasoning.text", "text": "h" }, { "type": "reasoning.summary", "summary": "m" },
        ] });
        assert_eq!(said(details), Ok((some("a"), some("hm"))));
        // Said twice, it is read once.
        let both =
            json!({ "content": "a", "reasoning": "hm", "reasoning_details": [{ "text": "hm" }] });
        assert_eq!(said(both), Ok((some("a"), some("hm"))));
        let settings = json!({ "content": "a", "reasoning": { "effort": "low" } });
        assert_eq!(said(settings), Ok((some("a"), None)));
    }
}
