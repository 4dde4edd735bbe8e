//! Curves of risk over coverage: the errors among the surest answers.
//!
//! Ties are taken by expectation over their order.

use super::groups::Group;

/// Areas under the curves of risk over coverage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curves {
    pub(super) aurc: f64,
    pub(super) oracle: f64,
    pub(super) augrc: f64,
    pub(super) risk: f64,
}

/// Tells `each` the expected number of errors among the k surest answers, for k = 1 to n.
fn errors_by_place(groups: &[Group], mut each: impl FnMut(f64)) {
    let mut errors = 0.0;
    for group in groups.iter().rev().filter(|group| group.n > 0) {
        // Within a tie, each next answer is wrong with the group's share.
        let share = (group.n - group.correct) as f64 / group.n as f64;
        for _ in 0..group.n {
            errors += share;
            each(errors);
        }
    }
}

/// The share of errors among the k surest answers, for k = 1 to n.
pub(super) fn risks(groups: &[Group]) -> Vec<f64> {
    let mut risks = Vec::new();
    errors_by_place(groups, |errors| {
        risks.push(errors / (risks.len() + 1) as f64);
    });
    risks
}

pub(super) fn curves(groups: &[Group]) -> Option<Curves> {
    let n: u64 = groups.iter().map(|group| group.n).sum();
    if n == 0 {
        return None;
    }
    let (mut risks, mut errors_so_far, mut covered) = (0.0, 0.0, 0.0);
    errors_by_place(groups, |errors| {
        covered += 1.0;
        risks += errors / covered;
        errors_so_far += errors;
    });
    let correct: u64 = groups.iter().map(|group| group.correct).sum();
    let n_real = n as f64;
    let oracle: f64 = (1..=n - correct)
        .map(|error| error as f64 / (correct + error) as f64)
        .sum();
    Some(Curves {
        aurc: risks / n_real,
        oracle: oracle / n_real,
        augrc: errors_so_far / (n_real * n_real),
        risk: (n - correct) as f64 / n_real,
    })
}

/// Sums of `1/j` up to every k: with them the curve over a tie of any size takes one step.
pub(super) struct Harmonics(Vec<f64>);

impl Harmonics {
    pub(super) fn up_to(n: usize) -> Self {
        let mut sum = 0.0;
        let next = |k: usize| {
            sum += 1.0 / k as f64;
            sum
        };
        Self(std::iter::once(0.0).chain((1..=n).map(next)).collect())
    }

    /// `Σ_{j=1..n} 1 / (k + j)`.
    fn after(&self, k: u64, n: u64) -> f64 {
        self.0[(k + n) as usize] - self.0[k as usize]
    }
}

/// [`curves`] in one step for each group: with e errors among the k surer answers, the risks over a tie of n answers with the share
/// s of errors add up to `Σ_{j=1..n} (e + s j) / (k + j) = s n + (e - s k) Σ 1 / (k + j)`.
pub(super) fn curves_by(groups: &[Group], harmonics: &Harmonics) -> Option<Curves> {
    let (mut risks, mut errors_so_far) = (0.0, 0.0);
    let (mut covered, mut errors) = (0_u64, 0_u64);
    for group in groups.iter().rev().filter(|group| group.n > 0) {
        let (n, wrong) = (group.n as f64, group.n - group.correct);
        let share = wrong as f64 / n;
        let before = errors as f64;
        risks += share * n + (before - share * covered as f64) * harmonics.after(covered, group.n);
        errors_so_far += n * before + share * n * (n + 1.0) / 2.0;
        covered += group.n;
        errors += wrong;
    }
    let (n, correct) = (covered as f64, covered - errors);
    (covered > 0).then(|| Curves {
        aurc: risks / n,
        oracle: (errors as f64 - correct as f64 * harmonics.after(correct, errors)) / n,
        augrc: errors_so_far / (n * n),
        risk: errors as f64 / n,
    })
}
