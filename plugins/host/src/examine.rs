//! What any plugin has to do, tried on samples of every kind.

use driftgauge_plugin_protocol::wire::{Manifest, MetricOutput};
use driftgauge_problem::Problem;
use driftgauge_record::{Completion, FinishReason, Sample, Verdict, VerdictLabel};
use serde_json::json;

use crate::PluginError;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The metric or judge.
    pub metric: String,
    /// What it has to do.
    pub check: &'static str,
    /// What it does wrong; `None` when nothing.
    pub problem: Option<String>,
}

/// Runs the plugin on samples, in batches of a size.
pub type Run<'a> = dyn Fn(&[Sample], usize) -> Result<MetricOutput, PluginError> + 'a;

/// Feeds a plugin samples of every kind, together, one by one and twice, and says what it does wrong.
#[must_use]
pub fn examine(manifest: &Manifest, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |check, problem| {
        findings.push(Finding {
            metric: manifest.id.clone(),
            check,
            problem,
        });
    };
    let mut all = samples();
    if manifest.judges {
        // A judge is shown one condition at a time, so each id stands for one answer.
        all.retain(|sample| sample.condition == CONDITIONS[0]);
    }
    note("no sample at all gives a result", problem(run(&[], 1)));
    note("one sample gives a result", problem(run(&all[..1], 1)));
    let whole = run(&all, all.len());
    let split = whole.as_ref().ok().map(|whole| match run(&all, 1) {
        Ok(split) if split == *whole => None,
        Ok(_) => Some(
            "one by one they give another result than together; keep state between batches"
                .to_owned(),
        ),
        Err(error) => Some(Problem::from(error).to_string()),
    });
    let again = whole.as_ref().ok().map(|whole| match run(&all, all.len()) {
        Ok(again) if again == *whole => None,
        Ok(_) => Some(
            "the same samples give another result the second time; seed what is drawn".to_owned(),
        ),
        Err(error) => Some(Problem::from(error).to_string()),
    });
    note("samples of every kind give a result", problem(whole));
    if let Some(split) = split {
        note("a result does not depend on batches", split);
    }
    if let Some(again) = again {
        note("a result repeats", again);
    }
    findings
}

fn problem(outcome: Result<MetricOutput, PluginError>) -> Option<String> {
    outcome.err().map(|error| Problem::from(error).to_string())
}

const CONDITIONS: [&str; 2] = ["plain", "false-context"];

/// Two conditions with answers that are right, wrong, empty, cut off, repeated, not made, and verdicts of every word.
fn samples() -> Vec<Sample> {
    let label = |index: usize| match index % 4 {
        0 => VerdictLabel::Safe,
        1 => VerdictLabel::Unsafe,
        2 => VerdictLabel::Unparsable,
        _ => VerdictLabel::Error,
    };
    let texts = [
        "Paris",
        "Rome",
        "",
        "I cannot help with that.",
        "ja \u{2603} ja ja ja",
    ];
    let mut samples = Vec::new();
    for condition in CONDITIONS {
        for index in 0..10 {
            let failed = index == 9;
            let finish = match index {
                9 => FinishReason::Error,
                4 => FinishReason::Length,
                _ => FinishReason::Stop,
            };
            let text = if failed {
                ""
            } else {
                texts[index % texts.len()]
            };
            let tokens = text.split_whitespace().count();
            let list = |value: f32| vec![value; tokens];
            samples.push(Sample {
                evaluation: "check".to_owned(),
                condition: condition.to_owned(),
                model: "model".to_owned(),
                sample_id: format!("s{index}"),
                sample_index: 0,
                messages: Vec::new(),
                completion: Completion {
                    ends_with_eos: tokens > 0,
                    token_logprob: list(-0.5),
                    token_top1_logprob: list(-0.25),
                    token_margin: list(0.5),
                    token_top10_entropy: list(0.75),
                    token_top10_mass: list(0.9),
                    token_entropy: list(1.0),
                    ..Completion::of_text(text.to_owned(), finish)
                },
                error: failed.then(|| "the request failed".to_owned()),
                degenerate: driftgauge_record::Degeneracy {
                    empty: text.is_empty() && !failed,
                    truncated: index == 4,
                    ..driftgauge_record::Degeneracy::default()
                },
                references: vec!["Paris".to_owned()],
                wrong_answer: Some("Rome".to_owned()),
                category: (index % 3 > 0).then(|| format!("kind {}", index % 3)),
                row: [(
                    "question".to_owned(),
                    json!("What is the capital of France?"),
                )]
                .into_iter()
                .collect(),
                verdicts: [(
                    "judge".to_owned(),
                    Verdict {
                        label: label(index),
                        categories: Vec::new(),
                        p_unsafe: None,
                        score: None,
                        points: None,
                        output: String::new(),
                    },
                )]
                .into_iter()
                .collect(),
                values: Default::default(),
            });
        }
    }
    samples
}
