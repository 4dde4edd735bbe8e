//! Records as files and words have them: each word is held against what serde writes, each file against what was put in.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use driftgauge_plugin_protocol::field::Field;
use driftgauge_plugin_protocol::rows::{Batches, Lookup, Rows};
use driftgauge_problem::{Blame, Explained};
use driftgauge_record::files::events::{EventLog, EventRecord};
use driftgauge_record::files::plan::NodeStatus;
use driftgauge_record::files::provenance::{
    CheckRecord, LoadedRecord, MachineRecord, ProvenanceRecord,
};
use driftgauge_record::{
    Completion, Degeneracy, FinishReason, FolderError, PublishedOutcome, Results, RunDir, Sample,
    SampleRows, SampleWriter, TableRows, Verdict, VerdictLabel, answer_text, each_asked,
    read_samples, value, visible, write_samples,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

#[test]
fn words_are_those_of_the_files() {
    use VerdictLabel::{Error, Safe, Scored, Unparsable, Unsafe};
    for label in [Safe, Unsafe, Unparsable, Error, Scored] {
        assert_eq!(json!(label), json!(label.as_str()));
        assert_eq!(VerdictLabel::parse(label.as_str()), Some(label));
    }
    for reason in [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::Error,
    ] {
        assert_eq!(json!(reason), json!(reason.as_str()));
        assert_eq!(FinishReason::parse(reason.as_str()), Some(reason));
    }
    assert_eq!(
        (VerdictLabel::parse("Safe"), FinishReason::parse("")),
        (None, None)
    );
    use NodeStatus::{Failed, Interrupted, Ran, Reused, Skipped};
    for status in [Ran, Reused, Failed, Skipped, Interrupted] {
        assert_eq!(json!(status), json!(status.as_str()));
    }
}

#[test]
fn statistics_keep_six_decimals() {
    let mut completion = Completion::of_text("yes".to_owned(), FinishReason::Stop);
    completion.token_logprob = vec![-1.234_567_4, 0.000_000_4, 2.5];
    completion.token_margin = vec![0.333_333_3];
    completion
        .first_token_logprob
        .insert("safe".to_owned(), -0.666_666_6);
    completion.round_statistics();
    assert_eq!(completion.token_logprob, [-1.234_567, 0.0, 2.5]);
    assert_eq!(completion.token_margin, [0.333_333]);
    assert_eq!(completion.first_token_logprob["safe"], -0.666_667);
}

#[test]
fn reasoning_is_kept_apart() {
    for (text, thinking, answer) in [
        ("<think>a</think>b", Some("a"), "b"),
        // What is opened once more, or closed by another name, is reasoning still.
        ("<think>a <think> b</think>c", Some("a <think> b"), "c"),
        ("<think>a</thought>b</think>c", Some("a</thought>b"), "c"),
        ("plain", None, "plain"),
    ] {
        let mut completion = Completion::of_text(text.to_owned(), FinishReason::Stop);
        completion.keep_thinking_apart(None);
        let kept = completion.thinking.as_deref().map(str::trim);
        assert_eq!((kept, completion.text.trim()), (thinking, answer), "{text}");
        assert_eq!(answer_text(text).as_deref(), Some(answer), "{text}");
    }
    // Nor does another name end it where the text was cut off.
    assert_eq!(answer_text("<think>a</thought>b"), None);
    // What stands before reasoning is no answer where it says nothing.
    assert_eq!(answer_text("* <think>x</think>yes").as_deref(), Some("yes"));
}

#[test]
fn any_flag_makes_a_completion_unjudgeable() {
    for flags in 0..8_u8 {
        let [empty, looping, truncated] = [1, 2, 4].map(|bit| flags & bit > 0);
        let found = Degeneracy {
            empty,
            looping,
            truncated,
        };
        assert_eq!(found.any(), flags > 0, "{found:?}");
    }
}

#[test]
fn published_values_agree_or_not() {
    use PublishedOutcome::{Agrees, Differs, Inside, NotMeasured, Outside, Unjudged};
    let told = [Agrees, Inside, Differs, Outside, Unjudged, NotMeasured].map(|o| o.agrees());
    assert_eq!(
        told,
        [Some(true), Some(true), Some(false), Some(false), None, None]
    );
}

#[test]
fn values_tell_what_they_are() {
    for (of, kind, text) in [
        (json!(null), "null", None),
        (json!(true), "a truth value", Some("true")),
        (json!(2.5), "a number", Some("2.5")),
        (json!("a"), "text", Some("a")),
        (json!([1]), "a list", None),
        (json!({}), "an object", None),
    ] {
        assert_eq!(value::kind(&of), kind);
        assert_eq!(value::scalar_text(&of).as_deref(), text);
    }
    // The picture of DEL, U+2421, and of ESC, U+241B.
    assert_eq!(visible("a\u{7f}\u{1b}b"), "a\u{2421}\u{241b}b");
}

#[test]
fn a_run_folder_has_its_files_by_name() {
    let run = RunDir::new("run");
    let names = [
        (run.spec(), "spec.yaml"),
        (run.events(), "events.jsonl"),
        (run.jobs(), "jobs"),
        (run.report_json(), "report.json"),
        (run.report_html(), "report.html"),
        (run.charts(), "charts"),
        (run.samples(), "samples"),
        (run.samples_of("e"), "samples/e.parquet"),
        (run.models(), "models"),
        (run.train_log_of("m"), "models/m/train_log.jsonl"),
    ];
    for (path, name) in names {
        assert_eq!(path, run.path().join(name));
    }
}

#[test]
fn a_folder_is_hardly_begun_until_something_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path());
    assert!(run.is_hardly_begun().unwrap());
    std::fs::write(run.events(), "").unwrap();
    std::fs::create_dir(run.jobs()).unwrap();
    assert!(run.is_hardly_begun().unwrap());
    std::fs::write(run.spec(), "").unwrap();
    assert!(!run.is_hardly_begun().unwrap());
}

