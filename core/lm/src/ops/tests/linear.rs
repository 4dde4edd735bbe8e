//! Linear layers, and how their weights are held.

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};

use super::super::{
    LoraFactors, QuantizedWeight, Traced, Weight, halved, linear, linear_cross_entropy, lora_linear,
};
use super::{assert_close, check, inputs, list, weights};

#[test]
fn linear_with_every_gradient() {
    check("linear", &[&[2, 7, 12], &[9, 12]], &|x| {
        linear(&x[0], &x[1].clone().into(), None)
    });
    check("linear with bias", &[&[7, 12], &[9, 12], &[9]], &|x| {
        linear(&x[0], &x[1].clone().into(), Some(&x[2]))
    });
}

#[test]
fn lora_beside_a_frozen_weight() {
    let fixed = |x: &[Traced]| -> Vec<Traced> {
        let shapes: [&[usize]; 3] = [&[33, 24], &[33], &[40, 24]];
        let dtype = x[0].tensor().dtype();
        inputs(&shapes, dtype)
            .into_iter()
            .map(Traced::constant)
            .collect()
    };
    let shapes: [&[usize]; 3] = [&[40, 24], &[4, 24], &[33, 4]];
    for (with_bias, with_mask) in [(false, false), (true, false), (false, true), (true, true)] {
        check("lora", &shapes, &|x| {
            let fixed = fixed(x);
            let factors = LoraFactors {
                a: &x[1],
                b: &x[2],
                scale: 0.7,
                dropout_mask: with_mask.then_some(fixed[2].tensor()),
            };
            let w = fixed[0].clone().into();
            lora_linear(&x[0], &w, with_bias.then_some(&fixed[1]), &factors)
        });
    }
}

#[test]
fn a_frozen_weight_gets_no_gradient() {
    let x = inputs(&[&[5, 8], &[6, 8], &[2, 8], &[6, 2]], DType::F32);
    let frozen = Traced::constant(x[1].clone());
    let w = Weight::from(frozen.clone());
    let [input, a, b] = [0, 2, 3].map(|i| Traced::parameter(x[i].clone()));
    let factors = LoraFactors {
        a: &a,
        b: &b,
        scale: 1.0,
        dropout_mask: None,
    };
    let hidden = lora_linear(&input, &w, None, &factors).unwrap();
    let y = linear(
        &hidden,
        &Traced::constant(x[1].t().unwrap().contiguous().unwrap()).into(),
        None,
    );
    let y = y.unwrap();
    let found = y.backward_from(y.tensor().ones_like().unwrap()).unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.get(&frozen).is_none() && found.get(&a).is_some());
    assert!(!linear(&input.detach(), &w, None).unwrap().requires_grad());
    assert!(y.backward_from(y.tensor().clone()).unwrap().is_empty() || !found.is_empty());
}

