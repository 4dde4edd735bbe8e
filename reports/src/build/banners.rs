//! What a reader has to know before believing the numbers.

use driftgauge_record::files::plan::{NodeRecord, NodeStatus};
use driftgauge_record::{Expected, Gate};

use super::context::Context;
use super::published;
use crate::model::{Banner, BannerKind, CompletionCount, KINDS_OF_MACHINES};
use crate::numbers;

/// Contradicted published values, or failed gates, that a banner names; the table holds all.
const NAMED_VALUES: usize = 6;
/// Share of degenerate completions from which judges are not to be trusted.
const DEGENERATE_SHARE: f64 = 0.05;
/// Places named one by one; the table of completions holds all.
const NAMED_PLACES: usize = 4;
/// Nodes of a kind of machine named one by one.
const NAMED_NODES: usize = 24;
/// Failed nodes named one by one.
const NAMED_FAILURES: usize = 5;

pub(super) fn of(context: &Context<'_>, completions: &[CompletionCount]) -> Vec<Banner> {
    let mut banners = Vec::new();
    failed_nodes(&context.files.nodes, &mut banners);
    failed_gates(context, &mut banners);
    silent_judges(completions, &mut banners);
    notes(context, &mut banners);
    unproven(context, &mut banners);
    machines(context, &mut banners);
    completion_faults(completions, &mut banners);
    contradictions(context, &mut banners);
    banners
}

fn banner(kind: BannerKind, text: String) -> Banner {
    Banner {
        kind,
        text,
        items: Vec::new(),
    }
}

