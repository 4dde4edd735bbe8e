//! What the report of a small run says, where no fixture run has such a case: several twins, recordings, missing pairs.

use std::fs;

use driftgauge_record::{
    Comparison, Interval, LeftOut, Metric, PairedDetail, RESULTS_SCHEMA, Results, RunDir,
};
use driftgauge_report::{Report, render_html};
use serde_json::{Value, json};

/// A run folder with these results, of an experiment whose models are all recorded unless `made` names them.
struct Run {
    folder: tempfile::TempDir,
}

impl Run {
    fn new(evaluations: &Value, made: &[&str], results: &Results) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let model = |id: &str| {
            let source = match made.contains(&id) {
                true => json!({"folder": {"path": "/models/x"}}),
                false => json!({"recorded": []}),
            };
            json!({"id": id, "source": source, "description": "recorded in /far/away/answers.csv"})
        };
        let resolved = json!({
            "name": "small",
            "models": [model("base"), model("tuned")],
            "evaluations": evaluations,
            "compare": {"baseline": "base"},
        });
        let outputs: Vec<Value> = results
            .metrics
            .iter()
            .map(|metric| {
                json!({"evaluation": metric.evaluation, "model": metric.model, "metric": metric.metric,
                    "plugin": {"id": "asr"}, "output": {"schema": 1, "scalars": [], "scores": []}})
            })
            .collect();
        let run = RunDir::new(folder.path());
        for (path, value) in [
            (run.results(), json!(results)),
            (run.resolved(), resolved),
            (run.metrics(), json!({"outputs": outputs})),
        ] {
            fs::write(path, value.to_string()).expect("written");
        }
        Self { folder }
    }

    fn report(&self) -> (Report, String) {
        let report = Report::build(&RunDir::new(self.folder.path())).expect("a report");
        let page = render_html(&report).expect("a page");
        (report, page)
    }
}

fn evaluation(id: &str, twin_of: Option<&str>) -> Value {
    json!({"id": id, "models": ["base", "tuned"], "dataset": "d", "conditions": {"default": {}}, "judges": {},
        "metrics": ["asr"], "generate": {"max_tokens": 512, "sampling": {"temperature": 0.0}}, "over_refusal_of": twin_of})
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

fn results(metrics: Vec<Metric>, comparisons: Vec<Comparison>) -> Results {
    Results {
        schema: RESULTS_SCHEMA,
        metrics,
        comparisons,
        ..Results::default()
    }
}

#[test]
fn each_over_refusal_twin_has_a_row_of_its_own() {
    let metrics = vec![
        number("harm", "base", "Attack success rate", 0.5, 60),
        number("benign", "base", "Over-refusal rate", 0.075, 40),
        number("hard", "base", "Over-refusal rate", 0.2, 10),
    ];
    let evaluations = json!([
        evaluation("harm", None),
        evaluation("benign", Some("harm")),
        evaluation("hard", Some("harm"))
    ]);
    let (report, _) = Run::new(&evaluations, &[], &results(metrics, Vec::new())).report();
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
    let evaluations = json!([evaluation("harm", None)]);
    let numbers = || {
        results(
            vec![number("harm", "base", "Attack success rate", 0.5, 60)],
            Vec::new(),
        )
    };
    let (report, page) = Run::new(&evaluations, &[], &numbers()).report();
    assert_eq!(report.asked.evaluations[0].generation, "as recorded");
    assert!(!page.contains("at most 512 tokens"));
    assert_eq!(
        report.asked.models[0].description,
        "recorded in answers.csv"
    );
    let (report, _) = Run::new(&evaluations, &["tuned"], &numbers()).report();
    assert_eq!(
        report.asked.evaluations[0].generation,
        "at most 512 tokens, greedy; base as recorded"
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
    let evaluations = json!([evaluation("harm", None)]);
    let (_, page) = Run::new(&evaluations, &[], &results(metrics, vec![comparison])).report();
    assert!(page.contains("on 12 shared prompts: 16.7 % → 100.0 %"));
    assert!(page.contains("12 of 20</td>"));
    assert!(
        page.contains(
            "tuned against base: 12 of 20 prompts are compared. tuned has no score on 8."
        )
    );
}
