//! The truthfulness metric as a plugin library.
