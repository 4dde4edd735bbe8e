//! Writing safetensors: header first, then one tensor after the other.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use serde_json::json;

use crate::error::{Error, Result};
use crate::files;

/// What a tensor will look like in the file.
#[derive(Debug, Clone)]
pub(crate) struct TensorSpec {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
}

impl TensorSpec {
    /// The spec of a named tensor.
    pub(crate) fn of((name, tensor): &(String, Tensor)) -> Self {
        Self {
            name: name.clone(),
            dtype: tensor.dtype(),
            shape: tensor.dims().to_vec(),
        }
    }

    fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size_in_bytes()
    }
}

/// Writes a file of tensors that `tensor(i)` makes one at a time, in the order of the file: by size of the element type,
/// then by name, so that the same tensors are the same bytes. The file is complete and on disk on return.
pub(crate) fn write_tensors(
    path: &Path,
    specs: &[TensorSpec],
    mut tensor: impl FnMut(usize) -> Result<Tensor>,
) -> Result<()> {
    let mut order: Vec<usize> = (0..specs.len()).collect();
    // Wide elements first keeps every tensor aligned.
    order.sort_by(|&a, &b| {
        let key = |i: usize| {
            (
                std::cmp::Reverse(specs[i].dtype.size_in_bytes()),
                &specs[i].name,
            )
        };
        key(a).cmp(&key(b))
    });
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut offset = 0;
    for &i in &order {
        let spec = &specs[i];
        let end = offset + spec.bytes();
        header.insert(
            spec.name.clone(),
            json!({"dtype": dtype_name(spec.dtype)?, "shape": spec.shape, "data_offsets": [offset, end]}),
        );
        offset = end;
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');

    let io = |e| Error::io("write", path)(e);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(io)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&(header.len() as u64).to_le_bytes())
        .map_err(io)?;
    out.write_all(&header).map_err(io)?;
    for &i in &order {
        let tensor = tensor(i)?;
        debug_assert_eq!(tensor.dims(), specs[i].shape);
        write_elements(&tensor, &mut out).map_err(|e| match e {
            Elements::Io(e) => io(e),
            Elements::Tensor(e) => Error::Tensor(e),
        })?;
    }
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    files::sync(&file).map_err(io)
}

/// Writes `tensors` to a temporary name in the same folder and renames it: the file is either whole or absent.
pub(crate) fn write_atomically(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let specs: Vec<TensorSpec> = tensors.iter().map(TensorSpec::of).collect();
    files::replace(path, |temporary| {
        write_tensors(temporary, &specs, |i| Ok(tensors[i].1.clone()))
    })
}

/// Feeds a tensor's elements to a digest.
pub(crate) fn hash_elements(tensor: &Tensor, hasher: &mut blake3::Hasher) -> Result<()> {
    write_elements(tensor, hasher).map_err(|e| match e {
        Elements::Io(e) => Error::Guard(format!("hashing failed: {e}")),
        Elements::Tensor(e) => Error::Tensor(e),
    })
}

enum Elements {
    Io(std::io::Error),
    Tensor(candle_core::Error),
}

fn write_elements(tensor: &Tensor, out: &mut impl Write) -> std::result::Result<(), Elements> {
    let here = tensor.to_device(&Device::Cpu);
    let here = here.and_then(|tensor| tensor.contiguous());
    let here = here.map_err(Elements::Tensor)?;
    let (storage, layout) = here.storage_and_layout();
    let range = layout.start_offset()..layout.start_offset() + here.elem_count();
    macro_rules! write_as {
        ($values:ident) => {{
            // In pieces: converting the whole at once would hold it twice.
            let mut bytes = Vec::with_capacity(1 << 16);
            for piece in $values[range].chunks(1 << 13) {
                bytes.clear();
                for value in piece {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
                out.write_all(&bytes).map_err(Elements::Io)?;
            }
            Ok(())
        }};
    }
    match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => write_as!(values),
        Storage::Cpu(CpuStorage::F64(values)) => write_as!(values),
        Storage::Cpu(CpuStorage::F16(values)) => write_as!(values),
        Storage::Cpu(CpuStorage::BF16(values)) => write_as!(values),
        Storage::Cpu(CpuStorage::U32(values)) => write_as!(values),
        Storage::Cpu(CpuStorage::I64(values)) => write_as!(values),
        Storage::Cpu(CpuStorage::U8(values)) => write_as!(values),
        _ => Err(Elements::Tensor(candle_core::Error::Msg(format!(
            "tensors of type {:?} are not written",
            tensor.dtype()
        )))),
    }
}

fn dtype_name(dtype: DType) -> Result<&'static str> {
    Ok(match dtype {
        DType::F32 => "F32",
        DType::F64 => "F64",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::U32 => "U32",
        DType::I64 => "I64",
        DType::U8 => "U8",
        other => {
            return Err(Error::Unsupported(format!(
                "tensors of type {other:?} are not written"
            )));
        }
    })
}
