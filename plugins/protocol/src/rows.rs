//! Serves the fields of samples over the ABI: the host's half of [`crate::ffi::DgHost`].
//!
//! The harness and the SDK's test bench keep samples in different forms; both implement [`Rows`], and the functions
//! that a plugin calls are written once, here.
#![expect(
    unsafe_code,
    reason = "functions that plugins call receive raw pointers"
)]

use std::borrow::Cow;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::arrays::{self, Given, Taken};
use crate::ffi::{
    ABI_MINOR, DG_BAD_DATA, DG_BAD_ROW, DG_NO_FIELD, DG_NULL, DG_OK, DG_OTHER_TYPE, DG_PRESENT,
    DgBatch, DgF32s, DgF64s, DgHost, DgScores, DgStatus, DgStr, DgStrs,
};
use crate::field::Field;

/// What was found under a field name.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup<T> {
    /// A value.
    Present(T),
    /// The field has no value in this sample.
    Null,
    /// The field has another type.
    OtherType,
    /// The sample could not be read, and why.
    Failed(String),
}

impl<T> From<Option<T>> for Lookup<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Present)
    }
}

/// Samples as a plugin may read them. `row` is always below [`Self::len`].
pub trait Rows: Sync {
    /// Number of samples.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// A text field.
    fn text(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, str>>;
    /// A number.
    fn number(&self, row: usize, field: Field<'_>) -> Lookup<f64>;
    /// A whole number or a flag.
    fn integer(&self, row: usize, field: Field<'_>) -> Lookup<i64>;
    /// Numbers, in single precision.
    fn floats(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f32]>>;
    /// Numbers, in double precision.
    fn doubles(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f64]>>;
    /// A list of text.
    fn texts(&self, row: usize, field: Field<'_>) -> Lookup<Vec<Cow<'_, str>>>;
    /// For each sample the first one that is known to have the same value of a field, itself where none is; `None` where nothing is
    /// known. What one has is then not looked up for the others.
    fn alike(&self, _field: Field<'_>) -> Option<&[u32]> {
        None
    }
    /// The whole sample as JSON.
    ///
    /// # Errors
    /// When it cannot be read.
    fn json(&self, row: usize) -> Result<String, String>;
}

/// Why there is no next batch.
pub type BatchError = Box<dyn std::error::Error + Send + Sync>;

/// Samples batch by batch: memory does not grow with their number.
pub trait Batches {
    /// The next samples; `None` after the last ones.
    ///
    /// # Errors
    /// When they cannot be read.
    fn next_batch(&mut self) -> Result<Option<&dyn Rows>, BatchError>;

    /// How many different prompts the samples are likely of, asked before the first batch: for so many, memory is set aside. 0 where
    /// nothing is known.
    fn prompts(&self) -> usize {
        0
    }
}

/// A batch that plugins can be handed, and everything that was made for them while they read it.
pub struct ServedBatch<'a> {
    rows: &'a dyn Rows,
    /// The number of each sample's prompt, where the rows themselves do not tell.
    prompts: Option<&'a [u32]>,
    kept: Mutex<Vec<Kept>>,
    failure: OnceLock<String>,
}

/// Memory behind pointers handed to the plugin. Vectors and strings, because moving them keeps their contents in place.
#[expect(dead_code, reason = "held for the plugin, never read by the host")]
enum Kept {
    Text(String),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Texts(Vec<DgStr>),
}

// SAFETY: the pointers inside `Kept::Texts` lead into `rows` or into other kept strings, which are immutable.
unsafe impl Send for Kept {}

impl<'a> ServedBatch<'a> {
    /// Serves `rows`.
    #[must_use]
    pub fn new(rows: &'a dyn Rows) -> Self {
        Self {
            rows,
            prompts: None,
            kept: Mutex::default(),
            failure: OnceLock::new(),
        }
    }

    /// Serves `rows` with the numbers of their prompts, one for each.
    #[must_use]
    pub fn numbered(rows: &'a dyn Rows, prompts: &'a [u32]) -> Self {
        Self {
            prompts: Some(prompts),
            ..Self::new(rows)
        }
    }

    /// Why a sample could not be read, if one could not: the plugin only knows that it failed.
    #[must_use]
    pub fn failure(self) -> Option<String> {
        self.failure.into_inner()
    }

    /// The pointer to pass to `update`; valid as long as the batch is.
    #[must_use]
    pub fn as_ptr(&self) -> *const DgBatch {
        std::ptr::from_ref(self).cast()
    }

    fn keep(&self, kept: Kept) {
        self.kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(kept);
    }

    /// Writes what was found; returns its code.
    ///
    /// # Safety
    /// `out` must be valid for a write.
    unsafe fn answer<T>(&self, found: Lookup<T>, out: *mut T) -> i32 {
        match found {
            Lookup::Present(value) => {
                // SAFETY: by the contract above.
                unsafe { out.write(value) };
                DG_PRESENT
            }
            Lookup::Null => DG_NULL,
            Lookup::OtherType => DG_OTHER_TYPE,
            Lookup::Failed(problem) => {
                // The first problem is the one to tell of.
                let _ = self.failure.set(problem);
                DG_BAD_ROW
            }
        }
    }

    fn lend_text(&self, text: Cow<'_, str>) -> DgStr {
        match text {
            Cow::Borrowed(text) => DgStr::new(text),
            Cow::Owned(text) => {
                let lent = DgStr::new(&text);
                self.keep(Kept::Text(text));
                lent
            }
        }
    }
}

/// Where a plugin's log messages go: level (0 error to 4 trace) and text.
pub type LogSink = Box<dyn Fn(i32, &str) + Send + Sync>;

/// What [`DgHost::ctx`] points to.
pub struct HostContext {
    log: LogSink,
    cancelled: Arc<AtomicBool>,
    scores: Taken,
    /// Samples that were shown: the most that scores can be of.
    shown: AtomicU64,
    readable: Readable,
}

/// Whether so many bytes from an address are memory, at this moment.
pub type Readable = fn() -> Box<dyn Fn(usize, usize) -> bool>;

impl HostContext {
    /// A context with a log and a flag that stops the plugin.
    #[must_use]
    pub fn new(log: LogSink, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            log,
            cancelled,
            scores: Taken::new(usize::MAX),
            shown: AtomicU64::new(0),
            readable: || Box::new(|_, _| true),
        }
    }

    /// Takes at most so many bytes of scores, from addresses that are memory.
    #[must_use]
    pub fn wary(mut self, most: usize, readable: Readable) -> Self {
        self.scores = Taken::new(most);
        self.readable = readable;
        self
    }

    /// Takes note of samples that are about to be shown.
    pub fn show(&self, samples: usize) {
        self.shown.fetch_add(samples as u64, Ordering::Relaxed);
    }

    /// The scores that were given as arrays. What is given later is refused.
    ///
    /// # Errors
    /// What was wrong with them.
    pub fn take_scores(&self) -> Result<Vec<Given>, String> {
        self.scores.take()
    }

    /// The table to pass to `create`. It points to this context, which must outlive the metric's instance and stay put.
    #[must_use]
    pub fn table(&self) -> DgHost {
        DgHost {
            struct_size: size_of::<DgHost>() as u32,
            abi_minor: ABI_MINOR,
            ctx: std::ptr::from_ref(self).cast_mut().cast(),
            log: Some(log),
            cancelled: Some(cancelled),
            len: Some(len),
            get_str: Some(get::<DgStr>),
            get_f64: Some(get::<f64>),
            get_i64: Some(get::<i64>),
            get_f32s: Some(get::<DgF32s>),
            get_strs: Some(get::<DgStrs>),
            get_json: Some(get_json),
            extension: Some(extension),
            get_f64s: Some(get::<DgF64s>),
            column_str: Some(column::<DgStr>),
            column_f64: Some(column::<f64>),
            column_i64: Some(column::<i64>),
            column_f32s: Some(column::<DgF32s>),
            column_strs: Some(column::<DgStrs>),
            column_f64s: Some(column::<DgF64s>),
            scores: Some(scores),
        }
    }
}

unsafe extern "C" fn scores(ctx: *mut c_void, scores: *const DgScores) -> DgStatus {
    // SAFETY: `ctx` is the `HostContext` the table was made from.
    let context = unsafe { &*ctx.cast::<HostContext>() };
    let take = || {
        let shown = context.shown.load(Ordering::Relaxed);
        let readable = (context.readable)();
        // SAFETY: the plugin promises that its arrays are valid during the call; what is no memory is refused.
        context
            .scores
            .add(unsafe { arrays::read(scores, shown, &*readable) })
    };
    match catch_unwind(AssertUnwindSafe(take)) {
        Ok(true) => DG_OK,
        Ok(false) | Err(_) => DG_BAD_DATA,
    }
}

unsafe extern "C" fn log(ctx: *mut c_void, level: i32, message: DgStr) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `ctx` is the `HostContext` the table was made from; the message is valid during the call.
        let (context, bytes) = unsafe { (&*ctx.cast::<HostContext>(), message.bytes()) };
        (context.log)(level, &String::from_utf8_lossy(bytes));
    }));
}

