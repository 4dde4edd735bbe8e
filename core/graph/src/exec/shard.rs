//! Makes a part of the answers of a model on this machine; others make theirs at the same time.

use driftgauge_store::Digest;

use super::executor::{Executor, Here, Making, Place};
use super::local::Local;
use crate::context::{Context, Shard};

/// This machine, for one range of the items of every node.
#[derive(Debug, Clone, Copy)]
pub struct OneShard(pub Shard);

impl Executor for OneShard {
    fn group(&self, context: &Context, first: usize, ready: &[usize]) -> Vec<usize> {
        Local.group(context, first, ready)
    }

    fn place(&self, here: &Here, first: usize) -> Option<Place> {
        Local.place(here, first)
    }

    fn claim(&self, _context: &Context, _node: usize, key: &Digest) -> Digest {
        // The artifact itself is claimed by the one that puts the parts together.
        let Shard { index, of } = self.0;
        Digest::of(format!("shard {index} of {of} of {key}").as_bytes())
    }

    fn judges_last(&self) -> bool {
        Local.judges_last()
    }

    fn make(&self, here: &Here, nodes: Vec<usize>, place: Place, alone: bool) -> Making {
        Local.make(here, nodes, place, alone)
    }
}
