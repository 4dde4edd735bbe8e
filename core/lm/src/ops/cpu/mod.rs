//! Kernels on `f32` slices in memory: each one fused, parallel and with its own backward pass.
//!
//! Work is cut into pieces of a fixed size, and every sum is taken in a fixed order within and over the pieces: the
//! number of threads changes nothing in the results.

pub(super) mod adamw;
pub(super) mod attention;
pub(super) mod cross_entropy;
pub(super) mod dense;
pub(super) mod elementwise;
pub(super) mod math;
pub(super) mod panel;
pub(super) mod product;
pub(super) mod rms_norm;
pub(super) mod rope;
pub(super) mod swiglu;
mod transpose;

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::RwLockReadGuard;

use candle_core::{
    CpuStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor, bail,
};
use half::bf16;
use rayon::prelude::*;

/// Elements of one parallel piece of work: small enough for the second-level cache, large enough to hide a task's cost.
pub(super) const PIECE: usize = 1 << 14;

/// Whether the kernels of this module apply.
pub(super) fn applies(tensors: &[&Tensor]) -> bool {
    tensors
        .iter()
        .all(|tensor| tensor.device().is_cpu() && tensor.dtype() == DType::F32)
}

/// The elements of a contiguous `f32` tensor, locked against change.
pub(crate) struct Values<'a> {
    storage: RwLockReadGuard<'a, Storage>,
    range: (usize, usize),
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.0..self.range.1],
            _ => &[],
        }
    }
}

/// The elements of a contiguous `f32` tensor on the CPU.
pub(crate) fn values(tensor: &Tensor) -> Result<Values<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some(range) = layout.contiguous_offsets() else {
        bail!("a kernel needs contiguous elements");
    };
    let Storage::Cpu(CpuStorage::F32(_)) = &*storage else {
        bail!("a kernel needs `f32` values on the CPU");
    };
    Ok(Values { storage, range })
}

/// The elements of a contiguous tensor of `bf16`, locked against change.
pub(super) struct Halves<'a>(Values<'a>);

impl Deref for Halves<'_> {
    type Target = [bf16];

    fn deref(&self) -> &[bf16] {
        let (start, end) = self.0.range;
        match &*self.0.storage {
            Storage::Cpu(CpuStorage::BF16(halves)) => &halves[start..end],
            _ => &[],
        }
    }
}

/// The elements of a contiguous tensor of `bf16` on the CPU.
pub(super) fn halves(tensor: &Tensor) -> Result<Halves<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some(range) = layout.contiguous_offsets() else {
        bail!("a kernel needs contiguous elements");
    };
    let Storage::Cpu(CpuStorage::BF16(_)) = &*storage else {
        bail!("a kernel needs `bf16` values on the CPU");
    };
    Ok(Halves(Values { storage, range }))
}

/// A tensor that takes over `values`.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// Gives `change` the elements of a contiguous `f32` tensor on the CPU, to be changed in place.
pub(super) fn modify(tensor: &Tensor, change: impl FnMut(&mut [f32]) -> Result<()>) -> Result<()> {
    tensor.inplace_op1(&Modify(RefCell::new(change)))
}

struct Modify<F>(RefCell<F>);

impl<F: FnMut(&mut [f32]) -> Result<()>> InplaceOp1 for Modify<F> {
    fn name(&self) -> &'static str {
        "modify"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            bail!("a kernel needs contiguous `f32` elements");
        };
        (self.0.borrow_mut())(&mut values[start..end])
    }
}

/// `n` zeros in new memory, written by all threads: of a large result this is a good part of the work.
pub(super) fn zeros(n: usize) -> Vec<f32> {
    const BLOCK: usize = 64;
    if n < 4 * PIECE {
        return vec![0.0; n];
    }
    let blocks = (0..n.div_ceil(BLOCK)).into_par_iter();
    let blocks: Vec<[f32; BLOCK]> = blocks
        .with_min_len(PIECE / BLOCK)
        .map(|_| [0.0; BLOCK])
        .collect();
    let mut zeros = blocks.into_flattened();
    zeros.truncate(n);
    zeros
}

/// Runs `kernel` compiled for the widest vectors this processor has.
#[inline(always)]
pub(crate) fn simd<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}

/// Runs a kernel that names the vector operations itself.
#[inline(always)]
pub(crate) fn vectorized<K: pulp::WithSimd>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(kernel)
}

/// Rows of `width` elements in one piece of work.
pub(crate) fn rows_per_piece(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}
