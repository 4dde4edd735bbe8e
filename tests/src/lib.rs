//! End-to-end and snapshot tests, and the generator of the demonstration's data.

pub mod demo_data;
