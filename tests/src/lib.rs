//! End-to-end and snapshot tests.
