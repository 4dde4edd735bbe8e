//! Errors of a metric.

use crate::ffi::{DG_BAD_CONFIG, DG_BAD_DATA, DG_CANCELLED, DG_INTERNAL, DG_PANIC, DgStatus};
use crate::wire::PluginErrorPayload;

/// Who is to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The author of the spec: the configuration is wrong.
    Config,
    /// The maker of the data: a sample is wrong.
    Data,
    /// The author of the plugin.
    Internal,
    /// The plugin panicked.
    Panic,
    /// Nobody: the host asked to stop.
    Cancelled,
}

impl ErrorKind {
    pub(crate) fn status(self) -> DgStatus {
        match self {
            Self::Config => DG_BAD_CONFIG,
            Self::Data => DG_BAD_DATA,
            Self::Internal => DG_INTERNAL,
            Self::Panic => DG_PANIC,
            Self::Cancelled => DG_CANCELLED,
        }
    }
}

/// An error of a metric: a lowercase phrase, and where it helps what to do, a stable code, the sample it happened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MetricError {
    /// Who is to act.
    pub kind: ErrorKind,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// A stable kebab-case code.
    pub code: Option<String>,
    /// The sample it happened on.
    pub sample_id: Option<String>,
    /// Of a wrong configuration: the key that is wrong, keys inside others after a dot. The harness points at it in the spec.
    pub key: Option<Box<str>>,
}

impl MetricError {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            help: None,
            code: None,
            sample_id: None,
            key: None,
        }
    }

    /// The configuration is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// A sample is wrong.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// The plugin is wrong.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a stable kebab-case code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the sample it happened on.
    #[must_use]
    pub fn sample(mut self, sample_id: impl Into<String>) -> Self {
        self.sample_id = Some(sample_id.into());
        self
    }

    /// Adds the key of the configuration that is wrong.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into().into_boxed_str());
        self
    }

    pub(crate) fn payload(&self) -> PluginErrorPayload {
        PluginErrorPayload {
            message: self.message.clone(),
            help: self.help.clone(),
            code: self.code.clone(),
            sample_id: self.sample_id.clone(),
            key: self.key.as_deref().map(str::to_owned),
        }
    }
}
