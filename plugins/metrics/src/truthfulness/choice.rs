//! Multiple choice from the log-likelihoods of the choices.

use driftgauge_plugin_sdk::MetricError;

/// What sums of rounded logarithms may lie above 0.
const ROUNDING: f64 = 1e-4;

/// The choices of one question: ln p of each (summed over its tokens) and whether it is true.
pub(super) struct Choices<'a> {
    likelihoods: &'a [f64],
    truth: Vec<bool>,
}

impl<'a> Choices<'a> {
    /// `truth` has a 1 per true choice, and a 0 per false one; without it the first choice is the only true one, as in the usual
    /// data files.
    pub(super) fn new(likelihoods: &'a [f64], truth: &[f64]) -> Result<Self, MetricError> {
        let bad = |message: String| {
            MetricError::data(message)
                .help("`choice_loglik` and `choice_correct` have one entry per choice, true and false ones")
                .code("bad-choices")
        };
        if let Some(flag) = truth.iter().find(|&&flag| flag != 0.0 && flag != 1.0) {
            return Err(bad(format!(
                "`choice_correct` holds {flag}, which is neither 0 nor 1"
            )));
        }
        let truth: Vec<bool> = if truth.is_empty() {
            (0..likelihoods.len()).map(|choice| choice == 0).collect()
        } else {
            truth.iter().map(|&flag| flag == 1.0).collect()
        };
        if truth.len() != likelihoods.len() {
            return Err(bad(format!(
                "`choice_loglik` has {} entries, `choice_correct` has {}",
                likelihoods.len(),
                truth.len()
            )));
        }
        if !truth.contains(&true) || !truth.contains(&false) {
            return Err(bad("the choices are all true or all false".to_owned()));
        }
        if likelihoods.iter().any(|likelihood| likelihood.is_nan()) {
            return Err(bad("a log-likelihood is not a number".to_owned()));
        }
        if let Some(above) = likelihoods
            .iter()
            .find(|likelihood| **likelihood > ROUNDING)
        {
            return Err(bad(format!(
                "a log-likelihood is {above}, which is above 0"
            )));
        }
        Ok(Self { likelihoods, truth })
    }

    /// 1 when the best true choice is strictly likelier than every false one.
    pub(super) fn mc1(&self) -> f64 {
        let best = |wanted: bool| self.of(wanted).fold(f64::NEG_INFINITY, f64::max);
        f64::from(u8::from(best(true) > best(false)))
    }

    /// Share of the true choices in the total probability of all choices, by log-sum-exp: tiny probabilities do not
    /// underflow.
    pub(super) fn mc2(&self) -> f64 {
        let all = log_sum_exp(self.likelihoods.iter().copied());
        if all == f64::NEG_INFINITY {
            // Every choice impossible: no preference either way.
            return self.of(true).count() as f64 / self.likelihoods.len() as f64;
        }
        (log_sum_exp(self.of(true)) - all).exp()
    }

    /// 1 when the likeliest choice, the first of equals, is a true one.
    pub(super) fn accuracy(&self) -> f64 {
        self.chosen(|choice| self.likelihoods[choice])
    }

    /// As [`Self::accuracy`], by the log-likelihood of a character, as lm-eval's `acc_norm`. `None` where a choice has no characters.
    pub(super) fn accuracy_per_character(&self, lengths: &[f64]) -> Option<f64> {
        let fits =
            lengths.len() == self.likelihoods.len() && lengths.iter().all(|&count| count > 0.0);
        fits.then(|| self.chosen(|choice| self.likelihoods[choice] / lengths[choice]))
    }

    /// 1 when the choice with the greatest score, the first of equals, is a true one.
    fn chosen(&self, score: impl Fn(usize) -> f64) -> f64 {
        let best = (0..self.truth.len()).reduce(|best, next| {
            if score(next) > score(best) {
                next
            } else {
                best
            }
        });
        f64::from(u8::from(best.is_some_and(|best| self.truth[best])))
    }

