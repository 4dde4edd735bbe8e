//! `resolved.json`: the experiment as it was run.

use driftgauge_data::PinnedFile;
use driftgauge_data::hub::HubSource;
use driftgauge_engine::LongPrompt;
use driftgauge_record::Schema;
use driftgauge_record::files::resolved::{
    AdjustRecord, CompareRecord, ConditionRecord, DatasetRecord, EvaluationRecord,
    ExperimentRecord, FamilyRecord, FileRecord, GateRecord, GenerateRecord, HubRecord, JudgeRecord,
    MetricRecord, ModelRecord, PublishedRecord, SampleMode, SourceRecord, TurnRecord,
};
use driftgauge_spec::spec::{Adjust, SampleDisplay};
use indexmap::IndexMap;
use serde_json::json;

use crate::resolved::{
    ExampleAnswer, ModelSource, ResolvedDataset, ResolvedEvaluation, ResolvedExamples,
    ResolvedExperiment, ResolvedGenerate, ResolvedModel,
};
use crate::resolved_comparisons::{
    ResolvedCompare, ResolvedExpected, ResolvedFamily, ResolvedGate,
};

/// The record of an experiment.
pub(crate) fn resolved(experiment: &ResolvedExperiment) -> ExperimentRecord {
    let datasets = experiment.datasets.iter();
    let models = experiment.models.iter();
    let metrics = experiment.metrics.iter().map(|(id, metric)| {
        let record = MetricRecord {
            plugin: metric.plugin.clone(),
            // Another choice of completions is another metric.
            config: match &metric.only {
                None => metric.config.clone(),
                Some(only) => {
                    let mut config = metric.config.clone();
                    config["only"] = json!(only);
                    config
                }
            },
        };
        (id.clone(), record)
    });
    let evaluations = experiment.evaluations.iter();
    ExperimentRecord {
        schema: Schema,
        name: experiment.name.clone(),
        description: experiment.description.clone(),
        title: experiment.title.clone(),
        seed: experiment.seed,
        notes: experiment.notes.clone(),
        datasets: datasets.map(|(id, of)| (id.clone(), dataset(of))).collect(),
        models: models.map(|(id, of)| (id.clone(), model(of))).collect(),
        metrics: metrics.collect(),
        evaluations: evaluations
            .map(|(id, of)| (id.clone(), evaluation(of, &experiment.datasets)))
            .collect(),
        compare: compare(&experiment.compare),
        gates: experiment.gates.iter().map(gate).collect(),
        expected: experiment.expected.iter().map(published).collect(),
        samples: match experiment.report_samples {
            SampleDisplay::Hidden => SampleMode::Hidden,
            SampleDisplay::Redacted => SampleMode::Redacted,
            SampleDisplay::Full => SampleMode::Full,
        },
        charts: experiment.report_charts.clone(),
    }
}

fn dataset(dataset: &ResolvedDataset) -> DatasetRecord {
    DatasetRecord {
        source: dataset.source.clone(),
        hub: dataset.hub.as_ref().map(hub),
        path: dataset.path.clone(),
        digest: dataset.digest.as_ref().map(ToString::to_string),
        content: dataset.content.as_ref().map(ToString::to_string),
        id_column: dataset.selection["id"].clone(),
        selection: dataset.selection.clone(),
        rows: dataset.rows_selected.map(|rows| rows as u64),
    }
}

pub(super) fn hub(source: &HubSource) -> HubRecord {
    HubRecord {
        kind: source.kind.word().to_owned(),
        repository: source.repository.clone(),
        revision: source.revision.clone(),
        split: source.split.clone(),
        file: source.file.clone(),
        commit: source.commit.clone(),
    }
}

fn file(file: &PinnedFile) -> FileRecord {
    FileRecord {
        path: file.path.clone(),
        digest: file.digest.to_string(),
    }
}

fn model(model: &ResolvedModel) -> ModelRecord {
    ModelRecord {
        description: model.description.clone(),
        source: source(&model.source),
        hub: model.hub.as_ref().map(hub),
        quantization: model.quantization.clone(),
        dtype: model.dtype.clone(),
        engine: model.engine.map(|engine| engine.word().to_owned()),
        chat_template: model.chat_template.as_ref().map(file),
        replicate_of: model.replicate_of.clone(),
    }
}

fn source(source: &ModelSource) -> SourceRecord {
    match source {
        ModelSource::Folder {
            path, gguf, digest, ..
        } => SourceRecord::Folder {
            path: path.clone(),
            gguf: gguf.clone(),
            digest: digest.to_string(),
        },
        ModelSource::Hub(source) => SourceRecord::Hub(hub(source)),
        ModelSource::Pretrain(training) => SourceRecord::Pretrain {
            training: json!(training),
        },
        ModelSource::Finetune {
            base,
            training,
            init_adapter,
        } => SourceRecord::Finetune {
            base: base.clone(),
            training: json!(training),
            init_adapter: init_adapter.as_ref().map(file),
        },
        ModelSource::Adapter { base, adapter, .. } => SourceRecord::Adapter {
            base: base.clone(),
            adapter: adapter.as_ref().map(file),
        },
        ModelSource::Endpoint(endpoint) => SourceRecord::Endpoint {
            base_url: endpoint.base_url.clone(),
            model: endpoint.model.clone(),
        },
        ModelSource::Recorded(recordings) => SourceRecord::Recorded(
            recordings
                .iter()
                .map(|recorded| file(&recorded.file))
                .collect(),
        ),
    }
}

