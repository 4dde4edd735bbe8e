//! A model behind a server.

use serde::{Deserialize, Serialize};

/// A remote model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Endpoint {
    /// Base address, for example `http://127.0.0.1:8000/v1`.
    pub base_url: String,
    /// Model name sent to the server.
    pub model: String,
    /// Environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// Requests in flight.
    pub concurrency: usize,
    /// Upper bound on requests a minute.
    pub requests_per_minute: Option<u32>,
    /// Seconds before a request counts as hung.
    pub timeout_seconds: u64,
    /// Tries after the first.
    pub retries: u32,
    /// Whether to ask for log-probabilities.
    pub logprobs: bool,
}

impl Endpoint {
    /// Most of the likeliest tokens that servers of this interface list at a position.
    pub const MOST_LISTED: usize = 20;
}
