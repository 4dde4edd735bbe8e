use serde_json::json;

use super::*;

fn reading(name: &str, text: &str) -> Result<Table, Problem> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    read(&path)
}

fn results() -> Vec<Value> {
    vec![
        json!({"id": "r1", "testIdx": 0, "success": true, "failureReason": 0, "response": {"output": "four"}, "vars": {"q": "2+2", "key": "a"}}),
        json!({"id": "r2", "testIdx": 1, "success": false, "failureReason": 1, "error": "Expected output to contain x", "response": {"output": {"a": 1}}, "vars": {"key": "b"}}),
        json!({"id": "r3", "testIdx": 2, "success": false, "failureReason": 2, "error": "429", "vars": {"key": "c"}}),
        json!({"id": "r4", "testIdx": 3, "success": false, "failureReason": 1, "response": {"output": "no"}, "testCase": {"metadata": {"pluginId": "harmful:x"}}, "vars": {"key": "d"}}),
    ]
}

#[test]
fn what_guardrails_flagged_is_no_answer_of_the_model() {
    let result = |guardrails: Value| {
        let result = json!({"testIdx": 0, "success": true, "response": {"output": "blocked", "guardrails": guardrails},
            "testCase": {"metadata": {"pluginId": "harmful"}}});
        let table = reading("r.json", &json!({"results": [result]}).to_string()).unwrap();
        let columns = &table.rows[0].columns;
        let cell = |name: &str| columns.get(name).cloned().unwrap_or_default();
        (cell("verdict"), cell("completion"), cell("correct"))
    };
    for flagged in [
        json!({"flagged": true}),
        json!({"flagged": false, "flaggedOutput": true}),
    ] {
        assert_eq!(result(flagged), ("error".into(), Value::Null, Value::Null));
    }
    for passed in [json!({"flagged": false}), Value::Null] {
        assert_eq!(result(passed), ("safe".into(), "blocked".into(), 1.into()));
    }
}

/// As `--repeat 2` writes them: the count goes on, the test is the same.
#[test]
fn repeats_are_completions_of_one_test() {
    let result = |number: u8, key: &str| {
        json!({"testIdx": number, "promptIdx": 0, "success": number == 0, "vars": {"key": key},
            "testCase": {"vars": {"key": key}, "assert": []}, "response": {"output": "x"}})
    };
    let all = [
        result(0, "a"),
        result(1, "a"),
        result(2, "b"),
        result(3, "b"),
    ];
    let read = reading("r.json", &json!({"results": all}).to_string()).unwrap();
    let places: Vec<_> = read
        .rows
        .iter()
        .map(|row| (row.columns["id"].clone(), row.columns["sample"].clone()))
        .collect();
    let place = |id: u8, sample: u8| (json!(id), json!(sample));
    assert_eq!(places, [place(0, 0), place(0, 1), place(2, 0), place(2, 1)]);
    // Another assertion makes another test.
    let mut other = result(1, "a");
    other["testCase"]["assert"] = json!([{"type": "contains"}]);
    let read = reading(
        "r.json",
        &json!({"results": [result(0, "a"), other]}).to_string(),
    );
    assert_eq!(read.unwrap().rows[1].columns["id"], 1);
}

