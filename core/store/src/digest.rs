//! Identity: BLAKE3 over bytes, never over names, paths, clocks or thread counts.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A BLAKE3 digest, shown as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// Digest of a file's bytes, read in bounded memory.
    ///
    /// # Errors
    /// When the file cannot be read, or is none: a device or a pipe may have no end, and cannot be read twice.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(io::Error::other("it is a device or a pipe, and no file"));
        }
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(path)?;
        // Most files of a store are small, and clearing a large buffer takes longer than reading one.
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let mut buffer = vec![0; length.saturating_add(1).min(1 << 20)];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(Self(hasher.finalize().to_hex().to_string()));
            }
            hasher.update(&buffer[..read]);
        }
    }

    /// Takes a digest written as 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then(|| Self(text.to_ascii_lowercase()))
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(12)]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// Key of a node: BLAKE3 over the domain, the node's kind, the version of that kind's behaviour, the canonical JSON of
/// its parameters and the keys of its inputs, each with its length before it.
#[must_use]
pub fn node_key(kind: &str, version: u32, params: &Value, inputs: &[Digest]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    field(b"driftgauge.node.v1");
    field(kind.as_bytes());
    field(&version.to_le_bytes());
    field(canonical_json(params).as_bytes());
    field(&(inputs.len() as u64).to_le_bytes());
    for input in inputs {
        field(input.as_str().as_bytes());
    }
    Digest(hasher.finalize().to_hex().to_string())
}

/// JSON with sorted keys, no white space, and whole numbers written without a fraction (RFC 8785 in spirit), so that
/// equal values have equal text.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                // Truncation cannot happen: the value is whole and within the exact range of f64.
                #[expect(clippy::cast_possible_truncation)]
                let whole = float as i64;
                out.push_str(&whole.to_string());
            }
            _ => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_json_ignores_key_order_and_number_spelling() {
        let left: Value = serde_json::from_str(r#"{"b": 1.0, "a": [1e-4, "x\n"]}"#).unwrap();
        let right: Value = serde_json::from_str(r#"{"a":[0.0001,"x\n"],"b":1}"#).unwrap();
        assert_eq!(canonical_json(&left), r#"{"a":[0.0001,"x\n"],"b":1}"#);
        assert_eq!(canonical_json(&left), canonical_json(&right));
    }

    #[test]
    fn every_part_of_a_node_is_in_its_key() {
        let input = Digest::of(b"weights");
        let key = node_key(
            "generate",
            1,
            &json!({"t": 0}),
            std::slice::from_ref(&input),
        );
        assert_eq!(
            key,
            node_key(
                "generate",
                1,
                &json!({"t": 0.0}),
                std::slice::from_ref(&input)
            )
        );
        for other in [
            node_key("judge", 1, &json!({"t": 0}), std::slice::from_ref(&input)),
            node_key(
                "generate",
                2,
                &json!({"t": 0}),
                std::slice::from_ref(&input),
            ),
            node_key(
                "generate",
                1,
                &json!({"t": 1}),
                std::slice::from_ref(&input),
            ),
            node_key("generate", 1, &json!({"t": 0}), &[]),
            node_key("generate", 1, &json!({"t": 0}), &[Digest::of(b"other")]),
        ] {
            assert_ne!(key, other);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_no_file() {
        let said = Digest::of_file(Path::new("/dev/zero")).unwrap_err();
        assert!(said.to_string().contains("no file"), "{said}");
    }
}
