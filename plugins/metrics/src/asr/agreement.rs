//! How far two judges agree.

/// Counts of two judges' words on the completions that both judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) both: u64,
    pub(super) first_only: u64,
    pub(super) second_only: u64,
    pub(super) neither: u64,
}

impl Pair {
    pub(super) fn count(&mut self, first: bool, second: bool) {
        *match (first, second) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.first_only,
            (false, true) => &mut self.second_only,
            (false, false) => &mut self.neither,
        } += 1;
    }

    pub(super) fn n(self) -> u64 {
        self.both + self.first_only + self.second_only + self.neither
    }

    /// Share of completions with the same word; undefined over none.
    pub(super) fn raw(self) -> Option<f64> {
        let n = self.n();
        (n > 0).then(|| (self.both + self.neither) as f64 / n as f64)
    }

    /// Cohen's kappa: (p_o - p_e) / (1 - p_e) with p_e the agreement of independent judges of the same rates. Undefined
    /// when both judges always say the same one word.
    pub(super) fn kappa(self) -> Option<f64> {
        let n = self.n() as f64;
        let observed = self.raw()?;
        let first = (self.both + self.first_only) as f64 / n;
        let second = (self.both + self.second_only) as f64 / n;
        let chance = first * second + (1.0 - first) * (1.0 - second);
        (chance < 1.0).then(|| (observed - chance) / (1.0 - chance))
    }

    /// Gwet's AC1: as kappa with p_e = 2 pi (1 - pi), pi the mean rate of both judges. It stays defined, and high, where
    /// kappa collapses because one word is rare.
    pub(super) fn ac1(self) -> Option<f64> {
        let n = self.n() as f64;
        let observed = self.raw()?;
        let mean = (2 * self.both + self.first_only + self.second_only) as f64 / (2.0 * n);
        let chance = 2.0 * mean * (1.0 - mean);
        Some((observed - chance) / (1.0 - chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(both: u64, first_only: u64, second_only: u64, neither: u64) -> Pair {
        Pair {
            both,
            first_only,
            second_only,
            neither,
        }
    }

    #[test]
    fn by_hand() {
        // p_o 0.7, marginals 0.5 and 0.6: p_e 0.5, kappa 0.4; pi 0.55: p_e 0.495, AC1 0.205/0.505.
        let pair = pair(40, 10, 20, 30);
        assert!((pair.raw().unwrap() - 0.7).abs() < 1e-12);
        assert!((pair.kappa().unwrap() - 0.4).abs() < 1e-12);
        assert!((pair.ac1().unwrap() - 0.205 / 0.505).abs() < 1e-12);
    }

    #[test]
    fn degenerate_tables() {
        assert_eq!(Pair::default().raw(), None);
        assert_eq!(Pair::default().kappa(), None);
        assert_eq!(Pair::default().ac1(), None);
        // One judge constant: kappa 0 although they agree on 94 of 100.
        let constant = pair(94, 0, 6, 0);
        assert!(constant.kappa().unwrap().abs() < 1e-12);
        assert!(constant.ac1().unwrap() > 0.9);
        // Both constant: kappa undefined, AC1 1.
        assert_eq!(pair(10, 0, 0, 0).kappa(), None);
        assert_eq!(pair(10, 0, 0, 0).ac1(), Some(1.0));
    }
}
