//! What each kind of node does, whoever runs it.

pub(crate) mod artifacts;
pub(crate) mod choices;
mod compare;
mod divergence;
mod examples;
mod generate;
pub(crate) mod inference;
mod judging;
mod light;
pub(crate) mod models;
mod only;
pub(crate) mod prompts;
mod recorded;
pub(crate) mod samples;
pub(crate) mod score;

pub(crate) use examples::example;
pub(crate) use light::make;

use driftgauge_problem::Problem;

use self::divergence::Divergences;
use self::generate::Generation;
use self::inference::Inference;
use self::judging::Judging;
use self::score::Scoring;
use crate::context::Context;
use crate::plan::{Kind, Part};

/// The work of an inference node.
pub(crate) fn inference(context: &Context, node: usize) -> Result<Box<dyn Inference>, Problem> {
    let planned = &context.plan.nodes[node];
    Ok(match (&planned.part, planned.kind) {
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            Kind::Generate,
        ) => Box::new(Generation::new(context, evaluation, condition)?),
        (
            Part::Completions {
                evaluation,
                condition,
                ..
            },
            _,
        ) => Box::new(Scoring::new(context, evaluation, condition)?),
        (Part::Divergence { .. }, _) => Box::new(Divergences::new(context, node)?),
        (Part::Verdicts { .. }, _) => Box::new(Judging::new(context, node)?),
        _ => return Err("not an inference node".into()),
    })
}
