//! The graph that gradients go back through.

use candle_core::{DType, Device, Tensor};

use super::super::{Traced, swiglu};
use super::check;

#[test]
fn a_value_used_twice_gets_the_sum() {
    check("sum of uses", &[&[4, 6], &[4, 6]], &|x| {
        let sum = x[0].add(&x[1])?;
        let again = swiglu(&sum, &x[0])?.add(&sum)?;
        again
            .add(&again)?
            .scale(0.5)?
            .reshape((6, 4))?
            .add(&x[1].reshape((6, 4))?)
    });
}

#[test]
fn a_graph_is_gone_through_once_and_needs_a_parameter() {
    let x = Traced::parameter(Tensor::new(2f32, &Device::Cpu).unwrap());
    assert!(x.detach().backward().is_err());
    assert!(
        x.backward_from(Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap())
            .is_err()
    );
    let y = x.scale(3.0).unwrap();
    let found = y.backward().unwrap();
    assert_eq!(found.get(&x).unwrap().to_scalar::<f32>().unwrap(), 3.0);
    assert!(y.backward().unwrap().get(&x).is_none());
}
