//! The records a run writes and a report reads: samples, verdicts, results, run folders.
