//! The ABI of metric plugins, major version 1, as `#[repr(C)]` structures.
//!
//! `include/driftgauge_metric.h` says the same in C; a test compiles it and compares sizes and offsets. The rules:
//! only fixed-width integers, pointers and function pointers cross the border; structures grow at the end only, a reader
//! copies `min(struct_size, own size)` into zeroed memory, and a null function is an absent feature.
#![expect(
    unsafe_code,
    reason = "reading size-prefixed structures through raw pointers"
)]

mod prefixed;

use std::ffi::{c_char, c_void};
use std::marker::{PhantomData, PhantomPinned};

pub use prefixed::{SizePrefixed, read_prefixed, stated_size};

/// Major version of the ABI: part of the exported symbol's name.
pub const ABI_MAJOR: u32 = 1;
/// Minor version of the ABI: what has been appended since 1.0.
pub const ABI_MINOR: u32 = 3;
/// The one symbol a plugin exports.
pub const ENTRY_SYMBOL: &str = "dg_plugin_v1";

/// Result of a call into a plugin. Unknown values count as [`DG_INTERNAL`].
pub type DgStatus = i32;
/// The call succeeded.
pub const DG_OK: DgStatus = 0;
/// The configuration is wrong.
pub const DG_BAD_CONFIG: DgStatus = 1;
/// A sample is wrong.
pub const DG_BAD_DATA: DgStatus = 2;
/// The plugin is wrong.
pub const DG_INTERNAL: DgStatus = 3;
/// The plugin panicked and caught it.
pub const DG_PANIC: DgStatus = 4;
/// The plugin stopped because the host asked it to.
pub const DG_CANCELLED: DgStatus = 5;

/// A field has a value.
pub const DG_PRESENT: i32 = 1;
/// A field exists and has no value in this sample.
pub const DG_NULL: i32 = 0;
/// No field of this name exists.
pub const DG_NO_FIELD: i32 = -1;
/// The field exists with another type.
pub const DG_OTHER_TYPE: i32 = -2;
/// The row is not in the batch, or the host failed.
pub const DG_BAD_ROW: i32 = -3;

/// Borrowed UTF-8, not NUL-terminated; `{NULL, 0}` is the empty string.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DgStr {
    /// First byte.
    pub ptr: *const c_char,
    /// Length in bytes.
    pub len: usize,
}

/// Borrowed floats.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DgF32s {
    /// First element.
    pub ptr: *const f32,
    /// Number of elements.
    pub len: usize,
}

/// Borrowed doubles.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DgF64s {
    /// First element.
    pub ptr: *const f64,
    /// Number of elements.
    pub len: usize,
}

/// Borrowed strings.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DgStrs {
    /// First element.
    pub ptr: *const DgStr,
    /// Number of elements.
    pub len: usize,
}

/// Owned bytes. Who fills it sets `release`; who receives it calls `release` once. Memory is never freed by the other
/// side's allocator.
#[repr(C)]
#[derive(Debug)]
pub struct DgBuf {
    /// First byte.
    pub ptr: *mut u8,
    /// Length in bytes.
    pub len: usize,
    /// Frees the bytes; may be null when there is nothing to free.
    pub release: Option<unsafe extern "C" fn(*mut DgBuf)>,
    /// For `release` alone.
    pub owner: *mut c_void,
}

/// Scores behind a scalar, one per prompt, as arrays that the plugin owns. The host copies them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DgScores {
    /// Size of the plugin's structure in bytes.
    pub struct_size: u32,
    /// 1 where every score is 0 or 1, 0 where they are any finite numbers.
    pub binary: u32,
    /// Id of the scalar.
    pub id: DgStr,
    /// Condition.
    pub condition: DgStr,
    /// Number of scores: length of the arrays.
    pub len: usize,
    /// The scores.
    pub values: *const f64,
    /// 0 where a prompt has no score, else 1; may be null: all have one.
    pub present: *const u8,
    /// The field `prompt` of the sample that each score is of. May be null: 0, 1, 2...
    pub prompts: *const u32,
    /// Sample ids instead of `prompts`; may be null.
    pub sample_ids: *const DgStr,
}

