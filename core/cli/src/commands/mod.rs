//! One file per command.

pub(crate) mod check;
pub(crate) mod export;
mod load;
pub(crate) mod plan;
pub(crate) mod plugin_worker;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schema;
