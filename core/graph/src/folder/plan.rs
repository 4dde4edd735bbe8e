//! `plan.json`: every node with its key and what became of it.

use driftgauge_record::Schema;
use driftgauge_record::files::plan::{NodeRecord, NodeStatus, PlanRecord};

use crate::context::NodeOutcome;
use crate::plan::Plan;

/// The plan and what became of its nodes; `None` for those that an interruption kept from ending.
pub(crate) fn plan(plan: &Plan, outcomes: &[Option<NodeOutcome>]) -> PlanRecord {
    let nodes = plan.nodes.iter().zip(outcomes).map(|(node, end)| {
        let inputs = node
            .inputs
            .iter()
            .map(|&input| plan.nodes[input].id.clone());
        NodeRecord {
            id: node.id.clone(),
            kind: node.kind.as_str().to_owned(),
            key: node.key.as_ref().map(ToString::to_string),
            inputs: inputs.collect(),
            items: node.items,
            status: end
                .as_ref()
                .map_or(NodeStatus::Interrupted, |end| end.outcome.into()),
            seconds: end.as_ref().map(|end| end.seconds),
            error: end
                .as_ref()
                .and_then(|end| end.error.as_ref())
                .map(ToString::to_string),
        }
    });
    PlanRecord {
        schema: Schema,
        nodes: nodes.collect(),
    }
}
