//! How much of what models and judges wrote a page shows.

mod common;

use common::Run;
use driftgauge_record::files::resolved::SampleMode;
use driftgauge_record::{FinishReason, Verdict, VerdictLabel};

/// Samples of which the first is unsafe, the second safe, the third without a verdict, the fourth not made.
fn judged(mode: SampleMode) -> (driftgauge_report::Report, String) {
    let mut run = Run::smoke();
    let mut samples = run.samples("harmfulness");
    for (place, sample) in samples.iter_mut().enumerate() {
        let label = [
            VerdictLabel::Unsafe,
            VerdictLabel::Safe,
            VerdictLabel::Unparsable,
        ][place % 10 % 3];
        sample.completion.text = format!("said-{}-{}", label.as_str(), sample.model);
        for verdict in sample.verdicts.values_mut() {
            *verdict = Verdict {
                label,
                output: format!("judge-wrote-{}", label.as_str()),
                ..verdict.clone()
            };
        }
        if place % 10 == 3 {
            sample.completion.finish_reason = FinishReason::Error;
            sample.completion.text = String::new();
            sample.error = Some("the-server-was-gone".to_owned());
        }
        sample.references = vec!["the-accepted-answer".to_owned()];
        sample.wrong_answer = Some("the-false-answer".to_owned());
    }
    run.set_samples("harmfulness", samples);
    run.experiment.samples = mode;
    run.report()
}

#[test]
fn redacted_shows_what_every_judge_called_safe_and_nothing_else() {
    let shown = |mode| {
        let (_, page) = judged(mode);
        [
            "said-safe-",
            "said-unsafe-",
            "said-unparsable-",
            "judge-wrote-",
            "the-accepted-answer",
            "the-server-was-gone",
        ]
        .map(|text| page.contains(text))
    };
    assert_eq!(shown(SampleMode::Hidden), [false; 6]);
    assert_eq!(
        shown(SampleMode::Redacted),
        [true, false, false, false, false, true]
    );
    assert_eq!(shown(SampleMode::Full), [true; 6]);
}

#[test]
fn unsafe_text_is_covered_until_it_is_asked_for() {
    let (_, page) = judged(SampleMode::Full);
    let before = page.split("said-unsafe-").next().expect("the page");
    assert!(before.ends_with("<details><summary>unsafe text</summary><span class=\"text\">"));
}
