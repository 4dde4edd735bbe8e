//! What a report says of the experiment, read leniently from `resolved.json`.
//!
//! The file grows with the spec; a report names what it knows and passes over the rest.

use serde_json::Value;

use crate::model::SampleMode;

/// The experiment as far as a report speaks of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Experiment {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) seed: Option<u64>,
    pub(crate) baseline: Option<String>,
    pub(crate) models: Vec<Model>,
    pub(crate) datasets: Vec<Dataset>,
    pub(crate) evaluations: Vec<Evaluation>,
    pub(crate) samples: SampleMode,
}

/// A model of the spec.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) base: Option<String>,
    /// Whether its completions were made elsewhere.
    pub(crate) recorded: bool,
}

/// A dataset of the spec.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dataset {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) rows: Option<u64>,
    pub(crate) digest: Option<String>,
}

/// An evaluation of the spec.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evaluation {
    pub(crate) id: String,
    pub(crate) models: Vec<String>,
    pub(crate) dataset: String,
    pub(crate) conditions: Vec<String>,
    pub(crate) judges: Vec<String>,
    pub(crate) metrics: Vec<String>,
    pub(crate) generation: String,
    /// The evaluation whose over-refusal this one measures.
    pub(crate) over_refusal_of: Option<String>,
}

impl Experiment {
    /// Takes what it recognises.
    pub(crate) fn from_value(value: &Value) -> Self {
        let models = entries(&value["models"]);
        let datasets = entries(&value["datasets"]);
        let evaluations = entries(&value["evaluations"]);
        let samples = first_text(&[&value["report"]["samples"], &value["report_samples"]]);
        Self {
            name: text(&value["name"]),
            title: first_text(&[&value["title"], &value["report"]["title"]]),
            description: text(&value["description"]),
            seed: value["seed"].as_u64(),
            baseline: Some(first_text(&[
                &value["baseline"],
                &value["compare"]["baseline"],
            ]))
            .filter(|id| !id.is_empty()),
            models: models.map(|(id, value)| Model::of(id, value)).collect(),
            datasets: datasets.map(|(id, value)| Dataset::of(id, value)).collect(),
            evaluations: evaluations
                .map(|(id, value)| Evaluation::of(id, value))
                .collect(),
            samples: match samples.as_str() {
                "full" => SampleMode::Full,
                "redacted" => SampleMode::Redacted,
                // Anything else, a typing mistake included, hides.
                _ => SampleMode::Hidden,
            },
        }
    }

    /// The evaluation with that id.
    pub(crate) fn evaluation(&self, id: &str) -> Option<&Evaluation> {
        self.evaluations.iter().find(|entry| entry.id == id)
    }
}

impl Model {
    fn of(id: String, value: &Value) -> Self {
        let source = &value["source"];
        let base = first_text(&[&value["base"], &source["base"], &source["finetune"]["base"]]);
        Self {
            id,
            description: without_folders(&first_text(&[&value["description"], source])),
            recorded: source["recorded"].is_array(),
            base: Some(base).filter(|base| !base.is_empty()),
        }
    }
}

impl Dataset {
    fn of(id: String, value: &Value) -> Self {
        let rows = [&value["rows_selected"], &value["rows"]];
        Self {
            id,
            description: without_folders(&first_text(&[&value["description"], &value["source"]])),
            rows: rows.iter().find_map(|value| value.as_u64()),
            digest: Some(text(&value["digest"])).filter(|digest| !digest.is_empty()),
        }
    }
}

impl Evaluation {
    fn of(id: String, value: &Value) -> Self {
        Self {
            id,
            models: names(&value["models"]),
            dataset: text(&value["dataset"]),
            conditions: names(&value["conditions"]),
            judges: names(&value["judges"]),
            metrics: names(&value["metrics"]),
            generation: generation(&value["generate"]),
            over_refusal_of: value["over_refusal_of"].as_str().map(str::to_owned),
        }
    }
}

