//! Safe reading of samples: the plugin's half of the host's accessors.
#![expect(unsafe_code, reason = "calls function pointers of the host")]

mod columns;

use crate::ffi::{
    DG_NO_FIELD, DG_NULL, DG_OTHER_TYPE, DG_PRESENT, DgBatch, DgColumn, DgF32s, DgF64s, DgGet,
    DgHost, DgStr, DgStrs,
};
use crate::{Host, MetricError};
use columns::{Columns, ColumnsOf};

/// Samples handed to [`crate::Metric::update`].
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a>(&'a Shared<'a>);

/// What the samples of a batch have in common.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    host: Host<'a>,
    raw: *const DgBatch,
    len: usize,
    columns: Columns,
}

impl<'a> Shared<'a> {
    /// # Safety
    /// `raw` must be a batch of this host, live during `'a`.
    pub(crate) unsafe fn new(host: Host<'a>, raw: *const DgBatch) -> Self {
        Self {
            host,
            raw,
            // SAFETY: the batch belongs to this host.
            len: host.table.len.map_or(0, |len| unsafe { len(raw) }),
            columns: Columns::default(),
        }
    }
}

impl<'a> Batch<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>) -> Self {
        Self(shared)
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples in order.
    pub fn samples(self) -> impl Iterator<Item = Sample<'a>> {
        (0..self.len()).map(move |row| Sample { batch: self.0, row })
    }

    /// The harness.
    #[must_use]
    pub fn host(&self) -> &Host<'a> {
        &self.0.host
    }

    pub(crate) fn host_table(&self) -> &DgHost {
        &self.0.host.table
    }

    pub(crate) fn raw(&self) -> *const DgBatch {
        self.0.raw
    }
}

/// One sample of a batch. Fields are read by name; `plugins/README.md` lists them. The plain readers (`str`, `f64`,
/// `i64`) fail when the sample has no value, the `opt_` ones return `None`; lists are empty then.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    batch: &'a Shared<'a>,
    row: usize,
}

