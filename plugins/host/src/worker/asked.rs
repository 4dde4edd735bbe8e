//! A batch in a worker: columns that came with it, and others that are asked for as the plugin reads them.

use std::borrow::Cow;
use std::sync::OnceLock;

use driftgauge_plugin_protocol::field::Field;
use driftgauge_plugin_protocol::rows::{Lookup, Rows};

use super::columns::{Read, Type, Wanted};

/// Gives columns of the batch that is being taken.
pub(super) trait Asks: Sync {
    /// A column that did not come with the batch, of so many rows.
    fn ask(&self, wanted: &Wanted, rows: usize) -> Result<Read, String>;
}

/// The samples of an `update`.
pub(super) struct AskedRows<'a> {
    rows: usize,
    given: Vec<Read>,
    asked: OnceLock<Box<Asked>>,
    link: &'a dyn Asks,
}

/// Columns that were asked for: a list that only grows, so that what was lent stays in place.
struct Asked {
    wanted: Wanted,
    read: Result<Read, String>,
    next: OnceLock<Box<Asked>>,
}

impl<'a> AskedRows<'a> {
    pub(super) fn new(rows: usize, given: Vec<Read>, link: &'a dyn Asks) -> Self {
        Self {
            rows,
            given,
            asked: OnceLock::new(),
            link,
        }
    }

    fn column(&self, field: &Field<'_>, kind: Type) -> Result<&Read, String> {
        let name = match kind {
            Type::Json => Cow::Borrowed(""),
            _ => field.name(),
        };
        if let Some(read) = self.given.iter().find(|read| read.is(&name, kind)) {
            return Ok(read);
        }
        let mut place = &self.asked;
        while let Some(asked) = place.get() {
            if asked.wanted.kind == kind && asked.wanted.field == name {
                return asked.read.as_ref().map_err(Clone::clone);
            }
            place = &asked.next;
        }
        let wanted = Wanted {
            field: name.into_owned(),
            kind,
        };
        let asked = Box::new(Asked {
            read: self.link.ask(&wanted, self.rows),
            wanted,
            next: OnceLock::new(),
        });
        // Another thread of the plugin may have asked for another column meanwhile: look again from here.
        match place.set(asked) {
            Ok(()) => place.get().map_or_else(
                || Err(String::new()),
                |asked| asked.read.as_ref().map_err(Clone::clone),
            ),
            Err(_) => self.column(field, kind),
        }
    }
}

/// What a column says of a row, or why there is none.
fn of<'a, T>(
    column: Result<&'a Read, String>,
    read: impl FnOnce(&'a Read) -> Lookup<T>,
) -> Lookup<T> {
    column.map_or_else(Lookup::Failed, read)
}

impl Rows for AskedRows<'_> {
    fn len(&self) -> usize {
        self.rows
    }

    fn text(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, str>> {
        of(self.column(&field, Type::Str), |column| column.text(row))
    }

    fn number(&self, row: usize, field: Field<'_>) -> Lookup<f64> {
        of(self.column(&field, Type::F64), |column| column.number(row))
    }

    fn integer(&self, row: usize, field: Field<'_>) -> Lookup<i64> {
        of(self.column(&field, Type::I64), |column| column.integer(row))
    }

    fn floats(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f32]>> {
        of(self.column(&field, Type::F32s), |column| column.floats(row))
    }

    fn doubles(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f64]>> {
        of(self.column(&field, Type::F64s), |column| {
            column.doubles(row)
        })
    }

    fn texts(&self, row: usize, field: Field<'_>) -> Lookup<Vec<Cow<'_, str>>> {
        of(self.column(&field, Type::Strs), |column| column.texts(row))
    }

    fn json(&self, row: usize) -> Result<String, String> {
        match of(self.column(&Field::Judges, Type::Json), |column| {
            column.text(row)
        }) {
            Lookup::Present(text) => Ok(text.into_owned()),
            Lookup::Failed(problem) => Err(problem),
            Lookup::Null | Lookup::OtherType => Err("the sample has no JSON".to_owned()),
        }
    }
}
