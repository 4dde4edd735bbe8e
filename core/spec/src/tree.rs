//! A YAML document as a tree that knows where each node is written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

use crate::located::Span;

/// A node and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    /// What a number or truth value says where a text belongs; `None` where YAML may have read something else than was written.
    pub(crate) said: Option<String>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// `null`, where it is written.
    Null,
    /// Nothing is written.
    Empty,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// Stands in for what did not fit, so that the rest can be looked at: it is read as whatever is wanted.
    Hole,
}

impl Node {
    /// A node written nowhere.
    pub(crate) fn nowhere(value: Value) -> Self {
        Self {
            span: Span::NONE,
            value,
            said: None,
        }
    }

    /// A text written nowhere.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::nowhere(Value::Text(text.into()))
    }

    /// The value under a key of a map.
    pub(crate) fn get(&self, wanted: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let mut named = entries.iter().filter(|(key, _)| key.is(wanted));
        named.next().map(|(_, value)| value)
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, wanted: &str) -> Option<&mut Self> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let mut named = entries.iter_mut().filter(|(key, _)| key.is(wanted));
        named.next().map(|(_, value)| value)
    }

    /// Whether this is a text, and which.
    pub(crate) fn is(&self, text: &str) -> bool {
        matches!(&self.value, Value::Text(own) if own == text)
    }

    /// The text that this scalar is, or stands for.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => self.said.as_deref(),
        }
    }

    /// Remembers what numbers and truth values say as texts, where YAML read them as they stand in `source`.
    pub(crate) fn remember(&mut self, source: &str) {
        let written = source.get(self.span.start..self.span.end);
        let canonical = match &self.value {
            Value::Unsigned(value) => Some(value.to_string()),
            Value::Signed(value) => Some(value.to_string()),
            _ => None,
        };
        self.said = canonical.filter(|canonical| written == Some(canonical.as_str()));
        if self.value == Value::Null && written.is_none_or(|written| !is_null(written)) {
            self.value = Value::Empty;
        }
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.remember(source)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    key.remember(source);
                    value.remember(source);
                }
            }
            _ => {}
        }
    }

    /// Moves the places of a node by so many bytes: to where its file begins.
    pub(crate) fn shift(&mut self, by: usize) {
        if !self.span.is_none() {
            self.span = Span::new(self.span.start + by, self.span.end + by);
        }
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.shift(by)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    key.shift(by);
                    value.shift(by);
                }
            }
            _ => {}
        }
    }

    /// Whether two nodes say the same, wherever they stand.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::List(own), Value::List(others)) => {
                own.len() == others.len() && own.iter().zip(others).all(|(a, b)| a.says_as(b))
            }
            (Value::Map(own), Value::Map(others)) => {
                own.len() == others.len()
                    && own
                        .iter()
                        .zip(others)
                        .all(|((key, value), (other_key, other))| {
                            key.says_as(other_key) && value.says_as(other)
                        })
            }
            (own, other) => own == other,
        }
    }

    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The kind of value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null | Value::Empty => "nothing",
            Value::Bool(_) => "true or false",
            Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Hole => "something else",
        }
    }
}

/// Whether YAML reads a word as nothing.
fn is_null(written: &str) -> bool {
    matches!(written.trim(), "null" | "Null" | "NULL" | "~") || written.contains("!!null")
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let at = |location: serde_yaml::Location| {
            let number = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
            let start = number(location.span().byte_offset()).unwrap_or(0);
            let length = number(location.span().byte_len()).unwrap_or(0);
            Span::new(start, start + length)
        };
        Ok(Self {
            span: at(spanned.referenced),
            value: spanned.value,
            said: None,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map: Vec<(Node, Node)> = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Node, Node>()? {
            map.push((key, value));
        }
        Ok(Value::Map(map))
    }
}
