//! The report in other forms.

mod common;

use common::Run;
use driftgauge_record::Gate;
use driftgauge_record::files::resolved::HubRecord;
use driftgauge_report::{Cell, HeadlineRow};

fn gated() -> driftgauge_report::Report {
    let mut run = Run::smoke();
    run.results.gates = vec![
        Gate {
            rule: "harmfulness/asr of tuned: upper bound at most 0.1".to_owned(),
            bound: Some(0.05),
            limit: 0.1,
            passed: true,
        },
        Gate {
            rule: "drift/<accuracy> of tuned".to_owned(),
            bound: None,
            limit: 0.5,
            passed: false,
        },
    ];
    run.report().0
}

#[test]
fn the_terminal_has_the_verdict_an_aligned_table_and_gates_last() {
    let text = gated().to_text();
    let place = |what: &str| {
        text.find(what)
            .unwrap_or_else(|| panic!("no {what} in\n{text}"))
    };
    assert!(place("Compared with `base`") < place("measure"));
    assert!(place("measure") < place("  gate passed: "));
    assert!(text.ends_with("  gate FAILED: drift/<accuracy> of tuned (bound undefined)\n"));
    let table: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("(drift, "))
        .collect();
    assert!(table.iter().any(|line| line.contains("0.0 % [0.0, 27.8]") && line.contains("0.0 pp [−27.8, 27.8]")), "{text}");
}

#[test]
fn junit_counts_gates_that_fail() {
    let xml = gated().to_junit();
    assert!(
        xml.contains("tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\""),
        "{xml}"
    );
    assert!(xml.contains("name=\"drift/&lt;accuracy&gt; of tuned\"><failure message=\"the bound is undefined, the limit 0.5\"/>"), "{xml}");
}

#[test]
fn markdown_has_tables_that_a_name_cannot_break() {
    let text = gated().to_markdown();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let columns = |row: &str| row.replace("\\|", "").matches('|').count();
    assert_eq!(columns(rows[0]), 5, "{}", rows[0]);
    assert!(
        rows[..rows.len() - 4].iter().all(|row| columns(row) == 5),
        "{text}"
    );
    assert!(
        text.contains("| drift/&lt;accuracy&gt; of tuned | undefined | 0.5 | **failed** |"),
        "{text}"
    );
}

#[test]
fn csv_has_every_number_once() {
    let report = gated();
    let text = report.to_csv(true);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    let values = rows.iter().filter(|row| &row[0] == "value").count();
    let cells = report
        .sections
        .iter()
        .flat_map(|section| &section.numbers)
        .flat_map(|row| row.cells.iter().flatten())
        .count();
    assert_eq!(values, cells);
    let accuracy = rows
        .iter()
        .find(|row| &row[0] == "value" && &row[4] == "truthfulness" && &row[2] == "plain")
        .expect("a row");
    assert_eq!(&accuracy[9], "0");
    assert_eq!(&accuracy[14], "10");
}

#[test]
fn a_card_holds_results_with_their_intervals() {
    let report = gated();
    assert_eq!(report.to_card("nobody"), None);
    let card = report.to_card("tuned").expect("a card");
    let front = card.split("---\n").nth(1).expect("front matter");
    let index = front
        .lines()
        .find_map(|line| line.strip_prefix("model-index: "))
        .expect("model-index");
    let index: serde_json::Value = serde_json::from_str(index).expect("JSON, which is YAML");
    let results = index[0]["results"].as_array().expect("results");
    let accuracy = results
        .iter()
        .find(|result| result["metrics"][0]["type"] == "truthfulness")
        .expect("accuracy");
    assert_eq!(accuracy["metrics"][0]["value"], 0.0);
    assert_eq!(accuracy["metrics"][0]["args"]["interval"]["level"], 0.95);
    assert!(card.contains("difference from base"));
    // What the hub does not have has no name and no revision there; its bytes have a digest.
    assert!(!front.contains("base_model") && accuracy["dataset"]["revision"].is_null());
    assert_eq!(
        accuracy["dataset"]["args"]["blake3"].as_str().map(str::len),
        Some(64)
    );
    let mut report = report;
    let resolved = report.resolved.as_mut().expect("the experiment");
    let hub: HubRecord = serde_json::from_value(serde_json::json!({
        "kind": "model", "repository": "them/theirs", "revision": "main", "commit": "abc",
    }))
    .expect("a repository");
    resolved.models["base"].hub = Some(hub.clone());
    resolved
        .datasets
        .values_mut()
        .for_each(|dataset| dataset.hub = Some(hub.clone()));
    let card = report.to_card("tuned").expect("a card");
    assert!(card.contains("base_model: \"them/theirs\""));
    assert!(card.contains("\"revision\":\"abc\"") && card.contains("\"type\":\"them/theirs\""));
}

