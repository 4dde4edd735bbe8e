//! A field of all samples of a batch at once: what is asked of every sample is looked up once, not once for each.
#![expect(unsafe_code, reason = "calls function pointers of the host")]

use crate::MetricError;
use crate::batch::{Batch, Sample, slice};
use crate::ffi::{DG_NULL, DG_PRESENT, DgColumn, DgF32s, DgF64s, DgStr};

impl<'a> Batch<'a> {
    /// [`Sample::opt_str`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_str(&self, field: &str) -> Result<Vec<Option<&'a str>>, MetricError> {
        // Samples that share a text in memory, as many do, share its check.
        let (mut before, mut checked) = (DgStr::EMPTY, "");
        let text = |text: DgStr| {
            if text.ptr != before.ptr || text.len != before.len {
                // SAFETY: the host keeps the text alive until the end of `update`, which `'a` does not outlive.
                checked = unsafe { Sample::text(text) }?;
                before = text;
            }
            Ok(checked)
        };
        let read = self.host_table().column_str;
        self.column(field, read, DgStr::EMPTY, text, Sample::opt_str)
    }

    /// [`Sample::opt_f64`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_f64(&self, field: &str) -> Result<Vec<Option<f64>>, MetricError> {
        let read = self.host_table().column_f64;
        self.column(field, read, 0.0, Ok, Sample::opt_f64)
    }

    /// [`Sample::opt_i64`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_i64(&self, field: &str) -> Result<Vec<Option<i64>>, MetricError> {
        let read = self.host_table().column_i64;
        self.column(field, read, 0, Ok, Sample::opt_i64)
    }

    /// [`Sample::prompt`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_prompt(&self) -> Result<Vec<Option<u32>>, MetricError> {
        if self.host_table().scores.is_none() {
            return Ok(vec![None; self.len()]);
        }
        let numbers = self.column_i64("prompt")?.into_iter();
        let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        Ok(numbers.map(number).collect())
    }

    /// [`Sample::f32s`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_f32s(&self, field: &str) -> Result<Vec<&'a [f32]>, MetricError> {
        let none = DgF32s {
            ptr: std::ptr::null(),
            len: 0,
        };
        // SAFETY: as for text.
        let list = |list: DgF32s| Ok(unsafe { slice(list.ptr, list.len) });
        let read = self.host_table().column_f32s;
        let row = |sample: &Sample<'a>, field: &str| sample.f32s(field).map(Some);
        let lists = self.column(field, read, none, list, row)?.into_iter();
        Ok(lists.map(Option::unwrap_or_default).collect())
    }

    /// [`Sample::f64s`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_f64s(&self, field: &str) -> Result<Vec<&'a [f64]>, MetricError> {
        let none = DgF64s {
            ptr: std::ptr::null(),
            len: 0,
        };
        // SAFETY: as for text.
        let list = |list: DgF64s| Ok(unsafe { slice(list.ptr, list.len) });
        let read = self.host_table().column_f64s;
        let row = |sample: &Sample<'a>, field: &str| sample.f64s(field).map(Some);
        let lists = self.column(field, read, none, list, row)?.into_iter();
        Ok(lists.map(Option::unwrap_or_default).collect())
    }

    /// Reads a field of all samples in one call, where the host can; else, and where it cannot give one, sample by sample.
    fn column<T: Copy, R: Copy>(
        &self,
        field: &str,
        read: Option<DgColumn<T>>,
        nothing: T,
        mut present: impl FnMut(T) -> Result<R, MetricError>,
        of_row: impl Fn(&Sample<'a>, &str) -> Result<Option<R>, MetricError>,
    ) -> Result<Vec<Option<R>>, MetricError> {
        let Some(read) = read else {
            return self
                .samples()
                .map(|sample| of_row(&sample, field))
                .collect();
        };
        let mut values = vec![nothing; self.len()];
        let mut found = vec![-1; self.len()];
        let name = DgStr::new(field);
        // SAFETY: the batch is the host's own, and both lists have room for every sample. Where it fails, the samples say so themselves.
        unsafe { read(self.raw(), name, values.as_mut_ptr(), found.as_mut_ptr()) };
        let mut column = Vec::with_capacity(self.len());
        for ((value, found), sample) in values.into_iter().zip(found).zip(self.samples()) {
            column.push(match i32::from(found) {
                DG_PRESENT => Some(present(value)?),
                DG_NULL => None,
                _ => of_row(&sample, field)?,
            });
        }
        Ok(column)
    }
}