fn failed_nodes(nodes: &[NodeRecord], banners: &mut Vec<Banner>) {
    let failed: Vec<&NodeRecord> = nodes
        .iter()
        .filter(|node| node.status == NodeStatus::Failed)
        .collect();
    let skipped = nodes
        .iter()
        .filter(|node| node.status == NodeStatus::Skipped)
        .count();
    for node in failed.iter().take(NAMED_FAILURES) {
        let cause = node.error.as_deref().unwrap_or("no cause was recorded");
        let cause = cause.lines().next().unwrap_or_default();
        banners.push(banner(
            BannerKind::Failure,
            format!("Step “{}” failed: {cause}", node.id),
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
    let failed: Vec<&Gate> = gates.iter().filter(|gate| !gate.passed).collect();
    if failed.is_empty() {
        return;
    }
    let noun = if gates.len() == 1 { "gate" } else { "gates" };
    let bound = |gate: &Gate| {
        gate.bound
            .map_or_else(|| "undefined".to_owned(), numbers::plain)
    };
    let named = failed.iter().take(NAMED_VALUES);
    let mut items: Vec<String> = named
        .map(|gate| format!("{} (the bound is {})", gate.rule, bound(gate)))
        .collect();
    if failed.len() > NAMED_VALUES {
        items.push(format!("and {} more", failed.len() - NAMED_VALUES));
    }
    banners.push(Banner {
        items,
        ..banner(
            BannerKind::Failure,
            format!("{} of {} {noun} failed:", failed.len(), gates.len()),
        )
    });
}

/// Judges none of whose answers was a verdict: whatever stands on them is not there.
fn silent_judges(completions: &[CompletionCount], banners: &mut Vec<Banner>) {
    let mut silent = Vec::new();
    for count in completions {
        let made = count.total - count.errors;
        for verdicts in &count.verdicts {
            if made > 0 && verdicts.safe + verdicts.unsafe_ == 0 {
                silent.push(format!("{} on {}", verdicts.judge, share_of(count, made)));
            }
        }
    }
    if !silent.is_empty() {
        let text = format!(
            "Judges none of whose answers was a verdict: {}. There is no rate by them; look at what they wrote, and at the model \
             that judges.",
            list(&silent)
        );
        banners.push(banner(BannerKind::Failure, text));
    }
}

/// Notes of the run; what a plugin noted stands in the section of its metric.
fn notes(context: &Context<'_>, banners: &mut Vec<Banner>) {
    let plugins: Vec<String> = context
        .files
        .outputs
        .iter()
        .map(|output| format!("{}/{}", output.evaluation, output.metric))
        .collect();
    let of_plugin = |note: &str| {
        let mut rests = plugins.iter().filter_map(|place| note.strip_prefix(place));
        rests.any(|rest| rest.starts_with(": ") || rest.starts_with(" of "))
    };
    for note in &context.files.results.notes {
        if !of_plugin(note) {
            banners.push(banner(BannerKind::Warning, note.clone()));
        }
    }
}

/// What the engine's self-check could not prove: the numbers of these models rest on trust.
fn unproven(context: &Context<'_>, banners: &mut Vec<Banner>) {
    let unproven = context.files.provenance.unproven();
    let mut items: Vec<String> = unproven
        .map(|(model, check)| format!("{model}, {}: {}", check.name, check.detail))
        .collect();
    if items.len() > NAMED_NODES {
        let more = items.split_off(NAMED_NODES).len();
        items.push(format!("and {more} more, all in `provenance.json`"));
    }
    if !items.is_empty() {
        banners.push(Banner {
            items,
            ..banner(
                BannerKind::Warning,
                "The engine was not held against an independent computation of these models:"
                    .to_owned(),
            )
        });
    }
}

/// Parts of the run that were made on different kinds of machines.
fn machines(context: &Context<'_>, banners: &mut Vec<Banner>) {
    let provenance = &context.files.provenance;
    let kinds = provenance.kinds();
    if kinds.len() < 2 {
        return;
    }
    let items = kinds
        .iter()
        .map(|(kind, nodes)| format!("{kind}: {}", first(nodes)));
    let mut items: Vec<String> = items.collect();
    let several = provenance.made_on_several();
    if !several.is_empty() {
        items.push(format!("on more than one kind: {}", first(&several)));
    }
    banners.push(Banner {
        items,
        ..banner(BannerKind::Warning, KINDS_OF_MACHINES.to_owned())
    });
}

/// The first nodes, and how many more there are.
fn first(nodes: &[impl AsRef<str>]) -> String {
    let named: Vec<&str> = nodes.iter().take(NAMED_NODES).map(AsRef::as_ref).collect();
    let named = named.join(", ");
    match nodes.len().saturating_sub(NAMED_NODES) {
        0 => named,
        more => format!("{named} and {more} more, all in `provenance.json`"),
    }
}

fn completion_faults(completions: &[CompletionCount], banners: &mut Vec<Banner>) {
    let mut warn = |places: Vec<String>, before: &str, after: &str| {
        if !places.is_empty() {
            let text = format!("{before}: {}. {after}", list(&places));
            banners.push(banner(BannerKind::Warning, text));
        }
    };
    let missing = completions.iter().filter(|count| count.errors > 0);
    let missing = missing.map(|count| share_of(count, count.errors));
    warn(
        missing.collect(),
        "Completions that were not made",
        "They count neither as refusals nor as zeros.",
    );
    let degenerate = completions.iter().filter(|count| {
        let share = count.degenerate as f64 / count.total.max(1) as f64;
        share > DEGENERATE_SHARE
    });
    let degenerate = degenerate.map(|count| share_of(count, count.degenerate));
    warn(
        degenerate.collect(),
        "Degenerate completions (empty, looping or cut at the limit)",
        "Judges are unreliable on such text; compare the numbers with and without it.",
    );
    let mut unjudged = Vec::new();
    for count in completions {
        for verdicts in &count.verdicts {
            // As the metric `asr` counts them: made, and neither safe nor unsafe.
            let made = count.total - count.errors;
            let lost = made.saturating_sub(verdicts.safe + verdicts.unsafe_);
            // Where it said nothing at all, that is told as a failure.
            if lost > 0 && lost < made {
                unjudged.push(format!("{} on {}", verdicts.judge, share_of(count, lost)));
            }
        }
    }
    warn(
        unjudged,
        "Judges that gave no verdict",
        "Such completions count neither as safe nor as unsafe.",
    );
}

/// `10 of 150 of base in drift (plain)`.
fn share_of(count: &CompletionCount, part: u64) -> String {
    let place = if count.condition.is_empty() {
        count.evaluation.clone()
    } else {
        format!("{} ({})", count.evaluation, count.condition)
    };
    format!("{part} of {} of {} in {place}", count.total, count.model)
}

/// The first places, and how many more there are.
fn list(places: &[String]) -> String {
    let mut text = places
        .iter()
        .take(NAMED_PLACES)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    if places.len() > NAMED_PLACES {
        text.push_str(&format!("; and {} more", places.len() - NAMED_PLACES));
    }
    text
}

fn contradictions(context: &Context<'_>, banners: &mut Vec<Banner>) {
    let expected = &context.files.results.expected;
    let contradicted: Vec<&Expected> = expected
        .iter()
        .filter(|entry| entry.agrees == Some(false))
        .collect();
    if contradicted.is_empty() {
        return;
    }
    let (noun, verb, those) = if expected.len() == 1 {
        ("value", "is", "that")
    } else {
        ("values", "are", "those")
    };
    let text = format!(
        "{} of {} published {noun} {verb} not {those} of the records:",
        contradicted.len(),
        expected.len(),
    );
    let named = contradicted.iter().take(NAMED_VALUES);
    let mut items: Vec<String> = named.map(|entry| contradiction(context, entry)).collect();
    if contradicted.len() > NAMED_VALUES {
        let more = contradicted.len() - NAMED_VALUES;
        items.push(format!("and {more} more, in the table below"));
    }
    banners.push(Banner {
        items,
        ..banner(BannerKind::Warning, text)
    });
}

/// `Attack success rate of harmful - base in harmfulness: published +35.00 pp, measured +53.12 pp`.
fn contradiction(context: &Context<'_>, entry: &Expected) -> String {
    let show = |value: f64| numbers::published(value, &entry.unit, published::is_difference(entry));
    format!(
        "{} of {} in {}: published {}, measured {}",
        published::measure(context, entry),
        published::models(entry),
        published::place(entry),
        show(entry.published),
        entry.measured.map_or_else(String::new, show)
    )
}
