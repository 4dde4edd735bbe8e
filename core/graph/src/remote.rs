//! What an experiment leaves to servers: which requests are still to be made, and what a reader has to know of it.

use driftgauge_engine::Endpoint;
use driftgauge_store::Store;

use crate::plan::{Kind, Part, Plan};
use crate::resolved::{ModelSource, ResolvedExperiment};

/// A node whose artifact is not finished, and which asks a server.
#[derive(Debug, Clone, Copy)]
pub struct RemoteNode<'a> {
    /// Node id.
    pub node: &'a str,
    /// Model id.
    pub model: &'a str,
    /// The server.
    pub endpoint: &'a Endpoint,
}

/// The nodes that would ask a server if the plan ran now.
#[must_use]
pub fn to_ask<'a>(
    experiment: &'a ResolvedExperiment,
    plan: &'a Plan,
    store: &Store,
) -> Vec<RemoteNode<'a>> {
    plan.nodes
        .iter()
        .filter(|node| matches!(node.kind, Kind::Generate | Kind::Judge))
        .filter(|node| {
            let key = node.key.as_ref();
            !key.is_some_and(|key| store.is_finished(key))
        })
        .filter_map(|node| {
            let model = match &node.part {
                Part::Completions { model, .. } => model,
                Part::Verdicts {
                    evaluation, judge, ..
                } => experiment.evaluations[evaluation].judges[judge]
                    .model
                    .as_ref()?,
                _ => return None,
            };
            match &experiment.models[model].source {
                ModelSource::Endpoint(endpoint) => Some(RemoteNode {
                    node: &node.id,
                    model,
                    endpoint,
                }),
                _ => None,
            }
        })
        .collect()
}

/// What the report says of each model behind a server.
pub(crate) fn notes(experiment: &ResolvedExperiment) -> Vec<String> {
    experiment
        .models
        .iter()
        .filter_map(|(id, model)| match &model.source {
            ModelSource::Endpoint(endpoint) => Some(format!(
                "{id} is `{}` behind {}: its weights cannot be pinned, and the same name may stand for other weights \
                 tomorrow. What the server does not report is absent here.",
                endpoint.model, endpoint.base_url
            )),
            _ => None,
        })
        .collect()
}
