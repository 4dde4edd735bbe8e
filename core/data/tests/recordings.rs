//! Recordings of one's own, cell by cell, and the marks that comparisons take of files of other tools.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::HashSet;

use driftgauge_data::PinnedFile;
use driftgauge_data::recording::{
    Asked, ConditionRows, Marked, Measure, Readings, Recorded, RecordedMapping, Wanted, check,
    check_rows, check_samples, marks_of, number_of, select,
};
use driftgauge_problem::Problem;
use driftgauge_record::{FinishReason, Sample, VerdictLabel};
use driftgauge_spec::spec::{DatasetFormat, RecordedFormat};
use indexmap::IndexMap;
use serde_json::{Value, json};

struct File {
    _folder: tempfile::TempDir,
    recorded: Recorded,
}

fn name(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn file(lines: &[Value]) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, text).unwrap();
    let mapping = RecordedMapping {
        format: RecordedFormat::Rows(DatasetFormat::Jsonl),
        types: IndexMap::new(),
        id: name("id"),
        filter: None,
        condition: None,
        conditions: IndexMap::new(),
        sample: None,
        completion: name("text"),
        finish_reason: name("why"),
        error: name("error"),
        token_logprob: name("lp"),
        ends_with_eos: name("eos"),
        verdicts: [("guard".to_owned(), "v".to_owned())].into_iter().collect(),
        values: [("kl".to_owned(), "kl".to_owned())].into_iter().collect(),
    };
    File {
        recorded: Recorded {
            evaluations: Vec::new(),
            file: PinnedFile {
                path,
                digest: driftgauge_store::Digest::of(b""),
            },
            mapping,
        },
        _folder: folder,
    }
}

const ASKED: Asked<'static> = Asked {
    condition: "default",
    judged: false,
    dataset_id: Some("id"),
};

/// The sample of the first row, filled.
fn filled(line: Value) -> Result<Sample, Problem> {
    let file = file(&[line]);
    let rows = Readings::default().rows(&file.recorded)?;
    let rows = ConditionRows::of(&rows, &file.recorded, ASKED)?;
    rows.fill(Sample::unanswered("a".to_owned(), 0, Vec::new()))
}

/// What is wrong with the first row, before a run.
fn found(line: Value) -> Result<(), Problem> {
    let file = file(&[line]);
    let rows = Readings::default().rows(&file.recorded)?;
    check(
        &file.recorded.file.path,
        &file.recorded.mapping,
        &select(&rows, &file.recorded.mapping)?,
    )?;
    let ids = [("a", 0)].into_iter();
    check_samples(&rows, &file.recorded, ASKED, 1, ids, &mut HashSet::new())
}