unsafe extern "C" fn cancelled(ctx: *mut c_void) -> i32 {
    // SAFETY: `ctx` is the `HostContext` the table was made from.
    let context = unsafe { &*ctx.cast::<HostContext>() };
    i32::from(context.cancelled.load(Ordering::Relaxed))
}

unsafe extern "C" fn extension(_ctx: *mut c_void, _id: *const c_char) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn len(batch: *const DgBatch) -> usize {
    // SAFETY: plugins pass the pointer they were given.
    unsafe { served(batch) }.map_or(0, |batch| batch.rows.len())
}

/// # Safety
/// `batch` is null or the pointer of a live [`ServedBatch`].
unsafe fn served<'a>(batch: *const DgBatch) -> Option<&'a ServedBatch<'a>> {
    // SAFETY: by the contract above.
    unsafe { batch.cast::<ServedBatch<'a>>().as_ref() }
}

impl<T> Lookup<T> {
    /// Applies `change` to a present value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Present(value) => Lookup::Present(change(value)),
            Self::Null => Lookup::Null,
            Self::OtherType => Lookup::OtherType,
            Self::Failed(problem) => Lookup::Failed(problem),
        }
    }
}

/// What the accessors give: how a field of a row is found, and lent to the plugin.
trait Lent: Sized {
    fn find<'a>(batch: &'a ServedBatch<'a>, row: usize, field: Field<'_>) -> Lookup<Self>;
}

