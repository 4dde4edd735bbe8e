//! What was found wrong with a result, and the limits on texts and sizes that every part has.

use super::limits;
use crate::clean::disturbs;

/// What was found wrong; only the first ones are kept.
#[derive(Default)]
pub(super) struct Found(pub(super) Vec<String>);

impl Found {
    pub(super) fn push(&mut self, problem: String) {
        if self.0.len() < limits::PROBLEMS {
            self.0.push(crate::clean::clean_line(&problem, 500));
        }
    }

    pub(super) fn at_most(&mut self, what: &str, n: usize, most: usize) {
        if n > most {
            self.push(format!(
                "{what}: {n} are more than the {most} that a result may have"
            ));
        }
    }

    /// A text that people see.
    pub(super) fn text(&mut self, place: &str, field: &str, text: &str, longest: usize) {
        if text.len() > longest {
            self.push(format!(
                "`{field}` of {place} has {} bytes, more than {longest}",
                text.len()
            ));
        }
        if let Some(c) = text.chars().find(|&c| disturbs(c)) {
            self.push(format!(
                "`{field}` of {place} has the control character U+{:04X}",
                c as u32
            ));
        }
    }

    /// An id: it becomes part of names and of files' names.
    pub(super) fn id(&mut self, what: &str, id: &str) {
        if id.is_empty() || id.chars().any(|c| c.is_whitespace() || c == '/') {
            self.push(format!(
                "the id `{}` of a {what} is empty or has a space or `/`",
                short(id)
            ));
        }
        self.text(&format!("{what} `{}`", short(id)), "id", id, limits::ID);
    }
}

/// A number as messages show it.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || (1e-4..1e9).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// An id as messages show it.
pub(super) fn short(id: &str) -> &str {
    let mut end = id.len().min(60);
    while !id.is_char_boundary(end) {
        end -= 1;
    }
    &id[..end]
}
