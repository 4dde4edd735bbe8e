//! Whether a server draws at all: some answer greedily whatever temperature they are asked for, and say nothing.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use driftgauge_engine::GenerateRequest;

/// So many seeds with one answer are no accident any more.
const SEEDS: usize = 4;
/// Prompts that are remembered.
const PROMPTS: usize = 256;
/// A shorter answer may well come out the same of every draw: `yes`.
const TELLING: usize = 24;

/// A draw: the prompt, by its hash, and the seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    prompt: u64,
    seed: u64,
}

impl Draw {
    /// `None` for a greedy request, which has one answer.
    pub(crate) fn of(request: &GenerateRequest) -> Option<Self> {
        if request.sampling.temperature <= 0.0 {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        request.text.hash(&mut hasher);
        for turn in &request.messages {
            (&turn.role, &turn.content).hash(&mut hasher);
        }
        Some(Self {
            prompt: hasher.finish(),
            seed: request.sampling.seed,
        })
    }
}

/// What the draws so far came to.
#[derive(Debug, Default)]
pub(crate) struct Draws {
    /// Two seeds gave two answers: it draws.
    proven: bool,
    prompts: HashMap<u64, Same>,
}

/// One answer, and the seeds that gave it.
#[derive(Debug)]
struct Same {
    answer: String,
    seeds: HashSet<u64>,
}

impl Draws {
    pub(crate) fn add(&mut self, draw: Draw, answer: &str) {
        if self.proven {
            return;
        }
        if let Some(same) = self.prompts.get_mut(&draw.prompt) {
            if same.answer != answer && !same.seeds.contains(&draw.seed) {
                self.proven = true;
                self.prompts.clear();
            } else if same.answer == answer {
                same.seeds.insert(draw.seed);
            }
        } else if self.prompts.len() < PROMPTS && answer.len() >= TELLING {
            let same = Same {
                answer: answer.to_owned(),
                seeds: HashSet::from([draw.seed]),
            };
            self.prompts.insert(draw.prompt, same);
        }
    }

    /// Whether every seed of a prompt gave the same answer, and none of any prompt another one.
    pub(crate) fn lacking(&self) -> bool {
        !self.proven && self.prompts.values().any(|same| same.seeds.len() >= SEEDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "an answer that is long enough to tell";

    fn draws(of: &[(u64, u64, &str)]) -> bool {
        let mut draws = Draws::default();
        for (prompt, seed, answer) in of {
            let (prompt, seed) = (*prompt, *seed);
            draws.add(Draw { prompt, seed }, answer);
        }
        draws.lacking()
    }

    #[test]
    fn one_answer_to_every_seed_is_noticed() {
        let same = [(1, 1, LONG), (1, 2, LONG), (1, 3, LONG), (1, 4, LONG)];
        assert!(draws(&same));
        assert!(!draws(&same[..3]), "three may be an accident");
        let one_seed = [(1, 1, LONG); 9];
        assert!(!draws(&one_seed), "one seed gives one answer");
        assert!(!draws(&[
            (1, 1, "yes"),
            (1, 2, "yes"),
            (1, 3, "yes"),
            (1, 4, "yes")
        ]));
        let other = [
            (2, 1, LONG),
            (2, 2, "another answer, which is as long as that"),
        ];
        assert!(
            !draws(&[&same[..], &other[..]].concat()),
            "it draws elsewhere"
        );
    }
}
