//! What a column's cells become when something of them is asked for.

use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{Array, BooleanArray, Int32Array, ListArray, StringArray, UInt32Array};
use serde::de::DeserializeOwned;

/// A column of a batch, in the form in which it is read.
pub(super) trait Decode: Sized {
    /// `before` is the same column of the batch before, where that was read.
    fn decode(column: &dyn Array, before: Option<&Self>) -> Option<Self>;
}

impl Decode for StringArray {
    fn decode(column: &dyn Array, _: Option<&Self>) -> Option<Self> {
        column.as_string_opt().cloned()
    }
}

impl Decode for UInt32Array {
    fn decode(column: &dyn Array, _: Option<&Self>) -> Option<Self> {
        column.as_primitive_opt::<UInt32Type>().cloned()
    }
}

impl Decode for BooleanArray {
    fn decode(column: &dyn Array, _: Option<&Self>) -> Option<Self> {
        column.as_boolean_opt().cloned()
    }
}

impl Decode for ListArray {
    fn decode(column: &dyn Array, _: Option<&Self>) -> Option<Self> {
        column.as_list_opt().cloned()
    }
}

/// Texts of which many rows have the same: each text once, and which one a row has.
pub(super) struct Words {
    texts: StringArray,
    rows: Keys,
}

impl Words {
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        self.rows.get(row).map(|key| self.texts.value(key))
    }

    /// For each row the first one that has the same text.
    pub(super) fn alike(&self) -> &[u32] {
        self.rows.alike()
    }
}

impl Decode for Words {
    fn decode(column: &dyn Array, _: Option<&Self>) -> Option<Self> {
        let column = column.as_dictionary_opt::<Int32Type>()?;
        Some(Self {
            texts: column.values().as_string_opt()?.clone(),
            rows: Keys::new(column.keys(), column.values().len()),
        })
    }
}

/// Cells of JSON. Many samples share one text (verdicts, say), which is read once.
pub(super) struct Parsed<T> {
    known: Arc<Known<T>>,
    rows: Keys,
}

/// The different texts of a column, and what those that were asked for say.
struct Known<T> {
    texts: StringArray,
    read: Vec<OnceLock<Option<T>>>,
}

impl<T> Parsed<T> {
    pub(super) fn get(&self, row: usize) -> Option<&T> {
        self.known.read[self.rows.get(row)?].get()?.as_ref()
    }

    /// For each row the first one that has the same text.
    pub(super) fn alike(&self) -> &[u32] {
        self.rows.alike()
    }
}

impl<T: DeserializeOwned> Decode for Parsed<T> {
    fn decode(column: &dyn Array, before: Option<&Self>) -> Option<Self> {
        let column = column.as_dictionary_opt::<Int32Type>()?;
        let texts: &StringArray = column.values().as_string_opt()?;
        // The batches of a table share the texts as long as they are the same in memory.
        let same = |known: &&Arc<Known<T>>| {
            let (ours, theirs) = (known.texts.value_offsets(), texts.value_offsets());
            ours.as_ptr() == theirs.as_ptr() && ours.len() == theirs.len()
        };
        let known = before.map(|before| &before.known).filter(same).cloned();
        let known = known.unwrap_or_else(|| {
            let read = (0..texts.len()).map(|_| OnceLock::new()).collect();
            let texts = texts.clone();
            Arc::new(Known { texts, read })
        });
        let parsed = Self {
            known,
            rows: Keys::new(column.keys(), texts.len()),
        };
        for row in 0..parsed.rows.len() {
            let (key, known) = (parsed.rows.get(row)?, &*parsed.known);
            let read = || serde_json::from_str(known.texts.value(key)).ok();
            known.read[key].get_or_init(read).as_ref()?;
        }
        Some(parsed)
    }
}

/// Which of the different texts each row has.
struct Keys {
    keys: Int32Array,
    texts: usize,
    alike: OnceLock<Vec<u32>>,
}

impl Keys {
    fn new(keys: &Int32Array, texts: usize) -> Self {
        Self {
            keys: keys.clone(),
            texts,
            alike: OnceLock::new(),
        }
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn get(&self, row: usize) -> Option<usize> {
        // Keys of a dictionary are places in it.
        (!self.keys.is_null(row)).then(|| self.keys.value(row) as usize)
    }

    fn alike(&self) -> &[u32] {
        self.alike.get_or_init(|| {
            // One place more, for rows without a text.
            let mut first = vec![None; self.texts + 1];
            let rows = 0..self.len() as u32;
            let alike = |row: u32| {
                let key = self.get(row as usize).unwrap_or(self.texts);
                *first[key].get_or_insert(row)
            };
            rows.map(alike).collect()
        })
    }
}
