//! Every operation three ways: its kernel in `f32`, the composition in `f64` differentiated by candle, and finite
//! differences of the composition; and the kernel with one thread and with three.

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Result, Tensor};

use super::{
    AdamW, LoraFactors, Pairs, QuantizedWeight, Scores, Traced, Weight, causal_attention,
    clip_factor, embedding, geglu, gradient_norm, halved, linear, linear_cross_entropy,
    lora_linear, rms_norm, rope, sliced, swiglu,
};

/// Numbers between -1 and 1 that look random (a linear congruential generator).
fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    (0..n).map(next).collect()
}

fn inputs(shapes: &[&[usize]], dtype: DType) -> Vec<Tensor> {
    let tensor = |(i, shape): (usize, &&[usize])| {
        let values = numbers(shape.iter().product(), i as u64 + 1);
        let tensor = Tensor::from_vec(values, *shape, &Device::Cpu).unwrap();
        // Through `f32`, so that both types see the same numbers.
        tensor
            .to_dtype(DType::F32)
            .unwrap()
            .to_dtype(dtype)
            .unwrap()
    };
    shapes.iter().enumerate().map(tensor).collect()
}

type Op<'a> = &'a (dyn Fn(&[Traced]) -> Result<Traced> + Sync);

/// Result and gradients of `sum(op * weights)`; the weights are fixed numbers.
fn evaluate(op: Op<'_>, inputs: &[Tensor]) -> (Tensor, Vec<Tensor>) {
    let parameters: Vec<Traced> = inputs.iter().cloned().map(Traced::parameter).collect();
    let output = op(&parameters).unwrap();
    let weights = weights(output.tensor());
    let mut found = output.backward_from(weights).unwrap();
    let gradients = parameters
        .iter()
        .map(|p| found.remove(p).unwrap())
        .collect();
    (output.tensor().clone(), gradients)
}

fn weights(output: &Tensor) -> Tensor {
    let values = numbers(output.elem_count(), 99);
    let weights = Tensor::from_vec(values, output.shape(), &Device::Cpu).unwrap();
    weights.to_dtype(output.dtype()).unwrap()
}

fn list(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
    flat.to_vec1().unwrap()
}

fn assert_close(name: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(got.dims(), expected.dims(), "{name}");
    let (got, expected) = (list(got), list(expected));
    let scale = expected.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let error = (got - expected).abs() / scale;
        assert!(
            error < tolerance,
            "{name}[{i}]: {got} instead of {expected}"
        );
    }
}

fn check(name: &str, shapes: &[&[usize]], op: Op<'_>) {
    let (exact_inputs, inputs) = (inputs(shapes, DType::F64), inputs(shapes, DType::F32));
    let (exact, exact_gradients) = evaluate(op, &exact_inputs);
    let (fused, gradients) = evaluate(op, &inputs);
    assert_close(name, &fused, &exact, 3e-6);
    for (i, (got, expected)) in gradients.iter().zip(&exact_gradients).enumerate() {
        assert_close(&format!("{name}: gradient {i}"), got, expected, 5e-6);
    }
    for (i, gradient) in exact_gradients.iter().enumerate() {
        finite_differences(
            &format!("{name}: input {i}"),
            op,
            &exact_inputs,
            i,
            gradient,
        );
    }
    let in_pool = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let (output, gradients) = pool.install(|| evaluate(op, &inputs));
        let all = std::iter::once(&output).chain(&gradients);
        all.flat_map(list).map(f64::to_bits).collect::<Vec<_>>()
    };
    assert!(
        in_pool(1) == in_pool(3),
        "{name}: depends on the number of threads"
    );
}

