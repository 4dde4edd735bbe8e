//! Whether an adapter changes anything: one that was saved before it was trained, or whose trained parts were not saved, is merged
//! into the very base, and every comparison finds that nothing happened. One whose training broke down holds no numbers any more.

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

    /// Looks for a value that is infinite or no number.
    ///
    /// # Errors
    /// Naming the first tensor that has one, or when the file cannot be read.
    pub fn check_numbers(&self) -> Result<()> {
        let path = &self.files.weights;
        let mut file = File::open(path).map_err(Error::io(path))?;
        for (name, slot) in &self.tensors {
            if all_finite(&mut file, slot).map_err(Error::io(path))? {
                continue;
            }
            let refusal = Refusal::new(
                format!("tensor `{name}` holds a value that is infinite or no number"),
                "its training broke down: train it again with a lower learning rate, or take a checkpoint from before that",
            );
            return Err(Error::content(path, refusal));
        }
        Ok(())
    }
}

/// The bits of a number's exponent, all of which are set where it is infinite or none, at the end of its bytes.
fn exponent(dtype: &str) -> (usize, [u8; 2]) {
    match dtype {
        "F16" => (2, [0x00, 0x7c]),
        "BF16" => (2, [0x80, 0x7f]),
        _ => (4, [0x80, 0x7f]),
    }
}

/// Whether every value of a tensor is a number.
fn all_finite(file: &mut File, slot: &Slot) -> std::io::Result<bool> {
    let (width, [low, high]) = exponent(&slot.dtype);
    let none = |value: &[u8]| value[width - 2] & low == low && value[width - 1] & high == high;
    chunks(file, slot, |chunk| !chunk.chunks_exact(width).any(none))
}

/// Whether a tensor holds anything but 0.
fn holds_numbers(file: &mut File, slot: &Slot) -> std::io::Result<bool> {
    // A sign alone is no number.
    let zeros = chunks(file, slot, |chunk| {
        !chunk.iter().any(|byte| byte & 0x7f != 0)
    })?;
    Ok(!zeros)
}

/// Whether something is so of every part of a tensor's bytes, each of whole values.
fn chunks(file: &mut File, slot: &Slot, holds: impl Fn(&[u8]) -> bool) -> std::io::Result<bool> {
    let (mut at, end) = slot.bytes;
    file.seek(SeekFrom::Start(at))?;
    let mut chunk = vec![0_u8; CHUNK as usize];
    while at < end {
        let length = CHUNK.min(end - at) as usize;
        file.read_exact(&mut chunk[..length])?;
        if !holds(&chunk[..length]) {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbers_unless_their_exponent_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values");
        let finite = |dtype: &str, values: &[&[u8]]| {
            let bytes = values.concat();
            std::fs::write(&path, &bytes).unwrap();
            let slot = Slot {
                dtype: dtype.to_owned(),
                shape: vec![values.len() as u64],
                bytes: (0, bytes.len() as u64),
            };
            all_finite(&mut File::open(&path).unwrap(), &slot).unwrap()
        };
        let single = |value: f32| finite("F32", &[&[0; 4], &value.to_le_bytes()]);
        assert!(single(f32::MAX) && single(f32::MIN) && single(f32::MIN_POSITIVE));
        assert!(!single(f32::NAN) && !single(f32::INFINITY) && !single(f32::NEG_INFINITY));
        let half = |dtype: &str, bits: u16| finite(dtype, &[&[0; 2], &bits.to_le_bytes()]);
        assert!(half("F16", 0x7bff) && half("F16", 0xfbff) && half("BF16", 0xff7f));
        assert!(!half("F16", 0x7c00) && !half("F16", 0xfe00) && !half("BF16", 0x7f80));
    }
}
