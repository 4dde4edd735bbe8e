//! Where the language has numbers: the schema, read once.

use std::collections::HashMap;
use std::sync::LazyLock;

use driftgauge_ranges::Range;
use serde_json::Value as Json;

use crate::schema::range_of;
use crate::spec::ExperimentSpec;

pub(super) static SCHEMA: LazyLock<Json> =
    LazyLock::new(|| schemars::schema_for!(ExperimentSpec).to_value());

/// Every list and map that the language knows; the first one is the spec.
pub(super) static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| {
    let mut reader = Reader::default();
    reader.place(&SCHEMA);
    reader.places
});

/// A list or a map.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Places that it may be as well, or has to be too.
    pub(super) several: Vec<usize>,
    /// What each item of a list is.
    pub(super) items: Option<Part>,
    keys: HashMap<String, Part>,
    others: Option<Part>,
}

impl Place {
    /// What stands behind a key of a map.
    pub(super) fn of_key(&self, key: &str) -> Option<Part> {
        self.keys.get(key).copied().or(self.others)
    }
}

/// What stands in a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Number(Range),
    /// Another place, by its position.
    Place(usize),
}

#[derive(Default)]
struct Reader {
    places: Vec<Place>,
    /// Places that have a name in the schema, which may hold themselves.
    named: HashMap<&'static str, usize>,
}

impl Reader {
    fn place(&mut self, schema: &'static Json) -> usize {
        let name = schema["$ref"].as_str();
        if let Some(known) = name.and_then(|name| self.named.get(name)) {
            return *known;
        }
        let at = self.places.len();
        self.places.push(Place::default());
        let mut schema = schema;
        if let Some(name) = name {
            self.named.insert(name, at);
            let pointer = name.strip_prefix('#').unwrap_or(name);
            schema = SCHEMA.pointer(pointer).unwrap_or(&Json::Null);
        }
        let mut place = Place::default();
        for several in ["anyOf", "oneOf", "allOf"] {
            for one in schema[several].as_array().into_iter().flatten() {
                place.several.push(self.place(one));
            }
        }
        place.items = self.part(&schema["items"]);
        place.others = self.part(&schema["additionalProperties"]);
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(part) = self.part(property) {
                place.keys.insert(key.clone(), part);
            }
        }
        self.places[at] = place;
        at
    }

    fn part(&mut self, schema: &'static Json) -> Option<Part> {
        match range_of(schema) {
            Some(range) => Some(Part::Number(range)),
            None if schema.is_object() => Some(Part::Place(self.place(schema))),
            None => None,
        }
    }
}
