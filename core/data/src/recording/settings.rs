//! How the rows of a file were made and marked, as far as the file says so: what two files that are held against each other have to
//! share, or differences between them are partly differences of how they were made.

use std::collections::{BTreeMap, BTreeSet};

use driftgauge_record::value::scalar_text;
use serde_json::Value;

/// Most words for one setting that a message shows.
pub(super) const SHOWN: usize = 3;

/// What a file says of how its rows were made and marked: the words for each setting, several where rows differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, BTreeSet<String>>);

/// A setting that two files do not share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What the tool calls it.
    pub setting: String,
    /// What each of the files says, in words.
    pub sides: [String; 2],
}

impl Settings {
    /// Adds what is said of a setting; of an object every field, as a setting of its own.
    pub(super) fn say(&mut self, setting: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.say(&format!("{setting}.{name}"), value);
                }
            }
            other => {
                let words = self.0.entry(setting.to_owned()).or_default();
                words.insert(word(other));
            }
        }
    }

    /// Adds the settings of generation, but for those that no answer depends on.
    pub(super) fn say_generation(&mut self, settings: &Value) {
        for (name, value) in settings.as_object().into_iter().flatten() {
            if !NO_GENERATION.contains(&name.as_str()) {
                self.say(&format!("generation.{name}"), value);
            }
        }
    }

    /// The settings that are not the same. One that a file says nothing of is another one, unless `of_both` asks for those that both
    /// files know: other tools have other words.
    #[must_use]
    pub fn differences(&self, other: &Self, of_both: bool) -> Vec<Difference> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differ = names.into_iter().filter_map(|name| {
            let (ours, theirs) = (self.0.get(name), other.0.get(name));
            let known = !of_both || (ours.is_some() && theirs.is_some());
            (known && ours != theirs).then(|| Difference {
                setting: name.clone(),
                sides: [ours, theirs].map(shown),
            })
        });
        differ.collect()
    }
}

/// A value without what differs with the way it is written: `0` and `0.0`, `"False"` and `false`, the order of a list.
fn word(value: &Value) -> String {
    if let Value::Array(items) = value {
        // What ends an answer may be white space.
        let item = |item: &Value| scalar_text(item).unwrap_or_else(|| item.to_string());
        let items: BTreeSet<String> = items.iter().map(item).collect();
        let items: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
        return format!("[{}]", items.join(", "));
    }
    let text = scalar_text(value).unwrap_or_else(|| value.to_string());
    let trimmed = text.trim();
    match (trimmed.parse::<f64>(), trimmed) {
        (Ok(number), _) if number.is_finite() => number.to_string(),
        (_, "True" | "False") => trimmed.to_ascii_lowercase(),
        // White space that is all there is says something.
        (_, "") => text,
        _ => trimmed.to_owned(),
    }
}

fn shown(words: Option<&BTreeSet<String>>) -> String {
    let Some(words) = words else {
        return "not said".to_owned();
    };
    let first = words.iter().take(SHOWN);
    let first: Vec<String> = first
        .map(|word| format!("`{}`", super::beginning(word)))
        .collect();
    let more = if words.len() > SHOWN { ", ..." } else { "" };
    first.join(", ") + more
}

/// Settings beside those of generation that no answer depends on: how a server is reached, which numbers are drawn, and the model, which
/// is what differs on purpose.
const NO_GENERATION: [&str; 12] = [
    "model",
    "seed",
    "max_connections",
    "max_retries",
    "timeout",
    "attempt_timeout",
    "batch",
    "batch_size",
    "cache",
    "extra_headers",
    "num_concurrent",
    "device",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(of: &Value) -> Settings {
        let mut settings = Settings::default();
        settings.say("g", of);
        settings
    }

    #[test]
    fn the_same_value_in_other_words_is_the_same() {
        for (one, other) in [
            (json!(0), json!(0.0)),
            (json!("0.0"), json!(0)),
            (json!("False"), json!(false)),
            (json!(["a", "b"]), json!(["b", "a"])),
            (json!("Be brief.\n"), json!("Be brief.")),
        ] {
            assert_eq!(settings(&one), settings(&other), "{one}");
        }
        assert_ne!(settings(&json!([" Q:"])), settings(&json!(["Q:"])));
    }

    #[test]
    fn what_differs_is_told_field_by_field() {
        let ours = settings(&json!({"temperature": 0, "until": ["\n"], "stop": null}));
        let theirs = settings(&json!({"temperature": 0.7, "until": ["\n"], "top_p": 1}));
        let said = |of_both: bool| -> Vec<(String, [String; 2])> {
            let differ = ours.differences(&theirs, of_both);
            let differ = differ.into_iter().map(|one| (one.setting, one.sides));
            differ.collect()
        };
        let temperature = (
            "g.temperature".to_owned(),
            ["`0`", "`0.7`"].map(str::to_owned),
        );
        assert_eq!(said(true), std::slice::from_ref(&temperature));
        let top_p = ("g.top_p".to_owned(), ["not said", "`1`"].map(str::to_owned));
        assert_eq!(said(false), [temperature, top_p]);
        assert!(ours.differences(&ours.clone(), false).is_empty());
    }
}
