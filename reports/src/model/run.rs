//! How the run went: the only part with clock and host.

use driftgauge_record::files::metrics::PluginRecord;
use driftgauge_record::files::plan::NodeRecord;
use driftgauge_record::files::provenance::ProvenanceRecord;
use serde::{Deserialize, Serialize};

/// How the run went: whatever may differ between two equal runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The nodes of the plan.
    pub nodes: Vec<NodeRecord>,
    /// Clock, host, versions, and what engines and trainers said of themselves.
    pub provenance: ProvenanceRecord,
    /// The metric plugins with the digests of their libraries, which every build of them changes.
    pub plugins: Vec<PluginRecord>,
}
