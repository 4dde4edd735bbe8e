//! A plan as a picture: Graphviz' dot, and Mermaid, which code hosts draw.

use driftgauge_graph::why::Status;

use super::plan_said::Said;
use super::spans::seconds;

pub(super) fn dot(said: &Said<'_>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=filled];\n",
        quoted(&said.prepared.planned.experiment.name)
    );
    for &node in &said.meant {
        let (label, status) = label(said, node);
        let colour = match status {
            Status::Ready => "#d9ead3",
            Status::Run => "#fff2cc",
            Status::Unpinned => "#eeeeee",
        };
        // A backslash and `n` break the line, those of ids do not.
        let label = quoted(&label).replace('\n', "\\n");
        out.push_str(&format!(
            "  n{node} [label={label}, fillcolor=\"{colour}\"];\n"
        ));
    }
    for (from, to) in arrows(said) {
        out.push_str(&format!("  n{from} -> n{to};\n"));
    }
    out + "}\n"
}

pub(super) fn mermaid(said: &Said<'_>) -> String {
    let quoted = |text: &str| {
        let text = text.replace('#', "#35;").replace('"', "#quot;");
        let text = text.replace('<', "#lt;").replace('>', "#gt;");
        format!("\"{}\"", text.replace('\n', "<br>"))
    };
    let mut out = "flowchart LR\n".to_owned();
    for &node in &said.meant {
        let (label, status) = label(said, node);
        let class = match status {
            Status::Ready => "ready",
            Status::Run => "run",
            Status::Unpinned => "unpinned",
        };
        out.push_str(&format!("  n{node}[{}]:::{class}\n", quoted(&label)));
    }
    for (from, to) in arrows(said) {
        out.push_str(&format!("  n{from} --> n{to}\n"));
    }
    out + "  classDef ready fill:#d9ead3\n  classDef run fill:#fff2cc\n  classDef unpinned fill:#eeeeee\n"
}

/// What stands in a node's box: its id, and what it takes where it is to run.
fn label<'a>(said: &'a Said<'_>, node: usize) -> (String, &'a Status) {
    let mut label = said.prepared.planned.plan.nodes[node].id.clone();
    if let Some(estimate) = &said.forecast.nodes[node] {
        label.push_str(&format!("\n{}", seconds(estimate.seconds)));
    }
    (label, &said.verdicts[node].status)
}

/// From each node to those that need it, of those that are told.
fn arrows(said: &Said<'_>) -> Vec<(usize, usize)> {
    let nodes = &said.prepared.planned.plan.nodes;
    let of_node = |&to: &usize| {
        let inputs = nodes[to].inputs.iter();
        inputs
            .filter(|input| said.meant.contains(input))
            .map(move |&from| (from, to))
            .collect::<Vec<_>>()
    };
    said.meant.iter().flat_map(of_node).collect()
}
