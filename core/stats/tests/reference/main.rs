//! The statistics against numbers that others made: scipy, statsmodels, scikit-learn and numpy (`fixtures/make.py`), and a paper.

mod agreement;
mod calibration;
mod closed_forms;
mod contrasts;
mod draws;
mod further;
mod paper;
mod regression;
mod resampling;
mod small;
mod values;
