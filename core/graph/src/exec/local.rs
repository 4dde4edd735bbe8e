//! Makes nodes in processes of this machine.

use std::sync::Arc;

use driftgauge_store::Digest;

use super::executor::{Executor, Here, Making, Place};
use super::slots::Share;
use super::{serve, size, train};
use crate::context::Context;
use crate::plan::Kind;

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Local;

impl Executor for Local {
    fn group(&self, context: &Context, first: usize, ready: &[usize]) -> Vec<usize> {
        serve::group(context, first, ready)
    }

    fn place(&self, here: &Here, first: usize) -> Option<Place> {
        let (all, taken) = (here.context.jobs, here.slots.taken());
        let exclusive = !size::is_small(&here.context, first);
        if taken >= all || (exclusive && taken > 0) {
            return None;
        }
        Some(Place {
            slots: if exclusive { all } else { 1 },
            exclusive,
        })
    }

    fn claim(&self, _context: &Context, _node: usize, key: &Digest) -> Digest {
        key.clone()
    }

    fn judges_last(&self) -> bool {
        true
    }

    fn make(&self, here: &Here, nodes: Vec<usize>, place: Place, alone: bool) -> Making {
        let context = Arc::clone(&here.context);
        let fair = (context.cores / context.jobs).max(1);
        let trains = nodes.first().is_some_and(|&node| {
            matches!(
                context.plan.nodes[node].kind,
                Kind::Pretrain | Kind::Finetune
            )
        });
        let threads = if place.exclusive || alone {
            context.cores
        } else if trains {
            // Threads of a training wait for each other now and then, and one goes on when its neighbour has ended.
            context.cores.min(2 * fair)
        } else {
            fair
        };
        let share = Share {
            threads,
            slots: Arc::clone(&here.slots),
            alone: alone && !place.exclusive,
        };
        Box::pin(async move {
            let Some(&first) = nodes.first() else {
                return Vec::new();
            };
            match context.plan.nodes[first].kind {
                Kind::Pretrain | Kind::Finetune | Kind::Checkpoint | Kind::Merge => {
                    vec![(first, train::run(&context, first, threads).await)]
                }
                _ => serve::run(&context, &nodes, share).await,
            }
        })
    }
}