impl Lent for DgStr {
    fn find<'a>(batch: &'a ServedBatch<'a>, row: usize, field: Field<'_>) -> Lookup<Self> {
        let text = batch.rows.text(row, field);
        text.map(|text| batch.lend_text(text))
    }
}

impl Lent for f64 {
    fn find<'a>(batch: &'a ServedBatch<'a>, row: usize, field: Field<'_>) -> Lookup<Self> {
        batch.rows.number(row, field)
    }
}

impl Lent for i64 {
    fn find<'a>(batch: &'a ServedBatch<'a>, row: usize, field: Field<'_>) -> Lookup<Self> {
        match batch.prompts {
            Some(prompts) if field == Field::Prompt => {
                prompts.get(row).map(|&number| i64::from(number)).into()
            }
            _ => batch.rows.integer(row, field),
        }
    }
}

impl Lent for DgF32s {
    fn find<'a>(batch: &'a ServedBatch<'a>, row: usize, field: Field<'_>) -> Lookup<Self> {
        batch.rows.floats(row, field).map(|numbers| {
            let (ptr, len) = (numbers.as_ptr(), numbers.len());
            if let Cow::Owned(numbers) = numbers {
                batch.keep(Kept::Floats(numbers));
            }
            Self { ptr, len }
        })
    }
}

impl Lent for DgF64s {
    fn find<'a>(batch: &'a ServedBatch<'a>, row: usize, field: Field<'_>) -> Lookup<Self> {
        batch.rows.doubles(row, field).map(|numbers| {
            let (ptr, len) = (numbers.as_ptr(), numbers.len());
            if let Cow::Owned(numbers) = numbers {
                batch.keep(Kept::Doubles(numbers));
            }
            Self { ptr, len }
        })
    }
}

