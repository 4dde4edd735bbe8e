//! From what is asked to an answer, whichever engine computes the logits: the prompt's tokens, the choice of each token, its
//! statistics, and the end.

pub mod checks;
mod recording;
mod request;
mod sampling;
mod statistics;
mod text;

pub use recording::{Plan, Recording};
pub use request::Asked;
pub use sampling::choose;
pub use statistics::Distribution;
pub use text::{Text, Vocabulary};