/// A batch of samples, owned by the host and valid during `update` only.
#[repr(C)]
pub struct DgBatch {
    opaque: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// An instance of a metric, owned by the plugin.
#[repr(C)]
pub struct DgMetric {
    opaque: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Reads one field of one row into `out`; returns [`DG_PRESENT`], [`DG_NULL`] or a negative code.
pub type DgGet<T> =
    unsafe extern "C" fn(batch: *const DgBatch, row: usize, field: DgStr, out: *mut T) -> i32;

/// Reads one field of all rows: `out` and `found` have room for every row of the batch, and `found` gets the code that the
/// accessor of one row would return. Returns [`DG_PRESENT`], or the code of a batch or field that is none.
pub type DgColumn<T> =
    unsafe extern "C" fn(batch: *const DgBatch, field: DgStr, out: *mut T, found: *mut i8) -> i32;

/// What the host offers a plugin; lives until `destroy` returns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DgHost {
    /// Size of the host's structure in bytes.
    pub struct_size: u32,
    /// Minor version of the host's ABI.
    pub abi_minor: u32,
    /// Passed back to `log`, `cancelled` and `extension`.
    pub ctx: *mut c_void,
    /// Writes to the run log: 0 error, 1 warning, 2 information, 3 debug, 4 trace. Thread-safe.
    pub log: Option<unsafe extern "C" fn(ctx: *mut c_void, level: i32, message: DgStr)>,
    /// Non-zero when the run is being stopped; poll it in long loops.
    pub cancelled: Option<unsafe extern "C" fn(ctx: *mut c_void) -> i32>,
    /// Number of samples in a batch.
    pub len: Option<unsafe extern "C" fn(batch: *const DgBatch) -> usize>,
    /// Text fields.
    pub get_str: Option<DgGet<DgStr>>,
    /// Numbers.
    pub get_f64: Option<DgGet<f64>>,
    /// Whole numbers and flags.
    pub get_i64: Option<DgGet<i64>>,
    /// Numbers per token.
    pub get_f32s: Option<DgGet<DgF32s>>,
    /// Lists of text.
    pub get_strs: Option<DgGet<DgStrs>>,
    /// The whole sample as JSON.
    pub get_json:
        Option<unsafe extern "C" fn(batch: *const DgBatch, row: usize, out: *mut DgStr) -> i32>,
    /// Tables of functions beyond this one, by id; null when unknown.
    pub extension:
        Option<unsafe extern "C" fn(ctx: *mut c_void, id: *const c_char) -> *const c_void>,
    /// Lists of doubles.
    pub get_f64s: Option<DgGet<DgF64s>>,
    /// Text fields of all rows; since 1.1, as the others after it.
    pub column_str: Option<DgColumn<DgStr>>,
    /// Numbers of all rows.
    pub column_f64: Option<DgColumn<f64>>,
    /// Whole numbers and flags of all rows.
    pub column_i64: Option<DgColumn<i64>>,
    /// Numbers per token of all rows.
    pub column_f32s: Option<DgColumn<DgF32s>>,
    /// Lists of text of all rows.
    pub column_strs: Option<DgColumn<DgStrs>>,
    /// Lists of doubles of all rows.
    pub column_f64s: Option<DgColumn<DgF64s>>,
    /// Takes scores as arrays, in `finish`, instead of the `scores` of the result; since 1.2. [`DG_OK`], or what is wrong.
    pub scores: Option<unsafe extern "C" fn(ctx: *mut c_void, scores: *const DgScores) -> DgStatus>,
}

/// The functions of one metric: static, in the plugin.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DgMetricVtable {
    /// Size of the plugin's structure in bytes.
    pub struct_size: u32,
    /// Minor version of the plugin's ABI.
    pub abi_minor: u32,
    /// Writes the manifest as JSON ([`crate::wire::Manifest`]).
    pub manifest: Option<unsafe extern "C" fn(json: *mut DgBuf) -> DgStatus>,
    /// Makes an instance from a JSON configuration.
    pub create: Option<
        unsafe extern "C" fn(
            host: *const DgHost,
            config: DgStr,
            out: *mut *mut DgMetric,
            error: *mut DgBuf,
        ) -> DgStatus,
    >,
    /// Takes a batch; one thread at a time per instance.
    pub update: Option<
        unsafe extern "C" fn(
            metric: *mut DgMetric,
            batch: *const DgBatch,
            error: *mut DgBuf,
        ) -> DgStatus,
    >,
    /// Writes the result as JSON ([`crate::wire::MetricOutput`]).
    pub finish: Option<
        unsafe extern "C" fn(
            metric: *mut DgMetric,
            result: *mut DgBuf,
            error: *mut DgBuf,
        ) -> DgStatus,
    >,
    /// Frees an instance: called exactly once after a successful `create`.
    pub destroy: Option<unsafe extern "C" fn(metric: *mut DgMetric)>,
    /// Tables of functions beyond this one, by id; may be null.
    pub extension: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
}

/// What a plugin library holds: static, in the plugin.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DgPlugin {
    /// Size of the plugin's structure in bytes.
    pub struct_size: u32,
    /// Minor version of the plugin's ABI.
    pub abi_minor: u32,
    /// Number of entries behind `metrics`.
    pub n_metrics: u32,
    /// Zero.
    pub reserved: u32,
    /// Array of pointers, so that a vtable can grow.
    pub metrics: *const *const DgMetricVtable,
}

