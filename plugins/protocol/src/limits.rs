//! The sizes that a result may have; plugins/README.md states them.

/// Bytes of an id.
pub const ID: usize = 200;
/// Bytes of a title, label, unit or method.
pub const TITLE: usize = 400;
/// Bytes of a formula, a note or a cell.
pub const TEXT: usize = 16 << 10;
/// Scalars.
pub const SCALARS: usize = 4096;
/// Tables, and charts.
pub const PARTS: usize = 64;
/// Columns of a table, and series of a chart.
pub const ACROSS: usize = 256;
/// Rows of a table, and points of a chart.
pub const DOWN: usize = 100_000;
/// Notes.
pub const NOTES: usize = 256;
/// Magnitude of a number that is drawn.
pub const DRAWN: f64 = 1e15;
/// Problems that are told of one result.
pub const PROBLEMS: usize = 12;
