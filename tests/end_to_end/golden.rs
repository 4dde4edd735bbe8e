//! Values of transformers, through the whole of `driftgauge run`. Adding a reference is dropping a folder into
//! `tests/golden`: a model with `greedy.json`, and `multiple_choice.json`, `divergence.json` and `top_k.json` where there are any.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Place, tests_dir, text};

/// Nats by which a statistic may differ.
const TOLERANCE: f64 = 1e-4;

#[test]
fn every_golden_folder_matches_transformers() {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(tests_dir().join("golden"))
        .expect("golden references")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("greedy.json").is_file())
        .collect();
    folders.sort();
    assert!(folders.len() >= 2, "there are no references");
    for folder in folders {
        for engine in ["mistralrs", "native", "auto"] {
            Reference::read(&folder).check(engine);
        }
    }
}

struct Reference {
    name: String,
    folder: PathBuf,
    greedy: Value,
    choices: Option<Value>,
    divergence: Option<Value>,
    top_k: Option<Value>,
}

fn read(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// The numbers of likeliest tokens in `top_k.json`.
fn ks(top_k: &Value) -> Vec<String> {
    let ks = top_k["samples"][0]["k"].as_object().expect("an object");
    ks.keys().cloned().collect()
}

impl Reference {
    fn read(folder: &Path) -> Self {
        Self {
            name: folder
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
            folder: folder.to_owned(),
            greedy: read(&folder.join("greedy.json")).expect("greedy.json"),
            choices: read(&folder.join("multiple_choice.json")),
            divergence: read(&folder.join("divergence.json")),
            top_k: read(&folder.join("top_k.json")),
        }
    }

    fn check(&self, engine: &str) {
        let place = Place::new();
        let spec = self.spec(&place, engine);
        let path = place.write("spec.yaml", &spec);
        place.run(&path, "run");
        let samples = place.samples("run");
        let of = |evaluation: &str, model: &str| -> Vec<&Value> {
            samples
                .iter()
                .filter(|s| s["evaluation"] == evaluation && s["model"] == model)
                .collect()
        };
        let golden = list(&self.greedy["samples"]);
        for (index, expected) in golden.iter().enumerate() {
            let sample = of(&format!("e{index}"), "m")[0];
            self.check_completion(index, sample, expected);
        }
        if let Some(top_k) = &self.top_k {
            let results = place.results("run");
            for (index, expected) in list(&top_k["samples"]).iter().enumerate() {
                let evaluation = format!("e{index}");
                let sample = of(&evaluation, "m")[0];
                let (ours, theirs) = (&sample["token_top_logprobs"], &expected["top_logprobs"]);
                self.close(ours, theirs, &format!("{index} likeliest tokens"));
                self.check_top_k(&evaluation, &results, expected);
            }
        }
        if let Some(choices) = &self.choices {
            let items = list(&choices["items"]);
            let scored = of("choices", "m");
            assert_eq!(scored.len(), items.len());
            for (sample, item) in scored.into_iter().zip(items) {
                self.check_choices(sample, item);
            }
        }
        if let Some(divergence) = &self.divergence {
            for (index, expected) in list(&divergence["samples"]).iter().enumerate() {
                let evaluation = format!("e{index}");
                let (own, tuned) = (of(&evaluation, "m")[0], of(&evaluation, "tuned")[0]);
                self.check_divergence(index, own, tuned, expected, &golden[index]);
            }
        }
    }

    /// Conversations differ in their turns, so each one is an evaluation of its own.
    fn spec(&self, place: &Place, engine: &str) -> String {
        let folder = text(&self.folder);
        let mut models = format!("  m: {{path: {folder}, engine: {engine}}}\n");
        let mut evaluated = "[m]";
        let mut kl = "";
        if self.divergence.is_some() {
            self.merge(&place.path("adapter"), &place.path("tuned"));
            writeln!(models, "  tuned: {{path: tuned, engine: {engine}}}").expect("written");
            (evaluated, kl) = ("[m, tuned]", "kl: {reference: m}, ");
        }
        place.write("one.jsonl", "{\"x\": 0}\n");
        let mut metrics = "uncertainty".to_owned();
        let mut defined = String::new();
        for k in self.top_k.iter().flat_map(ks) {
            let top_k = self.top_k.as_ref().expect("it has ks");
            write!(metrics, ", k{k}").expect("written");
            writeln!(
                defined,
                "  k{k}: {{plugin: uncertainty, config: {{top_k: {k}, vocabulary: {}, measures: [top{k}_entropy_renormalised]}}}}",
                top_k["vocabulary"]
            )
            .expect("written");
        }
        let mut evaluations = String::new();
        for (index, sample) in list(&self.greedy["samples"]).iter().enumerate() {
            let turns: Vec<String> = list(&sample["messages"])
                .iter()
                .map(|message| {
                    let role = message["role"].as_str().expect("a role");
                    format!("{{{role}: {}}}", message["content"])
                })
                .collect();
            let (turns, limit) = (turns.join(", "), &self.greedy["max_new_tokens"]);
            writeln!(
                evaluations,
                "  e{index}: {{models: {evaluated}, dataset: one, prompt: [{turns}], generate: {{max_tokens: {limit}}}, {kl}metrics: [{metrics}]}}"
            )
            .expect("written");
        }
        let mut rows = String::new();
        if let Some(choices) = &self.choices {
            for item in list(&choices["items"]) {
                // The reference scores each choice after a space.
                let choices: Vec<String> = list(&item["choices"])
                    .iter()
                    .map(|choice| format!(" {}", choice["choice"].as_str().expect("text")))
                    .collect();
                let row = json!({"prompt": item["prompt"], "choices": choices, "correct": 0});
                writeln!(rows, "{row}").expect("written");
            }
            evaluations.push_str(
                "  choices: {models: [m], dataset: choices, prompt: [{text: \"{{ prompt }}\"}], score: {choices: \"{{ choices }}\", correct: correct}, metrics: [truthfulness]}\n",
            );
        } else {
            rows.push_str("{\"x\": 0}\n");
        }
        place.write("choices.jsonl", &rows);
        format!(
            "version: 1\nname: golden\nmodels:\n{models}datasets:\n  one: {{jsonl: one.jsonl}}\n  choices: {{jsonl: choices.jsonl}}\nmetrics:\n  uncertainty: {{plugin: uncertainty}}\n  truthfulness: {{plugin: truthfulness}}\n{defined}evaluations:\n{evaluations}"
        )
    }

    /// The model with the trained adapter that the divergences were computed with.
    fn merge(&self, adapter: &Path, out: &Path) {
        std::fs::create_dir_all(adapter).expect("a folder");
        for (from, to) in [
            ("adapter_config.json", "adapter_config.json"),
            ("adapter_final.safetensors", "adapter_model.safetensors"),
        ] {
            std::fs::copy(self.folder.join("lora").join(from), adapter.join(to)).expect("a copy");
        }
        driftgauge_lm::merge(&self.folder, adapter, out).expect("merged");
    }

    fn check_completion(&self, index: usize, sample: &Value, expected: &Value) {
        let name = &self.name;
        for tokens in ["prompt_token_ids", "completion_token_ids"] {
            assert_eq!(sample[tokens], expected[tokens], "{name} {index} {tokens}");
        }
        let ended = expected["stopped"] == "eos";
        assert_eq!(sample["ends_with_eos"], ended, "{name} {index}");
        for (ours, theirs) in [
            ("token_logprob", "token_logprob"),
            ("token_top10_entropy", "top10_entropy"),
            ("token_entropy", "full_entropy"),
        ] {
            self.close(&sample[ours], &expected[theirs], &format!("{index} {ours}"));
        }
    }

    /// The metric's numbers for each k, over the one completion of an evaluation.
    fn check_top_k(&self, evaluation: &str, results: &Value, expected: &Value) {
        for (k, expected) in expected["k"].as_object().expect("an object") {
            for (number, theirs) in [
                (format!("k{k}"), "entropy"),
                (format!("k{k}.top{k}_entropy_renormalised"), "renormalised"),
                (format!("k{k}.entropy_lower_bound"), "lower"),
                (format!("k{k}.entropy_upper_bound"), "upper"),
            ] {
                let found = list(&results["metrics"]).iter().find(|found| {
                    found["evaluation"] == evaluation
                        && found["model"] == "m"
                        && found["metric"] == number
                });
                let found = found.unwrap_or_else(|| panic!("no `{number}` in {evaluation}"));
                let what = format!("{evaluation} {number}");
                self.close(&json!([found["value"]]), &json!([expected[theirs]]), &what);
            }
        }
    }

    fn check_choices(&self, sample: &Value, item: &Value) {
        let expected: Vec<Value> = list(&item["choices"])
            .iter()
            .map(|choice| choice["loglikelihood"].clone())
            .collect();
        let place = item["prompt"].to_string();
        self.close(&sample["values"]["choice_loglik"], &json!(expected), &place);
        let lengths: Vec<f64> = list(&item["choices"])
            .iter()
            .map(|choice| list(&choice["token_ids"]).len() as f64)
            .collect();
        assert_eq!(sample["values"]["choice_tokens"], json!(lengths), "{place}");
    }

    fn check_divergence(
        &self,
        index: usize,
        own: &Value,
        tuned: &Value,
        expected: &Value,
        golden: &Value,
    ) {
        let name = &self.name;
        let values = &tuned["values"];
        self.close(&values["kl"], &expected["kl"], &format!("{index} kl"));
        let agree: Vec<f64> = list(&expected["top1_agree"])
            .iter()
            .map(|flag| flag.as_f64().expect("a flag"))
            .collect();
        assert_eq!(values["kl_top1_agree"], json!(agree), "{name} {index}");
        let theirs = &expected["tuned_completion_token_ids"];
        assert_eq!(&tuned["completion_token_ids"], theirs, "{name} {index}");
        let exact = f64::from(u8::from(*theirs == golden["completion_token_ids"]));
        assert_eq!(values["kl_exact_match"], json!([exact]), "{name} {index}");
        let ended = f64::from(u8::from(golden["stopped"] == "eos"));
        assert_eq!(values["kl_eos"], json!([ended]), "{name} {index}");
        // A model is no distance from itself.
        assert!(
            list(&own["values"]["kl"])
                .iter()
                .all(|kl| *kl == json!(0.0)),
            "{name} {index}"
        );
        assert_eq!(
            own["values"]["kl_exact_match"],
            json!([1.0]),
            "{name} {index}"
        );
    }

    #[track_caller]
    fn close(&self, ours: &Value, theirs: &Value, what: &str) {
        let (ours, theirs) = (list(ours), list(theirs));
        assert_eq!(ours.len(), theirs.len(), "{} {what}", self.name);
        for (ours, theirs) in ours.iter().zip(theirs) {
            let (a, b) = (
                ours.as_f64().expect("a number"),
                theirs.as_f64().expect("a number"),
            );
            assert!(
                (a - b).abs() < TOLERANCE,
                "{} {what}: {a} against {b}",
                self.name
            );
        }
    }
}