#[test]
fn what_is_wrong_with_a_folder_has_a_code_and_a_next_step() {
    let told = |error: &FolderError| (error.code(), error.blame(), error.help().is_some());
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path());
    let read = || run.read::<Results>().unwrap_err();
    let missing = read();
    assert_eq!(told(&missing), ("not-a-run", Blame::Input, true));
    assert!(missing.help().unwrap().contains("`driftgauge run --out`"));
    std::fs::write(run.file::<Results>(), "{\"schema\": 7}").unwrap();
    assert_eq!(told(&read()), ("other-version", Blame::Input, true));
    assert!(
        read()
            .help()
            .unwrap()
            .contains("run its spec again with this driftgauge")
    );
    std::fs::write(run.file::<Results>(), "{").unwrap();
    assert_eq!(told(&read()), ("damaged", Blame::Input, true));
    std::fs::remove_file(run.file::<Results>()).unwrap();
    // There is something, and it cannot be read: that is not the same as nothing.
    std::fs::create_dir(run.file::<Results>()).unwrap();
    assert_eq!(told(&read()), ("io", Blame::Run, false));
}

#[test]
fn events_have_the_time() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let before = now();
    EventLog::open(&path).append(EventRecord::Started {
        node: "n".to_owned(),
    });
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let unix = line["unix"].as_f64().unwrap();
        assert!(before - 0.002 <= unix && unix <= now(), "{before} {unix}");
    }
}

#[test]
fn machines_of_different_kinds_are_told_by_their_nodes() {
    let machine = |kind: &str, nodes: &[&str]| MachineRecord {
        kind: kind.to_owned(),
        host: String::new(),
        jobs: Vec::new(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
    };
    let check = |name: &str, outcome: &str| CheckRecord {
        name: name.to_owned(),
        outcome: outcome.to_owned(),
        detail: String::new(),
    };
    let mut record = ProvenanceRecord {
        machines: vec![
            machine("a", &["x", "y"]),
            machine("b", &["y", "z", "y"]),
            machine("a", &["w"]),
        ],
        ..ProvenanceRecord::default()
    };
    let kinds: Vec<_> = record.kinds().into_iter().collect();
    assert_eq!(
        kinds,
        [("a", vec!["x", "y", "w"]), ("b", vec!["y", "z", "y"])]
    );
    assert_eq!(record.made_on_several(), ["y"]);
    let loaded = LoadedRecord {
        engine: String::new(),
        device: String::new(),
        dtype: String::new(),
        max_in_flight: 1,
        checks: vec![check("first", "passed"), check("second", "unproven")],
    };
    record.self_checks.insert("base".to_owned(), loaded);
    let unproven: Vec<_> = record
        .unproven()
        .map(|(m, c)| (m, c.name.as_str()))
        .collect();
    assert_eq!(unproven, [("base", "second")]);
}

fn sample(id: usize, text: &str) -> Sample {
    let mut sample = Sample::unanswered(id.to_string(), 2, Vec::new());
    sample.completion = Completion::of_text(text.to_owned(), FinishReason::Stop);
    sample.completion.token_logprob = vec![-0.5, -0.25];
    sample.completion.token_top_logprobs = vec![-0.5, -3.0];
    sample.degenerate.empty = true;
    sample.references = vec!["Ada".to_owned()];
    let verdict = |label, points: Option<f64>| Verdict {
        label,
        categories: vec!["S2".to_owned()],
        p_unsafe: Some(0.75),
        score: points.map(|points| (points - 1.0) / 4.0),
        points,
        output: "said".to_owned(),
    };
    sample
        .verdicts
        .insert("guard".to_owned(), verdict(VerdictLabel::Unsafe, None));
    sample
        .verdicts
        .insert("scale".to_owned(), verdict(VerdictLabel::Scored, Some(4.0)));
    sample.values.insert("kl".to_owned(), vec![0.5, 1.5]);
    sample.row.insert("flag".to_owned(), json!(true));
    sample
}

fn field(name: &str) -> Field<'_> {
    Field::parse(name).unwrap()
}

