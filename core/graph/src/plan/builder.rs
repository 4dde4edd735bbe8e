//! From a resolved experiment to nodes: datasets and models first, then what evaluations make of them.

use std::collections::HashMap;

use driftgauge_data::recording::RecordedMapping;
use driftgauge_engine::PluginIdentity;
use driftgauge_store::{Digest, node_key};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{EngineIdentity, Kind, Node, Part, Plan};
use crate::resolved::{ModelSource, ResolvedExperiment, ResolvedModel, Training};

/// A plan in the making.
pub(super) struct Builder<'a> {
    pub(super) experiment: &'a ResolvedExperiment,
    pub(super) engine: &'a EngineIdentity,
    pub(super) plugins: &'a IndexMap<String, PluginIdentity>,
    pub(super) plan: Plan,
    pub(super) datasets: HashMap<String, usize>,
    /// Position of the node whose artifact is the model's plain folder (for an endpoint or a recording: no folder).
    pub(super) models: HashMap<String, usize>,
    /// Position of the node that makes the completions of evaluation, condition and model.
    pub(super) completions: HashMap<(String, String, String), usize>,
    /// Positions of those completions and of all that is said of them.
    pub(super) conditions: HashMap<(String, String, String), Vec<usize>>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        experiment: &'a ResolvedExperiment,
        engine: &'a EngineIdentity,
        plugins: &'a IndexMap<String, PluginIdentity>,
    ) -> Self {
        Self {
            experiment,
            engine,
            plugins,
            plan: Plan::default(),
            datasets: HashMap::new(),
            models: HashMap::new(),
            completions: HashMap::new(),
            conditions: HashMap::new(),
        }
    }

    /// Adds a node; `leaves` are digests of bytes that enter the key beside the inputs' keys.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a node, each named at every call by its value"
    )]
    pub(super) fn add(
        &mut self,
        id: String,
        kind: Kind,
        part: Part,
        params: Value,
        inputs: Vec<usize>,
        leaves: &[Digest],
        items: Option<u64>,
    ) -> usize {
        let keys: Option<Vec<Digest>> = inputs
            .iter()
            .map(|&input| self.plan.nodes[input].key.clone())
            .collect();
        let key = keys.map(|keys| {
            let all: Vec<Digest> = leaves.iter().cloned().chain(keys).collect();
            node_key(kind.as_str(), kind.version(), &params, &all)
        });
        self.plan.nodes.push(Node {
            id,
            kind,
            part,
            key,
            params,
            inputs,
            items,
        });
        self.plan.nodes.len() - 1
    }

    pub(super) fn datasets(&mut self) {
        for (id, dataset) in &self.experiment.datasets {
            let node = self.add(
                format!("dataset {id}"),
                Kind::Dataset,
                Part::Dataset(id.clone()),
                dataset.selection.clone(),
                Vec::new(),
                dataset.digest.as_slice(),
                dataset.rows_selected.map(|rows| rows as u64),
            );
            if dataset.digest.is_none() {
                self.plan.nodes[node].key = None;
            }
            self.datasets.insert(id.clone(), node);
        }
    }

    pub(super) fn models(&mut self) {
        for (id, model) in &self.experiment.models {
            let node = self.model(id, model);
            self.models.insert(id.clone(), node);
        }
    }

    fn model(&mut self, id: &str, model: &ResolvedModel) -> usize {
        let part = Part::Model(id.to_owned());
        match &model.source {
            ModelSource::Folder { digest, gguf, .. } => self.add(
                format!("model {id}"),
                Kind::Model,
                part,
                json!({ "gguf": gguf.is_some() }),
                Vec::new(),
                std::slice::from_ref(digest),
                None,
            ),
            ModelSource::Hub(source) => {
                let params = json!({ "hub": source.repository, "revision": source.revision });
                let node = self.add(
                    format!("model {id}"),
                    Kind::Model,
                    part,
                    params,
                    Vec::new(),
                    &[],
                    None,
                );
                self.plan.nodes[node].key = None;
                node
            }
            ModelSource::Endpoint(endpoint) => self.add(
                format!("model {id}"),
                Kind::Model,
                part,
                json!({
                    "endpoint": endpoint.base_url,
                    "model": endpoint.model,
                    "logprobs": endpoint.logprobs,
                }),
                Vec::new(),
                &[],
                None,
            ),
            ModelSource::Recorded(recordings) => {
                let mappings: Vec<&RecordedMapping> = recordings
                    .iter()
                    .map(|recorded| &recorded.mapping)
                    .collect();
                let digests: Vec<Digest> = recordings
                    .iter()
                    .map(|recorded| recorded.file.digest.clone())
                    .collect();
                self.add(
                    format!("model {id}"),
                    Kind::Model,
                    part,
                    json!({ "recorded": mappings }),
                    Vec::new(),
                    &digests,
                    None,
                )
            }
            ModelSource::Pretrain(training) => {
                let leaves: Vec<Digest> = training
                    .chat_template
                    .iter()
                    .map(|file| file.digest.clone())
                    .collect();
                let (params, inputs, items) = self.training(training);
                self.add(
                    format!("pretrain {id}"),
                    Kind::Pretrain,
                    part,
                    params,
                    inputs,
                    &leaves,
                    items,
                )
            }
            ModelSource::Adapter { base, adapter, .. } => self.adapter(id, base, adapter.as_ref()),
            ModelSource::Finetune {
                base,
                training,
                init_adapter,
            } => {
                let leaves: Vec<Digest> = init_adapter
                    .iter()
                    .chain(&training.chat_template)
                    .map(|file| file.digest.clone())
                    .collect();
                let (params, mut inputs, items) = self.training(training);
                let base = self.models[base];
                inputs.insert(0, base);
                let mut tuned = self.finetune(id, training, params, inputs, &leaves, items);
                if let Some(step) = training.checkpoint {
                    tuned = self.add(
                        format!("checkpoint {id}"),
                        Kind::Checkpoint,
                        part.clone(),
                        json!({ "step": step }),
                        vec![tuned],
                        &[],
                        None,
                    );
                }
                self.add(
                    format!("merge {id}"),
                    Kind::Merge,
                    part,
                    json!({}),
                    vec![base, tuned],
                    &[],
                    None,
                )
            }
        }
    }

    /// The training of a model. Models that are checkpoints of one training share it.
    fn finetune(
        &mut self,
        id: &str,
        training: &Training,
        params: Value,
        inputs: Vec<usize>,
        leaves: &[Digest],
        items: Option<u64>,
    ) -> usize {
        let part = Part::Model(id.to_owned());
        let title = format!("finetune {id}");
        let node = self.add(title, Kind::Finetune, part, params, inputs, leaves, items);
        if training.checkpoint.is_none() {
            return node;
        }
        let key = self.plan.nodes[node].key.clone();
        let same = self.plan.nodes[..node]
            .iter()
            .position(|other| other.kind == Kind::Finetune && other.key == key && key.is_some());
        match same {
            Some(known) => {
                self.plan.nodes.pop();
                known
            }
            None => node,
        }
    }

    /// The merge of a base with an adapter that was made elsewhere.
    fn adapter(
        &mut self,
        id: &str,
        base: &str,
        adapter: Option<&driftgauge_data::PinnedFile>,
    ) -> usize {
        let leaves: Vec<Digest> = adapter.iter().map(|a| a.digest.clone()).collect();
        let node = self.add(
            format!("merge {id}"),
            Kind::Merge,
            Part::Model(id.to_owned()),
            json!({}),
            vec![self.models[base]],
            &leaves,
            None,
        );
        if adapter.is_none() {
            self.plan.nodes[node].key = None;
        }
        node
    }

    fn training(&self, training: &Training) -> (Value, Vec<usize>, Option<u64>) {
        let data: Vec<Value> = training
            .data
            .iter()
            .map(|part| {
                json!({
                    "turns": part.turns,
                    "filter": part.filter,
                    "limit": part.limit,
                    "count": part.count,
                    "ratio": part.ratio,
                    "shuffle": part.shuffle,
                })
            })
            .collect();
        let params = json!({
            "trainer": self.engine.training,
            "device": self.engine.device,
            "settings": training.settings,
            "architecture": training.architecture,
            "eval_fraction": training.eval_fraction,
            "data": data,
        });
        let mut inputs: Vec<usize> = training
            .data
            .iter()
            .map(|part| self.datasets[&part.dataset])
            .collect();
        let items = inputs
            .iter()
            .map(|&input| self.plan.nodes[input].items)
            .sum();
        inputs.extend(
            training
                .eval_dataset
                .iter()
                .map(|dataset| self.datasets[dataset]),
        );
        (params, inputs, items)
    }
}
