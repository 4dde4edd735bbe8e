//! Attention, by the kernel and in slices.

use candle_core::{DType, Device, Tensor};

use super::super::{Scores, Traced, causal_attention, sliced};
use super::{assert_close, check, evaluate, inputs};

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
