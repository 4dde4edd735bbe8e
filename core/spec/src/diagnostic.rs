//! What is wrong with a spec, or worth a warning.

use std::borrow::Cow;

use strsim::osa_distance;

use crate::located::Span;

/// How much something matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It stops nothing, unless warnings are denied.
    Warning,
    /// Nothing can run.
    #[default]
    Error,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Codes of warnings: what a spec may allow.
pub const WARNINGS: [&str; 21] = [
    "constant",
    "counted",
    "judges-itself",
    "no-comparison",
    "no-effect",
    "no-metrics",
    "odd-answer",
    "odd-completion",
    "prefill",
    "prompt-may-be-too-long",
    "recorded-otherwise",
    "replaced",
    "same-choices",
    "same-name",
    "same-stand-in",
    "special-token",
    "too-few-prompts",
    "trained-on-evaluated",
    "untrimmed",
    "unused",
    "wrong-accepted",
];

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Stable kebab-case code, documented in `specs/README.md`.
    pub code: Cow<'static, str>,
    /// What is wrong, in one phrase.
    pub message: String,
    /// Where, and what to say there. The first place is the main one.
    pub labels: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: Cow::Borrowed(code),
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// A warning without a place yet.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Whether nothing can run with it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Adds a place; values written nowhere add none.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        if !span.is_none() {
            self.labels.push((span, text.into()));
        }
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The known word nearest to what was written, when it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (osa_distance(written, word), word))
        .filter(|(distance, word)| {
            let length = word.chars().count();
            // A word of which no letter is left was not meant.
            *distance <= 1 + length / 4 && *distance < length
        })
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        let known = ["metrics", "models", "judges"];
        assert_eq!(nearest("metrcs", known), Some("metrics"));
        assert_eq!(nearest("jugdes", known), Some("judges"));
        assert_eq!(nearest("temperature", known), None);
    }
}
