//! What is done after a try that did not finish.

use serde::{Deserialize, Serialize};

use crate::state::End;

/// Tries in a row that were lost without having saved anything, before it is given up.
const LOST_IN_A_ROW: usize = 5;

/// How a try ended that left its work unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TryEnd {
    /// What the queue, or the job itself, said of it.
    pub end: End,
    /// Whether it saved something that the next one goes on from.
    pub progress: bool,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Another try, with its memory doubled so many times.
    Again {
        /// How many times.
        doubled: u32,
    },
    /// No other try.
    GiveUp(&'static str),
}

/// Decides by the tries so far, the last of which has just ended. Where a machine was lost, a job made room or ran out of time after it
/// had saved something, another try costs nothing. Too little memory is doubled once. What was cancelled by hand, and what ended
/// without a word, gets one more try. What a job itself reports as a failure never comes here.
#[must_use]
pub fn next(tries: &[TryEnd]) -> Next {
    let doubled = tries.iter().filter(|t| t.end == End::OutOfMemory).count();
    let Some(last) = tries.last() else {
        return Next::Again { doubled: 0 };
    };
    let in_a_row = || {
        let fruitless = tries.iter().rev();
        fruitless
            .take_while(|t| t.end == last.end && !t.progress)
            .count()
    };
    let times = tries.iter().filter(|t| t.end == last.end).count();
    let given_up = match last.end {
        End::OutOfMemory => (times > 1)
            .then_some("it wanted more than twice the memory; give it more with `memory`"),
        End::Cancelled => (times > 1).then_some("it was cancelled twice"),
        End::TimedOut => (in_a_row() > 1).then_some(
            "its time ran out twice before it could save anything; give it more with `time`",
        ),
        End::Failed | End::Completed => {
            (in_a_row() > 1).then_some("it ended twice without saying why")
        }
        End::Preempted | End::NodeLost | End::Forgotten => (in_a_row() >= LOST_IN_A_ROW)
            .then_some("it was lost five times in a row before it could save anything"),
    };
    match given_up {
        Some(why) => Next::GiveUp(why),
        None => Next::Again {
            doubled: doubled as u32,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ends: &[(End, bool)]) -> Next {
        let tries: Vec<TryEnd> = ends
            .iter()
            .map(|&(end, progress)| TryEnd { end, progress })
            .collect();
        next(&tries)
    }

    fn again(doubled: u32) -> Next {
        Next::Again { doubled }
    }

    #[test]
    fn what_saved_something_goes_on_for_ever() {
        for end in [End::TimedOut, End::Preempted, End::NodeLost, End::Forgotten] {
            assert_eq!(after(&[(end, true); 40]), again(0), "{end}");
        }
    }

    #[test]
    fn what_saved_nothing_does_not() {
        assert_eq!(after(&[(End::TimedOut, false)]), again(0));
        assert!(
            matches!(after(&[(End::TimedOut, false); 2]), Next::GiveUp(why) if why.contains("`time`"))
        );
        assert_eq!(after(&[(End::NodeLost, false); 4]), again(0));
        assert!(matches!(
            after(&[(End::NodeLost, false); 5]),
            Next::GiveUp(_)
        ));
        let mut between = [(End::TimedOut, false); 3];
        between[1].1 = true;
        assert_eq!(after(&between), again(0));
    }

    #[test]
    fn memory_is_doubled_once() {
        assert_eq!(after(&[(End::OutOfMemory, false)]), again(1));
        assert_eq!(
            after(&[(End::OutOfMemory, false), (End::NodeLost, false)]),
            again(1)
        );
        assert!(matches!(
            after(&[(End::OutOfMemory, true); 2]),
            Next::GiveUp(_)
        ));
    }

    #[test]
    fn cancelled_by_hand_is_meant_the_second_time() {
        assert_eq!(after(&[(End::Cancelled, false)]), again(0));
        assert!(matches!(
            after(&[(End::Cancelled, true); 2]),
            Next::GiveUp(_)
        ));
    }
}