// SAFETY: the structure and what it points to are immutable statics of the plugin.
unsafe impl Sync for DgPlugin {}

/// Signature of [`ENTRY_SYMBOL`].
pub type DgEntry = unsafe extern "C" fn(host_abi_minor: u32) -> *const DgPlugin;

impl DgStr {
    /// The empty string.
    pub const EMPTY: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
    };

    /// Borrows `text`; the caller keeps it alive.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            ptr: text.as_ptr().cast(),
            len: text.len(),
        }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `ptr` must be null with `len` 0, or valid for `len` bytes during `'a`.
    #[must_use]
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: not null, and valid for `len` bytes by the contract above.
        unsafe { std::slice::from_raw_parts(self.ptr.cast(), self.len) }
    }

    /// The text, or `None` when it is not UTF-8.
    ///
    /// # Safety
    /// As for [`Self::bytes`].
    #[must_use]
    pub unsafe fn text<'a>(self) -> Option<&'a str> {
        // SAFETY: same contract.
        std::str::from_utf8(unsafe { self.bytes() }).ok()
    }
}

impl DgBuf {
    /// Nothing, with nothing to free.
    pub const EMPTY: Self = Self {
        ptr: std::ptr::null_mut(),
        len: 0,
        release: None,
        owner: std::ptr::null_mut(),
    };

    /// Gives `bytes` away; they are freed by `release`, in the library that made them.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        unsafe extern "C" fn release(buf: *mut DgBuf) {
            // SAFETY: `buf` points to a buffer made by `from_bytes`, whose owner is a boxed vector, released once.
            unsafe {
                let owner = std::mem::replace(&mut (*buf).owner, std::ptr::null_mut());
                if !owner.is_null() {
                    drop(Box::from_raw(owner.cast::<Vec<u8>>()));
                }
            }
        }
        let mut owner = Box::new(bytes);
        Self {
            ptr: owner.as_mut_ptr(),
            len: owner.len(),
            release: Some(release),
            owner: Box::into_raw(owner).cast(),
        }
    }

    /// What is wrong with a buffer that a plugin filled, before its bytes are looked at: a length that no memory has, or one
    /// beyond `longest`.
    #[must_use]
    pub fn fault(&self, longest: usize) -> Option<String> {
        if isize::try_from(self.len).is_err() {
            return Some(format!(
                "a buffer has the length {} (-{})",
                self.len,
                self.len.wrapping_neg()
            ));
        }
        if self.len > longest {
            return Some(format!(
                "a buffer of {} bytes is longer than the {longest} that are read",
                self.len
            ));
        }
        (self.ptr.is_null() && self.len > 0)
            .then(|| format!("a buffer of {} bytes has no address", self.len))
    }

    /// Copies the bytes out and releases the buffer, which is empty afterwards.
    ///
    /// # Safety
    /// The buffer must be empty or filled by the other side according to the ABI.
    #[must_use]
    pub unsafe fn take(&mut self) -> Vec<u8> {
        // SAFETY: by the contract above.
        unsafe { self.read(<[u8]>::to_vec) }
    }

    /// Lets `read` see the bytes and releases the buffer, which is empty afterwards.
    ///
    /// # Safety
    /// As for [`Self::take`].
    pub unsafe fn read<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> R {
        let found = read(if self.ptr.is_null() || self.len == 0 {
            &[]
        } else {
            // SAFETY: the filler promises `len` readable bytes until `release`.
            unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
        });
        if let Some(release) = self.release {
            // SAFETY: called once, as the buffer is emptied below.
            unsafe { release(self) };
        }
        *self = Self::EMPTY;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_taken_once() {
        let mut buf = DgBuf::from_bytes(b"abc".to_vec());
        // SAFETY: made by `from_bytes`.
        assert_eq!(unsafe { buf.take() }, b"abc");
        // SAFETY: empty now.
        assert_eq!(unsafe { buf.take() }, b"");
    }

    #[test]
    fn lengths_that_no_memory_has_are_faults() {
        let mut buf = DgBuf::EMPTY;
        assert_eq!(buf.fault(10), None);
        buf.len = usize::MAX;
        assert!(buf.fault(10).is_some_and(|fault| fault.contains("(-1)")));
        buf.len = 11;
        assert!(
            buf.fault(10)
                .is_some_and(|fault| fault.contains("longer than the 10"))
        );
        buf.len = 3;
        assert!(
            buf.fault(10)
                .is_some_and(|fault| fault.contains("no address"))
        );
    }
}
