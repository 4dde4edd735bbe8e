//! Learning-rate schedules, as in transformers. `Constant` behind a warmup is its `constant_with_warmup`; its `constant` warms up never.

use driftgauge_engine::training::LrScheduler;

/// Factor on the learning rate of the step after `done` steps. It is evaluated before stepping: with a warmup, the very
/// first step has rate 0, as in transformers.
pub(crate) fn factor(scheduler: LrScheduler, done: u64, warmup: u64, total: u64) -> f64 {
    if done < warmup {
        return done as f64 / warmup as f64;
    }
    let progress = (done - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    match scheduler {
        LrScheduler::Linear => (1.0 - progress).max(0.0),
        LrScheduler::Cosine => (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0),
        LrScheduler::Constant => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `transformers.get_scheduler(name, num_warmup_steps=2, num_training_steps=6)`, stepped after each step.
    #[test]
    fn factors_equal_those_of_transformers() {
        let expected = [
            (LrScheduler::Linear, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]),
            (
                LrScheduler::Cosine,
                [
                    0.0,
                    0.5,
                    1.0,
                    0.853_553_390_593_273_7,
                    0.5,
                    0.146_446_609_406_726_2,
                ],
            ),
            (LrScheduler::Constant, [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]),
        ];
        for (scheduler, factors) in expected {
            for (done, factor) in factors.into_iter().enumerate() {
                let ours = super::factor(scheduler, done as u64, 2, 6);
                assert!(
                    (ours - factor).abs() < 1e-12,
                    "{scheduler:?} {done}: {ours}"
                );
            }
        }
        assert_eq!(factor(LrScheduler::Linear, 0, 0, 3), 1.0);
    }
}
