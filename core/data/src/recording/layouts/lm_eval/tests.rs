use super::*;

fn reading(text: &str) -> Result<Table, Problem> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples_task.jsonl");
    std::fs::write(&path, text).unwrap();
    read(&path)
}

fn cell(table: &Table, row: usize, name: &str) -> Value {
    table.rows[row]
        .columns
        .get(name)
        .cloned()
        .unwrap_or(Value::Null)
}

#[test]
fn generated_answers_keep_the_lines_own_fields() {
    let line = |filter: &str, response: &str, exact: u8| {
        format!(
            r#"{{"doc_id": 3, "doc": {{"q": "x"}}, "arguments": {{"gen_args_0": {{"arg_0": "q", "arg_1": {{"until": []}}}}}}, "filter": "{filter}", "resps": [["raw"]], "filtered_resps": ["{response}"], "exact_match": {exact}}}"#
        )
    };
    let text = format!(
        "{}\n{}\n",
        line("strict-match", "4", 1),
        line("flexible-extract", "5", 0)
    );
    let table = reading(&text).unwrap();
    assert_eq!(
        (cell(&table, 0, "completion"), cell(&table, 0, "correct")),
        ("4".into(), json!(1.0))
    );
    assert_eq!(
        (cell(&table, 1, "filter"), cell(&table, 1, "id")),
        ("flexible-extract".into(), 3.into())
    );
    // Several answers of one prompt have no mark each.
    let repeats = r#"{"doc_id": 0, "resps": [["a", "b"]], "filtered_resps": [["a", "b"]], "exact_match": 1.0}"#;
    let table = reading(repeats).unwrap();
    assert_eq!(
        (cell(&table, 1, "completion"), cell(&table, 1, "sample")),
        ("b".into(), 1.into())
    );
    assert_eq!(cell(&table, 1, "correct"), Value::Null);
    // Whatever the task's metric is called.
    let named = repeats.replace("exact_match", "correct");
    let table = reading(&named).unwrap();
    assert_eq!(cell(&table, 0, "correct"), Value::Null);
}

#[test]
fn multiple_choice_of_old_and_new_versions_is_the_same() {
    let old = r#"[{"doc_id": 0, "target": 1, "arguments": [["q", " a"], ["q", " bé"]], "resps": [[[-3.5, false]], [[-1.25, true]]], "filtered_resps": [[-3.5, false], [-1.25, true]], "acc": 1.0, "acc_norm": 0.0}]"#;
    let new = r#"{"doc_id": 0, "target": "1", "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": " a"}, "gen_args_1": {"arg_0": "q", "arg_1": " bé"}}, "resps": [[["-3.5", "False"]], [["-1.25", "True"]]], "filtered_resps": [["-3.5", "False"], ["-1.25", "True"]], "filter": "none", "metrics": ["acc"], "acc": 1.0}"#;
    let by_text = new.replace("\"target\": \"1\"", "\"target\": \"bé\"");
    for text in [old, new, &by_text] {
        let table = reading(text).unwrap();
        assert_eq!(cell(&table, 0, "choice_loglik"), json!([-3.5, -1.25]));
        assert_eq!(cell(&table, 0, "choice_correct"), json!([0, 1]));
        assert_eq!(cell(&table, 0, "choice_characters"), json!([1, 2]));
        assert_eq!(
            cell(&table, 0, "completion"),
            Value::Null,
            "no completion was made"
        );
        assert_eq!(cell(&table, 0, "correct"), json!(1.0));
    }
}

