//! What a run writes into its folder, in the types of `driftgauge-record`.

mod lock;
mod plan;
mod provenance;
mod resolved;

pub(crate) use lock::lock;
pub(crate) use plan::plan;
pub(crate) use provenance::facts;
pub(crate) use resolved::family_of;
pub(crate) use resolved::resolved;
