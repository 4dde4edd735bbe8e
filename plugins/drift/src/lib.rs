//! The drift metric as a plugin library; the mathematics lie in `driftgauge-metrics`.

driftgauge_plugin_sdk::export_metrics!(driftgauge_metrics::Drift);
