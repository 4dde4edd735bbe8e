//! Rows of one's own: each cell arrives where it belongs, or is refused before a run.

use std::collections::HashSet;

use driftgauge_data::dataset::Row;
use driftgauge_data::recording::{
    Asked, ConditionRows, Readings, Recorded, check, check_rows, check_samples, select,
};
use driftgauge_problem::Problem;
use driftgauge_record::{FinishReason, Sample, VerdictLabel};
use driftgauge_spec::spec::RecordedFormat;
use serde_json::{Value, json};

use crate::{file, harness, layout, name};

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
        &select(&file.recorded.file.path, &file.recorded.mapping, &rows)?,
    )?;
    let ids = [("a", 0)].into_iter();
    check_samples(&rows, &file.recorded, ASKED, 1, ids, &mut HashSet::new())
}

const ASKED: Asked<'static> = Asked {
    condition: "default",
    judged: false,
    dataset_id: Some("id"),
};

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
        // An object is an error, whatever it says of itself.
        (json!({}), "{}"),
        (json!({"message": "none"}), "none"),
        (json!({"message": null}), "{\"message\":null}"),
        (json!({"message": " "}), "{\"message\":\" \"}"),
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

/// A finish reason of `error` is a failure where nothing else says why.
#[test]
fn a_row_that_ended_in_an_error_has_no_answer() {
    let ended = |error: Value| filled(line(json!({"why": "error", "error": error}))).unwrap();
    let sample = ended(Value::Null);
    assert_eq!(
        sample.error.as_deref(),
        Some("its finish reason is `error`")
    );
    assert_eq!(sample.completion.finish_reason, FinishReason::Error);
    assert_eq!(ended(json!("cut")).error.as_deref(), Some("cut"));
    let bare =
        line(json!({"why": "error", "text": null, "lp": null, "eos": null, "v": null, "kl": null}));
    assert_eq!(found(bare), Ok(()));
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
fn completions_count_on_from_the_first_one() {
    let file_of = |counts: &[u64]| {
        let lines: Vec<Value> = counts.iter().map(|k| line(json!({"k": k}))).collect();
        let mut file = file(&lines);
        file.recorded.mapping.sample = name("k");
        file
    };
    let said = |counts: &[u64]| {
        let file = file_of(counts);
        let rows = Readings::default().rows(&file.recorded).unwrap();
        let none = std::iter::empty();
        check_samples(&rows, &file.recorded, ASKED, 1, none, &mut HashSet::new()).unwrap_err()
    };
    for counts in [&[2, 3][..], &[2], &[0, 2]] {
        let said = said(counts);
        assert!(
            said.message.contains("completion 2 of sample `a`"),
            "{said}"
        );
        assert!(!said.help.unwrap().contains("samples: "));
    }
    // One beyond what can be counted.
    let said = said(&[u64::MAX]);
    assert!(said.message.contains("is no index of a sample"), "{said}");
}

#[test]
fn what_names_itself_an_error_is_no_wrong_answer() {
    let of = |theirs: Value| {
        let mut file = file(&[line(theirs)]);
        file.recorded.mapping.error = None;
        file.recorded.mapping.finish_reason = None;
        let rows = Readings::default().rows(&file.recorded).unwrap();
        let rows = ConditionRows::of(&rows, &file.recorded, ASKED).unwrap();
        let sample = rows.fill(Sample::unanswered("a".to_owned(), 0, Vec::new()));
        sample.map(|sample| sample.error)
    };
    assert_eq!(
        of(json!({"error": "timeout"})),
        Ok(Some("timeout".to_owned()))
    );
    let ended = of(json!({"finish_reason": "error"})).unwrap();
    assert!(ended.unwrap().contains("finish reason is `error`"));
    // A measure of something, and what says that nothing is wrong.
    for none in [
        json!({"error": 0.25}),
        json!({"error": "None"}),
        json!({"finish_reason": "eos"}),
    ] {
        assert_eq!(of(none), Ok(None));
    }
}

#[test]
fn a_sample_without_a_mark_is_named_as_one() {
    let file = layout(
        RecordedFormat::LmEval,
        &[
            harness(0, json!({})),
            harness(1, json!({"exact_match": 0.5})),
        ],
    );
    let rows = Readings::default().rows(&file.recorded).unwrap();
    let all: Vec<_> = rows.iter().collect();
    let said = check(&file.recorded.file.path, &file.recorded.mapping, &all).unwrap_err();
    assert!(
        said.message.contains("row 2: it has no mark of 0 or 1"),
        "{said}"
    );
    assert!(said.help.unwrap().contains("leave such samples out"));
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
    assert_eq!((rows.len(), rows[0].number().as_str()), (1, "1"));
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

#[test]
fn rows_are_held_against_every_column_that_both_name() {
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
    assert!(said.contains("samples are counted"), "{said}");
    // Equal ids prove nothing.
    let mut by_id = file.recorded.clone();
    by_id.mapping.id = name("doc_id");
    let said = check_rows(&rows, &by_id, ASKED, &dataset("another")).unwrap_err();
    assert!(
        said.help
            .unwrap()
            .contains("as it was when this was recorded")
    );
    assert_eq!(check_rows(&rows, &by_id, ASKED, &dataset(long)), Ok(()));
    // Without a text that both have there is nothing to hold against each other.
    let mut other = dataset("another");
    other[0].columns = serde_json::from_value(json!({"p": "x"})).unwrap();
    assert_eq!(check_rows(&rows, &file.recorded, asked, &other), Ok(()));
}

/// Rows of a dataset with their own ids, and lines of a recording beside them.
fn held(pairs: &[(Value, Value)]) -> Result<(), Problem> {
    let lines: Vec<Value> = pairs
        .iter()
        .enumerate()
        .map(|(id, (_, theirs))| {
            let mut line = line(theirs.clone());
            line["id"] = id.into();
            line
        })
        .collect();
    let dataset = pairs.iter().enumerate().map(|(id, (ours, _))| Row {
        id: id.to_string(),
        columns: serde_json::from_value(ours.clone()).unwrap(),
    });
    let file = file(&lines);
    let rows = Readings::default().rows(&file.recorded)?;
    check_rows(&rows, &file.recorded, ASKED, &dataset.collect::<Vec<_>>())
}

#[test]
fn what_two_files_write_otherwise_is_the_same() {
    for (ours, theirs) in [
        (json!(1), json!("1")),
        (json!(1.0), json!("1")),
        (json!(0.1), json!(0.100_000_001_490_116_12)),
        (json!(true), json!("True")),
        (json!(" a  b"), json!("a\nb ")),
        (json!("x"), json!(["x"])),
        (json!(["x", 1]), json!("[\"x\", \"1\"]")),
        (json!({"a": 1, "c": 2}), json!({"a": "1", "b": 2})),
        // In other forms, or on one side alone.
        (json!("a b"), json!(["a", "b"])),
        (json!("x"), json!(null)),
        (json!(""), json!("x")),
        // In a template.
        (json!("Who?"), json!("Say who. Who? Be short.")),
    ] {
        let pair = (json!({"x": ours}), json!({"x": theirs}));
        assert_eq!(held(&[pair]), Ok(()), "{ours} {theirs}");
    }
    for (ours, theirs) in [
        (json!(1), json!(2)),
        (json!(100_000_001), json!(100_000_002)),
        (json!("a"), json!("A")),
        (json!(["x", "y"]), json!(["y", "x"])),
        (json!("01"), json!("1")),
    ] {
        let pair = (json!({"x": ours}), json!({"x": theirs}));
        let said = held(&[pair]).unwrap_err().to_string();
        assert!(said.contains("says something else under `0`"), "{said}");
    }
}

#[test]
fn names_that_are_other_things_prove_nothing() {
    let row = |ours: Value, theirs: Value| (ours, theirs);
    // What the model said, and marks; and a column that nothing of the dataset is found in.
    assert_eq!(
        held(&[
            row(
                json!({"answer": "a", "text": "x", "source": "wiki"}),
                json!({"answer": "b", "text": "no", "source": "run 1"})
            ),
            row(
                json!({"answer": "b", "text": "y", "source": "wiki"}),
                json!({"answer": "b", "text": "no", "source": "run 1"})
            ),
            row(
                json!({"answer": "c", "text": "z", "source": "wiki"}),
                json!({"answer": "b", "text": "no", "source": "run 1"})
            ),
        ]),
        Ok(())
    );
    // One that agrees elsewhere is the same thing.
    let said = held(&[
        row(json!({"source": "wiki"}), json!({"source": "wiki"})),
        row(json!({"source": "wiki"}), json!({"source": "web"})),
        row(json!({"source": "wiki"}), json!({"source": "wiki"})),
    ])
    .unwrap_err()
    .to_string();
    assert!(
        said.contains("under `1`") && said.contains("`source` is `web` there"),
        "{said}"
    );
}

#[test]
fn what_was_asked_is_held_against_the_row_under_its_id() {
    let asked = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
    let of = |questions: [&str; 4]| {
        let pairs = ["one", "two", "three", "four"]
            .into_iter()
            .zip(questions)
            .map(|(asks, ours)| (json!({"q": ours}), asked(asks)));
        held(&pairs.collect::<Vec<_>>())
    };
    assert_eq!(of(["one", "two", "three", "four"]), Ok(()));
    // Renumbered behind a new row, and two that changed places beside an edited one.
    for (questions, id) in [
        (["zero", "one", "two", "three"], "1"),
        (["one", "three", "two", "4th"], "1"),
    ] {
        let said = of(questions).unwrap_err();
        assert!(said.message.contains(&format!("under `{id}`")), "{said}");
        assert!(said.help.unwrap().contains("another order"));
    }
    let said = of(["one", "two", "three", "4th"]).unwrap_err();
    assert!(
        said.message.contains("`messages` is `four` there"),
        "{said}"
    );
    assert!(said.help.unwrap().contains("as it was when"));
    // Nothing in common says nothing.
    assert_eq!(of(["eins", "zwei", "drei", "vier"]), Ok(()));
}
