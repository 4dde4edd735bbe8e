//! What a run says when it has ended, and with which code.

use std::path::Path;

use driftgauge_graph::event::Outcome as NodeEnd;
use driftgauge_graph::forecast::Foreseen;
use driftgauge_graph::run::RunSummary;
use driftgauge_record::RunDir;
use driftgauge_record::files::provenance::ProvenanceRecord;
use driftgauge_report::Report;
use serde_json::json;

use crate::args::{RunArgs, SpecFormat};
use crate::commands::load::Said;
use crate::commands::spans::how_far;
use crate::exit::Exit;

/// Tells what came out.
pub(super) fn end(
    args: &RunArgs,
    said: &Said,
    summary: &RunSummary,
    built: &Report,
    out: &RunDir,
    foreseen: Option<&Foreseen>,
) -> Exit {
    let (how, page) = (args.diagnosing, out.report_html());
    match how.format {
        SpecFormat::Json => println!("{}", as_json(summary, &page, foreseen)),
        SpecFormat::Sarif => said.tell(how),
        SpecFormat::Text | SpecFormat::Github => {
            print!("{}", built.to_text());
            eprintln!("{}", closing(summary, &page));
            if let Some(foreseen) = foreseen {
                eprintln!("took {}", how_far(foreseen));
            }
        }
    }
    let unproven = unproven(out);
    for what in &unproven {
        eprintln!("note: {what}");
    }
    if let Some(note) = kinds_of_machines(out) {
        eprintln!("warning: {note}");
    }
    if summary.count(NodeEnd::Failed) > 0 {
        Exit::Failed
    } else if args.strict && !unproven.is_empty() {
        eprintln!("error: `--strict`, and not everything was proven of every model");
        Exit::Failed
    } else if summary.gate_failed() {
        Exit::GateFailed
    } else {
        Exit::Done
    }
}

/// What the self-checks of the run's models could not prove, also where an earlier run made the answers.
fn unproven(out: &RunDir) -> Vec<String> {
    let provenance: Option<ProvenanceRecord> = out.read_if_there().ok().flatten();
    let unproven = provenance.iter().flat_map(ProvenanceRecord::unproven);
    unproven
        .map(|(model, check)| {
            format!(
                "not proven of `{model}`: `{}`, {}",
                check.name, check.detail
            )
        })
        .collect()
}

/// That parts of the run were made on different kinds of machines.
fn kinds_of_machines(out: &RunDir) -> Option<String> {
    let provenance: ProvenanceRecord = out.read_if_there().ok()??;
    let kinds = provenance.kinds();
    let listed: Vec<String> = kinds
        .iter()
        .map(|(kind, nodes)| format!("\n  {kind}: {} nodes", nodes.len()))
        .collect();
    (kinds.len() > 1).then(|| {
        format!(
            "parts of this run were made on different kinds of machines, whose numbers may differ in their last digits:{}\nhint: `constraint` in the profile keeps jobs on one kind",
            listed.concat()
        )
    })
}

fn as_json(summary: &RunSummary, report: &Path, foreseen: Option<&Foreseen>) -> serde_json::Value {
    json!({
        "report": report,
        "seconds": summary.seconds,
        "ran": summary.count(NodeEnd::Ran),
        "reused": summary.count(NodeEnd::Reused),
        "failed": summary.count(NodeEnd::Failed),
        "skipped": summary.count(NodeEnd::Skipped),
        "unanswered": summary.unanswered,
        "foreseen": foreseen,
        "results": summary.results,
    })
}

fn closing(summary: &RunSummary, report: &Path) -> String {
    let count = |end: NodeEnd, one: &str, more: &str| {
        let count = summary.count(end);
        format!("{count} {}", if count == 1 { one } else { more })
    };
    let mut out = format!(
        "\n{}, {}, {}, {} in {:.1} s\nreport: {}",
        count(NodeEnd::Ran, "node ran", "nodes ran"),
        count(NodeEnd::Reused, "was reused", "were reused"),
        count(NodeEnd::Failed, "failed", "failed"),
        count(NodeEnd::Skipped, "was skipped", "were skipped"),
        summary.seconds,
        report.display()
    );
    if summary.unanswered > 0 {
        let (noun, those) = match summary.unanswered {
            1 => ("answer", "that sample counts as an error"),
            _ => ("answers", "those samples count as errors"),
        };
        out.push_str(&format!(
            "\n{} {noun} of a server did not come: {those}, and the same command asks again",
            summary.unanswered
        ));
    }
    if summary.count(NodeEnd::Failed) > 0 {
        out.push_str("\nhint: running the same command again repeats only what is missing");
    }
    out
}
