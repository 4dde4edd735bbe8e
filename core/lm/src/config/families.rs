//! What each family's configuration class reads, with its defaults: those of transformers 5.

use super::fields::Fields;
use super::rope::{self, Context};
use super::{
    Activation, Architecture, AttentionConfig, DecoderConfig, Experts, LayerConfig, Mlp, Norms,
};
use crate::error::{Error, Result};

/// What a family has where the file says nothing.
struct Defaults {
    /// As many as query heads where absent.
    key_value_heads: Option<usize>,
    /// The hidden size by the query heads where absent.
    head_dim: Option<usize>,
    positions: usize,
    eps: f64,
    theta: f64,
    tied: bool,
}

fn defaults(architecture: Architecture) -> Defaults {
    use Architecture as A;
    let (key_value_heads, head_dim, positions, eps, theta, tied) = match architecture {
        A::Llama => (None, None, 2048, 1e-6, 1e4, false),
        A::Mistral => (Some(8), None, 131_072, 1e-6, 1e4, false),
        A::Mixtral => (Some(8), None, 131_072, 1e-5, 1e6, false),
        A::Qwen2 => (Some(32), None, 32_768, 1e-6, 1e4, false),
        A::Qwen3 => (Some(32), Some(128), 32_768, 1e-6, 1e4, false),
        A::Qwen3Moe => (Some(4), None, 32_768, 1e-6, 1e4, false),
        A::Gemma => (Some(16), Some(256), 8192, 1e-6, 1e4, true),
        A::Gemma2 => (Some(4), Some(256), 8192, 1e-6, 1e4, true),
        A::Gemma3 => (Some(4), Some(256), 131_072, 1e-6, 1e6, true),
        A::Phi3 => (None, None, 4096, 1e-5, 1e4, false),
        A::SmolLm3 => (Some(4), None, 32_768, 1e-6, 2e6, true),
        A::Glm | A::Glm4 => (Some(2), Some(128), 131_072, 1.5625e-7, 1e4, false),
    };
    Defaults {
        key_value_heads,
        head_dim,
        positions,
        eps,
        theta,
        tied,
    }
}

