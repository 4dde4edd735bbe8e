//! Why a node would run or not: what the store holds, and what changed since the last run of the same experiment.

use std::collections::BTreeMap;

use driftgauge_store::Digest;
use driftgauge_store::Store;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Kind, Plan};

/// What `plan` says of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its artifact is in the store, or it is a model that is there.
    Ready,
    /// It would run.
    Run,
    /// Its source is pinned when it is fetched.
    Unpinned,
}

/// Status of a node with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Whether it would run.
    pub status: Status,
    /// Why, in a few words.
    pub reason: String,
}

/// Nodes of the last run of an experiment, by id.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct History {
    nodes: BTreeMap<String, Remembered>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    key: Option<Digest>,
    params: Value,
    inputs: BTreeMap<String, Option<Digest>>,
}

impl History {
    /// The history kept in the store for the experiment of that name; empty when there is none.
    #[must_use]
    pub fn load(store: &Store, experiment: &str) -> Self {
        store
            .recall_plan(experiment)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Remembers a plan for the next one's reasons. Losing it costs an explanation, nothing else.
    pub fn save(store: &Store, experiment: &str, plan: &Plan) {
        let nodes = plan
            .nodes
            .iter()
            .map(|node| {
                let inputs = node
                    .inputs
                    .iter()
                    .map(|&input| (plan.nodes[input].id.clone(), plan.nodes[input].key.clone()))
                    .collect();
                let remembered = Remembered {
                    key: node.key.clone(),
                    params: node.params.clone(),
                    inputs,
                };
                (node.id.clone(), remembered)
            })
            .collect();
        let text = serde_json::to_string(&Self { nodes }).unwrap_or_default();
        store.remember_plan(experiment, &text);
    }
}

/// Says for each node of the plan whether it would run, and why.
#[must_use]
pub fn explain(plan: &Plan, store: &Store, history: &History) -> Vec<Standing> {
    let mut verdicts: Vec<Standing> = Vec::new();
    for node in &plan.nodes {
        let verdict = match &node.key {
            None if node.inputs.is_empty() => Standing {
                status: Status::Unpinned,
                reason: "a source of the hub, pinned when it is fetched".to_owned(),
            },
            None => Standing {
                status: Status::Unpinned,
                reason: waits_for(plan, &node.inputs, &verdicts, &Status::Unpinned),
            },
            Some(_) if node.kind == Kind::Model => Standing {
                status: Status::Ready,
                reason: match node.params["endpoint"].as_str() {
                    Some(url) => format!("behind the server at {url}"),
                    None => "on this machine".to_owned(),
                },
            },
            Some(key) if store.contains(key) => match store.provisional(key) {
                None => Standing {
                    status: Status::Ready,
                    reason: "in the store".to_owned(),
                },
                Some(lacking) => Standing {
                    status: Status::Run,
                    reason: match lacking {
                        0 => "made while answers were missing".to_owned(),
                        1 => "1 answer is missing and asked for again".to_owned(),
                        count => format!("{count} answers are missing and asked for again"),
                    },
                },
            },
            Some(_) => Standing {
                status: Status::Run,
                reason: reason(plan, node, history, &verdicts),
            },
        };
        verdicts.push(verdict);
    }
    verdicts
}

fn waits_for(plan: &Plan, inputs: &[usize], verdicts: &[Standing], status: &Status) -> String {
    let names: Vec<String> = inputs
        .iter()
        .filter(|&&input| verdicts[input].status == *status)
        .map(|&input| format!("`{}`", plan.nodes[input].id))
        .collect();
    format!("after {}", names.join(", "))
}

fn reason(
    plan: &Plan,
    node: &crate::plan::Node,
    history: &History,
    verdicts: &[Standing],
) -> String {
    let Some(before) = history.nodes.get(&node.id) else {
        return if node
            .inputs
            .iter()
            .any(|&input| verdicts[input].status == Status::Run)
        {
            waits_for(plan, &node.inputs, verdicts, &Status::Run)
        } else {
            "not made yet".to_owned()
        };
    };
    let mut changes = Vec::new();
    differences("", &before.params, &node.params, &mut changes);
    if changes.is_empty() {
        for &input in &node.inputs {
            let input = &plan.nodes[input];
            match before.inputs.get(&input.id) {
                Some(key) if *key == input.key => {}
                Some(_) => changes.push(format!("`{}` is another", input.id)),
                None => changes.push(format!("`{}` is new", input.id)),
            }
        }
    }
    if changes.is_empty() {
        return if before.key == node.key {
            "not finished, or removed from the store".to_owned()
        } else {
            "the bytes it reads changed".to_owned()
        };
    }
    format!("changed: {}", changes.join("; "))
}

/// Paths at which two parameter sets differ, with both values when they are short.
fn differences(path: &str, before: &Value, after: &Value, out: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let (old, new) = (
                    old.get(key).unwrap_or(&Value::Null),
                    new.get(key).unwrap_or(&Value::Null),
                );
                differences(&path, old, new, out);
            }
        }
        (old, new) if old != new => {
            let (old, new) = (old.to_string(), new.to_string());
            out.push(if old.len() + new.len() <= 60 {
                format!("{path} {old} -> {new}")
            } else {
                path.to_owned()
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_the_key() {
        let mut out = Vec::new();
        let before = json!({"settings": {"learning_rate": 2e-4, "seed": 1}, "x": "same"});
        let after = json!({"settings": {"learning_rate": 1e-4, "seed": 1}, "x": "same"});
        differences("", &before, &after, &mut out);
        assert_eq!(out, ["settings.learning_rate 0.0002 -> 0.0001"]);
    }
}
