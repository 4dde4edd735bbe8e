//! The binary as a user runs it: specs in, exit codes, messages and run folders out.

mod adapters;
mod arrays;
mod asked;
mod bad_input;
mod choices;
mod cluster;
mod compare;
mod compare_files;
mod configs;
mod docs;
mod endpoint;
mod export;
mod gguf;
mod golden;
mod hub;
mod identity;
mod inference;
mod install;
mod integrations;
mod integrity;
mod judge_check;
mod judging_plugin;
mod kills;
mod language;
mod left_out;
mod lengths;
mod level;
mod measures;
mod model_cases;
mod models;
#[cfg(target_os = "linux")]
mod offline;
mod plan;
mod planned;
mod plugin_new;
mod plugins;
mod recorded;
mod recorded_values;
mod replay;
mod rounded;
mod search;
#[cfg(target_os = "linux")]
mod sharing;
mod side_by_side;
mod slurm;
mod smoke;
mod specs;
mod support;
mod thinking;
mod tools;
mod training;
mod trainings;
mod unchanged;
mod values;
mod workers;

/// Started by the tests of this file as the server that they talk to; see `driftgauge_tests::server`.
#[test]
fn stand_in_server() {
    driftgauge_tests::server::serve_or_check();
}
