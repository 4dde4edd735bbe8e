//! Specs with the data that they name: what `check` says of them, sweeps from plan to report, and forms for programs.

use std::path::PathBuf;

use serde_json::Value;

use crate::planned::Planned;
use crate::support::{Place, tests_dir, text};

/// Specs beside their data in a folder; each says what stands beside it. Adding a test is dropping a file.
#[test]
fn data_is_looked_at() {
    let folder = tests_dir().join("fixtures/specs/files");
    let mut specs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("specs")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    specs.sort();
    assert!(specs.len() > 20, "{}", specs.len());
    let place = Place::new();
    let mut wrong = Vec::new();
    for path in specs {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let mut command = place.command(&["check", &name]);
        let output = command
            .current_dir(&folder)
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = path.with_extension("expected.txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &said).expect("written");
        }
        let refused = said.contains("error[");
        assert_eq!(
            output.status.code(),
            Some(if refused { 2 } else { 0 }),
            "{name}: {said}"
        );
        assert!(refused || said.contains("warning["), "{name} says nothing");
        if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{name} says\n{said}"));
        }
        // What is only worth a warning is refused on demand.
        let denied = place.command(&["check", &name, "--deny", "warnings"]);
        let code = { denied }
            .current_dir(&folder)
            .output()
            .expect("the binary starts")
            .status
            .code();
        assert_eq!(code, Some(2), "{name} is let pass");
    }
    assert!(
        wrong.is_empty(),
        "UPDATE_EXPECTED=1 rewrites what stands beside them\n{}",
        wrong.join("\n")
    );
}

const SWEEP: &str = r#"
version: 1
name: sweep
seed: 1
vars: {lr: 1.0e-3}
models:
  base: {pretrain: {settings: tiny, dataset: chat, messages: [{user: "{{ q }}"}, {assistant: "{{ a }}"}]}}
  tuned:
    vary: {lr: [1.0e-3, 5.0e-3], n: [4, 8], seed: [1, 2]}
    except: [{lr: 5.0e-3, n: 8}]
    finetune: {base: base, settings: lora, dataset: chat, limit: "${n}", messages: [{user: "{{ q }}"}, {assistant: "{{ a }}"}]}
datasets:
  chat: {jsonl: data/chat.jsonl, id: id}
  asks: {jsonl: data/asks.jsonl, id: id, limit: 4}
pretrain:
  tiny:
    architecture: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 300}
    learning_rate: 1.0e-3
    max_steps: 2
finetune:
  lora: {lora: {rank: 4}, learning_rate: "${lr}", max_steps: 2, per_device_batch_size: 2}
metrics: {asr: {plugin: asr}}
evaluations:
  harm:
    vary: {T: [0, 0.7]}
    models: all
    dataset: asks
    prompt: [{user: "{{ q }}"}]
    generate: {max_tokens: 4, temperature: "${T}", samples: 2}
    judges: {refusal: {refusal_strings: gcg}}
    metrics: [asr]
compare: {baseline: own, family: [harm/asr]}
gates:
  - {metric: harm@T=0/asr, model: "tuned@n=4,seed=1", upper: 1.0}
"#;

fn sweep(place: &Place, spec: &str) -> PathBuf {
    place.write_data(&["chat.jsonl", "asks.jsonl"]);
    place.write("spec.yaml", spec)
}

