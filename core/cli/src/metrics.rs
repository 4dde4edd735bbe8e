//! Metric plugins for the graph, over the plugin host.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driftgauge_engine::{
    MetricHooks, MetricRunner, PluginIdentity, PluginIsolation, Refusal, ResolvedMetric,
};
use driftgauge_graph::JUDGE_ERROR;
use driftgauge_graph::resolve::resolved_metric;
use driftgauge_plugin_host::{
    Locator, Pins, PluginError, PluginFile, PluginLibrary, Program, RunOptions, Source,
    WorkerOptions, default_memory, describe_in_worker, run_metric_in_worker, run_metric_with,
};
use driftgauge_plugin_protocol::rows::Batches;
use driftgauge_plugin_protocol::wire::{Manifest, MetricOutput};
use driftgauge_problem::Problem;
use driftgauge_record::{Sample, SampleBatches};
use driftgauge_store::Digest;

use crate::places::BUILT_IN;

/// Describes each plugin once. What a run was planned with is what runs: another file in its place is an error.
pub(crate) struct PluginMetrics {
    locator: Locator,
    base: PathBuf,
    executable: PathBuf,
    known: Mutex<HashMap<(Source, bool), Arc<Known>>>,
    /// The digest of each source when it was first looked at.
    planned: Mutex<HashMap<Source, String>>,
}

/// A plugin that was described.
struct Known {
    source: Source,
    digest: String,
    manifests: Vec<Manifest>,
    /// Loaded, where it runs in this process: plugins are never unloaded.
    library: Option<PluginLibrary>,
}

impl PluginMetrics {
    /// Plugins named by path are looked for from `base`, the folder of the spec.
    pub(crate) fn new(plugin_dirs: &[PathBuf], base: PathBuf, executable: PathBuf) -> Self {
        Self {
            locator: crate::places::locator(plugin_dirs),
            base,
            executable,
            known: Mutex::default(),
            planned: Mutex::default(),
        }
    }

    /// A metric whose plugin is built in: `check` runs no other code.
    pub(crate) fn installed(
        &self,
        metric: &driftgauge_spec::spec::Metric,
    ) -> Option<ResolvedMetric> {
        let resolved = resolved_metric(metric);
        let source = self.source(&resolved).ok()?;
        let built_in = Self::is_built_in(&resolved, &source);
        (built_in && self.manifest(&resolved).is_some()).then_some(resolved)
    }

    fn source(&self, metric: &ResolvedMetric) -> Result<Source, PluginError> {
        if metric.command.is_empty() {
            let path = self.locator.locate(&metric.plugin, &self.base)?;
            return Ok(Source::Library(path));
        }
        Program::new(&metric.command, &metric.files, &self.base).map(Source::Program)
    }

    /// Whether a plugin came with this binary: known by its name, and found in one of its own folders.
    fn is_built_in(metric: &ResolvedMetric, source: &Source) -> bool {
        let Source::Library(path) = source else {
            return false;
        };
        crate::places::is_own(path) && BUILT_IN.contains(&metric.plugin.as_str())
    }

    fn runs_here(metric: &ResolvedMetric, source: &Source) -> bool {
        match metric.isolation {
            Some(PluginIsolation::InProcess) => true,
            Some(PluginIsolation::Worker) => false,
            None => Self::is_built_in(metric, source),
        }
    }

    /// The plugin of a metric, described the first time it is asked for; its pins are checked each time.
    fn known(&self, metric: &ResolvedMetric) -> Result<Arc<Known>, PluginError> {
        let source = self.source(metric)?;
        let key = (source, Self::runs_here(metric, &self.source(metric)?));
        // Held while the plugin is described, so that no two threads start a worker for it.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match known.get(&key) {
            Some(found) => Arc::clone(found),
            None => {
                let found = Arc::new(self.describe(metric, &key.0, key.1)?);
                known.insert(key, Arc::clone(&found));
                found
            }
        };
        drop(known);
        Self::check_pins(metric, &found)?;
        Ok(found)
    }

    fn check_pins(metric: &ResolvedMetric, known: &Known) -> Result<(), PluginError> {
        let pins = Pins {
            blake3: metric.blake3.clone(),
            sha256: metric.sha256.clone(),
        };
        if pins == Pins::default() {
            return Ok(());
        }
        let Source::Library(path) = &known.source else {
            return Ok(());
        };
        let file = PluginFile::read(path)?;
        file.check(&pins)?;
        file.is_planned(&known.digest)
    }

    fn describe(
        &self,
        metric: &ResolvedMetric,
        source: &Source,
        here: bool,
    ) -> Result<Known, PluginError> {
        let (digest, file) = match source {
            Source::Library(path) => {
                let file = PluginFile::read(path)?;
                // A pin that does not match is found before any code of the file runs.
                file.check(&Pins {
                    blake3: metric.blake3.clone(),
                    sha256: metric.sha256.clone(),
                })?;
                (file.digest().to_owned(), Some(file))
            }
            Source::Program(program) => (program.digest()?, None),
        };
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let before = planned
            .entry(source.clone())
            .or_insert_with(|| digest.clone());
        if *before != digest {
            return Err(PluginError::Replaced {
                path: source.path(),
                planned: before.clone(),
                found: digest,
            });
        }
        drop(planned);
        if let (true, Some(file)) = (here, &file) {
            let library = PluginLibrary::load_file(file)?;
            return Ok(Known {
                source: source.clone(),
                digest,
                manifests: library.manifests().to_vec(),
                library: Some(library),
            });
        }
        let options = Self::worker_options(metric, &digest, RunOptions::default());
        let described = describe_in_worker(&self.executable, source, &options)?;
        Ok(Known {
            source: source.clone(),
            digest,
            manifests: described.manifests,
            library: None,
        })
    }

    fn worker_options(metric: &ResolvedMetric, digest: &str, run: RunOptions) -> WorkerOptions {
        WorkerOptions {
            run,
            timeout: Duration::from_secs(metric.timeout_seconds),
            total_timeout: metric.total_timeout_seconds.map(Duration::from_secs),
            memory: Some(metric.memory.unwrap_or_else(default_memory)),
            digest: Some(digest.to_owned()),
        }
    }

    fn run_over(
        &self,
        metric: &ResolvedMetric,
        samples: &mut dyn Batches,
        run: &RunOptions,
    ) -> Result<MetricOutput, PluginError> {
        let known = self.known(metric)?;
        let id = &known.manifest(metric)?.id;
        if let Some(library) = &known.library {
            return run_metric_with(library, id, &metric.config, samples, run);
        }
        let options = Self::worker_options(metric, &known.digest, run.clone());
        let source = &known.source;
        known.is_unchanged()?;
        let output = run_metric_in_worker(
            &self.executable,
            source,
            id,
            &metric.config,
            samples,
            &options,
        )?;
        known.is_unchanged()?;
        Ok(output)
    }
}

