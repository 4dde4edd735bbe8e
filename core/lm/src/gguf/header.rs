//! The header of a GGUF file, versions 2 and 3: keys with their values, tensors with their places.

use driftgauge_problem::Problem;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// A value of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A whole number, with its type in the file.
    Whole(i128, Kind),
    /// A number with a fraction.
    Real(f64, Kind),
    /// True or false.
    Flag(bool),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
}

/// Types of numbers in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Value {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn whole(&self) -> Option<i128> {
        match self {
            Self::Whole(number, _) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn real(&self) -> Option<f64> {
        match self {
            Self::Real(number, _) => Some(*number),
            Self::Whole(number, _) => Some(*number as f64),
            _ => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(number, _) => write!(f, "{number}"),
            Self::Real(number, _) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => write!(f, "{text}"),
            Self::List(list) => write!(f, "a list of {}", list.len()),
        }
    }
}

/// A tensor's place and shape.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// The dimension that changes fastest first.
    pub(super) shape: Vec<u64>,
    pub(super) kind: u32,
    /// Position in the file.
    pub(super) start: u64,
}

impl Tensor {
    /// Name of the format it is stored in.
    pub(super) fn format(&self) -> &'static str {
        self.stored().map_or("unknown", |format| format.1)
    }

    /// Bytes that it takes; `None` where that is impossibly many, or not known.
    pub(super) fn bytes(&self) -> Option<u64> {
        let (_, _, per_block, bytes) = self.stored()?;
        let mut sizes = self.shape.iter();
        let count = sizes.try_fold(1_u64, |count, &size| count.checked_mul(size))?;
        (count / per_block).checked_mul(*bytes)
    }

    fn stored(&self) -> Option<&'static (u32, &'static str, u64, u64)> {
        STORED.iter().find(|format| format.0 == self.kind)
    }
}

/// The header of a file.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: BTreeMap<String, Tensor>,
}

/// Formats of stored numbers that candle reads: id, name, numbers per block, bytes per block.
const STORED: [(u32, &str, u64, u64); 14] = [
    (0, "F32", 1, 4),
    (1, "F16", 1, 2),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (15, "Q8_K", 256, 292),
    (30, "BF16", 1, 2),
];

