//! What a layer does to each token by itself: a gated MLP, or experts.

use candle_core::{D, DType, Tensor};

use super::{Linear, Named, Pass};
use crate::config::{Activation, DecoderConfig, Experts};
use crate::error::{Error, Result};
use crate::ops::{self, Traced, Weight};

/// The MLP of a layer.
#[derive(Debug, Clone)]
pub(crate) enum Mlp {
    /// One for all tokens.
    Dense(Gated),
    /// Some of many for each token.
    Experts {
        /// Scores the experts.
        router: Linear,
        experts: Vec<Gated>,
    },
}

/// `down(act(gate(x)) * up(x))`
#[derive(Debug, Clone)]
pub(crate) struct Gated {
    pub(crate) input: GateAndUp,
    pub(crate) down: Linear,
}

/// Gate and up projections.
#[derive(Debug, Clone)]
pub(crate) enum GateAndUp {
    /// A matrix each.
    Apart(Box<[Linear; 2]>),
    /// One for both.
    Fused(Box<Linear>),
}

impl Mlp {
    pub(super) fn forward(
        &self,
        x: &Traced,
        config: &DecoderConfig,
        pass: &Pass,
    ) -> Result<Traced> {
        match (self, config.experts) {
            (Self::Dense(gated), _) => gated.forward(x, config, pass),
            (Self::Experts { router, experts }, Some(settings)) => {
                if x.requires_grad() {
                    return Err(Error::Unsupported("a training of experts".to_owned())
                        .hint("models with experts can be scored"));
                }
                mixture(x, (router, experts.as_slice()), settings, config, pass)
            }
            (Self::Experts { .. }, None) => {
                Err(Error::Config("experts without their settings".to_owned()))
            }
        }
    }

    pub(super) fn linears_mut(&mut self) -> Vec<Named<&mut Linear>> {
        let Self::Dense(gated) = self else {
            return Vec::new();
        };
        let mut linears: Vec<Named<&mut Linear>> = Vec::new();
        match &mut gated.input {
            GateAndUp::Apart(two) => {
                let named = ["gate_proj", "up_proj"].into_iter().zip(two.iter_mut());
                linears.extend(named.map(|(name, linear)| ("mlp", name, linear)));
            }
            GateAndUp::Fused(one) => linears.push(("mlp", "gate_up_proj", &mut **one)),
        }
        linears.push(("mlp", "down_proj", &mut gated.down));
        linears
    }

    pub(super) fn weights(&self) -> Vec<Weight> {
        match self {
            Self::Dense(gated) => gated.weights(),
            Self::Experts { router, experts } => {
                let experts = experts.iter().flat_map(Gated::weights);
                router.weights().chain(experts).collect()
            }
        }
    }
}

impl Gated {
    fn forward(&self, x: &Traced, config: &DecoderConfig, pass: &Pass) -> Result<Traced> {
        let (gate, up) = match &self.input {
            GateAndUp::Apart(two) => (two[0].forward(x, pass)?, two[1].forward(x, pass)?),
            GateAndUp::Fused(one) => {
                let both = one.forward(x, pass)?;
                let width = both.tensor().dim(1)? / 2;
                (both.columns(0, width)?, both.columns(width, width)?)
            }
        };
        let gated = match config.mlp.activation {
            Activation::Silu => ops::swiglu(&gate, &up)?,
            Activation::GeluTanh => ops::geglu(&gate, &up)?,
        };
        self.down.forward(&gated, pass)
    }

    fn weights(&self) -> Vec<Weight> {
        let input: Vec<Weight> = match &self.input {
            GateAndUp::Apart(two) => two.iter().flat_map(Linear::weights).collect(),
            GateAndUp::Fused(one) => one.weights().collect(),
        };
        input.into_iter().chain(self.down.weights()).collect()
    }
}

/// Each token's sum over the experts that the router scores highest, weighted by its softmax. Of equal scores the lower
/// expert is taken.
fn mixture(
    x: &Traced,
    (router, experts): (&Linear, &[Gated]),
    settings: Experts,
    config: &DecoderConfig,
    pass: &Pass,
) -> Result<Traced> {
    let scores = router.forward(x, pass)?.tensor().to_dtype(DType::F32)?;
    let probabilities: Vec<Vec<f32>> =
        candle_nn::ops::softmax(&scores, D::Minus1)?.to_vec2::<f32>()?;
    let (tokens, width) = x.tensor().dims2()?;
    let device = x.tensor().device();
    // For each expert its tokens, and what they weigh.
    let mut of_expert: Vec<(Vec<u32>, Vec<f32>)> = vec![Default::default(); settings.count];
    for (token, probabilities) in (0_u32..).zip(&probabilities) {
        let mut order: Vec<usize> = (0..settings.count).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let chosen = &order[..settings.per_token];
        let total: f32 = match settings.normalised {
            true => chosen.iter().map(|&expert| probabilities[expert]).sum(),
            false => 1.0,
        };
        for &expert in chosen {
            of_expert[expert].0.push(token);
            of_expert[expert].1.push(probabilities[expert] / total);
        }
    }
    let mut sum = Tensor::zeros((tokens, width), x.tensor().dtype(), device)?;
    for (expert, (ids, weights)) in experts.iter().zip(of_expert) {
        if ids.is_empty() {
            continue;
        }
        let count = ids.len();
        let ids = Tensor::from_vec(ids, count, device)?;
        let output = expert.forward(&x.rows(&ids)?, config, pass)?;
        let weights = Tensor::from_vec(weights, (count, 1), device)?;
        let weighted = output
            .tensor()
            .broadcast_mul(&weights.to_dtype(x.tensor().dtype())?)?;
        sum = sum.index_add(&ids, &weighted, 0)?;
    }
    Ok(Traced::constant(sum))
}
