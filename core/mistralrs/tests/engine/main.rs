//! The engine on the golden models.
#![expect(clippy::unwrap_used)]

mod both;
mod context;
mod gguf;
mod golden;
mod order;
mod support;
