//! `driftgauge compare` over files of results that other tools wrote, without a model, a spec or a run: the files of
//! `specs/data/recordings`, made by `tests/python/make_recordings.py`, which prints the numbers below (scipy's binomial test).

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Place, tests_dir, text};

fn recording(name: &str) -> String {
    let path: PathBuf = tests_dir().join("../specs/data/recordings").join(name);
    path.display().to_string()
}

fn compared(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let place = Place::new();
    let output = place.output(&[&["compare"], arguments, &["--format", "json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), value, said)
}

fn number<'a>(found: &'a Value, metric: &str) -> &'a Value {
    let rows = found["comparisons"].as_array().expect("comparisons");
    let row = rows.iter().find(|row| row["metric"] == metric);
    row.unwrap_or_else(|| panic!("no {metric} in {found}"))
}

/// Before, after, (before only, after only), exact McNemar's p.
type Expected = (&'static str, f64, f64, (u64, u64), f64);

const RIGHT: Expected = ("accuracy", 11.0 / 12.0, 6.0 / 12.0, (5, 0), 0.0625);
const UNSAFE: Expected = ("asr", 2.0 / 12.0, 9.0 / 12.0, (1, 8), 0.039_062_5);

#[test]
fn files_of_every_layout_are_paired_by_id() {
    for (a, b, more, layout, (metric, before, after, pairs, p)) in [
        (
            "samples_before.jsonl",
            "samples_after.jsonl",
            &[][..],
            "lm_eval",
            RIGHT,
        ),
        (
            "samples_choices_before.jsonl",
            "samples_choices_after.jsonl",
            &[],
            "lm_eval",
            RIGHT,
        ),
        (
            "samples_choices_before.jsonl",
            "samples_choices_after.jsonl",
            &[],
            "lm_eval",
            ("acc_norm", 10.0 / 12.0, 5.0 / 12.0, (5, 0), 0.0625),
        ),
        (
            "before.inspect.eval",
            "after.inspect.eval",
            &[],
            "inspect",
            RIGHT,
        ),
        (
            "before.inspect.json",
            "after.inspect.eval",
            &[],
            "inspect",
            RIGHT,
        ),
        (
            "before.promptfoo.json",
            "after.promptfoo.json",
            &[],
            "promptfoo",
            RIGHT,
        ),
        (
            "before.harmbench.json",
            "after.harmbench.json",
            &[],
            "harmbench",
            UNSAFE,
        ),
        (
            "before.jailbreakbench.json",
            "after.jailbreakbench.json",
            &[],
            "jailbreakbench",
            UNSAFE,
        ),
        // Of two tools, by a column that both have.
        (
            "before.inspect.json",
            "samples_after.jsonl",
            &["--id", "id,doc.key"],
            "lm_eval",
            RIGHT,
        ),
        (
            "before.harmbench.json",
            "after.jailbreakbench.json",
            &["--id", "id,behavior"],
            "jailbreakbench",
            UNSAFE,
        ),
        (
            "before.promptfoo.json",
            "samples_after.jsonl",
            &["--id", "vars.key,doc.key"],
            "lm_eval",
            RIGHT,
        ),
    ] {
        let (a, b) = (recording(a), recording(b));
        let place = Place::new();
        let table = place.output(&[&["compare", &a, &b], more].concat());
        let table = String::from_utf8_lossy(&table.stdout).into_owned();
        assert!(
            table.contains(layout) && table.contains("paired by id"),
            "{table}"
        );
        let (code, found, said) = compared(&[&[&*a, &*b], more].concat());
        assert_eq!(code, Some(0), "{a} {b}: {said}");
        let found = number(&found, metric);
        let close = |value: &Value, expected: f64| {
            let value = value.as_f64().expect("a number");
            assert!(
                (value - expected).abs() < 1e-12,
                "{metric} of {a}, {b}: {value} {expected}"
            );
        };
        assert_eq!(found["n"], 12);
        close(&found["detail"]["baseline_value"], before);
        close(&found["detail"]["model_value"], after);
        close(&found["delta"], after - before);
        assert_eq!(found["test"]["name"], "mcnemar-exact");
        assert_eq!(found["test"]["baseline_only"], pairs.0);
        assert_eq!(found["test"]["model_only"], pairs.1);
        close(&found["p"], p);
        assert_eq!(found["ci"]["method"], "newcombe-paired");
        assert!(found["p_adjusted"].is_number());
    }
}

#[test]
fn several_outputs_of_a_prompt_count_once_with_their_mean() {
    let [a, b] = ["before", "after"].map(|side| recording(&format!("{side}.garak.report.jsonl")));
    let (code, found, said) = compared(&[&a, &b]);
    assert_eq!(code, Some(0), "{said}");
    let row = number(&found, "asr by keys.Told");
    let detail = &row["detail"];
    // One and a half of twelve, and seven.
    assert!((detail["baseline_value"].as_f64().expect("a") - 0.125).abs() < 1e-12);
    assert!((detail["model_value"].as_f64().expect("b") - 7.0 / 12.0).abs() < 1e-12);
    assert_eq!(row["test"]["name"], "sign-flip-permutation");
    let notes = found["notes"].to_string();
    assert!(notes.contains("up to 2 in A and 2 in B"), "{notes}");
}

/// It is the same comparison as that of a spec over the two recordings.
#[test]
fn files_say_what_a_spec_over_them_says() {
    let place = Place::new();
    place.run(&tests_dir().join("../specs/recordings.yaml"), "run");
    let results = place.results("run");
    let rows = results["comparisons"].as_array().expect("comparisons");
    let of_spec = rows
        .iter()
        .find(|row| row["metric"] == "truth")
        .expect("truth");
    let [a, b] = ["before.inspect.json", "samples_after.jsonl"].map(recording);
    let (_, found, _) = compared(&[&a, &b, "--id", "id,doc.key"]);
    let of_files = number(&found, "accuracy");
    for field in ["delta", "ci", "test", "p", "n"] {
        assert_eq!(of_files[field], of_spec[field], "{field}");
    }
    let marks = found["notes"].to_string();
    assert!(
        marks.contains("A says it by `includes` and B by `exact_match`"),
        "{marks}"
    );
}

#[test]
fn what_does_not_belong_together_is_refused_by_name() {
    let place = Place::new();
    let own = |name: &str, rows: &str| place.write(name, rows).display().to_string();
    let lines = |from: &str, keep: usize| {
        let all = std::fs::read_to_string(recording(from)).expect("lines");
        all.lines().take(keep).collect::<Vec<_>>().join("\n")
    };
    let of_lm_eval = recording("samples_after.jsonl");
    let of_inspect = recording("before.inspect.json");
    let fewer = own("samples_fewer.jsonl", &lines("samples_before.jsonl", 9));
    let other =
        lines("samples_before.jsonl", 12).replace("Which lake lies north", "Which lake lies south");
    let other = own("samples_other.jsonl", &other);
    let marked = lines("samples_before.jsonl", 12)
        .replace("\"target\": \"Lake Ostra\"", "\"target\": \"Lake Mirn\"");
    let marked = own("samples_marked.jsonl", &marked);
    let asked = own("asked.csv", "id,question,correct\np,x,1\nq,y,0\n");
    let asked_anew = own("anew.csv", "id,question,correct\np,x,1\nq,z,0\n");
    let strict = lines("samples_before.jsonl", 12).replace("\"none\"", "\"strict-match\"");
    let two = own(
        "samples_two.jsonl",
        &format!(
            "{strict}\n{}",
            strict.replace("strict-match", "flexible-extract")
        ),
    );
    let nameless = own("a.csv", "question,correct\nx,1\ny,0\n");
    let nameless_too = own("b.csv", "question,correct\nx,1\ny,0\nz,0\n");
    let named = own("c.csv", "id,correct\np,1\nq,0\n");
    let unknown = own("d.json", "{\"accuracy\": 0.5}");
    let totals = own(
        "results.json",
        "{\"results\": {\"facts\": {\"acc\": 0.5}}, \"configs\": {}}",
    );
    let judged = own("e.csv", "id,verdict\np,safe\nq,unsafe\n");
    let misread = own("f.csv", "id,verdict\np,safe\nq,harmless\n");
    for (arguments, parts) in [
        (
            vec![&*nameless, &*nameless_too],
            ["a.csv` names no ids", "columns are `question`, `correct`"],
        ),
        (
            vec![&*of_inspect, &*of_lm_eval],
            ["counts its rows, as lm_eval does", "--id id,doc.key"],
        ),
        (
            vec![&*named, &*of_inspect],
            ["no id in common: A has `p`", "--id COLUMN_OF_A,COLUMN_OF_B"],
        ),
        (
            vec![&*fewer, &*of_lm_eval],
            ["9 and 12 ids, 3 only in B", "`--shared` compares the 9"],
        ),
        (
            vec![&*other, &*of_lm_eval],
            [
                "`0` is another question in B than in A (by `doc`)",
                "1 of 12 ids",
            ],
        ),
        (
            vec![&*marked, &*of_lm_eval],
            [
                "`0` is another question in B than in A (by `target`)",
                "1 of 12 ids",
            ],
        ),
        (
            vec![&*asked, &*asked_anew],
            [
                "`q` is another question in B than in A (by `question`)",
                "1 of 2 ids",
            ],
        ),
        (
            vec![&*two, &*of_lm_eval],
            ["`strict-match`, `flexible-extract`", "--filter 'filter =="],
        ),
        (
            vec![&*unknown, &*named],
            ["in no layout that is known", "--layout"],
        ),
        (
            vec![&*totals, &*of_lm_eval],
            ["lm-eval's totals", "samples_*.jsonl"],
        ),
        (
            vec![&*named, &*judged],
            [
                "no number in common: A has `accuracy`, B has `asr`",
                "other measures",
            ],
        ),
        (
            vec![&*judged, &*misread],
            ["`harmless` in column `verdict` is no verdict", "row 2"],
        ),
        (
            vec![&*named, &*named, "--layout", "inspect,csv"],
            ["not a log of inspect", "c.csv"],
        ),
        (
            vec![&*named, &*named, "--layout", "helm"],
            ["helm", "the layouts are jsonl"],
        ),
        (
            vec![&*named, &*named, "--pair", "a=b"],
            ["`--pair` is of run folders", "hint: "],
        ),
        (
            vec![&*named, text(&tests_dir()).to_owned().leak()],
            ["one side is a run folder", "driftgauge export"],
        ),
        (vec![&*named, "nowhere.csv"], ["nowhere.csv", "cannot read"]),
    ] {
        let (code, _, said) = compared(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(
            parts.iter().all(|part| said.contains(part)),
            "{arguments:?}: {said}"
        );
    }
    // What both have, and one of several filters, on demand.
    let (code, found, said) = compared(&[&fewer, &of_lm_eval, "--shared"]);
    assert_eq!(
        (code, &number(&found, "accuracy")["n"]),
        (Some(0), &9.into()),
        "{said}"
    );
    let choice = "filter == \"strict-match\" or filter == \"none\"";
    let (code, found, said) = compared(&[&two, &of_lm_eval, "--filter", choice]);
    assert_eq!(
        (code, &number(&found, "accuracy")["n"]),
        (Some(0), &12.into()),
        "{said}"
    );
}

/// Rows of one's own, and those that `export` writes.
#[test]
fn exported_samples_are_files_as_well() {
    let place = Place::new();
    place.run(&tests_dir().join("../specs/recordings.yaml"), "run");
    for format in ["jsonl", "csv", "parquet"] {
        let [a, b] = ["before", "after"].map(|side| {
            let to = place.path(&format!("{side}.{format}"));
            let arguments = [
                "export",
                "run",
                "--model",
                side,
                "--format",
                format,
                "--to",
                text(&to),
            ];
            assert!(place.output(&arguments).status.success(), "{format}");
            to
        });
        let (code, found, said) = compared(&[text(&a), text(&b)]);
        assert_eq!(code, Some(0), "{format}: {said}");
        assert_eq!(number(&found, "accuracy")["p"], 0.0625, "{format}");
    }
}

#[test]
fn prompts_that_were_put_in_other_words_are_told() {
    let place = Place::new();
    let file = |name: &str, hash: &str| {
        let line = |doc: usize| {
            let right = f64::from(u8::from(doc != 1 || name == "a.jsonl"));
            let said = serde_json::json!({
                "doc_id": doc, "doc": {"q": format!("ask {doc}")}, "target": "x", "arguments": [["ask", {}]],
                "resps": [["x"]], "filtered_resps": ["x"], "acc": right, "prompt_hash": format!("{hash}{doc}"),
            });
            format!("{said}\n")
        };
        place.write(name, &(0..4).map(line).collect::<String>())
    };
    let (a, other) = (file("a.jsonl", "few"), file("other.jsonl", "none"));
    let same = file("same.jsonl", "few");
    let told = "4 of 4 prompts were put to B in other words";
    let notes = |b: &PathBuf| {
        let (code, found, said) = compared(&[text(&a), text(b)]);
        assert_eq!(code, Some(0), "{said}");
        found["notes"].to_string()
    };
    assert!(notes(&other).contains(told), "{}", notes(&other));
    assert!(!notes(&same).contains("other words"), "{}", notes(&same));
}

/// Another filter, another grader, other settings of generation: the numbers stand, and what may explain them is told.
#[test]
fn files_that_were_made_otherwise_say_so() {
    let place = Place::new();
    let lm_eval = |name: &str, filter: &str, until: &str| {
        let line = |doc: usize| {
            let said = serde_json::json!({
                "doc_id": doc, "doc": {"q": format!("ask {doc}")}, "target": "x", "resps": [["x"]], "filtered_resps": ["x"],
                "arguments": {"gen_args_0": {"arg_0": "ask", "arg_1": {"until": [until], "do_sample": false}}},
                "filter": filter, "exact_match": 1.0,
            });
            format!("{said}\n")
        };
        place.write(name, &(0..4).map(line).collect::<String>())
    };
    let inspect = |name: &str, grader: &str, version: usize| {
        let sample = |id: usize| {
            serde_json::json!({
                "id": format!("s{id}"), "epoch": 1, "input": "ask", "target": "x", "scores": {"graded": {"value": "C"}},
                "output": {"choices": [{"message": {"content": "x"}, "stop_reason": "stop"}]},
            })
        };
        let log = serde_json::json!({
            "version": 2, "status": "success", "samples": (0..4).map(sample).collect::<Vec<_>>(),
            "eval": {
                "task": "t", "task_version": version, "model": name,
                "scorers": [{"name": "graded", "options": {"model": grader}}],
            },
            "plan": {"config": {"temperature": 0}},
        });
        place.write(name, &log.to_string())
    };
    let notes = |a: &PathBuf, b: &PathBuf| {
        let (code, found, said) = compared(&[text(a), text(b)]);
        assert_eq!(code, Some(0), "{said}");
        found["notes"].to_string()
    };
    let strict = lm_eval("strict.jsonl", "strict-match", "Q:");
    let loose = lm_eval("loose.jsonl", "flexible-extract", "###");
    let told = notes(&strict, &loose);
    assert!(
        told.contains("`filter` is `strict-match` in A and `flexible-extract` in B"),
        "{told}"
    );
    assert!(told.contains("`generation.until` is"), "{told}");
    assert!(!told.contains("do_sample"), "{told}");
    assert_eq!(
        notes(&strict, &lm_eval("again.jsonl", "strict-match", "Q:")),
        "[]"
    );
    let large = inspect("large.json", "large", 1);
    let told = notes(&large, &inspect("small.json", "small", 2));
    assert!(
        told.contains("`scorer graded.model` is `large` in A and `small` in B"),
        "{told}"
    );
    assert!(
        told.contains("`task_version` is `1` in A and `2` in B"),
        "{told}"
    );
    assert_eq!(notes(&large, &inspect("again.json", "large", 1)), "[]");
}