/// Compares some entries of a gradient with the slope of the function itself.
fn finite_differences(name: &str, op: Op<'_>, inputs: &[Tensor], which: usize, gradient: &Tensor) {
    const STEP: f64 = 1e-5;
    let gradient = list(gradient);
    let loss = |values: Vec<f64>| -> f64 {
        let mut inputs: Vec<Traced> = inputs.iter().cloned().map(Traced::constant).collect();
        let shape = inputs[which].tensor().shape().clone();
        inputs[which] = Tensor::from_vec(values, shape, &Device::Cpu)
            .unwrap()
            .into();
        let output = op(&inputs).unwrap();
        let weights = weights(output.tensor());
        let products = list(&(output.tensor() * weights).unwrap());
        products.iter().sum()
    };
    let n = gradient.len();
    for i in [0, n / 3, n / 2, n - 1] {
        let moved = |by: f64| {
            let mut values = list(&inputs[which]);
            values[i] += by;
            loss(values)
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        let error = (slope - gradient[i]).abs() / slope.abs().max(1.0);
        assert!(
            error < 1e-6,
            "{name}[{i}]: {} instead of {slope}",
            gradient[i]
        );
    }
}

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
fn attention_with_grouped_heads_several_blocks_and_segments() {
    for (b, t, h, hk, d) in [(2, 5, 2, 2, 8), (1, 61, 4, 2, 16), (2, 100, 3, 1, 20)] {
        let (q, k) = ([b, t, h, d], [b, t, hk, d]);
        let scale = 1.0 / (d as f64).sqrt();
        check("attention", &[&q, &k, &k], &|x| {
            causal_attention(&x[0], &x[1], &x[2], Scores::scaled(scale), None)
        });
        let segments: Vec<u32> = (0..b * t).map(|i| u32::from(i % t > t / 3)).collect();
        let segments = Tensor::from_vec(segments, (b, t), &Device::Cpu).unwrap();
        let behind = Scores {
            window: Some(3),
            ..Scores::scaled(scale)
        };
        check("attention with a window", &[&q, &k, &k], &|x| {
            causal_attention(&x[0], &x[1], &x[2], behind, None)
        });
        let capped = Scores {
            softcap: Some(0.7),
            ..behind
        };
        check("attention with a cap", &[&q, &k, &k], &|x| {
            causal_attention(&x[0], &x[1], &x[2], capped, None)
        });
        check("attention in segments", &[&q, &k, &k], &|x| {
            causal_attention(&x[0], &x[1], &x[2], Scores::scaled(scale), Some(&segments))
        });
    }
}

/// The composition for a few rows and heads at a time is the composition of all of them.
#[test]
fn sliced_attention_is_whole_attention() {
    let (b, t, h, hk, d) = (3, 9, 4, 2, 6);
    let (q, k) = ([b, t, h, d], [b, t, hk, d]);
    let x = inputs(&[&q, &k, &k], DType::F64);
    let segments: Vec<u32> = (0..b * t).map(|i| u32::from(i % t > i / t + 2)).collect();
    let segments = Tensor::from_vec(segments, (b, t), &Device::Cpu).unwrap();
    for segments in [None, Some(&segments)] {
        let run = |limit| {
            evaluate(
                &|x: &[Traced]| {
                    sliced::causal_attention(
                        &[&x[0], &x[1], &x[2]],
                        Scores::scaled(0.4),
                        segments,
                        limit,
                    )
                },
                &x,
            )
        };
        let (whole, whole_gradients) = run(usize::MAX);
        // One head of one row, one row, two rows at a time.
        for limit in [1, h * t * t, 2 * h * t * t] {
            let (output, gradients) = run(limit);
            assert_close("output", &output, &whole, 1e-14);
            for (gradient, expected) in gradients.iter().zip(&whole_gradients) {
                assert_close("gradient", gradient, expected, 1e-14);
            }
        }
    }
}

#[test]
fn later_tokens_and_other_segments_change_nothing() {
    let run = |x: &[Tensor], segments: Option<&Tensor>| {
        let x: Vec<Traced> = x.iter().cloned().map(Traced::constant).collect();
        let y = causal_attention(&x[0], &x[1], &x[2], Scores::scaled(0.5), segments).unwrap();
        y.tensor().clone()
    };
    let shape: &[usize] = &[1, 60, 2, 8];
    let x = inputs(&[shape; 3], DType::F32);
    let whole = run(&x, None);
    let start: Vec<Tensor> = x.iter().map(|x| x.narrow(1, 0, 50).unwrap()).collect();
    assert_close(
        "past",
        &run(&start, None),
        &whole.narrow(1, 0, 50).unwrap(),
        1e-6,
    );
    let segments: Vec<u32> = (0..60).map(|i| u32::from(i >= 20)).collect();
    let segments = Tensor::from_vec(segments, (1, 60), &Device::Cpu).unwrap();
    let packed = run(&x, Some(&segments));
    let alone: Vec<Tensor> = x.iter().map(|x| x.narrow(1, 20, 40).unwrap()).collect();
    assert_close(
        "segment",
        &packed.narrow(1, 20, 40).unwrap(),
        &run(&alone, None),
        1e-6,
    );
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
            let [x, a, b] = [0, 3, 4].map(|i| Traced::parameter(values[i].clone()));
            let bias = Traced::constant(values[2].clone());
            let factors = LoraFactors {
                a: &a,
                b: &b,
                scale: 0.7,
                dropout_mask: None,
            };
            let y = match with_lora {
                true => lora_linear(&x, w, Some(&bias), &factors),
                false => linear(&x, w, Some(&bias)),
            };
            let y = y.unwrap();
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
        let [x, a, b] = [0, 3, 4].map(|i| Traced::parameter(values[i].clone()));
        let bias = Traced::constant(values[2].clone());
        let frozen = Traced::constant(w.clone());
        let weight = Weight::from(frozen.clone()).to_dtype(DType::F32).unwrap();
        assert_eq!(weight.bytes(), w.elem_count() * w.dtype().size_in_bytes());
        let factors = LoraFactors {
            a: &a,
            b: &b,
            scale: 0.7,
            dropout_mask: None,
        };
        let y = match with_lora {
            true => lora_linear(&x, &weight, Some(&bias), &factors).unwrap(),
            false => linear(&x, &weight, Some(&bias)).unwrap(),
        };
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

/// Values of `torch.optim.AdamW` (2.x) for these three updates.
#[test]
fn adamw_is_torchs() {
    let tensor = |values: [f32; 3]| Tensor::new(&values, &Device::Cpu).unwrap();
    let (p, m, v) = (tensor([1.0, -2.0, 0.5]), tensor([0.0; 3]), tensor([0.0; 3]));
    let settings = AdamW {
        weight_decay: 0.1,
        ..AdamW::default()
    };
    for (step, gradient) in [[0.1, -0.2, 0.3], [0.4, 0.0, -0.3], [1.0, 1.0, 1e-4]]
        .into_iter()
        .enumerate()
    {
        settings
            .step(&p, &tensor(gradient), &m, &v, step as u64 + 1, 0.01, 2.0)
            .unwrap();
    }
    let expected = Tensor::new(TORCH_ADAMW, &Device::Cpu).unwrap();
    assert_close("adamw", &p, &expected, 1e-6);
}

#[test]
fn adamw_on_other_devices_is_the_same() {
    let tensor = |seed| {
        let values = numbers(50, seed);
        let tensor = Tensor::from_vec(values, (5, 10), &Device::Cpu).unwrap();
        tensor.to_dtype(DType::F32).unwrap()
    };
    let (p, g) = (tensor(1), tensor(2));
    let zeros = || p.zeros_like().unwrap();
    let (m, v, p2, m2, v2) = (zeros(), zeros(), p.copy().unwrap(), zeros(), zeros());
    let settings = AdamW::default();
    settings.step(&p, &g, &m, &v, 1, 0.01, 0.5).unwrap();
    let numbers = super::adamw::Numbers {
        gradient_factor: 0.5,
        keep: 1.0,
        rate: 0.01 / (1.0 - settings.beta1),
        root: (1.0 - settings.beta2).sqrt(),
    };
    settings.step_composed(&p2, &g, &m2, &v2, &numbers).unwrap();
    for (name, a, b) in [("p", &p2, &p), ("m", &m2, &m), ("v", &v2, &v)] {
        assert_close(name, a, b, 1e-6);
    }
}

const TORCH_ADAMW: &[f64] = &[0.969677107371, -1.982581609600, 0.489452615914];

#[test]
fn the_norm_is_over_all_gradients() {
    let a = Tensor::new(&[3f32, 0.0], &Device::Cpu).unwrap();
    let b = Tensor::new(&[[4f32], [12.0]], &Device::Cpu).unwrap();
    assert_eq!(gradient_norm([&a, &b]).unwrap(), 13.0);
    assert_eq!(clip_factor(0.5, 1.0), 1.0);
    assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
}
