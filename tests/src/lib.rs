//! End-to-end and snapshot tests, the servers they talk to, and the generator of the demonstration's data.

pub mod architectures;
pub mod demo_data;
pub mod gguf;
pub mod model_cases;
pub mod server;
mod skipped;

pub use skipped::skipped;
