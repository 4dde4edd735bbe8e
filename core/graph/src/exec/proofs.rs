//! What was proven of the batched decoder and a model, remembered in the store: its witness is not loaded each time.

use driftgauge_engine::worker::Job;
use driftgauge_engine::{LoadModel, Loaded, LocalEngine, Proof, Witness};
use driftgauge_store::{Digest, node_key};
use serde_json::json;

use crate::context::Context;
use crate::plan::{Kind, Part};

/// Raised when a proof of an older build says less than one of this one.
const VERSION: u32 = 1;

/// Puts what is known into a job, whose models are `ids`. Returns where a new proof of the first one belongs.
pub(super) fn known(context: &Context, ids: &[String], job: &mut Job) -> Option<Digest> {
    let (loads, witness): (Vec<&mut LoadModel>, Witness) = match job {
        Job::Generate(load) if load.engine == LocalEngine::Native => {
            let witness = load.witness;
            (vec![load], witness)
        }
        Job::Score(load) => (vec![load], Witness::Forward),
        Job::Diverge(pair) => (vec![&mut pair.model, &mut pair.reference], Witness::Forward),
        _ => return None,
    };
    for (id, load) in ids.iter().zip(loads) {
        // mistral.rs proves no less than a forward pass of ours.
        let accepted = match witness {
            Witness::Mistralrs => vec![Witness::Mistralrs],
            Witness::Forward => vec![Witness::Forward, Witness::Mistralrs],
        };
        let facts = accepted
            .into_iter()
            .filter_map(|witness| context.store.recall(&key(context, id, witness)?));
        let mut proofs: Vec<Proof> = facts
            .filter_map(|fact| serde_json::from_value(fact).ok())
            .collect();
        proofs.sort_by_key(|proof| proof.reach);
        load.proof = proofs.pop().map(Box::new);
    }
    key(context, ids.first()?, witness)
}

/// Keeps what was proven anew; provenance has its words already.
pub(super) fn remember(context: &Context, key: Option<&Digest>, loaded: &mut Loaded) {
    let proof = loaded.proof.take();
    let fact = proof.and_then(|proof| serde_json::to_value(proof).ok());
    if let (Some(key), Some(fact)) = (key, fact) {
        context.store.remember(key, &fact);
    }
}

/// The bytes of the model, how they are rounded, all engines that had a part in it, and the kind of processor.
fn key(context: &Context, model: &str, witness: Witness) -> Option<Digest> {
    // The last node of a model is the one that makes its folder.
    let nodes = context.plan.nodes.iter().rev();
    let mut made = nodes.filter(|node| node.part == Part::Model(model.to_owned()));
    let node = made.find(|node| node.kind != Kind::Finetune)?;
    let params = json!({
        "engine": context.engine.native,
        "witness": witness,
        "generation": context.engine.generation,
        "scoring": context.engine.scoring,
        "processor": context.processor,
        "rounding": context.experiment.models[model].rounding(),
    });
    let inputs = std::slice::from_ref(node.key.as_ref()?);
    Some(node_key("proof", VERSION, &params, inputs))
}
