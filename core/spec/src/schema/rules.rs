//! What the types do not say by themselves: which keys exclude or need one another, what ids look like, and that a variable may
//! stand for any value. What is written here is what `check` refuses, wherever a schema can say it.

use serde_json::{Map, Value, json};

use crate::diagnostic::WARNINGS;

/// Exactly one of these keys, by the part of the language.
const EXACTLY_ONE: [(&str, &[&str]); 10] = [
    (
        "Model",
        &[
            "path", "hub", "gguf", "pretrain", "finetune", "adapter", "endpoint", "recorded",
        ],
    ),
    (
        "Dataset",
        &["jsonl", "json", "csv", "tsv", "parquet", "hub"],
    ),
    (
        "Recorded",
        &[
            "jsonl",
            "json",
            "csv",
            "tsv",
            "parquet",
            "harmbench",
            "lm_eval",
            "inspect",
            "promptfoo",
            "garak",
            "jailbreakbench",
        ],
    ),
    ("Join", &["jsonl", "json", "csv", "tsv", "parquet"]),
    ("Adapter", &["path", "hub"]),
    ("Metric", &["plugin", "command"]),
    ("finetune", &["max_steps", "epochs"]),
    ("pretrain", &["max_steps", "epochs"]),
    ("Finetune", &["dataset", "mix"]),
    ("Pretrain", &["dataset", "mix"]),
];

/// At least one of these keys.
const AT_LEAST_ONE: [(&str, &[&str]); 1] = [("Gate", &["upper", "lower", "drop", "rise"])];

/// Keys that exclude each other.
const NOT_BOTH: [(&str, &str, &str); 9] = [
    ("Evaluation", "prompt", "conditions"),
    ("Mix", "count", "ratio"),
    ("finetune", "warmup_steps", "warmup_ratio"),
    ("pretrain", "warmup_steps", "warmup_ratio"),
    ("finetune", "eval_fraction", "eval_dataset"),
    ("pretrain", "eval_fraction", "eval_dataset"),
    ("finetune", "lora", "full"),
    ("finetune", "base_quantization", "full"),
    ("Metric", "command", "blake3"),
];

/// A key that needs another one.
const NEEDS: [(&str, &str, &str); 9] = [
    ("Model", "revision", "hub"),
    ("Model", "tokenizer", "gguf"),
    ("Model", "except", "vary"),
    ("Evaluation", "except", "vary"),
    ("Adapter", "revision", "hub"),
    ("Dataset", "revision", "hub"),
    ("Dataset", "split", "hub"),
    ("Dataset", "file", "hub"),
    ("Metric", "files", "command"),
];

/// Lists and maps that may not be empty.
const NOT_EMPTY: [(&str, &str); 5] = [
    ("Evaluation", "models"),
    ("PromptJudge", "prompt"),
    ("Family", "members"),
    ("Metric", "command"),
    ("", "models"),
];

/// Maps whose keys become parts of file names and of names of metrics.
const IDS: [(&str, &str); 5] = [
    ("", "models"),
    ("", "evaluations"),
    ("", "metrics"),
    ("Evaluation", "conditions"),
    ("Evaluation", "judges"),
];

/// Words that are offered where any other text may stand as well.
const OFFERED: [(&str, &str, &[&str]); 2] = [
    (
        "Metric",
        "plugin",
        &["asr", "drift", "truthfulness", "uncertainty"],
    ),
    ("Compare", "baseline", &["own"]),
];

pub(super) fn add(schema: &mut Value) {
    for (part, keys) in EXACTLY_ONE {
        // A training may have both `dataset` and `mix`.
        let how = if keys == ["dataset", "mix"] {
            "anyOf"
        } else {
            "oneOf"
        };
        require(schema, part, how, keys);
    }
    for (part, keys) in AT_LEAST_ONE {
        require(schema, part, "anyOf", keys);
    }
    for (part, one, other) in NOT_BOTH {
        if let Some(part) = object(schema, part) {
            push(part, "allOf", json!({"not": {"required": [one, other]}}));
        }
    }
    for (part, key, needed) in NEEDS {
        if let Some(part) = object(schema, part) {
            let needs = part.entry("dependentRequired").or_insert_with(|| json!({}));
            needs[key] = json!([needed]);
        }
    }
    for (part, key) in NOT_EMPTY {
        if let Some(property) = property(schema, part, key) {
            let list = property.get("type") == Some(&json!("array"));
            property.insert(
                if list { "minItems" } else { "minProperties" }.to_owned(),
                json!(1),
            );
        }
    }
    for (part, key) in IDS {
        if let Some(property) = property(schema, part, key) {
            property.insert(
                "propertyNames".to_owned(),
                json!({"pattern": "^[A-Za-z0-9_-]+$"}),
            );
        }
    }
    if let Some(name) = property(schema, "", "name") {
        name.insert("pattern".to_owned(), json!("^[A-Za-z0-9_.-]+$"));
    }
    for key in ["metric"] {
        if let Some(path) = property(schema, "Gate", key) {
            path.insert("pattern".to_owned(), json!("/"));
        }
    }
    if let Some(codes) = property(schema, "", "allow") {
        codes.insert("items".to_owned(), json!({"enum": WARNINGS}));
    }
    if let Some(models) = property(schema, "Evaluation", "models") {
        or(models, json!({"const": "all"}));
    }
    for (part, key, words) in OFFERED {
        if let Some(property) = property(schema, part, key) {
            or(property, json!({"enum": words}));
        }
    }
    // Both keys of a prefill stand in the turn itself.
    let prefill = schema["$defs"]["Prefill"].clone();
    if let Some(Value::Array(turns)) = schema.pointer_mut("/$defs/Turn/oneOf") {
        for turn in turns {
            if turn["properties"].get("prefill").is_some() {
                *turn = prefill.clone();
            }
        }
    }
    schema["$defs"]["VariableReference"] = json!({
        "description": "A variable of `vars` or of `vary`, whose value takes this place.",
        "type": "string",
        "pattern": "^\\$\\{[^}]+\\}$",
    });
    let of_enums: Vec<String> = enums(schema);
    variables(schema, &of_enums);
}

