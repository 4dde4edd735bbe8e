use serde_json::json;

use super::*;

fn marked(name: &str, text: &str, wanted: &Wanted) -> Result<Marked, Problem> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    marks_of(&path, wanted)
}

#[test]
fn verdicts_and_marks_are_numbers_and_the_rest_is_absent() {
    let text = r#"{"b": [{"generation": "x", "label": 1}, {"generation": "y", "label": 0}, {"generation": "z", "label": -1}],
            "a": [{"generation": "x", "label": null}]}"#;
    let found = marked("m.json", text, &Wanted::default()).unwrap();
    assert_eq!(found.ids, ["a", "b"]);
    assert_eq!((found.completions, found.counted), (3, false));
    let marks = &found.marks[&Measure::Unsafe("recorded".to_owned())];
    assert_eq!(marks.source, "label");
    assert_eq!(marks.values, [None, Some(0.5)]);
    let own = marked(
        "r.csv",
        "id,correct,verdict,error\nq,1.0,safe,\np,,,timed out\n",
        &Wanted::default(),
    );
    let own = own.unwrap();
    assert_eq!(own.ids, ["p", "q"]);
    assert_eq!(own.marks[&Measure::Accuracy].values, [None, Some(1.0)]);
    let judged = &own.marks[&Measure::Unsafe("recorded".to_owned())];
    assert_eq!(judged.values, [None, Some(0.0)]);
}

#[test]
fn what_was_not_made_is_neither_right_nor_wrong() {
    let text = r#"{"id": 0, "correct": 0, "verdict": "safe", "error": null}
{"id": 1, "correct": 0, "verdict": "unsafe", "error": "timed out"}
{"id": 2, "correct": null, "verdict": "unsafe"}
{"id": 3, "correct": "True", "verdict": "safe"}
"#;
    let found = marked("own.jsonl", text, &Wanted::default()).unwrap();
    let accuracy = &found.marks[&Measure::Accuracy].values;
    assert_eq!(*accuracy, [Some(0.0), None, None, Some(1.0)]);
    let judged = &found.marks[&Measure::Unsafe("recorded".to_owned())].values;
    assert_eq!(*judged, [Some(0.0), None, Some(1.0), Some(0.0)]);
    assert_eq!(
        found.notes,
        [
            "`own.jsonl`: 1 of 4 completions were not made (they have an error), and count in no number",
            "`own.jsonl`: 1 of 4 completions are neither right nor wrong by `correct`, and count in no accuracy",
        ]
    );
    let log = json!({"version": 2, "status": "success", "eval": {"task": "t"}, "samples": [
            {"id": "a", "epoch": 1, "input": "q", "scores": {"m": {"value": "I"}}, "error": {"message": "timed out"},
                "output": {"choices": [{"message": {"content": "x"}, "stop_reason": "stop"}]}},
            {"id": "b", "epoch": 1, "input": "r", "scores": {"m": {"value": "C"}},
                "output": {"choices": [{"message": {"content": "x"}, "stop_reason": "stop"}]}}]});
    let found = marked("log.json", &log.to_string(), &Wanted::default()).unwrap();
    assert_eq!(found.marks[&Measure::Accuracy].values, [None, Some(1.0)]);
    assert!(found.notes[0].contains("1 of 2 completions were not made"));
}

#[test]
fn what_is_neither_true_nor_false_is_refused() {
    let read = |cell: &str| {
        let text = format!("{{\"id\": 0, \"correct\": 1}}\n{{\"id\": 1, \"correct\": {cell}}}\n");
        marked("own.jsonl", &text, &Wanted::default())
    };
    for (cell, mark) in [
        ("\"False\"", 0.0),
        ("\" true\"", 1.0),
        ("0.5", 0.5),
        ("[1]", 1.0),
    ] {
        let found = read(cell).unwrap();
        assert_eq!(found.marks[&Measure::Accuracy].values[1], Some(mark));
    }
    for cell in ["2", "-1", "\"right\"", "[1, 0]"] {
        let said = read(cell).unwrap_err().to_string();
        assert!(said.contains("row 2"), "{cell}: {said}");
    }
}

#[test]
fn counted_ids_come_with_what_was_asked() {
    let line = |id: u8, doc: &str| {
        format!(
            r#"{{"doc_id": {id}, "doc": {doc}, "filtered_resps": ["x"], "metrics": ["exact_match", "f1"], "exact_match": 1.0, "f1": 0.5}}"#
        )
    };
    let text = [
        line(1, r#"{"n": 7, "k": true}"#),
        line(0, r#"{"n": "7", "k": "True"}"#),
    ]
    .join("\n");
    let found = marked("s.jsonl", &text, &Wanted::default()).unwrap();
    assert!(found.counted);
    // Versions write leaves as values or as text.
    assert_eq!(found.asked["0"], found.asked["1"]);
    assert_eq!(found.marks[&Measure::Accuracy].source, "exact_match");
    assert_eq!(
        found.marks[&Measure::Other("f1".to_owned())].values,
        [Some(0.5); 2]
    );
    let by_doc = Wanted {
        id: Some("doc.n".to_owned()),
        ..Wanted::default()
    };
    let twice = marked("s.jsonl", &text, &by_doc).unwrap_err().to_string();
    assert!(twice.contains("`7` more than once"), "{twice}");
    assert!(found.distinct.contains_key("doc_id") && !found.distinct.contains_key("doc.n"));
}
