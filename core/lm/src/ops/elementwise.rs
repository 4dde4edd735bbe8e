//! Sums of tensors and rows of matrices: a kernel on the CPU in `f32`, the tensor library elsewhere.

use candle_core::{Result, Tensor, bail};

use super::cpu;

/// `a + b` in new memory.
pub(super) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !cpu::applies(&[a, b]) || a.dims() != b.dims() {
        return a + b;
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let sum = cpu::elementwise::add(&cpu::values(&a)?, &cpu::values(&b)?);
    cpu::tensor(sum, a.shape().clone())
}

/// `a * b` in new memory.
pub(super) fn multiply(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !cpu::applies(&[a, b]) || a.dims() != b.dims() {
        return a * b;
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let product = cpu::elementwise::multiply(&cpu::values(&a)?, &cpu::values(&b)?);
    cpu::tensor(product, a.shape().clone())
}

/// `sum += term`, in the memory of `sum` where possible.
pub(crate) fn add_assign(sum: &mut Tensor, term: &Tensor) -> Result<()> {
    if !cpu::applies(&[sum, term]) || sum.dims() != term.dims() || !sum.is_contiguous() {
        *sum = (&*sum + term)?;
        return Ok(());
    }
    let term = term.contiguous()?;
    let term = cpu::values(&term)?;
    cpu::modify(sum, |sum| {
        cpu::elementwise::add_assign(sum, &term);
        Ok(())
    })
}

/// The rows `indices` (`u32 [k]`) of a matrix `[n, c]`.
pub(super) fn gather_rows(matrix: &Tensor, indices: &Tensor) -> Result<Tensor> {
    if !cpu::applies(&[matrix]) {
        return matrix.index_select(&indices.contiguous()?, 0);
    }
    let (n, width) = matrix.dims2()?;
    let indices = checked(indices, n)?;
    let matrix = matrix.contiguous()?;
    let rows = cpu::elementwise::gather(&cpu::values(&matrix)?, width, &indices);
    cpu::tensor(rows, (indices.len(), width))
}

/// A matrix of `n` rows that are the sums of those `rows` whose index names them.
pub(super) fn scatter_rows(rows: &Tensor, indices: &Tensor, n: usize) -> Result<Tensor> {
    let width = rows.dim(1)?;
    if !cpu::applies(&[rows]) {
        let zeros = Tensor::zeros((n, width), rows.dtype(), rows.device())?;
        return zeros.index_add(&indices.contiguous()?, rows, 0);
    }
    let indices = checked(indices, n)?;
    let rows = rows.contiguous()?;
    let mut sum = vec![0.0; n * width];
    cpu::elementwise::scatter_add(&mut sum, width, &indices, &cpu::values(&rows)?);
    cpu::tensor(sum, (n, width))
}

/// The indices, all of them below `n`.
pub(super) fn checked(indices: &Tensor, n: usize) -> Result<Vec<u32>> {
    let indices = indices.flatten_all()?.to_vec1::<u32>()?;
    match indices.iter().find(|&&index| index as usize >= n) {
        Some(index) => bail!("index {index} of {n} rows"),
        None => Ok(indices),
    }
}
