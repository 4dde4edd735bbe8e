//! A field of all samples of a batch at once: what is asked of every sample is looked up once, not once for each.
#![expect(unsafe_code, reason = "calls function pointers of the host")]

use std::cell::RefCell;

use crate::MetricError;
use crate::batch::{Batch, Sample, slice};
use crate::ffi::{DG_NULL, DG_PRESENT, DgColumn, DgF32s, DgF64s, DgStr, DgStrs};

/// A list of text of each sample of a batch.
#[derive(Debug)]
pub struct StrLists<'a>(Vec<&'a [DgStr]>);

impl<'a> StrLists<'a> {
    /// [`Sample::strs`] of the sample at a place.
    ///
    /// # Errors
    /// When the harness gave text that is none.
    pub fn get(&self, place: usize) -> Result<Vec<&'a str>, MetricError> {
        // SAFETY: the host keeps the texts alive until the end of `update`, which `'a` does not outlive.
        unsafe { Sample::texts(self.0[place]) }
    }

    /// Whether the sample at a place has no text in its list.
    #[must_use]
    pub fn is_empty(&self, place: usize) -> bool {
        self.0[place].is_empty()
    }

    /// Whether the list is known to be that of the sample before: they are one in memory, as those of samples that are alike are.
    #[must_use]
    pub fn is_as_before(&self, place: usize) -> bool {
        let before = place.checked_sub(1).map(|before| self.0[before]);
        before.is_some_and(|before| std::ptr::eq(before, self.0[place]))
    }
}

/// A text of each sample of a batch, each of the different ones once.
#[derive(Debug)]
pub struct Words<'a> {
    texts: Vec<&'a str>,
    rows: Vec<Option<u32>>,
}

impl<'a> Words<'a> {
    /// The different texts, in the order in which they come. One that lies in several places may stand there more than once.
    #[must_use]
    pub fn texts(&self) -> &[&'a str] {
        &self.texts
    }

    /// The place among [`Self::texts`] of the text of a sample; `None` where it has none.
    #[must_use]
    pub fn word(&self, place: usize) -> Option<usize> {
        self.rows[place].map(|word| word as usize)
    }

    /// [`Sample::opt_str`] of the sample at a place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&'a str> {
        self.word(place).map(|word| self.texts[word])
    }
}

/// So many texts before one are looked at for whether it is one of them.
const LOOKED_AT: usize = 16;

impl<'a> Batch<'a> {
    /// [`Sample::opt_str`] of each sample, of a field that many samples have the same text in.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_words(&self, field: &str) -> Result<Words<'a>, MetricError> {
        let texts: RefCell<Vec<&'a str>> = RefCell::default();
        // The same text in memory is known without a look at it.
        let known = |at: *const u8, len: usize| {
            let texts = texts.borrow();
            let mut before = texts.iter().enumerate().rev().take(LOOKED_AT);
            let same = before.find(|(_, text)| text.as_ptr() == at && text.len() == len);
            same.map(|(word, _)| word as u32)
        };
        let add = |text: &'a str| {
            texts.borrow_mut().push(text);
            texts.borrow().len() as u32 - 1
        };
        let mut before = None;
        let present = |text: DgStr| {
            let at = (text.ptr, text.len);
            // Most often it is that of the sample before.
            if let Some((_, word)) = before.filter(|(place, _)| *place == at) {
                return Ok(Some(word));
            }
            let word = match known(text.ptr.cast(), text.len) {
                Some(word) => word,
                // SAFETY: the host keeps the text alive until the end of `update`, which `'a` does not outlive.
                None => add(unsafe { Sample::text(text) }?),
            };
            before = Some((at, word));
            Ok(Some(word))
        };
        let of_row = |sample: &Sample<'a>, field: &str| {
            let text = sample.opt_str(field)?;
            Ok(text.map(|text| known(text.as_ptr(), text.len()).unwrap_or_else(|| add(text))))
        };
        let read = self.host_table().column_str;
        let rows = self.column(field, read, DgStr::EMPTY, present, of_row)?;
        let texts = texts.into_inner();
        Ok(Words { texts, rows })
    }

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
            Ok(Some(checked))
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
        self.column(field, read, 0.0, |x| Ok(Some(x)), Sample::opt_f64)
    }

    /// [`Sample::opt_i64`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_i64(&self, field: &str) -> Result<Vec<Option<i64>>, MetricError> {
        let read = self.host_table().column_i64;
        self.column(field, read, 0, |x| Ok(Some(x)), Sample::opt_i64)
    }

    /// [`Sample::prompt`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_prompt(&self) -> Result<Vec<Option<u32>>, MetricError> {
        if self.host_table().scores.is_none() {
            return Ok(vec![None; self.len()]);
        }
        let read = self.host_table().column_i64;
        let number = |number: i64| Ok(u32::try_from(number).ok());
        self.column("prompt", read, 0, number, |sample, _| sample.prompt())
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
        let list = |list: DgF32s| Ok(Some(unsafe { slice(list.ptr, list.len) }));
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
        let list = |list: DgF64s| Ok(Some(unsafe { slice(list.ptr, list.len) }));
        let read = self.host_table().column_f64s;
        let row = |sample: &Sample<'a>, field: &str| sample.f64s(field).map(Some);
        let lists = self.column(field, read, none, list, row)?.into_iter();
        Ok(lists.map(Option::unwrap_or_default).collect())
    }

    /// [`Sample::strs`] of each sample.
    ///
    /// # Errors
    /// As for a sample.
    pub fn column_strs(&self, field: &str) -> Result<StrLists<'a>, MetricError> {
        let none = DgStrs {
            ptr: std::ptr::null(),
            len: 0,
        };
        // SAFETY: as for text.
        let list = |list: DgStrs| Ok(Some(unsafe { slice(list.ptr, list.len) }));
        let read = self.host_table().column_strs;
        let lists = self.column(field, read, none, list, Sample::raw_strs)?;
        let lists = lists.into_iter().map(Option::unwrap_or_default);
        Ok(StrLists(lists.collect()))
    }

    /// Reads a field of all samples in one call, where the host can; else, and where it cannot give one, sample by sample.
    fn column<T: Copy, R: Copy>(
        &self,
        field: &str,
        read: Option<DgColumn<T>>,
        nothing: T,
        mut present: impl FnMut(T) -> Result<Option<R>, MetricError>,
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
                DG_PRESENT => present(value)?,
                DG_NULL => None,
                _ => of_row(&sample, field)?,
            });
        }
        Ok(column)
    }
}