impl Lent for DgStrs {
    fn find<'a>(batch: &'a ServedBatch<'a>, row: usize, field: Field<'_>) -> Lookup<Self> {
        batch.rows.texts(row, field).map(|texts| {
            let texts = texts.into_iter();
            let lent: Vec<DgStr> = texts.map(|text| batch.lend_text(text)).collect();
            let (ptr, len) = (lent.as_ptr(), lent.len());
            if len > 0 {
                batch.keep(Kept::Texts(lent));
            }
            Self { ptr, len }
        })
    }
}

/// Looks a field of a row up and writes it.
unsafe extern "C" fn get<T: Lent>(
    batch: *const DgBatch,
    row: usize,
    field: DgStr,
    out: *mut T,
) -> i32 {
    // SAFETY: plugins pass the batch they were given and a field name valid during the call.
    let (Some(batch), Some(name)) = (unsafe { (served(batch), field.text()) }) else {
        return DG_NO_FIELD;
    };
    let Some(field) = Field::parse(name) else {
        return DG_NO_FIELD;
    };
    if row >= batch.rows.len() || out.is_null() {
        return DG_BAD_ROW;
    }
    match catch_unwind(AssertUnwindSafe(|| T::find(batch, row, field))) {
        // SAFETY: `out` is not null and points to a value of this type.
        Ok(found) => unsafe { batch.answer(found, out) },
        Err(_) => DG_BAD_ROW,
    }
}

/// Looks a field of every row up and writes it.
unsafe extern "C" fn column<T: Lent>(
    batch: *const DgBatch,
    field: DgStr,
    out: *mut T,
    found: *mut i8,
) -> i32 {
    // SAFETY: plugins pass the batch they were given and a field name valid during the call.
    let (Some(batch), Some(name)) = (unsafe { (served(batch), field.text()) }) else {
        return DG_NO_FIELD;
    };
    let Some(field) = Field::parse(name) else {
        return DG_NO_FIELD;
    };
    if out.is_null() || found.is_null() {
        return DG_BAD_ROW;
    }
    let each = || {
        let alike = batch.rows.alike(field);
        for row in 0..batch.rows.len() {
            let first = alike.map_or(row, |alike| alike[row] as usize);
            if first < row {
                // SAFETY: both have room for every row of the batch, and what an earlier row has was written.
                unsafe {
                    let code = found.add(first).read();
                    found.add(row).write(code);
                    if i32::from(code) == DG_PRESENT {
                        out.add(row).write(out.add(first).read());
                    }
                }
                continue;
            }
            let (code, value) = match T::find(batch, row, field) {
                Lookup::Present(value) => (DG_PRESENT, Some(value)),
                Lookup::Null => (DG_NULL, None),
                Lookup::OtherType => (DG_OTHER_TYPE, None),
                // Told when the row itself is asked for.
                Lookup::Failed(_) => (DG_BAD_ROW, None),
            };
            // SAFETY: as above.
            unsafe {
                found.add(row).write(code as i8);
                if let Some(value) = value {
                    out.add(row).write(value);
                }
            }
        }
        DG_PRESENT
    };
    catch_unwind(AssertUnwindSafe(each)).unwrap_or(DG_BAD_ROW)
}

unsafe extern "C" fn get_json(batch: *const DgBatch, row: usize, out: *mut DgStr) -> i32 {
    // SAFETY: plugins pass the batch they were given.
    let Some(batch) = (unsafe { served(batch) }) else {
        return DG_NO_FIELD;
    };
    if row >= batch.rows.len() || out.is_null() {
        return DG_BAD_ROW;
    }
    let find = || match batch.rows.json(row) {
        Ok(text) => Lookup::Present(batch.lend_text(Cow::Owned(text))),
        Err(problem) => Lookup::Failed(problem),
    };
    match catch_unwind(AssertUnwindSafe(find)) {
        // SAFETY: `out` is not null and points to text.
        Ok(found) => unsafe { batch.answer(found, out) },
        Err(_) => DG_BAD_ROW,
    }
}
