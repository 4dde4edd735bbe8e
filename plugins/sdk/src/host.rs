//! The harness, as a plugin sees it.
#![expect(unsafe_code, reason = "calls function pointers of the host")]

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::MetricError;
use crate::ffi::{DG_OK, DgHost, DgScores, DgStr};
#[cfg(doc)]
use crate::wire::SampleIds;
use crate::wire::{ScoreKind, Scores};

/// Levels of the run log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error = 0,
    /// Something a reader of the result has to know.
    Warning = 1,
    /// Progress.
    Info = 2,
    /// For the plugin's author.
    Debug = 3,
    /// Everything.
    Trace = 4,
}

/// The harness, as a plugin sees it.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    pub(crate) table: DgHost,
    lifetime: PhantomData<&'a c_void>,
}

impl Host<'_> {
    /// # Safety
    /// The table's context must be live during the lifetime of the result.
    pub(crate) unsafe fn new(table: DgHost) -> Self {
        Self {
            table,
            lifetime: PhantomData,
        }
    }

    /// Writes to the run log.
    pub fn log(&self, level: LogLevel, message: &str) {
        if let Some(log) = self.table.log {
            // SAFETY: the context belongs to the function, and the message outlives the call.
            unsafe { log(self.table.ctx, level as i32, DgStr::new(message)) }
        }
    }

    /// Whether the run is being stopped; poll it in long loops.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        // SAFETY: the context belongs to the function.
        self.table
            .cancelled
            .is_some_and(|cancelled| unsafe { cancelled(self.table.ctx) } != 0)
    }

    /// Whether the harness names prompts by the numbers that it gave them (ABI 1.3): then scores of [`SampleIds::numbered`] and the
    /// `prompts` of pooled answers need no ids.
    #[must_use]
    pub fn names_prompts(&self) -> bool {
        self.table.scores.is_some() && self.table.abi_minor >= 3
    }

    /// Hands scores over as arrays. `None` where the harness is too old to take them.
    pub(crate) fn give(&self, scores: &Scores) -> Option<Result<(), MetricError>> {
        let give = self.table.scores?;
        let all = scores.values.missing() == 0;
        let present: Vec<u8> = match all {
            true => Vec::new(),
            false => {
                let values = scores.values.iter();
                values.map(|value| u8::from(value.is_some())).collect()
            }
        };
        let values = scores.values.numbers();
        let of_prompts = scores.sample_ids.are_of_prompts();
        let ids: Vec<DgStr> = match of_prompts {
            true => Vec::new(),
            false => scores.sample_ids.iter().map(DgStr::new).collect(),
        };
        let prompts = scores.sample_ids.places().filter(|_| of_prompts);
        let arrays = DgScores {
            struct_size: size_of::<DgScores>() as u32,
            binary: u32::from(scores.kind == ScoreKind::Binary),
            id: DgStr::new(&scores.id),
            condition: DgStr::new(&scores.condition),
            len: values.len(),
            values: values.as_ptr(),
            present: if all {
                std::ptr::null()
            } else {
                present.as_ptr()
            },
            prompts: prompts.map_or(std::ptr::null(), <[u32]>::as_ptr),
            sample_ids: if of_prompts {
                std::ptr::null()
            } else {
                ids.as_ptr()
            },
        };
        // SAFETY: the context belongs to the function; the arrays have as many items as told, and outlive the call.
        let status = unsafe { give(self.table.ctx, &raw const arrays) };
        Some(match status {
            DG_OK => Ok(()),
            _ => Err(MetricError::internal(format!(
                "the harness did not take the scores `{}`",
                scores.id
            ))),
        })
    }
}
