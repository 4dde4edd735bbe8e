//! Loss and gradients of one micro-batch.

use std::collections::BTreeMap;

use candle_core::Tensor;
use rayon::prelude::*;

use super::batch::Batch;
use crate::error::Result;
use crate::model::{Decoder, Parameters};
use crate::ops::{self, Traced};

/// Gradients by parameter name.
pub(crate) type Gradients = BTreeMap<String, Tensor>;

/// Adds the gradients of the losses of a micro-batch's parts, summed over their supervised tokens, to `gradients`; returns that sum.
/// The parts are computed side by side and added in their order.
///
/// # Errors
/// As [`add_gradients`].
pub(crate) fn add_gradients_of_parts(
    decoder: &Decoder,
    parameters: &Parameters,
    parts: &[Batch],
    recompute: bool,
    gradients: &mut Gradients,
) -> Result<f64> {
    if let [whole] = parts {
        return add_gradients(decoder, parameters, whole, recompute, gradients);
    }
    let of_part = |part: &Batch| -> Result<(f64, Gradients)> {
        let mut gradients = Gradients::new();
        let loss = add_gradients(decoder, parameters, part, recompute, &mut gradients)?;
        Ok((loss, gradients))
    };
    let found = parts.par_iter().with_max_len(1).map(of_part);
    let found = found.collect::<Result<Vec<_>>>()?;
    let mut sum = 0.0;
    for (loss, found) in found {
        sum += loss;
        for (name, gradient) in found {
            add(gradients, &name, gradient)?;
        }
    }
    Ok(sum)
}

/// Adds the gradients of the micro-batch's losses, summed over its supervised tokens, to `gradients`; returns that sum.
///
/// With `recompute`, only the residual stream between layers is kept, and each layer is computed again on the way back
/// (gradient checkpointing): the same numbers for more time and less memory.
pub(crate) fn add_gradients(
    decoder: &Decoder,
    parameters: &Parameters,
    batch: &Batch,
    recompute: bool,
    gradients: &mut Gradients,
) -> Result<f64> {
    let mut h = decoder.embed(&batch.ids)?;
    if !recompute {
        for layer in 0..decoder.depth() {
            h = decoder.layer(layer, &h, &batch.pass)?;
        }
        let loss = decoder.loss(&h.rows(&batch.rows)?, &batch.targets)?;
        collect(parameters, loss.backward()?, gradients)?;
        return value(&loss);
    }

    let mut streams = vec![Traced::parameter(h.tensor().clone())];
    for layer in 0..decoder.depth() {
        let output = decoder.layer(layer, &streams[layer].detach(), &batch.pass)?;
        streams.push(Traced::parameter(output.tensor().clone()));
    }
    let last = &streams[decoder.depth()];
    let loss = decoder.loss(&last.rows(&batch.rows)?, &batch.targets)?;
    let mut found = loss.backward()?;
    let mut upstream = found.remove(last);
    collect(parameters, found, gradients)?;
    for layer in (0..decoder.depth()).rev() {
        streams.truncate(layer + 1);
        let Some(gradient) = upstream.take() else {
            break;
        };
        let input = &streams[layer];
        let mut found = decoder
            .layer(layer, input, &batch.pass)?
            .backward_from(gradient)?;
        upstream = found.remove(input);
        collect(parameters, found, gradients)?;
    }
    if let Some(gradient) = upstream.filter(|_| h.requires_grad()) {
        collect(parameters, h.backward_from(gradient)?, gradients)?;
    }
    value(&loss)
}

/// Sum of the losses over the supervised tokens of a micro-batch, without gradients.
pub(crate) fn loss_sum(decoder: &Decoder, batch: &Batch) -> Result<f64> {
    let h = decoder.forward(&batch.ids, &batch.pass)?;
    let h = Traced::constant(h.index_select(&batch.rows, 0)?);
    value(&decoder.loss(&h, &batch.targets)?.detach())
}

fn value(loss: &Traced) -> Result<f64> {
    Ok(f64::from(loss.tensor().to_scalar::<f32>()?))
}

/// Moves what a backward pass found into `gradients`, added to what is there.
fn collect(
    parameters: &Parameters,
    mut found: ops::Gradients,
    gradients: &mut Gradients,
) -> Result<()> {
    for (name, parameter) in parameters {
        let Some(gradient) = found.remove(parameter) else {
            continue;
        };
        add(gradients, name, gradient)?;
    }
    Ok(())
}

/// Adds the gradient of one parameter.
fn add(gradients: &mut Gradients, name: &str, gradient: Tensor) -> Result<()> {
    match gradients.get_mut(name) {
        Some(sum) => ops::add_assign(sum, &gradient)?,
        None => {
            gradients.insert(name.to_owned(), gradient);
        }
    }
    Ok(())
}
