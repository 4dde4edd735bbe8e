//! What the report of a run says, where no fixture run has such a case: several twins, recordings, missing pairs.

mod common;

use common::Run;
use driftgauge_record::files::resolved::{EvaluationRecord, SourceRecord};
use driftgauge_record::{Comparison, Interval, LeftOut, Metric, PairedDetail};
use driftgauge_report::Picture;

/// The fixture with other evaluations of `base` and `tuned`, made of its `harmfulness`, and other results.
fn run(evaluations: &[(&str, Option<&str>)], metrics: Vec<Metric>) -> Run {
    let mut run = Run::smoke();
    let pattern = run.experiment.evaluations["harmfulness"].clone();
    run.experiment.evaluations = evaluations
        .iter()
        .map(|(id, twin_of)| {
            let evaluation = EvaluationRecord {
                models: vec!["base".to_owned(), "tuned".to_owned()],
                over_refusal_of: twin_of.map(str::to_owned),
                ..pattern.clone()
            };
            ((*id).to_owned(), evaluation)
        })
        .collect();
    run.experiment.compare.baseline = Some("base".to_owned());
    let output = run.metrics.outputs[0].clone();
    assert_eq!(output.metric, "asr");
    run.metrics.outputs.clear();
    for metric in &metrics {
        let mut output = output.clone();
        output.evaluation.clone_from(&metric.evaluation);
        output.model.clone_from(&metric.model);
        output.output.charts.clear();
        output.output.tables.clear();
        run.metrics.outputs.push(output);
    }
    run.results = driftgauge_record::Results {
        metrics,
        ..driftgauge_record::Results::default()
    };
    run
}

fn number(evaluation: &str, model: &str, title: &str, value: f64, n: u64) -> Metric {
    Metric {
        evaluation: evaluation.to_owned(),
        condition: "default".to_owned(),
        model: model.to_owned(),
        metric: "asr".to_owned(),
        title: title.to_owned(),
        value: Some(value),
        n,
        ci: Some(Interval {
            level: 0.95,
            low: 0.0,
            high: 1.0,
            method: "wilson".to_owned(),
            draws: None,
        }),
        intervals: Vec::new(),
        spread: None,
        direction: "lower".to_owned(),
        unit: "ratio".to_owned(),
        primary: true,
        formula: String::new(),
    }
}

#[test]
fn each_over_refusal_twin_has_a_row_of_its_own() {
    let metrics = vec![
        number("harm", "base", "Attack success rate", 0.5, 60),
        number("benign", "base", "Over-refusal rate", 0.075, 40),
        number("hard", "base", "Over-refusal rate", 0.2, 10),
    ];
    let evaluations = [
        ("harm", None),
        ("benign", Some("harm")),
        ("hard", Some("harm")),
    ];
    let (report, _) = run(&evaluations, metrics).report();
    let rows: Vec<_> = report.sections[0]
        .numbers
        .iter()
        .map(|row| {
            let cell = row.cells[0].as_ref().expect("a number");
            (row.title.as_str(), cell.value, cell.n)
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("Attack success rate", Some(0.5), 60),
            (
                "Over-refusal rate (benign prompts of benign)",
                Some(0.075),
                40
            ),
            ("Over-refusal rate (benign prompts of hard)", Some(0.2), 10),
        ]
    );
}

#[test]
fn recordings_are_described_as_recorded() {
    let mut run = run(
        &[("harm", None)],
        vec![number("harm", "base", "Attack success rate", 0.5, 60)],
    );
    let made = run.experiment.models["tuned"].source.clone();
    for model in ["base", "tuned"] {
        let model = &mut run.experiment.models[model];
        model.source = SourceRecord::Recorded(Vec::new());
        model.description = "recorded in /far/away/answers.csv".to_owned();
    }
    let (report, page) = run.report();
    assert_eq!(report.asked.evaluations[0].generation, "as recorded");
    assert!(!page.contains("at most 8 tokens"));
    let base = report.asked.models.iter().find(|model| model.id == "base");
    assert_eq!(
        base.expect("the model").description,
        "recorded in answers.csv"
    );
    run.experiment.models["tuned"].source = made;
    let (report, _) = run.report();
    assert_eq!(
        report.asked.evaluations[0].generation,
        "at most 8 tokens, greedy; base as recorded"
    );
}

#[test]
fn a_difference_over_fewer_prompts_says_so() {
    let comparison = Comparison {
        evaluation: "harm".to_owned(),
        condition: "default".to_owned(),
        metric: "asr".to_owned(),
        baseline: "base".to_owned(),
        model: "tuned".to_owned(),
        delta: Some(0.833),
        p: Some(0.002),
        n: 12,
        detail: Some(PairedDetail {
            baseline_value: Some(0.167),
            model_value: Some(1.0),
            left_out: Some(LeftOut {
                prompts: 8,
                baseline: 0,
                model: 8,
            }),
            ..PairedDetail::default()
        }),
        ..Comparison::default()
    };
    let metrics = vec![
        number("harm", "base", "Attack success rate", 0.5, 20),
        number("harm", "tuned", "Attack success rate", 1.0, 12),
    ];
    let mut run = run(&[("harm", None)], metrics);
    run.results.comparisons.push(comparison);
    let (_, page) = run.report();
    assert!(page.contains("on 12 shared prompts: 16.7 % → 100.0 %"));
    assert!(page.contains("12 of 20</td>"));
    assert!(
        page.contains(
            "tuned against base: 12 of 20 prompts are compared. tuned has no score on 8."
        )
    );
}

#[test]
fn a_folder_of_another_version_is_refused_with_both_versions() {
    let run = Run::smoke();
    let path = run.dir().path().join("resolved.json");
    let text = std::fs::read_to_string(&path).expect("resolved.json");
    let older = text.replacen("\"schema\": 1", "\"schema\": 0", 1);
    std::fs::write(path, older).expect("written");
    let error = driftgauge_report::Report::build(&run.dir()).expect_err("another version");
    let text = error.to_string();
    assert!(text.contains("has format version 0,"), "{text}");
    assert!(text.contains("reads format version 1"), "{text}");
}

#[test]
fn letters_that_the_font_of_pictures_lacks_are_named() {
    let metrics = vec![
        number("harm", "base", "攻撃成功率", 0.5, 20),
        number("harm", "tuned", "攻撃成功率", 0.75, 20),
    ];
    let (report, _) = run(&[("harm", None)], metrics).report();
    let folder = tempfile::tempdir().expect("a folder");
    let write = |picture| report.write_charts(folder.path(), picture).expect("charts");
    let written = write(Picture::Png);
    assert!(written.charts > 0 && written.not_drawn.is_empty());
    let (file, letters) = &written.boxed[0];
    assert!(folder.path().join(file).is_file());
    assert!(
        ['攻', '撃', '率'].iter().all(|c| letters.contains(c)),
        "{letters:?}"
    );
    // A vector graphic keeps them as text.
    assert!(write(Picture::Svg).boxed.is_empty());
    let svg = std::fs::read_to_string(folder.path().join(file.replace(".png", ".svg")));
    assert!(svg.expect("a chart").contains("攻撃成功率"));
}