impl Known {
    /// The metric of a plugin that a spec means: the one named like the plugin, else its only one.
    fn manifest(&self, metric: &ResolvedMetric) -> Result<&Manifest, PluginError> {
        let name = Path::new(&metric.plugin).file_stem().unwrap_or_default();
        let name = name.to_string_lossy();
        let name = name
            .strip_prefix(std::env::consts::DLL_PREFIX)
            .unwrap_or(&name);
        match self.manifests.as_slice() {
            [only] => Ok(only),
            several => several
                .iter()
                .find(|manifest| manifest.id == name)
                .ok_or_else(|| PluginError::NoMetric {
                    path: self.source.path(),
                    metric: name.to_owned(),
                    known: several.iter().map(|known| known.id.clone()).collect(),
                }),
        }
    }

    /// The files of a program are read by others than us: they are looked at before it starts and after it has ended. A
    /// library is held against its digest by the process that loads it.
    fn is_unchanged(&self) -> Result<(), PluginError> {
        let Source::Program(program) = &self.source else {
            return Ok(());
        };
        let found = program.digest()?;
        if found == self.digest {
            return Ok(());
        }
        Err(PluginError::Replaced {
            path: self.source.path(),
            planned: self.digest.clone(),
            found,
        })
    }
}

impl MetricRunner for PluginMetrics {
    fn identify(&self, metric: &ResolvedMetric) -> Result<PluginIdentity, Problem> {
        let identify = || -> Result<PluginIdentity, PluginError> {
            let known = self.known(metric)?;
            let manifest = known.manifest(metric)?;
            let built_in = Self::is_built_in(metric, &known.source);
            Ok(PluginIdentity {
                id: manifest.id.clone(),
                version: manifest.version.clone(),
                // Made by BLAKE3 above, so it is one.
                digest: Digest::parse(&known.digest).unwrap_or_else(|| Digest::of(&[])),
                in_process: known.library.is_some() && !built_in,
                judges: manifest.judges,
                shows: manifest.shows.clone(),
                takes_level: !manifest.config_schema["properties"]["level"].is_null(),
                takes_resamples: !manifest.config_schema["properties"]["resamples"].is_null(),
                takes_judge_error: !manifest.config_schema["properties"][JUDGE_ERROR].is_null(),
                top_logprobs: manifest
                    .top_logprobs
                    .as_ref()
                    .map(|reads| (reads.key.clone(), reads.unless)),
            })
        };
        Ok(identify()?)
    }

    fn manifest(&self, metric: &ResolvedMetric) -> Option<Manifest> {
        let known = self.known(metric).ok()?;
        let manifest = known.manifest(metric).ok()?.clone();
        Some(manifest.configured(&metric.config))
    }

    fn check_config(&self, metric: &ResolvedMetric) -> Result<(), Refusal> {
        let mut nothing = SampleBatches::new(std::iter::empty::<Result<Sample, String>>(), 1);
        self.run_over(metric, &mut nothing, &RunOptions::default())
            .map(drop)
            .map_err(|error| Refusal {
                key: error.config_key().map(str::to_owned),
                problem: Problem::from(error),
            })
    }

    fn run(
        &self,
        metric: &ResolvedMetric,
        samples: &mut dyn Batches,
        hooks: MetricHooks,
    ) -> Result<MetricOutput, Problem> {
        let run = RunOptions {
            log: hooks.log,
            cancelled: hooks.cancelled,
        };
        Ok(self.run_over(metric, samples, &run)?)
    }

    fn takes_place(&self, metric: &ResolvedMetric) -> bool {
        self.source(metric)
            .is_ok_and(|source| !Self::runs_here(metric, &source))
    }
}
