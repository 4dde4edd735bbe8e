//! Run folders for tests: the fixture, which a real run made, or the fixture with something changed in its types.

use std::path::{Path, PathBuf};

use driftgauge_record::files::metrics::MetricsRecord;
use driftgauge_record::files::plan::PlanRecord;
use driftgauge_record::files::resolved::ExperimentRecord;
use driftgauge_record::{Results, RunDir, Sample, read_samples, write_samples};
use driftgauge_report::{Report, render_html};

/// Where the fixture runs lie.
pub(crate) fn runs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/runs")
}

/// A copy of a fixture run in a folder of its own.
pub(crate) struct Run {
    folder: tempfile::TempDir,
    pub(crate) experiment: ExperimentRecord,
    pub(crate) results: Results,
    pub(crate) metrics: MetricsRecord,
    pub(crate) plan: PlanRecord,
}

#[allow(dead_code, reason = "each test file uses what it needs")]
impl Run {
    /// The smoke fixture.
    pub(crate) fn smoke() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&runs().join("smoke"), folder.path());
        let dir = RunDir::new(folder.path());
        Self {
            experiment: dir.read().expect("resolved.json"),
            results: dir.read().expect("results.json"),
            metrics: dir.read().expect("metrics.json"),
            plan: dir.read().expect("plan.json"),
            folder,
        }
    }

    /// The folder, without what was changed in the fields and not saved.
    pub(crate) fn dir(&self) -> RunDir {
        RunDir::new(self.folder.path())
    }

    /// The samples of an evaluation.
    pub(crate) fn samples(&self, evaluation: &str) -> Vec<Sample> {
        read_samples(&self.dir().samples_of(evaluation)).expect("samples")
    }

    /// Other samples of an evaluation.
    pub(crate) fn set_samples(&self, evaluation: &str, samples: Vec<Sample>) {
        write_samples(&self.dir().samples_of(evaluation), samples).expect("written");
    }

    /// Writes the fields back.
    pub(crate) fn save(&self) -> RunDir {
        let dir = self.dir();
        dir.write(&self.experiment).expect("written");
        dir.write(&self.results).expect("written");
        dir.write(&self.metrics).expect("written");
        dir.write(&self.plan).expect("written");
        dir
    }

    /// The report, as data and as a page.
    pub(crate) fn report(&self) -> (Report, String) {
        let report = Report::build(&self.save()).expect("a report");
        let page = render_html(&report).expect("a page");
        (report, page)
    }
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