/// Formats that it does not read, or does not multiply with.
const OTHERS: [(u32, &str); 18] = [
    (9, "Q8_1"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

impl Header {
    /// Reads and checks the header.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let mut reader = Reader {
            inner: BufReader::with_capacity(1 << 20, file),
            position: 0,
            length,
        };
        parse(&mut reader).map_err(|failure| match failure {
            Failure::Io(error) => Error::io("read", path)(error),
            Failure::Broken(why) => Error::file(path, format!("no sound GGUF file: {why}"))
                .hint("copy or download it again"),
            Failure::Unread(why) => Error::file(path, why.message).maybe_hint(why.help),
        })
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key)?.text()
    }

    pub(super) fn whole(&self, key: &str) -> Option<i128> {
        self.metadata.get(key)?.whole()
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&[Value]> {
        match self.metadata.get(key)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

enum Failure {
    Io(std::io::Error),
    Broken(String),
    /// Sound, but of a kind that is not read here.
    Unread(Problem),
}

type Parsed<T> = std::result::Result<T, Failure>;

fn broken<T>(why: impl Into<String>) -> Parsed<T> {
    Err(Failure::Broken(why.into()))
}

struct Reader {
    inner: BufReader<File>,
    position: u64,
    length: u64,
}

impl Reader {
    fn bytes(&mut self, count: u64) -> Parsed<Vec<u8>> {
        if count > self.length - self.position {
            return broken(format!(
                "its header ends at byte {} of {}",
                self.position.saturating_add(count),
                self.length
            ));
        }
        let Ok(size) = usize::try_from(count) else {
            return broken("its header is too large");
        };
        let mut buffer = vec![0; size];
        self.inner.read_exact(&mut buffer).map_err(Failure::Io)?;
        self.position += count;
        Ok(buffer)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let bytes = self.bytes(N as u64)?;
        bytes
            .try_into()
            .map_err(|_| Failure::Broken("its header is cut off".to_owned()))
    }

    fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Parsed<String> {
        let length = self.u64()?;
        let bytes = self.bytes(length)?;
        // Descriptions may hold anything; what tokens are made of is looked at where it matters.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn value(&mut self, kind: u32, depth: u32) -> Parsed<Value> {
        Ok(match kind {
            0 => Value::Whole(self.array::<1>()?[0].into(), Kind::U8),
            1 => Value::Whole(i8::from_le_bytes(self.array()?).into(), Kind::I8),
            2 => Value::Whole(u16::from_le_bytes(self.array()?).into(), Kind::U16),
            3 => Value::Whole(i16::from_le_bytes(self.array()?).into(), Kind::I16),
            4 => Value::Whole(self.u32()?.into(), Kind::U32),
            5 => Value::Whole(i32::from_le_bytes(self.array()?).into(), Kind::I32),
            6 => Value::Real(f32::from_le_bytes(self.array()?).into(), Kind::F32),
            7 => Value::Flag(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 if depth < 3 => {
                let kind = self.u32()?;
                let count = self.u64()?;
                if count > self.length - self.position {
                    return broken("a list in its header is longer than the file");
                }
                let mut list = Vec::new();
                for _ in 0..count {
                    list.push(self.value(kind, depth + 1)?);
                }
                Value::List(list)
            }
            10 => Value::Whole(self.u64()?.into(), Kind::U64),
            11 => Value::Whole(i64::from_le_bytes(self.array()?).into(), Kind::I64),
            12 => Value::Real(f64::from_le_bytes(self.array()?), Kind::F64),
            other => {
                return broken(format!(
                    "a value in its header has the unknown type {other}"
                ));
            }
        })
    }
}

fn parse(reader: &mut Reader) -> Parsed<Header> {
    if &reader.array::<4>()? != b"GGUF" {
        return broken("it does not begin with `GGUF`");
    }
    match reader.u32()? {
        2 | 3 => {}
        version if version.swap_bytes() < 100 && version > 100 => {
            return Err(Failure::Unread(
                Problem::failed("the file is written for big-endian machines")
                    .help("convert it again with `--bigendian` left out"),
            ));
        }
        version => {
            return Err(Failure::Unread(
                Problem::failed(format!("GGUF version {version} is not read, 2 and 3 are"))
                    .help("convert the model again"),
            ));
        }
    }
    let (tensor_count, key_count) = (reader.u64()?, reader.u64()?);
    let mut metadata = BTreeMap::new();
    for _ in 0..key_count {
        let key = reader.text()?;
        let kind = reader.u32()?;
        let value = reader.value(kind, 0)?;
        if metadata.insert(key.clone(), value).is_some() {
            return broken(format!("the key `{key}` stands twice in its header"));
        }
    }
    let mut tensors = BTreeMap::new();
    for _ in 0..tensor_count {
        let name = reader.text()?;
        let dimensions = reader.u32()?;
        if dimensions > 8 {
            return broken(format!("tensor `{name}` has {dimensions} dimensions"));
        }
        let shape = (0..dimensions)
            .map(|_| reader.u64())
            .collect::<Parsed<Vec<_>>>()?;
        let kind = reader.u32()?;
        let start = reader.u64()?;
        let tensor = Tensor { shape, kind, start };
        if tensors.insert(name.clone(), tensor).is_some() {
            return broken(format!("the tensor `{name}` stands twice"));
        }
    }
    let alignment = match metadata.get("general.alignment").and_then(Value::whole) {
        None => 32,
        Some(alignment) => match u64::try_from(alignment) {
            Ok(alignment) if alignment.is_power_of_two() => alignment,
            _ => return broken(format!("`general.alignment` is {alignment}")),
        },
    };
    let data = reader.position.next_multiple_of(alignment);
    for (name, tensor) in &mut tensors {
        if !tensor.start.is_multiple_of(alignment) {
            return broken(format!(
                "tensor `{name}` begins at byte {} of the data, which is no multiple of the alignment {alignment}",
                tensor.start
            ));
        }
        tensor.start = tensor.start.saturating_add(data);
        let end = tensor.start.saturating_add(size_of(name, tensor)?);
        if end > reader.length {
            return broken(format!(
                "tensor `{name}` ends at byte {end} of {}: the file is truncated",
                reader.length
            ));
        }
    }
    check_apart(&tensors)?;
    Ok(Header { metadata, tensors })
}

/// No two tensors share a byte: one of them would be read with the numbers of the other.
fn check_apart(tensors: &BTreeMap<String, Tensor>) -> Parsed<()> {
    let mut by_place: Vec<(&String, &Tensor)> = tensors.iter().collect();
    by_place.sort_by_key(|(_, tensor)| tensor.start);
    for pair in by_place.windows(2) {
        let [(name, tensor), (next, after)] = pair else {
            continue;
        };
        let end = tensor.start.saturating_add(tensor.bytes().unwrap_or(0));
        if after.start < end {
            return broken(format!(
                "the tensors `{name}` and `{next}` overlap: one ends at byte {end}, and the other begins at byte {}",
                after.start
            ));
        }
    }
    Ok(())
}

/// Bytes of a tensor.
fn size_of(name: &str, tensor: &Tensor) -> Parsed<u64> {
    let Some((_, format, per_block, _)) = tensor.stored() else {
        let other = OTHERS.iter().find(|format| format.0 == tensor.kind);
        let format = other.map_or_else(
            || format!("number {}", tensor.kind),
            |format| format!("`{}`", format.1),
        );
        let problem = Problem::failed(format!(
            "tensor `{name}` is stored in the format {format}, which mistral.rs 0.8.1 does not read"
        ));
        return Err(Failure::Unread(problem.help(
            "take a file in Q4_K_M, Q5_K_M, Q6_K, Q8_0, F16 or F32, or serve this one with llama.cpp and use an `endpoint` source",
        )));
    };
    let row = tensor.shape.first().copied().unwrap_or(1);
    if row % per_block != 0 {
        return broken(format!(
            "rows of tensor `{name}` have {row} numbers, and {format} stores {per_block} at a time"
        ));
    }
    match tensor.bytes() {
        Some(size) => Ok(size),
        None => broken(format!("tensor `{name}` is impossibly large")),
    }
}
