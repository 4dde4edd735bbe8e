//! Headers of safetensors files: which tensors a file holds, and whether it tells the truth.
//!
//! mistral.rs maps the files into memory and panics, or reads past the end, when a header promises more than the file
//! holds. So the headers are read here first, which costs nothing beside loading.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Refusal, Result};

/// Longest header that a safetensors file may have, as in the format's reference implementation.
const LONGEST_HEADER: u64 = 100_000_000;

/// Where a tensor lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Number type, as the format names it: `F32`, `BF16`, ...
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its bytes, from the start of the file.
    pub(crate) bytes: (u64, u64),
}

/// What a header says of one tensor.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// A file's tensors by name, once its header agrees with itself and with the length of the file.
///
/// # Errors
/// When the file cannot be read, is truncated, or lies about its contents.
pub(crate) fn tensors_of(path: &Path) -> Result<BTreeMap<String, Slot>> {
    let broken = |why: String| {
        let refusal = Refusal::new(
            format!("is no sound safetensors file: {why}"),
            "copy or download it again",
        );
        Error::content(path, refusal)
    };
    let (header, data) = read_header(path).map_err(broken)?;
    let parsed: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header)
        .map_err(|e| broken(format!("its header is no JSON object ({e})")))?;
    let start = 8 + header.len() as u64;
    let mut tensors = BTreeMap::new();
    let mut end = 0;
    for (name, value) in parsed {
        if name == "__metadata__" {
            continue;
        }
        let entry: Entry = serde_json::from_value(value)
            .map_err(|e| broken(format!("the entry of tensor `{name}` is malformed ({e})")))?;
        check_extent(&entry, data).map_err(|why| broken(format!("tensor `{name}` {why}")))?;
        end = end.max(entry.data_offsets.1);
        let slot = Slot {
            dtype: entry.dtype,
            shape: entry.shape,
            bytes: (start + entry.data_offsets.0, start + entry.data_offsets.1),
        };
        tensors.insert(name, slot);
    }
    if end != data {
        return Err(broken(format!(
            "its header describes {end} bytes of tensors, and the file holds {data}"
        )));
    }
    Ok(tensors)
}

/// Types of the numbers that weights are read in.
const WEIGHTS: [&str; 3] = ["BF16", "F16", "F32"];

/// Whether every tensor of a file holds numbers that are read as weights.
///
/// # Errors
/// With the first that holds others.
pub(crate) fn check_types(path: &Path, tensors: &BTreeMap<String, Slot>) -> Result<()> {
    let other = |(_, slot): &(&String, &Slot)| !WEIGHTS.contains(&slot.dtype.as_str());
    match tensors.iter().find(other) {
        None => Ok(()),
        Some((name, slot)) => Err(Error::content(
            path,
            Refusal::new(
                format!(
                    "tensor `{name}` is stored as {}, and weights are read in {}",
                    slot.dtype,
                    WEIGHTS.join(", ")
                ),
                "save it again in one of them, with `model.float().save_pretrained(FOLDER)` in F32",
            ),
        )),
    }
}

/// The header's bytes, and how many bytes of tensors follow it.
fn read_header(path: &Path) -> std::result::Result<(Vec<u8>, u64), String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut size = [0_u8; 8];
    file.read_exact(&mut size)
        .map_err(|_| format!("it has only {length} bytes"))?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER || size > length - 8 {
        return Err(format!(
            "it claims a header of {size} bytes in a file of {length}"
        ));
    }
    let mut header = vec![0_u8; size as usize];
    file.read_exact(&mut header).map_err(|e| e.to_string())?;
    Ok((header, length - 8 - size))
}

fn check_extent(entry: &Entry, data: u64) -> std::result::Result<(), String> {
    let (begin, end) = entry.data_offsets;
    if end > data {
        return Err(format!(
            "ends at byte {end} of {data}: the file is truncated"
        ));
    }
    let Some(bits) = bits_of(&entry.dtype) else {
        return Err(format!("has the unknown type `{}`", entry.dtype));
    };
    let bytes = entry
        .shape
        .iter()
        .try_fold(bits, |n, &d| n.checked_mul(d))
        .map(|bits| bits.div_ceil(8));
    if end.checked_sub(begin) != bytes || bytes.is_none() {
        return Err(format!(
            "has shape {:?} of {} and the byte range {begin}..{end}, which do not agree",
            entry.shape, entry.dtype
        ));
    }
    Ok(())
}

fn bits_of(dtype: &str) -> Option<u64> {
    match dtype {
        "F4" | "U4" | "I4" => Some(4),
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => Some(8),
        "I16" | "U16" | "F16" | "BF16" => Some(16),
        "I32" | "U32" | "F32" => Some(32),
        "I64" | "U64" | "F64" => Some(64),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file with the given header and that many bytes of data, all of them `fill`.
    pub(crate) fn write(
        folder: &Path,
        name: &str,
        header: &str,
        (data, fill): (usize, u8),
    ) -> PathBuf {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend(std::iter::repeat_n(fill, data));
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    const TWO: &str = r#"{"__metadata__":{"format":"pt"},
        "model.embed_tokens.weight":{"dtype":"F32","shape":[5,2],"data_offsets":[0,40]},
        "b":{"dtype":"BF16","shape":[3],"data_offsets":[40,46]}}"#;

    #[test]
    fn truncated_and_lying_files_are_named_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            (TWO.to_owned(), 20, "is truncated"),
            (
                TWO.to_owned(),
                60,
                "describes 46 bytes of tensors, and the file holds 60",
            ),
            (TWO.replace("[5,2]", "[5,3]"), 46, "do not agree"),
            (
                TWO.replace("[5,2]", "[5,18446744073709551615]"),
                46,
                "do not agree",
            ),
            (TWO.replace("BF16", "Q99"), 46, "unknown type `Q99`"),
            ("[1]".to_owned(), 0, "no JSON object"),
        ];
        let error = |path: &Path| tensors_of(path).unwrap_err().to_string();
        for (header, data, reason) in cases {
            let path = write(dir.path(), "model.safetensors", &header, (data, 0));
            let e = error(&path);
            assert!(e.contains(reason) && e.contains("model.safetensors"), "{e}");
        }
        let path = write(dir.path(), "model.safetensors", TWO, (46, 0));
        let tensors = tensors_of(&path).unwrap();
        assert_eq!(tensors["b"].shape, [3]);
        assert_eq!(tensors.len(), 2);
        std::fs::write(&path, [255; 20]).unwrap();
        assert!(error(&path).contains("claims a header"));
        std::fs::write(&path, [1; 3]).unwrap();
        assert!(error(&path).contains("only 3 bytes"));
    }
}
