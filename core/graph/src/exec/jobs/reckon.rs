//! What a job will take: memory from the size of the weights, time from what the plan foresees, and into how many parts that is divided.

use std::time::Duration;

use driftgauge_cluster::{Reckoned, Resources};
use driftgauge_ranges::{Memory, Span};

use super::folder_size;
use crate::context::Context;
use crate::exec::serve;
use crate::forecast::{Basis, Machine, Rates, Works};
use crate::nodes::models::model_folder;
use crate::plan::Part;
use crate::resolved::ModelSource;

/// The limit of a job is so many times what is foreseen: nodes differ, and what ends too early waits in the queue again.
const OF_MEASURED: f64 = 3.0;
/// The same where a model of another size was measured.
const OF_SCALED: f64 = 5.0;
/// The same where nothing like it was.
const OF_GUESSED: f64 = 10.0;
/// No limit is shorter: a program is started and a model proven in any job.
const LEAST: Duration = Duration::from_secs(10 * 60);
/// No limit that was reckoned is longer, since many clusters allow no more: what is not done by then goes on in the next job.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// Limits are whole numbers of these.
const STEP: u64 = 5 * 60;
/// A part of a session has so many items at least.
const FEWEST_ITEMS: u64 = 8;
/// Slurm numbers the tasks of an array below 1001 where its administrator has set no other limit.
const MOST_SHARDS: u32 = 1000;

/// What is foreseen of the nodes of a job together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Foreseen {
    pub(super) seconds: f64,
    pub(super) basis: Basis,
    /// Whether the size of a model is not known, so that nothing can be foreseen.
    pub(super) is_blind: bool,
    /// What they ask.
    pub(super) items: u64,
}

/// What is foreseen of nodes on so many cores.
pub(super) fn foreseen(context: &Context, rates: &Rates, nodes: &[usize], cores: u32) -> Foreseen {
    let machine = Machine {
        engine: context.engine.clone(),
        processor: context.processor.clone(),
        cores: cores as usize,
    };
    let mut works = Works::new(&context.experiment, &context.plan, &machine);
    let mut all = Foreseen {
        seconds: 0.0,
        basis: Basis::Measured,
        is_blind: false,
        items: 0,
    };
    for &node in nodes {
        let work = works.of(node);
        let estimate = rates.slowest(&work, &machine);
        all.seconds += estimate.seconds;
        all.basis = all.basis.max(estimate.basis);
        all.is_blind |= work.parameters == 0;
        all.items += context.plan.nodes[node].items.unwrap_or(0);
    }
    all
}

impl Foreseen {
    /// Into how many parts this is divided so that each takes about so long.
    pub(super) fn shards(self, each: Duration, most: usize) -> u32 {
        let wanted = (self.seconds / each.as_secs_f64()).ceil();
        let most = u32::try_from(most).unwrap_or(MOST_SHARDS).min(MOST_SHARDS);
        let most = most.min(u32::try_from(self.items / FEWEST_ITEMS).unwrap_or(MOST_SHARDS));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and the most"
        )]
        let wanted = wanted.clamp(1.0, f64::from(most.max(1))) as u32;
        wanted
    }

    /// The time limit of each of so many parts, and what it rests on; `None` where the usual one serves as well.
    fn limit(self, shards: u32, usual: Option<Span>) -> Option<(Span, String)> {
        if self.is_blind {
            return None;
        }
        let seconds = self.seconds / f64::from(shards.max(1));
        let (times, what) = match self.basis {
            Basis::Measured => (OF_MEASURED, "measured"),
            Basis::Scaled => (OF_SCALED, "scaled from a model of another size"),
            Basis::Guessed => (OF_GUESSED, "guessed"),
        };
        let wanted = Duration::try_from_secs_f64(seconds * times).unwrap_or(MOST);
        let steps = wanted.clamp(LEAST, MOST).as_secs().div_ceil(STEP);
        let limit = Span::of(Duration::from_secs(steps * STEP));
        let is_usual = usual.is_some_and(|usual| usual.duration() >= limit.duration());
        if self.basis == Basis::Guessed && is_usual {
            return None;
        }
        let why = match (wanted < LEAST, wanted > MOST) {
            (true, _) => format!("the least; {} {what}", rounded(seconds)),
            (_, true) => format!("the most; {} {what}", rounded(seconds)),
            _ => format!("{times} times {} {what}", rounded(seconds)),
        };
        Some((limit, why))
    }
}