fn holds(rows: &dyn Rows) {
    let number = |name: &str| rows.number(0, field(name));
    assert_eq!(number("p_unsafe.guard"), Lookup::Present(0.75));
    assert_eq!(number("score.scale"), Lookup::Present(0.75));
    assert_eq!(number("points.scale"), Lookup::Present(4.0));
    assert_eq!(number("points.guard"), Lookup::Null);
    assert_eq!(number("value.kl"), Lookup::Present(0.5));
    assert_eq!(number("row.flag"), Lookup::Present(1.0));
    assert_eq!(number("completion"), Lookup::OtherType);
    for (name, expected) in [
        ("sample_index", 2),
        ("empty", 1),
        ("looping", 0),
        ("truncated", 0),
        ("ends_with_eos", 0),
    ] {
        assert_eq!(
            rows.integer(0, field(name)),
            Lookup::Present(expected),
            "{name}"
        );
    }
    let texts = |name: &str| rows.texts(0, field(name));
    let list = |text: &'static str| Lookup::Present(vec![text.into()]);
    assert_eq!(texts("judges"), list("guard"));
    assert_eq!(texts("scorers"), list("scale"));
    assert_eq!(texts("references"), list("Ada"));
    assert_eq!(texts("categories.guard"), list("S2"));
}

#[test]
fn samples_in_memory_and_in_a_table_give_the_same_fields() {
    holds(&SampleRows(vec![sample(0, "a")]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.parquet");
    write_samples(&path, [sample(0, "a")]).unwrap();
    let mut table = TableRows::open(&path).unwrap();
    let batches: &mut dyn Batches = &mut table;
    holds(batches.next_batch().unwrap().expect("a batch"));
    assert!(batches.next_batch().unwrap().is_none());
}

#[test]
fn what_was_asked_is_read_without_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.parquet");
    let mut other = sample(1, "b");
    (other.wrong_answer, other.category) = (None, None);
    let samples = [sample(0, "a"), other];
    write_samples(&path, samples.clone()).unwrap();
    let mut left = samples.iter();
    each_asked(&path, |asked| {
        let sample = left.next().unwrap();
        assert_eq!(
            (asked.condition, asked.sample_id),
            (sample.condition.as_str(), sample.sample_id.as_str())
        );
        assert_eq!(
            asked.messages,
            serde_json::to_string(&sample.messages).unwrap()
        );
        assert_eq!(asked.row, serde_json::to_string(&sample.row).unwrap());
        assert_eq!(asked.references, sample.references);
        assert_eq!(asked.wrong_answer, sample.wrong_answer.as_deref());
        assert_eq!(asked.category, sample.category.as_deref());
    })
    .unwrap();
    assert!(left.next().is_none());
    let nowhere = each_asked(&folder.path().join("none"), |_| {}).unwrap_err();
    assert_eq!(nowhere.code(), "unreadable-samples");
}

#[test]
fn a_small_table_is_plain_and_a_large_one_is_not() {
    let written = |n: usize| {
        let mut writer = SampleWriter::new(Vec::new());
        for id in 0..n {
            writer = writer
                .push(sample(
                    id,
                    &format!("{id:04} {}", "lorem ipsum ".repeat(40)),
                ))
                .unwrap();
        }
        writer.finish().unwrap()
    };
    // Each text has 485 bytes and stands there as it is; 300 of them are more than 64 KiB.
    let small = written(2);
    let text = "lorem ipsum ".repeat(40);
    assert!(
        small
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
    );
    let large = written(300);
    assert!(large.len() < 300 * 485 / 3, "{} bytes", large.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.parquet");
    std::fs::write(&path, large).unwrap();
    assert_eq!(read_samples(&path).unwrap().len(), 300);
}

#[test]
fn tables_that_are_none_and_tables_of_older_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.parquet");
    std::fs::write(&path, "no table").unwrap();
    let error = read_samples(&path).unwrap_err();
    assert_eq!((error.code(), error.help()), ("unreadable-samples", None));
    write_samples(&path, [sample(0, "a")]).unwrap();
    let without = |column: &str, to: &str| {
        let file = std::fs::File::open(&path).unwrap();
        let mut batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap();
        let mut batch: RecordBatch = batches.next().unwrap().unwrap();
        let place = batch.schema().index_of(column).unwrap();
        batch.remove_column(place);
        let path = folder.path().join(to);
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&batch.schema()), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    };
    let mut old = TableRows::open(&without("token_top_logprobs", "old.parquet")).unwrap();
    assert!(old.advance());
    let floats = |name: &str| old.floats(0, field(name));
    assert_eq!(floats("token_top_logprobs"), Lookup::Null);
    assert_eq!(
        floats("token_logprob"),
        Lookup::Present(vec![-0.5, -0.25].into())
    );
    let error = read_samples(&without("completion", "other.parquet")).unwrap_err();
    assert_eq!(error.code(), "unreadable-samples");
    assert!(error.help().unwrap().contains("run the experiment again"));
}