/// Reads the fields of a family, all of them: what is left over is refused by the caller.
pub(super) fn read(architecture: Architecture, fields: &Fields<'_>) -> Result<DecoderConfig> {
    use Architecture as A;
    let defaults = defaults(architecture);
    let hidden_size = fields.required("hidden_size")?;
    let num_attention_heads = fields.required("num_attention_heads")?;
    let num_hidden_layers = fields.required("num_hidden_layers")?;
    let num_key_value_heads = fields
        .size("num_key_value_heads")?
        .or_else(|| match fields.mentions("num_key_value_heads") {
            true => None,
            false => defaults.key_value_heads,
        })
        .unwrap_or(num_attention_heads);
    if !num_attention_heads.is_multiple_of(num_key_value_heads) {
        return Err(Error::Config(format!(
            "`num_attention_heads` {num_attention_heads} is not a multiple of `num_key_value_heads` {num_key_value_heads}"
        )));
    }
    let head_dim = fields
        .size("head_dim")?
        .or(defaults.head_dim)
        .unwrap_or(hidden_size / num_attention_heads);
    let max_position_embeddings = fields
        .size("max_position_embeddings")?
        .unwrap_or(defaults.positions);

    let glm = matches!(architecture, A::Glm | A::Glm4);
    let gemma = matches!(architecture, A::Gemma | A::Gemma2 | A::Gemma3);
    let context = Context {
        theta: defaults.theta,
        partial: if glm { 0.5 } else { 1.0 },
        partial_is_read: glm || matches!(architecture, A::Phi3),
        head_dim,
        positions: max_position_embeddings,
        original: match architecture {
            A::Phi3 => 4096,
            _ => max_position_embeddings,
        },
        interleaved: glm,
    };
    let ropes = match architecture {
        A::Gemma3 => {
            let (global, local) = rope::read_by_layer_type(fields, &context, 1e4)?;
            vec![global, local]
        }
        _ => vec![rope::read(fields, &context)?],
    };
    let experts = experts(architecture, fields)?;
    let layers = layers(architecture, fields, num_hidden_layers, experts.as_ref())?;
    let biases = match architecture {
        A::Qwen2 => true,
        A::Mistral | A::Mixtral | A::Phi3 => false,
        _ => fields.flag("attention_bias", glm)?,
    };
    let query_width = match architecture {
        A::Gemma2 | A::Gemma3 => fields.positive("query_pre_attn_scalar")?.unwrap_or(256.0),
        _ => head_dim as f64,
    };
    let softcap = |key: &str, default: f64| -> Result<Option<f64>> {
        match architecture {
            A::Gemma2 if !fields.mentions(key) => Ok(Some(default)),
            A::Gemma2 | A::Gemma3 => fields.positive(key),
            _ => Ok(None),
        }
    };
    // transformers reads it for Gemma 3 and leaves it out of what it computes.
    if architecture == A::Gemma3 && fields.positive("attn_logit_softcapping")?.is_some() {
        return Err(Error::Unsupported(
            "`attn_logit_softcapping` of Gemma 3".to_owned(),
        ));
    }
    if gemma && fields.flag("use_bidirectional_attention", false)? {
        return Err(Error::Unsupported(
            "`use_bidirectional_attention: true`".to_owned(),
        ));
    }
    Ok(DecoderConfig {
        architecture,
        vocab_size: fields.required("vocab_size")?,
        hidden_size,
        intermediate_size: fields.required("intermediate_size")?,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        max_position_embeddings,
        rms_norm_eps: fields.positive("rms_norm_eps")?.unwrap_or(defaults.eps),
        tie_word_embeddings: fields.flag("tie_word_embeddings", defaults.tied)?,
        attention: AttentionConfig {
            fused: architecture == A::Phi3,
            biases,
            output_bias: biases && architecture != A::Qwen2 && !glm,
            qk_norm: matches!(architecture, A::Qwen3 | A::Qwen3Moe | A::Gemma3),
            scale: query_width.powf(-0.5),
            softcap: softcap("attn_logit_softcapping", 50.0)?,
        },
        mlp: Mlp {
            fused: glm || architecture == A::Phi3,
            bias: match architecture {
                A::Llama | A::SmolLm3 => fields.flag("mlp_bias", false)?,
                _ => false,
            },
            activation: activation(architecture, fields)?,
        },
        experts,
        norms: match architecture {
            A::Gemma2 | A::Gemma3 => Norms::AroundBothAsGemma,
            A::Glm4 => Norms::AroundBothAsGlm,
            _ => Norms::Before,
        },
        norm_offset: gemma,
        embedding_scale: gemma.then(|| (hidden_size as f64).sqrt()),
        logit_softcap: softcap("final_logit_softcapping", 30.0)?,
        layers,
        ropes,
        dropout: dropout(fields)?,
    })
}

/// The first dropout that is not 0: it changes trainings alone.
fn dropout(fields: &Fields<'_>) -> Result<Option<String>> {
    for key in ["attention_dropout", "embd_pdrop", "resid_pdrop"] {
        if let Some(probability) = fields.number(key)?.filter(|&p| p != 0.0) {
            return Ok(Some(format!("{key}: {probability}")));
        }
    }
    Ok(None)
}

