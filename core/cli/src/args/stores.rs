//! The commands of the store.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::shared::Format;

/// The store.
#[derive(Debug, Args)]
pub(crate) struct StoreDir {
    /// Folder of finished artifacts.
    #[arg(long, env = "DRIFTGAUGE_STORE", default_value = ".driftgauge/store")]
    pub(crate) store: PathBuf,
    /// How the output is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Run folder, of which what it rests on in the store is read too, or a store.
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreDir,
}

/// `cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List what is kept, the largest first.
    List(StoreDir),
    /// Read every byte and hold it against its digest.
    Verify(StoreDir),
    /// Remove what no named run folder rests on, or what is old.
    Prune(PruneArgs),
}

/// `cache prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Keep what this run folder rests on.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Vec<PathBuf>,
    /// Remove only what is older than so many days.
    #[arg(long, value_name = "DAYS")]
    pub(crate) older_than: Option<u64>,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