impl<'a> Sample<'a> {
    /// Text that must be there.
    ///
    /// # Errors
    /// When the field does not exist, has another type or no value here.
    pub fn str(&self, field: &str) -> Result<&'a str, MetricError> {
        self.opt_str(field)?.ok_or_else(|| self.missing(field))
    }

    /// Text, or `None`.
    ///
    /// # Errors
    /// When the field does not exist or has another type.
    pub fn opt_str(&self, field: &str) -> Result<Option<&'a str>, MetricError> {
        let table = &self.batch.host.table;
        let found = self.get(
            field,
            table.get_str,
            table.column_str,
            &self.batch.columns.str,
            DgStr::EMPTY,
        )?;
        // SAFETY: the host keeps the text alive until the end of `update`, which `'a` does not outlive.
        found.map(|text| unsafe { Self::text(text) }).transpose()
    }

    /// A number that must be there.
    ///
    /// # Errors
    /// When the field does not exist, has another type or no value here.
    pub fn f64(&self, field: &str) -> Result<f64, MetricError> {
        self.opt_f64(field)?.ok_or_else(|| self.missing(field))
    }

    /// A number, or `None`.
    ///
    /// # Errors
    /// When the field does not exist or has another type.
    pub fn opt_f64(&self, field: &str) -> Result<Option<f64>, MetricError> {
        let table = &self.batch.host.table;
        self.get(
            field,
            table.get_f64,
            table.column_f64,
            &self.batch.columns.f64,
            0.0,
        )
    }

    /// A whole number or flag that must be there.
    ///
    /// # Errors
    /// When the field does not exist, has another type or no value here.
    pub fn i64(&self, field: &str) -> Result<i64, MetricError> {
        self.opt_i64(field)?.ok_or_else(|| self.missing(field))
    }

    /// A whole number or flag, or `None`.
    ///
    /// # Errors
    /// When the field does not exist or has another type.
    pub fn opt_i64(&self, field: &str) -> Result<Option<i64>, MetricError> {
        let table = &self.batch.host.table;
        self.get(
            field,
            table.get_i64,
            table.column_i64,
            &self.batch.columns.i64,
            0,
        )
    }

    /// The number of the sample's id: 0, 1, 2... in the order in which ids are first shown, over all conditions. `None` where the
    /// harness is too old to tell.
    ///
    /// # Errors
    /// When the harness cannot give it.
    pub fn prompt(&self) -> Result<Option<u32>, MetricError> {
        if self.batch.host.table.scores.is_none() {
            return Ok(None);
        }
        let number = self.opt_i64("prompt")?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    /// Numbers in single precision; empty when the sample has none.
    ///
    /// # Errors
    /// When the field does not exist or has another type.
    pub fn f32s(&self, field: &str) -> Result<&'a [f32], MetricError> {
        let none = DgF32s {
            ptr: std::ptr::null(),
            len: 0,
        };
        let table = &self.batch.host.table;
        let found = self.get(
            field,
            table.get_f32s,
            table.column_f32s,
            &self.batch.columns.f32s,
            none,
        )?;
        // SAFETY: as for text.
        Ok(found.map_or(&[], |list| unsafe { slice(list.ptr, list.len) }))
    }

    /// Numbers in double precision; empty when the sample has none.
    ///
    /// # Errors
    /// When the field does not exist or has another type.
    pub fn f64s(&self, field: &str) -> Result<&'a [f64], MetricError> {
        let none = DgF64s {
            ptr: std::ptr::null(),
            len: 0,
        };
        let table = &self.batch.host.table;
        let found = self.get(
            field,
            table.get_f64s,
            table.column_f64s,
            &self.batch.columns.f64s,
            none,
        )?;
        // SAFETY: as for text.
        Ok(found.map_or(&[], |list| unsafe { slice(list.ptr, list.len) }))
    }

    /// A list of text; empty when the sample has none.
    ///
    /// # Errors
    /// When the field does not exist or has another type.
    pub fn strs(&self, field: &str) -> Result<Vec<&'a str>, MetricError> {
        let list = self.raw_strs(field)?.unwrap_or_default();
        // SAFETY: as for text.
        unsafe { Self::texts(list) }
    }

    /// The list that [`Self::strs`] reads, as the host lends it.
    pub(crate) fn raw_strs(&self, field: &str) -> Result<Option<&'a [DgStr]>, MetricError> {
        let none = DgStrs {
            ptr: std::ptr::null(),
            len: 0,
        };
        let table = &self.batch.host.table;
        let found = self.get(
            field,
            table.get_strs,
            table.column_strs,
            &self.batch.columns.strs,
            none,
        )?;
        // SAFETY: as for text.
        Ok(found.map(|list| unsafe { slice(list.ptr, list.len) }))
    }

    /// # Safety
    /// `list` must be the host's, valid during `'a`.
    pub(crate) unsafe fn texts(list: &[DgStr]) -> Result<Vec<&'a str>, MetricError> {
        list.iter()
            // SAFETY: by the contract above.
            .map(|&text| unsafe { Self::text(text) })
            .collect()
    }

    /// The whole sample as JSON text.
    ///
    /// # Errors
    /// When the host cannot give it.
    pub fn json(&self) -> Result<&'a str, MetricError> {
        let get = self
            .batch
            .host
            .table
            .get_json
            .ok_or_else(|| MetricError::internal("this harness gives no JSON of samples"))?;
        let mut out = DgStr::EMPTY;
        // SAFETY: batch and row are the host's own.
        if unsafe { get(self.batch.raw, self.row, &raw mut out) } != DG_PRESENT {
            return Err(MetricError::internal(
                "the harness gave no JSON of a sample",
            ));
        }
        // SAFETY: as for text.
        unsafe { Self::text(out) }
    }

    /// Reads a field: from its column where the host gives one, else for this row alone.
    fn get<T: Copy>(
        &self,
        field: &str,
        accessor: Option<DgGet<T>>,
        column: Option<DgColumn<T>>,
        columns: &ColumnsOf<T>,
        mut out: T,
    ) -> Result<Option<T>, MetricError> {
        if let Some(read) = column
            // SAFETY: the batch is the host's own, and `read` one of its functions.
            && let Some(found) = unsafe { columns.find((self.batch.raw, self.batch.len), self.row, field, read, out) }
        {
            return Ok(found);
        }
        let accessor = accessor.ok_or_else(|| {
            MetricError::internal(format!("this harness is too old to give field `{field}`"))
        })?;
        // SAFETY: batch and row are the host's own, the name and `out` outlive the call.
        let code = unsafe { accessor(self.batch.raw, self.row, DgStr::new(field), &raw mut out) };
        match code {
            DG_PRESENT => Ok(Some(out)),
            DG_NULL => Ok(None),
            DG_NO_FIELD => Err(MetricError::internal(format!("no field `{field}` exists"))
                .help("plugins/README.md lists the fields of a sample")
                .code("no-field")),
            DG_OTHER_TYPE => Err(MetricError::internal(format!(
                "field `{field}` has another type than the one asked for"
            ))
            .help("plugins/README.md lists the fields of a sample and their types")
            .code("field-type")),
            _ => Err(MetricError::internal(format!(
                "the harness could not give field `{field}`"
            ))),
        }
    }

    fn missing(&self, field: &str) -> MetricError {
        let error =
            MetricError::data(format!("sample has no value for `{field}`")).code("missing-field");
        match self.opt_str("sample_id") {
            Ok(Some(id)) => error.sample(id),
            _ => error,
        }
    }

    /// # Safety
    /// `text` must be the host's, valid during `'a`.
    pub(crate) unsafe fn text(text: DgStr) -> Result<&'a str, MetricError> {
        // SAFETY: by the contract above.
        unsafe { text.text() }
            .ok_or_else(|| MetricError::internal("the harness gave text that is not UTF-8"))
    }
}

/// # Safety
/// `ptr` must be null or valid for `len` elements during `'a`.
pub(crate) unsafe fn slice<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if ptr.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: by the contract above.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}
