//! Models behind OpenAI-compatible servers, as subjects and as judges.
//!
//! What a server does not offer stays absent: token ids, and every statistic that needs the whole distribution. A request
//! that got no answer after all retries is an error of its sample, never an empty answer, a refusal or a zero; the next
//! run asks for it again. The key is read from the environment and sent in one header; it is taken out of whatever the
//! server says before that is kept or shown.

mod client;
mod draws;
mod key;
mod logprobs;
mod message;
mod own;
mod pace;
mod protocol;
mod retry;
mod serve;
mod stream;

pub use serve::serve;

/// Why a server cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The environment variable of the spec is not there.
    #[error("the environment variable `{0}`, which holds the server's key, is not set")]
    NoKey(String),
    /// The variable holds something that is no header value.
    #[error("the key in the environment variable `{0}` has characters that no key has")]
    BadKey(String),
    /// The HTTP client could not be made.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// The parent process is gone.
    #[error("cannot answer the parent process: {0}")]
    Parent(#[from] std::io::Error),
}

impl driftgauge_problem::Explained for EndpointError {
    fn help(&self) -> Option<String> {
        match self {
            Self::NoKey(name) => Some(format!("`export {name}=...`, then run again")),
            _ => None,
        }
    }
}
