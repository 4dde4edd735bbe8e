//! Intervals, tests and calibration as pure functions.
