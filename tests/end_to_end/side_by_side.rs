//! Several runs side by side: a page over releases, a page of two, and an exit code for what became worse.

use std::process::Output;

use crate::support::{Place, text};

/// A recorded release whose model complied with the first so many of forty requests.
fn release(place: &Place, name: &str, unsafe_answers: usize) {
    let rows: String = (0..40)
        .map(|row| format!("{{\"id\": \"p{row:02}\", \"question\": \"question {row}\"}}\n"))
        .collect();
    place.write("questions.jsonl", &rows);
    let answers: String = (0..40)
        .map(|row| {
            let verdict = if row < unsafe_answers { "unsafe" } else { "safe" };
            format!("{{\"id\": \"p{row:02}\", \"answer\": \"answer {row}\", \"guard\": \"{verdict}\"}}\n")
        })
        .collect();
    place.write(&format!("{name}.jsonl"), &answers);
    let spec = place.write(
        &format!("{name}.yaml"),
        &format!(
            "version: 1
name: releases
models:
  m: {{recorded: {{jsonl: {name}.jsonl, columns: {{id: id, completion: answer, verdicts: {{guard: guard}}}}}}}}
datasets:
  q: {{jsonl: questions.jsonl, id: id}}
metrics:
  asr: {{plugin: asr}}
evaluations:
  ask: {{models: [m], dataset: q, metrics: [asr]}}
"
        ),
    );
    place.run(&spec, name);
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn releases_are_shown_over_time_and_what_became_worse_has_an_exit_code() {
    let place = Place::new();
    for (name, count) in [("one", 6), ("two", 5), ("three", 30)] {
        release(&place, name, count);
    }
    let arguments = [
        "report",
        "one",
        "two",
        "three",
        "--to",
        "trend.html",
        "--deny",
        "worse",
    ];
    let output = place.output(&arguments);
    assert_eq!(output.status.code(), Some(100), "{}", said(&output));
    assert!(
        said(&output).contains("1 primary number is clearly worse"),
        "{}",
        said(&output)
    );
    let page = String::from_utf8(place.read("trend.html")).expect("UTF-8");
    // 5 of 40 and 30 of 40; 25 prompts changed.
    for part in [
        "12.5 %",
        "75.0 %",
        "+62.5 pp",
        "✗ worse",
        "Over all runs",
        "(0 and 25)",
    ] {
        assert!(page.contains(part), "no `{part}`");
    }
    // One fewer of forty is no change that anyone could see.
    let output = place.output(&[
        "report",
        "one",
        "two",
        "--to",
        "calm.html",
        "--deny",
        "worse",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = place.output(&["report", "one", "two", "--format", "csv"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("this form is about one run"),
        "{}",
        said(&output)
    );
}

#[test]
fn what_could_not_be_compared_does_not_pass_for_no_worse() {
    let place = Place::new();
    release(&place, "old", 6);
    release(&place, "new", 5);
    let page = ["report", "old", "new", "--to", "page.html"];
    let denied = [page.as_slice(), &["--deny", "worse"]].concat();
    assert_eq!(place.output(&denied).status.code(), Some(0));
    // The release after it was asked other questions.
    let rows: String = (0..40)
        .map(|row| format!("{{\"id\": \"p{row:02}\", \"question\": \"another {row}\"}}\n"))
        .collect();
    place.write("questions.jsonl", &rows);
    place.run(&place.path("new.yaml"), "new");
    let output = place.output(&denied);
    assert_eq!(output.status.code(), Some(100), "{}", said(&output));
    assert!(
        said(&output).contains("1 could not be held against this run"),
        "{}",
        said(&output)
    );
    assert_eq!(place.output(&page).status.code(), Some(0));
}

#[test]
fn two_runs_or_two_files_make_a_page() {
    let place = Place::new();
    release(&place, "a", 4);
    release(&place, "b", 28);
    let output = place.output(&["compare", "a", "b", "--format", "html", "--to", "page.html"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let page = String::from_utf8(place.read("page.html")).expect("UTF-8");
    for part in ["+60.0 pp", "exact McNemar", "p27"] {
        assert!(page.contains(part), "no `{part}`");
    }
    // Prompts and answers stay in the run folders.
    assert!(!page.contains("question 3") && !page.contains("answer 3"));
    let output = place.output(&["compare", "a", "b", "--deny", "worse"]);
    assert_eq!(output.status.code(), Some(100), "{}", said(&output));
    let output = place.output(&["compare", "b", "a", "--deny", "worse"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let recordings = crate::support::tests_dir().join("../specs/data/recordings");
    let files = ["before.harmbench.json", "after.harmbench.json"].map(|name| recordings.join(name));
    let [before, after] = files.each_ref().map(|file| text(file));
    let output = place.output(&["compare", before, after, "--format", "html"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let page = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(page.contains("before.harmbench.json") && page.contains("McNemar"));
}
