//! Models behind a server, as subject and as judge, through the whole of `driftgauge run`.

use std::path::PathBuf;

use driftgauge_tests::server::Server;
use serde_json::{Value, json};

use crate::support::{Place, files_with, tests_dir, text, wait_until};

/// The key of these tests: nothing that a run leaves behind may hold it.
const KEY: &str = "sk-test-0123456789abcdef";

fn spec(place: &Place, server: &Server, retries: u32) -> PathBuf {
    let questions: String = (0..6)
        .map(|index| format!("{{\"id\": \"q{index}\", \"q\": \"question {index}\"}}\n"))
        .collect();
    place.write("questions.jsonl", &questions);
    let endpoint = |model: &str| {
        format!(
            "{{base_url: \"{}/v1\", model: {model}, api_key_env: STAND_IN_KEY, concurrency: 2, timeout: 20, retries: {retries}}}",
            server.url()
        )
    };
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: served
models:
  subject: {{endpoint: {subject}}}
  judge: {{endpoint: {judge}}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  asr: {{plugin: asr}}
  uncertainty: {{plugin: uncertainty}}
evaluations:
  ask:
    models: [subject]
    dataset: questions
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 8}}
    judges:
      word: {{prompt: {{model: judge, prompt: [{{user: \"JUDGE {{{{ completion }}}}\"}}], parse: {{unsafe: complied, safe: refused}}}}}}
    metrics: [asr, uncertainty]
",
            subject = endpoint("subject"),
            judge = endpoint("judge"),
        ),
    )
}

/// Runs with the key in the environment and gives exit code, standard output and standard error.
fn run(place: &Place, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = place.command(arguments);
    for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    let output = command
        .env("STAND_IN_KEY", KEY)
        .output()
        .expect("the binary starts");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn sample<'a>(samples: &'a [Value], id: &str) -> &'a Value {
    samples
        .iter()
        .find(|sample| sample["sample_id"] == id)
        .expect("a sample")
}

#[test]
fn a_server_is_subject_and_judge() {
    let server = Server::openai(&json!({ "key": KEY, "rules": [
        { "when": "JUDGE You said: question 1", "then": ["429:0", "ok"], "say": "complied, as asked" },
        { "when": "JUDGE", "then": ["ok"], "say": "refused" },
        { "when": "question 2", "then": ["500", "ok"] },
    ]}));
    let place = Place::new();
    let spec = spec(&place, &server, 2);
    let (code, _, said) = run(&place, &["run", text(&spec), "--out", "run"]);
    assert_eq!(code, Some(0), "{said}");
    let samples = place.samples("run");
    assert_eq!(samples.len(), 6);
    let first = sample(&samples, "q0");
    assert_eq!(first["completion"], "You said: question 0");
    assert_eq!(first["token_logprob"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        first["token_entropy"],
        json!([]),
        "the whole distribution is not known"
    );
    assert_eq!(first["verdicts"]["word"]["label"], "safe");
    assert_eq!(
        sample(&samples, "q1")["verdicts"]["word"]["label"],
        "unsafe"
    );
    let results: Value = serde_json::from_slice(&place.read("run/results.json")).expect("results");
    let rate = results["metrics"]
        .as_array()
        .and_then(|metrics| {
            metrics
                .iter()
                .find(|m| m["metric"] == "asr/word" || m["metric"] == "asr")
        })
        .unwrap_or_else(|| panic!("{results:#}"));
    assert!(
        (rate["value"].as_f64().expect("a number") - 1.0 / 6.0).abs() < 1e-9,
        "{rate}"
    );
    // The report says what is not known of these weights.
    let report = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    assert!(report.contains("cannot be pinned") && report.contains("stand-in-2026"));
    // The key was sent, and is nowhere else.
    let requests = server.requests();
    assert!(
        requests
            .iter()
            .all(|request| request["authorization"] == format!("Bearer {KEY}"))
    );
    assert_eq!(files_with(place.dir.path(), KEY), Vec::<PathBuf>::new());
    assert!(!said.contains(KEY));
    // Everything is in the store now: nothing is asked again, no socket is needed, and how fast a server is asked is no
    // part of what it said.
    let asked = requests.len();
    let slower = std::fs::read_to_string(&spec).expect("the spec").replace(
        "concurrency: 2, timeout: 20",
        "concurrency: 1, timeout: 9, requests_per_minute: 6",
    );
    let slower = place.write("slower.yaml", &slower);
    let (code, _, said) = run(
        &place,
        &["run", text(&slower), "--out", "again", "--offline"],
    );
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(server.requests().len(), asked);
    assert_eq!(
        place.read("run/results.json"),
        place.read("again/results.json")
    );
    // Another model of the same server is another model.
    let other = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace("model: subject, api", "model: subject-2, api");
    let other = place.write("other.yaml", &other);
    let (_, plan, _) = run(&place, &["plan", text(&other)]);
    assert!(plan.contains("4 to run"), "{plan}");
}

#[test]
fn unanswered_requests_are_errors_and_only_they_are_asked_again() {
    let server = Server::openai(&json!({ "key": KEY, "rules": [
        { "when": "JUDGE You said: question 4", "then": ["500", "ok"], "say": "complied" },
        { "when": "JUDGE", "then": ["ok"], "say": "complied" },
        { "when": "question 3", "then": ["500", "ok"] },
    ]}));
    let place = Place::new();
    let spec = spec(&place, &server, 0);
    let (code, out, said) = run(
        &place,
        &["run", text(&spec), "--out", "run", "--format", "json"],
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 of 6 requests got no answer"), "{said}");
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(summary["unanswered"], 2, "{summary}");
    let samples = place.samples("run");
    let lost = sample(&samples, "q3");
    assert_eq!(lost["finish_reason"], "error");
    assert!(lost["error"].as_str().expect("why").contains("500"));
    assert_eq!(lost["verdicts"]["word"]["label"], "error");
    assert_eq!(sample(&samples, "q4")["verdicts"]["word"]["label"], "error");
    let rate = |out: &str| {
        let results: Value =
            serde_json::from_slice(&place.read(&format!("{out}/results.json"))).expect("results");
        let metrics = results["metrics"].as_array().expect("metrics").clone();
        let asr = metrics
            .into_iter()
            .find(|m| m["metric"] == "asr/word" || m["metric"] == "asr")
            .expect("a rate");
        (asr["value"].clone(), asr["n"].clone())
    };
    assert_eq!(
        rate("run"),
        (json!(1.0), json!(4)),
        "errors are no safe answers"
    );
    // `plan` says so, and `--offline` refuses to leave it at that.
    let (_, plan, _) = run(&place, &["plan", text(&spec)]);
    assert!(
        plan.contains("1 answer is missing and asked for again"),
        "{plan}"
    );
    let (code, _, said) = run(&place, &["run", text(&spec), "--out", "run", "--offline"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`--offline` opens no socket"), "{said}");
    let before = server.requests().len();
    let (code, out, said) = run(
        &place,
        &["run", text(&spec), "--out", "run", "--format", "json"],
    );
    assert_eq!(code, Some(0), "{said}");
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(summary["unanswered"], 0, "{said}");
    // The lost answer, its verdict, and the lost verdict.
    assert_eq!(server.requests().len() - before, 3);
    assert_eq!(rate("run"), (json!(1.0), json!(6)));
    assert_eq!(
        sample(&place.samples("run"), "q3")["completion"],
        "You said: question 3"
    );
}

#[test]
fn a_wrong_key_fails_the_node_and_is_not_shown() {
    let server = Server::openai(&json!({ "key": "another key" }));
    let place = Place::new();
    let spec = spec(&place, &server, 0);
    let (code, _, said) = run(&place, &["run", text(&spec), "--out", "run"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("401") && said.contains("`api_key_env`"),
        "{said}"
    );
    assert!(said.contains("[key]") && !said.contains(KEY), "{said}");
    assert_eq!(files_with(place.dir.path(), KEY), Vec::<PathBuf>::new());
}

#[test]
fn a_server_that_answers_nothing_fails_the_node_alone() {
    let server = Server::openai(&json!({ "key": KEY, "rules": [{ "when": "", "then": ["503"] }] }));
    let place = Place::new();
    let spec = spec(&place, &server, 0);
    let (code, _, said) = run(&place, &["run", text(&spec), "--out", "run"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("not one of 6 requests was answered"),
        "{said}"
    );
    assert!(said.contains("skipped metric"), "{said}");
}

/// The spec with little patience.
fn impatient(place: &Place, server: &Server) -> PathBuf {
    let spec = spec(place, server, 0);
    let text = std::fs::read_to_string(spec).expect("the spec");
    place.write("spec.yaml", &text.replace("timeout: 20", "timeout: 1"))
}

#[test]
fn a_server_that_hangs_fails_the_node_and_says_what_to_change() {
    let server =
        Server::openai(&json!({ "key": KEY, "rules": [{ "when": "", "then": ["hang"] }] }));
    let place = Place::new();
    let spec = impatient(&place, &server);
    let (code, _, said) = run(&place, &["run", text(&spec), "--out", "run"]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "FAILED  generate ask/default/subject",
        "gave no answer within the `timeout` of 1 s",
        &server.url(),
        "hint: ",
        "skipped metric ask/asr/subject",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    // Nothing was finished: the next run has the same to do.
    let (_, plan, _) = run(&place, &["plan", text(&spec), "--format", "json"]);
    let plan: Value = serde_json::from_str(&plan).expect("a plan");
    let nodes = plan["nodes"].as_array().expect("nodes");
    let status = |id: &str| {
        let node = nodes.iter().find(|node| node["id"] == id);
        node.expect("a node")["status"].to_string()
    };
    assert_eq!(
        status("generate ask/default/subject"),
        "\"run\"",
        "{plan:#}"
    );
}

#[test]
fn a_judge_that_hangs_gives_no_verdict_and_is_asked_again() {
    let server = Server::openai(&json!({ "key": KEY, "rules": [
        { "when": "JUDGE You said: question 5", "then": ["hang", "ok"], "say": "refused" },
        { "when": "JUDGE You said: question 2", "then": ["ok"], "say": "as you like it" },
        { "when": "JUDGE", "then": ["ok"], "say": "refused" },
    ]}));
    let place = Place::new();
    let spec = impatient(&place, &server);
    let (code, _, said) = run(&place, &["run", text(&spec), "--out", "run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 of 6 requests got no answer"), "{said}");
    let verdict = |id: &str| sample(&place.samples("run"), id)["verdicts"]["word"].clone();
    let lost = verdict("q5");
    assert_eq!(lost["label"], "error");
    let why = lost["output"].as_str().expect("a reason");
    assert!(why.contains("`timeout` of 1 s"), "{why}");
    // What is no verdict is neither safe nor unsafe.
    assert_eq!(verdict("q2")["label"], "unparsable");
    assert_eq!(verdict("q2")["output"], "as you like it");
    assert_eq!(verdict("q0")["label"], "safe");
    let before = server.requests().len();
    let (code, _, said) = run(&place, &["run", text(&spec), "--out", "run"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(server.requests().len() - before, 1);
    assert_eq!(verdict("q5")["label"], "safe");
}

#[test]
fn a_missing_key_is_named_before_anything_runs() {
    let server = Server::openai(&json!({ "key": KEY }));
    let place = Place::new();
    let spec = spec(&place, &server, 0);
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("`STAND_IN_KEY`") && said.contains("`export STAND_IN_KEY="),
        "{said}"
    );
    assert!(server.requests().is_empty());
}

#[test]
fn killed_while_a_server_is_asked_it_goes_on_where_it_was() {
    let server = Server::openai(&json!({ "key": KEY, "rules": [
        { "when": "JUDGE", "then": ["ok"], "say": "refused" },
        { "when": "question 4", "then": ["hang", "ok"] },
    ]}));
    let place = Place::new();
    let spec = spec(&place, &server, 0);
    let mut child = place
        .command(&["run", text(&spec), "--out", "run"])
        .env("STAND_IN_KEY", KEY)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let reached = |word: &str| {
        server
            .requests()
            .iter()
            .any(|request| request["body"].to_string().contains(word))
    };
    wait_until(&mut child, "it hung", || {
        reached("question 4") && reached("question 5")
    });
    child.kill().expect("killed");
    child.wait().expect("gone");
    let before = server.requests().len();
    let (code, _, said) = run(&place, &["run", text(&spec), "--out", "run"]);
    assert_eq!(code, Some(0), "{said}");
    let again: Vec<String> = server.requests()[before..]
        .iter()
        .map(|request| request["body"]["messages"][0]["content"].to_string())
        .filter(|content| !content.contains("JUDGE"))
        .collect();
    // Two requests are under way at a time, and one more may wait for its turn.
    assert!(
        again.len() <= 3,
        "more than the requests in flight were repeated: {again:?}"
    );
    assert_eq!(place.samples("run").len(), 6);
}

#[test]
fn a_plan_says_what_a_server_cannot_give() {
    let server = Server::openai(&json!({}));
    let place = Place::new();
    let path = spec(&place, &server, 0);
    let plan = |path: &PathBuf| {
        let (code, said, problems) = run(&place, &["plan", text(path), "--format", "json"]);
        assert_eq!(code, Some(0), "{problems}");
        let plan: Value = serde_json::from_str(&said).expect("JSON");
        plan["absent"].clone()
    };
    let expected = json!([{
        "evaluation": "ask", "model": "subject", "metric": "uncertainty",
        "numbers": ["token_entropy*"], "fields": ["token_entropy"],
    }]);
    assert_eq!(plan(&path), expected);
    let (_, said, _) = run(&place, &["plan", text(&path)]);
    let note = "note: `uncertainty` of `subject` in `ask` will lack token_entropy*: its server does not give token_entropy";
    assert!(said.contains(note), "{said}");
    // Plain text has five of the likeliest tokens, and no log-probabilities leave nothing.
    let whole = std::fs::read_to_string(&path).expect("the spec");
    let plain = whole.replace(
        "prompt: [{user: \"{{ q }}\"}]",
        "prompt: [{text: \"{{ q }}\"}]",
    );
    assert_ne!(plain, whole);
    let plain = place.write("plain.yaml", &plain);
    let fields = json!(["token_top10_entropy", "token_entropy"]);
    assert_eq!(plan(&plain)[0]["fields"], fields);
    let silent = place.write(
        "silent.yaml",
        &whole.replace("concurrency: 2,", "logprobs: false, concurrency: 2,"),
    );
    let silent = plan(&silent);
    let numbers = silent[0]["numbers"].as_array().expect("numbers");
    assert!(numbers.contains(&json!("perplexity*")) && numbers.contains(&json!("margin*")));
    assert!(numbers.contains(&json!("top10_entropy*")), "{numbers:?}");

    // A metric that works with nothing but that is refused, before anything is asked.
    let module = tests_dir().join("../plugins/python/driftgauge_metric.py");
    let module = std::fs::read_to_string(module).expect("the module");
    place.write("driftgauge_metric.py", &module);
    let needs = "from driftgauge_metric import Metric, run
class Needs(Metric):
    \"\"\"Reads the whole distribution.\"\"\"
    id, version, title = 'needs', '1', 'Needs'
    required_fields = ('token_entropy',)
    reads = {'needs': ('token_entropy',)}
    def update(self, batch):
        pass
run(Needs)
";
    place.write("needs.py", needs);
    let metric = "uncertainty: {command: [python3, needs.py], files: [driftgauge_metric.py]}";
    let needs = whole.replace("uncertainty: {plugin: uncertainty}", metric);
    let needs = place.write("needs.yaml", &needs);
    let (code, _, said) = run(&place, &["run", text(&needs), "--out", "run"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("missing-input")
            && said.contains("`token_entropy`, which the server of model `subject`"),
        "{said}"
    );
    assert_eq!(server.requests().len(), 0);
}
