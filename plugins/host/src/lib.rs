//! Finds, loads and runs metric plugins.
