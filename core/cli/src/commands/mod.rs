//! One file per command.

pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod doctor;
pub(crate) mod documentation;
pub(crate) mod export;
mod export_events;
mod export_hub;
mod export_layouts;
pub(crate) mod init;
mod load;
mod locked;
pub(crate) mod plan;
pub(crate) mod plugin;
mod plugin_new;
pub(crate) mod plugin_worker;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod show;
mod side_by_side;
pub(crate) mod verify;