/// A part of the language: the spec itself, one of its definitions, or the settings of a kind of training.
fn object<'a>(schema: &'a mut Value, part: &str) -> Option<&'a mut Map<String, Value>> {
    let place = match part {
        "" => schema,
        "finetune" | "pretrain" => {
            schema.pointer_mut(&format!("/properties/{part}/additionalProperties"))?
        }
        _ => schema.pointer_mut(&format!("/$defs/{part}"))?,
    };
    place.as_object_mut()
}

fn property<'a>(
    schema: &'a mut Value,
    part: &str,
    key: &str,
) -> Option<&'a mut Map<String, Value>> {
    object(schema, part)?
        .get_mut("properties")?
        .get_mut(key)?
        .as_object_mut()
}

fn push(part: &mut Map<String, Value>, how: &str, rule: Value) {
    if let Value::Array(rules) = part.entry(how).or_insert_with(|| json!([])) {
        rules.push(rule);
    }
}

fn require(schema: &mut Value, part: &str, how: &str, keys: &[&str]) {
    let keys: Vec<Value> = keys.iter().map(|key| json!({"required": [key]})).collect();
    if let Some(part) = object(schema, part) {
        push(part, "allOf", json!({how: keys}));
    }
}

/// Lets another value stand where a property has one.
fn or(property: &mut Map<String, Value>, other: Value) {
    let mut kept = Map::new();
    for key in ["description", "default"] {
        if let Some(value) = property.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    let mut own = std::mem::take(property);
    own.shift_remove("description");
    own.shift_remove("default");
    kept.insert("anyOf".to_owned(), json!([own, other]));
    *property = kept;
}

/// Definitions that list words.
fn enums(schema: &Value) -> Vec<String> {
    let definitions = schema["$defs"].as_object().into_iter().flatten();
    let words = |definition: &Value| {
        let one = |one: &Value| one.get("const").is_some() || one.get("enum").is_some();
        definition.get("enum").is_some()
            || definition["oneOf"]
                .as_array()
                .is_some_and(|all| all.iter().all(one))
    };
    definitions
        .filter(|(_, definition)| words(definition))
        .map(|(name, _)| format!("#/$defs/{name}"))
        .collect()
}

/// Wherever no text can stand, a variable can.
fn variables(schema: &mut Value, enums: &[String]) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| variables(item, enums)),
        Value::Object(parts) => {
            for (name, part) in parts.iter_mut() {
                variables(part, enums);
                if !["properties", "$defs"].contains(&name.as_str()) {
                    continue;
                }
                if name == "properties"
                    && let Value::Object(properties) = part
                {
                    for property in properties.values_mut() {
                        if let Value::Object(property) = property
                            && takes_no_text(property, enums)
                        {
                            or(property, json!({"$ref": "#/$defs/VariableReference"}));
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

fn takes_no_text(property: &Map<String, Value>, enums: &[String]) -> bool {
    let of_enum = |one: &Value| {
        one["$ref"]
            .as_str()
            .is_some_and(|at| enums.iter().any(|name| name == at))
    };
    if of_enum(&Value::Object(property.clone())) {
        return true;
    }
    if let Some(Value::Array(several)) = property.get("anyOf") {
        return several.iter().any(of_enum);
    }
    if property.contains_key("const") {
        return false;
    }
    let scalar = |word: &Value| {
        ["integer", "number", "boolean"]
            .iter()
            .any(|known| word == known)
    };
    match property.get("type") {
        Some(Value::Array(words)) => words.iter().any(scalar) && !words.contains(&json!("string")),
        Some(word) => scalar(word),
        None => false,
    }
}
