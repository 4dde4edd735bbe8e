//! From the tree to typed values, with the place of everything that is [`crate::Located`] and of every error.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use crate::de::ONE_OR_MANY;
use crate::located::{LOCATED, Span};
use crate::tree::{Node, Value};

/// What does not fit the language, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Misfit {
    pub(crate) kind: MisfitKind,
    pub(crate) span: Option<Span>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MisfitKind {
    UnknownKey {
        key: String,
        expected: Vec<String>,
    },
    UnknownValue {
        value: String,
        expected: Vec<String>,
    },
    MissingKey(&'static str),
    Other(String),
}

impl Misfit {
    /// Adds the place, unless something further inside knew it better.
    fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// For a word that turned out to be the key of a map.
    fn into_key(mut self) -> Self {
        if let MisfitKind::UnknownValue { value, expected } = self.kind {
            self.kind = MisfitKind::UnknownKey {
                key: value,
                expected,
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
            MisfitKind::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            kind: MisfitKind::Other(message.to_string()),
            span: None,
        }
    }

    fn unknown_field(key: &str, expected: &'static [&'static str]) -> Self {
        Self {
            kind: MisfitKind::UnknownKey {
                key: key.to_owned(),
                expected: names(expected),
            },
            span: None,
        }
    }

    fn unknown_variant(value: &str, expected: &'static [&'static str]) -> Self {
        Self {
            kind: MisfitKind::UnknownValue {
                value: value.to_owned(),
                expected: names(expected),
            },
            span: None,
        }
    }

    fn missing_field(key: &'static str) -> Self {
        Self {
            kind: MisfitKind::MissingKey(key),
            span: None,
        }
    }
}

fn names(expected: &[&str]) -> Vec<String> {
    expected.iter().map(|&name| name.to_owned()).collect()
}

/// Reads typed values off a node.
pub(crate) struct NodeDeserializer<'a>(pub(crate) &'a Node);

impl NodeDeserializer<'_> {
    fn wrong(&self, visitor: &dyn serde::de::Expected) -> Misfit {
        let unexpected = match &self.0.value {
            Value::Text(text) => Unexpected::Str(text),
            _ => Unexpected::Other(self.0.kind()),
        };
        <Misfit as serde::de::Error>::invalid_type(unexpected, visitor).at(self.0.span)
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let span = self.0.span;
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
            }),
        }
        .map_err(|misfit| misfit.at(span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let span = self.0.span;
        match (name, &self.0.value) {
            (LOCATED, _) => visitor.visit_seq(LocatedParts {
                node: self.0,
                next: 0,
            }),
            (ONE_OR_MANY, Value::List(_)) => self.deserialize_any(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
        .map_err(|misfit| misfit.at(span))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let span = self.0.span;
        match &self.0.value {
            Value::Text(text) => visitor.visit_enum(StrDeserializer::<Misfit>::new(text)),
            Value::Map(entries) => match entries.as_slice() {
                [(key, value)] => visitor.visit_enum(Variant { key, value }),
                _ => Err(<Misfit as serde::de::Error>::custom(format!(
                    "expected exactly one of the keys {}",
                    variants
                        .iter()
                        .map(|name| format!("`{name}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ))),
            },
            _ => Err(self.wrong(&"one of the words or keys that are known here")),
        }
        .map_err(|misfit| misfit.at(span))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.0.value {
            // A number or a truth value where a text is wanted is read as it is written.
            Value::Unsigned(value) => visitor.visit_string(value.to_string()),
            Value::Signed(value) => visitor.visit_string(value.to_string()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier ignored_any
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        self.0
            .next()
            .map(|node| {
                seed.deserialize(NodeDeserializer(node))
                    .map_err(|misfit| misfit.at(node.span))
            })
            .transpose()
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Node, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(NodeDeserializer(key))
            .map(Some)
            .map_err(|misfit| misfit.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let node = self
            .value
            .take()
            .ok_or_else(|| <Misfit as serde::de::Error>::custom("a value without a key"))?;
        seed.deserialize(NodeDeserializer(node))
            .map_err(|misfit| misfit.at(node.span))
    }
}

/// Answers [`LOCATED`]: start, end, value.
struct LocatedParts<'a> {
    node: &'a Node,
    next: u8,
}

impl<'de> SeqAccess<'de> for LocatedParts<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        self.next += 1;
        let number = |value: usize| IntoDeserializer::<Misfit>::into_deserializer(value as u64);
        match self.next {
            1 => seed.deserialize(number(self.node.span.start)).map(Some),
            2 => seed.deserialize(number(self.node.span.end)).map(Some),
            3 => seed.deserialize(NodeDeserializer(self.node)).map(Some),
            _ => Ok(None),
        }
    }
}

/// An externally tagged variant: a map with one key.
struct Variant<'a> {
    key: &'a Node,
    value: &'a Node,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Misfit;
    type Variant = VariantValue<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, VariantValue<'a>), Misfit> {
        let key = seed
            .deserialize(NodeDeserializer(self.key))
            .map_err(|misfit: Misfit| misfit.into_key().at(self.key.span))?;
        Ok((key, VariantValue(self.value)))
    }
}

struct VariantValue<'a>(&'a Node);

impl<'de> VariantAccess<'de> for VariantValue<'_> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(NodeDeserializer(self.0))
            .map_err(|misfit| misfit.at(self.0.span))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        NodeDeserializer(self.0).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        NodeDeserializer(self.0).deserialize_any(visitor)
    }
}
