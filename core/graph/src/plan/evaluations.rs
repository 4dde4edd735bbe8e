//! Nodes of evaluations: completions, verdicts, divergences, metrics and comparisons.

use std::collections::HashMap;

use driftgauge_data::prompt::TurnTemplate;
use driftgauge_data::recording::{Recorded, RecordedMapping};
use driftgauge_engine::LocalEngine;
use driftgauge_judge::Judge;
use driftgauge_spec::spec::RecordedFormat;
use driftgauge_store::Digest;
use serde_json::{Value, json};

use super::builder::Builder;
use super::{Kind, Part, judge_plugin};
use crate::resolved::{ModelSource, ResolvedEvaluation, ResolvedKl};

/// How servers are asked: what is sent and what is made of the answer. Raised when that changes.
const ENDPOINT_ENGINE: &str = "openai-compatible 1";

impl Builder<'_> {
    pub(super) fn evaluations(&mut self) {
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
        let mut inputs = vec![self.models[model], dataset];
        let mut params = json!({
            "turns": turns,
            "shuffle_seed": mentions_shuffled(turns).then_some(evaluation.shuffle_seed),
            "serving": self.serving(model),
            "limit": evaluation.limit,
        });
        if let Some(tokens) = evaluation.conditions[condition].prefill_tokens {
            params["prefill_tokens"] = json!(tokens);
        }
        self.shown(evaluation, condition, &mut params, &mut inputs);
        let (kind, items) = match &evaluation.score {
            Some(score) => {
                params["score"] = json!(score);
                params["scorer"] = json!(self.engine.scoring);
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
            let mapping = position.map(|position| &recordings[position].mapping);
            let word = |mapping: &RecordedMapping| {
                let word = mapping.conditions.get(condition).map(String::as_str);
                word.unwrap_or(condition).to_owned()
            };
            params["recording"] = json!({
                // 2: what was not made is no empty completion. 3: rows pair by id, labels and errors are read by what they say.
                // 4: choices are those of the spec. 5: promptfoo says how answers ended.
                "version": match mapping.map(|mapping| mapping.format) {
                    _ if evaluation.score.is_some() => 4,
                    Some(RecordedFormat::Promptfoo) => 5,
                    _ => 3,
                },
                "position": position,
                "condition": mapping.filter(|mapping| mapping.condition.is_some()).map(word),
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
        let key = (id.to_owned(), condition.to_owned(), model.to_owned());
        if let Some(nodes) = self.conditions.get(&key) {
            return nodes.clone();
        }
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
        self.conditions.insert(key, nodes.clone());
        nodes
    }

    /// What the judges of an evaluation are held against known answers by: completions and verdicts of another evaluation, and
    /// its rows.
    pub(super) fn known_answers(&mut self, evaluation: &ResolvedEvaluation) -> Vec<usize> {
        let experiment = self.experiment;
        let Some(check) = &evaluation.judge_check else {
            return Vec::new();
        };
        let known = &experiment.evaluations[check];
        let mut inputs = vec![self.datasets[&known.dataset]];
        for model in &known.models {
            for condition in known.conditions.keys() {
                inputs.extend(self.condition(check, known, condition, model));
            }
        }
        inputs
    }

    /// What makes a model's completions; a server's are made elsewhere, by whatever it runs.
    fn generation_engine(&self, model: &str) -> &str {
        if self.is_remote(model) {
            return ENDPOINT_ENGINE;
        }
        match self.experiment.models[model].engine.unwrap_or_default() {
            LocalEngine::Mistralrs => &self.engine.generation,
            LocalEngine::Native => &self.engine.native,
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
            "scorer": self.engine.scoring,
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
                self.shown(evaluation, condition, &mut params, &mut inputs);
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

    /// The examples before each prompt.
    fn shown(
        &self,
        evaluation: &ResolvedEvaluation,
        condition: &str,
        params: &mut Value,
        inputs: &mut Vec<usize>,
    ) {
        if let Some(examples) = &evaluation.conditions[condition].examples {
            params["examples"] = json!(examples);
            inputs.push(self.datasets[&examples.dataset]);
        }
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
}

fn mentions_shuffled(turns: &[TurnTemplate]) -> bool {
    turns.iter().any(|turn| turn.template.contains("shuffled"))
}
