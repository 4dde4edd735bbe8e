//! From the tree to typed values, with the place of everything that is [`crate::Located`] and of every error.
//!
//! A hole (see [`Value::Hole`]) is read as whatever is wanted, so that what did not fit once does not hide what is wrong elsewhere.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::de::ONE_OR_MANY;
use crate::located::LOCATED;
use crate::misfit::{Misfit, MisfitKind};
use crate::tree::{Node, Value};

/// Reads typed values off a node.
pub(crate) struct NodeDeserializer<'a>(pub(crate) &'a Node);

impl NodeDeserializer<'_> {
    fn wrong(&self, wanted: &'static str, keys: &[&str]) -> Misfit {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        Misfit::new(MisfitKind::WrongType { wanted, keys }).at(self.0)
    }

    fn is_hole(&self) -> bool {
        self.0.value == Value::Hole
    }

    /// Reads a number, if it is one of those wanted.
    fn number<'de, V: Visitor<'de>>(
        self,
        wanted: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0.value {
            Value::Hole => visitor.visit_u64(0),
            Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => {
                self.deserialize_any(visitor)
            }
            _ => Err(self.wrong(wanted, &[])),
        }
    }
}

/// What a whole number is called.
const WHOLE: &str = "a whole number";

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.0.value {
            Value::Null | Value::Empty | Value::Hole => visitor.visit_unit(),
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
        .map_err(|misfit| misfit.at(self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value {
            // A variable without a value stands there all the same.
            Value::Hole if self.0.said.is_some() => visitor.visit_some(self),
            Value::Null | Value::Hole => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let node = self.0;
        match (name, &node.value) {
            (LOCATED, _) => visitor.visit_seq(LocatedParts { node, next: 0 }),
            (ONE_OR_MANY, Value::List(_)) => self.deserialize_any(visitor),
            (ONE_OR_MANY, Value::Hole) => visitor.visit_seq(Items([].iter())),
            _ => visitor.visit_newtype_struct(self),
        }
        .map_err(|misfit| misfit.at(node))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match &self.0.value {
            Value::Hole => visitor.visit_enum(Variant {
                key: &Node::text(variants.first().copied().unwrap_or_default()),
                value: self.0,
            }),
            Value::Text(text) => visitor.visit_enum(StrDeserializer::<Misfit>::new(text)),
            Value::Map(entries) => match entries.as_slice() {
                [(key, value)] => visitor.visit_enum(Variant { key, value }),
                _ => Err(Misfit::new(MisfitKind::OneKey {
                    expected: variants.iter().map(|&name| name.to_owned()).collect(),
                })),
            },
            _ => Err(self.wrong("one of the words or keys that are known here", variants)),
        }
        .map_err(|misfit| misfit.at(self.0))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value {
            Value::Hole => visitor.visit_bool(false),
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.wrong("`true` or `false`", &[])),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.number(WHOLE, visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.number(WHOLE, visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.number(WHOLE, visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.number("a number", visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match (&self.0.value, &self.0.said) {
            (Value::Hole, _) => visitor.visit_str(""),
            (Value::Text(text), _) => visitor.visit_str(text),
            // A number where a text is wanted is read as it is written.
            (_, Some(said)) => visitor.visit_str(said),
            _ => Err(self.wrong("a text", &[])),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value {
            Value::Hole => visitor.visit_seq(Items([].iter())),
            Value::List(_) => self.deserialize_any(visitor),
            _ => Err(self.wrong("a list", &[])),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match &self.0.value {
            Value::Hole => {
                let holes = vec![Node::nowhere(Value::Hole); len];
                visitor.visit_seq(Items(holes.iter()))
            }
            Value::List(items) if items.len() == len => self.deserialize_any(visitor),
            _ => Err(self.wrong(if len == 2 { "a list of two" } else { "a list" }, &[])),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.value {
            Value::Map(_) => self.deserialize_any(visitor),
            Value::Hole => visitor.visit_map(Entries::none()),
            _ => Err(self.wrong("a map of names", &[])),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let hole = self.is_hole();
        match self.0.value {
            Value::Map(_) => self.deserialize_any(visitor),
            _ if hole => visitor
                .visit_map(Entries::none())
                .map_err(|misfit| misfit.at(self.0)),
            _ => Err(self.wrong("a map of keys", fields)),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u128 f32 char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
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
                    .map_err(|misfit| misfit.at(node))
            })
            .transpose()
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Node, Node)>,
    value: Option<&'a Node>,
}

impl Entries<'_> {
    fn none() -> Self {
        Self {
            entries: [].iter(),
            value: None,
        }
    }
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
            .map_err(|misfit| misfit.at(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let node = self
            .value
            .take()
            .ok_or_else(|| Misfit::custom("a value without a key"))?;
        seed.deserialize(NodeDeserializer(node))
            .map_err(|misfit| misfit.at(node))
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
            .map_err(|misfit: Misfit| misfit.into_key().at(self.key))?;
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
            .map_err(|misfit| misfit.at(self.0))
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
