//! Sums over the k likeliest tokens of each position, for a k whose sums are not recorded.

use driftgauge_plugin_sdk::MetricError;

/// ln p of the likeliest tokens, the same number of them for every token, token after token.
pub(super) struct Likeliest<'a> {
    list: &'a [f32],
    /// Numbers for each token.
    width: usize,
}

impl<'a> Likeliest<'a> {
    /// Reads the list of a completion of so many tokens.
    ///
    /// # Errors
    /// When the list does not hold the same number for each of them, or something that is no logarithm of a probability.
    pub(super) fn new(list: &'a [f32], tokens: usize) -> Result<Self, MetricError> {
        if list.is_empty() {
            return Ok(Self { list, width: 1 });
        }
        if tokens == 0 || !list.len().is_multiple_of(tokens) {
            return Err(super::impossible(format!(
                "`token_top_logprobs` has {} numbers for {tokens} tokens",
                list.len()
            )));
        }
        if let Some(l) = list.iter().find(|l| l.is_nan() || **l > super::ROUNDING) {
            return Err(super::impossible(format!(
                "`token_top_logprobs` holds {l}, which is no logarithm of a probability"
            )));
        }
        let width = list.len() / tokens;
        Ok(Self { list, width })
    }

    /// By token: -sum p ln p over the k likeliest in nats, and their probability. Of a vocabulary of fewer tokens than k, over
    /// all of it.
    pub(super) fn sums(&self, k: u32) -> (Vec<f32>, Vec<f32>) {
        let places = self.list.chunks(self.width);
        let sums = places.map(|place| {
            let k = place.len().min(k as usize);
            let (mut entropy, mut mass) = (0.0, 0.0);
            for l in place[..k].iter().map(|&l| f64::from(l)) {
                let p = l.exp();
                if p > 0.0 {
                    entropy -= p * l;
                    mass += p;
                }
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the sums over ten tokens are recorded as f32 too"
            )]
            (entropy as f32, f64::min(mass, 1.0) as f32)
        });
        sums.unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_over_the_first_k_of_each_token() {
        // Two tokens, three likeliest each: 1/2, 1/4, 1/8 and 1, 0, 0.
        let ln = |p: f32| p.ln().max(f32::MIN);
        let list = [0.5, 0.25, 0.125, 1.0, 0.0, 0.0].map(ln);
        let likeliest = Likeliest::new(&list, 2).unwrap();
        let (entropy, mass) = likeliest.sums(2);
        assert_eq!(mass, [0.75, 1.0]);
        assert!((entropy[0] - 2f32.ln()).abs() < 1e-6, "{entropy:?}");
        assert!(entropy[1].abs() < 1e-6, "{entropy:?}");
        assert_eq!(likeliest.sums(1).1, [0.5, 1.0]);
        assert_eq!(likeliest.sums(3).1, [0.875, 1.0]);
        assert_eq!(likeliest.sums(7).1, [0.875, 1.0], "no more are there");
    }

    #[test]
    fn a_list_that_fits_no_answer_is_refused() {
        let error = Likeliest::new(&[-0.1, -0.2, -0.3], 2).err().unwrap();
        assert!(error.message.contains("3 numbers for 2 tokens"), "{error}");
        assert!(Likeliest::new(&[-0.1, 0.2], 2).is_err());
        assert_eq!(Likeliest::new(&[], 0).unwrap().sums(5), (vec![], vec![]));
    }
}
