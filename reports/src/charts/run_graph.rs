//! The run graph: nodes from left to right in the order of their dependencies.

use std::fmt::Write as _;

use super::Drawing;
use super::backend::escape;
use super::text_width::fit;
use driftgauge_record::files::plan::{NodeRecord, NodeStatus};

const BOX: (f64, f64) = (148.0, 34.0);
const GAP: (f64, f64) = (34.0, 8.0);
/// Larger graphs are shown as a table alone.
const NODES: usize = 120;

/// Draws the plan; `None` when there is nothing to draw, or too much.
pub(crate) fn draw(nodes: &[NodeRecord]) -> Option<Drawing> {
    if nodes.is_empty() || nodes.len() > NODES {
        return None;
    }
    let inputs = inputs(nodes);
    let places = places(&inputs);
    let width = places.iter().map(|place| place.0).fold(0.0, f64::max) + BOX.0 + 2.0;
    let height = places.iter().map(|place| place.1).fold(0.0, f64::max) + BOX.1 + 2.0;
    let mut body = String::new();
    for (node, own) in inputs.iter().enumerate() {
        for input in own {
            edge(&mut body, places[*input], places[node]);
        }
    }
    for (node, (x, y)) in nodes.iter().zip(&places) {
        boxed(&mut body, node, *x, *y);
    }
    Some(Drawing {
        width: width.ceil() as u32,
        height: height.ceil() as u32,
        body,
    })
}

/// Positions of each node's inputs; only earlier nodes count, so that a damaged file cannot make a circle.
fn inputs(nodes: &[NodeRecord]) -> Vec<Vec<usize>> {
    let position = |id: &String| nodes.iter().position(|node| node.id == *id);
    let own = |(index, node): (usize, &NodeRecord)| {
        let known = node.inputs.iter().filter_map(position);
        known.filter(|input| *input < index).collect()
    };
    nodes.iter().enumerate().map(own).collect()
}

/// Columns by the longest way from a leaf, rows by the mean row of the inputs: edges cross little.
fn places(inputs: &[Vec<usize>]) -> Vec<(f64, f64)> {
    let mut columns: Vec<usize> = Vec::new();
    for own in inputs {
        let deepest = own.iter().map(|input| columns[*input] + 1).max();
        columns.push(deepest.unwrap_or(0));
    }
    // A leaf stands next to the first node that needs it.
    for node in 0..inputs.len() {
        let users = (0..inputs.len()).filter(|user| inputs[*user].contains(&node));
        if let (true, Some(first)) = (
            inputs[node].is_empty(),
            users.map(|user| columns[user]).min(),
        ) {
            columns[node] = first.saturating_sub(1);
        }
    }
    let mut rows = vec![0.0; inputs.len()];
    for column in 0..=columns.iter().copied().max().unwrap_or(0) {
        let mut members: Vec<usize> = (0..inputs.len())
            .filter(|node| columns[*node] == column)
            .collect();
        let wish = |node: usize| {
            let own = &inputs[node];
            let sum: f64 = own.iter().map(|input| rows[*input]).sum();
            if own.is_empty() {
                f64::MAX
            } else {
                sum / own.len() as f64
            }
        };
        let wishes: Vec<f64> = (0..inputs.len()).map(wish).collect();
        members.sort_by(|a, b| wishes[*a].total_cmp(&wishes[*b]).then(a.cmp(b)));
        for (row, node) in members.iter().enumerate() {
            rows[*node] = row as f64;
        }
    }
    let place = |(column, row): (&usize, &f64)| {
        (
            1.0 + *column as f64 * (BOX.0 + GAP.0),
            1.0 + row * (BOX.1 + GAP.1),
        )
    };
    columns.iter().zip(&rows).map(place).collect()
}

fn edge(body: &mut String, from: (f64, f64), to: (f64, f64)) {
    let (x1, y1) = (from.0 + BOX.0, from.1 + BOX.1 / 2.0);
    let (x2, y2) = (to.0, to.1 + BOX.1 / 2.0);
    let bend = GAP.0 / 2.0;
    // Writing to a string cannot fail.
    let _ = writeln!(
        body,
        "<path class=\"line edge\" d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\"/>",
        x1 + bend,
        x2 - bend
    );
}

fn boxed(body: &mut String, node: &NodeRecord, x: f64, y: f64) {
    let status = node.status.as_str();
    let sign = match node.status {
        NodeStatus::Ran => "●",
        NodeStatus::Reused => "○",
        NodeStatus::Failed => "✕",
        NodeStatus::Skipped => "–",
        NodeStatus::Interrupted => "·",
    };
    // The kind stands above; a label that repeats it wastes its room.
    let label = node
        .id
        .strip_prefix(&node.kind)
        .map_or(node.id.as_str(), str::trim);
    let label = if label.is_empty() { &node.id } else { label };
    let _ = writeln!(
        body,
        "<g class=\"node {status}\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\"/>\
         <text class=\"muted\" x=\"{}\" y=\"{}\" font-size=\"10\">{sign} {}</text>\
         <text class=\"text\" x=\"{}\" y=\"{}\" font-size=\"12\">{}</text></g>",
        escape(&format!("{} ({status})", node.id)),
        BOX.0,
        BOX.1,
        x + 8.0,
        y + 12.5,
        escape(&node.kind),
        x + 8.0,
        y + 26.5,
        escape(&fit(label, 12.0, BOX.0 - 14.0)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, inputs: &[&str]) -> NodeRecord {
        NodeRecord {
            id: id.into(),
            kind: "model".into(),
            key: None,
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            items: None,
            status: NodeStatus::Ran,
            seconds: None,
            error: None,
        }
    }

    #[test]
    fn columns_follow_dependencies() {
        let nodes = [
            node("data", &[]),
            node("train", &["data"]),
            node("test-data", &[]),
            node("generate", &["train", "test-data"]),
        ];
        let places = places(&inputs(&nodes));
        let columns: Vec<f64> = places.iter().map(|place| place.0).collect();
        assert!(columns[0] < columns[1] && columns[1] < columns[3]);
        assert!((columns[2] - columns[1]).abs() < 1e-9);
    }

    #[test]
    fn a_circle_in_the_file_is_no_circle_in_the_drawing() {
        let nodes = [node("a", &["b", "a"]), node("b", &["a"])];
        let drawing = draw(&nodes).unwrap();
        assert_eq!(drawing.body.matches("<path").count(), 1);
    }
}