/// Gemma 1 has two names of its activation, and means the approximation of GELU by either.
fn activation(architecture: Architecture, fields: &Fields<'_>) -> Result<Activation> {
    use Architecture as A;
    let gemma = matches!(architecture, A::Gemma | A::Gemma2 | A::Gemma3);
    let (newer, older) = match gemma {
        true => (
            fields.text("hidden_activation")?,
            fields.text("hidden_act")?,
        ),
        false => (fields.text("hidden_act")?, None),
    };
    if let (A::Gemma, Some(newer), Some(older)) = (architecture, newer, older)
        && newer.starts_with("gelu") != older.starts_with("gelu")
    {
        return Err(Error::Config(format!(
            "`hidden_activation: {newer}` and `hidden_act: {older}` are two functions"
        ))
        .hint("keep the one that the model was trained with"));
    }
    let name = match architecture {
        // transformers 5 reads `hidden_act`, 4 reads `hidden_activation` where there is one.
        A::Gemma => newer.or(older),
        // Gemma 2 and 3 read `hidden_activation` alone; files also have the other.
        _ => newer,
    };
    match name {
        None if gemma => Ok(Activation::GeluTanh),
        Some("gelu" | "gelu_pytorch_tanh") if architecture == A::Gemma => Ok(Activation::GeluTanh),
        Some("gelu_pytorch_tanh" | "gelu_new") => Ok(Activation::GeluTanh),
        None | Some("silu" | "swish") => Ok(Activation::Silu),
        Some(other) => Err(Error::Unsupported(format!("activation `{other}`"))),
    }
}

fn experts(architecture: Architecture, fields: &Fields<'_>) -> Result<Option<Experts>> {
    let experts = match architecture {
        Architecture::Mixtral => Experts {
            count: fields.size("num_local_experts")?.unwrap_or(8),
            per_token: fields.size("num_experts_per_tok")?.unwrap_or(2),
            width: fields.required("intermediate_size")?,
            normalised: true,
        },
        Architecture::Qwen3Moe => Experts {
            count: match (
                fields.size("num_experts")?,
                fields.size("num_local_experts")?,
            ) {
                (Some(one), Some(other)) if one != other => {
                    return Err(Error::Unsupported(format!(
                        "`num_experts: {one}` and `num_local_experts: {other}` contradict each other"
                    )));
                }
                (one, other) => one.or(other).unwrap_or(128),
            },
            per_token: fields.size("num_experts_per_tok")?.unwrap_or(8),
            width: fields.size("moe_intermediate_size")?.unwrap_or(768),
            normalised: fields.flag("norm_topk_prob", false)?,
        },
        _ => return Ok(None),
    };
    match experts.per_token <= experts.count {
        true => Ok(Some(experts)),
        false => Err(Error::Config(format!(
            "`num_experts_per_tok` {} of {} experts",
            experts.per_token, experts.count
        ))),
    }
}

/// What differs from layer to layer: the window, the rotation, and whether it has experts.
fn layers(
    architecture: Architecture,
    fields: &Fields<'_>,
    count: usize,
    experts: Option<&Experts>,
) -> Result<Vec<LayerConfig>> {
    let windows = windows(architecture, fields, count)?;
    let rotated = rotated(architecture, fields, count)?;
    let dense: Vec<f64> = match architecture {
        Architecture::Qwen3Moe => fields.numbers("mlp_only_layers")?.unwrap_or_default(),
        _ => Vec::new(),
    };
    let step = match architecture {
        Architecture::Qwen3Moe => fields.size("decoder_sparse_step")?.unwrap_or(1),
        _ => 1,
    };
    Ok((0..count)
        .map(|index| LayerConfig {
            window: windows[index],
            rope: match architecture {
                Architecture::Gemma3 => Some(usize::from(windows[index].is_some())),
                _ => rotated[index].then_some(0),
            },
            experts: experts.is_some()
                && (index + 1).is_multiple_of(step)
                && !dense.contains(&(index as f64)),
        })
        .collect())
}

