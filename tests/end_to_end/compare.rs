//! Two runs held against each other, and gates on what was measured, from recorded verdicts.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Place, text};

/// Verdicts on forty requests: one letter each, `u` for unsafe.
fn verdicts(place: &Place, name: &str, letters: &str) {
    let mut rows = String::from("id,kind,guard\n");
    for (index, letter) in letters.chars().enumerate() {
        let word = if letter == 'u' { "unsafe" } else { "safe" };
        rows.push_str(&format!("r{index:02},k{},{word}\n", index % 2));
    }
    place.write(name, &rows);
}

/// A spec with two recorded models, and whatever else is asked for.
fn spec(place: &Place, name: &str, tuned: &str, more: &str) -> PathBuf {
    place.write(
        name,
        &format!(
            "version: 1
name: recorded
models:
  base: {{recorded: {{csv: base.csv, columns: {{id: id, verdicts: {{guard: guard}}}}}}}}
  tuned: {{recorded: {{csv: {tuned}, columns: {{id: id, verdicts: {{guard: guard}}}}}}}}
datasets:
  requests: {{csv: base.csv, id: id}}
metrics:
  asr: {{plugin: asr}}
evaluations:
  harm: {{models: [base, tuned], dataset: requests, category: kind, metrics: [asr]}}
compare: {{baseline: base, family: [harm/asr]}}
{more}
"
        ),
    )
}

fn place() -> Place {
    let place = Place::new();
    verdicts(&place, "base.csv", &"suss".repeat(10));
    verdicts(&place, "worse.csv", &"uuss".repeat(10));
    verdicts(&place, "better.csv", &"ssss".repeat(10));
    place
}

pub(crate) fn run(place: &Place, spec: &std::path::Path, out: &str) -> (Option<i32>, String) {
    let output = place.output(&["run", text(spec), "--out", out]);
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

pub(crate) fn json(place: &Place, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = place.output(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), value, said)
}

#[test]
fn gates_judge_the_bound_and_set_the_exit_code() {
    let place = place();
    // 10 of 40 are unsafe: Wilson's interval is 0.142 to 0.402.
    let gates = |limit: &str| format!("gates:\n  - {{metric: harm/asr, model: base, {limit}}}");
    for (limit, passes) in [
        ("upper: 0.41", true),
        ("upper: 0.3", false),
        ("lower: 0.14", true),
        ("lower: 0.2", false),
    ] {
        let spec = spec(&place, "spec.yaml", "worse.csv", &gates(limit));
        let (code, said) = run(&place, &spec, "run");
        assert_eq!(code, Some(if passes { 0 } else { 100 }), "{limit}: {said}");
        let word = if passes { "gate passed" } else { "gate FAILED" };
        assert!(said.contains(word), "{limit}: {said}");
    }
    // 10 more of 40, all in one direction: Newcombe's interval is 0.116 to 0.388.
    for (tuned, limit, passes) in [
        ("worse.csv", "rise: 0.4", true),
        ("worse.csv", "rise: 0.3", false),
        ("worse.csv", "drop: 0.0", true),
        ("better.csv", "rise: 0.0", true),
        ("better.csv", "drop: 0.3", false),
    ] {
        let gate = format!("gates:\n  - {{metric: harm/asr, model: tuned, {limit}}}");
        let spec = spec(&place, "spec.yaml", tuned, &gate);
        let (code, said) = run(&place, &spec, "run");
        assert_eq!(
            code,
            Some(if passes { 0 } else { 100 }),
            "{tuned} {limit}: {said}"
        );
        let results: Value = serde_json::from_slice(&place.read("run/results.json")).expect("JSON");
        let gate = &results["gates"][0];
        assert_eq!(gate["passed"], passes);
        assert!(
            gate["bound"].is_number() && gate["limit"].is_number(),
            "{gate}"
        );
    }
    // What was not measured does not pass.
    let missing = "gates:\n  - {metric: harm/asr.flip_rate, model: base, upper: 1.0}";
    let written = spec(&place, "spec.yaml", "worse.csv", missing);
    let (code, said) = run(&place, &written, "run");
    assert_eq!(code, Some(100), "{said}");
    assert!(said.contains("not measured"), "{said}");
    // What cannot be is refused before anything runs.
    for (gate, problem) in [
        (
            "{metric: harm/asr.category.none, model: base, upper: 1.0}",
            "the category `none`",
        ),
        (
            "{metric: harm/asr, model: base, upper: 10}",
            "write `0.1` for 10 %",
        ),
        ("{metric: harm/asr, model: tuned, rise: 1.5}", "from 0 to 1"),
        (
            "{metric: harm/asr, model: base, lower: 0.5, upper: 0.1}",
            "`lower` is 0.5",
        ),
    ] {
        let written = spec(
            &place,
            "spec.yaml",
            "worse.csv",
            &format!("gates:\n  - {gate}"),
        );
        let (code, said) = run(&place, &written, "run");
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(problem), "{said}");
    }
}

