//! Normalisation, rotation, gates and embeddings: what works row by row.

use candle_core::{DType, Device, Tensor};

use super::super::{Pairs, Traced, embedding, geglu, rms_norm, rope, swiglu};
use super::{check, inputs, list};

#[test]
fn rms_norm_of_rows_and_heads() {
    check("rms_norm", &[&[37, 48], &[48]], &|x| {
        rms_norm(&x[0], &x[1], 1e-5)
    });
    check("rms_norm per head", &[&[2, 5, 3, 20], &[20]], &|x| {
        rms_norm(&x[0], &x[1], 1e-6)
    });
}

#[test]
fn rope_with_and_without_positions_of_its_own() {
    // All of a head's numbers, and some.
    for rows in [&[7usize, 5] as &[usize], &[2, 7, 5], &[7, 3]] {
        for pairs in [Pairs::Halves, Pairs::Neighbours] {
            check("rope", &[&[2, 7, 3, 10]], &|x| {
                let dtype = x[0].tensor().dtype();
                let angles = inputs(&[rows], DType::F32).remove(0);
                let (cos, sin) = (
                    angles.cos()?.to_dtype(dtype)?,
                    angles.sin()?.to_dtype(dtype)?,
                );
                rope(&x[0], &cos, &sin, pairs)
            });
        }
    }
}

#[test]
fn swiglu_is_silu_times_up() {
    check("swiglu", &[&[9, 50], &[9, 50]], &|x| swiglu(&x[0], &x[1]));
    let extreme = Tensor::new(&[-200f32, 200.0, 0.0], &Device::Cpu).unwrap();
    let one = Traced::constant(extreme.ones_like().unwrap());
    let y = list(swiglu(&extreme.into(), &one).unwrap().tensor());
    assert!(y[0].abs() < 1e-30);
    assert_eq!(y[1..], [200.0, 0.0]);
}

#[test]
fn geglu_and_some_columns() {
    check("geglu", &[&[9, 14], &[9, 14]], &|x| geglu(&x[0], &x[1]));
    check("columns", &[&[9, 14]], &|x| x[0].columns(3, 6));
}

#[test]
fn embedding_sums_the_gradients_of_a_repeated_id() {
    let ids = Tensor::new(&[[3u32, 0, 3], [1, 3, 0]], &Device::Cpu).unwrap();
    check("embedding", &[&[5, 6]], &|x| embedding(&ids, &x[0]));
    let table = Traced::constant(Tensor::zeros((3, 6), DType::F32, &Device::Cpu).unwrap());
    assert!(embedding(&ids, &table).is_err());
}
