//! Columns as they cross the pipe: Arrow's buffers (offsets, then items one after the other), told of in JSON so that a reader
//! needs no library.
//!
//! All numbers are little-endian, and every part begins at a multiple of eight bytes of the frame that follows the message.
//!
//! | type | parts |
//! |---|---|
//! | `f64`, `i64` | codes (`i8` a row), values |
//! | `str` | codes, offsets (`u32`, one more than rows), bytes |
//! | `f32s`, `f64s` | codes, offsets, items |
//! | `strs` | codes, offsets into the items, offsets of the items (one more than items) into the bytes, bytes |
//! | `json` | as `str`: the whole sample |
//!
//! A code is what the accessor of a row returns: 1 a value, 0 none, -2 another type.

use std::borrow::Cow;

use driftgauge_plugin_protocol::ffi::{DG_NULL, DG_OTHER_TYPE, DG_PRESENT};
use driftgauge_plugin_protocol::field::Field;
use driftgauge_plugin_protocol::rows::{Lookup, Rows};
use serde::{Deserialize, Serialize};

/// How a field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Type {
    Str,
    F64,
    I64,
    F32s,
    F64s,
    Strs,
    Json,
}

/// A field that a worker needs, and how it reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) field: String,
    #[serde(rename = "type")]
    pub(super) kind: Type,
}

/// Where a part of a frame of bytes begins, and how many bytes it has.
pub(super) type Part = [usize; 2];

/// Where a column lies in the frame of bytes that follows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Column {
    pub(super) field: String,
    #[serde(rename = "type")]
    pub(super) kind: Type,
    /// Where each part begins, and how many bytes it has.
    pub(super) parts: Vec<Part>,
}

/// Writes a field of all rows, whose `prompts` have these numbers, to the end of `bytes`.
///
/// # Errors
/// When there is no such field, or a sample cannot be read.
pub(super) fn encode(
    rows: &dyn Rows,
    prompts: &[u32],
    wanted: &Wanted,
    bytes: &mut Vec<u8>,
) -> Result<Column, String> {
    let name = wanted.field.as_str();
    let field = match wanted.kind {
        // The name says nothing.
        Type::Json => Field::Judges,
        _ => Field::parse(name).ok_or_else(|| format!("no field `{name}` exists"))?,
    };
    let mut to = Writer::new(rows.len(), bytes);
    for row in 0..rows.len() {
        let code = match wanted.kind {
            Type::Str => to.text(rows.text(row, field))?,
            Type::Json => to.text(Lookup::Present(Cow::Owned(rows.json(row)?)))?,
            Type::F64 => to.items(rows.number(row, field).map(f64::to_le_bytes))?,
            Type::I64 if field == Field::Prompt => {
                let number = prompts.get(row).map(|&number| i64::from(number));
                to.items(Lookup::from(number).map(i64::to_le_bytes))?
            }
            Type::I64 => to.items(rows.integer(row, field).map(i64::to_le_bytes))?,
            Type::F32s => to.list(rows.floats(row, field), |item| item.to_le_bytes())?,
            Type::F64s => to.list(rows.doubles(row, field), |item| item.to_le_bytes())?,
            Type::Strs => to.texts(rows.texts(row, field))?,
        };
        to.codes.push(code as u8);
    }
    Ok(Column {
        field: wanted.field.clone(),
        kind: wanted.kind,
        parts: to.finish(wanted.kind)?,
    })
}

