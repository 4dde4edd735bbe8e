use super::super::zip::tests::archive;
use super::*;

fn reading(name: &str, bytes: &[u8]) -> Result<RecordedFile, Problem> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

fn samples() -> [Value; 3] {
    [
        json!({"id": 1, "epoch": 1, "input": "q", "target": "x", "scores": {"match": {"value": "C", "answer": "x"}},
                "output": {"choices": [{"message": {"role": "assistant", "content": "x"}, "stop_reason": "stop"}]}}),
        json!({"id": 2, "epoch": 1, "scores": {"match": {"value": "I"}},
                "output": {"choices": [{"message": {"content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "attachment://k"}]}, "stop_reason": "max_tokens"}]},
                "attachments": {"k": "long"}}),
        json!({"id": 3, "epoch": 1, "error": {"message": "timed out", "traceback": "..."}, "scores": {}, "output": {"choices": []}}),
    ]
}

#[test]
fn both_forms_of_a_log_are_the_same() {
    let samples = samples();
    let log = json!({"version": 2, "status": "success", "eval": {"task": "t"}, "samples": samples});
    let plain = reading("log.json", log.to_string().as_bytes()).unwrap();
    let texts = samples.map(|sample| sample.to_string());
    for method in [8, 93] {
        let packed = archive(&[
            ("header.json", method, b"{}"),
            ("samples/1_epoch_1.json", method, texts[0].as_bytes()),
            ("samples/2_epoch_1.json", method, texts[1].as_bytes()),
            ("samples/3_epoch_1.json", method, texts[2].as_bytes()),
        ]);
        assert_eq!(reading("log.eval", &packed).unwrap().rows, plain.rows);
    }
    let cell = |row: usize, name: &str| {
        plain.rows[row]
            .columns
            .get(name)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(
        (
            cell(0, "completion"),
            cell(0, "correct"),
            cell(0, "finish_reason")
        ),
        ("x".into(), json!(1.0), "stop".into())
    );
    assert_eq!(
        (
            cell(1, "completion"),
            cell(1, "correct"),
            cell(1, "finish_reason")
        ),
        ("long".into(), json!(0.0), "length".into())
    );
    assert_eq!(
        (cell(2, "completion"), cell(2, "error"), cell(2, "correct")),
        (Value::Null, "timed out".into(), Value::Null)
    );
    assert_eq!(cell(0, "scores"), json!({"match": 1.0}));
}

#[test]
fn epochs_that_inspect_takes_together_otherwise_are_told() {
    let log = |reducer: &str| json!({"eval": {"config": {"epochs": 2, "epochs_reducer": [reducer]}}, "samples": samples()});
    let notes = |reducer: &str| {
        reading("log.json", log(reducer).to_string().as_bytes())
            .unwrap()
            .notes
    };
    assert!(notes("mean").is_empty());
    assert!(
        notes("max")[0].contains("together by `max`"),
        "{:?}",
        notes("max")
    );
    let header = log("pass_at_2").to_string();
    let sample = samples()[0].to_string();
    let packed = archive(&[
        ("header.json", 8, header.as_bytes()),
        ("samples/1_epoch_1.json", 8, sample.as_bytes()),
    ]);
    let notes = reading("log.eval", &packed).unwrap().notes;
    assert!(notes[0].contains("`pass_at_2`"), "{notes:?}");
}

#[test]
fn of_several_scorers_none_is_taken_unasked() {
    let sample = json!({"id": "a", "epoch": 1, "scores": {"one": {"value": "P"}, "two": {"value": 0.25}}, "output": {"completion": "x", "choices": []}});
    let log = json!({"eval": {}, "samples": [sample]});
    let table = reading("log.json", log.to_string().as_bytes()).unwrap();
    let columns = &table.rows[0].columns;
    assert_eq!(columns["scores"], json!({"one": 0.5, "two": 0.25}));
    assert!(!columns.contains_key("correct"));
    assert_eq!(columns["completion"], "x");
}

/// A log of one sample, with what is put into it.
fn one(more: Value) -> Result<RecordedFile, Problem> {
    let mut sample = json!({"id": 1, "epoch": 1, "scores": {"m": {"value": "C"}},
            "output": {"choices": [{"message": {"content": "x"}, "stop_reason": "stop"}]}});
    let Value::Object(more) = more else {
        panic!("no object")
    };
    for (path, value) in more {
        let mut place = &mut sample;
        for key in path.split('.') {
            place = match key.parse::<usize>() {
                Ok(at) => &mut place[at],
                Err(_) => &mut place[key],
            };
        }
        *place = value;
    }
    let log = json!({"status": "success", "eval": {}, "samples": [sample]});
    reading("log.json", log.to_string().as_bytes())
}

const REASON: &str = "output.choices.0.stop_reason";
const CONTENT: &str = "output.choices.0.message.content";
const CALLS: &str = "output.choices.0.message.tool_calls";

#[test]
fn what_failed_is_no_answer_and_has_no_mark() {
    let cut = json!({"type": "message", "limit": 9});
    for (more, error) in [
        (
            json!({"output.error": "429 quota", CONTENT: ""}),
            "429 quota",
        ),
        (json!({REASON: "content_filter"}), "`content_filter`"),
        (
            json!({REASON: "content_filter", CONTENT: ""}),
            "`content_filter`",
        ),
        (
            json!({"invalidation": {"reason": "bad"}}),
            "invalidated in inspect: bad",
        ),
        (json!({"invalidation": {}}), "invalidated in inspect"),
        (
            json!({"limit": cut, CONTENT: ""}),
            "the limit `message` was reached",
        ),
        (
            json!({"limit": cut, "output.choices": [], "output.completion": ""}),
            "the limit `message`",
        ),
        (
            json!({"limit": cut, CONTENT: "", REASON: "tool_calls", CALLS: [{"function": "f"}]}),
            "the limit `message`",
        ),
        // Whatever an object says of itself, it is an error.
        (json!({"error": {}}), "{}"),
        (json!({"error": {"message": "none"}}), "error: none"),
        (json!({"output.error": false}), "error: false"),
        // What it holds besides is not looked at.
        (
            json!({"error": {"message": "timed out"}, CONTENT: [{"type": "image"}]}),
            "timed out",
        ),
    ] {
        let table = one(more.clone()).unwrap();
        let columns = &table.rows[0].columns;
        let told = columns["error"].as_str().unwrap_or_default();
        assert!(told.contains(error), "{more}: {told}");
        assert_eq!(columns["finish_reason"], "error", "{more}");
        assert!(!columns.contains_key("completion"), "{more}");
        assert!(!columns.contains_key("correct"), "{more}");
    }
    // Nothing was generated, and nothing says why: there is no completion, not an empty one.
    let none = one(json!({"output.choices": [], "output.completion": ""})).unwrap();
    assert!(!none.rows[0].columns.contains_key("completion"));
}

#[test]
fn an_answer_ended_as_its_reason_and_its_limit_say() {
    for (more, finish) in [
        (json!({}), "stop"),
        (
            json!({"limit": null, "invalidation": null, "output.error": null}),
            "stop",
        ),
        (
            json!({REASON: "tool_calls", CALLS: [{"function": "submit"}]}),
            "stop",
        ),
        (json!({REASON: "model_length"}), "length"),
        (json!({"limit": {"type": "time", "limit": 5}}), "length"),
        (
            json!({"limit": {"type": "operator", "limit": 1}, REASON: "max_tokens"}),
            "length",
        ),
    ] {
        let table = one(more.clone()).unwrap();
        let columns = &table.rows[0].columns;
        assert_eq!(columns["finish_reason"], finish, "{more}");
        assert_eq!(columns["completion"], "x", "{more}");
        assert_eq!(columns["correct"], 1.0, "{more}");
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (more, part) in [
        (json!({REASON: "unknown"}), "`stop_reason` is \"unknown\""),
        (json!({REASON: null}), "`stop_reason` is null"),
        (
            json!({"limit": {"type": "moon"}}),
            "{\"type\":\"moon\"}, which is not known",
        ),
        (
            json!({CONTENT: [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]}),
            "type \"refusal\", which is no text",
        ),
        (
            json!({CONTENT: [{"type": "image", "image": "data:"}]}),
            "type \"image\"",
        ),
        (json!({CONTENT: [{"text": "a"}]}), "type null"),
        (json!({CONTENT: [{"type": "text"}]}), "type \"text\""),
        (json!({CONTENT: null}), "no `content`"),
        (
            json!({CONTENT: " ", CALLS: [{"function": "f"}, {"function": "g"}]}),
            "calls of tools (`f`, `g`), and has no text",
        ),
        (
            json!({CONTENT: "", REASON: "tool_calls"}),
            "calls of tools, and has no text",
        ),
    ] {
        let said = one(more).unwrap_err().to_string();
        assert!(
            said.contains("sample 1 of epoch 1: ") && said.contains(part),
            "{said}"
        );
    }
}

#[test]
fn a_run_that_did_not_end_is_told() {
    let notes = |log: &Value| reading("log.json", log.to_string().as_bytes()).map(|t| t.notes);
    let of = |status: &str| json!({"status": status, "eval": {}, "samples": samples()});
    assert!(notes(&of("success")).unwrap().is_empty());
    for status in ["started", "cancelled", "error"] {
        let said = notes(&of(status)).unwrap();
        assert!(said[0].contains(&format!("is `{status}`")), "{said:?}");
    }
    let unknown = notes(&of("moon")).unwrap_err().to_string();
    assert!(unknown.contains("`status` is \"moon\""), "{unknown}");
    let sample = samples()[0].to_string();
    let sample = ("samples/1_epoch_1.json", 8, sample.as_bytes());
    let header = of("cancelled").to_string();
    let packed = archive(&[("header.json", 8, header.as_bytes()), sample]);
    let said = reading("log.eval", &packed).unwrap().notes;
    assert!(said[0].contains("is `cancelled`"), "{said:?}");
    // The header is written last.
    let said = reading("log.eval", &archive(&[sample])).unwrap().notes;
    assert!(said[0].contains("is `started`"), "{said:?}");
    let torn = archive(&[("header.json", 8, b"{"), sample]);
    let said = reading("log.eval", &torn).unwrap_err().to_string();
    assert!(said.contains("`header.json` in "), "{said}");
}

#[test]
fn what_would_be_misread_is_refused() {
    let twice = json!({"id": 1, "output": {"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}});
    for (log, parts) in [
        (
            json!({"eval": {}, "samples": [twice]}),
            ["sample 1", "2 choices"],
        ),
        (json!({"eval": {}, "samples": []}), ["no samples", "hint: "]),
        (json!({"samples": [{}]}), ["no log of inspect", ""]),
        (
            json!({"eval": {}, "samples": [{"epoch": 1}]}),
            ["no `id`", ""],
        ),
    ] {
        let said = reading("log.json", log.to_string().as_bytes())
            .unwrap_err()
            .to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn what_is_no_answer_of_the_model_is_refused() {
    let mut asked = samples();
    asked[0]["output"]["choices"][0]["message"]["role"] = json!("user");
    let log = |version: u64, samples: &[Value]| {
        let log = json!({"version": version, "eval": {"task": "t"}, "samples": samples});
        reading("log.json", log.to_string().as_bytes())
    };
    let said = log(2, &asked).unwrap_err().to_string();
    assert!(said.contains("`role` of its answer is \"user\""), "{said}");
    let said = log(9, &samples()).unwrap_err().to_string();
    assert!(said.contains("its `version` is 9"), "{said}");
}

#[test]
fn marks_that_are_words_are_told() {
    let mut graded = samples();
    graded[1]["scores"]["match"]["value"] = json!("incorrect");
    let log = json!({"version": 2, "eval": {"task": "t"}, "samples": graded});
    let table = reading("log.json", log.to_string().as_bytes()).unwrap();
    assert!(
        table.notes[0].contains("1 of 3 marks of the scorer `match` are words")
            && table.notes[0].contains("`incorrect`"),
        "{:?}",
        table.notes
    );
}
