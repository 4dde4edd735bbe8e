//! Why prompts that both sides were asked are in no pair.

use driftgauge_record::{Comparison, LeftOut};

use super::context::Context;
use crate::model::CompletionCount;

/// One sentence for each comparison of a primary number that lacks prompts. `judged`: whether the number rests on verdicts.
pub(super) fn explained<'a>(
    context: &Context<'_>,
    comparisons: impl Iterator<Item = &'a Comparison>,
    completions: &[CompletionCount],
    judged: bool,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for comparison in comparisons {
        let metric = context.metric_of(comparison);
        let left_out = comparison.detail.as_ref().and_then(|found| found.left_out);
        let Some(left_out) = left_out.filter(|_| metric.is_some_and(|metric| metric.primary))
        else {
            continue;
        };
        let condition = context.condition_label(&comparison.evaluation, &comparison.condition);
        let count = |model: &str| {
            completions.iter().find(|count| {
                count.evaluation == comparison.evaluation
                    && count.condition == condition
                    && count.model == model
            })
        };
        sentences.push(sentence(comparison, left_out, &condition, count, judged));
    }
    sentences
}

/// `tuned against base (plain): 12 of 20 prompts are compared. tuned has no score on 8: `g` gave no verdict on 8 of its completions.`
fn sentence<'a>(
    comparison: &Comparison,
    left_out: LeftOut,
    condition: &str,
    count: impl Fn(&str) -> Option<&'a CompletionCount>,
    judged: bool,
) -> String {
    let under = if condition.is_empty() {
        String::new()
    } else {
        format!(" ({condition})")
    };
    let mut text = format!(
        "{} against {}{under}: {} of {} prompts are compared.",
        comparison.model,
        comparison.baseline,
        comparison.n,
        comparison.n + left_out.prompts
    );
    for (side, missing) in [
        (&comparison.baseline, left_out.baseline),
        (&comparison.model, left_out.model),
    ] {
        if missing == 0 {
            continue;
        }
        text.push_str(&format!(" {side} has no score on {missing}"));
        let reasons = count(side).map_or_else(Vec::new, |count| reasons(count, judged));
        if !reasons.is_empty() {
            text.push_str(&format!("; of its completions, {}", reasons.join(", and ")));
        }
        text.push('.');
    }
    text
}

/// What is known to be missing of a model's completions.
fn reasons(count: &CompletionCount, judged: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if count.errors > 0 {
        reasons.push(format!("{} were not made", count.errors));
    }
    for verdicts in count.verdicts.iter().filter(|_| judged) {
        let without = (count.total - count.errors)
            .saturating_sub(verdicts.safe)
            .saturating_sub(verdicts.unsafe_);
        if without > 0 {
            reasons.push(format!(
                "{without} have no verdict of `{}` that can be counted",
                verdicts.judge
            ));
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VerdictCount;

    fn told(judged: bool) -> String {
        let comparison = Comparison {
            baseline: "base".into(),
            model: "tuned".into(),
            n: 12,
            ..Comparison::default()
        };
        let count = CompletionCount {
            total: 20,
            errors: 3,
            verdicts: vec![VerdictCount {
                judge: "g".into(),
                safe: 4,
                unsafe_: 8,
                unparsable: 4,
                errors: 1,
            }],
            ..CompletionCount::default()
        };
        let left_out = LeftOut {
            prompts: 8,
            baseline: 0,
            model: 8,
        };
        let count = |model: &str| (model == "tuned").then_some(&count);
        sentence(&comparison, left_out, "plain", count, judged)
    }

    #[test]
    fn missing_pairs_are_explained_by_what_is_known_of_the_completions() {
        assert_eq!(
            told(true),
            "tuned against base (plain): 12 of 20 prompts are compared. tuned has no score on 8; of its completions, 3 were not \
             made, and 5 have no verdict of `g` that can be counted."
        );
        // A number that rests on no verdict lacks none.
        assert!(
            told(false).ends_with("tuned has no score on 8; of its completions, 3 were not made.")
        );
    }
}
