//! A product with a weight that is not trained.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result, Shape, Storage, Tensor, bail,
};

/// `x w^T + bias` for rows `x [n, in]` and a frozen `w [out, in]`: candle's own product would compute a gradient for the
/// weight too, and keep it.
///
/// # Errors
/// When the shapes do not fit.
pub fn frozen_linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let op = FrozenProduct(w.detach());
    let y = x.contiguous()?.apply_op1(op)?;
    match bias {
        Some(bias) => y.broadcast_add(&bias.detach()),
        None => Ok(y),
    }
}

/// The weight, `[out, in]`.
struct FrozenProduct(Tensor);

impl FrozenProduct {
    /// `x w^T` on any backend whose storage `pick` finds in the weight's.
    fn product<S: BackendStorage>(
        &self,
        x: &S,
        layout: &Layout,
        pick: impl Fn(&Storage) -> Option<&S>,
    ) -> Result<(S, Shape)> {
        let (n, width) = layout.shape().dims2()?;
        let (out, expected) = self.0.dims2()?;
        if width != expected {
            bail!("product of rows of {width} with a weight [{out}, {expected}]");
        }
        let (storage, w_layout) = self.0.storage_and_layout();
        let Some(w) = pick(&storage) else {
            bail!("the weight is on another device than the input");
        };
        let y = x.matmul(w, (1, n, out, width), layout, &w_layout.transpose(0, 1)?)?;
        Ok((y, Shape::from((n, out))))
    }
}

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen-product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.product(x, layout, |storage| match storage {
            Storage::Cpu(w) => Some(w),
            _ => None,
        })
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        self.product(x, layout, |storage| match storage {
            Storage::Cuda(w) => Some(w),
            _ => None,
        })
    }

    fn metal_fwd(&self, x: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        self.product(x, layout, |storage| match storage {
            Storage::Metal(w) => Some(w),
            _ => None,
        })
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gradient.contiguous()?.matmul(&self.0)?))
    }
}
