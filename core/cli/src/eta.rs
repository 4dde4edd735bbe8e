//! What is left to do, told while a run goes.

use std::collections::HashMap;

/// Seconds of trust in what was foreseen, before anything was measured in this run.
const TRUST: f64 = 2.0;

/// How long the rest of a run takes: what was foreseen of its nodes, corrected by what those that ended took.
#[derive(Debug, Default)]
pub(crate) struct Eta {
    /// Seconds foreseen of nodes that have not ended.
    left: HashMap<String, f64>,
    /// Of those that go on: the share that is done.
    done: HashMap<String, f64>,
    /// Heavy nodes at a time.
    at_a_time: f64,
    /// Foreseen and taken of the nodes that ended.
    foreseen: f64,
    took: f64,
}

impl Eta {
    /// Seconds foreseen by node, of those that will run.
    pub(crate) fn new(foreseen: HashMap<String, f64>, at_a_time: usize) -> Self {
        Self {
            left: foreseen,
            at_a_time: at_a_time.max(1) as f64,
            ..Self::default()
        }
    }

    pub(crate) fn goes_on(&mut self, node: &str, done: u64, total: u64) {
        if self.left.contains_key(node) {
            let share = done as f64 / total.max(1) as f64;
            self.done.insert(node.to_owned(), share.min(1.0));
        }
    }

    /// A node ended, after so many seconds of its own when it ran.
    pub(crate) fn ends(&mut self, node: &str, took: Option<f64>) {
        self.done.remove(node);
        if let (Some(foreseen), Some(took)) = (self.left.remove(node), took) {
            self.foreseen += foreseen;
            self.took += took;
        }
    }

    /// Seconds until the end; `None` when nothing is left.
    pub(crate) fn seconds(&self) -> Option<f64> {
        let left = self.left.iter().map(|(node, seconds)| {
            let done = self.done.get(node).copied().unwrap_or(0.0);
            seconds * (1.0 - done)
        });
        let (sum, longest) = left.fold((0.0, 0.0_f64), |(sum, longest), seconds| {
            (sum + seconds, longest.max(seconds))
        });
        let slower = (self.took + TRUST) / (self.foreseen + TRUST);
        (!self.left.is_empty()).then(|| slower * longest.max(sum / self.at_a_time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_corrects_what_is_left() {
        let nodes = [("a", 8.0), ("b", 10.0), ("c", 2.0)];
        let nodes = nodes.map(|(node, seconds)| (node.to_owned(), seconds));
        let mut eta = Eta::new(nodes.into(), 2);
        assert_eq!(eta.seconds(), Some(10.0));
        eta.goes_on("b", 5, 10);
        assert_eq!(eta.seconds(), Some(8.0));
        eta.ends("a", Some(18.0));
        // Twice as slow as foreseen.
        assert_eq!(eta.seconds(), Some(10.0));
        eta.ends("b", Some(20.0));
        eta.ends("c", None);
        assert_eq!(eta.seconds(), None);
        eta.ends("unknown", Some(3.0));
        assert_eq!((eta.foreseen, eta.took), (18.0, 38.0));
    }
}
