//! Checkpoints: written aside, renamed when whole, and taken up only by the training that wrote them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::event::StepRecord;
use super::optimizer::Optimizer;
use crate::error::{Error, Result};
use crate::files;
use crate::model::Parameters;
use crate::tensors::{TensorFile, write_atomically};

/// Folder of the checkpoints inside the output folder.
const FOLDER: &str = "checkpoints";
const STATE: &str = "state.json";
const PARAMETERS: &str = "parameters.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// Everything that decides a training's result. A checkpoint is taken up only where all of it is equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Digest of the settings.
    pub(crate) settings: String,
    /// Digest of the weights and adapters trained from.
    pub(crate) base: String,
    /// Digest of the encoded rows.
    pub(crate) data: String,
}

/// `state.json` of a checkpoint. The randomness is a function of seed and step, so there is none to store.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    step: u64,
    identity: Identity,
    log: Vec<StepRecord>,
}

/// The checkpoints of one training.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    identity: Identity,
}

impl Checkpoints {
    /// The checkpoints under an output folder.
    pub(crate) fn new(out_dir: &Path, identity: Identity) -> Self {
        Self {
            folder: out_dir.join(FOLDER),
            identity,
        }
    }

    /// The newest checkpoint, if any.
    pub(crate) fn newest(&self) -> Result<Option<PathBuf>> {
        Ok(self.all()?.pop())
    }

    /// Writes a checkpoint and removes older ones.
    pub(crate) fn save(
        &self,
        step: u64,
        parameters: &Parameters,
        optimizer: &Optimizer,
        log: &[StepRecord],
    ) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let older = self.all()?;
        let path = self.folder.join(format!("step-{step:08}"));
        let state = State {
            step,
            identity: self.identity.clone(),
            log: log.to_vec(),
        };
        files::replace_folder(&path, |folder| {
            let values: Vec<(String, Tensor)> = parameters
                .iter()
                .map(|(name, parameter)| (name.clone(), parameter.tensor().clone()))
                .collect();
            write_atomically(&folder.join(PARAMETERS), &values)?;
            write_atomically(&folder.join(OPTIMIZER), &optimizer.state())?;
            let path = folder.join(STATE);
            let json = serde_json::to_vec(&state).map_err(|e| Error::file(&path, e))?;
            files::write_bytes(&path, &json)?;
            driftgauge_store::seal_folder(folder).map_err(|e| Error::file(folder, e))
        })?;
        for path in older.iter().filter(|older| **older != path) {
            files::remove_folder(path)?;
        }
        Ok(())
    }

    /// Takes up the newest checkpoint that is what was written: parameters and optimiser are set, the log so far is returned. One
    /// that is damaged is removed and told to `damaged`.
    pub(crate) fn resume(
        &self,
        parameters: &Parameters,
        optimizer: &mut Optimizer,
        damaged: &mut dyn FnMut(&str),
    ) -> Result<Vec<StepRecord>> {
        let path = loop {
            let Some(path) = self.newest()? else {
                return Ok(Vec::new());
            };
            let damage = driftgauge_store::damage_of_folder(&path);
            let Some(damage) = damage.map_err(|e| Error::file(&path, e))? else {
                break path;
            };
            damaged(&damage);
            files::remove_folder(&path)?;
        };
        let state_path = path.join(STATE);
        let bytes = std::fs::read(&state_path).map_err(Error::io("read", &state_path))?;
        let state: State =
            serde_json::from_slice(&bytes).map_err(|e| Error::file(&state_path, e))?;
        let (theirs, ours) = (&state.identity, &self.identity);
        for (what, theirs, ours) in [
            ("the settings", &theirs.settings, &ours.settings),
            ("the base model", &theirs.base, &ours.base),
            ("the data", &theirs.data, &ours.data),
        ] {
            if theirs != ours {
                return Err(Error::Resume {
                    path,
                    reason: format!("{what} changed since it was written"),
                });
            }
        }
        let values = TensorFile::open(&path.join(PARAMETERS))?;
        for (name, parameter) in parameters {
            let value = values.read(name, parameter.tensor().device())?;
            if value.dims() != parameter.dims() {
                return Err(Error::file(&path, format!("`{name}` has another shape")));
            }
            parameter.tensor().slice_set(&value, 0, 0)?;
        }
        let moments = TensorFile::open(&path.join(OPTIMIZER))?;
        optimizer.restore(state.step, |name| moments.read(name, &Device::Cpu))?;
        Ok(state.log)
    }

    /// Removes all checkpoints: the training is done.
    pub(crate) fn clear(&self) -> Result<()> {
        files::remove_folder(&self.folder)
    }

    /// Whole checkpoints, oldest first.
    fn all(&self) -> Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read", &self.folder)(e)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &self.folder))?;
            // Temporary folders of a killed process begin with a dot.
            if entry.file_name().to_string_lossy().starts_with("step-") {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }
}
