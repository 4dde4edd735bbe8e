//! The asr metric as a plugin library.