#[test]
fn a_target_that_is_an_index_and_a_choice_is_what_the_marks_say() {
    let line = |id: u8, target: &str, logliks: [f64; 3], acc: &str| {
        let arguments = r#"[["p", " 1"], ["p", " 2"], ["p", " 3"]]"#;
        let [a, b, c] = logliks;
        format!(
            r#"{{"doc_id": {id}, "target": {target}, "arguments": {arguments}, "filtered_resps": [[{a}, true], [{b}, false], [{c}, false]]{acc}}}"#
        )
    };
    let first = [-1.0, -2.0, -3.0];
    let acc = |mark: u8| format!(", \"acc\": {mark}");
    for target in ["\"1\"", "\"[\\\"1\\\"]\""] {
        let error = reading(&line(0, target, first, "")).unwrap_err();
        let parts = ["sample 1: its `target` is ", "no `acc` tells", "hint: "];
        let error = error.to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    // The likeliest is the choice `1`, at the index 0.
    let labels =
        |text: &str, row: usize| reading(text).map(|table| cell(&table, row, "choice_correct"));
    let text = line(0, "\"1\"", first, &acc(1));
    assert_eq!(labels(&text, 0), Ok(json!([1, 0, 0])));
    let text = line(0, "\"1\"", first, &acc(0));
    assert_eq!(labels(&text, 0), Ok(json!([0, 1, 0])));
    // A number is an index; what is one thing alone, or the same by both, is no question.
    for (target, right) in [
        ("1", json!([0, 1, 0])),
        ("\"3\"", json!([0, 0, 1])),
        ("\"0\"", json!([1, 0, 0])),
    ] {
        assert_eq!(labels(&line(0, target, first, ""), 0), Ok(right));
    }
    // A mark that fits both is told what it means by one that fits one, and not by two that differ.
    let unclear = line(1, "\"2\"", first, &acc(0));
    assert!(labels(&unclear, 0).is_err());
    let clear = line(0, "\"1\"", first, &acc(1));
    assert_eq!(
        labels(&format!("{clear}\n{unclear}"), 1),
        Ok(json!([0, 1, 0]))
    );
    let other = line(2, "\"1\"", first, &acc(0));
    assert!(labels(&format!("{clear}\n{unclear}\n{other}"), 1).is_err());
}

#[test]
fn choices_that_were_asked_twice_count_once() {
    let text = r#"{"doc_id": 0, "target": 0, "arguments": [["q", "a"], ["q", "b"], ["", "a"], ["", "b"]], "filtered_resps": [[-1, true], [-2, false], [-3, false], [-4, false]], "acc": 1.0, "acc_mutual_info": 1.0}"#;
    let table = reading(text).unwrap();
    assert_eq!(cell(&table, 0, "choice_loglik"), json!([-1.0, -2.0]));
}

#[test]
fn other_requests_have_no_completion_either() {
    let pair = r#"{"doc_id": 0, "arguments": [["q", " a"]], "filtered_resps": [[-3.5, false]], "acc": 0.0}"#;
    assert_eq!(cell(&reading(pair).unwrap(), 0, "loglik"), json!(-3.5));
    let rolling = r#"{"doc_id": 0, "arguments": {"gen_args_0": {"arg_0": "text"}}, "filtered_resps": ["-12.5"]}"#;
    let table = reading(rolling).unwrap();
    assert_eq!(
        (cell(&table, 0, "loglik"), cell(&table, 0, "completion")),
        (json!(-12.5), Value::Null)
    );
}

#[test]
fn what_would_be_misread_is_refused() {
    for (text, parts) in [
        (
            r#"{"doc_id": 0, "logit_0": -1}"#,
            ["sample 1", "neither `filtered_resps` nor `resps`"],
        ),
        (r#"{"resps": [["a"]]}"#, ["sample 1", "no `doc_id`"]),
        (
            r#"{"doc_id": 0, "target": 7, "filtered_resps": [[-1, true], [-2, false]]}"#,
            ["`target` is 7", "none of its 2 choices"],
        ),
        (
            r#"{"doc_id": 0, "target": 0, "filtered_resps": [[-1, true], [-2, false]], "acc": 0.73}"#,
            ["`acc` is 0.73", "it is 1"],
        ),
        (
            r#"{"doc_id": 0, "filtered_resps": []}"#,
            ["sample 1", "empty"],
        ),
        (
            r#"{"doc_id": 0, "target": 0, "arguments": [["p", " 1"], ["p", " 2"], ["p", " 3"]], "filtered_resps": [[-1, true], [-2, false]]}"#,
            [
                "sample 1",
                "3 requests in `arguments` and 2 of their responses",
            ],
        ),
        (
            r#"{"doc_id": 0, "arguments": {"gen_args_0": {"arg_0": "p", "arg_1": " a"}, "gen_args_1": {"arg_0": "p", "arg_1": " b"}}, "filtered_resps": [["-1", "True"]]}"#,
            ["2 requests in `arguments` and 1 of", "hint: "],
        ),
    ] {
        let said = reading(text).unwrap_err().to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}
