//! The weight of a linear layer: whole, or frozen in fewer bits and made whole for each product.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;

use super::Traced;

/// Elements of one piece of a quantised weight in the processor's memory: made whole within the second-level cache.
const PIECE: usize = 1 << 16;

/// A matrix `[out, in]`. Clones share the memory.
#[derive(Debug, Clone)]
pub(crate) enum Weight {
    /// Every element as a number; frozen or a parameter.
    Plain(Traced),
    /// Frozen, in blocks of a few bits per element.
    Quantized(QuantizedWeight),
}

impl From<Traced> for Weight {
    fn from(weight: Traced) -> Self {
        Self::Plain(weight)
    }
}

impl Weight {
    /// `(out, in)`
    ///
    /// # Errors
    /// When it is no matrix.
    pub(crate) fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Self::Plain(weight) => weight.tensor().dims2(),
            Self::Quantized(weight) => Ok(weight.shape),
        }
    }

    /// Number of elements.
    pub(crate) fn elem_count(&self) -> usize {
        match self {
            Self::Plain(weight) => weight.tensor().elem_count(),
            Self::Quantized(weight) => weight.shape.0 * weight.shape.1,
        }
    }

    /// Memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Plain(weight) => {
                weight.tensor().elem_count() * weight.tensor().dtype().size_in_bytes()
            }
            Self::Quantized(weight) => weight.bytes(),
        }
    }

    /// Whether a gradient is wanted.
    pub(crate) fn requires_grad(&self) -> bool {
        matches!(self, Self::Plain(weight) if weight.requires_grad())
    }

    /// The parameter, where it is one.
    pub(super) fn parameter(&self) -> Option<&Traced> {
        match self {
            Self::Plain(weight) if weight.requires_grad() => Some(weight),
            _ => None,
        }
    }

    /// The weight for products in `dtype`. A parameter stays one; a quantised weight stays quantised, and one in `bf16` that the
    /// CPU multiplies with as it is.
    ///
    /// # Errors
    /// When the conversion does not exist on the device.
    pub(crate) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(match self {
            Self::Plain(weight) if is_read_whole(weight.tensor(), dtype) => self.clone(),
            Self::Plain(weight) => Self::Plain(weight.to_dtype(dtype)?),
            Self::Quantized(_) => self.clone(),
        })
    }

    /// The matrix as a product with numbers of `dtype` reads it; that of a quantised weight is new memory, to be dropped after the
    /// product.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub(super) fn factor(&self, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Plain(weight) if is_read_whole(weight.tensor(), dtype) => {
                Ok(weight.tensor().clone())
            }
            _ => self.matrix(dtype),
        }
    }

    /// The whole matrix in `dtype`; that of a quantised weight is new memory, to be dropped after the product.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub(super) fn matrix(&self, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Plain(weight) => weight.tensor().to_dtype(dtype),
            Self::Quantized(weight) => weight.dequantize()?.to_dtype(dtype),
        }
    }
}

/// Whether products in `dtype` read a matrix in `bf16` as it is, number by number exactly.
pub(crate) fn is_read_whole(matrix: &Tensor, dtype: DType) -> bool {
    matrix.device().is_cpu() && matrix.dtype() == DType::BF16 && dtype == DType::F32
}

/// A matrix of `f32` in `bf16`, where every number is one of those.
///
/// # Errors
/// When the tensor library fails.
pub(crate) fn halved(matrix: &Tensor) -> Result<Option<Tensor>> {
    if !super::cpu::applies(&[matrix]) {
        return Ok(None);
    }
    let matrix = matrix.contiguous()?;
    let exact = super::cpu::values(&matrix)?
        .par_chunks(PIECE)
        .all(|piece| piece.iter().all(|x| x.to_bits().trailing_zeros() >= 16));
    match exact {
        true => matrix.to_dtype(DType::BF16).map(Some),
        false => Ok(None),
    }
}

/// A matrix in the block formats of GGUF files: a few bits per element, with a scale per block of a row.
#[derive(Debug, Clone)]
pub(crate) struct QuantizedWeight {
    /// Consecutive rows. On a GPU all of them: its kernels are parallel within a piece.
    pieces: Arc<Vec<QTensor>>,
    shape: (usize, usize),
    device: Device,
}

impl QuantizedWeight {
    /// Rounds a matrix in the processor's memory and puts it on `device`.
    ///
    /// # Errors
    /// When the rows are no whole number of blocks.
    pub(crate) fn new(matrix: &Tensor, format: GgmlDType, device: &Device) -> Result<Self> {
        let shape = matrix.dims2()?;
        let (rows, columns) = shape;
        let block = format.block_size();
        if rows == 0 || !columns.is_multiple_of(block) {
            bail!("rows of {columns} elements are no whole number of blocks of {block}");
        }
        let at_once = match device {
            Device::Cpu => (PIECE / columns).clamp(1, rows),
            _ => rows,
        };
        let starts: Vec<usize> = (0..rows).step_by(at_once).collect();
        let pieces = starts
            .into_par_iter()
            .map(|start| {
                let piece = matrix.narrow(0, start, at_once.min(rows - start))?;
                // It quantises from the start of the memory, whatever part of it the tensor is.
                QTensor::quantize_onto(&piece.force_contiguous()?, format, device)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            pieces: Arc::new(pieces),
            shape,
            device: device.clone(),
        })
    }

    /// Takes over rows of blocks, in the processor's memory.
    ///
    /// # Errors
    /// When the bytes are no such matrix.
    pub(crate) fn of_blocks(
        bytes: &[u8],
        format: GgmlDType,
        shape: (usize, usize),
    ) -> Result<Self> {
        let (rows, columns) = shape;
        let block = format.block_size();
        let row = columns / block * format.type_size();
        if rows == 0 || !columns.is_multiple_of(block) || bytes.len() != rows * row {
            bail!(
                "{} bytes are no {rows} rows of {columns} elements",
                bytes.len()
            );
        }
        let at_once = (PIECE / columns).clamp(1, rows);
        let pieces = bytes.chunks(at_once * row).map(|piece| {
            let shape = (piece.len() / row, columns);
            let storage = QStorage::from_data(Cow::Borrowed(piece), &Device::Cpu, format)?;
            QTensor::new(storage, shape)
        });
        Ok(Self {
            pieces: Arc::new(pieces.collect::<Result<Vec<_>>>()?),
            shape,
            device: Device::Cpu,
        })
    }

    /// The rounded matrix in `f32`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub(crate) fn dequantize(&self) -> Result<Tensor> {
        let (rows, columns) = self.shape;
        if let [piece] = self.pieces.as_slice() {
            return piece.dequantize(&self.device);
        }
        let mut values = vec![0f32; rows * columns];
        let at_once = self.pieces[0].shape().elem_count();
        values
            .par_chunks_mut(at_once)
            .zip(self.pieces.as_slice())
            .try_for_each(|(values, piece)| {
                let piece = piece.dequantize(&Device::Cpu)?;
                values.copy_from_slice(&super::cpu::values(&piece)?);
                Ok::<(), candle_core::Error>(())
            })?;
        super::cpu::tensor(values, self.shape)
    }

    fn bytes(&self) -> usize {
        self.pieces.iter().map(QTensor::storage_size_in_bytes).sum()
    }

    /// The blocks as they lie in memory, piece by piece.
    ///
    /// # Errors
    /// When they cannot be brought from the device.
    pub(crate) fn for_each_piece(&self, mut see: impl FnMut(&[u8])) -> Result<()> {
        for piece in self.pieces.iter() {
            see(&piece.data()?);
        }
        Ok(())
    }
}
