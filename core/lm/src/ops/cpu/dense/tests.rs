//! Every element against the chain of operations that it is.

use half::bf16;

use super::*;

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 37 + seed * 101) % 1009) as f32 / 701.0 - 0.7;
    (0..n).map(number).collect()
}

/// Numbers of bf16, and the same ones whole.
fn halves(n: usize, seed: usize) -> (Vec<bf16>, Vec<f32>) {
    let halves: Vec<bf16> = numbers(n, seed).into_iter().map(bf16::from_f32).collect();
    let whole = halves.iter().map(|x| x.to_f32()).collect();
    (halves, whole)
}

fn chain(pairs: impl Iterator<Item = (f32, f32)>) -> f32 {
    pairs.fold(0.0, |sum, (a, b)| a.mul_add(b, sum))
}

/// Rows, outputs and inputs: with remainders of panels, tiles, strips, groups and blocks.
const SIZES: [(usize, usize, usize); 6] = [
    (1, 1, 1),
    (5, 7, 3),
    (33, 50, 40),
    (300, 97, 20),
    (31, 13, 600),
    (40, 530, 140),
];

#[test]
fn an_element_forward_is_one_chain_of_fused_operations() {
    for (m, n, k) in SIZES {
        let (x, (w, whole)) = (numbers(m * k, 1), halves(n * k, 2));
        let y = times_transposed((&x, k), &w);
        assert_eq!(y.len(), m * n);
        for i in 0..m {
            for j in 0..n {
                let pairs = x[i * k..][..k].iter().zip(&whole[j * k..]);
                let expected = chain(pairs.map(|(x, w)| (*x, *w)));
                assert_eq!(y[i * n + j], expected, "{m} {n} {k}: {i} {j}");
            }
        }
        assert_eq!(times_transposed((&x, k), &whole), y, "{m} {n} {k}");
    }
}

#[test]
fn an_element_back_is_one_chain_of_fused_operations() {
    for (m, n, k) in SIZES {
        let (g, (w, whole)) = (numbers(m * n, 1), halves(n * k, 2));
        let y = times((&g, n), &w);
        assert_eq!(y.len(), m * k);
        for i in 0..m {
            for j in 0..k {
                let expected = chain((0..n).map(|o| (g[i * n + o], whole[o * k + j])));
                assert_eq!(y[i * k + j], expected, "{m} {n} {k}: {i} {j}");
            }
        }
    }
}