/// `at most 64 tokens, greedy, 3 completions per prompt`.
fn generation(value: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(tokens) = value["max_tokens"].as_u64() {
        parts.push(format!("at most {tokens} tokens"));
    }
    let number = |name: &str| value[name].as_f64().or(value["sampling"][name].as_f64());
    match number("temperature") {
        Some(0.0) => parts.push("greedy".to_owned()),
        Some(temperature) => {
            parts.push(format!("temperature {temperature}"));
            for (name, word) in [("top_p", "top-p"), ("top_k", "top-k"), ("min_p", "min-p")] {
                if let Some(value) = number(name) {
                    parts.push(format!("{word} {value}"));
                }
            }
        }
        None => {}
    }
    match value["samples"].as_u64() {
        Some(samples) if samples > 1 => parts.push(format!("{samples} completions per prompt")),
        _ => {}
    }
    parts.join(", ")
}

/// Entries of a list of objects with an `id`, or of an object by id.
fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    let list = value.as_array().into_iter().flatten();
    let object = value.as_object().into_iter().flatten();
    list.map(|entry| (text(&entry["id"]), entry))
        .chain(object.map(|(id, entry)| (id.clone(), entry)))
}

/// Names in a list (of strings or of objects with an `id`), or the keys of an object.
fn names(value: &Value) -> Vec<String> {
    if let Some(list) = value.as_array() {
        let name = |entry: &Value| first_text(&[entry, &entry["id"]]);
        return list.iter().map(name).collect();
    }
    let keys = value.as_object().into_iter().flatten();
    keys.map(|(key, _)| key.clone()).collect()
}

/// Absolute paths cut down to the names of their files: the rest says where one machine keeps them.
fn without_folders(text: &str) -> String {
    let short = |word: &str| {
        let start = word.find('/').unwrap_or(0);
        let (before, path) = word.split_at(start);
        match path.rsplit_once('/') {
            Some((folder, name)) if matches!(before, "" | "(" | "`") && folder.contains('/') => {
                format!("{before}{name}")
            }
            _ => word.to_owned(),
        }
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn first_text(candidates: &[&Value]) -> String {
    let mut found = candidates.iter().filter_map(|value| value.as_str());
    found.find(|text| !text.is_empty()).unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_objects_read_alike() {
        let list = json!({"models": [{"id": "base", "description": "a"}], "baseline": "base",
            "report": {"samples": "full"}});
        let object = json!({"models": {"base": {"description": "a"}}, "compare": {"baseline": "base"},
            "report_samples": "full"});
        for value in [list, object] {
            let experiment = Experiment::from_value(&value);
            assert_eq!(experiment.models[0].id, "base");
            assert_eq!(experiment.models[0].description, "a");
            assert_eq!(experiment.baseline.as_deref(), Some("base"));
            assert_eq!(experiment.samples, SampleMode::Full);
        }
    }

    #[test]
    fn nothing_known_means_hidden() {
        let experiment = Experiment::from_value(&Value::Null);
        assert_eq!(experiment.samples, SampleMode::Hidden);
        assert_eq!(
            Experiment::from_value(&json!({"report": {"samples": "fulll"}})).samples,
            SampleMode::Hidden
        );
    }

    #[test]
    fn folders_of_a_machine_are_left_out() {
        assert_eq!(
            without_folders("x and/or y (recorded in /a/b/one.csv and /c/d/two.parquet)"),
            "x and/or y (recorded in one.csv and two.parquet)"
        );
        assert_eq!(without_folders("data/demo.jsonl"), "data/demo.jsonl");
    }

    #[test]
    fn generation_reads_as_words() {
        let value =
            json!({"max_tokens": 64, "sampling": {"temperature": 0.7, "top_p": 0.9}, "samples": 3});
        assert_eq!(
            generation(&value),
            "at most 64 tokens, temperature 0.7, top-p 0.9, 3 completions per prompt"
        );
    }
}