/// Layers whose queries and keys are rotated: SmolLM3 leaves some out.
fn rotated(architecture: Architecture, fields: &Fields<'_>, count: usize) -> Result<Vec<bool>> {
    if architecture != Architecture::SmolLm3 {
        return Ok(vec![true; count]);
    }
    let interval = fields.size("no_rope_layer_interval")?.unwrap_or(4);
    match fields.numbers("no_rope_layers")? {
        None => Ok((1..=count).map(|n| !n.is_multiple_of(interval)).collect()),
        Some(flags) if flags.len() >= count => Ok(flags.iter().map(|&flag| flag != 0.0).collect()),
        Some(flags) => Err(Error::Config(format!(
            "`no_rope_layers` has {} numbers for {count} layers",
            flags.len()
        ))),
    }
}

/// How far back each layer sees, where that is not everything.
fn windows(
    architecture: Architecture,
    fields: &Fields<'_>,
    count: usize,
) -> Result<Vec<Option<usize>>> {
    use Architecture as A;
    // These have none, and whoever asks them for one is told so.
    if matches!(architecture, A::Llama | A::Gemma | A::Glm | A::Glm4) {
        return Ok(vec![None; count]);
    }
    let absent = !fields.mentions("sliding_window");
    let given = fields.size("sliding_window")?;
    let with_default = |default: usize| if absent { Some(default) } else { given };
    let (window, slides): (Option<usize>, Box<dyn Fn(usize) -> bool>) = match architecture {
        A::Mistral => (with_default(4096), Box::new(|_| true)),
        A::Mixtral | A::Phi3 => (given, Box::new(|_| true)),
        A::Qwen2 | A::Qwen3 => {
            let first = fields.whole("max_window_layers")?.unwrap_or(28);
            let used = fields.flag("use_sliding_window", false)?;
            (
                with_default(4096).filter(|_| used),
                Box::new(move |index| index >= first),
            )
        }
        A::Qwen3Moe => {
            // transformers has no use for it.
            fields.whole("max_window_layers")?;
            let used = fields.flag("use_sliding_window", false)?;
            (with_default(4096).filter(|_| used), Box::new(|_| true))
        }
        A::SmolLm3 => {
            let used = fields.flag("use_sliding_window", false)?;
            // transformers has no use for it.
            fields.whole("max_window_layers")?;
            let rotated = rotated(architecture, fields, count)?;
            (
                given.filter(|_| used),
                Box::new(move |index| !rotated[index]),
            )
        }
        A::Gemma2 => (
            with_default(4096),
            Box::new(|index| index.is_multiple_of(2)),
        ),
        A::Gemma3 => {
            let period = match fields.size("_sliding_window_pattern")? {
                Some(period) => period,
                None => fields.size("sliding_window_pattern")?.unwrap_or(6),
            };
            (
                with_default(4096),
                Box::new(move |index| !(index + 1).is_multiple_of(period)),
            )
        }
        A::Llama | A::Gemma | A::Glm | A::Glm4 => (None, Box::new(|_| false)),
    };
    let by_type = match architecture {
        A::Qwen2 | A::Qwen3 | A::SmolLm3 | A::Gemma2 | A::Gemma3 => fields.get("layer_types"),
        _ => None,
    };
    let Some(types) = by_type else {
        return Ok((0..count).map(|i| window.filter(|_| slides(i))).collect());
    };
    let types = types.as_array().map(Vec::as_slice).unwrap_or_default();
    if types.len() != count {
        return Err(Error::Config(format!(
            "`layer_types` has {} entries for {count} layers",
            types.len()
        )));
    }
    types
        .iter()
        .map(|kind| match (kind.as_str(), window) {
            (Some("full_attention"), _) => Ok(None),
            (Some("sliding_attention"), Some(window)) => Ok(Some(window)),
            (Some("sliding_attention"), None) => Err(Error::Unsupported(
                "`layer_types` has `sliding_attention`, and no `sliding_window` is used".to_owned(),
            )
            .hint(
                "`use_sliding_window: true` \
                 with `sliding_window`",
            )),
            _ => Err(Error::Unsupported(format!("layer type {kind}"))),
        })
        .collect()
}
