//! The uncertainty metric as a plugin library.