/// The parts of a column while they grow.
struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    codes: Vec<u8>,
    /// Ends of the rows, in items.
    ends: Vec<usize>,
    /// Ends of the items of a row, in bytes.
    item_ends: Vec<usize>,
    data: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(rows: usize, bytes: &'a mut Vec<u8>) -> Self {
        Self {
            bytes,
            codes: Vec::with_capacity(rows),
            ends: Vec::with_capacity(rows + 1),
            item_ends: Vec::new(),
            data: Vec::with_capacity(rows * 16),
        }
    }

    /// A number of eight bytes; zeros where there is none.
    fn items(&mut self, found: Lookup<[u8; 8]>) -> Result<i8, String> {
        let (code, value) = code(found)?;
        self.data.extend(value.unwrap_or_default());
        Ok(code)
    }

    fn text(&mut self, found: Lookup<Cow<'_, str>>) -> Result<i8, String> {
        let (code, text) = code(found)?;
        self.data
            .extend_from_slice(text.as_deref().unwrap_or("").as_bytes());
        self.ends.push(self.data.len());
        Ok(code)
    }

    fn list<T: Copy, const N: usize>(
        &mut self,
        found: Lookup<Cow<'_, [T]>>,
        write: impl Fn(T) -> [u8; N],
    ) -> Result<i8, String> {
        let (code, list) = code(found)?;
        for &item in list.as_deref().unwrap_or(&[]) {
            self.data.extend(write(item));
        }
        self.ends.push(self.data.len() / N);
        Ok(code)
    }

    fn texts(&mut self, found: Lookup<Vec<Cow<'_, str>>>) -> Result<i8, String> {
        let (code, texts) = code(found)?;
        for text in texts.unwrap_or_default() {
            self.data.extend_from_slice(text.as_bytes());
            self.item_ends.push(self.data.len());
        }
        self.ends.push(self.item_ends.len());
        Ok(code)
    }

    fn finish(self, kind: Type) -> Result<Vec<Part>, String> {
        let Self {
            bytes,
            codes,
            ends,
            item_ends,
            data,
        } = self;
        let mut parts = vec![put(bytes, &codes)];
        if !matches!(kind, Type::F64 | Type::I64) {
            parts.push(put(bytes, &offsets(&ends)?));
        }
        if kind == Type::Strs {
            parts.push(put(bytes, &offsets(&item_ends)?));
        }
        parts.push(put(bytes, &data));
        Ok(parts)
    }
}

/// Writes a part, and says where it lies.
pub(super) fn put(bytes: &mut Vec<u8>, part: &[u8]) -> Part {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let start = bytes.len();
    bytes.extend_from_slice(part);
    [start, part.len()]
}

fn offsets(ends: &[usize]) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; 4];
    for &end in ends {
        let end = u32::try_from(end).map_err(|_| "a batch has more than 4 GiB of text")?;
        bytes.extend(end.to_le_bytes());
    }
    Ok(bytes)
}

fn code<T>(found: Lookup<T>) -> Result<(i8, Option<T>), String> {
    Ok(match found {
        Lookup::Present(value) => (DG_PRESENT as i8, Some(value)),
        Lookup::Null => (DG_NULL as i8, None),
        Lookup::OtherType => (DG_OTHER_TYPE as i8, None),
        Lookup::Failed(problem) => return Err(problem),
    })
}

/// A column that was read from a frame.
pub(super) struct Read {
    field: String,
    kind: Type,
    codes: Vec<i8>,
    ends: Vec<u32>,
    item_ends: Vec<u32>,
    text: String,
    doubles: Vec<f64>,
    singles: Vec<f32>,
    integers: Vec<i64>,
}

