//! Configurations of plugins against the schemas that they bring: everything that does not fit at once, in words of a spec. What
//! a schema cannot say, the plugin itself refuses.

use driftgauge_spec::nearest;
use serde_json::{Map, Value};

/// One thing that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The key that is wrong: keys inside of others after a dot, places of a list in brackets. Empty for the configuration itself.
    pub(super) key: String,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) help: String,
}

/// Everything in a configuration that its schema does not allow.
pub(super) fn misfits(schema: &Value, config: &Value) -> Vec<Misfit> {
    let mut walk = Walk {
        root: schema,
        found: Vec::new(),
    };
    walk.value("", schema, config);
    walk.found
}

struct Walk<'a> {
    root: &'a Value,
    found: Vec<Misfit>,
}

impl Walk<'_> {
    fn complain(&mut self, key: &str, message: String, help: String) {
        self.found.push(Misfit {
            key: key.to_owned(),
            message,
            help,
        });
    }

    fn value(&mut self, key: &str, schema: &Value, value: &Value) {
        if let Some(place) = schema["$ref"].as_str().and_then(|at| at.strip_prefix('#')) {
            let root = self.root;
            if let Some(schema) = root.pointer(place) {
                self.value(key, schema, value);
            }
            return;
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(several) = schema[choice].as_array() {
                self.one_of(key, several, value);
            }
        }
        if !self.fits_type(key, schema, value) {
            return;
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            self.unknown_word(key, words, value);
        }
        if let (Some(number), true) = (value.as_f64(), value.is_number()) {
            let below = schema["minimum"].as_f64().is_some_and(|low| number < low);
            let above = schema["maximum"].as_f64().is_some_and(|high| number > high);
            if below || above {
                let end = if below { "minimum" } else { "maximum" };
                let side = if below { "at least" } else { "at most" };
                self.complain(
                    key,
                    format!("{} is {value}", called(key)),
                    format!("write a number of {side} {}", schema[end]),
                );
            }
        }
        match value {
            Value::Object(entries) => self.map(key, schema, entries),
            Value::Array(items) if schema["items"].is_object() => {
                for (number, item) in items.iter().enumerate() {
                    self.value(&format!("{key}[{number}]"), &schema["items"], item);
                }
            }
            _ => {}
        }
    }

    /// Of several schemas one has to fit; where none does, what the first of the value's kind says is told.
    fn one_of(&mut self, key: &str, several: &[Value], value: &Value) {
        let words: Vec<Value> = several
            .iter()
            .filter_map(|one| one.get("const").cloned())
            .collect();
        if words.len() == several.len() && !words.is_empty() {
            if !words.contains(value) {
                self.unknown_word(key, &words, value);
            }
            return;
        }
        let mut least: Option<Vec<Misfit>> = None;
        for one in several {
            let mut walk = Walk {
                root: self.root,
                found: Vec::new(),
            };
            walk.value(key, one, value);
            if walk.found.is_empty() {
                return;
            }
            let deeper = walk.found.iter().any(|misfit| misfit.key != key);
            if least.is_none() || deeper {
                least = Some(walk.found);
            }
        }
        self.found.extend(least.unwrap_or_default());
    }

    fn fits_type(&mut self, key: &str, schema: &Value, value: &Value) -> bool {
        let types: Vec<&str> = match &schema["type"] {
            Value::String(word) => vec![word],
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
        let fits = |word: &str| match word {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_number() && whole,
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => true,
        };
        if types.iter().any(|word| fits(word)) {
            return true;
        }
        let wanted: Vec<&str> = types
            .iter()
            .filter(|word| **word != "null")
            .map(|word| plain(word))
            .collect();
        let wanted = wanted.join(" or ");
        self.complain(
            key,
            format!("{} has to be {wanted}, and is {}", called(key), kind(value)),
            format!("write {wanted}"),
        );
        false
    }

    fn unknown_word(&mut self, key: &str, words: &[Value], value: &Value) {
        let known: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let all: Vec<String> = words
            .iter()
            .map(|word| format!("`{}`", bare(word)))
            .collect();
        let all = format!("it is one of {}", all.join(", "));
        let near = value.as_str().and_then(|word| nearest(word, known));
        self.complain(
            key,
            format!("{} has no value `{}`", called(key), bare(value)),
            match near {
                Some(near) => format!("did you mean `{near}`? {all}"),
                None => all,
            },
        );
    }

    fn map(&mut self, key: &str, schema: &Value, entries: &Map<String, Value>) {
        let inner = |name: &str| match key {
            "" => name.to_owned(),
            key => format!("{key}.{name}"),
        };
        let properties = schema["properties"].as_object();
        for (name, value) in entries {
            let property = properties.and_then(|properties| properties.get(name));
            match (property, &schema["additionalProperties"]) {
                (Some(property), _) => self.value(&inner(name), property, value),
                (None, Value::Bool(false)) => {
                    let known: Vec<&str> = properties
                        .into_iter()
                        .flat_map(Map::keys)
                        .map(String::as_str)
                        .collect();
                    let all: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
                    let all = format!("keys are {}", all.join(", "));
                    let help = match nearest(name, known) {
                        Some(near) => format!("did you mean `{near}`? {all}"),
                        None => all,
                    };
                    self.complain(&inner(name), format!("unknown key `{name}`"), help);
                }
                (None, further) if further.is_object() => self.value(&inner(name), further, value),
                _ => {}
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !entries.contains_key(name) {
                self.complain(
                    key,
                    format!("the key `{name}` is missing"),
                    format!("add `{name}`"),
                );
            }
        }
    }
}

/// What a key is called in a sentence.
fn called(key: &str) -> String {
    match key {
        "" => "the configuration".to_owned(),
        key => format!("`{key}`"),
    }
}

fn bare(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn plain(word: &str) -> &'static str {
    match word {
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        _ => "a map of keys",
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_does_not_fit_is_told_at_once() {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["judge"],
            "properties": {
                "judge": {"type": "string"},
                "match": {"oneOf": [{"const": "exact"}, {"const": "substring"}]},
                "level": {"type": ["number", "null"], "minimum": 0.5},
                "weights": {"type": "array", "items": {"type": "integer"}},
                "errors": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Error"}}
            },
            "$defs": {"Error": {"type": "object", "properties": {"rate": {"type": "number"}}}}
        });
        let config = json!({
            "mach": 1, "match": "exat", "level": 0.1, "weights": [1, 2.5], "errors": {"guard": {"rate": "x"}}
        });
        let found = misfits(&schema, &config);
        let told: Vec<(&str, &str)> = found
            .iter()
            .map(|misfit| (misfit.key.as_str(), misfit.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("mach", "unknown key `mach`"),
                ("match", "`match` has no value `exat`"),
                ("level", "`level` is 0.1"),
                (
                    "weights[1]",
                    "`weights[1]` has to be a whole number, and is a number"
                ),
                (
                    "errors.guard.rate",
                    "`errors.guard.rate` has to be a number, and is a text"
                ),
                ("", "the key `judge` is missing"),
            ]
        );
        assert!(found[1].help.starts_with("did you mean `exact`?"));
        let fits = json!({"judge": "guard", "match": "exact", "level": null, "weights": [1]});
        assert_eq!(misfits(&schema, &fits), []);
    }
}