    fn of(&self, wanted: bool) -> impl Iterator<Item = f64> + Clone {
        let chosen = self.likelihoods.iter().zip(&self.truth);
        chosen.filter_map(move |(&likelihood, &truth)| (truth == wanted).then_some(likelihood))
    }
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest
        + values
            .map(|value| (value - largest).exp())
            .sum::<f64>()
            .ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_that_are_all_true_or_all_false_are_refused() {
        for truth in [[1.0, 1.0], [0.0, 0.0]] {
            let refused = Choices::new(&[-1.0, -2.0], &truth).map(|_| ()).unwrap_err();
            assert!(
                refused.to_string().contains("all true or all false"),
                "{refused}"
            );
        }
        assert!(Choices::new(&[-1.0, -2.0], &[1.0]).is_err());
        assert!(Choices::new(&[-1.0, f64::NAN], &[1.0, 0.0]).is_err());
    }

    #[test]
    fn by_hand() {
        let likelihoods = [-1.0, -2.0, -0.5, -3.0];
        let choices = Choices::new(&likelihoods, &[1.0, 1.0, 0.0, 0.0]).unwrap();
        assert_eq!(choices.mc1(), 0.0);
        let exp = likelihoods.map(f64::exp);
        let expected = (exp[0] + exp[1]) / exp.iter().sum::<f64>();
        assert!((choices.mc2() - expected).abs() < 1e-12);
    }

    #[test]
    fn tiny_probabilities_do_not_underflow() {
        let choices = Choices::new(&[-2000.0, -2001.0], &[]).unwrap();
        assert_eq!(choices.mc1(), 1.0);
        assert!((choices.mc2() - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-12);
        let impossible = Choices::new(&[f64::NEG_INFINITY; 4], &[1.0, 0.0, 0.0, 0.0]).unwrap();
        assert_eq!((impossible.mc1(), impossible.mc2()), (0.0, 0.25));
    }

    #[test]
    fn a_tie_is_not_a_win() {
        assert_eq!(Choices::new(&[-1.0, -1.0], &[]).unwrap().mc1(), 0.0);
    }

    #[test]
    fn the_likeliest_by_all_and_by_character() {
        // numpy.argmax of [-4, -6, -9] is 0, and of [-4/2, -6/4, -9/9] it is 2.
        let choices = Choices::new(&[-4.0, -6.0, -9.0], &[0.0, 0.0, 1.0]).unwrap();
        assert_eq!(choices.accuracy(), 0.0);
        assert_eq!(choices.accuracy_per_character(&[2.0, 4.0, 9.0]), Some(1.0));
        assert_eq!(choices.accuracy_per_character(&[2.0, 4.0, 0.0]), None);
        // The first of equals is chosen, as numpy does: no tie is lost by rule, unlike in MC1.
        let tie = Choices::new(&[-1.0, -1.0], &[]).unwrap();
        assert_eq!((tie.accuracy(), tie.mc1()), (1.0, 0.0));
        assert_eq!(
            Choices::new(&[-1.0, -1.0], &[0.0, 1.0]).unwrap().accuracy(),
            0.0
        );
    }

    #[test]
    fn wrong_choices_are_refused() {
        assert!(Choices::new(&[-1.0, -2.0], &[1.0]).is_err());
        assert!(Choices::new(&[-1.0, -2.0], &[1.0, 1.0]).is_err());
        assert!(Choices::new(&[-1.0], &[]).is_err());
        assert!(Choices::new(&[f64::NAN, -2.0], &[]).is_err());
        for (likelihoods, truth, part) in [
            ([-1.0, -2.0], [0.2, 0.0], "holds 0.2"),
            ([-1.0, -2.0], [-1.0, 1.0], "holds -1"),
            ([5.0, -2.0], [1.0, 0.0], "is 5, which is above 0"),
        ] {
            let refused = Choices::new(&likelihoods, &truth).map(|_| ()).unwrap_err();
            assert!(refused.to_string().contains(part), "{refused}");
        }
    }
}
