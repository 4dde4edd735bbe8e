//! The plan: a DAG of nodes with their keys. Making it reads no weights and runs nothing.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::{Digest, node_key};
use crate::judge::Judge;
use crate::prompt::TurnTemplate;
use crate::resolved::{
    ModelSource, Recorded, ResolvedEvaluation, ResolvedExperiment, ResolvedKl, ResolvedModel,
    Training,
};

/// How servers are asked: what is sent and what is made of the answer. Raised when that changes.
const ENDPOINT_ENGINE: &str = "openai-compatible 1";

/// What a node does, with the version of its behaviour: raised when the same inputs would give other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Selects rows.
    Dataset,
    /// A model folder that is there already.
    Model,
    /// Trains from scratch.
    Pretrain,
    /// Fine-tunes.
    Finetune,
    /// Merges an adapter into a plain folder.
    Merge,
    /// Generates completions.
    Generate,
    /// Scores given text.
    Score,
    /// Judges completions.
    Judge,
    /// Runs a metric plugin.
    Metric,
    /// Compares a model with the baseline.
    Compare,
}

impl Kind {
    /// The word used in files and keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Model => "model",
            Self::Pretrain => "pretrain",
            Self::Finetune => "finetune",
            Self::Merge => "merge",
            Self::Generate => "generate",
            Self::Score => "score",
            Self::Judge => "judge",
            Self::Metric => "metric",
            Self::Compare => "compare",
        }
    }

    /// Version of the kind's behaviour.
    #[must_use]
    pub fn version(self) -> u32 {
        match self {
            // 3: numbers over prompts that each model chose itself are compared too. 4: very many scores are not drawn. 5: equal
            // 0/1 scores of several trainings have Newcombe's interval.
            Self::Compare => 5,
            // 2: shares held out exactly, mixes counted exactly, a base's own chat template.
            Self::Pretrain | Self::Finetune => 2,
            // 2: plain text begins as the tokenizer begins a text; the chat template of the spec is used.
            Self::Score => 2,
            // 2: rows without a context have no system turn; loops are found also where the limit cuts them.
            // 3: an answer of one token disturbs neither itself nor the next one.
            Self::Generate => 3,
            // 2: the context stands apart from the behavior. 3: as for completions.
            Self::Judge => 3,
            _ => 1,
        }
    }

    /// Whether the node starts a process that loads or trains a model.
    #[must_use]
    pub fn is_heavy(self) -> bool {
        matches!(
            self,
            Self::Pretrain
                | Self::Finetune
                | Self::Merge
                | Self::Generate
                | Self::Score
                | Self::Judge
        )
    }
}

/// Which part of the experiment a node stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A dataset.
    Dataset(String),
    /// A model's weights: found, trained, fine-tuned or merged.
    Model(String),
    /// Completions or scores of one model under one condition.
    Completions {
        /// Evaluation id.
        evaluation: String,
        /// Condition id.
        condition: String,
        /// Model id.
        model: String,
    },
    /// Verdicts on them.
    Verdicts {
        /// Evaluation id.
        evaluation: String,
        /// Condition id.
        condition: String,
        /// Model id.
        model: String,
        /// Judge id.
        judge: String,
    },
    /// How far the model is from its reference, token by token.
    Divergence {
        /// Evaluation id.
        evaluation: String,
        /// Condition id.
        condition: String,
        /// Model id.
        model: String,
    },
    /// A metric of one model over one evaluation.
    Metric {
        /// Evaluation id.
        evaluation: String,
        /// Metric id.
        metric: String,
        /// Model id.
        model: String,
    },
    /// The same metric of a model against the baseline's, and under each condition against the first one. Of the baseline, the
    /// conditions alone; of a further pair, the models alone.
    Comparison {
        /// Evaluation id.
        evaluation: String,
        /// Metric id.
        metric: String,
        /// Id of the model it is held against.
        #[serde(default)]
        baseline: Option<String>,
        /// Model id.
        model: String,
    },
    /// The same metric of all trainings of a model against all those of the baseline.
    Trainings {
        /// Evaluation id.
        evaluation: String,
        /// Metric id.
        metric: String,
        /// Id of the baseline's first training.
        baseline: String,
        /// Id of the model's first training.
        model: String,
    },
}