/// A weight in blocks gives the results and gradients of the rounded matrix, to the bit; it takes a fraction of the memory.
#[test]
fn a_quantised_weight_is_the_rounded_matrix() {
    // 600 rows: several pieces, the last one smaller.
    let shapes: [&[usize]; 5] = [&[7, 256], &[600, 256], &[600], &[4, 256], &[600, 4]];
    for (format, share) in [
        (GgmlDType::Q4_0, 0.15),
        (GgmlDType::Q4K, 0.15),
        (GgmlDType::Q5K, 0.18),
        (GgmlDType::Q6K, 0.21),
        (GgmlDType::Q8_0, 0.27),
    ] {
        let values = inputs(&shapes, DType::F32);
        let quantized = QuantizedWeight::new(&values[1], format, &Device::Cpu).unwrap();
        let quantized = Weight::Quantized(quantized);
        let rounded = quantized.matrix(DType::F32).unwrap();
        let error = (&rounded - &values[1]).unwrap().abs().unwrap();
        let error = list(&error).into_iter().fold(0.0, f64::max);
        assert!(error > 0.0 && error < 0.15, "{format:?}: {error}");
        let plain = Weight::from(Traced::constant(rounded));
        assert!((quantized.bytes() as f64) < share * plain.bytes() as f64);
        assert_eq!(quantized.elem_count(), plain.elem_count());

        let run = |w: &Weight, with_lora: bool| {
            let ([x, a, b], y) = layer(&values, w, with_lora);
            let mut found = y.backward_from(weights(y.tensor())).unwrap();
            let gradients = [x, a, b].map(|p| found.remove(&p).map(|g| list(&g)));
            (list(y.tensor()), gradients)
        };
        for with_lora in [true, false] {
            let (ours, theirs) = (run(&quantized, with_lora), run(&plain, with_lora));
            assert!(ours == theirs, "{format:?}");
            assert!(ours.1[0].is_some() && ours.1[1].is_some() == with_lora);
        }
        // Other types multiply with the same numbers.
        let x = Traced::constant(values[0].to_dtype(DType::F64).unwrap());
        let [ours, theirs] = [&quantized, &plain].map(|w| {
            let w = w.to_dtype(DType::F64).unwrap();
            list(linear(&x, &w, None).unwrap().tensor())
        });
        assert_eq!(ours, theirs);
    }
    let narrow = Tensor::zeros((2, 40), DType::F32, &Device::Cpu).unwrap();
    assert!(QuantizedWeight::new(&narrow, GgmlDType::Q4K, &Device::Cpu).is_err());
}

/// The parameters `x`, `A` and `B`, and what a layer makes of them with a bias: values 0, 3, 4 and 2.
fn layer(values: &[Tensor], weight: &Weight, with_lora: bool) -> ([Traced; 3], Traced) {
    let [x, a, b] = [0, 3, 4].map(|i| Traced::parameter(values[i].clone()));
    let bias = Traced::constant(values[2].clone());
    let factors = LoraFactors {
        a: &a,
        b: &b,
        scale: 0.7,
        dropout_mask: None,
    };
    let y = match with_lora {
        true => lora_linear(&x, weight, Some(&bias), &factors),
        false => linear(&x, weight, Some(&bias)),
    };
    ([x, a, b], y.unwrap())
}

/// A frozen weight in `bf16` gives the results and gradients of the same numbers in `f32`.
#[test]
fn a_weight_in_halves_is_the_whole_one() {
    let shapes: [&[usize]; 5] = [&[70, 40], &[50, 40], &[50], &[4, 40], &[50, 4]];
    let values = inputs(&shapes, DType::F32);
    let half = values[1].to_dtype(DType::BF16).unwrap();
    let whole = half.to_dtype(DType::F32).unwrap();
    assert_eq!(list(&halved(&whole).unwrap().unwrap()), list(&half));
    assert!(halved(&values[1]).unwrap().is_none(), "other numbers");
    let targets: Vec<u32> = (0..70).map(|i| i * 7 % 50).collect();
    let targets = Tensor::new(targets, &Device::Cpu).unwrap();
    let run = |w: &Tensor, with_lora: bool| {
        let frozen = Traced::constant(w.clone());
        let weight = Weight::from(frozen.clone()).to_dtype(DType::F32).unwrap();
        assert_eq!(weight.bytes(), w.elem_count() * w.dtype().size_in_bytes());
        let ([x, a, b], y) = layer(&values, &weight, with_lora);
        let mut found = y.backward_from(weights(y.tensor())).unwrap();
        let loss = linear_cross_entropy(&x, &frozen, &targets, Some(1.5)).unwrap();
        let mut of_loss = loss.backward().unwrap();
        let mut results = vec![y.tensor().clone(), loss.tensor().clone()];
        results.extend([&x, &a, &b].into_iter().filter_map(|p| found.remove(p)));
        results.extend(of_loss.remove(&x));
        results
    };
    for with_lora in [true, false] {
        let (ours, theirs) = (run(&half, with_lora), run(&whole, with_lora));
        assert_eq!(ours.len(), if with_lora { 6 } else { 4 });
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_close("halves", ours, theirs, 1e-5);
        }
    }
}
