//! Every operation three ways: its kernel in `f32`, the composition in `f64` differentiated by candle, and finite
//! differences of the composition; and the kernel with one thread and with three.

mod attention;
mod graph;
mod linear;
mod loss;
mod optimizer;
mod rows;

use candle_core::{DType, Device, Result, Tensor};

use super::Traced;

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