/// One node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// Readable id, unique in the plan; never part of a key.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// What it stands for.
    pub part: Part,
    /// Its key; `None` while a source of the hub is not pinned.
    pub key: Option<Digest>,
    /// The parameters in the key.
    pub params: Value,
    /// Nodes it needs, by position.
    pub inputs: Vec<usize>,
    /// Prompts, rows or examples it goes through, when known.
    pub items: Option<u64>,
}

/// What identifies the engine that makes completions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineIdentity {
    /// Engine and version, for example `mistral.rs 0.8.1`.
    pub generation: String,
    /// The scorer and trainer, for example `driftgauge-lm 1`.
    pub training: String,
    /// Device class: `cpu` or `cuda`.
    pub device: String,
}

/// What identifies a plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// Plugin id.
    pub id: String,
    /// Version from its manifest.
    pub version: String,
    /// Digest of the library file.
    pub digest: Digest,
    /// Whether it returns verdicts.
    #[serde(skip)]
    pub judges: bool,
    /// Whether its configuration has the level of intervals.
    #[serde(skip)]
    pub takes_level: bool,
    /// The key of its configuration that says how many of the likeliest tokens it reads, and a number that asks for none.
    #[serde(skip)]
    pub top_logprobs: Option<(String, Option<u64>)>,
}

impl PluginIdentity {
    /// How many of the likeliest tokens' ln p a metric with this configuration reads at every position; `None` where it reads
    /// no such list.
    #[must_use]
    pub fn top_logprobs(&self, config: &Value) -> Option<usize> {
        let (key, unless) = self.top_logprobs.as_ref()?;
        let wanted = config[key].as_u64().filter(|n| Some(*n) != *unless)?;
        usize::try_from(wanted).ok()
    }
}

/// Where the identity of a judge's plugin stands among those of the metrics, whose ids have no space.
#[must_use]
pub fn judge_plugin(evaluation: &str, judge: &str) -> String {
    format!("judge {evaluation}/{judge}")
}

/// All nodes, inputs before those who need them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The nodes.
    pub nodes: Vec<Node>,
}

impl Plan {
    /// Plans an experiment. `plugins` holds the identity of each metric's plugin, and of each judge's by [`judge_plugin`].
    #[must_use]
    pub fn of(
        experiment: &ResolvedExperiment,
        engine: &EngineIdentity,
        plugins: &IndexMap<String, PluginIdentity>,
    ) -> Self {
        let mut builder = Builder {
            experiment,
            engine,
            plugins,
            plan: Self::default(),
            datasets: HashMap::new(),
            models: HashMap::new(),
            completions: HashMap::new(),
        };
        builder.datasets();
        builder.models();
        builder.evaluations();
        builder.plan
    }

    /// Position of the node with that id.
    #[must_use]
    pub fn position(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }
}

struct Builder<'a> {
    experiment: &'a ResolvedExperiment,
    engine: &'a EngineIdentity,
    plugins: &'a IndexMap<String, PluginIdentity>,
    plan: Plan,
    datasets: HashMap<String, usize>,
    /// Position of the node whose artifact is the model's plain folder (for an endpoint or a recording: no folder).
    models: HashMap<String, usize>,
    /// Position of the node that makes the completions of evaluation, condition and model.
    completions: HashMap<(String, String, String), usize>,
}

