//! From a run folder to one self-contained HTML report.
