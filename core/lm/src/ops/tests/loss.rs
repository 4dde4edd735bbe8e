//! The loss.

use candle_core::{DType, Device, Tensor};

use super::super::{Traced, linear_cross_entropy};
use super::check;

#[test]
fn cross_entropy_of_several_pieces() {
    let targets: Vec<u32> = (0..30).map(|i| i * 7 % 50).collect();
    let targets = Tensor::new(targets, &Device::Cpu).unwrap();
    for cap in [None, Some(1.5)] {
        check("cross-entropy", &[&[30, 12], &[50, 12]], &|x| {
            linear_cross_entropy(&x[0], &x[1], &targets, cap)
        });
    }
    // ln(v) where every logit is the same; and a piece boundary within the rows.
    let (n, vocabulary) = (40, 150_000);
    let x = Traced::parameter(Tensor::zeros((n, 4), DType::F32, &Device::Cpu).unwrap());
    let w = Tensor::ones((vocabulary, 4), DType::F32, &Device::Cpu).unwrap();
    let targets = Tensor::new(vec![7u32; n], &Device::Cpu).unwrap();
    let loss = linear_cross_entropy(&x, &w.into(), &targets, None).unwrap();
    let value = f64::from(loss.tensor().to_scalar::<f32>().unwrap());
    assert!((value / n as f64 - (vocabulary as f64).ln()).abs() < 1e-5);
    let gradient = loss.backward().unwrap().remove(&x).unwrap();
    assert_eq!(gradient.dims(), [n, 4]);
    let beyond = Tensor::new(vec![150_000u32; n], &Device::Cpu).unwrap();
    assert!(
        linear_cross_entropy(
            &x,
            &Traced::constant(Tensor::ones((vocabulary, 4), DType::F32, &Device::Cpu).unwrap()),
            &beyond,
            None,
        )
        .is_err()
    );
}
