//! The report in other forms.

mod common;

use common::Run;
use driftgauge_record::Gate;

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
    assert!(front.contains("base_model: \"base\""));
    assert!(card.contains("difference from base"));
}
