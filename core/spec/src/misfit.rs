//! What does not fit the language, in words of its own: no type of a program is named.

use std::fmt;

use serde::de::{Expected, Unexpected};

use crate::located::Span;
use crate::tree::Node;

/// What does not fit the language, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Misfit {
    pub(crate) kind: MisfitKind,
    pub(crate) place: Option<At>,
}

/// The place of a misfit: in the text, and which node of the tree it is. Several nodes may stand at one place of the text, since
/// an alias stands for all that its anchor holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct At {
    pub(crate) span: Span,
    pub(crate) node: NodeId,
}

/// Tells the nodes of one tree apart while nobody changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

impl NodeId {
    pub(crate) fn of(node: &Node) -> Self {
        Self(std::ptr::from_ref(node).addr())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MisfitKind {
    /// `variant` where a map has to have exactly one key, which says what it is.
    UnknownKey {
        key: String,
        expected: Vec<String>,
        variant: bool,
    },
    UnknownValue {
        value: String,
        expected: Vec<String>,
    },
    MissingKey(&'static str),
    /// A map has to have exactly one of these keys.
    OneKey {
        expected: Vec<String>,
    },
    /// Something else is wanted; `keys` are those of the map that is, where there is one.
    WrongType {
        wanted: &'static str,
        keys: Vec<String>,
    },
    Other(String),
}

impl Misfit {
    pub(crate) fn new(kind: MisfitKind) -> Self {
        Self { kind, place: None }
    }

    /// Adds the place, unless something further inside knew it better.
    pub(crate) fn at(mut self, node: &Node) -> Self {
        self.place.get_or_insert(At {
            span: node.span,
            node: NodeId::of(node),
        });
        self
    }

    /// For a word that turned out to be the key of a map.
    pub(crate) fn into_key(mut self) -> Self {
        if let MisfitKind::UnknownValue { value, expected } = self.kind {
            self.kind = MisfitKind::UnknownKey {
                key: value,
                expected,
                variant: true,
            };
        }
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MisfitKind::UnknownKey { key, .. } => write!(f, "unknown key `{key}`"),
            MisfitKind::UnknownValue { value, .. } => write!(f, "unknown value `{value}`"),
            MisfitKind::MissingKey(key) => write!(f, "the key `{key}` is missing"),
            MisfitKind::OneKey { .. } => f.write_str("exactly one key has to stand here"),
            MisfitKind::WrongType { wanted, .. } => write!(f, "has to be {wanted}"),
            MisfitKind::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(MisfitKind::Other(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::new(MisfitKind::WrongType {
            wanted: plain(&wanted.to_string()),
            keys: Vec::new(),
        })
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }

    fn invalid_length(_: usize, wanted: &dyn Expected) -> Self {
        Self::invalid_type(Unexpected::Seq, wanted)
    }

    fn unknown_field(key: &str, expected: &'static [&'static str]) -> Self {
        Self::new(MisfitKind::UnknownKey {
            key: key.to_owned(),
            expected: names(expected),
            variant: false,
        })
    }

    fn unknown_variant(value: &str, expected: &'static [&'static str]) -> Self {
        Self::new(MisfitKind::UnknownValue {
            value: value.to_owned(),
            expected: names(expected),
        })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(MisfitKind::MissingKey(key))
    }
}

fn names(expected: &[&str]) -> Vec<String> {
    expected.iter().map(|&name| name.to_owned()).collect()
}

/// What a type is called in a spec.
fn plain(wanted: &str) -> &'static str {
    match wanted {
        "a string" | "string" => "a text",
        "a boolean" => "`true` or `false`",
        "f64" | "f32" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            "a whole number"
        }
        _ if wanted.starts_with("a sequence") => "a list",
        _ if wanted.contains("length 2") => "a list of two",
        _ if wanted.starts_with("a map") => "a map of names",
        _ if wanted.starts_with("struct ") => "a map of keys",
        _ if wanted.contains("identifier") => "a text",
        _ => "another value",
    }
}
