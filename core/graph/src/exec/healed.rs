//! Artifacts that are made again: whether they came out as they were, since what was made from them rests on their bytes.
//!
//! A key tells what goes into a node, and most nodes give the same bytes for it. A server's answers may be others the second time.

use std::collections::{HashMap, HashSet};

use driftgauge_store::{Digest, Manifest};

use crate::context::Context;

#[derive(Default)]
pub(super) struct Healed {
    /// What is made again, with what it was; `None` where its manifest is lost.
    before: HashMap<Digest, Option<Manifest>>,
    /// What came out otherwise.
    changed: HashSet<Digest>,
}

impl Healed {
    /// A node is to be made again. Says whether that is news.
    pub(super) fn begins(&mut self, context: &Context, key: &Digest) -> bool {
        if self.before.contains_key(key) {
            return false;
        }
        let manifest = context.store.manifest(key);
        self.before.insert(key.clone(), manifest);
        true
    }

    /// Whether a node is to be made again.
    pub(super) fn has(&self, key: &Digest) -> bool {
        self.before.contains_key(key)
    }

    /// A node is there, made here or elsewhere.
    pub(super) fn ends(&mut self, context: &Context, key: &Digest) {
        if let Some(before) = self.before.get(key)
            && (before.is_none() || *before != context.store.manifest(key))
        {
            self.changed.insert(key.clone());
        }
    }

    /// An input of a node that came out otherwise than when the node was made.
    pub(super) fn other_input<'a>(&self, context: &'a Context, node: usize) -> Option<&'a str> {
        let nodes = &context.plan.nodes;
        let key = nodes[node].key.as_ref()?;
        let mut inputs = nodes[node].inputs.iter().map(|&input| &nodes[input]);
        let other = inputs.find(|input| {
            let key = input.key.as_ref();
            key.is_some_and(|key| self.changed.contains(key))
        })?;
        // What was made again in this run was made from what there is now.
        (!self.changed.contains(key)).then_some(&other.id)
    }
}
