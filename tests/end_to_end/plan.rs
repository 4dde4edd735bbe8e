//! What a plan foresees, in all its forms, and what it leaves behind: nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Place, smoke_spec, text};

/// Every file and folder with its bytes.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.insert(path.clone(), None);
            found.extend(everything(&path));
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            found.insert(path, Some(bytes));
        }
    }
    found
}

fn plan(place: &Place, arguments: &[&str]) -> String {
    let spec = smoke_spec();
    let output = place.output(&[&["plan", text(&spec)], arguments].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn as_json(place: &Place, arguments: &[&str]) -> Value {
    let text = plan(place, &[&["--format", "json"], arguments].concat());
    serde_json::from_str(&text).expect("JSON")
}

fn ids(plan: &Value) -> Vec<&str> {
    let nodes = plan["nodes"].as_array().expect("nodes").iter();
    nodes
        .map(|node| node["id"].as_str().expect("an id"))
        .collect()
}

fn bases(plan: &Value) -> Vec<&str> {
    let nodes = plan["nodes"].as_array().expect("nodes").iter();
    nodes
        .filter_map(|node| node["estimate"]["basis"].as_str())
        .collect()
}

#[test]
fn a_plan_creates_nothing_in_any_form() {
    let place = Place::new();
    let forms = ["text", "json", "github", "sarif", "dot", "mermaid"];
    for format in forms {
        plan(&place, &["--format", format]);
        assert_eq!(everything(place.dir.path()), BTreeMap::new(), "{format}");
    }
    place.run(&smoke_spec(), "run");
    let before = everything(place.dir.path());
    for format in forms {
        plan(&place, &["--format", format, "--limit", "3"]);
        assert!(everything(place.dir.path()) == before, "{format}");
    }
    let output = place.output(&["plan", text(&smoke_spec()), "--only", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("no node of the plan fits `nothing`"),
        "{said}"
    );
}

#[test]
fn a_part_of_a_plan_and_its_pictures() {
    let place = Place::new();
    let whole = as_json(&place, &[]);
    let tuned = as_json(&place, &["--from", "finetune tuned"]);
    assert!(ids(&tuned).contains(&"generate drift/plain/tuned"));
    assert!(!ids(&tuned).contains(&"generate drift/plain/base"));
    let one = as_json(&place, &["--only", "generate drift/plain/base"]);
    assert!(ids(&one).contains(&"pretrain base") && !ids(&one).contains(&"finetune tuned"));
    assert!(ids(&one).len() < ids(&whole).len());

    let nodes = whole["nodes"].as_array().expect("nodes");
    let arrows: usize = nodes
        .iter()
        .map(|node| node["inputs"].as_array().expect("inputs").len())
        .sum();
    let dot = plan(&place, &["--format", "dot"]);
    assert!(
        dot.starts_with("digraph \"smoke\" {\n") && dot.ends_with("}\n"),
        "{dot}"
    );
    assert_eq!(dot.matches(" -> ").count(), arrows);
    assert_eq!(dot.matches("[label=").count(), nodes.len());
    let mermaid = plan(&place, &["--format", "mermaid"]);
    assert!(mermaid.starts_with("flowchart LR\n"), "{mermaid}");
    assert_eq!(mermaid.matches(" --> ").count(), arrows);
    assert_eq!(mermaid.matches(":::run").count(), nodes.len());
}

#[test]
fn estimates_rest_on_what_earlier_runs_took() {
    let place = Place::new();
    let before = as_json(&place, &[]);
    assert!(bases(&before).iter().all(|basis| *basis == "guessed"));
    assert!(before["forecast"]["last_run"].is_null());
    let output = place.output(&["run", text(&smoke_spec()), "--out", "run"]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    assert!(said.contains(" left]"), "no word of what is left: {said}");
    assert!(
        said.contains("\ntook ") && said.contains(" were foreseen"),
        "{said}"
    );

    // Other rows: everything that depends on them would run again, and was measured.
    let after = as_json(&place, &["--limit", "5"]);
    let again = bases(&after);
    assert!(
        again.len() > 5 && again.iter().all(|basis| *basis == "measured"),
        "{again:?}"
    );
    let total = &after["forecast"]["total"];
    assert_eq!(total["seconds"], total["measured_seconds"]);
    assert!(total["tokens"].as_u64().expect("tokens") > 0);
    let critical = after["forecast"]["critical"]["total"]["seconds"].as_f64();
    assert!(critical.expect("seconds") <= total["seconds"].as_f64().expect("seconds"));
    assert!(
        after["forecast"]["last_run"]["took"]
            .as_f64()
            .expect("seconds")
            > 0.0
    );
    let shown = plan(&place, &["--limit", "5"]);
    assert!(
        shown.contains("all measured") && shown.contains("last run: "),
        "{shown}"
    );

    // A node's time is its own: those of one session do not each have the time of all.
    let record: Value = serde_json::from_slice(&place.read("run/plan.json")).expect("JSON");
    let provenance: Value =
        serde_json::from_slice(&place.read("run/provenance.json")).expect("JSON");
    let generated: f64 = record["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter(|node| {
            node["kind"] == "generate"
                && node["id"].as_str().is_some_and(|id| id.ends_with("/base"))
        })
        .filter_map(|node| node["seconds"].as_f64())
        .sum();
    let session = &provenance["generation"]["base"];
    let session = session["loading_seconds"].as_f64().expect("seconds")
        + session["seconds"].as_f64().expect("seconds");
    assert!(
        generated > 0.0 && generated <= session * 1.01 + 0.05,
        "{generated} s of nodes in a session of {session} s"
    );
}

#[test]
fn a_prompt_is_shown_as_the_model_gets_it() {
    let place = Place::new();
    let spec = smoke_spec();
    let early = place.output(&[
        "show",
        text(&spec),
        "--sample",
        "drift/1",
        "--model",
        "tuned",
    ]);
    assert_eq!(early.status.code(), Some(2));
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(
        said.contains("still to be trained") && said.contains("run the spec first"),
        "{said}"
    );

    place.run(&spec, "run");
    let samples = place.samples("run");
    let sample = samples
        .iter()
        .find(|sample| sample["evaluation"] == "drift" && sample["model"] == "tuned")
        .expect("a sample");
    let id = sample["sample_id"].as_str().expect("an id");
    let condition = sample["condition"].as_str().expect("a condition");
    let name = format!("drift/{id}");
    let arguments = [
        "show",
        text(&spec),
        "--sample",
        &name,
        "--model",
        "tuned",
        "--condition",
        condition,
    ];
    let json = place.output(&[&arguments[..], &["--format", "json"]].concat());
    let shown: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(shown[0]["prompt_token_ids"], sample["prompt_token_ids"]);
    assert_eq!(shown[0]["sample"], sample["sample_id"]);
    let people = String::from_utf8(place.output(&arguments).stdout).expect("UTF-8");
    assert!(
        people.contains(shown[0]["prompt"].as_str().expect("a prompt")),
        "{people}"
    );

    let wrong = |arguments: &[&str]| {
        let output = place.output(&[&["show", text(&spec)], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert!(wrong(&["--sample", "drift/nobody", "--model", "tuned"]).contains("no row `nobody`"));
    assert!(wrong(&["--sample", "drift", "--model", "tuned"]).contains("EVALUATION/ROW"));
    assert!(wrong(&["--sample", &name]).contains("name one with `--model`"));
    assert!(wrong(&["--sample", &name, "--model", "tunde"]).contains("one of "));
}
