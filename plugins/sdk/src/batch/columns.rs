//! Whole columns of a batch, read once and kept for its other rows.
#![expect(unsafe_code, reason = "calls function pointers of the host")]

use std::cell::{Cell, RefCell};

use crate::ffi::{DG_NULL, DG_PRESENT, DgBatch, DgColumn, DgF32s, DgF64s, DgStr, DgStrs};

/// The columns of a batch that were asked for. One call into the host for a whole column costs little more than one for a
/// row, and most fields are asked for in every row.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) str: ColumnsOf<DgStr>,
    pub(super) f64: ColumnsOf<f64>,
    pub(super) i64: ColumnsOf<i64>,
    pub(super) f32s: ColumnsOf<DgF32s>,
    pub(super) strs: ColumnsOf<DgStrs>,
    pub(super) f64s: ColumnsOf<DgF64s>,
}

/// The columns of one type. There are so few that looking through all of them is the fastest.
#[derive(Debug)]
pub(super) struct ColumnsOf<T> {
    all: RefCell<Vec<Column<T>>>,
    /// The place of the column that is likely asked for next: samples are mostly asked for the same fields in the same order.
    next: Cell<usize>,
}

#[derive(Debug)]
struct Column<T> {
    field: String,
    values: Vec<T>,
    /// What the accessor of a row would return.
    found: Vec<i8>,
}

impl<T> Default for ColumnsOf<T> {
    fn default() -> Self {
        Self {
            all: RefCell::default(),
            next: Cell::new(0),
        }
    }
}

impl<T: Copy> ColumnsOf<T> {
    /// A row's value, or that it has none. `None` where only the accessor of a row can tell what is wrong.
    ///
    /// # Safety
    /// `batch` must be a live batch of so many rows, and `read` its host's function for columns of this type.
    pub(super) unsafe fn find(
        &self,
        (batch, rows): (*const DgBatch, usize),
        row: usize,
        field: &str,
        read: DgColumn<T>,
        nothing: T,
    ) -> Option<Option<T>> {
        let mut columns = self.all.borrow_mut();
        let likely = self.next.get();
        let place = match columns.get(likely) {
            Some(column) if column.field == field => Some(likely),
            _ => columns.iter().position(|column| column.field == field),
        };
        let place = place.unwrap_or_else(|| {
            let mut column = Column {
                field: field.to_owned(),
                values: vec![nothing; rows],
                found: vec![-1; rows],
            };
            let (values, found) = (column.values.as_mut_ptr(), column.found.as_mut_ptr());
            // SAFETY: by the contract above; both lists have room for every row. Where it fails, the rows say so themselves.
            unsafe { read(batch, DgStr::new(field), values, found) };
            columns.push(column);
            columns.len() - 1
        });
        let next = place + 1;
        self.next.set(if next < columns.len() { next } else { 0 });
        let column = &columns[place];
        match i32::from(column.found[row]) {
            DG_PRESENT => Some(Some(column.values[row])),
            DG_NULL => Some(None),
            _ => None,
        }
    }
}
