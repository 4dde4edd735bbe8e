//! The mathematics of the built-in metrics.
