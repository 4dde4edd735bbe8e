//! The files of a run folder, one module each.

pub mod digests;
pub mod events;
pub mod lock;
pub mod metrics;
pub mod plan;
pub mod provenance;
pub mod resolved;