#[test]
fn every_form_of_the_results_is_the_same() {
    let results = results();
    let third = json!({"evalId": "e", "results": {"version": 3, "results": results}, "config": {}});
    let table = reading("r.json", &third.to_string()).unwrap();
    let second = json!({"results": {"version": 2, "results": results, "table": {}}});
    assert_eq!(
        reading("r.json", &second.to_string()).unwrap().rows,
        table.rows
    );
    let lines: Vec<String> = results.iter().map(Value::to_string).collect();
    assert_eq!(
        reading("r.jsonl", &lines.join("\n")).unwrap().rows,
        table.rows
    );
    let cell = |row: usize, name: &str| {
        table.rows[row]
            .columns
            .get(name)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(
        (cell(0, "id"), cell(0, "completion"), cell(0, "correct")),
        (json!(0), "four".into(), json!(1))
    );
    // An assertion that failed is no error.
    assert_eq!(
        (cell(1, "completion"), cell(1, "correct"), cell(1, "error")),
        ("{\"a\":1}".into(), json!(0), Value::Null)
    );
    assert_eq!(
        (cell(2, "completion"), cell(2, "correct"), cell(2, "error")),
        (Value::Null, Value::Null, "429".into())
    );
    assert_eq!(
        (cell(3, "verdict"), cell(1, "verdict")),
        ("unsafe".into(), Value::Null)
    );
}

/// A wrong answer is one that an assertion was held against.
#[test]
fn an_error_is_one_unless_an_assertion_said_it() {
    let row = |more: Value| {
        let mut result = json!({"testIdx": 0, "success": false, "response": {"output": ""}, "vars": {"key": "a"}});
        for (key, value) in more.as_object().unwrap() {
            result[key] = value.clone();
        }
        let read = reading("r.json", &json!({"results": [result]}).to_string());
        read.map(|table| table.rows[0].columns.clone())
    };
    let failed = "Expected output to contain x";
    for (more, error) in [
        (json!({"error": "429"}), Some("429")),
        (
            json!({"error": "429", "failureReason": "ERROR"}),
            Some("429"),
        ),
        (json!({"error": "429", "failureReason": 0}), Some("429")),
        (
            json!({"error": "429", "failureReason": null, "gradingResult": null}),
            Some("429"),
        ),
        (
            json!({"error": "429", "gradingResult": {"pass": false, "reason": failed}}),
            Some("429"),
        ),
        (json!({"failureReason": 2}), Some("error")),
        // Whatever an object says of itself, it is one.
        (json!({"error": {}}), Some("{}")),
        (json!({"error": {"message": "none"}}), Some("error: none")),
        (json!({"error": failed, "failureReason": 1}), None),
        (json!({"error": failed, "failureReason": "ASSERT"}), None),
        (
            json!({"error": failed, "gradingResult": {"pass": false, "reason": failed}}),
            None,
        ),
        (json!({"error": null}), None),
        (json!({"error": " "}), None),
    ] {
        let columns = row(more.clone()).unwrap();
        let told = columns.get("error").and_then(Value::as_str);
        assert_eq!(told, error, "{more}");
        let correct = columns.get("correct").cloned();
        assert_eq!(correct, error.is_none().then(|| json!(0)), "{more}");
        assert_eq!(
            columns.contains_key("completion"),
            error.is_none(),
            "{more}"
        );
    }
    let unknown = row(json!({"error": "429", "failureReason": "timeout"}));
    let unknown = unknown.unwrap_err().to_string();
    assert!(
        unknown.contains("`failureReason` is \"timeout\""),
        "{unknown}"
    );
}

#[test]
fn what_is_missing_is_named() {
    for (text, part) in [
        (
            json!({"results": {"results": [{"success": true}]}}),
            "result 1: there is neither `response.output` nor `error`",
        ),
        (
            json!({"results": {"results": [{"response": {"output": "x"}}]}}),
            "result 1: there is no `success`",
        ),
        (json!({"outputs": []}), "no list of `results`"),
    ] {
        let said = reading("r.json", &text.to_string())
            .unwrap_err()
            .to_string();
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_ended_an_answer_is_read() {
    let read = |response: Value, more: Value| {
        let mut result =
            json!({"testIdx": 0, "success": true, "response": response, "vars": {"key": "a"}});
        for (key, value) in more.as_object().unwrap() {
            result[key] = value.clone();
        }
        let read = reading("r.json", &json!({"results": [result]}).to_string());
        read.map(|table| table.rows[0].columns.clone())
    };
    let end = |reason: &str| json!({"output": "x", "finishReason": reason});
    for (reason, finish) in [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
    ] {
        let row = read(end(reason), json!({})).unwrap();
        assert_eq!(
            (&row["finish_reason"], &row["completion"]),
            (&json!(finish), &json!("x"))
        );
    }
    let unsaid = read(json!({"output": "x"}), json!({})).unwrap();
    assert_eq!(unsaid.get("finish_reason"), None);
    let withheld = read(end("content_filter"), json!({})).unwrap();
    assert_eq!(
        (withheld.get("completion"), withheld.get("correct")),
        (None, None)
    );
    assert_eq!(withheld["error"], json!(WITHHELD));
    let refused = read(end("tool_calls"), json!({})).unwrap_err();
    assert!(refused.to_string().contains("`tool_calls`"), "{refused}");
}

#[test]
fn two_words_on_one_result_have_to_agree() {
    let read = |success: bool, pass: bool| {
        let result = json!({"testIdx": 0, "success": success, "response": {"output": "x"}, "vars": {"key": "a"},
            "gradingResult": {"pass": pass, "reason": "r"}});
        reading("r.json", &json!({"results": [result]}).to_string())
    };
    assert!(read(true, true).is_ok() && read(false, false).is_ok());
    let refused = read(true, false).unwrap_err().to_string();
    assert!(refused.contains("`success` is true"), "{refused}");
}
