//! The marks that comparisons take of files of other tools.

use driftgauge_data::recording::{Marked, Measure, Readings, Wanted, marks_of};
use driftgauge_problem::Problem;
use driftgauge_spec::spec::RecordedFormat;
use serde_json::{Value, json};

use crate::{file, harness, layout, name};

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
    assert!(marked.asked.values().all(|asked| asked.is_empty()));
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
    assert_eq!(marked.asked["1"]["doc"], json!({"q": "question 1"}));
    assert_eq!(marked.asked["1"]["target"], json!("yes"));
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
    assert_eq!(marked.asked["1"]["goal"], json!("goal 1"));
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
