//! From a typed spec to a plan, and from a plan to artifacts in a store.
