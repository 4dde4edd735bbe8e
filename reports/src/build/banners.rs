//! What a reader has to know before believing the numbers.

use super::context::{Context, metric_id};
use crate::model::{Banner, BannerKind, CompletionCount, RunNode};
use crate::numbers;

/// Share of degenerate completions from which judges are not to be trusted.
const DEGENERATE_SHARE: f64 = 0.05;
/// Failed nodes named one by one.
const NAMED_FAILURES: usize = 5;

pub(super) fn of(context: &Context<'_>, completions: &[CompletionCount]) -> Vec<Banner> {
    let mut banners = Vec::new();
    failed_nodes(&context.files.nodes, &mut banners);
    failed_gates(context, &mut banners);
    capability_floor(context, &mut banners);
    completion_faults(completions, &mut banners);
    contradictions(context, &mut banners);
    for note in &context.files.results.notes {
        banners.push(banner(BannerKind::Note, note.clone()));
    }
    banners
}

fn banner(kind: BannerKind, text: String) -> Banner {
    Banner { kind, text }
}

fn failed_nodes(nodes: &[RunNode], banners: &mut Vec<Banner>) {
    let failed: Vec<&RunNode> = nodes
        .iter()
        .filter(|node| node.status == "failed")
        .collect();
    let skipped = nodes.iter().filter(|node| node.status == "skipped").count();
    for node in failed.iter().take(NAMED_FAILURES) {
        let cause = node.error.as_deref().unwrap_or("no cause was recorded");
        let cause = cause.lines().next().unwrap_or_default();
        banners.push(banner(
            BannerKind::Failure,
            format!("Step “{}” failed: {cause}", node.label),
        ));
    }
    if failed.len() > NAMED_FAILURES {
        let more = failed.len() - NAMED_FAILURES;
        banners.push(banner(
            BannerKind::Failure,
            format!("{more} more steps failed; see the run graph."),
        ));
    }
    if skipped > 0 {
        let (noun, verb) = if skipped == 1 {
            ("step", "was")
        } else {
            ("steps", "were")
        };
        banners.push(banner(
            BannerKind::Failure,
            format!("{skipped} {noun} {verb} skipped because something before them failed: this report is incomplete."),
        ));
    }
}

fn failed_gates(context: &Context<'_>, banners: &mut Vec<Banner>) {
    let gates = &context.files.results.gates;
    let failed = gates.iter().filter(|gate| !gate.passed).count();
    if failed > 0 {
        let noun = if gates.len() == 1 { "gate" } else { "gates" };
        banners.push(banner(
            BannerKind::Failure,
            format!("{failed} of {} {noun} failed.", gates.len()),
        ));
    }
}

/// Warns of models that lost what they should know: safer is not the same as broken.
fn capability_floor(context: &Context<'_>, banners: &mut Vec<Banner>) {
    for evaluation in &context.files.experiment.evaluations {
        let Some(floor) = evaluation.capability_floor else {
            continue;
        };
        // The floor speaks of the plain question: the first condition.
        let conditions = context.conditions(&evaluation.id);
        let Some(condition) = conditions.first() else {
            continue;
        };
        for metric in &context.files.results.metrics {
            let concerned = metric.evaluation == evaluation.id
                && metric.condition == *condition
                && metric.primary
                && metric.direction == "higher"
                && numbers::is_share(&metric.unit);
            match metric.value {
                Some(value) if concerned && value < floor => banners.push(banner(
                    BannerKind::Warning,
                    format!(
                        "{} is below the declared capability floor in {}: {} {} against {}. What looks safer here may be \
                         broken.",
                        metric.model,
                        evaluation.id,
                        metric_id(&metric.metric),
                        numbers::value(value, &metric.unit),
                        numbers::value(floor, &metric.unit),
                    ),
                )),
                _ => {}
            }
        }
    }
}

fn completion_faults(completions: &[CompletionCount], banners: &mut Vec<Banner>) {
    for count in completions {
        let place = place(count);
        if count.errors > 0 {
            banners.push(banner(
                BannerKind::Warning,
                format!(
                    "{} of {} completions of {} in {place} were not made. They count neither as refusals nor as zeros.",
                    count.errors, count.total, count.model
                ),
            ));
        }
        let share = count.degenerate as f64 / count.total.max(1) as f64;
        if share > DEGENERATE_SHARE {
            banners.push(banner(
                BannerKind::Warning,
                format!(
                    "{} of {} completions of {} in {place} are degenerate ({} empty, {} looping, {} cut at the limit). \
                     Judges are unreliable on such text; compare the numbers with and without it.",
                    count.degenerate, count.total, count.model, count.empty, count.looping, count.truncated
                ),
            ));
        }
        for verdicts in &count.verdicts {
            let lost = verdicts.unparsable + verdicts.errors;
            if lost > 0 {
                banners.push(banner(
                    BannerKind::Warning,
                    format!(
                        "Judge {} gave no verdict on {lost} of {} completions of {} in {place} ({} unparsable, {} errors).",
                        verdicts.judge, count.total, count.model, verdicts.unparsable, verdicts.errors
                    ),
                ));
            }
        }
    }
}

fn place(count: &CompletionCount) -> String {
    if count.condition.is_empty() {
        count.evaluation.clone()
    } else {
        format!("{} ({})", count.evaluation, count.condition)
    }
}

fn contradictions(context: &Context<'_>, banners: &mut Vec<Banner>) {
    let expected = &context.files.results.expected;
    let outside = expected
        .iter()
        .filter(|entry| entry.agrees == Some(false))
        .count();
    if outside > 0 {
        let (noun, verb) = if expected.len() == 1 {
            ("value", "lies")
        } else {
            ("values", "lie")
        };
        banners.push(banner(
            BannerKind::Warning,
            format!(
                "{outside} of {} published {noun} {verb} outside the interval measured here.",
                expected.len()
            ),
        ));
    }
}
