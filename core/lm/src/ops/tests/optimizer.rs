//! The optimiser.

use candle_core::{DType, Device, Tensor};

use super::super::{AdamW, clip_factor, gradient_norm};
use super::{assert_close, numbers};

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
    let numbers = super::super::adamw::Numbers {
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
