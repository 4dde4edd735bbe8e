//! Whether an adapter changes anything: one that was saved before it was trained, or whose trained parts were not saved, is merged
//! into the very base, and every comparison finds that nothing happened.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::{Adapter, Change};
use crate::error::{Error, Refusal, Result};
use crate::header::Slot;

/// Bytes that are looked at together.
const CHUNK: u64 = 1 << 16;

impl Adapter {
    /// Looks for an update that is not 0, the first of which is enough.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read.
    pub fn check_effect(&self) -> Result<()> {
        let path = &self.files.weights;
        let mut file = File::open(path).map_err(Error::io(path))?;
        let mut holds = |name: &str| -> Result<bool> {
            let Some(slot) = self.tensors.get(name) else {
                return Ok(false);
            };
            holds_numbers(&mut file, slot).map_err(Error::io(path))
        };
        for (weight, change) in &self.changes {
            let Change::Update {
                a,
                b,
                lengths: None,
                below: None,
                ..
            } = change
            else {
                return Ok(());
            };
            let module = weight.trim_end_matches(".weight");
            if self.settings.scale_of(module) != 0.0 && holds(b)? && holds(a)? {
                return Ok(());
            }
        }
        let refusal = Refusal::new(
            "changes no weight of the base: in every update one of the factors, or `lora_alpha`, is 0",
            "it was saved before it was trained, or without what was trained: save it again with `save_pretrained(FOLDER)` behind the training",
        );
        Err(Error::content(path, refusal))
    }
}

/// Whether a tensor holds anything but 0.
fn holds_numbers(file: &mut File, slot: &Slot) -> std::io::Result<bool> {
    let (mut at, end) = slot.bytes;
    file.seek(SeekFrom::Start(at))?;
    let mut chunk = vec![0_u8; CHUNK as usize];
    while at < end {
        let length = CHUNK.min(end - at) as usize;
        file.read_exact(&mut chunk[..length])?;
        // A sign alone is no number.
        if chunk[..length].iter().any(|byte| byte & 0x7f != 0) {
            return Ok(true);
        }
        at += length as u64;
    }
    Ok(false)
}