/// Seconds below two minutes, and whole minutes above.
fn rounded(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.1}s")
    } else if seconds < 120.0 {
        format!("{seconds:.0}s")
    } else {
        let minutes = (seconds / 60.0).ceil() * 60.0;
        let span = Duration::try_from_secs_f64(minutes).unwrap_or(MOST);
        Span::of(span).to_string()
    }
}

/// What is reckoned of a job, each of so many parts of what is foreseen.
pub(super) fn reckoned(
    context: &Context,
    node: usize,
    foreseen: Foreseen,
    shards: u32,
    usual: Option<Span>,
) -> Reckoned {
    let limit = foreseen.limit(shards, usual);
    let (time, why) = limit.map_or((None, String::new()), |(time, why)| (Some(time), why));
    Reckoned {
        resources: Resources {
            memory: Some(memory(context, node)),
            time,
            ..Resources::default()
        },
        memory: "from the weights".to_owned(),
        time: why,
    }
}

/// A generous guess of the memory of a job: weights of 16 bits are computed in 32, twice while they are proven; a training holds
/// them once and what it does to them.
fn memory(context: &Context, node: usize) -> Memory {
    const BESIDES: u64 = 3 << 30;
    let planned = &context.plan.nodes[node];
    let weights =
        |model: &str| model_folder(context, model).map_or(0, |folder| folder_size(&folder));
    let bytes = match &planned.part {
        Part::Model(model) => match &context.experiment.models[model].source {
            ModelSource::Pretrain(training) => {
                let shape = training.architecture.as_ref();
                // Parameters, gradient and the optimiser's two, in 32 bits.
                16 * shape.map_or(0, |shape| shape.parameters())
            }
            source => 4 * source.base().map_or(0, weights),
        },
        _ => {
            5 * serve::loads_of(context, node)
                .iter()
                .map(|model| weights(model))
                .sum::<u64>()
        }
    };
    Memory::bytes((bytes + BESIDES).div_ceil(1 << 30) << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: f64, basis: Basis) -> Foreseen {
        Foreseen {
            seconds,
            basis,
            is_blind: false,
            items: 1000,
        }
    }

    #[test]
    fn limits_are_some_times_what_is_foreseen_and_never_short() {
        let usual = "4h".parse().ok();
        for (foreseen, shards, limit) in [
            (of(2400.0, Basis::Measured), 1, Some("2h")),
            (of(2400.0, Basis::Measured), 4, Some("30m")),
            (of(2400.0, Basis::Scaled), 1, Some("200m")),
            (of(4.0, Basis::Measured), 1, Some("10m")),
            (of(1e6, Basis::Measured), 1, Some("1d")),
            (of(60.0, Basis::Guessed), 1, None),
            (of(3000.0, Basis::Guessed), 1, Some("500m")),
        ] {
            let found = foreseen
                .limit(shards, usual)
                .map(|(span, _)| span.to_string());
            assert_eq!(found.as_deref(), limit, "{foreseen:?}");
        }
        let blind = Foreseen {
            is_blind: true,
            ..of(1e5, Basis::Guessed)
        };
        assert_eq!(blind.limit(1, usual), None);
        let why = |seconds| of(seconds, Basis::Measured).limit(1, usual).unwrap().1;
        assert_eq!(why(2400.0), "3 times 40m measured");
        assert_eq!(why(0.42), "the least; 0.4s measured");
        assert_eq!(why(29_000.0), "the most; 484m measured");
    }

    #[test]
    fn what_takes_long_is_divided_and_what_has_few_items_is_not() {
        let half_an_hour = Duration::from_secs(1800);
        let shards = |seconds, most| of(seconds, Basis::Measured).shards(half_an_hour, most);
        assert_eq!(shards(1799.0, 50), 1);
        assert_eq!(shards(1801.0, 50), 2);
        assert_eq!(shards(36_000.0, 50), 20);
        assert_eq!(shards(36_000.0, 6), 6);
        assert_eq!(shards(1e9, usize::MAX), 125, "eight items each");
        let few = Foreseen {
            items: 20,
            ..of(36_000.0, Basis::Measured)
        };
        assert_eq!(few.shards(half_an_hour, 50), 2);
    }
}