/// A share of `tuned` that is defined.
fn a_share(report: &driftgauge_report::Report) -> (&HeadlineRow, &Cell) {
    let models = &report.headline.models;
    let column = models
        .iter()
        .position(|model| model == "tuned")
        .expect("a value");
    let mut rows = report.headline.rows.iter();
    rows.find_map(|row| {
        let cell = row.cells[column].as_ref()?;
        (row.unit == "ratio" && cell.value.is_some() && cell.ci.is_some()).then_some((row, cell))
    })
    .expect("a value")
}

#[test]
fn every_eval_ever_has_shares_with_their_intervals() {
    let report = Run::smoke().report().0;
    let text = report.to_every_eval_ever("tuned").expect("a value");
    let value: serde_json::Value = serde_json::from_str(&text).expect("a value");
    assert_eq!(value["schema_version"], "0.2.1");
    assert_eq!(value["model_info"]["id"], "tuned");
    let (row, cell) = a_share(&report);
    let results = value["evaluation_results"].as_array().expect("a value");
    let result = results
        .iter()
        .find(|result| result["metric_config"]["additional_details"]["metric"] == row.metric)
        .expect("a value");
    assert_eq!(result["score_details"]["score"].as_f64(), cell.value);
    assert_eq!(
        result["metric_config"]["lower_is_better"],
        row.direction == "lower"
    );
    let uncertainty = &result["score_details"]["uncertainty"];
    assert_eq!(uncertainty["num_samples"], cell.n);
    let ci = cell.ci.as_ref().expect("a value");
    let bounds = &uncertainty["confidence_interval"];
    assert_eq!(bounds["lower"].as_f64(), Some(ci.low));
    assert_eq!(bounds["upper"].as_f64(), Some(ci.high));
    assert!(report.to_every_eval_ever("nobody").is_none());
}

#[test]
fn eval_results_are_of_data_sets_of_the_hub() {
    let mut run = Run::smoke();
    let report = run.report().0;
    assert!(report.to_eval_results("tuned").is_none());
    let (row, cell) = a_share(&report);
    let dataset = run.experiment.evaluations[&row.evaluation].dataset.clone();
    run.experiment
        .datasets
        .get_mut(&dataset)
        .expect("a value")
        .hub = Some(driftgauge_record::files::resolved::HubRecord {
        kind: "dataset".to_owned(),
        repository: "org/questions".to_owned(),
        revision: "main".to_owned(),
        split: Some("test".to_owned()),
        file: None,
        commit: Some("0123abcd".to_owned()),
    });
    let report = run.report().0;
    let text = report.to_eval_results("tuned").expect("a value");
    let entries: Vec<serde_json::Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("- ")?).ok())
        .collect();
    let expected = cell.value.map(|share| share * 100.0);
    let entry = entries
        .iter()
        .find(|entry| entry["value"].as_f64() == expected)
        .expect("a value");
    assert_eq!(entry["dataset"]["id"], "org/questions");
    assert_eq!(entry["dataset"]["revision"], "0123abcd");
    let value = report.to_every_eval_ever("tuned").expect("a value");
    assert!(value.contains("\"hf_repo\": \"org/questions\""), "{value}");
}

#[test]
fn markdown_of_a_large_run_is_still_a_comment() {
    let mut run = Run::smoke();
    let pattern: Vec<_> = run
        .results
        .metrics
        .iter()
        .filter(|metric| metric.primary)
        .cloned()
        .collect();
    for copy in 0..800 {
        run.results
            .metrics
            .extend(pattern.iter().cloned().map(|mut metric| {
                metric.evaluation = format!("{}-{copy:03}", metric.evaluation);
                metric
            }));
        run.results.gates.push(Gate {
            rule: format!("drift-{copy:03}/truthfulness of tuned: lower bound at least 0.5"),
            bound: Some(0.1),
            limit: 0.5,
            passed: copy != 799,
        });
    }
    let (report, _) = run.report();
    let text = report.to_markdown();
    // GitHub refuses comments of more than 65,536 characters.
    assert!(text.chars().count() <= 60_000, "{}", text.chars().count());
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("drift"))
        .count();
    let more = |what: &str| -> usize {
        let end = format!(" more {what} are in `report.html`.");
        let line = text.lines().find_map(|line| line.strip_suffix(&end));
        line.expect("what is left out is told")
            .parse()
            .expect("a number")
    };
    assert!(rows > 100, "{rows}");
    assert!(more("rows") > 0 && more("gates") > 0);
    assert!(text.contains("drift-799/truthfulness of tuned: lower bound at least 0.5 | 0.1000 | 0.5 | **failed** |"), "{text}");
}

#[test]
fn junit_is_xml_whatever_stands_in_a_name() {
    let mut report = gated();
    report.gates[0].rule = "a \u{0}\u{b}\u{1b}\u{fffe}\u{ffff} ]]> <b> & \" ' \u{1f642}".to_owned();
    let xml = report.to_junit();
    // XML 1.0 has only these characters.
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(allowed), "{xml}");
    assert!(
        xml.contains("&lt;b&gt; &amp; &quot; &#39; \u{1f642}"),
        "{xml}"
    );
    assert_eq!(xml.matches("<testcase").count(), 2);
}
