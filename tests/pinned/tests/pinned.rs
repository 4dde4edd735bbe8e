//! A report pinned as a user would: the stable core as data, the finding as text, with what may change on purpose filtered out.

use std::path::Path;

use driftgauge_record::RunDir;
use driftgauge_report::Report;

/// The report of a run that lies beside the tests, without clock, host, command and state of the store.
fn report() -> Report {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/runs/smoke");
    Report::build(&RunDir::new(run)).expect("a report").stable()
}

#[test]
fn the_finding_is_what_it_was() {
    insta::assert_snapshot!(report().to_text());
}

#[test]
fn the_primary_numbers_are_what_they_were() {
    // The seed of a bootstrap may change without the finding.
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r#""seed": \d+"#, r#""seed": "[seed]""#);
    settings.bind(|| insta::assert_json_snapshot!(report().headline.rows));
}

#[test]
fn the_whole_core_is_free_of_clocks() {
    let text = report().to_json();
    let core: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(core["run"].is_null());
    for word in [
        "started_unix",
        "\"seconds\"",
        "\"cores\"",
        "\"command\"",
        "\"reused\"",
    ] {
        assert!(!text.contains(word), "{word} is in the core");
    }
}
