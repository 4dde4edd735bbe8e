//! Answers of judges as models write them, and the verdict that a person reads in each: every file of `verdicts/` is one judge.

use std::fs;
use std::path::Path;

use driftgauge_judge::Judge;
use driftgauge_record::{Completion, FinishReason, VerdictLabel};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    judge: Judge,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    kind: String,
    text: String,
    #[serde(default)]
    finish: Option<String>,
    label: VerdictLabel,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    score: Option<f64>,
}

#[test]
fn verdicts_are_read_where_they_stand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts");
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        let file: File = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("cases");
        for case in file.cases {
            let finish = match case.finish.as_deref() {
                Some("length") => FinishReason::Length,
                _ => FinishReason::Stop,
            };
            let found = file
                .judge
                .read(&Completion::of_text(case.text.clone(), finish));
            cases += 1;
            let expected = (case.label, case.categories, case.score);
            let found = (found.label, found.categories, found.score);
            if found != expected {
                let name = path.file_stem().expect("a name").display();
                wrong.push(format!(
                    "{name}, {}: {:?} is {found:?}, expected {expected:?}",
                    case.kind, case.text
                ));
            }
        }
    }
    assert!(cases > 100, "{cases} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
