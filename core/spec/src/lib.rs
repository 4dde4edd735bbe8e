//! From YAML text to a typed experiment with positions, and its diagnostics.
