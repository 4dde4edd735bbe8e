//! Metric plugins for the graph, over the plugin host.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use driftgauge_engine::{MetricRunner, PluginIdentity, ResolvedMetric};
use driftgauge_graph::JUDGE_ERROR;
use driftgauge_plugin_host::{
    Locator, PluginLibrary, WorkerOptions, run_metric, run_metric_in_worker,
};
use driftgauge_plugin_protocol::rows::Batches;
use driftgauge_plugin_protocol::wire::{Manifest, MetricOutput};
use driftgauge_problem::Problem;
use driftgauge_record::{Sample, SampleBatches};
use driftgauge_store::Digest;

/// Loads each library once and keeps it: plugins are never unloaded.
pub(crate) struct PluginMetrics {
    locator: Locator,
    base: PathBuf,
    executable: PathBuf,
    libraries: Mutex<HashMap<PathBuf, Arc<PluginLibrary>>>,
}

impl PluginMetrics {
    /// Plugins named by path are looked for from `base`, the folder of the spec.
    pub(crate) fn new(plugin_dirs: &[PathBuf], base: PathBuf, executable: PathBuf) -> Self {
        Self {
            locator: Locator::from_environment(plugin_dirs),
            base,
            executable,
            libraries: Mutex::default(),
        }
    }

    /// A metric whose plugin the spec names by its id and which can be found: nothing is loaded from a path that a spec gives.
    pub(crate) fn installed(
        &self,
        metric: &driftgauge_spec::spec::Metric,
    ) -> Option<ResolvedMetric> {
        let plugin = metric.plugin.get().clone();
        if plugin.contains(['/', '\\']) || plugin.ends_with(std::env::consts::DLL_SUFFIX) {
            return None;
        }
        let config = metric.config.as_ref().map(|config| config.get().clone());
        let resolved = ResolvedMetric {
            plugin,
            config: config.unwrap_or_default(),
            worker: false,
            timeout_seconds: *metric.timeout,
            pin: metric.blake3.as_ref().map(|digest| digest.get().clone()),
        };
        self.manifest(&resolved).map(|_| resolved)
    }

    fn library(&self, metric: &ResolvedMetric) -> Result<Arc<PluginLibrary>, Problem> {
        let path = self.locator.locate(&metric.plugin, &self.base)?;
        let mut libraries = self
            .libraries
            .lock()
            .map_err(|_| "another plugin failed while loading")?;
        if let Some(library) = libraries.get(&path) {
            return Ok(Arc::clone(library));
        }
        let library = match &metric.pin {
            Some(pin) => PluginLibrary::load_pinned(&path, pin),
            None => PluginLibrary::load(&path),
        };
        let library = Arc::new(library?);
        libraries.insert(path, Arc::clone(&library));
        Ok(library)
    }
}

/// The metric of a library that a spec means: the one named like the plugin, else its only one.
fn metric_id(library: &PluginLibrary, metric: &ResolvedMetric) -> Result<String, Problem> {
    let manifests = library.manifests();
    let name = std::path::Path::new(&metric.plugin)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name = name
        .strip_prefix(std::env::consts::DLL_PREFIX)
        .unwrap_or(&name);
    match manifests {
        [only] => Ok(only.id.clone()),
        several => several
            .iter()
            .find(|manifest| manifest.id == name)
            .map(|manifest| manifest.id.clone())
            .ok_or_else(|| {
                let ids: Vec<_> = several
                    .iter()
                    .map(|manifest| format!("`{}`", manifest.id))
                    .collect();
                Problem::failed(format!(
                    "plugin `{}` holds several metrics: {}",
                    metric.plugin,
                    ids.join(", ")
                ))
            }),
    }
}

impl MetricRunner for PluginMetrics {
    fn identify(&self, metric: &ResolvedMetric) -> Result<PluginIdentity, Problem> {
        let library = self.library(metric)?;
        let id = metric_id(&library, metric)?;
        let manifest = library.manifest(&id).map_err(Problem::from)?;
        Ok(PluginIdentity {
            id: manifest.id.clone(),
            version: manifest.version.clone(),
            digest: Digest::parse(library.digest()).ok_or("the plugin has no digest")?,
            judges: manifest.judges,
            takes_level: !manifest.config_schema["properties"]["level"].is_null(),
            takes_resamples: !manifest.config_schema["properties"]["resamples"].is_null(),
            takes_judge_error: !manifest.config_schema["properties"][JUDGE_ERROR].is_null(),
            top_logprobs: manifest
                .top_logprobs
                .as_ref()
                .map(|reads| (reads.key.clone(), reads.unless)),
        })
    }

    fn manifest(&self, metric: &ResolvedMetric) -> Option<Manifest> {
        let library = self.library(metric).ok()?;
        let id = metric_id(&library, metric).ok()?;
        let manifest = library.manifest(&id).ok()?.clone();
        Some(manifest.configured(&metric.config))
    }

    fn check_config(&self, metric: &ResolvedMetric) -> Result<(), Problem> {
        let library = self.library(metric)?;
        let id = metric_id(&library, metric)?;
        run_metric(
            &library,
            &id,
            &metric.config,
            &mut SampleBatches::new(std::iter::empty::<Result<Sample, String>>(), 1),
        )
        .map(|_| ())
        .map_err(Problem::from)
    }

    fn run(
        &self,
        metric: &ResolvedMetric,
        samples: &mut dyn Batches,
    ) -> Result<MetricOutput, Problem> {
        let library = self.library(metric)?;
        let id = metric_id(&library, metric)?;
        if metric.worker {
            let options = WorkerOptions {
                update: Duration::from_secs(metric.timeout_seconds),
                finish: Duration::from_secs(metric.timeout_seconds),
                digest: metric.pin.clone(),
                ..WorkerOptions::default()
            };
            run_metric_in_worker(
                &self.executable,
                library.path(),
                &id,
                &metric.config,
                samples,
                &options,
            )
        } else {
            run_metric(&library, &id, &metric.config, samples)
        }
        .map_err(Problem::from)
    }
}
