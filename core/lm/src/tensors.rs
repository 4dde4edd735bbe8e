//! Safetensors files, read tensor by tensor and written as a stream: memory stays bounded by the largest tensor.

mod shards;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candle_core::{DType, Device, Tensor, WithDType};
use half::bf16;
use safetensors::tensor::Metadata;

use crate::error::{Error, Result};

pub(crate) use shards::Shards;
pub(crate) use write::{TensorSpec, hash_elements, write_atomically, write_tensors};

/// Bytes of a tensor that are read at once: whole numbers of any type.
const AT_ONCE: usize = 1 << 20;

/// An open safetensors file.
pub(crate) struct TensorFile {
    path: PathBuf,
    file: Mutex<File>,
    data_start: u64,
    tensors: BTreeMap<String, TensorSlot>,
}

/// Where a tensor lies in a file.
#[derive(Debug, Clone)]
pub(crate) struct TensorSlot {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    /// Byte range after the header.
    range: (usize, usize),
}

impl TensorFile {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("read", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size)
            .map_err(|_| Error::file(path, "is not a safetensors file: too short"))?;
        let size = u64::from_le_bytes(size);
        if size > length.saturating_sub(8) {
            return Err(Error::file(path, "is truncated: the header is incomplete"));
        }
        let mut header = Vec::new();
        file.by_ref()
            .take(size)
            .read_to_end(&mut header)
            .map_err(Error::io("read", path))?;
        // The header alone: tensors are read one by one, so the file is never in memory as a whole.
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|e| Error::file(path, e))?;
        let data_start = size + 8;
        if data_start + metadata.data_len() as u64 != length {
            return Err(Error::file(path, "is truncated: tensor data is missing"));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file: Mutex::new(file),
            data_start,
            tensors: slots(path, &metadata)?,
        })
    }

    /// Tensors by name.
    pub(crate) fn tensors(&self) -> &BTreeMap<String, TensorSlot> {
        &self.tensors
    }

    /// The path it was opened with.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one tensor in its stored type.
    pub(crate) fn read(&self, name: &str, device: &Device) -> Result<Tensor> {
        match self.slot(name)?.dtype {
            DType::F32 => self.read_numbers(name, f32::from_le_bytes, device),
            DType::BF16 => self.read_numbers(name, bf16::from_le_bytes, device),
            dtype => {
                let bytes = self.piece(name, 0, usize::MAX)?;
                let shape = &self.tensors[name].shape;
                Ok(Tensor::from_raw_buffer(&bytes, dtype, shape, device)?)
            }
        }
    }

    /// Reads piece by piece, so that a large tensor is never in memory twice.
    fn read_numbers<T: WithDType, const BYTES: usize>(
        &self,
        name: &str,
        number: fn([u8; BYTES]) -> T,
        device: &Device,
    ) -> Result<Tensor> {
        let slot = self.slot(name)?;
        let (start, end) = slot.range;
        let mut numbers = Vec::with_capacity((end - start) / BYTES);
        for from in (0..end - start).step_by(AT_ONCE) {
            let piece = self.piece(name, from, AT_ONCE)?;
            numbers.extend(piece.as_chunks().0.iter().map(|bytes| number(*bytes)));
        }
        Ok(Tensor::from_vec(numbers, slot.shape.as_slice(), device)?)
    }

    /// Where a tensor lies.
    fn slot(&self, name: &str) -> Result<&TensorSlot> {
        self.tensors
            .get(name)
            .ok_or_else(|| Error::file(&self.path, format!("tensor `{name}` is missing")))
    }

    /// Appends the bytes of a tensor.
    fn append(&self, name: &str, to: &mut Vec<u8>) -> Result<()> {
        let (start, end) = self.slot(name)?.range;
        let before = to.len();
        to.resize(before + end - start, 0);
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| file.read_exact(&mut to[before..]))
            .map_err(Error::io("read", &self.path))
    }

    /// The bytes of a tensor from `from` on, at most `most`.
    fn piece(&self, name: &str, from: usize, most: usize) -> Result<Vec<u8>> {
        let slot = self.slot(name)?;
        let start = (slot.range.0 + from).min(slot.range.1);
        let mut bytes = vec![0; (slot.range.1 - start).min(most)];
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }
}

fn slots(path: &Path, metadata: &Metadata) -> Result<BTreeMap<String, TensorSlot>> {
    metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let dtype = DType::try_from(info.dtype)
                .map_err(|e| Error::file(path, format!("tensor `{name}`: {e}")))?;
            let slot = TensorSlot {
                dtype,
                shape: info.shape.clone(),
                range: info.data_offsets,
            };
            Ok((name, slot))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<(String, Tensor)> {
        let device = Device::Cpu;
        let floats = Tensor::new(&[[1f32, -2.5], [3.25, 0.0]], &device).unwrap();
        vec![
            ("b.half".into(), floats.to_dtype(DType::BF16).unwrap()),
            ("a.full".into(), floats.clone()),
            ("c.transposed".into(), floats.t().unwrap()),
            ("d.ids".into(), Tensor::new(&[7u32, 8], &device).unwrap()),
        ]
    }

    #[test]
    fn what_is_written_is_read_back_by_us_and_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        write_atomically(&path, &sample()).unwrap();
        let first = std::fs::read(&path).unwrap();
        let mut reversed = sample();
        reversed.reverse();
        write_atomically(&path, &reversed).unwrap();
        assert_eq!(
            first,
            std::fs::read(&path).unwrap(),
            "order does not matter"
        );

        let ours = TensorFile::open(&path).unwrap();
        let theirs = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        assert_eq!(theirs.len(), 4);
        for (name, tensor) in sample() {
            let read = ours.read(&name, &Device::Cpu).unwrap();
            assert_eq!(read.dtype(), tensor.dtype());
            for other in [&read, &theirs[&name]] {
                let difference = (other.to_dtype(DType::F32).unwrap()
                    - tensor.to_dtype(DType::F32).unwrap())
                .unwrap();
                let largest = difference.abs().unwrap().max_all().unwrap();
                assert_eq!(largest.to_scalar::<f32>().unwrap(), 0.0);
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        write_atomically(&path, &sample()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for keep in [0, 7, 40, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..keep]).unwrap();
            assert!(TensorFile::open(&path).is_err(), "{keep} bytes");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named() {
        let specs: Vec<TensorSpec> = sample().iter().map(TensorSpec::of).collect();
        let error = write_tensors(Path::new("/dev/full"), &specs, |i| {
            Ok(sample()[i].1.clone())
        })
        .unwrap_err();
        let error = driftgauge_problem::Problem::from(error).to_string();
        assert!(
            error.contains("/dev/full") && error.contains("free some space"),
            "{error}"
        );
    }
}
