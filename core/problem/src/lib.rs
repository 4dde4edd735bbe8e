//! One shape for everything that is said of what went wrong: by resolving, planning, running, the engines and the command
//! line.
//!
//! A [`Problem`] has a stable code, a message, what to do about it, and the place. Libraries keep their own error types and
//! turn them into a problem where they are told; nothing is read back out of a text. [`Problem::blame`] decides how a program
//! ends that stops for it.

mod guarded;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use guarded::{guarded, is_guarded};

/// Result of what can go wrong.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable kebab-case code, documented in `specs/README.md`.
    pub code: Cow<'static, str>,
    /// What is wrong, in one phrase.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Box<Place>>,
    /// Whose it is to mend.
    #[serde(default)]
    pub blame: Blame,
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Bytes of the spec's text.
    Spec(Range<usize>),
    /// A file, and a line of it counted from 1.
    File(PathBuf, Option<usize>),
    /// A node of the plan.
    Node(String),
}

/// Whose a problem is to mend; it decides the exit code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// Something failed while it was done: a node, a file, a machine.
    #[default]
    Run,
    /// The command line, the spec or a file that it names: nothing was run.
    Input,
}

impl Problem {
    /// A problem without a place or advice.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            message: message.into(),
            help: None,
            place: None,
            blame: Blame::Run,
        }
    }

    /// Something that went wrong while it was done, of which no more is known.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new("failed", message)
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what to do, where there is something.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<impl Into<String>>) -> Self {
        self.help = help.map(Into::into).or(self.help);
        self
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// Says that the user's input has to change.
    #[must_use]
    pub fn of_input(mut self) -> Self {
        self.blame = Blame::Input;
        self
    }

    /// Puts words before the message: what was being done.
    #[must_use]
    pub fn while_doing(self, what: impl fmt::Display) -> Self {
        self.prefixed(&format!("{what}: "))
    }

    /// Puts a text behind the message.
    #[must_use]
    pub fn followed(mut self, text: &str) -> Self {
        self.message.push_str(text);
        self
    }

    /// Puts a text before the message.
    #[must_use]
    pub fn prefixed(mut self, text: &str) -> Self {
        self.message.insert_str(0, text);
        self
    }
}

impl fmt::Display for Problem {
    /// The message, and what to do on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\nhint: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// What a library's own error adds to its message, so that it becomes a [`Problem`] by `?`.
pub trait Explained: std::error::Error {
    /// Stable kebab-case code.
    fn code(&self) -> &'static str {
        "failed"
    }

    /// What to do.
    fn help(&self) -> Option<String> {
        None
    }

    /// Whose it is to mend.
    fn blame(&self) -> Blame {
        Blame::Run
    }
}

impl<E: Explained> From<E> for Problem {
    fn from(error: E) -> Self {
        Self {
            code: Cow::Borrowed(error.code()),
            message: error.to_string(),
            help: error.help(),
            place: None,
            blame: error.blame(),
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::new("io", error.to_string())
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::new("not-json", error.to_string())
    }
}

/// Says what was being done when something went wrong.
pub trait Context<T> {
    /// Puts words before the message.
    ///
    /// # Errors
    /// The same as before, in more words.
    fn context(self, what: impl fmt::Display) -> Result<T>;

    /// The same, with words that are only made when they are needed.
    ///
    /// # Errors
    /// The same as before, in more words.
    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Problem>> Context<T> for Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().while_doing(what))
    }

    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().while_doing(what()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Problem::failed(what.to_string()))
    }

    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.ok_or_else(|| Problem::failed(what().to_string()))
    }
}

impl From<String> for Problem {
    fn from(message: String) -> Self {
        Self::failed(message)
    }
}

impl From<&str> for Problem {
    fn from(message: &str) -> Self {
        Self::failed(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_on_a_line_of_its_own() {
        let problem = Problem::new("missing-file", "cannot read `a`").help("name another file");
        assert_eq!(
            problem.to_string(),
            "cannot read `a`\nhint: name another file"
        );
        assert_eq!(
            Problem::from("torn").while_doing("`b`").to_string(),
            "`b`: torn"
        );
    }

    #[test]
    fn input_ends_with_2_and_a_failed_run_with_1() {
        assert_eq!(Problem::failed("x").blame, Blame::Run);
        assert_eq!(Problem::failed("x").of_input().blame, Blame::Input);
    }
}