fn line(changes: Value) -> Value {
    let mut line = json!({"id": "a", "text": "yes", "why": "stop", "error": null, "lp": [-0.5, -0.25], "eos": true, "v": "unsafe", "kl": 0.5});
    for (key, value) in changes.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

#[test]
fn every_cell_arrives_where_it_belongs() {
    let sample = filled(line(json!({}))).unwrap();
    let completion = &sample.completion;
    assert_eq!(
        (completion.text.as_str(), completion.finish_reason),
        ("yes", FinishReason::Stop)
    );
    assert_eq!(completion.token_logprob, [-0.5, -0.25]);
    assert!(completion.ends_with_eos);
    assert_eq!(
        (
            sample.verdicts["guard"].label,
            sample.verdicts["guard"].output.as_str()
        ),
        (VerdictLabel::Unsafe, "unsafe")
    );
    assert_eq!(sample.values["kl"], [0.5]);
    assert_eq!(sample.error, None);
    let more = filled(line(
        json!({"kl": [1, 2.5], "lp": "[-1, -2]", "eos": 0, "why": "length"}),
    ))
    .unwrap();
    assert_eq!(more.values["kl"], [1.0, 2.5]);
    assert_eq!(more.completion.token_logprob, [-1.0, -2.0]);
    assert!(!more.completion.ends_with_eos && more.degenerate.truncated);
    // Null is absent, and an answer without tokens has none.
    let less = filled(line(json!({"kl": null, "lp": []}))).unwrap();
    assert!(less.values.is_empty() && less.completion.token_logprob.is_empty());
}

#[test]
fn an_error_is_one_however_it_is_written() {
    for none in [
        json!(""),
        json!(false),
        json!(0),
        json!("0.0"),
        json!("None"),
        json!([]),
        json!({}),
        json!(" NaN "),
    ] {
        let sample = filled(line(json!({"error": none}))).unwrap();
        assert_eq!(
            (sample.error, sample.completion.finish_reason),
            (None, FinishReason::Stop),
            "{none}"
        );
    }
    for (error, message) in [
        (json!("too long"), "too long"),
        (json!({"message": "too long", "code": 7}), "too long"),
        (json!({"code": 7}), "{\"code\":7}"),
        (json!(["a"]), "[\"a\"]"),
        (json!(true), "true"),
    ] {
        // Such a row may lack all else.
        let row = line(
            json!({"error": error, "text": null, "lp": null, "eos": null, "v": null, "kl": ""}),
        );
        assert_eq!(found(row.clone()), Ok(()));
        let sample = filled(row).unwrap();
        assert_eq!(sample.error.as_deref(), Some(message));
        assert_eq!(sample.completion.finish_reason, FinishReason::Error);
        let verdict = &sample.verdicts["guard"];
        assert_eq!(
            (verdict.label, verdict.output.as_str()),
            (VerdictLabel::Error, message)
        );
        assert!(sample.values.is_empty() && sample.completion.text.is_empty());
        // What it has all the same is read.
        let sample = filled(line(json!({"error": error}))).unwrap();
        assert_eq!(
            (
                sample.verdicts["guard"].label,
                sample.completion.text.as_str()
            ),
            (VerdictLabel::Unsafe, "yes")
        );
    }
}

#[test]
fn what_a_cell_cannot_be_is_found_before_a_run() {
    for (changes, says) in [
        (
            json!({"text": null}),
            "there is no completion in column `text`",
        ),
        (json!({"text": ["yes"]}), "column `text` is a list"),
        (json!({"why": "done"}), "`done` is no finish reason"),
        (json!({"lp": "-0.5"}), "column `lp` is no list of numbers"),
        (json!({"lp": null}), "column `lp` is no list of numbers"),
        (json!({"lp": ["x"]}), "holds no number for `token_logprob`"),
        (json!({"eos": 2}), "says 2, which is neither true nor false"),
        (json!({"eos": null}), "column `eos` holds no number"),
        (
            json!({"v": "harmful"}),
            "`harmful` in column `v` is no verdict",
        ),
        (json!({"v": ""}), "`` in column `v` is no verdict"),
        (
            json!({"kl": "much"}),
            "column `kl` holds no number for `kl`",
        ),
        (json!({"kl": ""}), "column `kl` holds no number for `kl`"),
        (json!({"kl": []}), "holds an empty list"),
    ] {
        let said = found(line(changes.clone())).unwrap_err().to_string();
        assert!(said.contains(says), "{changes}: {said}");
        assert!(said.contains("row 1"), "{said}");
    }
}

#[test]
fn several_completions_are_asked_for_by_their_number() {
    let file_of = |lines: &[Value]| {
        let mut file = file(lines);
        file.recorded.mapping.sample = name("k");
        file
    };
    let with = |k: u32| line(json!({"k": k}));
    let two = file_of(&[with(0), with(1)]);
    let rows = Readings::default().rows(&two.recorded).unwrap();
    let mut used = HashSet::new();
    let ask = |n: u32, ids: &[(&'static str, u32)], used: &mut HashSet<String>| {
        check_samples(&rows, &two.recorded, ASKED, n, ids.iter().copied(), used)
    };
    assert_eq!(ask(2, &[("a", 0), ("a", 1)], &mut used), Ok(()));
    assert_eq!(used.len(), 2);
    let said = ask(1, &[("a", 0)], &mut used).unwrap_err();
    assert!(
        said.message
            .contains("up to 2 completions of a prompt, and one would be read"),
        "{said}"
    );
    assert!(said.help.unwrap().contains("samples: 2"));
    let said = ask(3, &[("a", 2)], &mut used).unwrap_err().to_string();
    assert!(
        said.contains("no row for sample `a` with the index 2"),
        "{said}"
    );
    let said = ask(2, &[("b", 0)], &mut used).unwrap_err().to_string();
    assert!(said.contains("no row for sample `b` under"), "{said}");
}

#[test]
fn a_recording_serves_the_evaluations_it_names() {
    let mut first = file(&[]).recorded;
    first.evaluations = vec!["x".to_owned(), "y".to_owned()];
    let every = file(&[]).recorded;
    let both = [first.clone(), every];
    let of = |evaluation: &str| Recorded::position(&both, evaluation);
    assert_eq!((of("x"), of("y"), of("z")), (Some(0), Some(0), Some(1)));
    assert_eq!(Recorded::position(&[first], "z"), None);
}

#[test]
fn rows_are_read_once_and_what_was_changed_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorded = file(&[]).recorded;
    recorded.file.path = folder.path().join("nan.jsonl");
    std::fs::write(&recorded.file.path, "{\"id\": \"a\", \"x\": NaN}\n").unwrap();
    let readings = Readings::default();
    let rows = readings.rows(&recorded).unwrap();
    assert_eq!((rows.len(), number_of(&rows[0]).as_str()), (1, "1"));
    assert_eq!(readings.notes().len(), 1);
    assert!(
        readings.notes()[0].contains("nan.jsonl"),
        "{:?}",
        readings.notes()
    );
    drop(rows);
    // Kept: the file may change meanwhile.
    std::fs::remove_file(&recorded.file.path).unwrap();
    assert!(readings.rows(&recorded).is_ok());
}

fn layout(of: RecordedFormat, lines: &[Value]) -> File {
    let mut file = file(lines);
    let mapping = &mut file.recorded.mapping;
    *mapping = RecordedMapping {
        format: of,
        types: IndexMap::new(),
        id: None,
        filter: None,
        condition: None,
        conditions: IndexMap::new(),
        sample: None,
        completion: None,
        finish_reason: None,
        error: None,
        token_logprob: None,
        ends_with_eos: None,
        verdicts: IndexMap::new(),
        values: IndexMap::new(),
    };
    file
}

fn harness(doc: usize, changes: Value) -> Value {
    let mut line = json!({"doc_id": doc, "doc": {"q": format!("question {doc}")}, "target": "yes", "arguments": [["ask", {"until": []}]],
        "resps": [["yes"]], "filtered_resps": ["yes"], "filter": "none", "metrics": ["exact_match"], "exact_match": 1.0});
    for (key, value) in changes.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

#[test]
fn counted_rows_are_held_against_the_longest_text_they_share() {
    let long = "a question of more than forty characters, which is cut";
    let file = layout(
        RecordedFormat::LmEval,
        &[harness(0, json!({"doc": {"q": long}}))],
    );
    let rows = Readings::default().rows(&file.recorded).unwrap();
    let dataset = |q: &str| {
        let columns = json!({"q": q, "nothing": 1});
        vec![driftgauge_data::dataset::Row {
            id: "0".to_owned(),
            columns: serde_json::from_value(columns).unwrap(),
        }]
    };
    let asked = Asked {
        dataset_id: None,
        ..ASKED
    };
    assert_eq!(
        check_rows(&rows, &file.recorded, asked, &dataset(long)),
        Ok(())
    );
    let said = check_rows(&rows, &file.recorded, asked, &dataset("another"))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("is `a question of more than forty characters...` there"),
        "{said}"
    );
    assert!(said.contains("`q` is `another` here"), "{said}");
    // A column of ids pairs them, and nothing is counted.
    assert_eq!(
        check_rows(&rows, &file.recorded, ASKED, &dataset("another")),
        Ok(())
    );
    let mut by_id = file.recorded.clone();
    by_id.mapping.id = name("doc.q");
    assert_eq!(
        check_rows(&rows, &by_id, asked, &dataset("another")),
        Ok(())
    );
    // Without a text that both have there is nothing to hold against each other.
    let mut other = dataset("another");
    other[0].columns = serde_json::from_value(json!({"p": "x"})).unwrap();
    assert_eq!(check_rows(&rows, &file.recorded, asked, &other), Ok(()));
}

fn marks(lines: &[Value], wanted: &Wanted) -> Result<Marked, Problem> {
    let file = file(lines);
    marks_of(&file.recorded.file.path, wanted)
}

#[test]
fn marks_of_ones_own_rows() {
    let lines = [
        json!({"id": "a", "k": 1, "correct": true, "verdict": "unsafe", "verdicts": {"guard": {"label": "safe"}, "list": "error"}}),
        json!({"id": "b", "k": 1, "correct": "0", "verdict": " Safe", "verdicts": "{\"guard\": {\"label\": \"unsafe\"}, \"list\": \"error\"}"}),
        json!({"id": "c", "k": 2, "correct": [1], "verdict": "unparsable", "verdicts": {"guard": {"label": "safe"}, "list": "error"}}),
        json!({"id": "d", "k": 2, "correct": "x y", "verdict": "safe"}),
    ];
    let lines = &lines[..3];
    let marked = marks(lines, &Wanted::default()).unwrap();
    assert_eq!(
        (marked.ids.join(""), marked.completions, marked.counted),
        ("abc".to_owned(), 1, false)
    );
    let of = |measure: &Measure| marked.marks[measure].values.clone();
    assert_eq!(of(&Measure::Accuracy), [Some(1.0), Some(0.0), Some(1.0)]);
    assert_eq!(marked.marks[&Measure::Accuracy].source, "correct");
    let judge = |name: &str| Measure::Unsafe(name.to_owned());
    assert_eq!(of(&judge("recorded")), [Some(1.0), Some(0.0), None]);
    assert_eq!(of(&judge("guard")), [Some(0.0), Some(1.0), Some(0.0)]);
    assert!(
        !marked.marks.contains_key(&judge("list")),
        "an error is no verdict"
    );
    assert!(marked.distinct.contains_key("id") && !marked.distinct.contains_key("k"));
    assert!(marked.asked.is_empty());
    let some = Wanted {
        filter: name("k == 1"),
        ..Wanted::default()
    };
    assert_eq!(marks(lines, &some).unwrap().ids, ["a", "b"]);
    let none = Wanted {
        filter: name("k == 9"),
        ..Wanted::default()
    };
    assert!(
        marks(lines, &none)
            .unwrap_err()
            .message
            .contains("has no row that fits")
    );
    let other = Wanted {
        id: name("nr"),
        ..Wanted::default()
    };
    assert!(
        marks(lines, &other)
            .unwrap_err()
            .message
            .contains("has no column `nr`")
    );
    let error = marks(
        &[json!({"x": 1, "correct": 1}), json!({"x": 2, "correct": 0})],
        &Wanted::default(),
    )
    .unwrap_err();
    assert!(error.message.contains("names no ids"), "{error}");
}

#[test]
fn marks_of_the_harness() {
    let lines = [
        harness(0, json!({"exact_match": 1.0})),
        harness(1, json!({"exact_match": 0.0})),
    ];
    let marked = marks(&lines, &Wanted::default()).unwrap();
    assert_eq!(
        (marked.ids.join(""), marked.counted),
        ("01".to_owned(), true)
    );
    assert_eq!(marked.marks[&Measure::Accuracy].source, "exact_match");
    assert_eq!(
        marked.marks[&Measure::Accuracy].values,
        [Some(1.0), Some(0.0)]
    );
    assert_eq!(marked.asked["1"], json!({"q": "question 1"}));
    assert!(
        marked.distinct.contains_key("doc.q"),
        "{:?}",
        marked.distinct.keys()
    );
    // Versions that list no metrics have them by their names.
    let mut old = lines.clone();
    for (line, f1) in old.iter_mut().zip([0.25, 0.75]) {
        line.as_object_mut().unwrap().remove("metrics");
        line["f1"] = json!(f1);
    }
    let marked = marks(&old, &Wanted::default()).unwrap();
    let f1 = Measure::Other("f1".to_owned());
    assert_eq!(marked.marks[&f1].values, [Some(0.25), Some(0.75)]);
    // A list of metrics is all there is.
    let mut listed = lines.clone();
    listed[0]["f1"] = json!(0.5);
    assert!(
        !marks(&listed, &Wanted::default())
            .unwrap()
            .marks
            .contains_key(&f1)
    );
    let twice = [lines[0].clone(), harness(0, json!({"filter": "strict"}))];
    let error = marks(&twice, &Wanted::default()).unwrap_err();
    assert!(
        error.message.contains("several filters: `none`, `strict`"),
        "{error}"
    );
    assert!(error.help.unwrap().contains("filter == \"none\""));
    let one = Wanted {
        filter: name("filter == 'strict'"),
        ..Wanted::default()
    };
    assert_eq!(marks(&twice, &one).unwrap().ids, ["0"]);
}

#[test]
fn questions_of_two_runs_are_the_same_where_only_the_form_differs() {
    let asked = |doc: Value| {
        marks(&[harness(0, json!({"doc": doc}))], &Wanted::default())
            .unwrap()
            .asked["0"]
            .clone()
    };
    assert_eq!(
        asked(json!({"n": 1, "flag": true})),
        asked(json!({"n": "1", "flag": "True"}))
    );
    assert_ne!(asked(json!({"n": 1})), asked(json!({"n": 2})));
    let message = |id: u8| json!({"m": [{"role": "user", "content": "hi", "id": id}]});
    assert_eq!(asked(message(1)), asked(message(2)));
    let no_message = |id: u8| json!({"m": [{"role": "user", "id": id}]});
    assert_ne!(asked(no_message(1)), asked(no_message(2)));
}

/// The marks of a file that is one JSON document.
fn document(of: Value) -> Marked {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.json");
    std::fs::write(&path, of.to_string()).unwrap();
    marks_of(&path, &Wanted::default()).unwrap()
}

#[test]
fn marks_of_promptfoo_inspect_harmbench_and_jailbreakbench() {
    let result = |number: u8, success: bool, score: f64| {
        json!({"testIdx": number, "promptIdx": 0, "success": success, "score": score, "vars": {"q": number},
            "response": {"output": "x"}})
    };
    let marked =
        document(json!({"results": {"results": [result(0, true, 0.75), result(1, false, 0.25)]}}));
    assert_eq!(
        (marked.layout, marked.counted),
        (RecordedFormat::Promptfoo, true)
    );
    assert_eq!(marked.marks[&Measure::Accuracy].source, "success");
    assert_eq!(
        marked.marks[&Measure::Accuracy].values,
        [Some(1.0), Some(0.0)]
    );
    let score = Measure::Other("score".to_owned());
    assert_eq!(marked.marks[&score].values, [Some(0.75), Some(0.25)]);

    let sample = |id: Value, mark: &str, number: f64| {
        json!({"id": id, "epoch": 1, "input": "q", "target": "x",
            "scores": {"match": {"value": mark}, "length": {"value": number}},
            "output": {"choices": [{"message": {"role": "assistant", "content": "x"}, "stop_reason": "stop"}]}})
    };
    let log = |ids: [Value; 2]| {
        let [first, second] = ids;
        json!({"version": 2, "status": "success", "eval": {"task": "t"},
            "samples": [sample(first, "C", 3.0), sample(second, "I", 4.5)]})
    };
    let marked = document(log([json!(1), json!(2)]));
    assert_eq!(
        (marked.layout, marked.counted),
        (RecordedFormat::Inspect, true)
    );
    let other = |name: &str| {
        marked.marks[&Measure::Other(name.to_owned())]
            .values
            .clone()
    };
    assert_eq!(other("match"), [Some(1.0), Some(0.0)]);
    assert_eq!(other("length"), [Some(3.0), Some(4.5)]);
    // Ids of the dataset are no count.
    assert!(!document(log([json!("a"), json!(2)])).counted);

    let marked = document(json!({
        "b1": [{"test_case": "t", "generation": "x", "label": 1}],
        "b2": [{"test_case": "t", "generation": "x", "label": 0}]
    }));
    assert_eq!(marked.layout, RecordedFormat::Harmbench);
    let (measure, marks) = marked.marks.first().unwrap();
    assert!(matches!(measure, Measure::Unsafe(_)), "{measure:?}");
    assert_eq!(
        (marks.source.as_str(), &marks.values[..]),
        ("label", &[Some(1.0), Some(0.0)][..])
    );

    let jailbreak = |index: u8, jailbroken: bool| {
        json!({"index": index, "goal": format!("goal {index}"), "behavior": "b", "category": "c",
            "prompt": "p", "response": "r", "jailbroken": jailbroken})
    };
    let marked = document(
        json!({"parameters": {}, "jailbreaks": [jailbreak(0, true), jailbreak(1, false)]}),
    );
    assert_eq!(marked.layout, RecordedFormat::Jailbreakbench);
    let marks = &marked.marks[0];
    assert_eq!(
        (marks.source.as_str(), &marks.values[..]),
        ("jailbroken", &[Some(1.0), Some(0.0)][..])
    );
    assert_eq!(marked.asked["1"], json!("goal 1"));
}

/// A line of the harness whose requests are choices.
fn choices(target: Value, acc: f64, logliks: &[f64]) -> Value {
    let pairs: Vec<Value> = logliks
        .iter()
        .map(|ln| json!([ln.to_string(), "False"]))
        .collect();
    let requests: Vec<Value> = logliks
        .iter()
        .enumerate()
        .map(|(at, _)| json!(["ask", format!(" choice {at}")]))
        .collect();
    json!({"doc_id": 0, "doc": {"q": "x"}, "target": target, "arguments": requests, "resps": pairs, "filtered_resps": pairs,
        "filter": "none", "metrics": ["acc"], "acc": acc})
}

/// The labels of the choices as they were read.
fn labels(line: Value) -> Result<Value, Problem> {
    let file = layout(RecordedFormat::LmEval, &[line]);
    let rows = Readings::default().rows(&file.recorded)?;
    Ok(rows[0].columns["choice_correct"].clone())
}

#[test]
fn the_target_of_a_choice_is_its_place_or_its_text() {
    let logliks = [-2.0, -1.0, -3.0];
    for target in [
        json!(1),
        json!("1"),
        json!("choice 1"),
        json!([1]),
        json!("[1]"),
    ] {
        assert_eq!(
            labels(choices(target.clone(), 1.0, &logliks)),
            Ok(json!([0, 1, 0])),
            "{target}"
        );
    }
    assert_eq!(
        labels(choices(json!("[0, 1]"), 1.0, &logliks)),
        Ok(json!([1, 1, 0]))
    );
    for target in [json!(3), json!(-1), json!("other"), json!([]), json!(null)] {
        let said = labels(choices(target.clone(), 1.0, &logliks))
            .unwrap_err()
            .to_string();
        assert!(said.contains("none of its 3 choices"), "{target}: {said}");
    }
    // Of two that are as likely, the first is the answer.
    assert_eq!(
        labels(choices(json!(0), 1.0, &[-1.0, -1.0])),
        Ok(json!([1, 0]))
    );
    let said = labels(choices(json!(0), 1.0, &logliks))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("its `acc` is 1") && said.contains("it is 0"),
        "{said}"
    );
}

#[test]
fn several_requests_that_were_answered_with_texts_are_refused() {
    let answered = |requests: Value, responses: Value| {
        let changes =
            json!({"arguments": requests, "resps": responses, "filtered_resps": responses});
        let file = layout(RecordedFormat::LmEval, &[harness(0, changes)]);
        Readings::default()
            .rows(&file.recorded)
            .map(|rows| rows.len())
    };
    let ask = json!(["ask", {"until": []}]);
    let two = answered(json!([ask, ask]), json!([["a"], ["b"]]))
        .unwrap_err()
        .to_string();
    assert!(two.contains("2 requests were answered with texts"), "{two}");
    // One request with several answers, and two requests of which the filter kept one answer, are read.
    assert_eq!(answered(json!([ask]), json!([["a"], ["b"]])), Ok(2));
    assert_eq!(answered(json!([ask, ask]), json!([["a"]])), Ok(1));
    assert_eq!(
        answered(json!([ask, ask]), json!([["a"], ["b"], ["c"]])),
        Ok(3)
    );
}