#[test]
fn a_sweep_is_planned_and_run() {
    let place = Place::new();
    let spec = sweep(&place, SWEEP);
    let plan = Planned::of(&place, &spec);
    // 2 x 2 x 2 less the two seeds that `except` leaves out.
    assert_eq!(
        plan.ids("finetune"),
        [
            "finetune tuned@lr=1.0e-3,n=4,seed=1",
            "finetune tuned@lr=1.0e-3,n=4,seed=2",
            "finetune tuned@lr=1.0e-3,n=8,seed=1",
            "finetune tuned@lr=1.0e-3,n=8,seed=2",
            "finetune tuned@lr=5.0e-3,n=4,seed=1",
            "finetune tuned@lr=5.0e-3,n=4,seed=2",
        ]
    );
    // The base and six cells, at two temperatures; the greedy ones have one sample a prompt.
    assert_eq!(plan.ids("generate").len(), 14);
    let items = |id: &str| plan.node(id)["items"].as_u64();
    assert_eq!(items("generate harm@T=0/default/base"), Some(4));
    assert_eq!(items("generate harm@T=0.7/default/base"), Some(8));
    let learning_rate = |id: &str| plan.node(id)["params"]["settings"]["learning_rate"].as_f64();
    assert_eq!(
        learning_rate("finetune tuned@lr=5.0e-3,n=4,seed=1"),
        Some(5.0e-3)
    );
    // A cell is the model that a spec without sweeps makes.
    let by_hand = SWEEP
        .replace("    vary: {lr: [1.0e-3, 5.0e-3], n: [4, 8], seed: [1, 2]}\n    except: [{lr: 5.0e-3, n: 8}]\n", "")
        .replace("limit: \"${n}\",", "limit: 4, seed: 2,")
        .replace("learning_rate: \"${lr}\"", "learning_rate: 5.0e-3")
        .replace("\"tuned@n=4,seed=1\"", "tuned");
    let alone = place.write("alone.yaml", &by_hand);
    let alone = Planned::of(&place, &alone);
    assert_eq!(
        plan.node("merge tuned@lr=5.0e-3,n=4,seed=2")["key"],
        alone.node("merge tuned")["key"]
    );

    let run = |spec: &std::path::Path, out: &str| -> Value {
        let output = place.output(&["run", text(spec), "--out", out, "--format", "json"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Answers of four tokens may leave a gate without anything to judge.
        assert!(matches!(output.status.code(), Some(0 | 100)), "{said}");
        serde_json::from_slice(&output.stdout).expect("a summary")
    };
    assert_eq!(run(&spec, "run")["failed"], 0);
    let results = place.results("run");
    let gates = results["gates"].as_array().expect("gates");
    // `n=4` and `seed=1`, at both learning rates.
    assert_eq!(gates.len(), 2, "{gates:?}");
    let trainings = results["training_comparisons"].as_array().expect("recipes");
    assert!(!trainings.is_empty());
    // The report has a line along each axis of numbers, pooled over seeds.
    let output = place.output(&["report", "run", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let axes = report["axes"].as_array().expect("axes");
    let titles: Vec<&str> = axes
        .iter()
        .filter_map(|axis| axis["title"].as_str())
        .collect();
    assert_eq!(
        titles,
        // Greedy answers of so small a model are empty, and have no rate: there is no line along T.
        ["lr", "n"].map(|axis| format!("harm: Attack success rate along {axis}")),
        "{axes:#?}"
    );
    let lr = &axes[0]["lines"][0];
    assert_eq!(lr["name"], "tuned@T=0.7,n=4");
    let at = |point: usize, key: &str| lr["points"][point][key].clone();
    assert_eq!(
        (at(0, "at"), at(1, "at")),
        ("1.0e-3".into(), "5.0e-3".into())
    );
    assert_eq!((at(0, "seeds"), at(1, "seeds")), (2.into(), 2.into()));
    let rate = |model: &str| {
        let metrics = results["metrics"].as_array().expect("metrics");
        let found = metrics.iter().find(|found| {
            found["evaluation"] == "harm@T=0.7"
                && found["model"] == model
                && found["metric"] == "asr"
        });
        found.expect(model)["value"].as_f64().expect("a rate")
    };
    let seeds = ["tuned@lr=5.0e-3,n=4,seed=1", "tuned@lr=5.0e-3,n=4,seed=2"].map(rate);
    let pooled = f64::midpoint(seeds[0], seeds[1]);
    assert!((at(1, "value").as_f64().expect("a mean") - pooled).abs() < 1e-12);
    // The copy in the run folder runs again, and finds everything done.
    let copy = place.path("run/spec.yaml");
    let again = run(&copy, "again");
    assert_eq!(
        (again["ran"].as_u64(), again["failed"].as_u64()),
        (Some(0), Some(0))
    );
}

#[test]
fn diagnostics_have_forms_for_programs() {
    let place = Place::new();
    let spec = sweep(&place, &SWEEP.replace("rank: 4", "rnk: 4"));
    for command in ["check", "plan", "run"] {
        let said = |form: &str| {
            let mut arguments = vec![command, text(&spec), "--format", form];
            if command == "run" {
                arguments.extend(["--out", "run"]);
            }
            let output = place.output(&arguments);
            assert_eq!(output.status.code(), Some(2), "{command}");
            String::from_utf8(output.stdout).expect("UTF-8")
        };
        let json: Value = serde_json::from_str(&said("json")).expect("JSON");
        assert_eq!(json[0]["code"], "unknown-key");
        assert_eq!(
            json[0]["labels"][0]["end_column"].as_u64(),
            json[0]["labels"][0]["column"].as_u64().map(|at| at + 3)
        );
        let sarif: Value = serde_json::from_str(&said("sarif")).expect("SARIF");
        assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "unknown-key");
        let github = said("github");
        assert!(github.starts_with("::error file="), "{github}");
    }
    assert!(!place.path("run").exists());
}

#[test]
fn what_nothing_uses_is_not_read() {
    let place = Place::new();
    let spec = SWEEP.replace(
        "datasets:\n",
        "datasets:\n  gone: {jsonl: nowhere.jsonl}\n  far: {hub: nobody/nothing}\n",
    );
    let spec = sweep(
        &place,
        &spec.replace(
            "models:\n  base",
            "models:\n  elsewhere: {path: nowhere}\n  base",
        ),
    );
    // `all` asks every model, so this one is named by nothing only without it.
    let text_of = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace("models: all", "models: [base, tuned]");
    let spec = place.write("spec.yaml", &text_of);
    let output = place.output(&["plan", text(&spec)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("warning[unused]").count(), 3, "{said}");
    let plan = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        !plan.contains("gone") && !plan.contains("elsewhere"),
        "{plan}"
    );
}

#[test]
fn an_answer_goes_on_behind_its_prefill() {
    let place = Place::new();
    let asked = r#"
evaluations:
  plain: {models: [base], dataset: asks, prompt: [{user: "{{ q }}"}], generate: {max_tokens: 4}, metrics: [uncertainty]}
  begun:
    vary: {k: [0, 2]}
    models: [base]
    dataset: asks
    prompt: [{user: "{{ q }}"}, {prefill: "It is {{ a }}.", tokens: "${k}"}]
    generate: {max_tokens: 4}
    metrics: [uncertainty]
  whole: {models: [base], dataset: asks, prompt: [{user: "{{ q }}"}, {prefill: "It is"}], generate: {max_tokens: 4}, metrics: [uncertainty]}
"#;
    let (before, _) = SWEEP.split_once("evaluations:").expect("evaluations");
    let spec = before
        .replace("metrics: {asr: {plugin: asr}}", "metrics: {uncertainty: {plugin: uncertainty}}")
        .replace("    vary: {lr: [1.0e-3, 5.0e-3], n: [4, 8], seed: [1, 2]}\n    except: [{lr: 5.0e-3, n: 8}]\n", "")
        .replace("limit: \"${n}\",", "limit: 4,");
    let spec = sweep(&place, &(spec + asked.trim_start()));
    place.run(&spec, "run");
    let samples = place.samples("run");
    let of = |evaluation: &str| -> Vec<&Value> {
        let samples = samples.iter();
        samples
            .filter(|sample| sample["evaluation"] == evaluation && sample["model"] == "base")
            .collect()
    };
    let tokens = |sample: &Value| -> Vec<u64> {
        let ids = sample["prompt_token_ids"].as_array().expect("ids");
        ids.iter().filter_map(Value::as_u64).collect()
    };
    let plain = of("plain");
    assert_eq!(plain.len(), 4);
    for (number, sample) in plain.iter().enumerate() {
        let none = of("begun@k=0")[number];
        assert_eq!(none["completion"], sample["completion"]);
        assert_eq!(tokens(none), tokens(sample));
        let two = of("begun@k=2")[number];
        assert_eq!(tokens(two).len(), tokens(sample).len() + 2);
        assert!(tokens(two).starts_with(&tokens(sample)));
        let messages = two["messages"].as_array().expect("messages");
        let last = messages.last().expect("a prefill");
        assert_eq!(last["role"], "prefill");
        let given = last["content"].as_str().expect("a text");
        assert!(
            "It is 42.".starts_with(given) && !given.is_empty(),
            "{given}"
        );
        let answer = two["completion"].as_str().expect("a text");
        assert!(answer.starts_with(given), "{answer}");
        assert_eq!(
            two["completion_token_ids"].as_array().map(Vec::len),
            Some(4)
        );
        let whole = of("whole")[number]["completion"]
            .as_str()
            .expect("a text")
            .to_owned();
        assert!(whole.starts_with("It is"), "{whole}");
    }
}

#[test]
fn studies_are_checked_and_planned() {
    let place = Place::new();
    let folder = tests_dir().join("../specs/studies");
    let mut studies = 0;
    for entry in std::fs::read_dir(folder).expect("studies").flatten() {
        let path = entry.path();
        for command in ["check", "plan"] {
            let output = place.output(&[command, text(&path), "--deny", "warnings"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{command} {}: {said}",
                path.display()
            );
        }
        studies += 1;
    }
    assert!(studies >= 10, "{studies}");
}
