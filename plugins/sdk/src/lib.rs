//! What the author of a metric plugin imports.
