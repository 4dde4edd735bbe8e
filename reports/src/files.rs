//! Reads the files of a run folder.

use driftgauge_record::files::metrics::{MetricsRecord, OutputRecord};
use driftgauge_record::files::plan::{NodeRecord, PlanRecord};
use driftgauge_record::files::provenance::ProvenanceRecord;
use driftgauge_record::files::resolved::ExperimentRecord;
use driftgauge_record::{FolderError, Results, RunDir, TrainingLog, TrainingStep};

use crate::ReportError;

/// What a report is made of, samples excepted: those are streamed.
#[derive(Debug)]
pub(crate) struct RunFiles {
    pub(crate) results: Results,
    pub(crate) outputs: Vec<OutputRecord>,
    pub(crate) nodes: Vec<NodeRecord>,
    pub(crate) experiment: ExperimentRecord,
    pub(crate) spec: String,
    pub(crate) training: Vec<TrainingLog>,
    pub(crate) provenance: ProvenanceRecord,
}

impl RunFiles {
    /// Reads the folder of a run that ended, be it with failures.
    pub(crate) fn read(run: &RunDir) -> Result<Self, ReportError> {
        let experiment: ExperimentRecord = run.read()?;
        let training = training_logs(run, &experiment)?;
        let spec = std::fs::read_to_string(run.spec()).map_err(|source| ReportError::Read {
            path: run.spec(),
            source,
        })?;
        Ok(Self {
            results: run.read()?,
            outputs: run.read::<MetricsRecord>()?.outputs,
            nodes: run.read::<PlanRecord>()?.nodes,
            provenance: run.read()?,
            experiment,
            spec,
            training,
        })
    }
}

/// The logs of all trainings, in the order of the spec's models. A training that failed has none.
fn training_logs(
    run: &RunDir,
    experiment: &ExperimentRecord,
) -> Result<Vec<TrainingLog>, ReportError> {
    let mut logs = Vec::new();
    for model in experiment.models.keys() {
        let path = run.train_log_of(model);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(ReportError::Read { path, source }),
        };
        let steps: Result<Vec<TrainingStep>, _> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(serde_json::from_str)
            .collect();
        let steps = steps.map_err(|error| FolderError::Damaged {
            path,
            detail: error.to_string(),
        })?;
        if !steps.is_empty() {
            logs.push(TrainingLog {
                model: model.clone(),
                steps,
            });
        }
    }
    Ok(logs)
}
