//! mistral.rs as this build has it: the engine, or a refusal of whatever needs it.

#[cfg(not(feature = "mistralrs"))]
mod absent;

#[cfg(not(feature = "mistralrs"))]
pub(crate) use absent::{ENGINE, built, check_folder, load, reader, testify, unproven};
#[cfg(feature = "mistralrs")]
pub(crate) use driftgauge_mistralrs::{ENGINE, check_folder, load, reader, testify, unproven};

/// Says whether mistral.rs is there.
///
/// # Errors
/// In a build that leaves it out.
#[cfg(feature = "mistralrs")]
pub(crate) fn built() -> driftgauge_problem::Result<()> {
    Ok(())
}
