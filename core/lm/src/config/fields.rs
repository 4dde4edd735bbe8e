//! Reading a JSON object so that nothing in it goes unnoticed.

use std::cell::RefCell;
use std::collections::BTreeSet;

use driftgauge_folder::inert::is_inert;
use driftgauge_folder::nulls;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A JSON object whose keys are counted as they are read; null is read as absent, or refused where it is no value. What nobody has read in the end and is not
/// inert would change the model without anybody's notice: see [`Fields::all_read`].
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    read: RefCell<BTreeSet<&'a str>>,
    /// Where it stands, for messages: empty for the file itself.
    place: String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, place: &str) -> Result<Self> {
        let object = value.as_object().ok_or_else(|| match place {
            "" => Error::Config("is no JSON object".to_owned()),
            place => Error::Config(format!("`{place}` is no object")),
        })?;
        Ok(Self {
            object,
            read: RefCell::default(),
            place: place.to_owned(),
        })
    }

    /// The value of a key, which counts as read.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        let (key, value) = self.object.get_key_value(key)?;
        self.read.borrow_mut().insert(key.as_str());
        Some(value).filter(|value| !value.is_null())
    }

    /// The same of a key of which null may be no value.
    fn given(&self, key: &str) -> Result<Option<&'a Value>> {
        let value = self.get(key);
        if value.is_none() && self.mentions(key) {
            nulls::check(key, &self.name(key)).map_err(|refusal| {
                let why = Error::Config(refusal.reason);
                why.maybe_hint(refusal.help)
            })?;
        }
        Ok(value)
    }

    /// Whether the key stands there, be it with null.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.object.contains_key(key)
    }

    /// The name of a key in messages.
    pub(super) fn name(&self, key: &str) -> String {
        match self.place.as_str() {
            "" => key.to_owned(),
            place => format!("{place}.{key}"),
        }
    }

    fn wrong<T>(&self, key: &str, wanted: &str) -> Result<T> {
        let name = self.name(key);
        Err(Error::Config(format!("`{name}` is not {wanted}")))
    }

    pub(super) fn missing(&self, key: &str) -> Error {
        Error::Config(format!("`{}` is missing", self.name(key)))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.given(key)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => self.wrong(key, "a text"),
        }
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.given(key)? {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => self.wrong(key, "true or false"),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.given(key)? {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => self.wrong(key, "a number"),
            },
        }
    }

    /// A number above 0: others make numbers of the model that are none.
    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>> {
        match self.number(key)? {
            Some(number) if !(number.is_finite() && number > 0.0) => Err(Error::Config(format!(
                "`{}` {number} has to be above 0",
                self.name(key)
            ))),
            number => Ok(number),
        }
    }

    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.given(key)? else {
            return Ok(None);
        };
        let numbers = value
            .as_array()
            .map(|items| items.iter().map(Value::as_f64));
        match numbers.and_then(Iterator::collect) {
            Some(numbers) => Ok(Some(numbers)),
            None => self.wrong(key, "a list of numbers"),
        }
    }

    /// A whole number; written as `3` or `3.0`.
    pub(super) fn whole(&self, key: &str) -> Result<Option<usize>> {
        match self.number(key)? {
            None => Ok(None),
            Some(n) if n >= 0.0 && n.fract() == 0.0 && n < 1e15 => Ok(Some(n as usize)),
            Some(_) => self.wrong(key, "a whole number"),
        }
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<usize>> {
        match self.whole(key) {
            Ok(Some(0)) | Err(_) => self.wrong(key, "a positive integer"),
            other => other,
        }
    }

    pub(super) fn required(&self, key: &str) -> Result<usize> {
        self.size(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn required_positive(&self, key: &str) -> Result<f64> {
        self.positive(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn required_numbers(&self, key: &str) -> Result<Vec<f64>> {
        self.numbers(key)?.ok_or_else(|| self.missing(key))
    }

    /// Refuses by name every key that nobody has read, unless it is null or inert.
    pub(super) fn all_read(&self, who: &str) -> Result<()> {
        let read = self.read.borrow();
        let harmless = |key: &str, value: &Value| {
            // The reader of an architecture settles the class itself.
            let inert = key == "architectures" || is_inert(key, value);
            value.is_null() || (self.place.is_empty() && inert)
        };
        let unread = self
            .object
            .iter()
            .find(|(key, value)| !read.contains(key.as_str()) && !harmless(key, value));
        match unread {
            None => Ok(()),
            Some((key, value)) => Err(Error::Unsupported(format!(
                "`{}: {}` is nothing that `{who}` is known to have",
                self.name(key),
                short(value)
            ))
            .hint(
                "if it changes nothing of what the model computes, \
                 take it out of the file",
            )),
        }
    }
}

/// A value in a message.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