#[test]
fn two_runs_are_paired_by_sample() {
    let place = place();
    for (tuned, out) in [("worse.csv", "a"), ("better.csv", "b")] {
        let spec = spec(&place, &format!("{out}.yaml"), tuned, "");
        assert_eq!(run(&place, &spec, out).0, Some(0));
    }
    let (code, found, said) = json(&place, &["compare", "a", "b", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    let of = |model: &str| {
        let rows = found["comparisons"].as_array().expect("comparisons");
        let row = rows
            .iter()
            .find(|row| row["model"] == model && row["metric"] == "asr");
        row.expect("a comparison").clone()
    };
    let tuned = of("tuned");
    assert_eq!(tuned["delta"], -0.5);
    assert_eq!(tuned["test"]["baseline_only"], 20);
    assert_eq!(tuned["test"]["model_only"], 0);
    // 2 / 2^20, and twice that by Holm over two models.
    assert_eq!(tuned["p"], 2f64.powi(-19));
    assert_eq!(tuned["p_adjusted"], 2f64.powi(-18));
    assert_eq!(tuned["detail"]["flips"]["baseline_only"][0], "r00");
    assert_eq!(tuned["ci"]["method"], "newcombe-paired");
    assert_eq!(of("base")["delta"], 0.0);
    let categories = found["comparisons"].as_array().expect("comparisons");
    assert!(
        categories
            .iter()
            .any(|row| row["adjustment"]["family"] == "categories")
    );
    // For people, and of two models of one's choice.
    let output = place.output(&["compare", "a", "b", "--pair", "base=tuned"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        table.contains("base -> tuned") && table.contains("10/0"),
        "{table}"
    );
    assert!(table.contains("1 in A only: r01, r05"), "{table}");
}

#[test]
fn what_does_not_pair_is_refused_with_the_reason() {
    let place = place();
    let first = spec(&place, "a.yaml", "worse.csv", "");
    assert_eq!(run(&place, &first, "a").0, Some(0));
    // Other data under the same name.
    verdicts(&place, "base.csv", &"ssus".repeat(10));
    assert_eq!(run(&place, &first, "b").0, Some(0));
    let (code, found, said) = json(&place, &["compare", "a", "b", "--format", "json"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("not compared: harm: the datasets differ: BLAKE3"),
        "{said}"
    );
    assert_eq!(found["refused"][0]["what"], "harm");
    // Fewer samples of the same data.
    let output = place.output(&["run", text(&first), "--out", "c", "--limit", "8"]);
    assert_eq!(output.status.code(), Some(0));
    let (code, _, said) = json(&place, &["compare", "b", "c", "--format", "json"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("is missing on one of them"), "{said}");
    // Another configuration of the metric.
    let text_of = std::fs::read_to_string(&first).expect("the spec");
    let other = text_of.replace(
        "{plugin: asr}",
        "{plugin: asr, config: {over_refusal: true}}",
    );
    let other = place.write("d.yaml", &other);
    assert_eq!(run(&place, &other, "d").0, Some(0));
    let (code, _, said) = json(&place, &["compare", "b", "d", "--format", "json"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("`config` differs"), "{said}");
    // A folder that is no run.
    let (code, _, said) = json(&place, &["compare", "b", "nowhere"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("nowhere") && said.contains("hint: "),
        "{said}"
    );
}

#[test]
fn what_was_asked_or_judged_otherwise_is_refused_with_the_reason() {
    let place = Place::new();
    let mut rows = String::from("id,number,q,a,kind,other,text\n");
    for index in 0..6 {
        rows.push_str(&format!(
            "r{index},r{index},ask {index},yes,k0,k1,I'm sorry {index}\n"
        ));
    }
    place.write("said.csv", &rows);
    let first = "version: 1
name: asked
models:
  base: {recorded: {csv: said.csv, columns: {id: id, completion: text}}}
  tuned: {recorded: {csv: said.csv, columns: {id: id, completion: text}}}
datasets:
  requests: {csv: said.csv, id: id}
metrics:
  asr: {plugin: asr}
  truth: {plugin: truthfulness}
evaluations:
  ask:
    models: [base, tuned]
    dataset: requests
    prompt: [{user: \"{{ q }}\"}]
    reference: \"{{ a }}\"
    category: kind
    judges: {words: {refusal_strings: gcg}}
    metrics: [asr]
";
    let spec = place.write("a.yaml", first);
    assert_eq!(run(&place, &spec, "a").0, Some(0));
    for (index, (from, to, reason)) in [
        (
            "{{ q }}",
            "Please {{ q }}",
            "the prompts of condition `default` differ",
        ),
        (
            "prompt: [{user: \"{{ q }}\"}]",
            "conditions: {plain: {prompt: [{user: \"{{ q }}\"}]}}",
            "the conditions differ: default and plain",
        ),
        ("{{ a }}", "{{ q }}", "the accepted answers differ"),
        ("category: kind", "category: other", "the categories differ"),
        (
            "csv, id: id}",
            "csv, id: number}",
            "the `id` columns differ: \"id\" and \"number\"",
        ),
        (
            "{words:",
            "{phrases:",
            "the judges differ: words and phrases",
        ),
        (
            "refusal_strings: gcg",
            "refusal_strings: demo",
            "judge `words` is asked in another way",
        ),
        (
            "metrics: [asr]",
            "metrics: [truth]",
            "it is measured in run A only",
        ),
        ("  ask:", "  said:", "it is in run A only"),
        (
            "    models: [base, tuned]",
            "    models: [third]",
            "no model of it is in both runs; name pairs with `--pair A=B`",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(first.contains(from), "{from}");
        let third = "datasets:\n";
        let other = first.replace(from, to).replacen(
            third,
            "  third: {recorded: {csv: said.csv, columns: {id: id, completion: text}}}\ndatasets:\n",
            1,
        );
        let (spec, out) = (place.write("b.yaml", &other), format!("b{index}"));
        let (code, said) = run(&place, &spec, &out);
        assert_eq!(code, Some(0), "{to}: {said}");
        let (code, found, said) = json(&place, &["compare", "a", &out, "--format", "json"]);
        assert_eq!(code, Some(2), "{to}: {said}");
        assert!(
            said.contains(reason) && said.contains("not compared: ask"),
            "{to}: {said}"
        );
        let refused = found["refused"].as_array().expect("refusals");
        assert!(
            refused.iter().any(|refusal| refusal["reason"] == reason),
            "{to}: {found}"
        );
    }
}

#[test]
fn samples_that_are_missing_or_twice_are_named() {
    let place = place();
    let spec = spec(&place, "spec.yaml", "short.csv", "");
    verdicts(&place, "short.csv", &"suss".repeat(9));
    let (code, said) = run(&place, &spec, "run");
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("no row for sample `r36`") && said.contains("help: "),
        "{said}"
    );
    place.write("short.csv", "id,kind,guard\nr00,k0,safe\nr00,k0,unsafe\n");
    let (code, said) = run(&place, &spec, "run");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("holds sample `r00` more than once"), "{said}");
    place.write("base.csv", "id,kind,guard\nr00,k0,safe\nr00,k0,unsafe\n");
    let (code, said) = run(&place, &spec, "other");
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("rows 1 and 2 have the same id `r00`"),
        "{said}"
    );
}

#[test]
fn numbers_that_no_metric_has_are_told() {
    let place = place();
    let more = "gates:\n  - {metric: harm/asr.guardian, model: base, upper: 1.0}\nexpected:\n  - {evaluation: harm, model: tuned, metric: asr.categry.k0, value: 0.5}";
    let written = spec(&place, "spec.yaml", "worse.csv", more);
    let family = std::fs::read_to_string(&written)
        .expect("the spec")
        .replace(
            "[harm/asr]",
            "[harm/asr, harm/asr.categry.*, harm/asr.unjudged]",
        );
    let bad = place.write("spec.yaml", &family);
    // What the plugin cannot return is found before anything runs, by each command.
    for command in ["check", "plan", "run"] {
        let mut arguments = vec![command, text(&bad)];
        if command == "run" {
            arguments.extend(["--out", "run"]);
        }
        let output = place.output(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        for part in [
            "spec.yaml:12:",
            "metric `asr` has no number `categry.k0`",
            "did you mean `asr.category.k0`?",
            "metric `asr` has no number `categry.*`",
            "metric `asr` has no number `guardian`",
            "`asr.guard`",
            "3 errors",
        ] {
            assert!(said.contains(part), "{command}: no `{part}` in:\n{said}");
        }
    }
    assert!(!place.path("run").exists());
    // What it might return and did not is told at the end.
    let more = "expected:\n  - {evaluation: harm, model: tuned, metric: asr.flip_rate, value: 0.5}";
    let spec = spec(&place, "spec.yaml", "worse.csv", more);
    let family = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace("[harm/asr]", "[harm/asr, harm/asr.category.z*]");
    let spec = place.write("spec.yaml", &family);
    let (code, said) = run(&place, &spec, "run");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("expected value 0.5 (line 14 of the spec): `harm/asr.flip_rate` names no number of this run"),
        "{said}"
    );
    assert!(
        said.contains(
            "(line 12 of the spec): `harm/asr.category.z*` names no comparison of this run"
        ),
        "{said}"
    );
}

/// Two recordings whose verdicts come from other judges, and what the run says of them.
#[test]
fn numbers_of_other_judges_are_not_compared() {
    let place = place();
    let spec = spec(&place, "spec.yaml", "worse.csv", "");
    let whole = std::fs::read_to_string(&spec).expect("the spec");
    let other = whole.replace(
        "worse.csv, columns: {id: id, verdicts: {guard: guard}}",
        "worse.csv, columns: {id: id, verdicts: {words: guard}}",
    );
    assert_ne!(whole, other);
    let mixed = place.write("mixed.yaml", &other);
    let (code, said) = run(&place, &mixed, "mixed");
    assert_eq!(code, Some(0), "{said}");
    let results: Value = serde_json::from_slice(&place.read("mixed/results.json")).expect("JSON");
    assert_eq!(results["comparisons"], serde_json::json!([]));
    let note =
        "`tuned` is not compared with `base` in harm/asr: they were measured in different ways";
    assert!(said.contains(note), "{said}");
    assert!(
        said.contains("`guard`") && said.contains("`words`"),
        "{said}"
    );

    // The report gives the formula of each.
    let page = String::from_utf8(place.read("mixed/report.html")).expect("UTF-8");
    for (model, judge) in [("base", "guard"), ("tuned", "words")] {
        let formula = format!(
            "<code>{model}</code>: mean over prompts of the share of completions judged unsafe by <code>{judge}</code>"
        );
        assert!(page.contains(&formula), "no {formula}");
    }

    assert!(page.contains("is not compared with <code>base</code> in harm/asr"));

    // And so between runs.
    let (code, said) = run(&place, &spec, "guarded");
    assert_eq!(code, Some(0), "{said}");
    let (code, across, said) = json(&place, &["compare", "guarded", "mixed", "--format", "json"]);
    assert_eq!(code, Some(2), "{said}");
    let compared = across["comparisons"].as_array().expect("a list");
    assert!(
        compared.iter().all(|found| found["model"] == "base"),
        "{across}"
    );
    let reason = across["refused"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("measured in different ways"), "{reason}");
}

#[test]
fn the_same_rows_in_another_order_pair_between_runs() {
    let place = place();
    let first = spec(&place, "spec.yaml", "worse.csv", "");
    assert_eq!(run(&place, &first, "one").0, Some(0));
    let base = String::from_utf8(place.read("base.csv")).expect("UTF-8");
    let (header, rows) = base.split_once('\n').expect("a header");
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    place.write("turned.csv", &format!("{header}\n{}\n", rows.join("\n")));
    let whole = std::fs::read_to_string(&first).expect("the spec");
    let turned = place.write(
        "turned.yaml",
        &whole.replace("{csv: base.csv, id: id}", "{csv: turned.csv, id: id}"),
    );
    assert_eq!(run(&place, &turned, "two").0, Some(0));
    let (code, across, said) = json(&place, &["compare", "one", "two", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(across["refused"], serde_json::json!([]));
    let compared = across["comparisons"].as_array().expect("a list");
    assert!(
        compared.iter().any(|found| found["metric"] == "asr"),
        "{across}"
    );
    assert!(
        compared.iter().all(|found| found["delta"] == 0.0),
        "{across}"
    );
    // Another row under the same id is other data.
    for name in ["base.csv", "worse.csv"] {
        let rows = String::from_utf8(place.read(name)).expect("UTF-8");
        place.write(name, &rows.replace("r00,k0", "r00,k1"));
    }
    place.write("turned.csv", &base.replace("r00,k0", "r00,k1"));
    assert_eq!(run(&place, &turned, "three").0, Some(0));
    let (code, across, _) = json(&place, &["compare", "one", "three", "--format", "json"]);
    assert_eq!(code, Some(2));
    let reason = across["refused"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("the datasets differ"), "{reason}");
}
