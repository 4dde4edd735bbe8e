//! How nodes ended in earlier rounds of the same run.

use std::collections::HashMap;

use driftgauge_store::Digest;

use crate::context::NodeOutcome;
use crate::event::Outcome;
use crate::plan::Plan;

/// Nodes that this run made, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Earlier(HashMap<Digest, NodeOutcome>);

impl Earlier {
    /// A node that an earlier round made was made by this run: it is not told as reused.
    pub(crate) fn take_up(&mut self, plan: &Plan, outcomes: &mut [Option<NodeOutcome>]) {
        for (node, outcome) in plan.nodes.iter().zip(outcomes) {
            let (Some(key), Some(now)) = (&node.key, outcome) else {
                continue;
            };
            match now.outcome {
                Outcome::Ran => _ = self.0.insert(key.clone(), now.clone()),
                Outcome::Reused => {
                    if let Some(before) = self.0.get(key) {
                        now.clone_from(before);
                    }
                }
                _ => {}
            }
        }
    }
}