impl Builder<'_> {
    /// Adds a node; `leaves` are digests of bytes that enter the key beside the inputs' keys.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a node, each named at every call by its value"
    )]
    fn add(
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

    fn datasets(&mut self) {
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

    fn models(&mut self) {
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
                let mappings: Vec<&Value> = recordings
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
                let tuned = self.add(
                    format!("finetune {id}"),
                    Kind::Finetune,
                    part.clone(),
                    params,
                    inputs,
                    &leaves,
                    items,
                );
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

    fn evaluations(&mut self) {
        for (id, evaluation) in &self.experiment.evaluations {
            let mut metric_nodes: HashMap<(String, String), usize> = HashMap::new();
            for model in &evaluation.models {
                let mut inputs = Vec::new();
                for condition in evaluation.conditions.keys() {
                    inputs.extend(self.condition(id, evaluation, condition, model));
                }
                for metric in &evaluation.metrics {
                    let node = self.metric(id, evaluation, metric, model, &inputs);
                    metric_nodes.insert((metric.clone(), model.clone()), node);
                }
            }
            self.comparisons(id, evaluation, &metric_nodes);
        }
    }

    /// Completions or scores of one model under one condition; planned once, whoever needs them.
    fn completions(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        condition: &str,
        model: &str,
    ) -> usize {
        let place = (id.to_owned(), condition.to_owned(), model.to_owned());
        if let Some(&node) = self.completions.get(&place) {
            return node;
        }
        let limit = evaluation.limit.unwrap_or(usize::MAX);
        let rows = self.experiment.datasets[&evaluation.dataset]
            .rows_selected
            .map(|rows| rows.min(limit) as u64);
        let dataset = self.datasets[&evaluation.dataset];
        let turns = &evaluation.conditions[condition].turns;
        let part = Part::Completions {
            evaluation: id.to_owned(),
            condition: condition.to_owned(),
            model: model.to_owned(),
        };
        let inputs = vec![self.models[model], dataset];
        let mut params = json!({
            "turns": turns,
            "shuffle_seed": mentions_shuffled(turns).then_some(evaluation.shuffle_seed),
            "serving": self.serving(model),
            "limit": evaluation.limit,
        });
        let (kind, items) = match &evaluation.score {
            Some(score) => {
                params["score"] = json!(score);
                params["scorer"] = json!(self.engine.training);
                (Kind::Score, rows)
            }
            None => {
                params["generate"] = json!(evaluation.generate);
                params["engine"] = json!(self.generation_engine(model));
                (
                    Kind::Generate,
                    rows.map(|rows| rows * u64::from(evaluation.generate.samples)),
                )
            }
        };
        params["device"] = json!(self.device(model));
        if let ModelSource::Recorded(recordings) = &self.experiment.models[model].source {
            // Which rows are taken, and whose verdicts they hold, is not said by the prompt.
            let position = Recorded::position(recordings, id);
            let mapping = position.map_or(&Value::Null, |position| &recordings[position].mapping);
            let word = mapping["conditions"].get(condition);
            params["recording"] = json!({
                "position": position,
                "condition": (!mapping["condition"].is_null())
                    .then(|| word.cloned().unwrap_or_else(|| json!(condition))),
                "judged": !evaluation.judges.is_empty(),
            });
        }
        let node = self.add(
            format!("{} {id}/{condition}/{model}", kind.as_str()),
            kind,
            part,
            params,
            inputs,
            &[],
            items,
        );
        self.completions.insert(place, node);
        node
    }

    /// Completions or scores of one model under one condition, and what is said of them.
    fn condition(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        condition: &str,
        model: &str,
    ) -> Vec<usize> {
        let completions = self.completions(id, evaluation, condition, model);
        let items = self.plan.nodes[completions].items;
        let turns = &evaluation.conditions[condition].turns;
        let place = format!("{id}/{condition}/{model}");
        let mut nodes = vec![completions];
        if let Some(kl) = &evaluation.kl {
            nodes.push(self.divergence(id, evaluation, condition, model, kl));
        }
        for (judge_id, judge) in &evaluation.judges {
            let mut inputs = vec![completions];
            let plugin = self.plugins.get(&judge_plugin(id, judge_id));
            let identity = match (&judge.judge, plugin) {
                // Where the library lies does not matter, its bytes do.
                (Judge::Plugin(settings), Some(plugin)) => json!({
                    "plugin": plugin.id,
                    "version": plugin.version,
                    "config": settings.config,
                }),
                (judge, _) => json!(judge),
            };
            let leaves: Vec<Digest> = plugin
                .map(|plugin| plugin.digest.clone())
                .into_iter()
                .collect();
            let mut params = json!({
                "judge": identity,
                "behavior": evaluation.behavior,
                "prompt": Digest::of(judge.judge.prompt_identity().as_bytes()),
                "context_turns": turns.iter().map(TurnTemplate::depends_on_row).collect::<Vec<_>>(),
            });
            if let Some(judge_model) = &judge.model {
                inputs.push(self.models[judge_model]);
                params["serving"] = self.serving(judge_model);
                params["engine"] = json!(self.generation_engine(judge_model));
                params["device"] = json!(self.device(judge_model));
            }
            // A plugin sees the whole row.
            if evaluation.behavior.is_some() || plugin.is_some() {
                inputs.push(self.datasets[&evaluation.dataset]);
            }
            nodes.push(self.add(
                format!("judge {place}/{judge_id}"),
                Kind::Judge,
                Part::Verdicts {
                    evaluation: id.to_owned(),
                    condition: condition.to_owned(),
                    model: model.to_owned(),
                    judge: judge_id.clone(),
                },
                params,
                inputs,
                &leaves,
                items,
            ));
        }
        nodes
    }

    /// What makes a model's completions; a server's are made elsewhere, by whatever it runs.
    fn generation_engine(&self, model: &str) -> &str {
        if self.is_remote(model) {
            ENDPOINT_ENGINE
        } else {
            &self.engine.generation
        }
    }

    /// Class of the device that makes a model's completions, where it is ours.
    fn device(&self, model: &str) -> Option<&str> {
        (!self.is_remote(model)).then_some(self.engine.device.as_str())
    }

    fn is_remote(&self, model: &str) -> bool {
        matches!(
            self.experiment.models[model].source,
            ModelSource::Endpoint(_)
        )
    }

    /// How far a model is from its reference, on a text or on the reference's completions.
    fn divergence(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        condition: &str,
        model: &str,
        kl: &ResolvedKl,
    ) -> usize {
        let completions = self.completions(id, evaluation, condition, model);
        let mut inputs = vec![self.models[&kl.reference], self.models[model]];
        let mut params = json!({
            "scorer": self.engine.training,
            "device": self.engine.device,
            "reference_serving": self.serving(&kl.reference),
            "serving": self.serving(model),
        });
        match &kl.text {
            None => {
                inputs.push(self.completions(id, evaluation, condition, &kl.reference));
                inputs.push(completions);
            }
            Some(text) => {
                let turns = &evaluation.conditions[condition].turns;
                inputs.push(self.datasets[&evaluation.dataset]);
                params["text"] = json!(text);
                params["turns"] = json!(turns);
                params["shuffle_seed"] =
                    json!(mentions_shuffled(turns).then_some(evaluation.shuffle_seed));
                params["limit"] = json!(evaluation.limit);
                params["samples"] = json!(evaluation.generate.samples);
            }
        }
        self.add(
            format!("score {id}/{condition}/{model} against {}", kl.reference),
            Kind::Score,
            Part::Divergence {
                evaluation: id.to_owned(),
                condition: condition.to_owned(),
                model: model.to_owned(),
            },
            params,
            inputs,
            &[],
            self.plan.nodes[completions].items,
        )
    }

    /// What changes a model's answers beside its weights.
    fn serving(&self, model: &str) -> Value {
        let model = &self.experiment.models[model];
        json!({
            "quantization": model.quantization,
            "dtype": model.dtype,
            "chat_template": model.chat_template.as_ref().map(|file| &file.digest),
        })
    }

    fn metric(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        metric: &str,
        model: &str,
        inputs: &[usize],
    ) -> usize {
        let settings = &self.experiment.metrics[metric];
        let plugin = self.plugins.get(metric);
        let params = json!({
            "plugin": plugin.map(|plugin| &plugin.id),
            "version": plugin.map(|plugin| &plugin.version),
            "config": settings.config,
            "evaluation": id,
            "model": model,
            "conditions": evaluation.conditions.keys().collect::<Vec<_>>(),
            "judges": evaluation.judges.keys().collect::<Vec<_>>(),
            "references": evaluation.references,
            "wrong_answer": evaluation.wrong_answer,
            "category": evaluation.category,
        });
        let leaves: Vec<Digest> = plugin
            .map(|plugin| plugin.digest.clone())
            .into_iter()
            .collect();
        // Rows carry references and categories, so the dataset is an input of its own.
        let mut inputs = inputs.to_vec();
        inputs.push(self.datasets[&evaluation.dataset]);
        self.add(
            format!("metric {id}/{metric}/{model}"),
            Kind::Metric,
            Part::Metric {
                evaluation: id.to_owned(),
                metric: metric.to_owned(),
                model: model.to_owned(),
            },
            params,
            inputs,
            &leaves,
            None,
        )
    }

    fn comparisons(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        metrics: &HashMap<(String, String), usize>,
    ) {
        let compare = &self.experiment.compare;
        let baseline = compare
            .baseline
            .as_ref()
            .filter(|id| evaluation.models.contains(id));
        let several = evaluation.conditions.len() > 1;
        let params = json!({
            "level": compare.level,
            "resamples": compare.resamples,
            "seed": self.experiment.seed,
            "first_condition": evaluation.conditions.keys().next().filter(|_| several),
        });
        for metric in &evaluation.metrics {
            for model in &evaluation.models {
                let other = baseline.filter(|baseline| *baseline != model);
                if other.is_none() && !several {
                    continue;
                }
                let inputs = other
                    .into_iter()
                    .chain([model])
                    .map(|model| metrics[&(metric.clone(), model.clone())])
                    .collect();
                self.add(
                    format!("compare {id}/{metric}/{model}"),
                    Kind::Compare,
                    Part::Comparison {
                        evaluation: id.to_owned(),
                        metric: metric.clone(),
                        baseline: other.cloned(),
                        model: model.clone(),
                    },
                    params.clone(),
                    inputs,
                    &[],
                    None,
                );
            }
            self.trainings(id, evaluation, metric, metrics);
            let asked = |model: &String| evaluation.models.contains(model);
            for (first, second) in &compare.pairs {
                if !asked(first) || !asked(second) {
                    continue;
                }
                let mut params = params.clone();
                params["first_condition"] = Value::Null;
                let inputs = [first, second]
                    .map(|model| metrics[&(metric.clone(), model.clone())])
                    .to_vec();
                self.add(
                    format!("compare {id}/{metric}/{second} with {first}"),
                    Kind::Compare,
                    Part::Comparison {
                        evaluation: id.to_owned(),
                        metric: metric.clone(),
                        baseline: Some(first.clone()),
                        model: second.clone(),
                    },
                    params,
                    inputs,
                    &[],
                    None,
                );
            }
        }
    }
}

impl Builder<'_> {
    /// Models that were trained several times, each against the baseline: all trainings of both together.
    fn trainings(
        &mut self,
        id: &str,
        evaluation: &ResolvedEvaluation,
        metric: &str,
        metrics: &HashMap<(String, String), usize>,
    ) {
        let experiment = self.experiment;
        let compare = &experiment.compare;
        let recipes = recipes(experiment, evaluation);
        let Some(baseline) = compare.baseline.as_deref().map(|id| first(experiment, id)) else {
            return;
        };
        let Some(baselines) = recipes.get(baseline) else {
            return;
        };
        for (model, trainings) in &recipes {
            let several = trainings.len() > 1 || baselines.len() > 1;
            if *model == baseline || !several {
                continue;
            }
            let inputs = baselines
                .iter()
                .chain(trainings)
                .map(|model| metrics[&(metric.to_owned(), (*model).to_owned())])
                .collect();
            self.add(
                format!("compare {id}/{metric}/{model} over its trainings"),
                Kind::Compare,
                Part::Trainings {
                    evaluation: id.to_owned(),
                    metric: metric.to_owned(),
                    baseline: baseline.to_owned(),
                    model: (*model).to_owned(),
                },
                json!({
                    "level": compare.level,
                    "resamples": compare.resamples,
                    "seed": experiment.seed,
                    "baseline_trainings": baselines.len(),
                }),
                inputs,
                &[],
                None,
            );
        }
    }
}

/// The first training of a model's recipe.
fn first<'a>(experiment: &'a ResolvedExperiment, model: &'a str) -> &'a str {
    let resolved = experiment.models.get(model);
    let first = resolved.and_then(|model| model.replicate_of.as_deref());
    first.unwrap_or(model)
}

/// The models of an evaluation by recipe, each named by its first training.
fn recipes<'a>(
    experiment: &'a ResolvedExperiment,
    evaluation: &'a ResolvedEvaluation,
) -> IndexMap<&'a str, Vec<&'a str>> {
    let mut recipes: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for model in &evaluation.models {
        recipes
            .entry(first(experiment, model))
            .or_default()
            .push(model);
    }
    recipes
}

fn mentions_shuffled(turns: &[TurnTemplate]) -> bool {
    turns.iter().any(|turn| turn.template.contains("shuffled"))
}
