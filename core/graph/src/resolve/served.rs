//! What models behind servers cannot give, held against what metrics read: told before a run, which may cost money.

use driftgauge_data::prompt::TEXT_ROLE;
use driftgauge_engine::Endpoint;
use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_problem::Problem;
use driftgauge_spec::ExperimentSpec;
use indexmap::IndexMap;

use super::place;
use crate::resolved::{ModelSource, ResolvedEvaluation, ResolvedExperiment};

/// Sample fields that no server of this interface gives: it speaks of texts, and of the likeliest tokens alone.
const NEVER: [&str; 3] = ["prompt_token_ids", "completion_token_ids", "token_entropy"];
/// Those that come of log-probabilities.
const OF_LOGPROBS: [&str; 7] = [
    "token_logprob",
    "token_top1_logprob",
    "token_margin",
    "token_top10_entropy",
    "token_top10_mass",
    "token_top_logprobs",
    "first_token_logprob",
];
/// Those that need more of the likeliest tokens than the interface for plain text lists.
const OF_TEN: [&str; 2] = ["token_top10_entropy", "token_top10_mass"];

/// Numbers that a metric will not have of a model behind a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Evaluation id.
    pub evaluation: String,
    /// Model id.
    pub model: String,
    /// Metric id.
    pub metric: String,
    /// Ids of the numbers, written as in the plugin's manifest.
    pub numbers: Vec<String>,
    /// The fields that are not given.
    pub fields: Vec<String>,
}

/// The numbers that will be absent; and the metrics that cannot work at all without what a server does not give.
pub(super) fn lacking(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    manifests: &IndexMap<String, Manifest>,
) -> (Vec<Absent>, Vec<Problem>) {
    let (mut absent, mut problems) = (Vec::new(), Vec::new());
    for (id, evaluation) in &experiment.evaluations {
        // Scored text is no completion, and servers are refused for it elsewhere.
        for model in evaluation
            .models
            .iter()
            .filter(|_| evaluation.score.is_none())
        {
            let source = experiment.models.get(model).map(|model| &model.source);
            let Some(ModelSource::Endpoint(endpoint)) = source else {
                continue;
            };
            let lacks = not_given(endpoint, evaluation);
            for metric in &evaluation.metrics {
                let Some(manifest) = manifests.get(metric) else {
                    continue;
                };
                let mut required = manifest.required_fields.iter();
                if let Some(field) = required.find(|field| lacks.contains(&field.as_str())) {
                    let message = format!(
                        "metric `{metric}` needs `{field}`, which the server of model `{model}` does not give"
                    );
                    problems.push(
                        Problem::new("missing-input", message)
                            .of_input()
                            .at(place(spec.metrics[metric.as_str()].span()))
                            .help("give the evaluation another metric, or the model as a folder; docs/servers.md says what servers give"),
                    );
                    continue;
                }
                absent.extend(of_metric(manifest, &lacks).map(|(numbers, fields)| Absent {
                    evaluation: id.clone(),
                    model: model.clone(),
                    metric: metric.clone(),
                    numbers,
                    fields,
                }));
            }
        }
    }
    (absent, problems)
}

/// The fields that completions of this evaluation will not have, whatever the server.
fn not_given(endpoint: &Endpoint, evaluation: &ResolvedEvaluation) -> Vec<&'static str> {
    let mut lacks = NEVER.to_vec();
    let plain = evaluation
        .conditions
        .values()
        .any(|condition| condition.turns.iter().any(|turn| turn.role == TEXT_ROLE));
    if !endpoint.logprobs {
        lacks.extend(OF_LOGPROBS);
    } else if plain {
        lacks.extend(OF_TEN);
    }
    lacks
}

/// The numbers of a metric that read one of these fields, and which of them.
fn of_metric(manifest: &Manifest, lacks: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
    let (mut numbers, mut fields): (Vec<String>, Vec<String>) = Default::default();
    for (id, reads) in &manifest.reads {
        let missing = reads.iter().filter(|field| lacks.contains(&field.as_str()));
        let missing: Vec<&String> = missing.collect();
        if missing.is_empty() {
            continue;
        }
        numbers.push(id.clone());
        for field in missing {
            if !fields.contains(field) {
                fields.push(field.clone());
            }
        }
    }
    (!numbers.is_empty()).then_some((numbers, fields))
}