impl Read {
    /// Takes a column out of the frame's bytes.
    ///
    /// # Errors
    /// When its parts are not as told.
    pub(super) fn new(column: &Column, bytes: &[u8], rows: usize) -> Result<Self, String> {
        let strange = || format!("the column `{}` is not as told", column.field);
        let part = |place: usize| {
            let [start, len] = *column.parts.get(place)?;
            bytes.get(start..start.checked_add(len)?)
        };
        let words = |place| {
            let (words, rest) = part(place)?.as_chunks::<4>();
            rest.is_empty()
                .then(|| words.iter().map(|&word| u32::from_le_bytes(word)).collect())
        };
        let codes = part(0).filter(|codes| codes.len() == rows);
        let codes = codes.ok_or_else(strange)?;
        let mut read = Self {
            field: column.field.clone(),
            kind: column.kind,
            codes: codes.iter().map(|&code| code as i8).collect(),
            ends: Vec::new(),
            item_ends: Vec::new(),
            text: String::new(),
            doubles: Vec::new(),
            singles: Vec::new(),
            integers: Vec::new(),
        };
        let listed = !matches!(column.kind, Type::F64 | Type::I64);
        if listed {
            read.ends = words(1).ok_or_else(strange)?;
        }
        if column.kind == Type::Strs {
            read.item_ends = words(2).ok_or_else(strange)?;
        }
        let data = part(column.parts.len().saturating_sub(1)).ok_or_else(strange)?;
        let eights = data.as_chunks::<8>().0;
        let n = match column.kind {
            Type::Str | Type::Json | Type::Strs => {
                let text = std::str::from_utf8(data).map_err(|_| strange())?;
                text.clone_into(&mut read.text);
                text.len()
            }
            Type::F64 | Type::F64s => {
                read.doubles = eights
                    .iter()
                    .map(|&item| f64::from_le_bytes(item))
                    .collect();
                read.doubles.len()
            }
            Type::I64 => {
                read.integers = eights
                    .iter()
                    .map(|&item| i64::from_le_bytes(item))
                    .collect();
                read.integers.len()
            }
            Type::F32s => {
                let fours = data.as_chunks::<4>().0;
                read.singles = fours.iter().map(|&item| f32::from_le_bytes(item)).collect();
                read.singles.len()
            }
        };
        // Offsets go up to the end, and cut no character.
        let up = |ends: &[u32], n: usize| {
            ends.first() == Some(&0)
                && ends.is_sorted()
                && ends.last().is_some_and(|&last| last as usize == n)
        };
        let whole = |ends: &[u32]| {
            ends.iter()
                .all(|&end| read.text.is_char_boundary(end as usize))
        };
        let sound = match column.kind {
            Type::F64 | Type::I64 => n == rows,
            Type::F32s | Type::F64s => read.ends.len() == rows + 1 && up(&read.ends, n),
            Type::Str | Type::Json => {
                read.ends.len() == rows + 1 && up(&read.ends, n) && whole(&read.ends)
            }
            Type::Strs => {
                let items = read.item_ends.len().saturating_sub(1);
                let inner = up(&read.item_ends, n) && whole(&read.item_ends);
                inner && read.ends.len() == rows + 1 && up(&read.ends, items)
            }
        };
        if sound { Ok(read) } else { Err(strange()) }
    }

    pub(super) fn is(&self, field: &str, kind: Type) -> bool {
        self.kind == kind && self.field == field
    }

    fn found<T>(&self, row: usize, value: impl FnOnce() -> T) -> Lookup<T> {
        match i32::from(self.codes[row]) {
            DG_PRESENT => Lookup::Present(value()),
            DG_NULL => Lookup::Null,
            _ => Lookup::OtherType,
        }
    }

    fn span(&self, row: usize) -> std::ops::Range<usize> {
        self.ends[row] as usize..self.ends[row + 1] as usize
    }

    pub(super) fn text(&self, row: usize) -> Lookup<Cow<'_, str>> {
        self.found(row, || Cow::Borrowed(&self.text[self.span(row)]))
    }

    pub(super) fn number(&self, row: usize) -> Lookup<f64> {
        self.found(row, || self.doubles[row])
    }

    pub(super) fn integer(&self, row: usize) -> Lookup<i64> {
        self.found(row, || self.integers[row])
    }

    pub(super) fn floats(&self, row: usize) -> Lookup<Cow<'_, [f32]>> {
        self.found(row, || Cow::Borrowed(&self.singles[self.span(row)]))
    }

    pub(super) fn doubles(&self, row: usize) -> Lookup<Cow<'_, [f64]>> {
        self.found(row, || Cow::Borrowed(&self.doubles[self.span(row)]))
    }

    pub(super) fn texts(&self, row: usize) -> Lookup<Vec<Cow<'_, str>>> {
        let item = |place: usize| {
            let [from, to] = [self.item_ends[place], self.item_ends[place + 1]];
            Cow::Borrowed(&self.text[from as usize..to as usize])
        };
        self.found(row, || self.span(row).map(item).collect())
    }
}
