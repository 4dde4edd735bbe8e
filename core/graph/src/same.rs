//! Whether a run would write what its folder holds.

use driftgauge_record::RunDir;
use driftgauge_record::files::provenance::ProvenanceRecord;
use driftgauge_store::{Digest, Store};

use crate::folder;
use crate::resolve::Prepared;
use crate::run::RunRecord;

/// What decides every byte of a run folder but clock and host: the build, the spec with everything that it names, and the plan.
/// `None` for a search, whose plan follows from its numbers.
#[must_use]
pub fn fingerprint(build: &Digest, planned: &Prepared, record: &RunRecord) -> Option<Digest> {
    if !planned.experiment.searches.is_empty() {
        return None;
    }
    let parts = serde_json::json!([
        build.to_string(),
        record.spec_text,
        record.lock,
        folder::resolved(&planned.experiment),
        planned.plan,
    ]);
    Some(Digest::of(parts.to_string().as_bytes()))
}

/// Whether the folder's provenance says what the store says by now of how everything was made, be it by another run since.
#[must_use]
pub fn tells_of(out: &RunDir, planned: &Prepared, record: &RunRecord, store: &Store) -> bool {
    let Ok(told) = out.read::<ProvenanceRecord>() else {
        return false;
    };
    let mut now = ProvenanceRecord {
        command: told.command.clone(),
        host: told.host.clone(),
        started_unix: told.started_unix,
        seconds: told.seconds,
        ..record.provenance.clone()
    };
    folder::facts(&planned.plan, store, &mut now);
    serde_json::to_string(&now).ok() == serde_json::to_string(&told).ok()
}
