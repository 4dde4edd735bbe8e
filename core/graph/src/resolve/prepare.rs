//! From a resolved experiment to its plan: what is only known with the plugins and the device at hand.

use std::collections::HashSet;

use driftgauge_engine::{MetricRunner, PluginIdentity};
use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_problem::Problem;
use driftgauge_record::files::lock::LockRecord;
use driftgauge_spec::spec::{Model, ModelDtype, ModelEngine, TrainingDtype};
use driftgauge_spec::{ExperimentSpec, Source};

use indexmap::IndexMap;

use super::measures::resolved_metric;
use super::served::{self, Absent};
use super::{named, numbers, place, plugins, settings};
use crate::folder;
use crate::plan::{EngineIdentity, Plan};
use crate::resolved::ResolvedExperiment;

/// An experiment that can run.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The experiment, its plugins' settings settled.
    pub experiment: ResolvedExperiment,
    /// Its plan.
    pub plan: Plan,
    /// What makes completions and trains.
    pub engine: EngineIdentity,
    /// Digests of everything read.
    pub lock: LockRecord,
    /// Numbers that models behind servers will not have.
    pub absent: Vec<Absent>,
    plugins: IndexMap<String, PluginIdentity>,
}

impl Prepared {
    /// The same without some models; the lock still names everything that was read.
    #[must_use]
    pub fn without(&self, models: &HashSet<String>) -> Self {
        let experiment = self.experiment.without(models);
        Self {
            plan: Plan::of(&experiment, &self.engine, &self.plugins),
            experiment,
            ..self.clone()
        }
    }
}

/// What the plugins say of a spec.
#[derive(Debug, Clone, Default)]
pub struct Complaints {
    plugins: IndexMap<String, PluginIdentity>,
    manifests: IndexMap<String, Manifest>,
    /// Everything that they refuse, with its place in the spec.
    pub problems: Vec<Problem>,
}

/// Asks the plugins of a spec about their configuration and their numbers.
#[must_use]
pub fn complaints(
    source: &Source,
    spec: &ExperimentSpec,
    metrics: &dyn MetricRunner,
) -> Complaints {
    let (plugins, mut problems) = plugins::identify(source, spec, metrics);
    let unknown = numbers::unknown(spec, |id| {
        let metric = resolved_metric(spec.metrics.get(id)?);
        plugins
            .contains_key(id)
            .then(|| metrics.manifest(&metric))?
    });
    problems.extend(unknown);
    let manifest = |id: &String| metrics.manifest(&resolved_metric(spec.metrics.get(id.as_str())?));
    let manifests = plugins.keys();
    let manifests = manifests.filter_map(|id| Some((id.clone(), manifest(id)?)));
    Complaints {
        manifests: manifests.collect(),
        plugins,
        problems,
    }
}

impl Complaints {
    /// Adds what the configurations of metrics name and the evaluations that use them do not have.
    pub fn hold_names(
        &mut self,
        source: &Source,
        spec: &ExperimentSpec,
        experiment: &ResolvedExperiment,
    ) {
        let unknown = named::unknown_names(source, spec, experiment, &self.manifests);
        self.problems.extend(unknown);
    }
}

/// Settles an experiment with its plugins, which refuse nothing, and plans it.
///
/// # Errors
/// Everything that the plugins or the device refuse, with its place in the spec.
pub fn prepare(
    spec: &ExperimentSpec,
    mut experiment: ResolvedExperiment,
    Complaints {
        plugins,
        manifests,
        mut problems,
    }: Complaints,
    engine: &EngineIdentity,
) -> Result<Prepared, Vec<Problem>> {
    settings::set_intervals(&mut experiment, &plugins);
    problems.extend(settings::set_top_logprobs(spec, &mut experiment, &plugins));
    let (absent, unable) = served::lacking(spec, &experiment, &manifests);
    problems.extend(unable);
    match engine.device.as_str() {
        "cpu" => problems.extend(bf16_on_cpu(spec)),
        _ => problems.extend(native_on_gpu(spec)),
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let plan = Plan::of(&experiment, engine, &plugins);
    let lock = folder::lock(&experiment, engine, &plugins);
    Ok(Prepared {
        experiment,
        plan,
        engine: engine.clone(),
        lock,
        absent,
        plugins,
    })
}

/// Models that are to be computed on a processor, in a run on a GPU.
fn native_on_gpu(spec: &ExperimentSpec) -> Vec<Problem> {
    let engines = spec
        .models
        .values()
        .filter_map(|model| model.engine.as_ref());
    engines
        .filter(|engine| *engine.get() == ModelEngine::Native)
        .map(|engine| {
            Problem::new(
                "not-supported",
                "`engine: native` computes on a processor alone",
            )
            .of_input()
            .at(place(engine.span()))
            .help("leave `engine` out, or run with `--device cpu`")
        })
        .collect()
}

fn is_native(model: &Model) -> bool {
    let engine = model.engine.as_ref().map(|engine| *engine.get());
    engine == Some(ModelEngine::Native)
}

/// Parts of the spec that ask the processor for a type that it has no products in. Only here is the device known.
fn bf16_on_cpu(spec: &ExperimentSpec) -> Vec<Problem> {
    let trainings = spec.finetune.iter().chain(spec.pretrain.iter());
    let trainings = trainings
        .filter(|(_, settings)| settings.dtype == TrainingDtype::Bf16)
        .map(|(id, _)| id);
    let models = spec.models.iter();
    let models = models
        .filter(|(_, model)| model.dtype == ModelDtype::Bf16 && !is_native(model))
        .map(|(id, _)| id);
    trainings
        .chain(models)
        .map(|id| {
            Problem::new(
                "not-supported",
                format!("`{id}` asks for `dtype: bf16`, which a CPU cannot compute: its matrix product has no bf16 kernel"),
            )
            .of_input()
            .at(place(id.span()))
            .help(
                "leave `dtype` out: a CPU computes in f32, a GPU in bf16, and weights stored as bf16 are read either way; of a model that \
                 answers, `engine: native` rounds the weights to bf16",
            )
        })
        .collect()
}