fn evaluation(
    evaluation: &ResolvedEvaluation,
    datasets: &IndexMap<String, ResolvedDataset>,
) -> EvaluationRecord {
    let conditions = evaluation.conditions.iter().map(|(id, condition)| {
        let turns = condition.turns.iter().map(|turn| TurnRecord {
            role: turn.role.clone(),
            template: turn.template.clone(),
        });
        // What is shown before is part of the prompt.
        let shown = condition.examples.iter().map(|examples| TurnRecord {
            role: "examples".to_owned(),
            template: examples_said(examples, datasets),
        });
        let turns = shown.chain(turns);
        let record = ConditionRecord {
            description: condition.description.clone(),
            turns: turns.collect(),
        };
        (id.clone(), record)
    });
    let judges = evaluation.judges.iter().map(|(id, judge)| {
        let record = JudgeRecord {
            judge: json!(judge.judge),
            model: judge.model.clone(),
        };
        (id.clone(), record)
    });
    EvaluationRecord {
        description: evaluation.description.clone(),
        models: evaluation.models.clone(),
        dataset: evaluation.dataset.clone(),
        conditions: conditions.collect(),
        shuffle_seed: evaluation.shuffle_seed,
        references: evaluation.references.clone(),
        wrong_answer: evaluation.wrong_answer.clone(),
        behavior: evaluation.behavior.clone(),
        category: evaluation.category.clone(),
        cluster: evaluation.cluster.clone(),
        judge_check: evaluation.judge_check.clone(),
        generate: generate(&evaluation.generate),
        score: json!(evaluation.score),
        kl: json!(evaluation.kl),
        judges: judges.collect(),
        metrics: evaluation.metrics.clone(),
        over_refusal_of: evaluation.over_refusal_of.clone(),
        capability_floor: evaluation.capability_floor,
        limit: evaluation.limit.map(|limit| limit as u64),
    }
}

/// The examples before a prompt, in words: those of two runs are the same when these are.
fn examples_said(
    examples: &ResolvedExamples,
    datasets: &IndexMap<String, ResolvedDataset>,
) -> String {
    let rows = datasets.get(&examples.dataset);
    let rows = rows.and_then(|dataset| dataset.content.as_ref());
    let turns: Vec<String> = examples
        .turns
        .iter()
        .map(|turn| format!("{}: {}", turn.role, turn.template))
        .collect();
    let answer = match &examples.answer {
        None => String::new(),
        Some(ExampleAnswer::Reference(template)) => format!(" | answer: {template}"),
        Some(ExampleAnswer::Choice(score)) => format!(" | answer: {}", json!(score)),
    };
    format!(
        "{} of `{}` (rows {}), drawn with seed {}: {}{answer}",
        examples.count,
        examples.dataset,
        rows.map_or("not read", |digest| digest.short()),
        examples.seed,
        turns.join(" | ")
    )
}

fn generate(generate: &ResolvedGenerate) -> GenerateRecord {
    let sampling = &generate.sampling;
    GenerateRecord {
        max_tokens: generate.max_tokens as u64,
        samples: generate.samples,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k.map(|k| k as u64),
        min_p: sampling.min_p,
        seed: sampling.seed,
        stop: generate.stop.clone(),
        top_logprobs: generate.top_logprobs as u64,
        on_long_prompt: match generate.on_long_prompt {
            LongPrompt::Error => "error",
            LongPrompt::Skip => "skip",
            LongPrompt::Truncate => "truncate",
        }
        .to_owned(),
        strip_thinking: generate.strip_thinking,
    }
}

fn compare(compare: &ResolvedCompare) -> CompareRecord {
    CompareRecord {
        baseline: compare.baseline.clone(),
        pairs: compare.pairs.clone(),
        families: compare.families.iter().map(family).collect(),
        level: compare.level,
        resamples: compare.resamples as u64,
    }
}

fn family(family: &ResolvedFamily) -> FamilyRecord {
    FamilyRecord {
        id: family.id.clone(),
        members: family.members.clone(),
        adjust: match family.adjust {
            Adjust::Holm => AdjustRecord::Holm,
            Adjust::BenjaminiHochberg => AdjustRecord::BenjaminiHochberg,
        },
        per_model: family.per_model,
    }
}

/// The family that a record describes, to adjust p-values in it again.
pub(crate) fn family_of(record: &FamilyRecord) -> ResolvedFamily {
    ResolvedFamily {
        id: record.id.clone(),
        members: record.members.clone(),
        adjust: match record.adjust {
            AdjustRecord::Holm => Adjust::Holm,
            AdjustRecord::BenjaminiHochberg => Adjust::BenjaminiHochberg,
        },
        per_model: record.per_model,
        lines: Vec::new(),
    }
}

fn gate(gate: &ResolvedGate) -> GateRecord {
    GateRecord {
        evaluation: gate.evaluation.clone(),
        metric: gate.metric.clone(),
        condition: gate.condition.clone(),
        model: gate.model.clone(),
        difference: gate.difference,
        upper: gate.upper,
        lower: gate.lower,
    }
}

fn published(expected: &ResolvedExpected) -> PublishedRecord {
    PublishedRecord {
        evaluation: expected.evaluation.clone(),
        condition: expected.condition.clone(),
        model: expected.model.clone(),
        metric: expected.metric.clone(),
        baseline: expected.baseline.clone(),
        baseline_condition: expected.baseline_condition.clone(),
        statistic: expected.statistic.as_str().to_owned(),
        value: expected.value,
        tolerance: expected.tolerance,
        source: expected.source.clone(),
    }
}
